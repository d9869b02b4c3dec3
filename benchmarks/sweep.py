"""Cost of a sweep, compared with its runs.

The store and the engine, many runs listed and checked, two processes compared with one.

    python benchmarks/sweep.py [--runs 10000] [--tasks 200] [--pairs N]

Overhead is the whole time of a run that computes nothing and writes 100 kB, through a warm process
and the store, beside a run of 10 s. Two processes and one do runs of a second of CPU time each; the
ratio is that of their wall times.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pairs import in_turn, repeated, row, seconds, show

from neurosparse import store
from neurosparse._internal.workers import pool
from neurosparse.progress import Progress


def write(directory: Path, number: int, n_bytes: int = 100_000) -> None:
    """Write a run of nothing into the store."""
    spec = {"training": {"seed": number, "settings": list(range(30))}}
    with store.claim(directory, store.key("train", spec, "c0de")) as claim:
        if claim is None:
            raise RuntimeError("nobody else works here")
        claim.prepare()
        (claim.folder / "weights.safetensors").write_bytes(b"x" * n_bytes)
        rows = [{f"column{k}": 0.1 * number + k for k in range(12)}]
        claim.complete(
            kind="train", label={"seed": number}, spec=spec, code="c0de", rows=rows, seconds=1.0
        )


def nothing(directory: Path, number: int, progress: Progress) -> None:
    """Store a run of nothing: a task."""
    write(directory, number)


def compute(number: int, progress: Progress) -> float:
    """Compute for a second of CPU time: a task."""
    end, total = time.process_time() + 1.0, 0.0
    while time.process_time() < end:
        total += sum(k * k for k in range(1000))
    return total


def through(work: Callable[..., object], n_tasks: int, n_processes: int) -> float:
    """Return the seconds for tasks in processes that are warm.

    Timed from the end of the first task of each to the end of the last.
    """
    tasks = deque(range(n_tasks + n_processes))
    ended = pool(work, tasks, n_processes, tell=lambda *_: None)
    for _ in range(n_processes):
        next(ended)
    return seconds(lambda: deque(ended, maxlen=0))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--pairs", type=int)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        directory = store.open_directory(Path(folder) / "overhead")
        numbers = iter(range(0, 10**9, 10**6))

        def overhead_ms() -> float:
            work = partial(_from, next(numbers), partial(nothing, directory))
            return 1e3 * through(work, options.tasks, 1) / options.tasks

        overheads = repeated(overhead_ms, options.pairs)
        rows.append(row("sweep_overhead", "-", "ms a run", overheads, None, "<= 20 ms"))
        rows.append(
            row(
                "sweep_overhead",
                "-",
                "% of a run of 10 s",
                [ms / 1e2 for ms in overheads],
                None,
                "<= 2 %",
            )
        )

        many = store.open_directory(Path(folder) / "many")
        for number in range(options.runs):
            write(many, number, n_bytes=1000)
        unit = f"s, {options.runs:,} runs"
        listed = repeated(lambda: seconds(lambda: deque(store.runs(many), maxlen=0)), options.pairs)
        rows.append(row("sweep_overhead", "listing", unit, listed, None, "< 2 s"))
        checked = repeated(lambda: seconds(lambda: store.verify(many)), options.pairs)
        rows.append(row("sweep_overhead", "checking every byte", unit, checked, None, "< 10 s"))
    two, one = in_turn(
        lambda: through(compute, 8, 2), lambda: through(compute, 8, 1), options.pairs
    )
    rows.append(
        row("sweep_overhead", "one process beside two", "s, 8 runs of 1 s CPU", two, one, ">= 1.8x")
    )
    show(rows)


def _from(
    first: int, work: Callable[[int, Progress], object], number: int, progress: Progress
) -> object:
    return work(first + number, progress)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
