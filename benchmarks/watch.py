"""Cost of `ns.watch` in a training: at every 100th step, and at every step.

    python benchmarks/watch.py [--networks ViT GPT ...] [--pairs 7]

CPU seconds of 100 steps of training, watched and not, in turn; the ratio is taken pair by pair. One
thread. There is no peer: nothing else counts active units in anybody's training loop.
"""

from __future__ import annotations

import argparse
import time

import torch
from pairs import row, show
from trained_models import TASKS, Task

import neurosparse as ns

STEPS = 100
GOALS = {100: 1.02, 1: 1.10}


def cpu_seconds(task: Task, steps: int) -> float:
    """Return the CPU seconds of some steps of training."""
    begin = time.process_time()
    for _ in range(steps):
        loss = task.loss()
        task.optimizer.zero_grad()
        loss.backward()
        task.optimizer.step()
    return time.process_time() - begin


def ratios(name: str, every: int, n: int, steps: int) -> list[float]:
    """Return the CPU time of a watched training over that of the same one alone, n times."""
    task = TASKS[name](1)
    cpu_seconds(task, 2)
    found = []
    for _ in range(n):
        alone = cpu_seconds(task, steps)
        with ns.watch(task.model, every=every):
            found.append(cpu_seconds(task, steps) / alone)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        row(
            "watch",
            f"the training alone (goal: at most {goal:g})",
            f"CPU time over it, {name}, every {every} steps",
            ratios(name, every, options.pairs, options.steps),
            None,
            "",
        )
        for every, goal in GOALS.items()
        for name in options.networks
    ]
    show(rows)


if __name__ == "__main__":
    main()
