"""The units of saved statistics, a row each: Parquet, or CSV where pyarrow is not installed."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal.imports import need
from neurosparse._internal.whole_files import new_file
from neurosparse.activity import ActivityStats

PARQUET, CSV = "activity.parquet", "activity.csv"
COLUMNS = {  # field of ActivityStats -> column
    "unit_active_fraction": "active_fraction",
    "unit_rates_hz": "rate_hz",
    "unit_mean_magnitude": "mean_magnitude",
}
_HEAD = ("name", "kind", "definition", "unit", *COLUMNS.values())

Units = Mapping[str, NDArray[np.float64] | None]  # column -> values, None where there are none


def write(stats: Sequence[ActivityStats], directory: Path) -> Path:
    """Write a row for each unit and return the file: CSV where pyarrow is not installed."""
    parquet = _has_pyarrow()
    path = directory / (PARQUET if parquet else CSV)
    with new_file(path) as file:
        (_write_parquet if parquet else _write_csv)(stats, file)
    (directory / (CSV if parquet else PARQUET)).unlink(missing_ok=True)  # of an earlier result
    return path


def find(directory: Path) -> Path | None:
    """Return the table in a folder, None where there is none."""
    return next((directory / n for n in (PARQUET, CSV) if (directory / n).is_file()), None)


def read(path: Path) -> dict[str, Units]:
    """Return the units of each statistic, by its name."""
    return _read_csv(path) if path.suffix == ".csv" else _read_parquet(path)


def _has_pyarrow() -> bool:
    try:
        return find_spec("pyarrow") is not None
    except ImportError:
        return False


def _write_parquet(stats: Sequence[ActivityStats], file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def words(text: str, s: ActivityStats) -> Any:
        return pa.array([text] * s.n_units, pa.string()).dictionary_encode()

    def column(s: ActivityStats, name: str) -> Any:
        values = getattr(s, name)
        return pa.nulls(s.n_units, pa.float64()) if values is None else pa.array(values)

    tables = [
        pa.table(
            {
                "name": words(s.name, s),
                "kind": words(s.kind, s),
                "definition": words(s.active_when.describe(), s),
                "unit": pa.array(np.arange(s.n_units)),
                **{title: column(s, name) for name, title in COLUMNS.items()},
            }
        )
        for s in stats
    ]
    pq.write_table(pa.concat_tables(tables), file)


def _write_csv(stats: Sequence[ActivityStats], file: Path) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(_HEAD)
        for s in stats:
            words = (s.name, s.kind, s.active_when.describe())
            columns = [getattr(s, name) for name in COLUMNS]
            for unit in range(s.n_units):
                # repr gives each number back exactly
                values = ["" if c is None else repr(float(c[unit])) for c in columns]
                rows.writerow((*words, unit, *values))


def _read_parquet(path: Path) -> dict[str, Units]:
    pq = need("pyarrow.parquet", f"reading {path.name}")
    table = pq.read_table(path)
    names = np.array(table["name"].to_pylist())
    return {
        str(name): {
            title: None if part[title].null_count == len(part) else part[title].to_numpy()
            for title in COLUMNS.values()
        }
        for name in np.unique(names)
        for part in [table.filter(names == name)]
    }


def _read_csv(path: Path) -> dict[str, Units]:
    by_name: dict[str, list[dict[str, str]]] = {}
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream)
        if tuple(rows.fieldnames or ()) != _HEAD:
            raise ValueError(f"{path.name} has no columns {', '.join(_HEAD)}")
        for row in rows:
            if None in row or None in row.values():
                raise ValueError(f"{path.name} is cut off or altered in line {rows.line_num}")
            by_name.setdefault(row["name"], []).append(row)
    return {
        name: {title: _column(units, title) for title in COLUMNS.values()}
        for name, units in by_name.items()
    }


def _column(units: Sequence[Mapping[str, str]], title: str) -> NDArray[np.float64] | None:
    values = [unit[title] for unit in units]
    return None if not any(values) else np.array([float(v) if v else np.nan for v in values])
