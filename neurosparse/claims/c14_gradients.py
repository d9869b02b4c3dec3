"""Claim 14: gradients do not vanish through rectifiers."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from neurosparse.claims.frame import Claim, Criterion
from neurosparse.claims.lab import Lab
from neurosparse.rectifier import RectifierNetwork

DEPTHS = (3, 5, 10, 20)
N_IMAGES = 200
# each as it is initialised to keep the size of its signals, and the rectifier as the paper had it
_KINDS = {
    "rectifier": {"activation": "rectifier", "initialisation": "he2015"},
    "rectifier_glorot2010": {"activation": "rectifier", "initialisation": "glorot2010"},
    "tanh": {"activation": "tanh", "initialisation": "glorot2010"},
    "sigmoid": {"activation": "sigmoid", "initialisation": "glorot2010"},
}

CLAIM = Claim(
    text="Gradients do not vanish through the activation: they flow on the paths of active units.",
    source="section 3.1",
    criteria=(
        Criterion(
            "rectifier_20",
            "gradient at layer 1 over that at layer 20, powers of ten",
            low=-1,
            high=1,
        ),
        Criterion(
            "over_tanh", "powers of ten that a rectifier keeps more than tanh over 20 layers", low=0
        ),
        Criterion(
            "over_sigmoid",
            "powers of ten that a rectifier keeps more than a sigmoid over 20 layers",
            low=0,
        ),
    ),
    limits=(
        "Untrained networks. The rectifier with the initialisation of He et al. 2015; with the"
        " paper's, see the further number."
    ),
)


def measure(lab: Lab, seed: int) -> dict[str, float]:
    """Compare norms of the loss's gradient by the hidden activations, for 3 to 20 layers."""
    some = lab.some_test_images(N_IMAGES)
    images, labels = torch.tensor(some.images), torch.tensor(some.labels)
    kept = {
        f"{name}_{depth}": kept_by_depth(
            lab.untrained(seed, depth=depth, **settings), images, labels
        )
        for name, settings in _KINDS.items()
        for depth in DEPTHS
    }
    return {
        **kept,
        "over_tanh": kept["rectifier_20"] - kept["tanh_20"],
        "over_sigmoid": kept["rectifier_20"] - kept["sigmoid_20"],
    }


def kept_by_depth(network: RectifierNetwork, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Return log10 of the gradient's norm at the first hidden layer over the last's.

    It is computed in float64, which does not underflow.
    """
    network = network.double()
    values = network.activations(images.double())
    layers = [values[name] for name in network.layers]
    first, last = torch.autograd.grad(
        functional.cross_entropy(values["output"], labels), (layers[0], layers[-1])
    )
    return math.log10(float(first.norm()) / float(last.norm()))
