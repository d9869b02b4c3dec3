"""Folders of Kilosort and phy: sample indices and clusters as .npy, labels as .tsv."""

from __future__ import annotations

import ast
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neurosparse._internal import foreign_npz
from neurosparse._internal.types import Array
from neurosparse.recordings.columns import Told, indexed, number
from neurosparse.recordings.recording import UnitTable

RANK = 1
FOLDER = "spike_times.npy with params.py (Kilosort, phy)"
USES = ()
_MOST_TEXT = 2**24  # bytes of params.py or of a table of labels
_MOST_LABELS = 64  # columns


def fits(path: Path) -> bool:
    """Return whether it is a folder with spike_times.npy, or a file in it by which phy opens it."""
    return (_folder(path) / "spike_times.npy").is_file()


def _folder(path: Path) -> Path:
    """Return the folder with the spikes; SpikeInterface puts it in another."""
    if path.name in ("params.py", "spike_times.npy"):
        return path.parent
    inner = path / "sorter_output"
    return inner if (inner / "spike_times.npy").is_file() else path


def tables(path: Path, told: Told) -> Sequence[UnitTable]:
    """Return the clusters that have spikes; labels of theirs are columns.

    The sampling rate is read from params.py, as text: it is never run.
    """
    path = _folder(path)
    rate_hz = _rate(path / "params.py")
    samples = vector(path / "spike_times.npy")
    names = [n for n in ("spike_clusters", "spike_templates") if (path / f"{n}.npy").is_file()]
    if not names:
        raise ValueError("it holds no spike_clusters.npy, which says which unit fired")
    clusters = vector(path / f"{names[0]}.npy")
    if clusters.shape != samples.shape:
        raise ValueError(
            f"spike_times.npy holds {samples.size:,} spikes and {names[0]}.npy {clusters.size:,}"
        )
    units, ids, n_units = indexed(clusters, None)
    labels, said = _labels(path, ids)
    return [
        UnitTable(
            format="Kilosort/phy",
            n_units=n_units,
            times_s=samples / rate_hz,
            units=units,
            columns={"cluster_id": ids, **labels},
            resolution_s=1 / rate_hz if samples.dtype.kind in "iu" else None,
            said=said,
        )
    ]


def vector(path: Path) -> Array:
    """Return an array of shape (n,) or (n, 1) as (n,)."""
    try:
        array = foreign_npz.load(path)[""]
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
    if array.dtype.kind not in "iuf" or array.size != max(array.shape, default=1):
        raise ValueError(
            f"{path.name} must hold a number a spike, got shape {array.shape}, dtype {array.dtype}"
        )
    return array.reshape(-1)


def _rate(path: Path) -> float:
    """Return sample_rate of a params.py, whose assignments are read one by one and never run."""
    remedy = "write a params.py with the line sample_rate = 30000."
    if not path.is_file():
        raise ValueError(f"it holds no params.py, which says the sampling rate: {remedy}")
    statements = _statements(path)
    said = [
        node
        for statement in statements
        for node in ast.walk(statement)
        if isinstance(node, ast.Name)
        and node.id == "sample_rate"
        and isinstance(node.ctx, ast.Store)
    ]
    if len(said) > 1:
        raise ValueError(
            f"params.py sets sample_rate {len(said)} times, and is read, not run: leave one line"
        )
    for node in statements:
        names = [t.id for t in getattr(node, "targets", []) if isinstance(t, ast.Name)]
        if "sample_rate" in names and isinstance(node, ast.Assign):
            try:
                rate = ast.literal_eval(node.value)
            except ValueError:
                break
            if isinstance(rate, int | float) and 0 < rate < float("inf"):
                return float(rate)
            raise ValueError(f"params.py says sample_rate = {rate!r}, which is no rate in Hz")
    raise ValueError(f"params.py does not say sample_rate as a number: {remedy}")


def _statements(path: Path) -> list[ast.stmt]:
    try:
        return ast.parse(_text(path)).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ValueError("params.py is not Python: it is damaged") from None


def _text(path: Path) -> str:
    if path.stat().st_size > _MOST_TEXT:
        raise ValueError(f"{path.name} is longer than {_MOST_TEXT:,} bytes")
    return path.read_text(encoding="utf-8-sig", errors="replace")


def _labels(path: Path, ids: Array) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Return the columns of cluster_*.tsv and .csv for these clusters, "" where there is none.

    And what was left out of them.
    """
    row = {int(cluster): k for k, cluster in enumerate(ids)}
    columns: dict[str, Array] = {}
    said = []
    for file in sorted([*path.glob("cluster_*.tsv"), *path.glob("cluster_*.csv")]):
        text = _text(file).splitlines() or [""]
        try:  # old versions of phy put tabs into a .csv
            lines = list(csv.reader(text, delimiter="\t" if "\t" in text[0] else ","))
        except csv.Error as error:
            raise ValueError(f"{file.name} is damaged ({error})") from None
        names = [name.strip() for name in lines[0]]
        key = next((k for k, n in enumerate(names) if n.lower() in ("cluster_id", "id")), None)
        if key is None:
            said.append(f"{file.name} has no column cluster_id and was left out.")
            continue
        of_rows = [(_whole(fields[key]), fields) for fields in lines[1:] if len(fields) > key]
        if n_without := sum(cluster is None for cluster, _ in of_rows):
            said.append(f"{n_without:,} rows of {file.name} without a cluster_id were left out.")
        for at, name in enumerate(names[:_MOST_LABELS]):
            if at == key or name in columns or not name:
                continue
            values = np.full(ids.size, "", dtype=object)
            for cluster, fields in of_rows:
                if len(fields) > at and cluster in row:
                    values[row[cluster]] = fields[at].strip()
            columns[name] = _typed(values)
    return columns, tuple(said)


def _whole(text: str) -> int | None:
    """Return a text such as "7" or "7.0" as a whole number, or None."""
    value = number(text)
    return int(value) if value is not None and value.is_integer() else None


def _typed(values: Array) -> Array:
    """Return texts as numbers where all of them are, a missing one as NaN."""
    numbers = [number(value) if value else np.nan for value in values]
    if None in numbers or np.isnan(found := np.array(numbers, dtype=float)).all():
        return values.astype(str)
    return found
