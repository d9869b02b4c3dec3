"""Runs command lines in forks of one process that has imported all they need: about 0.1 s of CPU
time each, rather than seconds. A line of JSON in, what came of it as a line of JSON out.

In:  words, folder (where it runs; temporary files go there too), and, where wanted, `fail`: the
     call that fails, its kind of error, and whether it is to be counted only;
     `stop_s`: when it gets a SIGTERM; `stop_cpu_s`: the same in CPU time, which a busy machine
     does not shift.
Out: code, out, err, seconds, cpu_s, work_cpu_s (from the moment that signals are heard), most_mb,
     calls.
"""

from __future__ import annotations

import atexit
import importlib
import json
import math
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

MOST_S = 20.0  # for a command; then it is stopped, as Slurm would
GRACE_S = 20.0  # for a command that is stopped
# what one command imported of these, the next finds imported
KEPT = ("neurosparse", "rich", "typer", "pydantic", "matplotlib", "plotly", "PIL", "numba",
        "scipy", "torch", "pandas", "pyarrow", "h5py", "encodings")  # fmt: skip


def prepare() -> None:
    """Import what commands import."""
    import brian2  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import safetensors.torch  # noqa: F401
    import torch
    import typer

    from neurosparse import (  # noqa: F401
        claims,
        cli,
        convert,
        recordings,
        rectifier,
        sidebyside,
        simulation,
        sources,
        sweep,
    )
    from neurosparse.spiking.engines import brian2 as brian2_engine  # noqa: F401
    from neurosparse.spiking.engines import kernel  # noqa: F401

    torch.set_num_threads(1)
    typer.main.get_command = cache(typer.main.get_command)
    typer.main.get_command(cli.program.app)


def keep_imported(names: list[str]) -> None:
    """Import what a command imported, for those that follow."""
    for name in names:
        if name.partition(".")[0] in KEPT:
            with suppress(Exception):
                importlib.import_module(name)


def in_fork(job: dict[str, Any], streams: list[int], begins: int) -> None:
    """Run one command and end this process with its exit code; say to a pipe when it begins."""
    import failing
    from brian2.utils.logger import std_silent

    from neurosparse.cli import program

    atexit._clear()  # what the process that forks is to do at its own end

    os.setsid()
    for number, stream in zip((1, 2), streams, strict=True):
        os.dup2(stream, number)
    os.chdir(job["folder"])
    os.environ["TMPDIR"] = job["tmp"]
    tempfile.tempdir = None
    sys.argv = ["neurosparse", *job["words"]]
    code, before, act = 1, set(sys.modules), program._run

    def begun(arguments: list[str]) -> int:
        os.write(begins, b".")
        return act(arguments)

    program._run = begun
    try:
        with failing.calls(job.get("fail"), Path(job["tmp"]).parent):
            program.main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    try:
        new = sorted(set(sys.modules) - before)
        Path(job["tmp"]).with_name("modules.json").write_text(json.dumps(new))
        warnings.simplefilter("ignore", DeprecationWarning)  # said to this module, as to none else
        atexit._run_exitfuncs()
        std_silent.close()  # as Brian2 does at exit
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def cpu_s(pid: int) -> float:
    """CPU time of a process that has not been waited for, in s."""
    return time.clock_gettime(~pid << 3 | 2)  # as clock_getcpuclockid() has it on Linux


def ended_within(pid: int, seconds: float, most_cpu_s: float = math.inf) -> Any:
    """What `wait4` gives, or None where the process still runs then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and cpu_s(pid) < most_cpu_s:
        found = os.wait4(pid, os.WNOHANG)
        if found[0]:
            return found
        time.sleep(0.005 if math.isinf(most_cpu_s) else 0.0005)
    return None


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Run one command in a fork."""
    tmp = Path(job["tmp"])
    out, err = (tmp.parent / name for name in ("out.txt", "err.txt"))
    streams = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for path in (out, err)]
    ready, begins = os.pipe()
    if (pid := os.fork()) == 0:
        in_fork(job, streams, begins)
    os.close(begins)
    os.read(ready, 1)  # signals are heard from here on
    for each in (ready, *streams):
        os.close(each)
    started, before_s = time.monotonic(), cpu_s(pid)
    most_cpu_s = before_s + job.get("stop_cpu_s", math.inf)
    found, stopped = ended_within(pid, job.get("stop_s", MOST_S), most_cpu_s), False
    if found is None:
        os.kill(pid, signal.SIGTERM)
        stopped, found = True, ended_within(pid, GRACE_S)
    hangs = found is None
    if found is None:
        os.kill(pid, signal.SIGKILL)
        found = os.wait4(pid, 0)
    seconds = time.monotonic() - started
    calls, modules = (tmp.parent / name for name in ("calls.json", "modules.json"))
    if modules.exists():
        keep_imported(json.loads(modules.read_text()))
    return {
        "code": os.waitstatus_to_exitcode(found[1]),
        "out": out.read_text(errors="replace"),
        "err": err.read_text(errors="replace"),
        "seconds": seconds,
        "cpu_s": (cpu := found[2].ru_utime + found[2].ru_stime),
        "work_cpu_s": cpu - before_s,
        "most_mb": found[2].ru_maxrss / 1024,
        "stopped": stopped,
        "hangs": hangs,
        "calls": json.loads(calls.read_text()) if calls.exists() else None,
    }


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prepare()
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
