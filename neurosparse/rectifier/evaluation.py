"""Evaluation of a network on images: loss, error, activity of its layers.

Also where it stopped being finite.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from neurosparse._internal import checks
from neurosparse.data import ImageSet
from neurosparse.data.images import check_images
from neurosparse.rectifier.history import DivergenceError, LayerActivity, Scores
from neurosparse.rectifier.network import RectifierNetwork, check_network
from neurosparse.rectifier.specs import TrainSpec

EVALUATION_BATCH = 1000


def error(network: RectifierNetwork, images: ImageSet) -> float:
    """Return the share of `images` that `network` misclassifies, in [0, 1]."""
    return evaluate(network, images).error


def evaluate(network: RectifierNetwork, images: ImageSet, active_threshold: float = 0.0) -> Scores:
    """Return the loss, the error and the activity of `network` on `images`."""
    check_network(network)
    check_images(images)
    active_threshold = checks.not_negative("active_threshold", active_threshold)
    return look(network, *tensors(images, next(network.parameters()).device), active_threshold)


def tensors(images: ImageSet, where: torch.device) -> tuple[Tensor, Tensor]:
    """Return the images, shape (n, features), and their labels, (n,), on a device."""
    return torch.tensor(images.images, device=where), torch.tensor(images.labels, device=where)


@torch.no_grad()
def look(network: RectifierNetwork, images: Tensor, labels: Tensor, threshold: float) -> Scores:
    """Evaluate a network on tensors.

    Counts are those of `probe.record`, without the sorting that an epoch can do without.
    """
    n, layers = len(labels), network.layers
    loss, n_wrong, macs = 0.0, 0, 0
    # weights that are not 0, by unit: between modules there are none
    fan_out = [linear.weight.count_nonzero(dim=0) for linear in network.linears()]
    dense_macs = sum(n_in * n_out for n_in, n_out in pairwise(network.spec.sizes))
    n_active, total = dict.fromkeys(layers, 0), dict.fromkeys(layers, 0.0)
    alive = {name: torch.zeros(1, dtype=torch.bool, device=images.device) for name in layers}
    for x, y in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
        values = network.activations(x)
        scores = values.pop("output")
        inputs = (x, *values.values())
        macs += sum(
            int((h.count_nonzero(dim=0) * m).sum()) for h, m in zip(inputs, fan_out, strict=True)
        )
        loss += float(functional.cross_entropy(scores, y, reduction="sum"))
        n_wrong += int((scores.argmax(dim=1) != y).sum())
        for name, value in values.items():
            active = value.abs() > threshold  # (n, units)
            n_active[name] += int(active.sum())
            # in an order that the number of threads does not change
            total[name] += float(value.sum(dim=1).sum())
            alive[name] = alive[name] | active.any(dim=0)
    activity = {
        name: LayerActivity(
            n_active[name] / (n * width), int(alive[name].sum()), width, total[name] / (n * width)
        )
        for name, width in zip(layers, network.spec.sizes[1:-1], strict=True)
    }
    return Scores(loss / n, n_wrong / n, activity, macs / n, dense_macs)


def diverged(
    network: RectifierNetwork, images: Tensor, spec: TrainSpec, when: str
) -> DivergenceError:
    """Return the error to raise where the loss on `images` is not finite.

    It names the first layer that is not, and the remedy.
    """
    with torch.no_grad():
        values = network.activations(images)
    layer = next(
        (name for name, value in values.items() if not bool(value.isfinite().all())), "output"
    )
    remedy = f"a smaller learning_rate (it is {spec.learning_rate:g})"
    if spec.l1:
        remedy += f" or a smaller l1 (it is {spec.l1:g})"
    return DivergenceError(f"training diverged {when}: {layer} is no longer finite; use {remedy}")
