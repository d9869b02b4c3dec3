"""Claim 15: given the active set, the network is linear."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosparse.claims.frame import Claim, Criterion
from neurosparse.claims.lab import Lab, hidden
from neurosparse.rectifier import RectifierNetwork
from neurosparse.rectifier.evaluation import tensors

STEP = 1e-3  # length of the change of an image, as a share of the image's
N_IMAGES = 200

CLAIM = Claim(
    text="Given the active set, a rectifier network is exactly linear.",
    source="section 3.1, figure 2",
    criteria=(
        Criterion(
            "rectifier",
            "relative error of the linear map of an image's active set at a near image",
            high=1e-9,
        ),
    ),
    arms=("rectifier_l1", "tanh"),
    limits=(
        "Nearly an identity: it follows from max(0, x), and only a faulty implementation fails it."
        " In float64, near images with the same active set; those of another set are counted and"
        " left out."
    ),
)


def measure(lab: Lab, seed: int) -> dict[str, float]:
    """Return errors of the scores, linearised at the image.

    A tanh network's, linearised in the same way, is for comparison.
    """
    x = tensors(lab.some_test_images(N_IMAGES), torch.device("cpu"))[0].double()
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    near = x + noise * (STEP * x.norm(dim=1) / noise.norm(dim=1))[:, None]
    rectifier, tanh = (lab.network(arm, seed).double() for arm in ("rectifier_l1", "tanh"))
    before, after = (torch.cat(hidden(rectifier, images), dim=1) != 0 for images in (x, near))
    same = (before == after).all(dim=1)
    if not bool(same.any()):
        raise ValueError(
            f"no near image has the active set of its image in the network of seed {seed}: take a"
            " smaller STEP"
        )
    return {
        "rectifier": linear_error(rectifier, x[same], near[same]),
        "tanh": linear_error(tanh, x, near),
        "same_active_set": 100 * float(same.double().mean()),
    }


@torch.no_grad()
def linear_error(network: RectifierNetwork, images: Tensor, near: Tensor) -> float:
    """Return the largest error of f(x) + J(x) (x' - x) as an estimate of f(x').

    It is relative to the largest change f(x') - f(x). Images have shape (n, features) each.

    J is the product of the weights and, between them, of the slopes at x: of a rectifier 1 for the
    active units and 0 else.
    """
    *layers, output = network.linears()
    change, values = near - images, images
    for linear, name in zip(layers, network.layers, strict=True):
        values = network.get_submodule(name)(linear(values))
        slope = 1 - values.square() if network.spec.activation == "tanh" else (values != 0).double()
        change = (change @ linear.weight.T) * slope
    predicted = change @ output.weight.T
    actual = network(near) - output(values)
    return float((predicted - actual).abs().max() / actual.abs().max())
