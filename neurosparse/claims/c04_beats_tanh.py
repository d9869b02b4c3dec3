"""Claim 4: without pre-training the rectifier beats tanh on images."""

from __future__ import annotations

from neurosparse.claims.frame import Claim, Criterion, Quantity
from neurosparse.claims.lab import Lab

CLAIM = Claim(
    text="Without pre-training a rectifier network has less error on images than a tanh one.",
    source="section 4.1, table 1",
    criteria=(Criterion("difference", "test error, tanh minus rectifier", low=0, unit="points"),),
    arms=("rectifier", "tanh"),
    limits="One learning rate for both, the better of 0.1 and 0.01 for each on the 5,000 digits.",
)


def measure(lab: Lab, seed: int) -> dict[str, Quantity]:
    """Return test errors, in %, of networks that start from the same weights.

    They see the images in the same order.
    """
    rectifier, tanh = lab.misclassified("rectifier", seed), lab.misclassified("tanh", seed)
    return {"difference": tanh - rectifier, "rectifier": rectifier, "tanh": tanh}
