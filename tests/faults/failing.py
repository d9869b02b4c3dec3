"""Makes the n-th call that writes, or asks for memory, fail: once, as a disk or a machine would."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ERRORS: dict[str, Callable[[], BaseException]] = {
    "ENOSPC": lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    "EIO": lambda: OSError(errno.EIO, os.strerror(errno.EIO)),
    "memory": MemoryError,
}
# the functions that each error may come from
SYSTEM = ("mkdir", "rename", "replace", "fsync", "open", "chmod", "rmdir")
ARRAYS = ("empty", "zeros", "ones", "full", "concatenate")


class Counter:
    """Counts calls, and lets one of them fail."""

    def __init__(self, at: int, error: str, place: Path) -> None:
        self.at, self.error, self.place = at, error, str(place)
        self.n = 0
        self.owner = os.getpid()
        # by the lines of code that lead there: the first such call, and the last
        self.by_lines: dict[tuple[Any, ...], tuple[int, int]] = {}

    def pass_(self, name: str) -> None:
        """Count a call; raise where it is the one."""
        if os.getpid() != self.owner:
            return
        self.n += 1
        if self.at == 0:
            lines = _lines()
            self.by_lines[lines] = self.by_lines.get(lines, (self.n, 0))[0], self.n
        if self.n == self.at:
            raise ERRORS[self.error]()

    def is_here(self, path: object) -> bool:
        """Whether a path is one of the test's, and not a module or a cache."""
        if isinstance(path, int):
            return True
        try:
            return os.path.abspath(os.fspath(path)).startswith(self.place)  # type: ignore[call-overload]  # noqa: PTH100
        except TypeError:
            return False


def _lines() -> tuple[Any, ...]:
    """Return the lines of code that are being run, from the innermost call outwards."""
    frame, found = sys._getframe(2), []
    while frame is not None:
        found.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back  # type: ignore[assignment]
    return tuple(found)


@contextmanager
def calls(wanted: dict[str, Any] | None, place: Path) -> Iterator[None]:
    """Let call number wanted["at"] fail with wanted["error"].

    Where that is 0, none fails, and the numbers of all calls that differ are written: of those from
    the same lines of code the first and the last.
    """
    if wanted is None:
        yield
        return
    counter = Counter(wanted["at"], wanted["error"], place)
    kept = _of_arrays(counter) if wanted["error"] == "memory" else _of_files(counter)
    try:
        yield
    finally:
        for module, name, function in kept:
            setattr(module, name, function)
        numbers = sorted({n for both in counter.by_lines.values() for n in both})
        (place / "calls.json").write_text(json.dumps(numbers))


def _of_files(counter: Counter) -> list[tuple[Any, str, Any]]:
    kept: list[tuple[Any, str, Any]] = []

    def replace(module: Any, name: str, made: Callable[[Any], Any]) -> None:
        kept.append((module, name, getattr(module, name)))
        setattr(module, name, made(getattr(module, name)))

    def counted(name: str) -> Callable[[Any], Any]:
        def wrap(function: Any) -> Any:
            def call(*args: Any, **options: Any) -> Any:
                writes = name != "open" or (len(args) > 1 and args[1] & (os.O_WRONLY | os.O_RDWR))
                if writes and args and counter.is_here(args[0]):
                    counter.pass_(name)
                return function(*args, **options)

            return call

        return wrap

    for name in SYSTEM:
        replace(os, name, counted(name))

    def opening(function: Any) -> Any:
        def call(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
            writes = bool(set(mode) & set("wax+")) and counter.is_here(file)
            if not writes or isinstance(file, int):
                return function(file, mode, *args, **options)
            counter.pass_("open")
            opened = function(file, mode, *args, **options)
            return _Failing(opened, counter)

        return call

    import builtins

    replace(builtins, "open", opening)
    replace(io, "open", opening)
    return kept


class _Failing:
    """A file whose writes are counted."""

    def __init__(self, file: Any, counter: Counter) -> None:
        self._file, self._counter = file, counter

    def write(self, *args: Any) -> Any:
        self._counter.pass_("write")
        return self._file.write(*args)

    def __enter__(self) -> _Failing:
        self._file.__enter__()
        return self

    def __exit__(self, *args: Any) -> Any:
        return self._file.__exit__(*args)

    def __iter__(self) -> Any:
        return iter(self._file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _of_arrays(counter: Counter) -> list[tuple[Any, str, Any]]:
    import numpy as np

    kept = []
    for name in ARRAYS:
        function = getattr(np, name)

        def call(*args: Any, function: Any = function, name: str = name, **options: Any) -> Any:
            counter.pass_(name)
            return function(*args, **options)

        kept.append((np, name, function))
        setattr(np, name, call)
    return kept
