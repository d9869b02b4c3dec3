"""Claim 3: half of the units are silent from the start, and L1 silences more."""

from __future__ import annotations

from neurosparse.claims.frame import Claim, Criterion
from neurosparse.claims.lab import Lab
from neurosparse.rectifier import evaluate

CLAIM = Claim(
    text=(
        "A rectifier network starts with about 50 % exact zeros, and an L1 penalty raises their"
        " share."
    ),
    source="section 3.1",
    criteria=(
        Criterion("initial", "exact zeros of the untrained network", low=45, high=55, unit="%"),
        Criterion(
            "raised", "exact zeros after training, with L1 minus without", low=0, unit="points"
        ),
    ),
    arms=("rectifier", "rectifier_l1"),
)


def measure(lab: Lab, seed: int) -> dict[str, float]:
    """Return the zeros among all hidden activations on the test images, in %."""
    initial = 100 * (1 - evaluate(lab.untrained(seed), lab.splits.test).active_fraction)
    with_l1, without = lab.zeros("rectifier_l1", seed), lab.zeros("rectifier", seed)
    return {
        "initial": initial,
        "raised": with_l1 - without,
        "with_l1": with_l1,
        "without_l1": without,
    }
