"""Claim 13: sparsity saves computing."""

from __future__ import annotations

import copy
import statistics
import time

import torch

from neurosparse.claims.frame import Claim, Criterion
from neurosparse.claims.lab import Lab
from neurosparse.rectifier import RectifierNetwork, SparseNetwork, devices, evaluate

N_IMAGES, N_ROUNDS = 200, 7

CLAIM = Claim(
    text="Computing is cheaper: the zeros of a rectifier network can be left out.",
    source="section 3.1",
    criteria=(
        Criterion(
            "speed_up",
            "CPU time for one image, the faster dense way over the active units",
            low=1.0,
        ),
        Criterion(
            "work", "multiply-accumulates with an input that is not 0, of all", high=50, unit="%"
        ),
    ),
    arms=("rectifier_l1",),
    limits=(
        "Inference on one core, one image at a time; medians of paired timings, which still depend"
        " on the machine."
    ),
)


def measure(lab: Lab, seed: int) -> dict[str, float]:
    """Time the same images in turn over active rows alone, and over all rows.

    All rows are computed in torch's dense products, and in the same kernel with every unit active.
    """
    network = lab.network("rectifier_l1", seed)
    images = lab.some_test_images(N_IMAGES).images
    sparse, torchs = SparseNetwork(network), SparseNetwork(network, dense_above=0.0)
    kernels = SparseNetwork(all_active(network), dense_above=1.0)

    def cpu_s(run: SparseNetwork) -> float:
        clock = time.thread_time()
        for k in range(len(images)):
            run(images[k : k + 1])
        return time.thread_time() - clock

    with devices.torch_threads(1):
        for run in (torchs, kernels, sparse):
            cpu_s(run)  # compiled, and in the cache
        timings = [[cpu_s(run) for run in (torchs, kernels, sparse)] for _ in range(N_ROUNDS)]
    over_torch, over_kernel = (
        statistics.median(row[k] / row[2] for row in timings) for k in (0, 1)
    )
    state = evaluate(network, lab.splits.test)
    return {
        "speed_up": min(over_torch, over_kernel),
        "work": 100 * state.active_macs / state.dense_macs,
        "speed_up_over_torch": over_torch,
        "speed_up_over_kernel": over_kernel,
    }


@torch.no_grad()
def all_active(network: RectifierNetwork) -> RectifierNetwork:
    """Copy a network so that its hidden units are active for every image.

    Its scores mean nothing then.
    """
    copied = copy.deepcopy(network)
    for linear in copied.linears()[:-1]:
        linear.weight.abs_()  # images and what follows from them are never negative
        linear.bias.fill_(1.0)
    return copied
