"""Regularity, log-normal rates and synchrony do not depend on how long the record is."""

from __future__ import annotations

import numpy as np
import pytest
from elephant import statistics

from neurosparse.activity import SpikeTrains
from neurosparse.sparsity import counted_rates, regularity, spike_counts, synchrony
from neurosparse.sparsity.log_normal import log_normal


def renewal(
    shape: float, rate_hz: float, seconds: float, n_units: int, seed: int = 0
) -> SpikeTrains:
    """Gamma processes in equilibrium: they begin long before the record does."""
    rng = np.random.default_rng(seed)
    before = 10 / rate_hz
    n = int((seconds + before) * rate_hz * 2 + 40)
    times = np.cumsum(rng.gamma(shape, 1 / (shape * rate_hz), (n_units, n)), axis=1)
    times -= before * rng.uniform(1, 2, (n_units, 1))
    inside = (times >= 0) & (times < seconds)
    return SpikeTrains(
        times[inside] * 1e3, np.nonzero(inside)[0], n_units=n_units, duration_ms=seconds * 1e3
    )


@pytest.mark.parametrize("seconds", [1, 2, 10, 60])
@pytest.mark.parametrize("rate_hz", [0.5, 3.0, 20.0])
def test_poisson_firing_has_a_cv_of_1_in_any_record(rate_hz: float, seconds: float) -> None:
    rng = np.random.default_rng(1)
    n_units = int(np.clip(60_000 / (rate_hz * seconds), 100, 5000))
    units = np.repeat(np.arange(n_units), rng.poisson(rate_hz * seconds, n_units))
    times = rng.uniform(0, seconds * 1e3, units.size)
    found = regularity(SpikeTrains(times, units, n_units=n_units, duration_ms=seconds * 1e3))
    assert found.cv_interval is not None
    assert found.cv is None or found.cv == pytest.approx(1, abs=0.03)
    # where few cells have two intervals it is refused
    assert (found.cv is None) == (rate_hz * seconds <= 1)
    assert found.share == found.n_cells / n_units
    if found.cv is not None:
        assert (found.cv2, found.lv) == (pytest.approx(1, abs=0.03), pytest.approx(1, abs=0.06))


@pytest.mark.parametrize("shape", [0.5, 4.0, 16.0])
@pytest.mark.parametrize("seconds", [1.0, 10.0])
def test_gamma_processes_have_their_cv_in_short_records(shape: float, seconds: float) -> None:
    found = regularity(renewal(shape, 8.0, seconds, n_units=int(8000 / seconds)))
    assert found.cv == pytest.approx(shape**-0.5, rel=0.03)


def test_its_interval_holds_the_truth_in_95_of_100_records() -> None:
    held = [
        i.low <= 0.5 <= i.high
        for seed in range(200)
        if (i := regularity(renewal(4.0, 8.0, 2.0, 50, seed)).cv_interval)
    ]
    assert 0.90 <= np.mean(held) <= 0.99


def test_local_measures_are_those_of_elephant() -> None:
    spikes = renewal(2.0, 10.0, 3.0, n_units=4)
    found = regularity(spikes)
    trains = [np.diff(np.sort(spikes.times_ms[spikes.units == u])) for u in range(4)]
    assert found.cv2 == pytest.approx(np.mean([statistics.cv2(x) for x in trains]), rel=1e-5)
    assert found.lv == pytest.approx(np.mean([statistics.lv(x) for x in trains]), rel=1e-5)


def test_trials_are_taken_one_by_one() -> None:
    rng = np.random.default_rng(2)
    trials = [(2000.0 * k, 2000.0 * k + 1000) for k in range(100)]
    times, units = rng.uniform(0, 1000, 60_000), rng.integers(0, 200, 60_000)
    times += 2000.0 * rng.integers(0, 100, times.size)
    spikes = SpikeTrains(times, units, n_units=200, duration_ms=200_000, intervals=trials)
    assert regularity(spikes).cv == pytest.approx(1, abs=0.02)


def bursting(seconds: float, n_units: int = 400) -> SpikeTrains:
    """Bursts of 4 spikes in 100 ms, once in 2 s by chance."""
    rng = np.random.default_rng(5)
    starts = np.sort(rng.uniform(0, seconds, (n_units, round(seconds / 2))), axis=1)
    times = (starts[:, :, None] + rng.uniform(0, 0.1, (*starts.shape, 4))).reshape(n_units, -1)
    inside = times < seconds
    return SpikeTrains(
        times[inside] * 1e3, np.nonzero(inside)[0], n_units=n_units, duration_ms=seconds * 1e3
    )


def test_a_cv_that_depends_on_the_length_of_the_record_is_refused_with_both_values() -> None:
    short = regularity(bursting(5.0))
    assert short.cv is None
    assert short.cv_interval is not None
    assert not short.cv_interval.is_known
    assert "in halves of the record: record longer" in short.cv_interval.method
    assert short.cv2 is not None
    assert regularity(bursting(200.0)).cv == pytest.approx(2.63, abs=0.03)
    assert regularity(bursting(400.0)).cv == pytest.approx(2.63, abs=0.03)
    trials = [(1e3 * k, 1e3 * k + 1e3) for k in range(200)]
    long = bursting(200.0)
    in_trials = SpikeTrains(
        long.times_ms, long.units, n_units=400, duration_ms=200_000, intervals=trials
    )
    assert regularity(in_trials).cv is None  # pieces of 1 s tell no more than a record of 1 s


def test_clocks_single_intervals_and_silence() -> None:
    clocks = SpikeTrains(np.arange(20) * 5.0, [0] * 20, n_units=2, duration_ms=100.0)
    assert regularity(clocks).cv == pytest.approx(0, abs=1e-6)
    assert (regularity(clocks).n_cells, regularity(clocks).share) == (1, 0.5)
    for times in ([], [1.0], [1.0, 5.0], [3.0, 3.0, 3.0]):
        found = regularity(SpikeTrains(times, [0] * len(times), n_units=1, duration_ms=9.0))
        assert (found.cv, found.cv2, found.lv, found.n_cells) == (None, None, None, 0)


# ---- Log-normal rates


@pytest.mark.parametrize("seconds", [2.0, 10.0, 100.0])
def test_true_log_normal_rates_are_rejected_as_often_as_said(seconds: float) -> None:
    rng = np.random.default_rng(int(seconds))
    wrong, spreads = 0, []
    for _ in range(150):
        rates = np.exp(rng.normal(np.log(2), 1, 500))
        fit = log_normal(rng.poisson(rates * seconds) / seconds)
        assert fit is not None
        assert fit.counted
        wrong += fit.differs
        spreads.append(fit.log_sd)
    assert 1 <= wrong <= 15  # 5 % of 150, 2.7 of sampling error
    assert np.mean(spreads) == pytest.approx(1, abs=0.03)


def test_other_rates_are_told_apart_by_their_counts() -> None:
    rng = np.random.default_rng(0)
    for rates in (rng.gamma(1.0, 3.0, 3000), rng.uniform(0, 8, 3000), np.full(3000, 3.0)):
        fit = log_normal(rng.poisson(rates * 5) / 5, duration_s=5.0)
        assert fit is not None
        assert fit.differs == (rates.std() > 0)  # rates of one size are log-normal, of no spread
    few = log_normal([1.0, 2.0, 3.0, 4.0, 5.0])
    assert few is not None
    assert not few.can_be_told
    assert not few.differs


def test_the_distribution_of_counts_is_the_mixture() -> None:
    from scipy.stats import poisson

    z = np.linspace(-8, 8, 4001)
    share = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    counts = np.array([0.0, 1.0, 7.0, 40.0])
    expected = [float(share @ poisson.cdf(n, np.exp(1.0 + 0.8 * z))) for n in counts]
    assert counted_rates.cumulative(counts, 1.0, 0.8) == pytest.approx(expected, abs=1e-5)


def test_counts_are_known_by_their_quantum() -> None:
    counts = np.array([0, 4, 6, 9, 100, 20_000.0])
    for seconds in (0.3, 7.0, 1234.5):
        assert counted_rates.quantum_of(counts / seconds) == pytest.approx(1 / seconds)
    assert counted_rates.quantum_of(np.random.default_rng(0).uniform(size=50)) is None
    assert counted_rates.quantum_of(np.zeros(3)) is None


# ---- Synchrony


def clocks(period_ms: float, n_units: int = 50) -> SpikeTrains:
    ticks = np.arange(0, 600.0, period_ms)
    return SpikeTrains(
        np.repeat(ticks, n_units), np.tile(np.arange(n_units), ticks.size),
        n_units=n_units, duration_ms=600.0, dt_ms=0.1,
    )  # fmt: skip


@pytest.mark.parametrize(("period_ms", "bin_ms"), [(3.0, 3.0), (1.5, 3.0), (1.0, 3.0), (2.0, 4.0)])
def test_bins_into_which_a_rhythm_fits_are_refused(period_ms: float, bin_ms: float) -> None:
    with pytest.raises(ValueError, match=r"a common rhythm fits into bins .* take bins of"):
        synchrony(clocks(period_ms), bin_ms)
    assert synchrony(clocks(period_ms), 0.6 * period_ms) > 10


def test_independent_clocks_are_no_rhythm() -> None:
    rng = np.random.default_rng(0)
    times = (np.arange(0, 600, 3.0) + rng.uniform(0, 2.9, (300, 1))).round(1)
    units = np.repeat(np.arange(300), times.shape[1])
    spikes = SpikeTrains(times.ravel(), units, n_units=300, duration_ms=600.0, dt_ms=0.1)
    assert synchrony(spikes, 3.0) < 1


def test_the_value_of_fewer_cells_is_the_mean_over_choices_of_them() -> None:
    rng = np.random.default_rng(3)
    rate = 0.05 * rng.gamma(2.0, 0.5, (400, 1))
    ticks, units = np.nonzero(rng.random((400, 60)) < rate)
    spikes = SpikeTrains(ticks * 1.0, units, n_units=60, duration_ms=400.0, dt_ms=1.0)
    counts = spike_counts(spikes, 3.0)
    chosen = [counts[:, rng.permutation(60)[:10]].sum(axis=1) for _ in range(3000)]
    expected = np.mean([c.var(ddof=1) for c in chosen]) / np.mean([c.mean() for c in chosen])
    assert synchrony(spikes, 3.0, n_cells=10) == pytest.approx(expected, rel=0.02)
    assert synchrony(spikes, 3.0, n_cells=60) == pytest.approx(synchrony(spikes, 3.0))
    with pytest.raises(ValueError, match="n_cells must be at most n_units=60, got 61"):
        synchrony(spikes, 3.0, n_cells=61)
