"""Claim 10: sparse codes are more linearly separable."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from neurosparse.claims.frame import Claim, Criterion, Quantity
from neurosparse.claims.lab import Lab, hidden
from neurosparse.data import ImageSet
from neurosparse.rectifier import RectifierNetwork
from neurosparse.rectifier.evaluation import tensors

MARGIN = 0.1  # points of error: codes that are equally separable are not more so
# of the probe, in units of the features' mean sum of squares
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)

CLAIM = Claim(
    text="Sparse representations are more linearly separable than dense ones.",
    source="section 2.2",
    criteria=(
        Criterion(
            "difference",
            "test error of a linear probe of layer 1, tanh minus rectifier with L1",
            low=MARGIN,
            unit="points",
        ),
        Criterion(
            "by_sparsity", "the same, rectifier without L1 minus with L1", low=MARGIN, unit="points"
        ),
    ),
    arms=("rectifier_l1", "rectifier", "tanh"),
    limits=(
        "Layer 1, whose features are the least shaped by the labels; the classes' one-hot codes by"
        " ridge regression. The network without L1 is the control: where it is as separable, that"
        " is the rectifier's doing and not the sparsity's."
    ),
)


def measure(lab: Lab, seed: int) -> dict[str, Quantity]:
    """Return test errors of probes, in %.

    They are of the arms, of an untrained rectifier network's layer 1, and of the pixels.
    """
    networks: dict[str, RectifierNetwork | None] = {
        arm: lab.network(arm, seed) for arm in CLAIM.arms
    }
    networks |= {"untrained": lab.untrained(seed), "pixels": None}
    error = {name: probe_wrong(lab, network) for name, network in networks.items()}
    return {
        "difference": error["tanh"] - error["rectifier_l1"],
        "by_sparsity": error["rectifier"] - error["rectifier_l1"],
        **{f"probe_{name}": value for name, value in error.items()},
    }


def probe_wrong(lab: Lab, network: RectifierNetwork | None) -> NDArray[np.int8]:
    """Return 1 for each test image that a ridge probe of a network's first layer misclassifies.

    Its penalty is chosen on the validation images.
    """

    def features(images: ImageSet) -> tuple[Tensor, Tensor]:
        x, labels = tensors(images, torch.device("cpu"))
        values = x if network is None else hidden(network, x)[0]
        # the last feature is the bias
        return functional.pad(values.double(), (0, 1), value=1.0), labels

    (train, y), validation, test = (
        features(part) for part in (lab.splits.train, lab.splits.validation, lab.splits.test)
    )
    gram = train.T @ train  # (features, features)
    towards = train.T @ functional.one_hot(y, lab.splits.n_classes).double()
    unit = gram.diagonal().mean()
    eye = torch.eye(len(gram), dtype=torch.float64)
    weights = [torch.linalg.solve(gram + penalty * unit * eye, towards) for penalty in PENALTIES]
    best = min(weights, key=lambda w: _error(w, *validation))
    return lab.wrong(test[0] @ best)


def _error(weights: Tensor, features: Tensor, labels: Tensor) -> float:
    return float(((features @ weights).argmax(dim=1) != labels).double().mean())
