"""Claim 7: sparsity is free up to a point."""

from __future__ import annotations

from neurosparse.claims.frame import Claim, Criterion, Quantity
from neurosparse.claims.lab import Lab

MARGIN = 0.5  # points of error that count as nothing

CLAIM = Claim(
    text="Sparsity does not hurt until about 85 % zeros; beyond that the effective capacity falls.",
    source="section 4.1, figure 3",
    criteria=(
        Criterion(
            "until",
            "test error, steered to 85 % zeros minus no penalty",
            high=MARGIN,
            unit="points",
        ),
        Criterion("beyond", "test error, steered to 98 % zeros minus 85 %", low=0, unit="points"),
    ),
    arms=("rectifier", "zeros_85", "zeros_96", "zeros_98"),
    limits=(
        "Steered by a penalty for each layer, where the paper had one for all. The zeros that were"
        " reached are given too."
    ),
)


def measure(lab: Lab, seed: int) -> dict[str, Quantity]:
    """Test errors, and the zeros that were reached."""
    error = {arm: lab.misclassified(arm, seed) for arm in CLAIM.arms}
    return {
        "until": error["zeros_85"] - error["rectifier"],
        "beyond": error["zeros_98"] - error["zeros_85"],
        **{f"error_{arm}": value for arm, value in error.items()},
        **{f"zeros_of_{arm}": lab.zeros(arm, seed) for arm in CLAIM.arms},
    }
