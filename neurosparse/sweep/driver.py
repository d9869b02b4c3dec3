"""A sweep from its spec to its table: what is missing is run, what is complete is left alone."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from neurosparse import recipes, store
from neurosparse._internal import cards, checks
from neurosparse._internal.threads import cores
from neurosparse._internal.types import Fields
from neurosparse._internal.workers import Ended
from neurosparse.progress import Progress, quiet
from neurosparse.store import DamageError, Failure, Run
from neurosparse.sweep import executors, runs
from neurosparse.sweep.runs import Task
from neurosparse.sweep.spec import SweepSpec

TABLE = "table.parquet"


@dataclass(frozen=True, slots=True)
class Sweep(cards.Shown):
    """Result of a sweep."""

    rows: tuple[Fields, ...] = field(
        repr=False
    )  # of every complete run, in the sweep's order: `run`, what varies, results
    n_runs: int  # that were asked for
    n_before: int  # of them, complete before it began
    failures: tuple[Failure, ...]

    def lines(self) -> list[str]:
        """Say how many runs are complete, and why the others are not."""
        n_complete = self.n_runs - len(self.failures)
        lines = [
            f"{n_complete} of {self.n_runs} runs are complete, {self.n_before} of them from before."
        ]
        for error, n in Counter(failure.error for failure in self.failures).most_common():
            first = next(failure for failure in self.failures if failure.error == error)
            lines.append(f"{n} failed: {error} (such as {first.key[:8]})")
        return lines

    def _card(self) -> cards.Card:
        return cards.Card("Sweep: its first rows", self.rows[:10], self.lines())


def run(
    spec: SweepSpec,
    directory: str | Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    retry_failed: bool = False,
    progress: Progress = quiet,
) -> Sweep:
    """Run what is missing of a sweep, and write its table.

    Call it again to go on after whatever happened.

    Any number of processes, on any number of machines that share `directory`, may run the same
    sweep at the same time.

    Parameters
    ----------
    spec
        What to run: `SweepSpec(kind="train", recipe="rectifier", grid={"l1": [0.0, 0.001]},
        seeds=(1, 2))`, or `sweep.load(path)`.
    directory
        A store (`neurosparse.store`): runs/KEY/ has the files of each run (weights, spikes). It may
        hold other sweeps too.
    workers
        Processes on this machine, each with one thread; 0: this process itself. By default as many
        as there are cores. Scripts need `if __name__ == "__main__":` around what calls this, as the
        processes import the script.
    scheduler
        Address of a Dask scheduler, whose workers are used instead.
    retry_failed
        Whether to try again what failed before; otherwise it is skipped and counted as failed.
    progress
        Told the share that is done, and how many runs are done, running and failed.

    Returns
    -------
    Sweep
        With `rows`, the table that is also written as table.parquet and table.csv. For each run it
        has its key, its settings and its seed. "train" adds test_error, test_nll (in nats),
        validation_error, active_fraction (of all hidden units, on the test images),
        hidden1_active_fraction, n_dead and more. "simulate" adds rate_hz, active_fraction and more
        of each population. Errors of single runs do not stop it: see `failures`.

    Raises
    ------
    ValueError
        Where a point of the sweep is not a valid run, before anything is run.
    OSError
        Where the directory cannot be written, or the disk is full; what is complete stays so.

    Examples
    --------
    >>> spec = SweepSpec(kind="train", recipe="rectifier", grid={"l1": (0.0, 0.001)}, seeds=(1, 2))
    >>> sweep = run(spec, "results/l1", workers=2)  # doctest: +SKIP
    >>> [(row["l1"], row["active_fraction"], row["test_error"]) for row in sweep.rows]  # doctest: +SKIP
    """  # noqa: E501
    n_workers = cores() if workers is None else checks.whole("workers", workers, least=0)
    tasks = plan(spec, directory)
    place = store.open_directory(directory)
    store.tidy(place)
    complete = _complete(place, tasks, progress)
    failed = {} if retry_failed else store.failures(place)
    todo = [task for task in tasks if task.key not in complete and task.key not in failed]
    n_before = len(complete)
    if todo:
        executor = _executor(spec, n_workers, scheduler)
        try:
            _run_all(todo, executor, spec, (n_before, len(tasks)), progress)
        except BaseException:
            with suppress(OSError):  # such as the one that stopped it
                store.tidy(place)
            raise
        complete |= _complete(place, todo, quiet, thorough=False)
        failed = store.failures(place)
    rows = [
        row
        for task in tasks
        if task.key in complete
        for row in complete[task.key].table(task.label)
    ]
    failures = tuple(
        failed[task.key] for task in tasks if task.key in failed and task.key not in complete
    )
    store.write_table(place, rows, Path(TABLE).stem)
    progress(1.0, f"{len(complete)} done, {len(failures)} failed")
    return Sweep(tuple(rows), len(tasks), n_before, failures)


def plan(spec: SweepSpec, directory: str | Path) -> list[Task]:
    """Return the runs of a sweep, each once.

    ValueError, with what varies in it, for the first that is not valid.
    """
    checks.instance("spec", spec, SweepSpec, "neurosparse.sweep.load(name) gives one")
    recipe = recipes.load(spec.recipe)
    tasks: dict[str, Task] = {}
    for point, seed in spec.points():
        task = runs.task(
            str(directory),
            spec.kind,
            recipe,
            {**spec.settings, **point},
            {**point, "seed": seed},
            spec.device,
        )
        tasks.setdefault(task.key, task)
    return list(tasks.values())


def _complete(
    directory: Path, tasks: Sequence[Task], progress: Progress, *, thorough: bool = True
) -> dict[str, Run]:
    """Return the runs that are complete and undamaged, by key.

    Damage is dealt with when the run is done anew.
    """
    found = {}
    for k, task in enumerate(tasks):
        try:
            if (run := store.read(directory, task.key, thorough=thorough)) is not None:
                found[task.key] = run
        except DamageError:
            continue
        if k % 100 == 0:
            progress(0.0, f"checked {k} of {len(tasks)} runs")
    return found


def _executor(spec: SweepSpec, n_workers: int, scheduler: str | None) -> executors.Executor:
    if scheduler is not None:
        from neurosparse.sweep import dask

        return dask.executor(scheduler, timeout_s=spec.timeout_s)
    if n_workers == 0:
        if spec.timeout_s or spec.memory_mb:
            raise ValueError(
                "timeout_s and memory_mb need processes of their own: use workers >= 1"
            )
        return executors.in_process
    return executors.local(
        n_workers, device=spec.device, timeout_s=spec.timeout_s, memory_mb=spec.memory_mb
    )


def _run_all(
    todo: Sequence[Task],
    executor: executors.Executor,
    spec: SweepSpec,
    done_of: tuple[int, int],
    progress: Progress,
) -> None:
    tasks, deaths, shares = deque(todo), Counter[str](), dict[str, float]()
    n_before, n = done_of
    n_ended = n_failed = 0
    started = time.monotonic()

    def say() -> None:
        done = n_ended + sum(shares.values())
        left_s = (time.monotonic() - started) * (len(todo) - done) / done if done else None
        words = f"{n_before + n_ended - n_failed} done, {len(shares)} running, {n_failed} failed"
        progress(
            (n_before + done) / n, words + ("" if left_s is None else f", {_span(left_s)} left")
        )

    def tell(task: Task, done: float, text: str) -> None:
        shares[task.key] = done
        say()

    with closing(executor(tasks, tell)) as ended:
        for end in ended:
            shares.pop(end.task.key, None)  # it may have ended before it told anything
            outcome = _after_death(end, deaths, spec.attempts) if end.death else end.result
            if outcome in ("again", "taken"):
                tasks.append(end.task)
                continue
            n_ended += 1
            n_failed += outcome == "failed"
            say()


def _after_death(end: Ended[Task], deaths: Counter[str], attempts: int) -> str:
    """Say what becomes of a run whose process died: "again", or "failed", which is noted."""
    task = end.task
    deaths[task.key] += 1
    if deaths[task.key] < attempts and not end.too_long:
        return "again"
    with store.claim(Path(task.directory), task.key) as lock:
        if lock is None:
            return "again"
        lock.fail(kind=task.kind, label=task.label, error=end.death)
    return "failed"


def _span(seconds: float) -> str:
    """Format a time: '45 s', '12 min', '3.5 h'."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
