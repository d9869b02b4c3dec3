"""pynapple: groups of time series with the time that they support; and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from neurosparse._internal.imports import need
from neurosparse._internal.types import Array, Foreign
from neurosparse.recordings.columns import Told
from neurosparse.recordings.pynapple_npz import stated
from neurosparse.recordings.recording import UnitTable, names_of_units

if TYPE_CHECKING:
    from neurosparse.activity import SpikeTrains

TYPES = ("pynapple.TsGroup", "pynapple.Ts")


def tables(what: Foreign, told: Told) -> Sequence[UnitTable]:
    """Return the members of a group, or one series, observed where its `time_support` says."""
    if type(what).__name__ == "Ts":
        return [_table([np.asarray(what.t)], what.time_support, {}, "pynapple Ts")]
    ids = np.asarray(what.index)
    columns: dict[str, Array] = {"id": ids}
    for name in getattr(what, "metadata_columns", ()):
        values = np.asarray(what.get_info(name))
        if name != "rate" and values.ndim == 1:
            texts = values.dtype.kind in "biuf"
            columns[str(name)] = values if texts else values.astype(str)
    trains = [np.asarray(what[i].t) for i in ids.tolist()]
    return [_table(trains, what.time_support, columns, "pynapple TsGroup")]


def _table(
    trains: Sequence[Array], support: Foreign, columns: dict[str, Array], kind: str
) -> UnitTable:
    n_units = len(trains)
    if n_units == 0:
        raise ValueError(f"this {kind} holds no units")
    times_s = np.concatenate(trains).astype(np.float64)
    bounds = stated(np.asarray(support.values, dtype=np.float64), times_s)
    return UnitTable(
        format=kind,
        n_units=n_units,
        times_s=times_s,
        units=np.repeat(np.arange(n_units), [train.size for train in trains]),
        columns=columns,
        observed_s=np.tile(bounds, (n_units, 1)) if len(bounds) else None,
        observed_units=np.repeat(np.arange(n_units), len(bounds)) if len(bounds) else None,
        ends="[]",
    )


def to_pynapple(spikes: SpikeTrains) -> Foreign:
    """Return a pynapple TsGroup, in seconds, whose `time_support` is when the units were observed.

    Populations stand in its metadata. Intervals that touch are joined, for pynapple would cut a
    microsecond off the first.
    """
    nap = need("pynapple", "writing to pynapple", "interop")
    by_unit = np.argsort(spikes.units, kind="stable")
    times = ((spikes.times_ms + spikes.start_ms) * 1e-3)[by_unit]
    trains = np.split(times, np.cumsum(spikes.counts)[:-1])
    bounds = (spikes.intervals + spikes.start_ms) * 1e-3
    apart = bounds[1:, 0] > bounds[:-1, 1]
    support = nap.IntervalSet(
        bounds[np.concatenate([[True], apart]), 0], bounds[np.append(apart, True), 1]
    )
    population = names_of_units(spikes.populations, spikes.n_units)
    return nap.TsGroup(
        {unit: nap.Ts(train, time_support=support) for unit, train in enumerate(trains)},
        time_support=support,
        metadata={"population": population} if spikes.populations else None,
    )
