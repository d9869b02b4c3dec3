"""A compiled simulation as a process.

The folder it runs in, its progress, and what is said where it fails.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections import deque
from contextlib import AbstractContextManager
from pathlib import Path

from neurosparse._internal import scratch
from neurosparse.progress import Progress, quiet

_MOST_LINES = 200  # of what an executable says, from the end


def scratch_folder() -> AbstractContextManager[Path]:
    """Make a temporary folder, removed at the end.

    Those that killed processes left behind go as well.
    """
    return scratch.temporary("brian2")


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
    printed: deque[str] = deque(maxlen=_MOST_LINES)
    done = 0
    try:
        for line in child.stdout or ():
            if line.startswith(b"done "):
                done = int(line[5:])
                progress(done / steps, "simulating")
            else:
                printed.append(line.decode(errors="replace").rstrip())
        status = child.wait()
    finally:
        child.kill()
        child.wait()
        if child.stdout:
            child.stdout.close()
    if not status and not printed:
        return
    if status >= 0:
        known = {2: "wrong arguments", 3: "cannot write its results; is the disk full?"}
        why = " ".join(printed)[-2000:] or known.get(status, "no message")
        raise RuntimeError(f"the Brian2 simulation ended with status {status}: {why}")
    what = signal.Signals(-status).name
    handle, log = tempfile.mkstemp(
        prefix="neurosparse-crash-", suffix=".log", dir=scratch.outside()
    )
    with os.fdopen(handle, "w") as file:
        print(
            " ".join(command),
            f"ended by {what} after step {done:,} of {steps:,}",
            *printed,
            sep="\n",
            file=file,
        )
    hint = " (too little memory?)" if what == "SIGKILL" else ""
    raise RuntimeError(
        f"the Brian2 simulation was ended by {what}{hint} after step {done:,} of {steps:,}; what it"
        f" ran and said is in {log}"
    )
