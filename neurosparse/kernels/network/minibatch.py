"""Room for one minibatch on its way through a network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosparse.kernels.network.layout import (
    DENSE_TILE,
    Floats,
    Net,
    aligned_zeros,
    multiple,
    widest,
)


class Work(NamedTuple):
    """Room for one minibatch of at most `batch` samples on its way through n layers.

    Layer 0 is the inputs.
    """

    units: NDArray[np.int32]  # (n, batch, widest) the active units of each layer and sample
    values: Floats  # (n, batch, widest) their values
    n_listed: NDArray[np.int64]  # (n, batch) how many
    z: Floats  # (batch, widest) the sums that reach a layer; after the last layer the scores
    # (n + 1, batch, widest) -learning_rate * d loss / d z of each layer; 0 for silent units
    delta: Floats
    inputs: Floats  # (batch, widest) the images themselves, where the input layout is dense
    packed: Floats  # (batch, widest) deltas of the active units alone
    # (widest,) by row of weights: the samples in which its unit is active,
    n_samples: NDArray[np.int32]
    samples: NDArray[np.int32]  # (widest, batch) which those are,
    sample_values: Floats  # (widest, batch) and its value in each
    sorting: Floats  # (widest,)


def work_for(net: Net, batch: int) -> Work:
    """Return room for minibatches of up to `batch` samples of `net`."""
    n, width, batch = len(net.rows), widest(net.sizes), multiple(batch, DENSE_TILE[1])
    return Work(
        np.zeros((n, batch, width), np.int32),
        aligned_zeros(n, batch, width),
        np.zeros((n, batch), np.int64),
        aligned_zeros(batch, width),
        aligned_zeros(n + 1, batch, width),
        aligned_zeros(batch, width),
        aligned_zeros(batch, width),
        np.zeros(width, np.int32),
        np.zeros((width, batch), np.int32),
        aligned_zeros(width, batch),
        aligned_zeros(width),
    )
