"""Neo: spike trains, segments and blocks; and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from neurosparse._internal.imports import need
from neurosparse._internal.types import Foreign
from neurosparse.recordings.columns import Told
from neurosparse.recordings.neo_files import alike, of_trains
from neurosparse.recordings.recording import UnitTable, names_of_units

if TYPE_CHECKING:
    from neurosparse.activity import SpikeTrains

TYPES = (
    "neo.SpikeTrain", "neo.SpikeTrainList", "neo.Segment", "neo.Block", "neo.SpikeTrainProxy",
    "neo.ObjectList",
)  # fmt: skip


def tables(what: Foreign, told: Told) -> Sequence[UnitTable]:
    """Return the trains of an object: a segment is a trial, and of a block each segment is one."""
    if type(what).__name__ in ("SpikeTrainList", "ObjectList"):
        return many(list(what), told)
    return many([what], told)


def many(what: Sequence[Foreign], told: Told) -> Sequence[UnitTable]:
    """Return the trains of a list: spike trains are units, segments and their lists are trials.

    Spike trains of several segments, as in the list of all trains of a block, are trials as well.
    """
    kinds = {type(item).__name__ for item in what}
    if kinds <= {"SpikeTrain", "SpikeTrainProxy"}:
        by_segment: dict[int, list[Foreign]] = {}
        for train in what:
            by_segment.setdefault(id(train.segment), []).append(train)
        if len(by_segment) > 1 and len(by_segment) < len(what):
            return [of_trains("Neo SpikeTrain", each) for each in alike([*by_segment.values()])]
        return [of_trains("Neo SpikeTrain", what)]
    if not kinds <= {"Segment", "Block", "SpikeTrainList"}:
        raise TypeError(f"a list holds Neo objects of unlike kinds: {', '.join(sorted(kinds))}")
    segments = [s for item in what for s in getattr(item, "segments", [item])]
    kind = f"Neo {' and '.join(sorted(kinds))}"
    trains = [list(getattr(segment, "spiketrains", segment)) for segment in segments]
    found = [of_trains(kind, each) for each in alike(list(filter(None, trains)))]
    if not found:
        raise ValueError(f"this Neo {kinds.pop()} holds no spike trains")
    return found


def to_neo(spikes: SpikeTrains) -> Foreign:
    """Return a Neo block: a segment for each interval of observation, a train for each unit.

    Units and populations stand in the trains' annotations.
    """
    neo = need("neo", "writing to Neo")
    pq = need("quantities", "writing to Neo")
    block = neo.Block(name="neurosparse")
    population = names_of_units(spikes.populations, spikes.n_units).tolist()
    by_unit = np.argsort(spikes.units, kind="stable")
    times = (spikes.times_ms + spikes.start_ms)[by_unit]
    ends = np.cumsum(spikes.counts)
    trains = np.split(times, ends[:-1])
    for low, high in spikes.intervals + spikes.start_ms:
        segment = neo.Segment()
        for unit, train in enumerate(trains):
            inside = train[slice(*np.searchsorted(train, [low, high]))]
            named = {"population": population[unit]} if spikes.populations else {}
            segment.spiketrains.append(
                neo.SpikeTrain(inside * pq.ms, t_start=low * pq.ms, t_stop=high * pq.ms,
                               unit=unit, **named)
            )  # fmt: skip
        block.segments.append(segment)
    return block
