"""Claim 2: at rest all units of a sigmoid network sit at half of their range."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosparse.claims.frame import Claim, Criterion
from neurosparse.claims.lab import Lab, hidden

CLAIM = Claim(
    text=(
        "At rest, with small weights, all units of a sigmoid network are active at about 1/2: a"
        " level of each neuron, not a share of the neurons."
    ),
    source="section 2.1",
    criteria=(
        Criterion("level", "mean activation of the untrained units", low=0.45, high=0.55),
        Criterion(
            "in_the_middle",
            "untrained activations in the middle half of the range, 1/4 to 3/4",
            low=90,
            unit="%",
        ),
    ),
    limits=(
        "Weights a tenth of those that the networks start from here; those spread the activations"
        " more, as a further number shows. The share of units above 1/2 is 50 % by the symmetry of"
        " the weights, also where all units are saturated: it decides nothing."
    ),
)


SMALL = 0.1  # the paper's "small weights", as a share of those by Glorot & Bengio 2010


def measure(lab: Lab, seed: int) -> dict[str, float]:
    """Return the levels of an untrained network, over all layers and test images."""
    network = lab.untrained(seed, activation="sigmoid")
    as_it_starts = _in_the_middle(torch.cat(hidden(network, lab.test_images()), dim=1))
    with torch.no_grad():
        for linear in network.linears():
            linear.weight.mul_(SMALL)
    values = torch.cat(hidden(network, lab.test_images()), dim=1)
    return {
        "level": float(values.mean()),
        "in_the_middle": _in_the_middle(values),
        "in_the_middle_as_it_starts": as_it_starts,
        "above_half": 100 * float((values > 0.5).float().mean()),
    }


def _in_the_middle(values: Tensor) -> float:
    return 100 * float(((values >= 0.25) & (values <= 0.75)).float().mean())
