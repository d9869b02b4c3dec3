"""Workers of a Dask scheduler: on other machines, or handed out by a cluster's queue.

Dask only starts and feeds them; what is done is in the store, which all machines must see at the
same path. A lost worker, or a lost scheduler, loses the runs under way down to their checkpoints,
and nothing else.
"""

from __future__ import annotations

import re
import secrets
import signal
import time
from collections import deque
from collections.abc import Generator
from queue import Empty, SimpleQueue

from neurosparse._internal.imports import need
from neurosparse._internal.types import Foreign
from neurosparse._internal.workers import Ended, WorkerError
from neurosparse.sweep.executors import Executor, Tell
from neurosparse.sweep.runs import Task, perform

_TLS = "DASK_DISTRIBUTED__COMM__TLS__"
_ADDRESS = re.compile(r"((tcp|tls|wss?|ucxx?)://)?(\[[\da-fA-F:.%]+\]|[^\s/:\[\]]+):\d{1,5}/?")
_CONNECT_S = 10.0  # for a scheduler
_WAIT_S = 30.0  # for its first worker
_BEAT_S = 1.0  # how often to look whether the scheduler is there
_TELL_S = 0.5  # how often a worker tells how far it is, at most
_EACH = 2  # tasks that a worker has at hand, so that it never waits for the next


def executor(address: str, *, timeout_s: float | None) -> Executor:
    """Return an executor for the workers of the scheduler at `address`.

    An address is such as "tcp://host:8786" or "tls://...". TLS and all else are as Dask is
    configured.

    Raises
    ------
    OSError
        Where there is no scheduler, it has no workers, or it goes away.
    ValueError
        For what is no such address, and for workers with more than one thread.
    """
    if not _ADDRESS.fullmatch(address):  # Dask would wait for it for a minute
        raise ValueError(
            f"the Dask scheduler must be an address such as tcp://host:8786, got {address[:80]!r}"
        )

    def run(tasks: deque[Task], tell: Tell) -> Generator[Ended[Task], None, None]:
        client = _connect(address)
        news: SimpleQueue[Foreign] = SimpleQueue()  # futures that are done, and what workers report
        under_way: dict[Foreign, Task] = {}  # by future
        topic = f"neurosparse-{secrets.token_hex(8)}"
        try:
            client.subscribe_topic(topic, lambda event: news.put(event[1]))
            while tasks or under_way:
                room = _EACH * _n_workers(client, address) - len(under_way)
                for _ in range(min(room, len(tasks))):
                    task = tasks.popleft()
                    future = client.submit(perform_within, task, timeout_s, topic, pure=False)
                    under_way[future] = task
                    future.add_done_callback(news.put)
                try:
                    new = news.get(timeout=_BEAT_S)
                except Empty:
                    continue
                if new in under_way:
                    yield _end(new, under_way.pop(new), address)
                    continue
                key, done, text = new
                for task in under_way.values():
                    if task.key == key:  # otherwise the report was slower than the result
                        tell(task, done, text)
        finally:
            client.close(timeout=2)

    return run


def _connect(address: str) -> Foreign:
    need("distributed", "a sweep with --scheduler", extra="distributed")
    from distributed import Client, Security

    try:
        if (
            address.startswith("tls://")
            and Security().get_connection_args("client")["ssl_context"] is None
        ):
            raise OSError(
                f"no certificate is configured: set {_TLS}CA_FILE, {_TLS}CLIENT__CERT and"
                f" {_TLS}CLIENT__KEY"
            )
        client = Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise OSError(f"no Dask scheduler at {address}: {error}") from None
    try:
        _check_workers(client, address)
    except BaseException:
        client.close(timeout=2)
        raise
    return client


def _check_workers(client: Foreign, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=_WAIT_S)
    except TimeoutError:
        raise OSError(
            f"the Dask scheduler at {address} has no workers; start some: dask worker {address}"
        ) from None
    for name, n_threads in client.nthreads().items():
        if n_threads != 1:
            threads = f"{name} has {n_threads}: start them with --nthreads 1"
            raise ValueError(f"Dask workers need one thread each, {threads}")


def _n_workers(client: Foreign, address: str) -> int:
    try:
        if client.status == "running":
            return len(client.nthreads())
    except OSError:
        pass
    raise _gone(address)


def _end(future: Foreign, task: Task, address: str) -> Ended[Task]:
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


def perform_within(task: Task, timeout_s: float | None, topic: str) -> str:
    """Return what `perform` returns; tell of its progress under `topic`.

    The process ends where it takes longer than it may, and Dask's nanny starts another.
    """
    from distributed import get_worker

    worker, told_s = get_worker(), -_TELL_S

    def progress(done: float, text: str) -> None:
        nonlocal told_s
        if (now_s := time.monotonic()) - told_s >= _TELL_S:
            told_s = now_s
            worker.log_event(topic, [task.key, float(done), text])

    progress(0.0, "")
    signal.setitimer(signal.ITIMER_REAL, timeout_s or 0.0)
    try:
        return perform(task, progress)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
