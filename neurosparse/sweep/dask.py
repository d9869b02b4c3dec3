"""Workers of a Dask scheduler: on other machines, or handed out by a cluster's queue.

Dask only starts and feeds them; what is done is in the store, which all machines must see at the same path. A lost worker, or a
lost scheduler, loses the runs under way down to their checkpoints, and nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from queue import Empty, SimpleQueue
from typing import Any

from neurosparse.progress import quiet
from neurosparse.sweep.engines import Engine, Tell
from neurosparse.sweep.runs import Task, perform
from neurosparse.workers import Ended, WorkerError

_WAIT_S = 30.0  # for a scheduler, and for its first worker
_BEAT_S = 1.0  # how often to look whether the scheduler is there
_EACH = 2  # tasks that a worker has at hand, so that it never waits for the next


def engine(address: str, *, timeout_s: float | None) -> Engine:
    """The workers of the scheduler at `address` ("tcp://host:8786", "tls://..."); TLS and all else as Dask is configured.

    Raises
    ------
    OSError
        Where there is no scheduler, it has no workers, or it goes away.
    ValueError
        For workers with more than one thread.
    """

    def run(tasks: deque[Task], tell: Tell) -> Generator[Ended[Task], None, None]:
        client = _connect(address)
        ended: SimpleQueue[Any] = SimpleQueue()
        under_way: dict[Any, Task] = {}  # by future
        try:
            while tasks or under_way:
                room = _EACH * len(client.scheduler_info()["workers"]) - len(under_way)
                for _ in range(min(room, len(tasks))):
                    task = tasks.popleft()
                    tell(task, 0.0, "")
                    future = client.submit(perform_within, task, timeout_s, pure=False)
                    under_way[future] = task
                    future.add_done_callback(ended.put)
                try:
                    future = ended.get(timeout=_BEAT_S)
                except Empty:
                    if client.status != "running":
                        raise _gone(address) from None
                    continue
                yield _end(future, under_way.pop(future), address)
        finally:
            client.close(timeout=2)

    return run


def _connect(address: str) -> Any:
    from distributed import Client

    try:
        client = Client(address, timeout=_WAIT_S, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise OSError(f"no Dask scheduler at {address}: {error}") from None
    try:
        client.wait_for_workers(1, timeout=_WAIT_S)
    except TimeoutError:
        raise OSError(f"the Dask scheduler at {address} has no workers; start some: dask worker {address}") from None
    for name, worker in client.scheduler_info()["workers"].items():
        if worker["nthreads"] != 1:
            threads = f"{name} has {worker['nthreads']}: start them with --nthreads 1"
            raise ValueError(f"Dask workers need one thread each, {threads}")
    return client


def _end(future: Any, task: Task, address: str) -> Ended[Task]:
    from distributed.scheduler import KilledWorker

    if future.status == "finished":
        return Ended(task, future.result())
    if future.status != "error":  # cancelled, lost
        raise _gone(address)
    error = future.exception()
    if isinstance(error, KilledWorker):
        return Ended(task, death="its workers died: out of memory, or longer than timeout_s")
    raise error if isinstance(error, ValueError | OSError) else WorkerError(str(error))


def _gone(address: str) -> OSError:
    return OSError(f"the Dask scheduler at {address} is gone; start one and run the sweep again")


def perform_within(task: Task, timeout_s: float | None) -> str:
    """What `perform` returns; the process ends where it takes longer than it may, and Dask's nanny starts another."""
    import signal

    signal.setitimer(signal.ITIMER_REAL, timeout_s or 0.0)
    try:
        return perform(task, quiet)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
