"""Sizes of jobs, said before they begin: memory and time, estimated from below.

An estimate counts what cannot be done without, so a job that fits is never refused.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

MOST_SEED = 2**63 - 1  # what every generator here takes; results keep it as a 64-bit integer
MOST_SEEDS = 10_000  # of one job
LONGEST_S = 30 * 86_400.0  # of a job that is not meant for another machine
_MEMINFO = Path("/proc/meminfo")
_LIMITS = Path("/sys/fs/cgroup")


def check_memory(what: str, needed: float, remedy: str) -> None:
    """Refuse what needs more memory than there is.

    Parameters
    ----------
    what
        What needs it, the subject of the sentence.
    needed
        Bytes at least.
    remedy
        What to do, the end of the sentence.

    Raises
    ------
    ValueError
        With the estimate.
    """
    there = memory_there()
    if there is not None and needed > there:
        raise ValueError(
            f"{what} needs about {in_bytes(needed)} of memory, {in_bytes(there)} are there:"
            f" {remedy}"
        )


def check_time(what: str, seconds: float, remedy: str) -> None:
    """Refuse what takes longer than a month.

    Parameters
    ----------
    what, remedy
        As for `check_memory`.
    seconds
        Of computing at least.

    Raises
    ------
    ValueError
        With the estimate.
    """
    if seconds > LONGEST_S:
        raise ValueError(f"{what} takes about {in_time(seconds)} or more: {remedy}")


def memory_there() -> int | None:
    """Return the bytes of memory that can be had; None where that is unknown.

    They are this machine's, or this container's where it has less.
    """
    found = [size for size in (_of_machine(), _of_container()) if size is not None]
    return min(found, default=None)


def bytes_of(shapes: Mapping[str, tuple[int, ...]]) -> float:
    """Return the bytes of tensors of float32 of these shapes.

    Examples
    --------
    >>> bytes_of({"weight": (10, 100), "bias": (10,)})
    4040.0
    """
    return 4.0 * sum(math.prod(shape) for shape in shapes.values())


def in_bytes(n: float) -> str:
    """Return a number of bytes with its unit, such as "3.2 TB".

    Examples
    --------
    >>> in_bytes(3.2e12), in_bytes(5e21)
    ('3.2 TB', '5e+09 TB')
    """
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n / 1e3:.3g} kB"


def in_time(seconds: float) -> str:
    """Return a long time in words, such as "40 days".

    Examples
    --------
    >>> in_time(40 * 86400), in_time(1e12)
    ('40 days', '31,700 years')
    """
    if not math.isfinite(seconds) or seconds > 1e13:
        return f"{seconds / 3.156e7:.0e} years"
    if seconds > 2 * 3.156e7:
        return f"{float(f'{seconds / 3.156e7:.3g}'):,.0f} years"
    return f"{seconds / 86_400:.0f} days"


def _of_machine() -> int | None:
    try:
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, AttributeError):
            return None


def _of_container() -> int | None:
    try:
        most = int((_LIMITS / "memory.max").read_text())
        used = int((_LIMITS / "memory.current").read_text())
        # what files keep in the memory is given back
        for line in (_LIMITS / "memory.stat").read_text().splitlines():
            if line.startswith("file "):
                used -= int(line.split()[1])
    except (OSError, ValueError):
        return None
    return max(most - used, 0)
