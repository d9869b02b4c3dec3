"""One run of a sweep, wherever it is done: claimed, computed, and put into the store."""

from __future__ import annotations

import math
import os
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import EDQUOT, EFBIG, EIO, ENOSPC, EROFS
from pathlib import Path
from typing import Any, Literal, Self

from neurosparse import store
from neurosparse._internal.types import Fields
from neurosparse.progress import Progress
from neurosparse.recipes import Recipe
from neurosparse.store import DamageError
from neurosparse.sweep import kinds
from neurosparse.sweep.code import fingerprint

Outcome = Literal["complete", "failed", "taken"]

_WAIT_S = 0.2
_OF_THE_DISK = (ENOSPC, EDQUOT, EFBIG, EROFS, EIO)


@dataclass(frozen=True, slots=True)
class Task:
    """A run to do; plain values, so that any process on any machine can."""

    directory: str  # of the store
    key: str
    kind: str
    label: Fields
    spec: Fields = field(repr=False)
    code: str
    device: str

    @classmethod
    def of(cls, directory: str, kind: str, label: Fields, spec: Fields, device: str) -> Self:
        """Return the run of a resolved spec with the code as it is."""
        code = code_of(kind, spec)
        # elsewhere the last bits may differ
        spec = spec if device == "cpu" else {**spec, "device": device}
        return cls(directory, store.key(kind, spec, code), kind, label, spec, code, device)


def code_of(kind: str, spec: Fields) -> str:
    """Return the fingerprint of the code that does a run of a kind with a spec."""
    home, named = kinds.registry.home(kind), kinds.registry.get(kind).modules(spec)
    return fingerprint(home, __name__, *sorted(named))


def task(
    directory: str,
    kind: str,
    recipe: Recipe,
    settings: Fields,
    label: Fields,
    device: str,
) -> Task:
    """Return the run of a recipe with settings and a seed.

    ValueError where they do not fit together.
    """
    spec = kinds.registry.get(kind).resolve(recipe, settings, label["seed"])
    return Task.of(directory, kind, label, spec, device)


def perform(task: Task, progress: Progress) -> Outcome:
    """Do a run, unless it is complete, or another process is at it.

    Its own errors are noted in the store; what would befall any run is raised.

    Raises
    ------
    OSError
        Where the store cannot be written, or the disk is full.
    ValueError
        Where the code here is not that of the process that asks.
    """
    directory, kind = Path(task.directory), kinds.registry.get(task.kind)
    if code_of(task.kind, task.spec) != task.code:
        raise ValueError(
            "this worker has other code or other versions than the sweep was started with; start"
            " both anew"
        )
    with store.claim(directory, task.key) as lock:
        if lock is None:
            time.sleep(_WAIT_S)
            return "taken"
        try:
            if store.read(directory, task.key) is not None:
                return "complete"
        except DamageError:
            pass  # `complete` puts it into quarantine
        lock.prepare()
        clock = time.monotonic()
        try:
            with _alone(lock.temporary):
                rows = kind.run(task.spec, lock, task.device, progress)
        except Exception as error:
            if any(os.strerror(number) in str(error) for number in _OF_THE_DISK):
                raise OSError(f"{error}; make room and run the sweep again") from None
            sentence = f"{type(error).__name__}: {error}"
            lock.fail(
                kind=task.kind, label=task.label, error=sentence, details=traceback.format_exc()
            )
            return "failed"
        plain = [{name: _plain(value) for name, value in row.items()} for row in rows]
        lock.complete(
            kind=task.kind,
            label=task.label,
            spec=task.spec,
            code=task.code,
            rows=plain,
            seconds=round(time.monotonic() - clock, 3),
        )
    return "complete"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Allow one thread, whose number decides the last bits of sums.

    Temporary files go where the run goes.
    """
    import torch

    threads, place = torch.get_num_threads(), tempfile.tempdir
    torch.set_num_threads(1)
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        tempfile.tempdir = place


def _plain(value: object) -> Any:
    """Return a value as JSON has it: NumPy's numbers as Python's, NaN as None."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
