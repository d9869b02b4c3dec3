"""Tools of every benchmark: two things timed in turn, and the rows of results.json.

A ratio is taken pair by pair, ours and theirs at the same moment, so that it holds where the
machine's speed drifts.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from neurosparse.convert import SpikingNetwork

# an environment with the peers: `make bench` creates one
PEERS_PYTHON = os.environ.get("NEUROSPARSE_PEERS_PYTHON")
JOURNAL = "NEUROSPARSE_BENCH_JOURNAL"  # the file that keeps the pairs of a benchmark that runs
QUICK = "NEUROSPARSE_BENCH_QUICK"

_calls = itertools.count()


def seconds(what: Callable[[], object]) -> float:
    """Return the wall seconds of one call."""
    begin = time.perf_counter()
    what()
    return time.perf_counter() - begin


def engine_seconds(what: Callable[[], object]) -> float:
    """Return the wall seconds that the Brian2 engine's compiled program runs in one call.

    Generating and compiling are left out.
    """
    from neurosparse.spiking.brian import process

    took: list[float] = []
    execute = process.execute

    def timed(*arguments: Any) -> None:
        took.append(seconds(lambda: execute(*arguments)))

    process.execute = timed  # type: ignore[assignment]
    try:
        what()
    finally:
        process.execute = execute
    return sum(took)


def in_turn(
    ours: Callable[[], float], theirs: Callable[[], float], n: int | None = None
) -> tuple[list[float], list[float]]:
    """Take two measurements in turn, n times or as often as `enough` says.

    Each call returns what it measured.
    """
    pairs = _measured(lambda: (ours(), theirs()), ("ours", "theirs"), n)
    return [a for a, _ in pairs], [b for _, b in pairs]


def repeated(ours: Callable[[], float], n: int | None = None) -> list[float]:
    """Take one measurement, n times or as often as `enough` says; each call returns what it measured."""
    return [a for (a,) in _measured(lambda: (ours(),), ("ours",), n)]


def enough(seconds_each: float) -> int:
    """Return how many pairs to take: 5, or 7 where one takes less than 10 s; 3 for `make bench-quick`."""
    if os.environ.get(QUICK):
        return 3
    return 7 if seconds_each < 10 else 5


def _measured(
    once: Callable[[], tuple[float, ...]], names: tuple[str, ...], n: int | None
) -> list[tuple[float, ...]]:
    """Measure, and keep each pair in the journal, if there is one.

    So a run that was stopped goes on behind the last pair.
    """
    call = next(_calls)
    found = [tuple(entry["values"]) for entry in _journal() if entry["call"] == call]
    if found:
        print(f"{len(found)} pairs were measured before", file=sys.stderr)
        n = next(entry["n"] for entry in _journal() if entry["call"] == call)
    while n is None or len(found) < n:
        begin = time.perf_counter()
        values = once()
        if n is None:
            n = enough(time.perf_counter() - begin)
        found.append(values)
        _note({"call": call, "n": n, "values": values})
        said = ", ".join(f"{name} {value:.4g}" for name, value in zip(names, values, strict=True))
        print(f"pair {len(found)}/{n}: {said}", file=sys.stderr)
    return found


def _journal() -> list[dict[str, Any]]:
    path = Path(os.environ.get(JOURNAL, ""))
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


def _note(entry: dict[str, Any]) -> None:
    if JOURNAL in os.environ:
        with Path(os.environ[JOURNAL]).open("a") as file:
            file.write(json.dumps(entry) + "\n")


def row(
    job: str,
    peer: str,
    unit: str,
    ours: Sequence[float],
    theirs: Sequence[float] | None,
    goal: str,
    digits: int = 4,
) -> dict[str, Any]:
    """Return a row of results.json: medians, and the ratio theirs / ours over the pairs.

    `theirs` is None where the peer is absent.
    """
    ratios = None if theirs is None else [b / a for a, b in zip(ours, theirs, strict=True)]

    def shown(values: Sequence[float]) -> float:
        return float(f"{statistics.median(values):.{digits}g}")

    def spread(values: Sequence[float]) -> dict[str, float]:
        return {"median": shown(values), "min": shown([min(values)]), "max": shown([max(values)])}

    return {
        "job": job,
        "peer": peer,
        "unit": unit,
        "ours": shown(ours),
        "theirs": None if theirs is None else shown(theirs),
        "ratio": ratios and spread(ratios),
        "range": [shown([min(ours)]), shown([max(ours)])],
        "goal": goal,
        "n": len(ours),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "date": date.today().isoformat(),
    }


def cpu_model() -> str:
    """Return the name of the processor."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def ask_peer(program: str, *arguments: object) -> list[float]:
    """Run a program in the peers' environment and return its numbers.

    They are on its line that starts with RESULT.
    """
    if PEERS_PYTHON is None:
        raise RuntimeError(
            "set NEUROSPARSE_PEERS_PYTHON to a python that has the peers, or run `make bench`"
        )
    command = [PEERS_PYTHON, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    line = next((x for x in done.stdout.splitlines() if x.startswith("RESULT")), None)
    if line is None:
        raise RuntimeError(
            f"the peer failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"
        )
    return [float(x) for x in line.split()[1:]]


def ms_per_image(spiking: SpikingNetwork, images: Tensor, steps: int, batch: int) -> float:
    """Return the CPU milliseconds that a converted network takes an image, in batches."""
    begin = time.process_time()
    for part in images.split(batch):
        spiking.run(part, steps)
    return (time.process_time() - begin) / len(images) * 1e3


def rows_of_converted(
    job: str,
    spiking: SpikingNetwork,
    timed: Tensor,
    accuracy: float,
    program: str,
    path: Path,
    *,
    steps: int,
    batch: int,
    peers: Sequence[str],
    pairs: int | None,
    goal: str,
    images: str,
    timed_path: Path | None = None,
) -> list[dict[str, Any]]:
    """Time a converted network and each peer in turn; two rows a peer, for time and accuracy.

    `program` runs a peer on what lies at `path`; it prints the same milliseconds an image, and its
    accuracy in per cent. What lies at `timed_path` has the images that are timed, and no others.
    """
    rows = []
    for peer in peers:
        theirs = ask_peer(program, peer, path, steps, batch, len(timed))[1]
        of_peer = partial(ask_peer, program, peer, timed_path or path, steps, batch, len(timed))
        mine, times = in_turn(
            partial(ms_per_image, spiking, timed, steps, batch),
            lambda of_peer=of_peer: of_peer()[0],  # type: ignore[misc]
            pairs,
        )
        rows.append(row(job, peer, "ms CPU an image", mine, times, goal))
        name, unit = f"accuracy of {peer}", f"% of {images} images"
        rows.append(row(job, name, unit, [accuracy], [theirs], "the same"))
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """Print the rows as JSON, for benchmarks/run.py or a person."""
    print(json.dumps(rows, indent=1))
