"""Brian2: spike monitors, and networks that hold them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from neurosparse._internal.types import Foreign
from neurosparse.interop.adapters import merged
from neurosparse.recordings.columns import Told
from neurosparse.recordings.recording import UnitTable

TYPES = ("brian2.SpikeMonitor", "brian2.EventMonitor", "brian2.Network", "brian2.MagicNetwork")


def tables(what: object, told: Told) -> Sequence[UnitTable]:
    """Return the units that a monitor watches, or those of all monitors of a network.

    The units of each spike monitor of a network are a population.

    The record is what the clock has run, from 0 on; all units are in it, the silent ones included.
    """
    if hasattr(what, "objects"):
        monitors = [o for o in what.objects if type(o).__name__ == "SpikeMonitor"]
        if not monitors:
            raise ValueError("this Brian2 network has no SpikeMonitor: add one before it runs")
        monitors.sort(key=lambda monitor: str(monitor.name))
        names = _names(monitors)
        parts = [(name, _table(m)) for name, m in zip(names, monitors, strict=True)]
        return [merged(parts if len(parts) > 1 else [("", parts[0][1])], "Brian2 Network")]
    return [_table(what)]


def _names(monitors: Sequence[Foreign]) -> list[str]:
    """Return the names of what the monitors watch, or their own where those repeat."""
    sources = Counter(str(monitor.source.name) for monitor in monitors)
    if max(sources.values()) > 1:
        return [str(monitor.name) for monitor in monitors]
    return [str(monitor.source.name) for monitor in monitors]


def _table(monitor: Foreign) -> UnitTable:
    if getattr(monitor, "record", True) is False:
        raise ValueError(
            f"the Brian2 monitor {monitor.name!r} kept no spike times: make it with record=True"
        )
    n_units, dt_s, ran_s = len(monitor.source), _clock(monitor, "dt"), _clock(monitor, "t")
    return UnitTable(
        format="Brian2 SpikeMonitor",
        n_units=n_units,
        times_s=np.array(monitor.t_[:], dtype=np.float64),
        units=np.array(monitor.i[:], dtype=np.int64),
        observed_s=np.tile([0.0, ran_s], (n_units, 1)) if ran_s > 0 else None,
        observed_units=np.arange(n_units) if ran_s > 0 else None,
        resolution_s=dt_s,
        all_units=True,
    )


def _clock(monitor: Foreign, name: str) -> float:
    return float(np.asarray(monitor.clock.variables[name].get_value()).reshape(-1)[0])
