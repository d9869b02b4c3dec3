"""Claim 1: a neuron answers on one side only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neurosparse import recipes
from neurosparse.claims.frame import Claim, Criterion
from neurosparse.claims.lab import Lab
from neurosparse.lif import LIF, rate, siegert_rate

CLAIM = Claim(
    text=(
        "A LIF neuron and tanh or sigmoid units disagree: the neuron is one-sided, and silent below"
        " its threshold."
    ),
    source="section 2.1, figure 1",
    criteria=(
        Criterion(
            "one_sidedness", "one-sidedness, LIF minus the larger of tanh and sigmoid", low=0.5
        ),
        Criterion(
            "silent", "drives below threshold at which the LIF neuron fires", high=0.0, unit="%"
        ),
    ),
    limits=(
        "Both follow from the formulas; the images only choose the drives. With noise a neuron"
        " fires below threshold too."
    ),
)
NOISE_MV = 5.0  # sigma in Brunel's convention
_CELL = "lif_glorot2011"  # the one of the figure


def measure(lab: Lab, seed: int) -> dict[str, float]:
    """Compare one-sidedness at the drives that layer 1 of an untrained network gets.

    A drive of 0 is the threshold, -1 is rest.
    """
    network = lab.untrained(seed)
    z = network.linears()[0](lab.test_images()[:100]).detach().numpy().astype(float)
    z = (z - z.mean()) / z.std()
    recipe = recipes.load(_CELL)
    cell = LIF(**recipe.values)

    def neuron(drive: Any) -> Any:
        return rate(cell.rheobase_nA * (1 + drive), cell)

    def noisy(drive: Any) -> Any:
        mean_mV = cell.v_threshold_mV + (cell.v_threshold_mV - cell.e_leak_mV) * drive
        return siegert_rate(mean_mV, NOISE_MV, cell)

    smooth = {
        "tanh": one_sidedness(np.tanh, z),
        "sigmoid": one_sidedness(lambda x: 1 / (1 + np.exp(-x)), z),
    }
    return {
        "one_sidedness": one_sidedness(neuron, z) - max(smooth.values()),
        "silent": 100 * float((neuron(z[z < 0]) > 0).mean()),
        "one_sidedness_with_noise": one_sidedness(noisy, z),
        **{f"one_sidedness_{name}": value for name, value in smooth.items()},
    }


def one_sidedness(function: Callable[[Any], Any], drive: Any) -> float:
    """Return how far a function is from antisymmetry about 0.

    0 for tanh, 1 where it moves on one side only:

    mean |f(z) + f(-z) - 2 f(0)| / mean |f(z) - f(-z)|.

    Examples
    --------
    >>> one_sidedness(np.tanh, np.array([0.5, 2.0])), one_sidedness(lambda z: np.maximum(z, 0), np.array([-0.5, 2.0]))
    (0.0, 1.0)
    """  # noqa: E501
    up, down, rest = function(drive), function(-drive), function(np.zeros(1))
    return float(np.abs(up + down - 2 * rest).mean() / np.abs(up - down).mean())
