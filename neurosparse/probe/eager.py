"""Compiled code that runs as it was written, while anybody looks at what it computes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from neurosparse._internal.types import Foreign

_lock = threading.Lock()
_stances: list[Foreign] = []  # the one that is in force: torch has one for the whole process
_n_looking = 0


@contextmanager
def eagerly() -> Iterator[None]:
    """Run what `torch.compile` made eagerly in this block.

    Blocks may overlap and end in any order: the first sets torch's stance, and the last puts back
    what was there before.
    """
    global _n_looking
    if "torch._dynamo" not in sys.modules or not hasattr(torch.compiler, "set_stance"):
        yield
        return
    with _lock:
        _n_looking += 1
        if _n_looking == 1:
            _stances.append(torch.compiler.set_stance("force_eager"))
    try:
        yield
    finally:
        with _lock:
            _n_looking -= 1
            if _n_looking == 0 and not sys.is_finalizing():
                _stances.pop().__exit__(None, None, None)
