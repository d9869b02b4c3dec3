"""Runs that survive: each in a folder of its own, which is there whole or not at all, and says what is in it.

    DIRECTORY/runs/KEY/           a complete run: its files, and manifest.json with the checksum of each and of itself
    DIRECTORY/partial/KEY/        a run under way, or what a killed one left: its checkpoint
    DIRECTORY/failed/KEY.json     why a run failed
    DIRECTORY/quarantine/         damaged and foreign runs, moved away with the reason beside them: never counted, never deleted
    DIRECTORY/locks/KEY           who works on KEY holds a lock on this file; it dies with the process

KEY is a hash of what was asked for and of the code that computes it (`key`, `sweep.code`), so a run is never mistaken for another.
A run is written in `partial`, synced to the disk, and then renamed into `runs`. Times of files are never looked at.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FORMAT = "neurosparse.run/1"
MANIFEST = "manifest.json"
CHECKPOINT = "checkpoint.safetensors"
MOST_BYTES = 16_000_000  # of a manifest or the note of a failure
FOLDERS = ("runs", "partial", "failed", "quarantine", "locks")
_KEY = re.compile(r"[0-9a-f]{32}")

Row = dict[str, Any]  # column -> a number, text, true, false or None


class DamageError(ValueError):
    """What stands in the place of a run is not that run; the message says why."""


@dataclass(frozen=True, slots=True)
class Run:
    """A complete run, as its manifest has it."""

    key: str
    kind: str
    label: dict[str, Any]  # what sets it apart in its sweep: settings and seed
    spec: dict[str, Any] = field(repr=False)  # all that was asked for
    code: str  # the fingerprint of the code that computed it
    rows: tuple[Row, ...] = field(repr=False)  # its lines of the final table
    seconds: float  # what it took, in all tries
    files: dict[str, dict[str, Any]] = field(repr=False)  # name -> bytes, sha256

    def table(self, label: Mapping[str, Any] | None = None) -> list[Row]:
        """Its rows with its key and its label, or another, before them."""
        label = {
            name: value if isinstance(value, int | float | str) else json.dumps(value)
            for name, value in (self.label if label is None else label).items()
        }
        return [{"run": self.key, **label, **row} for row in self.rows]


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that ended in an error of its own."""

    key: str
    kind: str
    label: dict[str, Any]
    error: str  # one line
    details: str = field(default="", repr=False)  # the traceback


def key(kind: str, spec: Mapping[str, Any], code: str) -> str:
    """The name of a run: the start of a SHA-256 of its kind, its spec in canonical JSON, and the fingerprint of the code.

    Examples
    --------
    >>> key("train", {"l1": 0.001, "seed": 1}, "c0de") == key("train", {"seed": 1, "l1": 0.001}, "c0de")
    True
    """
    return hashlib.sha256(_canonical({"kind": kind, "spec": spec, "code": code})).hexdigest()[:32]


# ---- Working on a run -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one run, and the places to do it in."""

    directory: Path
    key: str

    @property
    def _partial(self) -> Path:
        return self.directory / "partial" / self.key

    @property
    def folder(self) -> Path:
        """Where the files of the run go."""
        return self._partial / "run"

    @property
    def temporary(self) -> Path:
        """For what is not to be kept."""
        return self._partial / "temporary"

    @property
    def checkpoint(self) -> Path:
        """A file that outlives a killed worker, until the run is complete."""
        return self._partial / CHECKPOINT

    def prepare(self) -> None:
        """Empty places to start from, but for the checkpoint of an earlier try."""
        (self.directory / "failed" / f"{self.key}.json").unlink(missing_ok=True)
        if self._partial.is_symlink():
            self.set_aside(self._partial, "it is a link")
        self.clear()
        self._partial.mkdir(exist_ok=True)
        self.folder.mkdir()
        self.temporary.mkdir()

    def complete(self, kind: str, label: Mapping[str, Any], spec: Any, code: str, rows: Any, seconds: float) -> None:
        """Make what lies in `folder` the complete run. What stands in its place goes into quarantine."""
        listing = {name: _bytes_and_sum(self.folder / name, sync=True) for name in _names(self.folder)}
        content = {
            "format": FORMAT,
            "key": self.key,
            "kind": kind,
            "label": label,
            "spec": spec,
            "code": code,
            "rows": rows,
            "seconds": seconds,
            "files": listing,
        }
        manifest = self.folder / MANIFEST
        manifest.write_text(_json({**content, "sha256": _sum(content)}))
        for path in (manifest, *(p for p in self.folder.rglob("*") if p.is_dir())):
            _sync(path)
        place = self.directory / "runs" / self.key
        if os.path.lexists(place):
            try:
                read(self.directory, self.key)
                reason = "it was computed anew"
            except DamageError as damage:
                reason = str(damage)
            _quarantine(self.directory, place, reason)
        _put(self.folder, place)
        _remove(self._partial)

    def fail(self, kind: str, label: Mapping[str, Any], error: str, details: str = "") -> None:
        """Note why the run failed; its checkpoint stays."""
        self._partial.mkdir(exist_ok=True)
        note = self._partial / "failure.json"
        note.write_text(_json(asdict(Failure(self.key, kind, dict(label), error, details))))
        _put(note, self.directory / "failed" / f"{self.key}.json")

    def clear(self) -> None:
        """Remove what is neither complete nor the checkpoint."""
        for left in self._partial.iterdir() if self._partial.is_dir() else ():
            if left.name != CHECKPOINT:
                _remove(left)
        with suppress(OSError):  # the checkpoint is in it, or there is none
            self._partial.rmdir()

    def set_aside(self, path: Path, reason: str) -> None:
        """Put a damaged file of this run, such as its checkpoint, into quarantine."""
        _quarantine(self.directory, path, reason)


@contextmanager
def claim(directory: Path, key: str) -> Iterator[Claim | None]:
    """The right to work on a run while the block lasts; None where another process has it.

    The lock is the system's (flock): it ends with the process that holds it, however that ends.

    Raises
    ------
    ValueError, OSError
        On a key that is none, and a directory that is read-only or whose folders are links.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"a key is 32 hexadecimal digits, got {key!r}")
    lock = _lock(directory / "locks" / key)
    try:
        yield None if lock is None else Claim(directory, key)
    finally:
        if lock is not None:
            Claim(directory, key).clear()
            (directory / "locks" / key).unlink(missing_ok=True)  # while it is ours: see _lock
            os.close(lock)


def _lock(path: Path) -> int | None:
    """A descriptor that holds the lock on `path`; None where another process holds it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == path.lstat().st_ino:
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:
            pass
        os.close(descriptor)  # its holder removed the file after we had opened it: a lock on nothing


def open_directory(directory: str | Path) -> Path:
    """Make the folders of a store where they are missing, and refuse a place where it cannot work.

    Raises
    ------
    OSError
        Where it cannot be written.
    ValueError
        Where one of its folders is a link, which might lead out of it.
    """
    directory = Path(directory)
    try:
        for name in FOLDERS:
            _own_folder(directory / name)
        with claim(directory, key("probe", {}, "")):
            return directory
    except OSError as error:
        raise type(error)(f"cannot write {directory}: {error.strerror}") from None


def existing(directory: Path) -> Path:
    """`directory`, where it is that of a sweep. FileNotFoundError otherwise."""
    if not (directory / "runs").is_dir():
        raise FileNotFoundError(f"no runs in {directory}: it is not the folder of a sweep")
    return directory


# ---- Reading --------------------------------------------------------------------------------------------------------


def read(directory: Path, key: str, *, thorough: bool = True) -> Run | None:
    """A complete run, or None where there is none.

    Parameters
    ----------
    thorough
        Read every byte of its files against their checksums; otherwise the manifest alone, against its own.

    Raises
    ------
    DamageError
        Where something else stands there: what it is, in one sentence.
    """
    folder = directory / "runs" / key
    if not os.path.lexists(folder):
        return None
    if folder.is_symlink() or not folder.is_dir():
        raise DamageError("it is not a folder")
    run = _manifest(folder / MANIFEST)
    if run.key != key:
        raise DamageError(f"it is a copy of the run {run.key}")
    if thorough:
        there = set(_names(folder)) - {MANIFEST}
        if there != set(run.files):
            odd = min(there ^ set(run.files))
            raise DamageError(f"{odd} is {'not of it' if odd in there else 'missing'}")
        for name, expected in run.files.items():
            try:
                found = _bytes_and_sum(folder / name)
            except OSError as error:
                raise DamageError(f"{name} cannot be read: {error.strerror}") from None
            if found != expected:
                raise DamageError(f"{name} is not as it was written")
    return run


def runs(directory: Path, *, thorough: bool = False) -> Iterator[tuple[str, Run | DamageError]]:
    """Every entry of `runs`, by name: the run, or what is wrong with it."""
    place = directory / "runs"
    for name in _entries(place):
        try:
            if not _KEY.fullmatch(name):
                raise DamageError("its name is not that of a run")
            run = read(directory, name, thorough=thorough)
        except DamageError as damage:
            yield name, damage
        else:
            if run is not None:
                yield name, run


def failures(directory: Path) -> dict[str, Failure]:
    """The failed runs by key; a note that is damaged is as good as none: the run is tried again."""
    found = {}
    for path in sorted((directory / "failed").glob("[!.]*.json")):
        with suppress(DamageError, TypeError):
            failure = Failure(**_load_json(path))
            if failure.key == path.stem:
                found[failure.key] = failure
    return found


def words(label: Mapping[str, Any]) -> str:
    """A label in words: 'l1=0.001, seed=1'."""
    return ", ".join(f"{name}={value}" for name, value in label.items())


def find(directory: Path, start: str) -> str:
    """The one key of a run or failure that starts with `start`. ValueError where there is none, or more than one."""
    keys = {name for name, _ in runs(directory)} | set(failures(directory))
    matches = sorted(name for name in keys if name.startswith(start))
    if len(matches) != 1:
        raise ValueError(
            f"{directory} holds {len(matches) or 'no'} runs whose key starts with {start!r}; see `runs list`"
        )
    return matches[0]


# ---- Tables ---------------------------------------------------------------------------------------------------------


def write_table(directory: Path, rows: Sequence[Row], name: str) -> None:
    """Write rows as NAME.parquet and NAME.csv into a store; each file appears whole."""
    with claim(directory, key("table", {}, name)) as ours:
        if ours is not None:  # otherwise another driver is writing it
            ours.prepare()
            for suffix in (".parquet", ".csv"):
                path = ours.folder / f"{name}{suffix}"
                export(rows, path)
                _put(path, directory / path.name)


def export(rows: Sequence[Row], path: Path) -> None:
    """Write rows as a table, Parquet or CSV by the suffix of `path`; a column that a row lacks is empty there.

    Raises
    ------
    ValueError
        On another suffix.
    """
    import pyarrow as pa
    from pyarrow import csv, parquet

    if path.suffix not in (".parquet", ".csv"):
        raise ValueError(f"a table is written as .parquet or .csv, got {path}")
    columns = dict.fromkeys(name for row in rows for name in row)
    table = pa.table({name: _column([row.get(name) for row in rows]) for name in columns})
    (parquet.write_table if path.suffix == ".parquet" else csv.write_csv)(table, path)


def _column(values: list[Any]) -> Any:
    """Numbers where all are; text otherwise."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1 or kinds == {int, float}:
        return pa.array(values, type=pa.float64() if kinds == {int, float} else None)
    return pa.array([None if value is None else str(value) for value in values])


# ---- Keeping it clean -----------------------------------------------------------------------------------------------


def verify(directory: Path) -> dict[str, str]:
    """Read every byte of every run; put into quarantine what is damaged or foreign, and say why, by name."""
    found = {name: str(run) for name, run in runs(directory, thorough=True) if isinstance(run, DamageError)}
    for name in list(found):
        if not _KEY.fullmatch(name):
            _quarantine(directory, directory / "runs" / name, found[name])
            continue
        with claim(directory, name) as ours:
            try:
                if ours is None or read(directory, name) is not None:
                    del found[name]  # another process is at it, or has put it right
            except DamageError as damage:
                _quarantine(directory, directory / "runs" / name, str(damage))
    return found


def tidy(directory: Path) -> None:
    """Remove what killed processes left behind of runs that are complete, and locks that nobody holds."""
    names = {name for place in ("partial", "locks") for name in _entries(directory / place)}
    for name in sorted(names):
        if not _KEY.fullmatch(name):
            continue
        with claim(directory, name) as ours:  # which removes its lock
            if ours is not None and (directory / "runs" / name).is_dir():
                _remove(directory / "partial" / name)


def _quarantine(directory: Path, what: Path, reason: str) -> None:
    place = directory / "quarantine" / f"{what.name[:100]}.{secrets.token_hex(4)}"
    note = place.with_name(f"{place.name}.reason.txt")
    note.write_text(f"{what.relative_to(directory)}: {reason}\n")
    try:
        what.rename(place)
    except FileNotFoundError:  # another process was faster
        note.unlink()


# ---- Files ----------------------------------------------------------------------------------------------------------


def _manifest(path: Path) -> Run:
    content = _load_json(path)
    claimed = content.pop("sha256", None)
    if claimed != _sum(content):
        raise DamageError(f"{path.name} is not as it was written")
    if content.pop("format", None) != FORMAT:
        raise DamageError(f"{path.name} is not of the format {FORMAT}")
    try:
        run = Run(**{**content, "rows": tuple(content["rows"])})
        whole = all(isinstance(row, dict) for row in run.rows) and all(isinstance(f, dict) for f in run.files.values())
    except (KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise DamageError(f"{path.name} is not that of a run")
    return run


def _load_json(path: Path) -> dict[str, Any]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise DamageError(f"{path.name} cannot be read: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "rb") as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise DamageError(f"{path.name} is larger than {MOST_BYTES:,} bytes")
        content = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, DamageError):
            raise
        raise DamageError(f"{path.name} is empty, cut off or not JSON") from None
    if not isinstance(content, dict):
        raise DamageError(f"{path.name} is not that of a run")
    return content


def _entries(folder: Path) -> list[str]:
    """The names in a folder, sorted; none where there is no folder."""
    return sorted(entry.name for entry in os.scandir(folder)) if folder.is_dir() else []


def _names(folder: Path) -> Iterator[str]:
    """The files of a run, by their paths in it. Links, which may lead anywhere, and devices are damage."""
    for parent, folders, names in os.walk(folder):
        for name in folders:
            if Path(parent, name).is_symlink():
                raise DamageError(f"{name} is a link")
        for name in names:
            path = Path(parent, name)
            if path.is_symlink() or not path.is_file():
                raise DamageError(f"{name} is not a plain file")
            yield path.relative_to(folder).as_posix()


def _bytes_and_sum(path: Path, *, sync: bool = False) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if sync:
            os.fsync(file.fileno())
        return {"bytes": file.tell(), "sha256": digest}


def _own_folder(path: Path) -> None:
    if path.is_symlink():
        raise ValueError(f"{path} is a link, which may lead out of the folder; put a folder in its place")
    path.mkdir(parents=True, exist_ok=True)


def _remove(path: Path) -> None:
    """Remove a file, a link (not what it leads to) or a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put(path: Path, place: Path) -> None:
    """Rename a file or folder into its place when its bytes are on the disk, and see to it that the new name is there too."""
    _sync(path)
    path.rename(place)
    _sync(place.parent)


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _sum(content: Any) -> str:
    return hashlib.sha256(_canonical(content)).hexdigest()
