"""Spike trains in any format that Neo reads."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal.imports import need
from neurosparse.recordings.recording import Recording, UnitTable
from neurosparse.recordings.selection import Wanted, select

PICKLES = (".pkl", ".pickle")
GUESS_T_STOP = (
    "AsciiSpikeTrainIO",
    "KlustaKwikIO",
    "NestIO",
    "PhyIO",
)  # formats without one: the reader takes the last spike


def read_neo(path: str | Path, wanted: Wanted) -> Recording:
    """Read the spike trains of a file or folder through Neo; errors as `recordings.read`.

    A spike train is a unit, its annotations are the columns; `t_start` and `t_stop` say when it was
    observed, save in formats that hold no such thing (`GUESS_T_STOP`), where `duration_s` is
    needed. Of several segments (trials, sweeps) the one with the longest time common to its trains
    is read: windows do not reach across segments.

    Raises
    ------
    FileNotFoundError, ValueError
        Where there is no such file, Neo does not read it, or it holds no spike trains. Pickle is
        refused unopened: it runs code.
    MissingPackageError
        Where Neo is not installed.
    """
    path = Path(path)
    if path.suffix.lower() in PICKLES:
        raise ValueError(
            f"{path} is a pickle, which runs code when it is opened: convert it to NWB, or save the"
            " times with numpy"
        )
    if not path.exists():
        raise FileNotFoundError(f"no spike file {path}")
    neo_io = need("neo.io", f"reading {path.suffix or 'this'} files")
    try:
        tables = _tables(neo_io, path)
        recordings, refusals = [], []
        for table in tables:
            try:
                recordings.append(select(table, wanted))
            except ValueError as error:
                refusals.append(error)
        if not recordings:
            raise refusals[0]
        return max(recordings, key=lambda recording: recording.stop_s - recording.start_s)
    except ValueError as error:
        raise ValueError(f"cannot read spikes from {path}: {error}") from None


def _tables(neo_io: Any, path: Path) -> list[UnitTable]:
    """The spike trains of each segment that has any, by the first of Neo's readers of this suffix
    that finds some.
    """
    try:
        candidates = neo_io.list_candidate_ios(path)
    except ValueError:
        raise ValueError("no format that Neo reads has this suffix") from None
    if path.is_file():
        candidates = [reader for reader in candidates if reader.mode != "dir"]
    readers = [
        r for r in dict.fromkeys(candidates) if r is not neo_io.PickleIO and _knows_spikes(r)
    ]
    if not readers:
        raise ValueError("Neo reads no spike trains from files of this suffix")
    failures = []
    for reader in readers:
        try:
            with warnings.catch_warnings():
                # readers warn of signals and events, which are not wanted here
                warnings.simplefilter("ignore")
                segments = list(_read(reader, path))
            n = len(segments)
            if n == 1:
                return [_table(path, reader.__name__, segments[0])]
            if n > 1:
                return [
                    _table(path, f"{reader.__name__}, segment {k} of {n}", trains)
                    for k, trains in enumerate(segments, 1)
                ]
            failures.append(f"{reader.__name__} found no spike trains")
        except Exception as error:  # Neo's readers fail with whatever their parser stumbled over
            failures.append(
                f"{reader.__name__}: {(str(error) or type(error).__name__).splitlines()[0]}"
            )
    raise ValueError("; ".join(dict.fromkeys(failures)))


def _knows_spikes(reader: Any) -> bool:
    return "SpikeTrain" in {
        kind.__name__ for kind in (*reader.supported_objects, *reader.readable_objects)
    }


def _read(reader: Any, path: Path) -> Iterator[list[Any]]:
    io = reader(str(path))
    lazy = {"lazy": True} if io.support_lazy else {}  # signals can be huge and are not wanted
    blocks = io.read(**lazy)
    for block in blocks if isinstance(blocks, list) else [blocks]:
        for segment in block.segments:
            trains = [
                train.load() if hasattr(train, "load") else train for train in segment.spiketrains
            ]
            if trains:
                yield trains


def _table(path: Path, reader: str, trains: Sequence[Any]) -> UnitTable:
    times = [np.asarray(train.times.rescale("s").magnitude, dtype=np.float64) for train in trains]
    bounds = [
        (float(train.t_start.rescale("s")), float(train.t_stop.rescale("s"))) for train in trains
    ]
    n_units = len(trains)
    guessed = reader.startswith(GUESS_T_STOP)
    return UnitTable(
        path=path,
        format=f"Neo {reader}",
        n_units=n_units,
        times_s=np.concatenate(times),
        units=np.repeat(np.arange(n_units), [t.size for t in times]),
        columns=_columns(trains),
        observed_s=None if guessed else np.array(bounds),
        observed_units=None if guessed else np.arange(n_units),
    )


def _columns(trains: Sequence[Any]) -> dict[str, NDArray[Any]]:
    """Annotations that all trains share and that are all numbers, or else text."""
    shared = set.intersection(*({str(key) for key in train.annotations} for train in trains))
    columns: dict[str, NDArray[Any]] = {}
    for key in sorted(shared):
        values = [train.annotations.get(key) for train in trains]
        if all(isinstance(v, bool | np.bool_) for v in values):
            columns[key] = np.array(values, dtype=bool)
        elif all(isinstance(v, int | float | np.integer | np.floating) for v in values):
            columns[key] = np.array(values, dtype=np.float64)
        elif all(isinstance(v, str) for v in values):
            columns[key] = np.array(
                ["".join(c if c.isprintable() else "?" for c in v) for v in values], dtype=str
            )
    return columns
