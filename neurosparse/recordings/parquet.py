"""Parquet: a row a spike, with named columns."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from neurosparse._internal import limited_process
from neurosparse._internal.types import Array
from neurosparse.recordings import columns as by_name
from neurosparse.recordings import tabular
from neurosparse.recordings.columns import Told
from neurosparse.recordings.recording import UnitTable
from neurosparse.recordings.selection import REGION_COLUMNS

RANK = 4
USES = ("time_unit", "times", "units")
_MOST_RATIO = 1040  # unpacked bytes a stored one: a little over what deflate can reach
_SMALL_BYTES = 2**22


def fits(path: Path) -> bool:
    """Return whether it is a file with the suffix of Parquet."""
    return path.is_file() and path.suffix.lower() in (".parquet", ".pq")


def tables(path: Path, told: Told) -> Sequence[UnitTable]:
    """Return the units by the names of the columns."""
    options = {"times": told.times, "units": told.units, "others": list(told.others)}
    # Arrow imports pandas for its first array, where there is one; that takes a while
    pandas = ("pandas",) if find_spec("pandas") else ()
    arrays = limited_process.read(
        path, contents, options=options, library="Arrow", imports=("pyarrow.parquet", *pandas)
    )
    return [tabular.of_columns(list(arrays), arrays.__getitem__, told, "Parquet")]


def contents(
    path: Path, *, times: str | None, units: str | None, others: list[str]
) -> dict[str, Array]:
    """Return the columns that are needed, in the process that reads."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    arrow.set_memory_pool(arrow.system_memory_pool())
    with parquet.ParquetFile(path, memory_map=False) as file:
        there = list(file.schema_arrow.names)
        first, _, second = by_name.find(there, Told(times=times, units=units))
        unpacked = sum(
            file.metadata.row_group(k).total_byte_size for k in range(file.num_row_groups)
        )
        if unpacked > _MOST_RATIO * path.stat().st_size + _SMALL_BYTES:
            raise ValueError(f"it promises {unpacked:,} bytes and holds {path.stat().st_size:,}")
        needed = {first, *by_name.parts(second, there), *others, *REGION_COLUMNS}
        named = [n for n in there if n in needed or by_name.is_checked(n)]
        table = file.read(columns=named, use_threads=False)
    return {name: _array(name, table.column(name)) for name in named}


def _array(name: str, column: Any) -> Array:
    values = np.asarray(column.to_numpy())
    if values.dtype != object:
        return values
    if any(isinstance(value, np.ndarray) for value in values):
        raise ValueError(
            f"column {name!r} holds a list a row: write a row a spike, as explode does"
        )
    return np.array(["" if value is None else str(value) for value in values], dtype=str)
