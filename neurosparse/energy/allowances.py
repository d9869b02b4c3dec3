"""Allowances of a supply of ATP: a mean rate, and the share of active neurons in two ways."""

from __future__ import annotations

from dataclasses import dataclass

from neurosparse._internal import cards, checks
from neurosparse.energy.active_share import active_in_window
from neurosparse.energy.budget import Budget, Covers, named, resting_ATP_per_s


@dataclass(frozen=True, slots=True)
class Allowance(cards.Shown):
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

    def _card(self) -> cards.Card:
        shown = {
            "ATP/s": self.ATP_per_s,
            "mean rate (Hz)": self.mean_rate_hz,
            f"active in {self.window_ms:g} ms, at most (%)": 100 * self.active_in_window,
            f"can fire at {self.rate_while_active_hz:g} Hz (%)": 100 * self.duty_fraction,
        }
        return cards.Card("What the energy allows", shown, [self.budget.caption])


def affordable_rate_hz(
    supply_ATP_per_s: float, budget: str | Budget, *, covers: Covers = "all"
) -> float:
    """Return the mean rate in Hz that a supply of ATP per second and neuron pays for.

    The inverse of `ATP_per_s`.

    Parameters
    ----------
    supply_ATP_per_s
        Molecules of ATP per second and neuron.
    budget
        "attwell2001", "lennie2003", "howarth2012", or a `Budget` of your own.
    covers
        "all" where the supply pays for rest too, "spikes" where it is what is left for spikes.

    Raises
    ------
    ValueError
        Where the supply does not even pay for rest.
    """
    supply = checks.positive("supply_ATP_per_s", supply_ATP_per_s)
    budget = named(budget)
    resting = resting_ATP_per_s(budget, covers)
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
        budget=named(budget),
        ATP_per_s=float(supply_ATP_per_s),
        covers=covers,
        mean_rate_hz=rate,
        window_ms=window_ms,
        active_in_window=active_in_window(rate, window_ms),
        rate_while_active_hz=rate_while_active_hz,
        duty_fraction=min(1.0, rate / rate_while_active_hz),
    )
