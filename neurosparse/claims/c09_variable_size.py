"""Claim 9: more units for more information."""

from __future__ import annotations

import math
import zlib

import numpy as np
from numpy.typing import NDArray

from neurosparse.claims.frame import Claim, Criterion
from neurosparse.claims.lab import Lab, hidden

CLAIM = Claim(
    text="The number of active units varies with the amount of information in the input.",
    source="section 2.2",
    criteria=(
        Criterion(
            "correlation",
            "rank correlation, active units with the bytes of the compressed image",
            low=0.2,
        ),
    ),
    arms=("rectifier_l1",),
    limits=(
        "Compressed size stands for information, and goes along with ink. What is left at equal ink"
        " is given too."
    ),
)


def measure(lab: Lab, seed: int) -> dict[str, float]:
    """Correlate the active units of the network with L1 with the content of test images.

    Active units are counted over all hidden layers, for each image.
    """
    layers = hidden(lab.network("rectifier_l1", seed), lab.test_images())
    by_layer = [(layer != 0).sum(dim=1).numpy() for layer in layers]  # (n,) each
    n_active = np.sum(by_layer, axis=0)
    images = lab.splits.test.images
    information, ink = compressed_bytes(images), images.sum(axis=1)
    found = {
        "correlation": rank_correlation(n_active, information),
        "correlation_with_ink": rank_correlation(n_active, ink),
        **{
            f"correlation_of_layer_{k}": rank_correlation(n, information)
            for k, n in enumerate(by_layer, start=1)
        },
    }
    found["correlation_at_equal_ink"] = partial(
        found["correlation"], found["correlation_with_ink"], rank_correlation(information, ink)
    )
    return found


def compressed_bytes(images: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the size of each image in bytes, under DEFLATE at its best.

    Images have shape (n, features) and values in [0, 1].
    """
    return np.array(
        [len(zlib.compress(row.tobytes(), 9)) for row in np.rint(255 * images).astype(np.uint8)]
    )


def rank_correlation(first: NDArray[np.generic], second: NDArray[np.generic]) -> float:
    """Return Spearman's correlation; 0 where one of them never varies.

    What never varies goes along with nothing.
    """
    from scipy.stats import spearmanr

    return (
        0.0
        if np.ptp(first) == 0 or np.ptp(second) == 0
        else float(spearmanr(first, second).statistic)
    )


def partial(xy: float, xz: float, yz: float) -> float:
    """Return the correlation of x and y at equal z, from those of the three pairs.

    0 where z says all about one of them.
    """
    spread = math.sqrt((1 - xz**2) * (1 - yz**2))
    return (xy - xz * yz) / spread if spread > 0 else 0.0
