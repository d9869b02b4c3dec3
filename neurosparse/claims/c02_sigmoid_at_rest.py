"""Claim 2: at rest a sigmoid network is active about 50 %."""

from __future__ import annotations

import torch

from neurosparse.claims.frame import Claim, Criterion
from neurosparse.claims.lab import Lab, hidden

CLAIM = Claim(
    text=(
        "At rest a sigmoid network is active about 50 %: its units sit in the middle of their"
        " range."
    ),
    source="section 2.1",
    criteria=(
        Criterion(
            "above_half", "untrained units above 0.5 for a test image", low=45, high=55, unit="%"
        ),
    ),
    limits="A sigmoid is never 0, so its middle has to stand in for a threshold.",
)


def measure(lab: Lab, seed: int) -> dict[str, float]:
    """Of an untrained network, over all layers and test images."""
    values = torch.cat(hidden(lab.untrained(seed, activation="sigmoid"), lab.test_images()), dim=1)
    return {
        "above_half": 100 * float((values > 0.5).float().mean()),
        "mean_output": float(values.mean()),
    }
