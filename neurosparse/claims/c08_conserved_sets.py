"""Claim 8: a small change of the input conserves the set of active units."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosparse.claims.frame import Claim, Criterion
from neurosparse.claims.lab import Lab, hidden

CHANGE = 0.1  # length of the noise that is added to an image, as a share of the image's
# a unit has changed if its activation did by more than so many standard deviations of its layer
MOVED = 0.1

CLAIM = Claim(
    text=(
        "Sparse codes are less entangled: a small change of the input conserves the set of active"
        " units."
    ),
    source="section 2.2",
    criteria=(
        Criterion(
            "conserved",
            "active units in common, of those active with or without noise of 10 %",
            low=80,
            unit="%",
        ),
        Criterion(
            "changed",
            "units that the noise changes, tanh minus rectifier with L1",
            low=0,
            unit="points",
        ),
    ),
    arms=("rectifier_l1", "tanh"),
    limits=(
        "Changes of one kind, noise in the pixels; a unit counts as changed beyond 0.1 standard"
        " deviations of its layer."
    ),
)


def measure(lab: Lab, seed: int) -> dict[str, float]:
    """Return what a small change of the images conserves, over all layers, in %."""
    x = lab.test_images()
    generator = torch.Generator().manual_seed(seed)
    noise, others = (
        torch.randn(x.shape, generator=generator),
        torch.randperm(len(x), generator=generator),
    )
    near = x + noise * (CHANGE * x.norm(dim=1) / noise.norm(dim=1))[:, None]
    sparse, dense = lab.network("rectifier_l1", seed), lab.network("tanh", seed)
    before, after = hidden(sparse, x), hidden(sparse, near)
    changed = {
        "tanh": share_changed(hidden(dense, x), hidden(dense, near)),
        "rectifier_l1": share_changed(before, after),
    }
    return {
        "conserved": overlap(before, after),
        "changed": changed["tanh"] - changed["rectifier_l1"],
        "conserved_of_another_image": overlap(before, [layer[others] for layer in before]),
        **{f"changed_{arm}": share for arm, share in changed.items()},
    }


def overlap(first: list[Tensor], second: list[Tensor]) -> float:
    """Return the units active in both, in % of those active in either.

    A mean over images; layers of shape (n, units).
    """
    a, b = (torch.cat(layers, dim=1) != 0 for layers in (first, second))
    return 100 * float(((a & b).sum(dim=1) / (a | b).sum(dim=1).clamp(min=1)).mean())


def share_changed(first: list[Tensor], second: list[Tensor]) -> float:
    """Return the units whose activation moved by more than `MOVED`, in %.

    `MOVED` is in standard deviations of their layer.
    """
    moved = [(a - b).abs() > MOVED * a.std() for a, b in zip(first, second, strict=True)]
    return 100 * float(torch.cat(moved, dim=1).float().mean())
