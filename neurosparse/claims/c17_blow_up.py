"""Claim 17: unbounded activations can blow up; L1 prevents it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from neurosparse.claims.frame import Claim, Criterion
from neurosparse.claims.lab import Lab, hidden
from neurosparse.rectifier import DivergenceError, TrainSpec, train

FIRST, MOST = 0.1, 7  # learning rates of 0.1 / 128 to 0.1 * 128 are searched
HALVINGS = 3  # of a doubling: the search ends within an eighth, the criterion asks for a half
N_IMAGES = 3500

CLAIM = Claim(
    text="Unbounded activations can blow up numerically; an L1 penalty prevents it.",
    source="section 3.1",
    criteria=(
        Criterion("smaller", "doublings of the largest activation, without L1 over with", low=0),
        Criterion(
            "prevented",
            "doublings of the learning rate that keeps finite, with L1 minus without",
            low=0.5,
        ),
    ),
    arms=("rectifier", "rectifier_l1"),
    limits=(
        "One epoch at each learning rate; the search ends within an eighth of a doubling. Finite is"
        " not trained: a network that falls silent is finite too."
    ),
)


def measure(lab: Lab, seed: int) -> dict[str, float]:
    """Return the largest hidden activations, and learning rates until divergence.

    Activations are those on the test images after training. Rates are counted in doublings from 0.1
    up to the first that diverges.
    """
    with_l1, without = (_largest(lab, arm, seed) for arm in ("rectifier_l1", "rectifier"))
    survived = {l1: doublings(lab, seed, l1) for l1 in (0.001, 0.0)}
    return {
        "smaller": math.log2(without / with_l1),
        "prevented": survived[0.001] - survived[0.0],
        "largest_with_l1": with_l1,
        "largest_without_l1": without,
        "doublings_with_l1": survived[0.001],
        "doublings_without_l1": survived[0.0],
    }


def doublings(lab: Lab, seed: int, l1: float) -> float:
    """Return how often the learning rate can be doubled while an epoch of training stays finite."""
    splits = replace(lab.splits, train=lab.splits.train.take(slice(0, N_IMAGES)))
    network = lab.training("rectifier", seed).network

    def finite(exponent: float) -> bool:
        spec = TrainSpec(
            network=network,
            data=lab.spec.data,
            epochs=1,
            learning_rate=FIRST * 2**exponent,
            l1=l1,
            seed=seed,
        )
        try:
            train(spec, splits, device="cpu", test=False)
        except DivergenceError:
            return False
        return True

    return last_finite(finite)


def last_finite(finite: Callable[[float], bool], *, most: int = MOST) -> float:
    """Return the last exponent, from -`most` to `most`, up to which `finite` is true.

    It is found by whole steps from 0 and then by bisection, within 2^-`HALVINGS`. What is finite at
    an exponent is taken to be so at smaller ones.

    Examples
    --------
    >>> last_finite(lambda exponent: exponent <= 2.3)
    2.25
    """
    low = 0.0
    if finite(low):
        while low < most and finite(low + 1):
            low += 1
        if low == most:
            return low
    else:
        while low > -most and not finite(low):
            low -= 1
    high = low + 1
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if finite(middle) else (low, middle)
    return low


def _largest(lab: Lab, arm: str, seed: int) -> float:
    found = max(float(layer.max()) for layer in hidden(lab.network(arm, seed), lab.test_images()))
    # a network that fell silent has a logarithm too
    return max(found, torch.finfo(torch.float32).tiny)
