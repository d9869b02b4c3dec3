"""SpikeInterface: sortings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal.types import Array, Fields, Foreign
from neurosparse.recordings.columns import Told
from neurosparse.recordings.recording import UnitTable

TYPES = ("spikeinterface.BaseSorting",)


def tables(what: Foreign, told: Told) -> Sequence[UnitTable]:
    """Return the units of a sorting; each of its segments is a trial.

    How long they were observed is known where a recording is registered.
    """
    n_units = len(what.unit_ids)
    if n_units == 0:
        raise ValueError("this sorting holds no units")
    columns: dict[str, Array] = {"id": np.asarray(what.unit_ids)}
    for name in what.get_property_keys():
        values = np.asarray(what.get_property(name))
        if values.shape == (n_units,):
            columns[str(name)] = values if values.dtype.kind in "biuf" else values.astype(str)
    found = []
    for segment, spikes in enumerate(what.to_spike_vector(concatenated=False)):
        samples = spikes["sample_index"]
        found.append(
            UnitTable(
                format="SpikeInterface sorting",
                n_units=n_units,
                times_s=_seconds(what, samples, segment),
                units=spikes["unit_index"].astype(np.int64),
                columns=columns,
                **_observed(what, segment, n_units),
                resolution_s=1 / float(what.sampling_frequency),
            )
        )
    return found


def _seconds(sorting: Foreign, samples: Array, segment: int) -> NDArray[np.float64]:
    return np.asarray(sorting.sample_index_to_time(samples, segment_index=segment), np.float64)


def _observed(sorting: Foreign, segment: int, n_units: int) -> Fields:
    if not sorting.has_recording():
        return {}
    n_samples = sorting.get_num_samples(segment_index=segment)
    first, last = _seconds(sorting, np.array([0, n_samples - 1]), segment)
    stop = last + 1 / float(sorting.sampling_frequency)
    return {
        "observed_s": np.tile([first, stop], (n_units, 1)),
        "observed_units": np.arange(n_units),
    }
