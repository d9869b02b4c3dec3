"""SpikeInterface: sortings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal.types import Array, Fields, Foreign
from neurosparse.recordings.columns import Told
from neurosparse.recordings.recording import UnitTable

TYPES = ("spikeinterface.BaseSorting",)
_GAP = 1.5  # samples, from which on the next one is not the next


def tables(what: Foreign, told: Told) -> Sequence[UnitTable]:
    """Return the units of a sorting; each of its segments is a trial.

    How long they were observed is known where a recording is registered; a gap in its times ends
    an interval.
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
    step = 1 / float(sorting.sampling_frequency)
    if sorting.has_time_vector(segment_index=segment):
        times = np.asarray(sorting.get_times(segment_index=segment), np.float64)
        gaps = np.flatnonzero(np.diff(times) > _GAP * step)
        starts = times[np.concatenate([[0], gaps + 1])]
        stops = times[np.append(gaps, times.size - 1)] + step
    else:
        n_samples = sorting.get_num_samples(segment_index=segment)
        starts, last = np.split(_seconds(sorting, np.array([0, n_samples - 1]), segment), 2)
        stops = last + step
    return {
        "observed_s": np.tile(np.column_stack([starts, stops]), (n_units, 1)),
        "observed_units": np.repeat(np.arange(n_units), starts.size),
    }
