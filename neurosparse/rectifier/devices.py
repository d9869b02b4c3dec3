"""Devices on which a network is trained.

A name from the command line is resolved to a torch device that is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

KINDS = ("cpu", "cuda", "mps")


def resolve(device: str | torch.device = "auto") -> torch.device:
    """Return the torch device of that name.

    Parameters
    ----------
    device
        "auto" (an accelerator where there is one, else the CPU), "cpu", "cuda", "cuda:1", "mps", or
        a torch.device.

    Raises
    ------
    ValueError
        For an unknown device, and for one that this machine or this build of torch lacks.

    Examples
    --------
    >>> resolve("cpu")
    device(type='cpu')
    """
    if device == "auto":
        return torch.device(next((kind for kind in ("cuda", "mps") if _count(kind)), "cpu"))
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        found = None
    if found is None or found.type not in KINDS:
        raise ValueError(f"device must be auto, {', '.join(KINDS)}, got {str(device)!r}")
    if (found.index or 0) >= _count(found.type):
        there = ["cpu", *(kind for kind in ("cuda", "mps") if _count(kind))]
        raise ValueError(
            f"device {str(device)!r} is not available here; use {' or '.join(there)}, or auto"
        )
    return found


@contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """Have torch work with n threads in this thread of Python, and as many as before afterwards.

    Threads that this one starts work with n as well.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_thread(where: torch.device) -> AbstractContextManager[None]:
    """Return a block in which torch works with one thread on the CPU, and as ever elsewhere.

    With more, torch sums in another order, so that the same spec would give other numbers on a
    machine with other cores. Minibatches are too small to gain much from threads.
    """
    return torch_threads(1) if where.type == "cpu" else nullcontext()


def _count(kind: str) -> int:
    """Count the devices of a kind."""
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return 1
