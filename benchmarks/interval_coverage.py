"""Coverage of the 95 % intervals, how often they hold the truth.

It makes the table of docs/intervals.md.

    python benchmarks/interval_coverage.py --records 1000

Records come from generators whose truth is known; each is measured as a user would. A record counts
as refused where there is no interval, but the advice what to record instead.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import norm

from neurosparse.activity import ActiveWhen, ActivityStats, Interval, SpikeTrains
from neurosparse.sparsity import describe_activations, describe_spikes, observe, over_seeds

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator], ActivityStats | list[ActivityStats]]
WINDOW_MS = 10
RATE = 0.003  # spikes a ms
BURSTS = 0.0005  # onsets a ms


@dataclass(frozen=True)
class Scenario:
    """A generator of records, its truth and the interval that should hold it."""

    name: str
    draw: Draw
    truth: Callable[[], float]
    of: Callable[[Any], Interval | None] = lambda stats: stats.interval


def alike(rng: np.random.Generator, rates: Floats, n_units: int) -> ActivityStats:
    """Measure Poisson cells with one rate, shape (n_ms,), on a grid of 1 ms."""
    before = np.cumsum(rates)
    n = rng.poisson(n_units * before[-1])
    return drawn(
        np.minimum(np.searchsorted(before, rng.random(n) * before[-1]), rates.size - 1),
        rng.integers(n_units, size=n),
        n_units,
        rates.size,
    )


def constant(rng: np.random.Generator, rates: Floats, n_ms: int) -> ActivityStats:
    """Measure Poisson cells with a rate each, shape (n_units,), on a grid of 1 ms."""
    units = np.repeat(np.arange(rates.size), rng.poisson(rates * n_ms))
    return drawn(rng.integers(n_ms, size=units.size), units, rates.size, n_ms)


def drawn(
    ms: NDArray[np.int64], units: NDArray[np.int64], n_units: int, n_ms: int
) -> ActivityStats:
    """Measure spikes drawn independently: a cell fires at most once in a step."""
    once = np.unique(ms * n_units + units)
    return measured(once // n_units, once % n_units, n_units, n_ms)


def measured(
    ms: NDArray[np.int64],
    units: NDArray[np.int64],
    n_units: int,
    n_ms: int,
    intervals_ms: Floats | None = None,
) -> ActivityStats:
    spikes = SpikeTrains(
        ms * 1.0,
        units,
        n_units=n_units,
        duration_ms=float(n_ms),
        dt_ms=1.0,
        intervals=intervals_ms,
    )
    return describe_spikes(spikes, ActiveWhen(window_ms=WINDOW_MS))


def slow(rng: np.random.Generator, n: int, tau: float) -> Floats:
    """Return an Ornstein-Uhlenbeck process of variance 1 in steps of 1 ms."""
    fall = np.exp(-1 / tau)
    noise = rng.normal(size=n) * np.sqrt(1 - fall**2)
    noise[0] = rng.normal()
    return np.asarray(lfilter([1], [1, -fall], noise))


def common_rate(rng: np.random.Generator, n: int, tau: float, spread: float = 0.7) -> Floats:
    return RATE * np.exp(spread * slow(rng, n, tau) - spread**2 / 2)


def truth_of_common(tau: float) -> float:
    return active_windows(common_rate(np.random.default_rng(11), 6_000_000, tau))


def active_windows(rates: Floats) -> float:
    """Return the share of windows with a spike of a cell whose mean rate is `RATE`.

    What these rates are too high or too low on average is taken off (a control variate).
    """
    sums = np.cumsum(np.append(0, rates))
    spikes = sums[WINDOW_MS:] - sums[:-WINDOW_MS]
    active = 1 - np.exp(-spikes)
    slope = np.cov(active, spikes)[0, 1] / spikes.var()
    return float(active.mean() - slope * (spikes.mean() - WINDOW_MS * RATE))


def bursts(rng: np.random.Generator) -> ActivityStats:
    """Draw bursts of five spikes 5 ms apart, their onsets Poisson."""
    onset = rng.random((2040, 200)) < BURSTS
    fires = np.any([onset[40 - 5 * k : 2040 - 5 * k] for k in range(5)], axis=0)
    return measured(*np.nonzero(fires), 200, 2000)


def states(rng: np.random.Generator, n: int) -> Floats:
    """Return a telegraph process of 0.2 and 1.8, each for 300 ms on average, in steps of 1 ms."""
    flips = np.cumsum(rng.random(n) < 1 / 300) + rng.integers(2)
    return np.where(flips % 2, 1.8, 0.2)


def truth_of_states() -> float:
    return active_windows(RATE * states(np.random.default_rng(12), 20_000_000))


def gains(rng: np.random.Generator, n: int) -> Floats:
    return np.exp(rng.normal(-0.08, 0.4, n))


def trials(rng: np.random.Generator) -> ActivityStats:
    """Draw trials with 2 s between them, of which nothing was recorded."""
    n = rng.poisson(100 * 1000 * RATE * gains(rng, 60))
    trial, ms = np.repeat(np.arange(60), n), rng.integers(1000, size=n.sum())
    once = np.unique((3000 * trial + ms) * 100 + rng.integers(100, size=n.sum()))
    starts = 3000.0 * np.arange(60)
    return measured(once // 100, once % 100, 100, 179_000, np.stack([starts, starts + 1000], 1))


def log_normal_rates(rng: np.random.Generator, n: int) -> Floats:
    return np.exp(rng.normal(np.log(1.5e-3), 1.0, n))


def scenarios() -> Iterator[Scenario]:
    """Yield all scenarios of the table."""
    steady = 1 - np.exp(-RATE * WINDOW_MS)
    for n, ms in ((20, 1000), (100, 2000), (1000, 2000), (1000, 10_000)):
        yield Scenario(
            f"Poisson 3 Hz, {n} cells, {ms / 1000:g} s",
            lambda rng, n=n, ms=ms: alike(rng, np.full(ms, RATE), n),
            lambda: steady,
        )
    fixed = log_normal_rates(np.random.default_rng(7), 200)
    yield Scenario(
        "log-normal rates, 200 cells, 2 s; these cells",
        lambda rng: constant(rng, fixed, 2000),
        lambda: float(np.mean(1 - np.exp(-fixed * WINDOW_MS))),
    )
    area = log_normal_rates(np.random.default_rng(8), 2_000_000)
    for n in (50, 200):
        yield Scenario(
            f"log-normal rates, {n} cells, 2 s; cells of the area",
            lambda rng, n=n: constant(rng, log_normal_rates(rng, n), 2000),
            lambda: float(np.mean(1 - np.exp(-area * WINDOW_MS))),
            lambda stats: stats.interval_over_cells,
        )
    for tau, ms in ((20, 2000), (200, 2000), (1000, 2000), (200, 10_000), (500, 10_000),
                    (1000, 10_000), (500, 30_000), (1000, 60_000)):  # fmt: skip
        yield Scenario(
            f"common rate, {tau} ms in {ms / 1000:g} s, 100 cells",
            lambda rng, tau=tau, ms=ms: alike(rng, common_rate(rng, ms, tau), 100),
            lambda tau=tau: truth_of_common(tau),
        )
    yield Scenario(
        "bursts of 5 at 0.5 Hz, 200 cells, 2 s",
        bursts,
        # the windows that 10 ms meet: 5 spikes 5 ms apart
        lambda: 1 - (1 - BURSTS) ** len({t - 5 * k for k in range(5) for t in range(WINDOW_MS)}),
    )
    yield Scenario(
        "up and down states of 300 ms, 100 cells, 10 s",
        lambda rng: alike(rng, RATE * states(rng, 10_000), 100),
        truth_of_states,
    )
    yield Scenario(
        "60 trials of 1 s, a gain each, 100 cells",
        trials,
        lambda: float(
            np.mean(1 - np.exp(-RATE * WINDOW_MS * gains(np.random.default_rng(9), 10**6)))
        ),
    )
    yield from of_networks()


def of_networks() -> Iterator[Scenario]:
    """Yield scenarios of activations: the truth is the mean over inputs."""
    base = np.random.default_rng(1).normal(-1.9, 0.4, 100)

    def layer(drive: Floats) -> ActivityStats:
        return describe_activations(observe(np.maximum(drive, 0), ActiveWhen(threshold=0)))

    def inputs(n: int, of_input: Callable[[np.random.Generator], Floats], own: float) -> Draw:
        return lambda rng: layer(of_input(rng)[:, None] + own * rng.normal(size=(n, 100)) + base)

    def mean() -> float:
        return float(norm.cdf(base).mean())

    for n in (3, 10, 100, 1000):
        for rho in (0.0, 0.1, 0.5):
            yield Scenario(
                f"{n} inputs, correlation between units {rho:g}",
                inputs(
                    n, lambda rng, n=n, rho=rho: rho**0.5 * rng.normal(size=n), (1 - rho) ** 0.5
                ),
                mean,
            )
    for n in (100, 300, 1000):
        yield Scenario(
            f"{n} inputs, one in 100 drives all units",
            inputs(n, lambda rng, n=n: 6.0 * (rng.random(n) < 0.01), 1.0),
            lambda: float(0.99 * norm.cdf(base).mean() + 0.01 * norm.cdf(base + 6).mean()),
        )
    for n, alike in ((300, 0.5), (300, 0.8), (300, 0.95), (300, 0.99), (1000, 0.98), (5000, 0.95)):
        yield Scenario(
            f"{n} video frames, autocorrelation {alike:g}",
            inputs(n, lambda rng, n=n, a=alike: 0.7 * slow(rng, n, -1 / np.log(a)), 0.51**0.5),
            mean,
        )
    yield Scenario(
        "300 inputs with gamma-distributed gains",
        lambda rng: layer(rng.gamma(0.5, 2.0, (300, 1)) * (rng.normal(size=(300, 100)) + 1) - 3),
        lambda: float(norm.sf(3 / np.random.default_rng(3).gamma(0.5, 2.0, 4_000_000) - 1).mean()),
    )
    yield Scenario(
        "50 feature maps, 8 x 6 x 6, positions alike",
        lambda rng: layer(
            (
                0.5 * rng.normal(size=(50, 1, 1, 1))
                + 0.5 * rng.normal(size=(50, 8, 1, 1))
                + 0.5**0.5 * rng.normal(size=(50, 8, 6, 6))
                - 1.5
            ).transpose(0, 2, 3, 1)
        ),
        lambda: float(norm.sf(1.5)),
    )
    yield Scenario(
        "400 texts of 32 tokens, tokens alike",
        lambda rng: layer(
            0.7 * rng.normal(size=(400, 1, 1)) + 0.51**0.5 * rng.normal(size=(400, 32, 100)) + base
        ),
        mean,
    )
    for n in (3, 5):
        yield Scenario(
            f"{n} training seeds, 1000 inputs each",
            lambda rng, n=n: [
                layer(rng.normal(size=(1000, 100)) + rng.normal(-1.9, 0.4, 100)) for _ in range(n)
            ],
            lambda: float(norm.cdf(-1.9 / 1.16**0.5)),
            over_seeds,
        )


def row(scenario: Scenario, n: int) -> str:
    """Return a row of the table, from n records."""
    truth = scenario.truth()
    found = [scenario.of(scenario.draw(np.random.default_rng([123, k]))) for k in range(n)]
    known = [i for i in found if i is not None and i.is_known]
    hits = sum(i.low <= truth <= i.high for i in known)
    refused = n - len(known)
    of_known = f"{100 * hits / len(known):.1f}" if known else "-"
    width = f"{100 * np.mean([i.high - i.low for i in known]):.2f}" if known else "-"
    return (
        f"| {scenario.name} | {100 * truth:.2f} | {width} | {100 * refused / n:.1f} | {of_known} |"
        f" {100 * (hits + refused) / n:.1f} |"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=300, help="records of each scenario")
    parser.add_argument("--only", default="", help="a part of the names of scenarios")
    arguments = parser.parse_args()
    print("| scenario | truth % | width | refused % | held of the others % | held or refused % |")
    print("|---|---|---|---|---|---|")
    for scenario in scenarios():
        if arguments.only in scenario.name:
            print(row(scenario, arguments.records), flush=True)
