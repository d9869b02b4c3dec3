"""Reads hostile files in a process that may die of them: a line of JSON in, [target, folder,
content in hex], a line of JSON out.

What comes out is whether the file was read or refused, what was said, the most memory in MB that it
took, and its CPU time in s.
"""

import json
import re
import resource
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

from targets import TARGETS

from neurosparse._internal import limited_process

MOST_CPU_S = 20.0  # for a file, and what reading it imports


class Forks:
    """In place of a new process for each HDF5 file."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.cpu_s = 0.0  # of all files

    def __call__(self, what: list[str], timeout_s: float) -> subprocess.CompletedProcess[bytes]:
        if self.process is None:
            command = [sys.executable, str(Path(__file__).with_name("forks.py"))]
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        answer = Path(what[0]).with_suffix(".answer")
        print(json.dumps([str(answer), *what]), file=self.process.stdin, flush=True)
        code, cpu_s = json.loads(self.process.stdout.readline())
        self.cpu_s += cpu_s
        return subprocess.CompletedProcess(
            what, code, answer.read_bytes(), b"its traceback stands above"
        )


def memory_mb(kind: str) -> float:
    """Memory of this process, now (VmRSS) or at its peak (VmHWM)."""
    return int(re.search(rf"{kind}:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def main() -> None:
    forks = Forks()
    limited_process._process, limited_process._LEAST_CPU_S = forks, 1
    resource.setrlimit(resource.RLIMIT_DATA, (4 * 2**30,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        name, folder, content = json.loads(line)
        target = TARGETS[name]
        path = Path(folder, target.file)
        # the end of this process, should it come to that
        signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before_mb, before_s = memory_mb("VmRSS"), time.process_time() + forks.cpu_s
        try:
            target.put(path, bytes.fromhex(content))
            target.read(path)
            outcome = ["read", ""]
        except (ValueError, OSError) as error:
            outcome = ["refused", str(error)]
        except BaseException:
            outcome = ["broken", traceback.format_exc()]
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        most_mb, cpu_s = memory_mb("VmHWM") - before_mb, time.process_time() + forks.cpu_s
        print(json.dumps([*outcome, most_mb, cpu_s - before_s]), file=answers, flush=True)


if __name__ == "__main__":
    main()
