"""pandas, polars and Arrow: a table with a row a spike, or a row a unit; and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosparse._internal.imports import need
from neurosparse._internal.types import Array, FieldsView
from neurosparse.recordings import columns as by_name
from neurosparse.recordings import tabular
from neurosparse.recordings.columns import Told
from neurosparse.recordings.recording import UnitTable, names_of_units

if TYPE_CHECKING:
    from neurosparse.activity import SpikeTrains

PLAIN = True  # times carry no unit: the user may say which
_ATTRS = "neurosparse"
TYPES = ("pandas.DataFrame", "polars.DataFrame", "pyarrow.Table", "pyarrow.RecordBatch")


def tables(what: Any, told: Told) -> Sequence[UnitTable]:
    """Return the units of a frame by the names of its columns; see `tabular.of_columns`."""
    package = type(what).__module__.partition(".")[0]
    labels = list(what.column_names if package == "pyarrow" else what.columns)
    names = [str(label) for label in labels]
    by_text = dict(zip(names, labels, strict=True))  # pandas numbers columns without names
    index = getattr(getattr(what, "index", None), "names", ())  # what pandas keeps beside columns
    levels = [name for name in index if isinstance(name, str) and name not in names]
    if by_name.can_find(names, told):  # a level may then number the rows
        levels = [name for name in levels if by_name.can_find([*names, name], told)]
    names += levels

    def column(name: str) -> Array:
        return np.asarray(
            what.index.get_level_values(name) if name in levels else what[by_text[name]]
        )

    ours = dict(getattr(what, "attrs", {})).get(_ATTRS)
    if ours is not None and ours.get("n_spikes", len(what)) != len(what):
        if told.n_units is None:
            raise ValueError(
                f"this frame has {len(what):,} of the {ours['n_spikes']:,} rows that to_pandas"
                " wrote, so that its attrs no longer say what was observed: give n_units,"
                " duration_ms and start_ms"
            )
        ours = None
    if ours is not None and told.n_units is None:
        told = replace(told, n_units=int(ours["n_units"]))
    table = tabular.of_columns(names, column, told, f"{package} frame")
    return [table if ours is None else _observed(table, ours)]


def _observed(table: UnitTable, ours: FieldsView) -> UnitTable:
    """Return a table with what `to_pandas` left next to the rows."""
    bounds = np.asarray(ours["intervals_ms"], dtype=np.float64) * 1e-3
    columns = dict(table.columns)
    if ours["populations"]:
        columns["population"] = names_of_units(ours["populations"], table.n_units)
    return replace(
        table,
        columns=columns,
        observed_s=np.tile(bounds, (table.n_units, 1)),
        observed_units=np.repeat(np.arange(table.n_units), len(bounds)),
        resolution_s=None if ours["dt_ms"] is None else ours["dt_ms"] * 1e-3,
    )


def to_pandas(spikes: SpikeTrains) -> Any:
    """Return a pandas frame with a row a spike.

    Its columns are time_ms on the record's own clock, unit, and population where there are any.

    `frame.attrs["neurosparse"]` holds what a row a spike cannot: n_units, dt_ms, populations and
    intervals_ms; `as_spikes` honours it while no row is left out.
    """
    pandas = need("pandas", "writing to pandas", "interop")
    frame = pandas.DataFrame({"time_ms": spikes.times_ms + spikes.start_ms, "unit": spikes.units})
    if spikes.populations:
        population = names_of_units(spikes.populations, spikes.n_units).astype(object)
        frame["population"] = population[spikes.units]
    frame.attrs[_ATTRS] = {
        "n_units": spikes.n_units,
        "n_spikes": len(spikes),
        "dt_ms": spikes.dt_ms,
        "populations": {name: list(limits) for name, limits in spikes.populations.items()},
        "intervals_ms": (spikes.intervals + spikes.start_ms).tolist(),
    }
    return frame
