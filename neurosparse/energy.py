"""Cost of spikes, and how many a budget allows: firing rates <-> molecules of ATP.

Three budgets come with the package. Each is a line over the firing rate of a neuron: what rest
costs, and what each spike adds. Attwell & Laughlin 2001 count a rodent's neuron from the bottom up,
Howarth et al. 2012 do so with cheaper action potentials; Lennie 2003 counts human cortex from its
supply down. They differ by a factor of five in what a spike costs and are never averaged. Figures
and trust: `reference/energy.toml`.

**What follows for the share of active neurons, and what does not.** A budget affords a mean rate. A
share of active neurons takes one more number, which neither budget states, and it has two readings:
the *duty fraction*, mean rate over the rate of a neuron while it is active; and the fraction that
fires *in a window*, 1 - exp(-r w) for Poisson firing. So 1-4 % does not follow from Lennie's
figures alone: 0.16 Hz is 1-4 % if active neurons fire at 16 to 4 Hz, or if the window is 63 to 255
ms. "Fewer than 1 %" takes active neurons above 16 Hz. Attwell & Laughlin's "at most 15 %" is about
bits per ATP and does not follow from these figures at all.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosparse._internal import cards, checks
from neurosparse._internal.types import Fields, FieldsView
from neurosparse.activity import SpikeTrains

_DATA = Path(__file__).with_name("reference") / "energy.toml"

Covers = Literal["all", "spikes"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Budget:
    """Cost of a neuron at rest and per spike.

    Parameters
    ----------
    spike_ATP
        Molecules of ATP per neuron and spike, with the synapses that it drives.
    resting_ATP_per_s
        Molecules of ATP per neuron and second without spikes, glia included; None where the
        source's figure is not at hand.
    mean_rate_hz
        The mean rate that goes with the budget: assumed by Attwell & Laughlin, afforded according
        to Lennie.
    caption
        What the budget counts and how.
    trust
        figure -> A, B or C; C is unverified.
    """

    key: str
    label: str
    source: str
    caption: str
    spike_ATP: float
    resting_ATP_per_s: float | None
    mean_rate_hz: float
    trust: Mapping[str, str]

    def __post_init__(self) -> None:
        check = {"spike_ATP": checks.positive, "mean_rate_hz": checks.positive}
        if self.resting_ATP_per_s is not None:
            check["resting_ATP_per_s"] = checks.not_negative
        for name, checked in check.items():
            object.__setattr__(self, name, checked(name, getattr(self, name)))


@dataclass(frozen=True, slots=True)
class EnergyUse:
    """The cost of spikes for a whole circuit; `per_neuron` is a neuron's share.

    Made by `energy_use`.

    Attributes
    ----------
    spiking_ATP_per_s
        What the spikes cost, all neurons together.
    resting_ATP_per_s
        What rest costs, all neurons together; None where the budget does not say.
    """

    budget: Budget
    n_units: int
    mean_rate_hz: float
    spiking_ATP_per_s: float
    resting_ATP_per_s: float | None

    @property
    def total_ATP_per_s(self) -> float | None:
        """The cost of spikes and rest.

        None where the budget does not say what rest costs, never the spikes alone.
        """
        return (
            None
            if self.resting_ATP_per_s is None
            else self.spiking_ATP_per_s + self.resting_ATP_per_s
        )

    @property
    def spiking_share(self) -> float | None:
        """The share of the total that the spikes take."""
        return None if (total := self.total_ATP_per_s) is None else self.spiking_ATP_per_s / total

    def per_neuron(self, ATP_per_s: float) -> float:
        """Return a circuit's cost as that of one of its neurons."""
        return ATP_per_s / self.n_units

    def _repr_html_(self) -> str:
        return cards.card(
            "Energy",
            {"ATP/s, spikes": self.spiking_ATP_per_s, "ATP/s, rest": self.resting_ATP_per_s},
            [self.sentence()],
        )

    def sentence(self) -> str:
        """Return the cost in words, with the budget that it is by."""
        spikes = f"spikes cost {self.per_neuron(self.spiking_ATP_per_s):.3g} ATP/s a neuron"
        if self.resting_ATP_per_s is None:
            rest = "what rest costs is not stated"
        else:
            rest = (
                f"rest {self.per_neuron(self.resting_ATP_per_s):.3g}; spikes take"
                f" {100 * (self.spiking_share or 0):.0f} %"
            )
        afforded = self.mean_rate_hz / self.budget.mean_rate_hz
        return (
            f"Energy by {self.budget.source.partition(',')[0]} ({self.budget.label}): {spikes},"
            f" {rest}. The mean rate is {afforded:.3g} times the budget's"
            f" {self.budget.mean_rate_hz:g} Hz."
        )


@dataclass(frozen=True, slots=True)
class Allowance:
    """The mean rate that a supply of ATP allows, and the share of active neurons in both readings.

    Made by `allowance`.

    Attributes
    ----------
    mean_rate_hz
        The mean rate that the supply pays for.
    active_in_window
        1 - exp(-r w): the share of neurons with a spike in `window_ms`, if all fire as Poisson
        processes of that rate. Where rates differ between neurons, as they do, it is less: this is
        its upper bound.
    duty_fraction
        Lennie's reading: the share of neurons that can fire at `rate_while_active_hz` while the
        others are silent.
    """

    budget: Budget
    ATP_per_s: float
    covers: Covers
    mean_rate_hz: float
    window_ms: float
    active_in_window: float
    rate_while_active_hz: float
    duty_fraction: float

    def _repr_html_(self) -> str:
        shown = {
            "ATP/s": self.ATP_per_s,
            "mean rate (Hz)": self.mean_rate_hz,
            f"active in {self.window_ms:g} ms, at most (%)": 100 * self.active_in_window,
            f"can fire at {self.rate_while_active_hz:g} Hz (%)": 100 * self.duty_fraction,
        }
        return cards.card("What the energy allows", shown, [self.budget.caption])


# ---- Budgets
# --------------------------------------------------------------------------------------------------


@cache
def figures() -> dict[str, Fields]:
    """Return the figures of the budgets as the sources have them.

    Budget -> figure -> value, trust and note.
    """
    return {
        entry["key"]: entry for entry in tomllib.loads(_DATA.read_text(encoding="utf-8"))["budget"]
    }


@cache
def budgets() -> dict[str, Budget]:
    """Return the budgets that come with the package by key: attwell2001, lennie2003, howarth2012.

    Levy & Calvert 2021 is among the `figures` alone: what was read of it states no cost of a spike.
    """
    return {key: _budget(entry) for key, entry in figures().items() if "spike_ATP" in entry}


def _budget(entry: FieldsView) -> Budget:
    named = {name: figure for name, figure in entry.items() if isinstance(figure, dict)}
    resting = [
        named[name]["value"]
        for name in ("resting_neuron_ATP_per_s", "resting_glia_ATP_per_s")
        if name in named
    ]
    return Budget(
        key=entry["key"],
        label=entry["label"],
        source=entry["source"],
        caption=entry["caption"],
        spike_ATP=named["spike_ATP"]["value"],
        resting_ATP_per_s=sum(resting) if resting else None,
        mean_rate_hz=named["mean_rate_hz"]["value"],
        trust={name: figure["trust"] for name, figure in named.items()},
    )


def _named(budget: str | Budget) -> Budget:
    if isinstance(budget, Budget):
        return budget
    if budget not in budgets():
        if budget in figures():
            with_cost = ", ".join(budgets())
            raise ValueError(f"budget {budget!r} states no cost of a spike; these do: {with_cost}")
        raise ValueError(f"unknown budget {budget!r}; there are: {', '.join(budgets())}")
    return budgets()[budget]


# ---- From rates to ATP
# --------------------------------------------------------------------------------------------------


def ATP_per_s(rates_hz: ArrayLike, budget: str | Budget, *, covers: Covers = "all") -> Floats:
    """Return what neurons that fire at given rates cost, in ATP per second and neuron.

    Parameters
    ----------
    rates_hz : array of float >= 0, any shape
    budget
        "attwell2001", "lennie2003", "howarth2012", or a `Budget` of your own.
    covers
        "all" for rest and spikes, "spikes" for the spikes alone.
    rates_hz
        Mean rates in Hz, an array of any shape, >= 0.

    Raises
    ------
    ValueError
        On negative or non-finite rates, or where the budget does not say what rest costs and
        `covers` is "all".

    Examples
    --------
    >>> f"{ATP_per_s(4.0, 'attwell2001'):.2e}"
    '3.28e+09'
    """
    rates = checks.finite_array("rates_hz", rates_hz)
    if (rates < 0).any():
        raise ValueError(f"rates_hz must be >= 0, got {rates.min():g}")
    budget = _named(budget)
    return np.asarray(_resting(budget, covers) + rates * budget.spike_ATP)


def energy_use(spikes: SpikeTrains, budget: str | Budget) -> EnergyUse:
    """Return what the spikes of a circuit cost, and what rest costs.

    Examples
    --------
    >>> spikes = SpikeTrains([1.0, 6.0], [0, 1], n_units=4, duration_ms=1000.0)
    >>> energy_use(spikes, "attwell2001").spiking_ATP_per_s   # two spikes in a second
    1420000000.0
    """
    budget = _named(budget)
    per_s = len(spikes) / (spikes.observed_ms * 1e-3)
    resting = budget.resting_ATP_per_s
    return EnergyUse(
        budget=budget,
        n_units=spikes.n_units,
        mean_rate_hz=per_s / spikes.n_units,
        spiking_ATP_per_s=per_s * budget.spike_ATP,
        resting_ATP_per_s=None if resting is None else resting * spikes.n_units,
    )


def _resting(budget: Budget, covers: Covers) -> float:
    if covers not in ("all", "spikes"):
        raise ValueError(f"covers must be 'all' or 'spikes', got {covers!r}")
    if covers == "spikes":
        return 0.0
    if budget.resting_ATP_per_s is None:
        raise ValueError(
            f"budget {budget.key!r} does not say what rest costs: pass covers='spikes' for the"
            " spikes alone"
        )
    return budget.resting_ATP_per_s


# ---- From ATP to rates and fractions
# --------------------------------------------------------------------------------------------------


def affordable_rate_hz(
    supply_ATP_per_s: float, budget: str | Budget, *, covers: Covers = "all"
) -> float:
    """Return the mean rate in Hz that a supply of ATP per second and neuron pays for.

    The inverse of `ATP_per_s`.

    Parameters
    ----------
    covers
        "all" where the supply pays for rest too, "spikes" where it is what is left for spikes.
    supply_ATP_per_s
        Molecules of ATP per second and neuron.
    budget
        "attwell2001", "lennie2003", "howarth2012", or a `Budget` of your own.

    Raises
    ------
    ValueError
        Where the supply does not even pay for rest.
    """
    supply = checks.positive("supply_ATP_per_s", supply_ATP_per_s)
    budget = _named(budget)
    resting = _resting(budget, covers)
    if supply < resting:
        raise ValueError(
            f"a supply of {supply:g} ATP/s does not pay for rest, {resting:g} by {budget.key!r}"
        )
    return (supply - resting) / budget.spike_ATP


def allowance(
    supply_ATP_per_s: float,
    budget: str | Budget,
    *,
    window_ms: float,
    rate_while_active_hz: float,
    covers: Covers = "all",
) -> Allowance:
    """Return the mean rate and the share of active neurons that a supply of ATP allows.

    The supply is per second and neuron; the share comes in both readings.

    Both `window_ms` and `rate_while_active_hz` are assumptions that the caller makes: no budget
    states them.

    Examples
    --------
    >>> a = allowance(3.29e9, "attwell2001", window_ms=10, rate_while_active_hz=50)
    >>> round(a.mean_rate_hz, 1), round(a.active_in_window, 3), round(a.duty_fraction, 2)
    (4.0, 0.039, 0.08)
    """
    rate = affordable_rate_hz(supply_ATP_per_s, budget, covers=covers)
    window_ms = checks.positive("window_ms", window_ms)
    rate_while_active_hz = checks.positive("rate_while_active_hz", rate_while_active_hz)
    return Allowance(
        budget=_named(budget),
        ATP_per_s=float(supply_ATP_per_s),
        covers=covers,
        mean_rate_hz=rate,
        window_ms=window_ms,
        active_in_window=active_in_window(rate, window_ms),
        rate_while_active_hz=rate_while_active_hz,
        duty_fraction=min(1.0, rate / rate_while_active_hz),
    )


def duty_fraction(mean_rate_hz: float, rate_while_active_hz: float) -> float:
    """Return the share of neurons that are "active at once" in Lennie's reading.

    It is the mean rate over the rate of a neuron while it is active.

    Raises
    ------
    ValueError
        Where the mean rate is above the rate while active: more than all neurons would be active.
    """
    mean, active = (
        checks.not_negative("mean_rate_hz", mean_rate_hz),
        checks.positive("rate_while_active_hz", rate_while_active_hz),
    )
    if mean > active:
        raise ValueError(
            f"mean_rate_hz={mean:g} is above rate_while_active_hz={active:g}: no share of the"
            " neurons gives it"
        )
    return mean / active


def rate_while_active_hz(mean_rate_hz: float, fraction: float) -> float:
    """Return the rate while active at which a duty fraction uses up a mean rate.

    The inverse of `duty_fraction`.
    """
    return checks.not_negative("mean_rate_hz", mean_rate_hz) / _fraction(fraction)


def active_in_window(rate_hz: float, window_ms: float) -> float:
    """Return the share of neurons with at least one spike in a window, 1 - exp(-r w).

    For Poisson firing at one rate.

    1 - exp(-r w) is concave in r, so at the same mean rate neurons of differing rates give less.
    """
    return float(
        -np.expm1(
            -checks.not_negative("rate_hz", rate_hz)
            * checks.positive("window_ms", window_ms)
            * 1e-3
        )
    )


def window_ms_for(rate_hz: float, fraction: float) -> float:
    """Return the window in ms in which a share of Poisson neurons fires.

    The inverse of `active_in_window`.
    """
    fraction = _fraction(fraction)
    if fraction == 1:
        raise ValueError("no window is long enough for all neurons to have fired, got fraction=1")
    return float(-np.log1p(-fraction) / checks.positive("rate_hz", rate_hz) * 1e3)


def _fraction(fraction: float) -> float:
    fraction = checks.number("fraction", fraction)
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must lie in (0, 1], got {fraction}")
    return fraction
