"""Jobs side by side: each in a process of its own that reports how far it is, and none outlives the one who asked.

A worker leads its own process group, so that what it starts itself (a compiled simulation) ends with it; it watches the parent,
so that even a killed parent leaves nothing behind.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, cast

from neurosparse.progress import Progress

Job = Callable[[Progress], Any]  # a picklable callable; what it returns must be picklable too
Show = Callable[[str, float, str], None]  # (job, share done, what is going on)

_GRACE_S = 2.0


class WorkerError(RuntimeError):
    """A job died or failed in a way that is not the user's: the message holds its traceback."""


def run_side_by_side(jobs: Mapping[str, Job], show: Show) -> dict[str, Any]:
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
    results: dict[str, Any] = {}
    try:
        for name, job in jobs.items():
            ours, theirs = context.Pipe(duplex=False)
            processes[name] = context.Process(target=_work, args=(job, theirs), name=name)
            processes[name].start()
            theirs.close()
            links[ours] = name
        while links:
            for ready in wait(list(links)):
                link = cast(Connection, ready)
                _hear(link, links[link], processes, results, show)
                if links[link] in results:
                    del links[link]
    except BaseException:
        _stop(processes, patience_s=0)
        raise
    _stop(processes, patience_s=_GRACE_S)
    return {name: results[name] for name in jobs}


def _hear(
    link: Connection, name: str, processes: Mapping[str, SpawnProcess], results: dict[str, Any], show: Show
) -> None:
    """Take one message of a worker: progress is shown, a result is kept, an error is raised."""
    try:
        kind, *content = link.recv()
    except EOFError:
        processes[name].join(_GRACE_S)
        raise WorkerError(f"{name}: the process died ({_cause(processes[name].exitcode)})") from None
    if kind == "refused":
        raise cast(Exception, content[0])
    if kind == "failed":
        raise WorkerError(f"{name}: {content[0]}")
    if kind == "progress":
        show(name, *content)
    else:
        results[name] = content[0]
        show(name, 1.0, "done")


def _work(job: Job, link: Connection) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C and stops the group
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()
    try:
        result = job(lambda done, text: link.send(("progress", done, text)))
    except (ValueError, OSError) as error:
        link.send(("refused", (OSError if isinstance(error, OSError) else ValueError)(str(error))))
    except Exception:
        link.send(("failed", traceback.format_exc()))
    else:
        link.send(("done", result))
    link.close()


def _die_with(sentinel: int) -> None:
    wait([sentinel])
    os.killpg(0, signal.SIGKILL)


def _stop(processes: Mapping[str, SpawnProcess], patience_s: float) -> None:
    for process in processes.values():
        process.join(patience_s)
        if process.exitcode is None and process.pid is not None:
            _kill_group(process.pid)
        process.join()


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # the worker had no time to become a leader of its group, or is gone
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def _cause(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        return f"{name}: out of memory?" if name == "SIGKILL" else name
    return f"exit code {exitcode}"
