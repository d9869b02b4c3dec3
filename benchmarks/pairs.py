"""Tools of every benchmark: two things timed in turn, and the rows of results.json.

A ratio is taken pair by pair, ours and theirs at the same moment, so that it holds where the
machine's speed drifts.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

# an environment with the peers: `make bench` creates one
PEERS_PYTHON = os.environ.get("NEUROSPARSE_PEERS_PYTHON")


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
    ours: Callable[[], float], theirs: Callable[[], float], n: int
) -> tuple[list[float], list[float]]:
    """Take two measurements, n times in turn; each call returns what it measured."""
    pairs = []
    for k in range(n):
        pairs.append((ours(), theirs()))
        print(
            f"pair {k + 1}/{n}: ours {pairs[-1][0]:.4g}, theirs {pairs[-1][1]:.4g}", file=sys.stderr
        )
    return [a for a, _ in pairs], [b for _, b in pairs]


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

    return {
        "job": job,
        "peer": peer,
        "unit": unit,
        "ours": shown(ours),
        "theirs": None if theirs is None else shown(theirs),
        "ratio": (
            ratios
            and {"median": shown(ratios), "min": shown([min(ratios)]), "max": shown([max(ratios)])}
        ),
        "goal": goal,
        "n": len(ours),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": date.today().isoformat(),
    }


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


def show(rows: list[dict[str, Any]]) -> None:
    """Print the rows as JSON, for benchmarks/run.py or a person."""
    print(json.dumps(rows, indent=1))
