"""A compiled simulation as a process: the folder it runs in, its progress, and what is said where
it fails.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from neurosparse.progress import Progress, quiet

_PREFIX = "neurosparse-brian2-"
_MOST_LINES = 200  # of what an executable says, from the end


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder, removed at the end; those that killed processes left behind go as well.

    A folder in use is locked by its process. Unlike a process number, a lock is never taken for
    that of another process, holds in every container that sees the folder, and ends with its owner,
    whatever the end.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # in use, or another user's: it stays
            lock = _lock(left, wait=False)
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)
    folder, lock = _new_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _new_folder() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        # another process took it for a left one before it was locked
        with suppress(FileNotFoundError):
            lock = _lock(folder, wait=True)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _lock(folder: Path, *, wait: bool) -> int:
    """Lock a folder until the descriptor that is returned is closed; OSError where it is locked and
    `wait` is false.
    """
    import fcntl  # not on Windows, where nothing is compiled

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        if not wait:
            os.close(descriptor)
            raise
        # a file system without locks: nobody else gets one there either, so that the folder is safe
    return descriptor


def execute(
    executable: Path, folder: Path, steps: int, seed: int, progress: Progress = quiet
) -> None:
    """Run an executable of the engine in `folder`; it ends when this process does, by whatever end.

    It takes the steps and the seed, and says "done K" after step K. Anything else that it says is
    taken for a failure: Brian2's code goes on without a file that it cannot open.

    Raises
    ------
    RuntimeError
        Where it fails. One that a signal ended is described in a log, which is kept.
    """
    command = [str(executable), str(steps), str(seed)]
    child = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said: deque[str] = deque(maxlen=_MOST_LINES)
    done = 0
    try:
        for line in child.stdout or ():
            if line.startswith(b"done "):
                done = int(line[5:])
                progress(done / steps, "simulating")
            else:
                said.append(line.decode(errors="replace").rstrip())
        status = child.wait()
    finally:
        child.kill()
        child.wait()
        if child.stdout:
            child.stdout.close()
    if not status and not said:
        return
    if status >= 0:
        known = {2: "wrong arguments", 3: "cannot write its results; is the disk full?"}
        why = " ".join(said)[-2000:] or known.get(status, "no message")
        raise RuntimeError(f"the Brian2 simulation ended with status {status}: {why}")
    what = signal.Signals(-status).name
    handle, log = tempfile.mkstemp(prefix="neurosparse-crash-", suffix=".log")
    with os.fdopen(handle, "w") as file:
        print(
            " ".join(command),
            f"ended by {what} after step {done:,} of {steps:,}",
            *said,
            sep="\n",
            file=file,
        )
    hint = " (too little memory?)" if what == "SIGKILL" else ""
    raise RuntimeError(
        f"the Brian2 simulation was ended by {what}{hint} after step {done:,} of {steps:,}; what it"
        f" ran and said is in {log}"
    )
