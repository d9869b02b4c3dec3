"""Executors, which start workers.

The store is the truth: an executor only hands out tasks and says how each ended.

Each is called as executor(tasks, tell), takes tasks from the left of a deque that the caller may
fill on, and yields `workers.Ended`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path

from neurosparse._internal import workers
from neurosparse._internal.workers import Ended
from neurosparse.progress import Progress
from neurosparse.sweep.runs import Task, perform

Tell = Callable[[Task, float, str], None]
Executor = Callable[[deque[Task], Tell], Generator[Ended[Task], None, None]]

_ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}


def in_process(tasks: deque[Task], tell: Tell) -> Generator[Ended[Task], None, None]:
    """Perform one task after another, in this process."""
    while tasks:
        task = tasks.popleft()
        tell(task, 0.0, "")
        yield Ended(task, perform(task, partial(tell, task)))


def local(n: int, *, device: str, timeout_s: float | None, memory_mb: float | None) -> Executor:
    """Return an executor of `n` processes of this machine, each with one thread.

    Each has a GPU of its own where there are several and they are asked for.
    """
    gpus = _gpus() if device != "cpu" else []
    free_mb = _available_mb()

    def environment(k: int) -> dict[str, str]:
        return _ONE_THREAD | ({"CUDA_VISIBLE_DEVICES": gpus[k % len(gpus)]} if gpus else {})

    def executor(tasks: deque[Task], tell: Tell) -> Generator[Ended[Task], None, None]:
        largest_mb = memory_mb or 0.0
        ended = workers.pool(
            perform_and_weigh,
            tasks,
            n,
            tell=tell,
            timeout_s=timeout_s,
            memory_mb=memory_mb,
            has_room=lambda n_busy: (n_busy + 1) * largest_mb <= free_mb,
            environment=environment,
        )
        try:
            for end in ended:
                if end.death:
                    yield end
                    continue
                outcome, weight_mb = end.result
                largest_mb = memory_mb or max(largest_mb, weight_mb)
                yield Ended(end.task, outcome)
        finally:
            ended.close()

    return executor


def perform_and_weigh(task: Task, progress: Progress) -> tuple[str, float]:
    """Return what `perform` does, and the most memory of this process so far, in MB.

    The memory is 0 where the system does not say.
    """
    outcome = perform(task, progress)
    try:
        import resource
    except ImportError:  # Windows
        return outcome, 0.0
    return outcome, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _available_mb() -> float:
    """Return the memory that can be had without swapping, in MB.

    Infinite where the system does not say.
    """
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(
            int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable")
        )
    except (OSError, StopIteration):
        return float("inf")


def _gpus() -> list[str]:
    if (chosen := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [gpu for gpu in chosen.split(",") if gpu]
    return [path.name.removeprefix("nvidia") for path in sorted(Path("/dev").glob("nvidia[0-9]*"))]
