"""NEST: spike recorders, and their events.

NEST says of a spike in the step (t - dt, t] that it is at t, so that a record of T holds spikes in
(0, T]. Spikes are moved to the start of their step, as the other simulators say it. A recorder says
how long a step is; its `events` do not, and stay as they are unless `dt_ms` is given. Its ids count
from 1 over all nodes; units are counted from 0 in the order of their ids.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import checks
from neurosparse._internal.types import FieldsView, Foreign
from neurosparse.interop.adapters import merged
from neurosparse.recordings.columns import Told, indexed, seconds
from neurosparse.recordings.recording import Cells, UnitTable

TYPES = ("nest.NodeCollection",)


def tables(what: Foreign, told: Told) -> Sequence[UnitTable]:
    """Return the nodes connected to spike recorders, the silent ones included.

    Of several recorders each has a population.
    """
    parts = [(f"recorder {node.global_id}" if len(what) > 1 else "", _table(node)) for node in what]
    return [merged(parts, "NEST spike_recorder")]


def _table(recorder: Foreign) -> UnitTable:
    nest = sys.modules["nest"]
    status = recorder.get()
    if status.get("model") != "spike_recorder":
        raise ValueError(
            f"NEST node {recorder.global_id} is a {status.get('model')}: pass a spike_recorder"
        )
    if status.get("time_in_steps") or "times" not in status.get("events", {}):
        raise ValueError(
            f"NEST recorder {recorder.global_id} holds no times in ms: record to memory with"
            " time_in_steps False, or measure the files that it wrote"
        )
    sources = nest.GetConnections(target=recorder).sources()
    ids = np.unique(np.fromiter(sources, dtype=np.int64))
    if ids.size == 0:
        raise ValueError(f"no node is connected to NEST recorder {recorder.global_id}")
    kernel = nest.GetKernelStatus()
    start = status["origin"] + status["start"]
    stop = min(status["origin"] + status["stop"], float(kernel["biological_time"]))
    ran = stop > start
    return UnitTable(
        format="NEST spike_recorder",
        n_units=ids.size,
        times_s=np.asarray(status["events"]["times"], dtype=np.float64) * 1e-3,
        units=np.searchsorted(ids, np.asarray(status["events"]["senders"], dtype=np.int64)),
        columns={"id": ids},
        observed_s=np.tile([start * 1e-3, stop * 1e-3], (ids.size, 1)) if ran else None,
        observed_units=np.arange(ids.size) if ran else None,
        resolution_s=float(kernel["resolution"]) * 1e-3,
        all_units=True,
        ends="(]",
        cells=_cells(ids),
    )


def of_events(events: FieldsView, told: Told) -> UnitTable:
    """Return the units of the `events` of a recorder: senders, and times in ms unless it is told.

    Only senders that fired are known, unless `n_units` is told.
    """
    if "offsets" in events:
        raise ValueError(
            "its times are steps and offsets: record with time_in_steps False, so that they are ms"
        )
    if others := sorted(map(str, set(events) - {"senders", "times"})):
        raise ValueError(
            f"its {others[0]} is that of a multimeter or a weight recorder: record spikes with a"
            " spike_recorder"
        )
    times = checks.finite_array("times", events["times"])
    senders = checks.finite_array("senders", events["senders"], dtype=np.int64)
    if times.shape != senders.shape:
        raise ValueError(
            f"times and senders must be of one length, got {times.size:,} and {senders.size:,}"
        )
    in_ms = replace(told, time_unit=told.time_unit or "ms")
    units, ids, n_units = indexed(senders, told.n_units, first=1)
    return UnitTable(
        format="NEST events",
        n_units=n_units,
        times_s=seconds(times, None, in_ms, "times"),
        units=units,
        columns={"id": ids},
        all_units=told.n_units is not None,
        ends="(]",
        cells=_cells(ids[ids > 0]),
    )


def _cells(ids: NDArray[np.int64]) -> Cells:
    return ((("NEST's nodes", ""), ids),)
