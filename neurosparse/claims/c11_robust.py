"""Claim 11: distributed, though sparse: parts can be lost."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from neurosparse.claims.frame import Claim, Criterion, Quantity
from neurosparse.claims.lab import Lab
from neurosparse.rectifier import RectifierNetwork

SHARE = 0.1  # of the activations that is discarded; and the noise's, of a layer's root mean square
MARGIN = 1.0  # points of error that count as little

CLAIM = Claim(
    text=(
        "The code is distributed as well as sparse: discarding some values or adding noise loses"
        " little."
    ),
    source="section 2.2",
    criteria=(
        Criterion(
            "discarded",
            "rise of the test error when 10 % of the hidden values are set to 0",
            high=MARGIN,
            unit="points",
        ),
        Criterion(
            "noisy",
            "rise of the test error with noise of 10 % of the layers' size",
            high=MARGIN,
            unit="points",
        ),
    ),
    arms=("rectifier_l1", "tanh"),
    limits="On the network with L1; every hidden layer is disturbed at once.",
)


def measure(lab: Lab, seed: int) -> dict[str, Quantity]:
    """Return rises of the test error, in points, where activations are disturbed.

    Also those of the tanh network, and with five times as much of both.
    """

    def rise(
        arm: str, disturb: Callable[[Tensor, float, torch.Generator], Tensor], share: float
    ) -> Quantity:
        generator = torch.Generator().manual_seed(seed)
        scores = run_disturbed(
            lab.network(arm, seed), lab.test_images(), lambda h: disturb(h, share, generator)
        )
        return lab.wrong(scores) - lab.misclassified(arm, seed)

    return {
        "discarded": rise("rectifier_l1", discard, SHARE),
        "noisy": rise("rectifier_l1", add_noise, SHARE),
        "discarded_tanh": rise("tanh", discard, SHARE),
        "noisy_tanh": rise("tanh", add_noise, SHARE),
        "half_discarded": rise("rectifier_l1", discard, 5 * SHARE),
        "half_noisy": rise("rectifier_l1", add_noise, 5 * SHARE),
        "half_discarded_tanh": rise("tanh", discard, 5 * SHARE),
        "half_noisy_tanh": rise("tanh", add_noise, 5 * SHARE),
    }


@torch.no_grad()
def run_disturbed(
    network: RectifierNetwork, images: Tensor, disturb: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return the scores, where each hidden layer's output goes through `disturb`.

    They have shape (n, classes).
    """
    values = images
    for name, module in network.named_children():
        values = disturb(module(values)) if name in network.layers else module(values)
    return values


def discard(values: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Set a random share of values to 0; the others are as they were."""
    return values * (torch.rand(values.shape, generator=generator) >= share)


def add_noise(values: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise to values, also to those that are 0.

    Its standard deviation is `share` of their root mean square.
    """
    return values + share * values.square().mean().sqrt() * torch.randn(
        values.shape, generator=generator
    )
