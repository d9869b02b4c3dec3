"""Units left out by chance: the same ones whoever asks, on any device.

Whether a unit is left out is a function of the draw, the image, the layer and the unit alone. They
are mixed into 64 bits as in SplitMix64 (Steele, Lea & Flood 2014). The highest 24 bits decide.
`rectifier.dropout` does the same in torch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurosparse.kernels.network.layout import Floats
from neurosparse.kernels.network.sparse_rows import inner

# how far apart neighbours are before they are mixed: odd, and without a pattern
IMAGE, LAYER, UNIT = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93
MIX_1, MIX_2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
BITS = 24  # that decide

_IMAGE, _LAYER, _UNIT = np.uint64(IMAGE), np.uint64(LAYER), np.uint64(UNIT)
_MIX_1, _MIX_2 = np.uint64(MIX_1), np.uint64(MIX_2)
_30, _27, _LOW = np.uint64(30), np.uint64(27), np.uint64(64 - BITS)


@inner
def drop_units(
    units: NDArray[np.int32],
    values: Floats,
    b: int,
    count: int,
    share: float,
    draw: np.uint64,
    image: int,
    layer: int,
) -> int:
    """Shorten the lists of sample b to the units that stay, and scale up their values.

    Parameters
    ----------
    units, values
        The active units of each sample and their values; those of sample b are changed.
    b, count
        The sample, and how many units it lists.
    share
        The share of units that is left out, in [0, 1).
    draw
        The number that decides which.
    image
        The sample by its place in the draw.
    layer
        The hidden layer, from 0.

    Returns
    -------
    int
        How many stay. Their values are divided by 1 - `share`.
    """
    scale, least = np.float32(1.0 / (1.0 - share)), np.uint64(share * (1 << BITS))
    start = draw + np.uint64(image) * _IMAGE + np.uint64(layer) * _LAYER
    kept = 0
    for t in range(count):
        x = start + np.uint64(units[b, t]) * _UNIT
        x = (x ^ (x >> _30)) * _MIX_1
        x = (x ^ (x >> _27)) * _MIX_2
        if (x >> _LOW) >= least:
            units[b, kept], values[b, kept] = units[b, t], values[b, t] * scale
            kept += 1
    return kept


@inner
def scale_up(
    delta: Floats, units: NDArray[np.int32], count: NDArray[np.int64], n: int, share: float
) -> None:
    """Divide the deltas of the units that stay by 1 - `share`: the slope of `drop_units`."""
    scale = np.float32(1.0 / (1.0 - share))
    for b in range(n):
        for t in range(count[b]):
            delta[b, units[b, t]] *= scale
