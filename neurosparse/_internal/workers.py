"""Jobs side by side, each in a process of its own that reports how far it is.

None outlives the one who asked.

`run_side_by_side` runs a few different jobs at once; `pool` runs one after another of many tasks in
processes that stay warm.

A worker leads its own process group, so that what it starts itself (a compiled simulation) ends
with it; it watches the parent, so that even a killed parent leaves nothing behind.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, TypeVar, cast

from neurosparse._internal import scratch
from neurosparse._internal.types import Fields
from neurosparse.progress import Progress, with_compilation

Job = Callable[[Progress], Any]  # a picklable callable; what it returns must be picklable too
Show = Callable[[str, float, str], None]  # (job, share done, what is going on)
Task = TypeVar("Task")

_GRACE_S = 2.0
_BEAT_S = 0.5  # how often a pool looks for tasks that take too long
_START_S = 120.0  # the most that a process may take to begin with a task


class WorkerError(RuntimeError):
    """A job died or failed in a way that is not the user's.

    The message is one sentence; its cause has the traceback.
    """


def run_side_by_side(jobs: Mapping[str, Job], show: Show) -> Fields:
    """Run every job at once, each in a process of its own, and return what they returned.

    Raises
    ------
    ValueError, OSError
        What a job raised because of its input, message unchanged; the other jobs are stopped.
    WorkerError
        Where a job failed otherwise or its process died.
    KeyboardInterrupt
        On Ctrl-C, after all processes are gone.
    """
    context = multiprocessing.get_context("spawn")
    processes: dict[str, SpawnProcess] = {}
    links: dict[Connection, str] = {}
    results: Fields = {}
    try:
        for name, job in jobs.items():
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(job, theirs), name=name)
            processes[name] = process
            with _environment(scratch.variables(scratch.for_children())):
                process.start()
            theirs.close()
            links[ours] = name
        while links:
            for ready in wait(list(links)):
                link = cast(Connection, ready)
                _receive(link, links[link], processes, results, show)
                if links[link] in results:
                    del links[link]
    except BaseException:
        _stop(processes, patience_s=0)
        raise
    _stop(processes, patience_s=_GRACE_S)
    return {name: results[name] for name in jobs}


def _receive(
    link: Connection,
    name: str,
    processes: Mapping[str, SpawnProcess],
    results: Fields,
    show: Show,
) -> None:
    """Take one message of a worker: progress is shown, a result is kept, an error is raised."""
    try:
        kind, *content = link.recv()
    except EOFError:
        processes[name].join(_GRACE_S)
        raise WorkerError(
            f"{name}: the process died ({_cause(processes[name].exitcode)})"
        ) from None
    if kind == "refused":
        raise _noted(content[0], content[1])
    if kind == "starved":
        raise MemoryError(f"{name}: {content[0]}")
    if kind == "failed":
        raise _noted(WorkerError(f"{name}: {content[0]}"), content[1])
    if kind == "progress":
        show(name, *content)
    else:
        results[name] = content[0]
        show(name, 1.0, "done")


# ---- Many tasks, warm processes
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ended(Generic[Task]):
    """A task at its end: with a result, or with the death of its process.

    Processes die for want of memory or otherwise.
    """

    task: Task
    result: Any = None
    death: str = ""  # why the process died; empty where it did not
    too_long: bool = False  # whether it was killed for taking longer than it may


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    link: Connection
    task: Any = None
    until: float = 0.0  # when the task has taken too long, on the monotonic clock


def pool(
    work: Callable[[Task, Progress], Any],
    tasks: deque[Task],
    n: int,
    *,
    tell: Callable[[Task, float, str], None],
    timeout_s: float | None = None,
    memory_mb: float | None = None,
    has_room: Callable[[int], bool] = lambda n_busy: True,
    environment: Callable[[int], Mapping[str, str]] = lambda k: {},
) -> Generator[Ended[Task], None, None]:
    """Run tasks in up to `n` processes that stay warm, and yield each as it ends.

    A process that dies takes its task with it, which is said, and a new one takes its place. Close
    the iterator to stop all.

    Parameters
    ----------
    work
        Called as work(task, progress) in a worker; it, the tasks and the results must be picklable.
    tasks
        Taken from the left; the caller may put more there while it iterates.
    n
        The most processes at the same time.
    tell
        Told as (task, share done, what is going on) when a task begins, and what it reports.
    timeout_s
        A task that takes longer is killed, with its process. The time in which a process starts
        does not count.
    memory_mb
        The most memory that a worker may allocate for itself.
    has_room
        Whether another task may begin next to those that run, given their number (> 0).
    environment
        Variables of the environment of the k-th worker.

    Raises
    ------
    ValueError, OSError, WorkerError
        What `work` raised, as `run_side_by_side` does; all others are stopped.
    """
    workers: list[_Worker] = []
    try:
        while tasks or any(worker.task is not None for worker in workers):
            busy = [worker for worker in workers if worker.task is not None]
            while tasks and len(busy) < n and (not busy or has_room(len(busy))):
                worker = next((w for w in workers if w.task is None), None)
                if worker is None:
                    worker = _hire(work, memory_mb, environment(len(workers)))
                    workers.append(worker)
                try:
                    worker.link.send(tasks[0])
                except OSError:  # it died while it had nothing to do
                    _dismiss(worker, workers)
                    continue
                worker.task = tasks.popleft()
                worker.until = time.monotonic() + _START_S + (timeout_s or float("inf"))
                busy.append(worker)
                tell(worker.task, 0.0, "")
            ready = wait([worker.link for worker in busy], timeout=_BEAT_S)
            for worker in busy:
                if worker.link in ready:
                    ended = _answer_of(worker, tell, timeout_s)
                elif time.monotonic() > worker.until:
                    ended = Ended(
                        worker.task,
                        death=f"it took longer than timeout_s = {timeout_s:g}",
                        too_long=True,
                    )
                else:
                    continue
                if ended is None:
                    continue
                if ended.death:
                    _dismiss(worker, workers)
                worker.task = None
                yield ended
    finally:
        _stop({str(k): worker.process for k, worker in enumerate(workers)}, patience_s=0)


def _hire(
    work: Callable[..., Any], memory_mb: float | None, variables: Mapping[str, str]
) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(work, theirs, memory_mb))
    with _environment({**scratch.variables(scratch.for_children()), **variables}):
        process.start()
    theirs.close()
    return _Worker(process, ours)


def _dismiss(worker: _Worker, workers: list[_Worker]) -> None:
    _stop({"": worker.process}, patience_s=0)
    worker.link.close()
    workers.remove(worker)


def _answer_of(
    worker: _Worker, tell: Callable[[Any, float, str], None], timeout_s: float | None
) -> Ended[Any] | None:
    """Receive what a worker says; None where its task is under way.

    An error that the work raised is raised.
    """
    try:
        kind, *content = worker.link.recv()
    except (EOFError, OSError):
        worker.process.join(_GRACE_S)
        return Ended(worker.task, death=f"the process died ({_cause(worker.process.exitcode)})")
    if kind == "refused":
        raise _noted(content[0], content[1])
    if kind == "begun":
        worker.until = time.monotonic() + (timeout_s or float("inf"))
        return None
    if kind == "starved":
        return Ended(worker.task, death="it ran out of memory")
    if kind == "failed":
        raise _noted(WorkerError(content[0]), content[1])
    if kind == "done":
        return Ended(worker.task, content[0])
    tell(worker.task, *content)
    return None


def _serve(work: Callable[[Any, Progress], Any], link: Connection, memory_mb: float | None) -> None:
    _begin()
    if memory_mb is not None:
        _limit_memory(int(memory_mb * 2**20))
    while True:
        try:
            task = link.recv()
        except EOFError:
            return
        link.send(("begun",))
        _do(partial(work, task), link)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Replace some variables of the environment for a process that starts in the meantime."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# ---- In the worker
# --------------------------------------------------------------------------------------------------


def _work(job: Job, link: Connection) -> None:
    _begin()
    _do(job, link)
    link.close()


def _begin() -> None:
    """Lead a group, and end with the parent.

    Ctrl-C and SIGTERM are left to the parent, which stops the group.
    """
    if hasattr(os, "setsid"):
        os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()


def _limit_memory(most_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # Windows: the pool goes by what the runs so far took
        return
    resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, most_bytes))


def _do(job: Job, link: Connection) -> None:
    try:
        with with_compilation(lambda done, text: link.send(("progress", done, text))) as told:
            result = job(told)
    except MemoryError as error:
        link.send(("starved", str(error) or "it ran out of memory"))
    except Exception as error:
        refused = next((kind for kind in (OSError, ValueError) if isinstance(error, kind)), None)
        if refused is not None:
            answer: tuple[Any, ...] = ("refused", refused(str(error)))
        else:
            answer = ("failed", f"{type(error).__name__}: {error}")
        link.send((*answer, traceback.format_exc()))
    else:
        link.send(("done", result))


def _die_with(sentinel: int) -> None:
    wait([sentinel])
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


# ---- How they end
# --------------------------------------------------------------------------------------------------


def _stop(processes: Mapping[str, SpawnProcess], patience_s: float) -> None:
    for process in processes.values():
        if process.pid is None:  # it was never started
            continue
        process.join(patience_s)
        if process.exitcode is None:
            _end(process)
        process.join()


def _end(process: SpawnProcess) -> None:
    """Kill a worker with all that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(cast(int, process.pid), signal.SIGKILL)
            return
    # it had no time to become a leader of its group, or is gone
    process.kill()


def _noted(error: Exception, details: str) -> Exception:
    """Give an error a cause that shows the traceback of the process it comes from."""
    error.__cause__ = RuntimeError(f"in a process of its own:\n{details}")
    return error


def _cause(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        return f"{name}: out of memory?" if name == "SIGKILL" else name
    return f"exit code {exitcode}"
