"""A long sweep, killed again and again while it runs.

Is its table that of the sweep that ran in peace?

    python benchmarks/killed_sweep.py figure3 [--kills 8] [--workers 2] [--seed 1]

Runs `neurosparse sweep NAME` into results/NAME, where it stays, and then into results/NAME_killed.
There, every so many runs (evenly over the sweep), a worker, or the whole process with its workers,
gets SIGKILL a random moment later. What was killed whole is started again by the same command.
Prints the kills, and compares the two tables byte by byte; exit code 1 where they differ.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from neurosparse import sweep

MOST_WAIT_S = 5.0  # from the run that is waited for to the kill
POLL_S = 0.1


def start(name: str, folder: Path, workers: int) -> subprocess.Popen[bytes]:
    """Start the sweep, in a process group of its own."""
    command = ["neurosparse", "sweep", name, "--out", str(folder), "--workers", str(workers)]
    return subprocess.Popen(command, start_new_session=True)


def children(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the process numbers of a sweep's workers."""
    found = subprocess.run(
        ["pgrep", "-P", str(process.pid), "-f", "spawn_main"], capture_output=True, text=True
    )
    return [int(line) for line in found.stdout.split()]


def n_complete(folder: Path) -> int:
    """Count the runs that are in their place."""
    return sum(1 for _ in (folder / "runs").iterdir()) if (folder / "runs").is_dir() else 0


def kill(process: subprocess.Popen[bytes], whole: bool, draw: random.Random) -> str:
    """Kill a worker, or everything; in words."""
    workers = children(process)
    if whole or not workers:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return "driver and workers"
    os.kill(draw.choice(workers), signal.SIGKILL)
    return "a worker"


def main() -> int:
    """Run the sweep twice and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="a sweep that comes along, or a .toml file")
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    options = parser.parse_args()
    peace, killed = (Path("results", Path(options.name).stem + end) for end in ("", "_killed"))
    if start(options.name, peace, options.workers).wait():
        return 1
    if n_complete(killed):
        parser.error(f"{killed} has runs already: remove it first")
    n, draw = sweep.load(options.name).n_runs, random.Random(options.seed)
    said = []
    process = start(options.name, killed, options.workers)
    for k in range(options.kills):
        while n_complete(killed) < n * (k + 1) // (options.kills + 1):
            if process.poll() is not None:
                return 1
            time.sleep(POLL_S)
        time.sleep(draw.uniform(0, MOST_WAIT_S))
        said.append(f"{n_complete(killed)} of {n} runs: killed {kill(process, bool(k % 2), draw)}")
        if process.poll() is not None:
            process = start(options.name, killed, options.workers)
    if process.wait():
        return 1
    equal = (peace / sweep.TABLE).read_bytes() == (killed / sweep.TABLE).read_bytes()
    print(
        *said,
        f"table {'equal, byte by byte' if equal else 'DIFFERENT'}: {peace}, {killed}",
        sep="\n",
    )
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
