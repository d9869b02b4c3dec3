"""Claim 5: the rectifier beats its smooth version."""

from __future__ import annotations

from neurosparse.claims.frame import Claim, Criterion, Quantity
from neurosparse.claims.lab import Lab

CLAIM = Claim(
    text="Without pre-training a rectifier network has less error on images than a softplus one.",
    source="section 4.1, table 1",
    criteria=(
        Criterion("difference", "test error, softplus minus rectifier", low=0, unit="points"),
    ),
    arms=("rectifier", "softplus"),
    limits="One learning rate for both, the better of 0.1 and 0.01 for each on the 5,000 digits.",
)


def measure(lab: Lab, seed: int) -> dict[str, Quantity]:
    """Return test errors, in %, of networks that start from the same weights.

    They see the images in the same order.
    """
    rectifier, softplus = lab.misclassified("rectifier", seed), lab.misclassified("softplus", seed)
    return {"difference": softplus - rectifier, "rectifier": rectifier, "softplus": softplus}
