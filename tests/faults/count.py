"""Try faults by the thousand, outside the suite: each that falls is printed with what repeats it.

python tests/faults/count.py lines --tries 5000 --seed 2
python tests/faults/count.py signals --tries 1000 --seed 2 --cpu-minutes 25
python tests/faults/count.py calls
python tests/faults/count.py files --tries 20000 --seed 2
python tests/faults/count.py lines --seed 2 --only 1234
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import test_command_lines
import test_failing_calls
import test_signals
import world

sys.path.append(str(Path(__file__).parent.with_name("fuzz")))
import test_fuzz

Try = Callable[[], world.Tried]
FILES_AT_ONCE = 50  # of each reader


def lines(folder: Path, seed: int) -> Iterator[Try]:
    """Yield command lines."""
    server = world.Server(folder)
    server.compile()
    for k in range(sys.maxsize):
        yield lambda k=k: test_command_lines.tried(server, seed, k)


def signals(folder: Path, seed: int) -> Iterator[Try]:
    """Yield a SIGTERM in each job in turn."""
    server = test_signals.make_server(folder)
    wholes = {job: test_signals.undisturbed(server, job) for job in test_signals.JOBS}
    for k in range(sys.maxsize):
        for job, whole in wholes.items():
            yield lambda job=job, whole=whole, k=k: test_signals.tried(server, job, whole, seed, k)


def calls(folder: Path, seed: int) -> Iterator[Try]:
    """Yield the calls of all jobs and kinds of error that differ, in an order by the seed."""
    server = world.Server(folder)
    server.compile()
    each = [
        (job, error, at)
        for job in test_failing_calls.JOBS
        for error in test_failing_calls.ERRORS
        for at in test_failing_calls.calls(server, job, error)
    ]
    print(f"{len(each)} calls that differ", flush=True)
    # the order of a call is its own: how many there are differs a little from run to run
    each.sort(key=lambda one: hashlib.sha256(f"{seed} {one}".encode()).digest())
    for job, error, at in each:
        yield partial(test_failing_calls.tried, server, job, error, at)


def files(folder: Path, seed: int) -> Iterator[Try]:
    """Yield an altered file of each reader in turn."""
    child, contents = test_fuzz.Child(), {}
    for name in test_fuzz.TARGETS:
        (folder / name).mkdir()
        contents[name] = test_fuzz.content_of(name, child, folder / name)

    def tried(name: str, alterations: list[Any]) -> world.Tried:
        content = test_fuzz.altered(contents[name], alterations)
        outcome, said, most_mb, cpu_s = child.ask(name, folder / name, content)
        found = test_fuzz.faults(outcome, said, most_mb)
        return world.Tried(f"{name}: {alterations}", found, said[-2000:], cpu_s, outcome)

    for part in range(sys.maxsize):
        drawn = {name: test_fuzz.drawn(FILES_AT_ONCE, f"{seed} {name} {part}") for name in contents}
        for alterations in zip(*drawn.values(), strict=True):
            yield from map(partial, repeat(tried), contents, alterations)


KINDS = {"lines": lines, "signals": signals, "calls": calls, "files": files}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--tries", type=int, default=sys.maxsize)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--cpu-minutes", type=float, default=float("inf"))
    parser.add_argument("--first", type=int, default=0, help="the tries before it are left out")
    parser.add_argument("--only", type=int, help="this try alone")
    given = parser.parse_args()
    n, wrong, cpu_s, up_to = 0, 0, 0.0, "all"
    ends: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for k, attempt in enumerate(KINDS[given.kind](Path(folder), given.seed)):
            if k >= given.tries or cpu_s > 60 * given.cpu_minutes:
                up_to = f"seed {given.seed}, {given.first} to {k - 1}"
                break
            if given.only not in (None, k) or k < given.first:
                continue
            tried = attempt()
            n, cpu_s, wrong = n + 1, cpu_s + tried.cpu_s, wrong + bool(tried.faults)
            ends[tried.ended] += 1
            if tried.faults or given.only is not None:
                print(f"{k}: {tried.what}: {tried.ended}: {tried.faults}", flush=True)
                print(f"    {tried.said.strip()}", flush=True)
            if n % 50 == 0:
                print(f"{n} tried, {wrong} wrong, {cpu_s / 60:.1f} min of CPU", flush=True)
            if given.only is not None:
                break
    print(
        f"{given.kind}: {n} tried ({up_to}), {wrong} wrong, {cpu_s / 60:.1f} min of CPU; {dict(ends)}"
    )


if __name__ == "__main__":
    main()
