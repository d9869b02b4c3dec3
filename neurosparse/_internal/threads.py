"""Several trainings at once in threads of this process.

Compiled kernels leave Python's lock alone while they work.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, ThreadPoolExecutor, wait
from typing import TypeVar

from neurosparse.progress import Progress, shortened

T = TypeVar("T")


def cores() -> int:
    """Return how many cores this process may use: those of its affinity, where a system has it."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_in_threads(
    work: Callable[[int, Progress], T], names: Sequence[str], n_threads: int, progress: Progress
) -> list[T]:
    """Call `work(k, progress)` for each of `names`, `n_threads` of them at once.

    Parameters
    ----------
    work
        Is given a progress of its own, in which the others are counted; once one of them has
        failed, or upon Ctrl-C, it raises CancelledError there: a thread ends nowhere else.
    names
        What each is, for the words of the progress.
    n_threads
        The most that work at the same time.
    progress
        Told the share of all that is done, and what one of them does now.

    Returns
    -------
    list
        The results, in the order of `names`.

    Raises
    ------
    BaseException
        The first that one of them raised; those not yet begun are not.
    """
    shares, lock, stopped = [0.0] * len(names), threading.Lock(), threading.Event()
    failures: list[BaseException] = []

    def one(k: int) -> T:
        def part(done: float, text: str) -> None:
            if stopped.is_set():
                raise CancelledError
            with lock:
                shares[k] = done
                progress(sum(shares) / len(names), shortened(f"{names[k]}: {text}"))

        try:
            part(0.0, "begins")
            return work(k, part)
        except BaseException as error:
            failures.append(error)
            stopped.set()  # at once: this thread would begin the next
            raise

    with ThreadPoolExecutor(n_threads) as pool:
        futures = [pool.submit(one, k) for k in range(len(names))]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:  # upon Ctrl-C, too
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
    if failures:
        raise failures[0]
    return [future.result() for future in futures]
