"""Brian2: spike monitors, and networks that hold them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence

import numpy as np

from neurosparse._internal.types import Foreign
from neurosparse.interop.adapters import merged
from neurosparse.recordings.columns import Told
from neurosparse.recordings.recording import Cells, UnitTable

TYPES = ("brian2.SpikeMonitor", "brian2.EventMonitor", "brian2.Network", "brian2.MagicNetwork")


def tables(what: Foreign, told: Told) -> Sequence[UnitTable]:
    """Return the units that a monitor watches, or those of all monitors of a network.

    The units of each spike monitor of a network are a population.

    The record is what their network has run, from 0 on; all units are in it, the silent ones
    included. Of a monitor whose network is gone, or of another run, that time is not known.
    """
    if hasattr(what, "objects"):
        monitors = [o for o in _objects(what) if type(o).__name__ == "SpikeMonitor"]
        if not monitors:
            raise ValueError(
                "this Brian2 network has no SpikeMonitor: add one before it runs, or pass the"
                " monitor itself"
            )
        monitors.sort(key=lambda monitor: str(monitor.name))
        names = _names(monitors)
        parts = [(n, _table(m, _network(m))) for n, m in zip(names, monitors, strict=True)]
        return [merged(parts if len(parts) > 1 else [("", parts[0][1])], "Brian2 Network")]
    return [_table(what, _network(what))]


def _objects(network: Foreign) -> Sequence[Foreign]:
    """Return what a network runs; the magic one forgets it after each run."""
    if network.objects:
        return list(network.objects)
    return [o for o in _alive("SpikeMonitor") if o._network == network.id]


def _network(monitor: Foreign) -> Foreign:
    """Return the network that ran a monitor last, or None where it is gone."""
    if getattr(monitor, "record", True) is False:
        raise ValueError(
            f"the Brian2 monitor {monitor.name!r} kept no spike times: make it with record=True"
        )
    if monitor._network is None:
        raise ValueError(f"the Brian2 monitor {monitor.name!r} has not run: run its network first")
    return next((n for n in _alive("Network") if n.id == monitor._network), None)


def _alive(kind: str) -> list[Foreign]:
    found = [ref() for ref in getattr(sys.modules["brian2"], kind).__instances__()]
    return [each for each in found if each is not None]


def _names(monitors: Sequence[Foreign]) -> list[str]:
    """Return the names of what the monitors watch, or their own where those repeat."""
    sources = Counter(str(monitor.source.name) for monitor in monitors)
    if max(sources.values()) > 1:
        return [str(monitor.name) for monitor in monitors]
    return [str(monitor.source.name) for monitor in monitors]


def _table(monitor: Foreign, network: Foreign) -> UnitTable:
    n_units = len(monitor.source)
    dt_s = float(np.asarray(monitor.clock.variables["dt"].get_value()).reshape(-1)[0])
    ran_s = 0.0 if network is None else float(network.t_)
    return UnitTable(
        format="Brian2 SpikeMonitor",
        n_units=n_units,
        times_s=np.array(monitor.t_[:], dtype=np.float64),
        units=np.array(monitor.i[:], dtype=np.int64),
        observed_s=np.tile([0.0, ran_s], (n_units, 1)) if ran_s > 0 else None,
        observed_units=np.arange(n_units) if ran_s > 0 else None,
        resolution_s=dt_s,
        all_units=True,
        cells=_cells(monitor.source),
    )


def _cells(source: Foreign) -> Cells:
    """Return the group that a source is, or is a part of, and the numbers of its cells in it."""
    group, first = source, 0
    if hasattr(source, "start") and hasattr(source, "source"):  # a subgroup
        group, first = source.source, int(source.start)
    owner = (f"the cells of group {group.name!r}", str(group.id))
    return ((owner, np.arange(first, first + len(source))),)
