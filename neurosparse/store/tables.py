"""Rows of runs as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neurosparse._internal import checks
from neurosparse.store import disk
from neurosparse.store.locks import claim
from neurosparse.store.records import Row, key


def write_table(directory: Path, rows: Sequence[Row], name: str) -> None:
    """Write rows as NAME.parquet and NAME.csv into a store; each file appears whole."""
    directory = checks.path("directory", directory)
    with claim(directory, key("table", {}, name)) as ours:
        if ours is not None:  # otherwise another driver is writing it
            ours.prepare()
            for suffix in (".parquet", ".csv"):
                path = ours.folder / f"{name}{suffix}"
                export(rows, path)
                disk.put(path, directory / path.name)


def export(rows: Sequence[Row], path: Path) -> None:
    """Write rows as a table, Parquet or CSV by the suffix of `path`.

    A column that a row lacks is empty there.

    Raises
    ------
    ValueError
        On another suffix.
    TypeError
        Where an argument is of another kind.
    """
    import pyarrow as pa
    from pyarrow import csv, parquet

    path = checks.path("path", path)
    for row in checks.instances("rows", rows, object):
        checks.instance("each of rows", row, Mapping)
    if path.suffix not in (".parquet", ".csv"):
        raise ValueError(f"a table is written as .parquet or .csv, got {path}")
    columns = dict.fromkeys(name for row in rows for name in row)
    table = pa.table({name: _column([row.get(name) for row in rows]) for name in columns})
    (parquet.write_table if path.suffix == ".parquet" else csv.write_csv)(table, path)


def _column(values: list[Any]) -> Any:
    """Return numbers where all values are numbers; text otherwise."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1 or kinds == {int, float}:
        return pa.array(values, type=pa.float64() if kinds == {int, float} else None)
    return pa.array([None if value is None else str(value) for value in values])
