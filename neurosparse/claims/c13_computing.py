"""Claim 13: sparsity saves computing."""

from __future__ import annotations

import statistics
import time

from neurosparse.claims.frame import Claim, Criterion
from neurosparse.claims.lab import Lab
from neurosparse.rectifier import SparseNetwork, devices, evaluate

N_IMAGES, N_PAIRS = 200, 7

CLAIM = Claim(
    text="Computing is cheaper: the zeros of a rectifier network can be left out.",
    source="section 3.1",
    criteria=(
        Criterion("speed_up", "CPU time for one image, all weights over those of active units", low=1.0),
        Criterion("work", "multiply-accumulates with an input that is not 0, of all", high=50, unit="%"),
    ),
    arms=("rectifier_l1",),
    limits="Inference on one core, one image at a time; medians of paired timings, which still depend on the machine.",
)


def measure(lab: Lab, seed: int) -> dict[str, float]:
    """The same network and images in turn, in dense products and over active rows alone."""
    network = lab.network("rectifier_l1", seed)
    images = lab.splits.test.images[:N_IMAGES]
    dense, sparse = SparseNetwork(network, dense_above=0.0), SparseNetwork(network)

    def cpu_s(run: SparseNetwork) -> float:
        clock = time.thread_time()
        for k in range(len(images)):
            run(images[k : k + 1])
        return time.thread_time() - clock

    with devices.torch_threads(1):
        cpu_s(dense), cpu_s(sparse)  # compiled, and in the cache
        ratios = [cpu_s(dense) / cpu_s(sparse) for _ in range(N_PAIRS)]
    state = evaluate(network, lab.splits.test)
    return {"speed_up": statistics.median(ratios), "work": 100 * state.active_macs / state.dense_macs}
