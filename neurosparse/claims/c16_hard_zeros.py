"""Claim 16: hard zeros do not hurt training."""

from __future__ import annotations

from neurosparse.claims.frame import Claim, Criterion
from neurosparse.claims.lab import Lab
from neurosparse.rectifier import evaluate

CLAIM = Claim(
    text=(
        "Hard zeros do not hurt training: few units die, and softplus, which has no zeros, does not"
        " train better."
    ),
    source="section 3.1, table 1",
    criteria=(
        Criterion(
            "dead", "units that are silent for every training image, without L1", high=5, unit="%"
        ),
        Criterion(
            "loss", "loss on the training images, softplus minus rectifier", low=0, unit="nats"
        ),
        Criterion("softplus_zeros", "exact zeros of the softplus network", high=0, unit="%"),
    ),
    arms=("rectifier", "rectifier_l1", "softplus"),
    limits="As many epochs at the same learning rate for both.",
)


def measure(lab: Lab, seed: int) -> dict[str, float]:
    """Return losses, and dead units in %, on the training images."""
    states = {arm: evaluate(lab.network(arm, seed), lab.splits.train) for arm in CLAIM.arms}
    rectifier, with_l1, softplus = states.values()
    n_units = rectifier.n_alive + rectifier.n_dead
    return {
        "dead": 100 * rectifier.n_dead / n_units,
        "loss": softplus.loss - rectifier.loss,
        "softplus_zeros": 100 * (1 - softplus.active_fraction),
        "dead_with_l1": 100 * with_l1.n_dead / n_units,
        "loss_rectifier": rectifier.loss,
        "loss_softplus": softplus.loss,
    }
