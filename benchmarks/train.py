"""Exact sparse SGD compared with plain PyTorch, one thread each.

784-1000x3-10, minibatches of 10, real digits.

    python benchmarks/train.py [--pairs 15]

Plain PyTorch is nn.Linear, autograd and torch.optim.SGD. Biases put the zeros of the hidden layers
at their level and a small learning rate leaves them there; "dense" has none. Times are CPU seconds
of the process, in turn. Two threads need the wall clock and two free cores: CPU seconds of the
slower thread, which do not count the waiting for a core, are given as well.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from pairs import in_turn, row, seconds, show
from torch import nn

from neurosparse import data
from neurosparse.rectifier import RectifierNetwork
from neurosparse.rectifier.sparse_training import SparseEngine

OURS, THEIRS, MINIBATCH = 1000, 200, 10  # images a measurement
GOALS = {
    "85": ">= 5x",
    "95": ">= 9x",
    "98": ">= 12x",
    "74": ">= 5x",
    "50": ">= 2.5x",
    "dense": ">= 1x",
}
LEARNING_RATE = 1e-4  # the level of zeros must stay where it is


def cpu_us(what: Callable[[], object], n: int) -> float:
    """Return the CPU microseconds a sample of one call on n samples."""
    begin = time.process_time()
    what()
    return (time.process_time() - begin) / n * 1e6


def engine(level: str, top_k: int = 0) -> SparseEngine:
    """Return an engine whose hidden units are silent for that many per cent of the images.

    No more than `top_k` of a layer are active.
    """
    zeros = 0.0 if level == "dense" else int(level) / 100
    network, images = RectifierNetwork(seed=0), data.load("mnist5k").train.mixed().take(slice(OURS))
    with torch.no_grad():
        h = torch.tensor(images.images)
        for linear in network.linears()[:-1]:
            z = linear(h)
            linear.bias.copy_(1e-3 - z.quantile(zeros, dim=0))
            h = linear(h).relu()
    return SparseEngine(network, images.images, images.labels, MINIBATCH, top_k=[top_k] * 3)


def step(sparse: SparseEngine, n: int = OURS) -> float:
    """Train on n images; the share of hidden units that were active."""
    return sum(sparse.descend(np.arange(n), learning_rate=LEARNING_RATE, l1=[0.0] * 3).n_active) / (
        3000 * n
    )


class Plain:
    """The training as one writes it in PyTorch."""

    def __init__(self) -> None:
        self.network = nn.Sequential(*RectifierNetwork(seed=0).children())
        self.optimiser = torch.optim.SGD(self.network.parameters(), lr=LEARNING_RATE)
        images = data.load("mnist5k").train.mixed()
        self.images, self.labels = (
            torch.tensor(images.images[:THEIRS]),
            torch.tensor(images.labels[:THEIRS]),
        )

    def __call__(self) -> None:
        for x, y in zip(self.images.split(MINIBATCH), self.labels.split(MINIBATCH), strict=True):
            self.optimiser.zero_grad()
            nn.functional.cross_entropy(self.network(x), y).backward()
            self.optimiser.step()


def two_threads(pairs: int) -> list[dict]:
    """Compare two networks on two threads with the two one after the other."""
    engines = [engine("95"), engine("95")]
    slower: list[float] = []
    alone_cpu: list[float] = []

    def one(sparse: SparseEngine) -> float:
        begin = time.thread_time()
        for _ in range(5):  # long enough for the system to spread the threads over the cores
            step(sparse)
        return time.thread_time() - begin

    def alone() -> None:
        alone_cpu.append(sum(one(sparse) for sparse in engines))

    with ThreadPoolExecutor(2) as pool:

        def together() -> float:
            took: list[float] = []
            wall = seconds(lambda: took.extend(pool.map(one, engines)))
            slower.append(max(took))
            return wall

        together()
        slower.clear()
        ours, theirs = in_turn(together, lambda: seconds(alone), pairs)
    return [
        row(
            "train_two_threads",
            "the two nets one after the other",
            "s wall, 95 % zeros",
            ours,
            theirs,
            ">= 1.8x",
        ),
        row(
            "train_two_threads",
            "the same, CPU of the slower thread",
            "s CPU, 95 % zeros",
            slower,
            alone_cpu,
            ">= 1.8x",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    plain, dense, rows = Plain(), engine("dense"), []
    plain()
    step(dense)
    for level, goal in GOALS.items():
        sparse = engine(level)
        share = step(sparse)
        mine = partial(cpu_us, partial(step, sparse), OURS)
        ours, theirs = in_turn(mine, partial(cpu_us, plain, THEIRS), options.pairs)
        rows.append(
            row(f"train_{level}", "PyTorch, 1 thread", "us CPU a sample", ours, theirs, goal)
        )
        if level != "dense":
            own_dense = partial(cpu_us, partial(step, dense, THEIRS), THEIRS)
            ours, theirs = in_turn(mine, own_dense, max(options.pairs // 3, 1))
            limit = f"limit 1/density {1 / share:.3g}x"
            rows.append(
                row(
                    f"train_{level}",
                    "own kernel, all active",
                    "us CPU a sample",
                    ours,
                    theirs,
                    limit,
                )
            )
        print(f"train_{level}: {100 * share:.1f} % active", file=sys.stderr)
    by_top_k = engine("50", top_k=20)  # half of all units are above 0 and compete
    step(by_top_k)
    mine = partial(cpu_us, partial(step, by_top_k), OURS)
    ours, theirs = in_turn(mine, partial(cpu_us, plain, THEIRS), options.pairs)
    rows.append(
        row(
            "train_98",
            "PyTorch, 1 thread; ours: the top 20 of 1,000",
            "us CPU a sample",
            ours,
            theirs,
            GOALS["98"],
        )
    )
    show(rows + two_threads(options.pairs))


if __name__ == "__main__":
    main()
