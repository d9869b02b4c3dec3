"""Cost of spikes: firing rates -> molecules of ATP."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosparse._internal import cards, checks
from neurosparse.activity import SpikeTrains
from neurosparse.energy.budget import Budget, Covers, named, resting_ATP_per_s

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EnergyUse(cards.Shown):
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

    def _card(self) -> cards.Card:
        return cards.Card(
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
            f"Energy by {self.budget.authors} ({self.budget.label}): {spikes},"
            f" {rest}. The mean rate is {afforded:.3g} times the budget's"
            f" {self.budget.mean_rate_hz:g} Hz."
        )


def ATP_per_s(rates_hz: ArrayLike, budget: str | Budget, *, covers: Covers = "all") -> Floats:
    """Return what neurons that fire at given rates cost, in ATP per second and neuron.

    Parameters
    ----------
    rates_hz : array of float >= 0, any shape
        Mean rates in Hz.
    budget
        "attwell2001", "lennie2003", "howarth2012", or a `Budget` of your own.
    covers
        "all" for rest and spikes, "spikes" for the spikes alone.

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
    budget = named(budget)
    return np.asarray(resting_ATP_per_s(budget, covers) + rates * budget.spike_ATP)


def energy_use(spikes: SpikeTrains, budget: str | Budget) -> EnergyUse:
    """Return what the spikes of a circuit cost, and what rest costs.

    Examples
    --------
    >>> spikes = SpikeTrains([1.0, 6.0], [0, 1], n_units=4, duration_ms=1000.0)
    >>> energy_use(spikes, "attwell2001").spiking_ATP_per_s   # two spikes in a second
    1420000000.0
    """
    budget = named(budget)
    per_s = len(spikes) / (spikes.observed_ms * 1e-3)
    resting = budget.resting_ATP_per_s
    return EnergyUse(
        budget=budget,
        n_units=spikes.n_units,
        mean_rate_hz=per_s / spikes.n_units,
        spiking_ATP_per_s=per_s * budget.spike_ATP,
        resting_ATP_per_s=None if resting is None else resting * spikes.n_units,
    )
