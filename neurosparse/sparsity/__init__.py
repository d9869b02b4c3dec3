"""Measures of sparsity: pure functions over activity, a module a measure.

`describe_spikes` and `describe_activations` give all of them at once.
"""

from neurosparse.sparsity.activations import (
    MOST_MAGNITUDE,
    describe_activations,
    few_positions,
    from_margins,
    observe,
    units_axis,
)
from neurosparse.sparsity.confidence import CONFIDENCE, over_seeds
from neurosparse.sparsity.correlation import count_correlation, synchrony
from neurosparse.sparsity.dimension import effective_dimension
from neurosparse.sparsity.firing import MIN_INTERVALS, firing_rates_hz, isi_cv, spike_counts
from neurosparse.sparsity.missed import with_missed
from neurosparse.sparsity.regularity import Regularity, regularity
from neurosparse.sparsity.sparseness import Floats, gini, hoyer, treves_rolls, vinje_gallant
from neurosparse.sparsity.spikes import describe_spikes, describe_windows
from neurosparse.sparsity.windows import (
    N_BATCHES,
    active_fraction,
    activity_curve,
    windows_over_time,
)

__all__ = [
    "CONFIDENCE",
    "MIN_INTERVALS",
    "MOST_MAGNITUDE",
    "N_BATCHES",
    "Floats",
    "Regularity",
    "active_fraction",
    "activity_curve",
    "count_correlation",
    "describe_activations",
    "describe_spikes",
    "describe_windows",
    "effective_dimension",
    "few_positions",
    "firing_rates_hz",
    "from_margins",
    "gini",
    "hoyer",
    "isi_cv",
    "observe",
    "over_seeds",
    "regularity",
    "spike_counts",
    "synchrony",
    "treves_rolls",
    "units_axis",
    "vinje_gallant",
    "windows_over_time",
    "with_missed",
]
