"""Observations: spikes of a circuit, activations of a network, and "active" for each.

Everything here is frozen, needs NumPy alone and refuses what cannot be a measurement.
"""

from neurosparse._internal.grid import NANOSECOND_MS
from neurosparse.activity.activations import KEPT, Activations
from neurosparse.activity.active_when import ActiveWhen
from neurosparse.activity.curve import ActivityCurve
from neurosparse.activity.layers import LayerStats
from neurosparse.activity.plausibility import (
    Plausibility,
    notes_on,
    plausibility,
    refuse_implausible,
)
from neurosparse.activity.populations import WHOLE
from neurosparse.activity.spike_trains import SpikeTrains
from neurosparse.activity.stats import ActivityStats, Interval, Sparseness

__all__ = [
    "KEPT",
    "NANOSECOND_MS",
    "WHOLE",
    "Activations",
    "ActiveWhen",
    "ActivityCurve",
    "ActivityStats",
    "Interval",
    "LayerStats",
    "Plausibility",
    "Sparseness",
    "SpikeTrains",
    "notes_on",
    "plausibility",
    "refuse_implausible",
]
