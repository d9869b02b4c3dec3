"""Spike trains in any format that Neo reads."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from neurosparse._internal import limited_process
from neurosparse._internal.imports import need
from neurosparse._internal.types import Array, Foreign
from neurosparse.recordings.columns import Told, is_of_units
from neurosparse.recordings.recording import NoRecordingError, UnitTable

RANK = 9
FOLDER = "what Neo reads"
USES = ()
PICKLES = (".pkl", ".pickle")
# formats without one: the reader takes the last spike
GUESS_T_STOP = ("KlustaKwikIO", "NestIO", "PhyIO", "AsciiSpikeTrainIO")
_NO_FOLDER = "no reader finds spikes in this folder"
_LOOKED_AT = 1024  # bytes
_UNKNOWN = (
    "no format that is read has this suffix or content; convert it to NWB, or to CSV with columns"
    " time_s and unit"
)


def fits(path: Path) -> bool:
    """Return True: Neo is asked last, for whatever no other format fits."""
    return True


def tables(path: Path, told: Told) -> Sequence[UnitTable]:
    """Return the spike trains of each segment of a file or folder that Neo reads.

    A spike train is a unit, its annotations are the columns; `t_start` and `t_stop` say when it was
    observed, save in formats that hold no such thing (`GUESS_T_STOP`). Neo and the parsers that it
    calls run in the limited process.

    Raises
    ------
    ValueError
        Where Neo does not read it, or it holds no spike trains. Pickle is refused unopened: it runs
        code.
    MissingPackageError
        Where Neo is not installed.
    """
    if path.suffix.lower() in PICKLES:
        raise ValueError(
            "it is a pickle, which runs code when it is opened: convert it to NWB, or save the"
            " times with numpy"
        )
    if not path.suffix and path.is_file() and _is_text(path):
        raise ValueError(
            "it is a text, and its name does not say of which kind: name it .csv or .txt"
        )
    if path.is_dir():
        if not any(path.iterdir()):
            raise NoRecordingError("; it is empty")
        if importlib.util.find_spec("neo") is None:
            raise NoRecordingError(" (pip install 'neurosparse[recordings]')")
    need("neo.io", f"reading {path.suffix or 'this'} files")
    try:
        arrays = limited_process.read(path, contents, library="Neo", imports=("neo.io",))
    except ValueError as error:
        if str(error) == _NO_FOLDER:
            raise NoRecordingError from None
        raise
    kind = str(arrays["reader"])
    n, found = int(arrays["n_segments"]), []
    for k in range(n):
        of = {name.partition("/")[2]: a for name, a in arrays.items() if name.startswith(f"{k}/")}
        columns = {name[1:]: of.pop(name) for name in [*of] if name.startswith("/")}
        found.append(
            UnitTable(
                format=kind if n == 1 else f"{kind}, {n} segments",
                n_units=int(of["n_units"]),
                times_s=of["times_s"],
                units=of["units"],
                columns=columns,
                observed_s=of.get("observed_s"),
                observed_units=of.get("observed_units"),
                ends="[]",
            )
        )
    return found


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT)
    return b"\0" not in start and bool(start.decode("utf-8", errors="ignore").strip())


# ---- In the process that reads
# --------------------------------------------------------------------------------------------------


def contents(path: Path) -> dict[str, Array]:
    """Return the spike trains of each segment that has any.

    They are read by the first of Neo's readers of this suffix that finds some.
    """
    import neo.io as neo_io

    failures = []
    for reader in _readers(neo_io, path):
        try:
            with warnings.catch_warnings():
                # readers warn of signals and events, which are not wanted here
                warnings.simplefilter("ignore")
                segments = list(_read(reader, path))
            if segments:
                return _flat(reader.__name__, segments)
            failures.append(f"{reader.__name__} found no spike trains")
        except MemoryError:
            raise
        except FileNotFoundError:  # another one that belongs to it: the suffix alone was alike
            failures.append(_UNKNOWN)
        except Exception as error:  # Neo's readers fail with whatever their parser stumbled over
            failures.append(
                f"{reader.__name__}: {(str(error).strip() or type(error).__name__).splitlines()[0]}"
            )
    if path.is_dir() and len(failures) > 1:  # readers that take any folder; none of them helps
        raise ValueError(_NO_FOLDER)
    raise ValueError("; ".join(dict.fromkeys(failures)))


def _readers(neo_io: Foreign, path: Path) -> list[Foreign]:
    try:
        candidates = neo_io.list_candidate_ios(path)
    except ValueError:
        raise ValueError(_NO_FOLDER if path.is_dir() else _UNKNOWN) from None
    if path.is_file():
        candidates = [reader for reader in candidates if reader.mode != "dir"]
    readers = [
        r for r in dict.fromkeys(candidates) if r is not neo_io.PickleIO and _knows_spikes(r)
    ]
    if not readers:
        raise ValueError(_NO_FOLDER if path.is_dir() else _UNKNOWN)
    return readers


def _flat(reader: str, segments: Sequence[Sequence[Foreign]]) -> dict[str, Array]:
    """Return the tables of segments as arrays by name, as they leave the process."""
    arrays = {"reader": np.array(f"Neo {reader}"), "n_segments": np.array(len(segments))}
    for k, trains in enumerate(alike(segments)):
        table = of_trains(reader, trains, guessed=reader in GUESS_T_STOP)
        of = {
            "n_units": np.array(table.n_units),
            "times_s": table.times_s,
            "units": table.units,
            "observed_s": table.observed_s,
            "observed_units": table.observed_units,
            **{f"/{name}": values for name, values in table.columns.items()},
        }
        arrays |= {f"{k}/{name}": value for name, value in of.items() if value is not None}
    return arrays


def _knows_spikes(reader: Foreign) -> bool:
    return "SpikeTrain" in {
        kind.__name__ for kind in (*reader.supported_objects, *reader.readable_objects)
    }


def _read(reader: Foreign, path: Path) -> Iterator[list[Foreign]]:
    io = reader(str(path))
    lazy = {"lazy": True} if io.support_lazy else {}  # signals can be huge and are not wanted
    blocks = io.read(**lazy)
    for block in blocks if isinstance(blocks, list) else [blocks]:
        for segment in block.segments:
            if len(segment.spiketrains):
                yield list(segment.spiketrains)


def alike(segments: Sequence[Sequence[Foreign]]) -> list[list[Foreign]]:
    """Return the trains of segments in the order of the first, by names or ids where these tell.

    Raises
    ------
    ValueError
        Where some names of a segment are those of another, and some are not.
    """
    found = [list(trains) for trains in segments]
    annotated = {str(key) for trains in found for train in trains for key in train.annotations}
    for key in ("", *sorted(filter(is_of_units, annotated))):
        names = [[_name(train, key) for train in trains] for trains in found]
        shared = [set(each) & set(names[0]) for each in names]
        told = all(len(set(each)) == len(each) and "" not in each for each in names)
        if told and any(shared[1:]):
            break
    else:
        return found
    for k, (each, common) in enumerate(zip(names, shared, strict=True)):
        if common and not len(common) == len(each) == len(names[0]):
            lone = min(set(each) ^ set(names[0]))
            raise ValueError(
                f"a train {lone!r} is in some of its segments and not in all: pass one segment, or"
                " give each the same trains"
            )
        if common:
            found[k] = [found[k][each.index(name)] for name in names[0]]
    return found


def _name(train: Foreign, key: str) -> str:
    """Return the name of a train, or where there is a key, its annotation of this name."""
    value = train.annotations.get(key) if key else train.name
    return "" if value is None else str(value)


def of_trains(kind: str, trains: Sequence[Foreign], *, guessed: bool = False) -> UnitTable:
    """Return the units of a list of Neo spike trains.

    Parameters
    ----------
    kind
        Name of the format, such as "neo".
    trains
        `neo.SpikeTrain` objects, one for each unit; times are converted to s.
    guessed
        Whether `t_stop` is no more than the last spike, so that it does not say for how long a unit
        was observed.
    """
    trains = [train.load() if hasattr(train, "load") else train for train in trains]
    times = [np.asarray(train.times.rescale("s").magnitude, dtype=np.float64) for train in trains]
    bounds = [
        (float(train.t_start.rescale("s")), float(train.t_stop.rescale("s"))) for train in trains
    ]
    n_units = len(trains)
    return UnitTable(
        format=kind,
        n_units=n_units,
        times_s=np.concatenate(times),
        units=np.repeat(np.arange(n_units), [t.size for t in times]),
        columns=_columns(trains),
        observed_s=None if guessed else np.array(bounds),
        observed_units=None if guessed else np.arange(n_units),
        ends="[]",
    )


def _columns(trains: Sequence[Foreign]) -> dict[str, Array]:
    """Return the annotations that all trains share and that are all numbers, or else text."""
    shared = set.intersection(*({str(key) for key in train.annotations} for train in trains))
    columns: dict[str, Array] = {}
    for key in sorted(shared):
        values = [train.annotations.get(key) for train in trains]
        if all(isinstance(v, bool | np.bool_) for v in values):
            columns[key] = np.array(values, dtype=bool)
        elif all(isinstance(v, int | float | np.integer | np.floating) for v in values):
            columns[key] = np.array(values, dtype=np.float64)
        elif all(isinstance(v, str) for v in values):
            columns[key] = np.array(values, dtype=str)
    return columns
