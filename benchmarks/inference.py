"""One layer on sparse input: sparse inference and torch's dense product, one thread each.

    python benchmarks/inference.py [--pairs 15]

1,000 or 2,000 units in and out, one input or 64; each call has other inputs, 20 in turn. Times are
CPU seconds of the process, in turn, of the whole call, checks and Python included. Wide dense
matrices fall out of the cache, which flatters the ratio. So the own kernel with all inputs active
is a peer too, with the limit 1/density next to it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from pairs import in_turn, row, show
from torch import nn

from neurosparse.rectifier import SparseNetwork

INPUTS = 20
GOALS = {
    (1, 1000): {85: ">= 3x", 95: ">= 6x", 99: ">= 13x"},
    (1, 2000): {85: ">= 5x", 95: ">= 11x", 99: ">= 20x"},
    (64, 1000): {85: ">= 2x", 95: ">= 4x", 99: ">= 10x"},
}


def cpu_us(run: Callable[[object], object], inputs: list, repeats: int) -> float:
    """Return the CPU microseconds of a call, over all inputs."""
    begin = time.process_time()
    for _ in range(repeats):
        for x in inputs:
            run(x)
    return (time.process_time() - begin) / (repeats * len(inputs)) * 1e6


def sparse_inputs(batch: int, width: int, zeros: int) -> list[NDArray[np.float32]]:
    """Draw inputs with exactly that many per cent of zeros in each row."""
    rng = np.random.default_rng(zeros)
    kept = width * (100 - zeros) // 100
    found = []
    for _ in range(INPUTS):
        x = rng.random((batch, width), dtype=np.float32) + 0.1
        order = rng.permuted(np.tile(np.arange(width), (batch, 1)), axis=1)
        found.append(np.where(order < kept, x, np.float32(0)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for (batch, width), goals in GOALS.items():
        linear = nn.Linear(width, width)
        ours, all_sparse = (
            SparseNetwork(nn.Sequential(linear)),
            SparseNetwork(nn.Sequential(linear), dense_above=1.0),
        )
        repeats = 10 if batch == 1 else 1
        full = sparse_inputs(batch, width, 0)
        for zeros, goal in goals.items():
            inputs = sparse_inputs(batch, width, zeros)
            tensors = [torch.from_numpy(x) for x in inputs]
            with torch.inference_mode():
                np.testing.assert_allclose(
                    ours(inputs[0]), linear(tensors[0]).numpy(), rtol=1e-4, atol=1e-5
                )
                job, unit = f"infer{batch}_{width}_{zeros}", "us CPU a call"
                call = partial(cpu_us, ours, inputs, repeats)
                mine, theirs = in_turn(
                    call, partial(cpu_us, linear, tensors, repeats), options.pairs
                )
                rows.append(row(job, "torch, nn.Linear", unit, mine, theirs, goal))
                mine, theirs = in_turn(
                    call, partial(cpu_us, all_sparse, full, 1), max(options.pairs // 3, 1)
                )
                limit = f"limit 1/density {100 / (100 - zeros):.3g}x"
                rows.append(row(job, "own kernel, all active", unit, mine, theirs, limit))
    show(rows)


if __name__ == "__main__":
    main()
