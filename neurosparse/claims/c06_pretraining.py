"""Claim 6: pre-training helps the rectifier only where labels are few."""

from __future__ import annotations

from neurosparse.claims.frame import Claim, Criterion, Quantity
from neurosparse.claims.lab import FEW, Lab

MARGIN = 0.5  # points of error that count as nothing

CLAIM = Claim(
    text=(
        "Pre-training brings a rectifier network nothing where labels are many, and something where"
        " they are few."
    ),
    source="section 4.1, table 1 and figure 4",
    criteria=(
        Criterion(
            "all_labels",
            "test error with all labels, plain minus pre-trained",
            -MARGIN,
            MARGIN,
            unit="points",
        ),
        Criterion("few_labels", f"the same with one label in {FEW}", low=0, unit="points"),
    ),
    arms=("rectifier", "pretrained", "few_labels", "pretrained_few_labels"),
    limits="With 3,500 digits even all labels are few compared with the paper's 50,000.",
)


def measure(lab: Lab, seed: int) -> dict[str, Quantity]:
    """Test errors; pre-training sees all training images and no labels."""
    arms = {arm: lab.misclassified(arm, seed) for arm in CLAIM.arms}
    return {
        "all_labels": arms["rectifier"] - arms["pretrained"],
        "few_labels": arms["few_labels"] - arms["pretrained_few_labels"],
        **{f"error_{arm}": error for arm, error in arms.items()},
    }
