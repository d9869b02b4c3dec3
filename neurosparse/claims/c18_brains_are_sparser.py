"""Claim 18: the best networks are less sparse than a brain."""

from __future__ import annotations

from neurosparse.claims.frame import Claim, Criterion, Quantity
from neurosparse.claims.lab import Lab

CLAIM = Claim(
    text="The best networks have 50 to 80 % zeros; a brain, at 95 to 99 %, is sparser.",
    source="sections 4.1 and 5",
    criteria=(
        Criterion(
            "zeros_of_best",
            "zeros of the network with the least validation error",
            low=50,
            high=80,
            unit="%",
        ),
        Criterion(
            "cost",
            "test error, steered to 96 % zeros minus the better of plain and L1 of 0.001",
            low=0,
            unit="points",
        ),
    ),
    arms=("rectifier", "rectifier_l1", "zeros_85", "zeros_96", "zeros_98"),
    limits=(
        "Five levels of sparsity; 1-4 % is an estimate from an energy budget, and no window comes"
        " with it."
    ),
)


def measure(lab: Lab, seed: int) -> dict[str, Quantity]:
    """Choose networks by their validation errors, and report their test errors.

    Of equals the denser is chosen.
    """
    validation = {arm: lab.validation_error(arm, seed) for arm in CLAIM.arms}
    dense = ("rectifier", "rectifier_l1")
    best, best_dense = (
        min(validation, key=validation.__getitem__),
        min(dense, key=validation.__getitem__),
    )
    return {
        "zeros_of_best": lab.zeros(best, seed),
        "cost": lab.misclassified("zeros_96", seed) - lab.misclassified(best_dense, seed),
        "zeros_of_best_dense": lab.zeros(best_dense, seed),
    }
