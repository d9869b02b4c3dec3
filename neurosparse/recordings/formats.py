"""The formats of files, and how the one of a file is found."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from neurosparse.recordings.columns import Told
from neurosparse.recordings.recording import NoRecordingError, UnitTable


class Format(Protocol):
    """A module of this room: a kind of file or folder, and how its spikes are read.

    Attributes
    ----------
    RANK
        Of two formats that fit a file, the one of the lower rank reads it.
    USES
        The fields of `Told` that the format leaves to the user.
    """

    RANK: int
    USES: tuple[str, ...]

    # and, where it depends on the file: def takes(self, path: Path) -> tuple[str, ...]
    # of a kind of folder: FOLDER: str, what is looked for in one, in words

    def fits(self, path: Path) -> bool:
        """Return whether a file or folder looks like this format by its name and first bytes."""

    def tables(self, path: Path, told: Told) -> Sequence[UnitTable]:
        """Return what a file says of its units: a table for each segment, trial or sweep."""


@cache
def registry() -> tuple[Format, ...]:
    """Return all formats by rank: every module of this room that has `fits`."""
    package = __name__.rpartition(".")[0]
    paths = import_module(package).__path__
    modules: list[Any] = [import_module(f"{package}.{m.name}") for m in pkgutil.iter_modules(paths)]
    found = [cast(Format, module) for module in modules if hasattr(module, "fits")]
    return tuple(sorted(found, key=lambda kind: kind.RANK))


def of(path: Path) -> Format:
    """Return the format of a file or folder: the first that fits it."""
    return next(kind for kind in registry() if kind.fits(path))


def takes(path: Path) -> tuple[str, ...]:
    """Return what a file leaves to the user, of the fields of `Told`."""
    kind = of(path)
    asked: Callable[[Path], tuple[str, ...]] | None = getattr(kind, "takes", None)
    return kind.USES if asked is None else asked(path)


def tables(path: Path, told: Told) -> Sequence[UnitTable]:
    """Return the tables of a file or folder, by the first format that fits it.

    Raises
    ------
    ValueError
        As `recordings.read`, in a sentence of which the file is the subject.
    FileNotFoundError
        Where a folder holds nothing that is known; one sentence, whole.
    """
    kind = of(path)
    for name in ("time_unit", "times", "units", "layout"):
        if getattr(told, name) is not None and name not in kind.USES:
            option = name.replace("_", "-")
            raise ValueError(f"its format settles {name} (--{option}): leave it out")
    try:
        return kind.tables(path, told)
    except NoRecordingError as error:
        known = [words for each in registry() if (words := getattr(each, "FOLDER", ""))]
        raise FileNotFoundError(
            f"no recording in {path}: looked for {', '.join(known)}{error}"
        ) from None
