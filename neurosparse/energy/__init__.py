"""Cost of spikes, and how many a budget allows: firing rates <-> molecules of ATP.

Three budgets come with the package. Each is a line over the firing rate of a neuron: what rest
costs, and what each spike adds. Attwell & Laughlin 2001 count a rodent's neuron from the bottom up,
Howarth et al. 2012 do so with cheaper action potentials; Lennie 2003 counts human cortex from its
supply down. They differ by a factor of five in what a spike costs and are never averaged. Figures
and trust: `reference/energy.toml`.

**What follows for the share of active neurons, and what does not.** A budget affords a mean rate. A
share of active neurons takes one more number, which neither budget states, and it has two readings.
One is the *duty fraction*, mean rate over the rate of a neuron while it is active. The other is the
fraction that fires *in a window*, 1 - exp(-r w) for Poisson firing. So 1-4 % does not follow from
Lennie's figures alone. A rate of 0.16 Hz is 1-4 % if active neurons fire at 16 to 4 Hz, or if the
window is 63 to 255 ms. "Fewer than 1 %" takes active neurons above 16 Hz. Attwell & Laughlin's "at
most 15 %" is about bits per ATP and does not follow from these figures at all.
"""

from neurosparse.energy.active_share import (
    active_in_window,
    duty_fraction,
    rate_while_active_hz,
    window_ms_for,
)
from neurosparse.energy.allowances import Allowance, affordable_rate_hz, allowance
from neurosparse.energy.budget import Budget, Covers, budgets, figures
from neurosparse.energy.costs import ATP_per_s, EnergyUse, energy_use

__all__ = [
    "ATP_per_s",
    "Allowance",
    "Budget",
    "Covers",
    "EnergyUse",
    "active_in_window",
    "affordable_rate_hz",
    "allowance",
    "budgets",
    "duty_fraction",
    "energy_use",
    "figures",
    "rate_while_active_hz",
    "window_ms_for",
]
