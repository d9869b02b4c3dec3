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
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Self

from neurosparse import store
from neurosparse.progress import Progress
from neurosparse.recipes import Recipe
from neurosparse.store import DamageError
from neurosparse.sweep.code import fingerprint

# Each has MODULES and PACKAGES, which compute it, `resolve(recipe, settings, seed)` and `run(spec,
# claim, device, progress)`.
KINDS = {
    "train": "neurosparse.sweep.training",
    "simulate": "neurosparse.sweep.simulating",
    "convert": "neurosparse.sweep.converting",
}

Outcome = Literal["complete", "failed", "taken"]

_WAIT_S = 0.2
_OF_THE_DISK = (ENOSPC, EDQUOT, EFBIG, EROFS, EIO)


@dataclass(frozen=True, slots=True)
class Task:
    """A run to do; plain values, so that any process on any machine can."""

    directory: str  # of the store
    key: str
    kind: str
    label: dict[str, Any]
    spec: dict[str, Any] = field(repr=False)
    code: str
    device: str

    @classmethod
    def of(
        cls, directory: str, kind: str, label: dict[str, Any], spec: dict[str, Any], device: str
    ) -> Self:
        """The run of a resolved spec with the code as it is."""
        module = import_module(KINDS[kind])
        # elsewhere the last bits may differ
        spec = spec if device == "cpu" else {**spec, "device": device}
        code = fingerprint(module.MODULES, module.PACKAGES)
        return cls(directory, store.key(kind, spec, code), kind, label, spec, code, device)


def task(
    directory: str,
    kind: str,
    recipe: Recipe,
    settings: dict[str, Any],
    label: dict[str, Any],
    device: str,
) -> Task:
    """The run of a recipe with settings and a seed. ValueError where they do not fit together."""
    spec = import_module(KINDS[kind]).resolve(recipe, settings, label["seed"])
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
    directory, module = Path(task.directory), import_module(KINDS[task.kind])
    if fingerprint(module.MODULES, module.PACKAGES) != task.code:
        raise ValueError(
            "this worker has other code or other versions than the sweep was started with; start"
            " both anew"
        )
    with store.claim(directory, task.key) as claim:
        if claim is None:
            time.sleep(_WAIT_S)
            return "taken"
        try:
            if store.read(directory, task.key) is not None:
                return "complete"
        except DamageError:
            pass  # `complete` puts it into quarantine
        claim.prepare()
        clock = time.monotonic()
        try:
            with _alone(claim.temporary):
                rows = module.run(task.spec, claim, task.device, progress)
        except Exception as error:
            if any(os.strerror(number) in str(error) for number in _OF_THE_DISK):
                raise OSError(f"{error}; make room and run the sweep again") from None
            sentence = f"{type(error).__name__}: {error}"
            claim.fail(
                kind=task.kind, label=task.label, error=sentence, details=traceback.format_exc()
            )
            return "failed"
        plain = [{name: _plain(value) for name, value in row.items()} for row in rows]
        claim.complete(
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
    """One thread, whose number decides the last bits of sums; and temporary files that go where the
    run goes.
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


def _plain(value: Any) -> Any:
    """A value as JSON has it: NumPy's numbers as Python's, NaN as None."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
