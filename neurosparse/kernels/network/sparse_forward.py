"""The forward pass of one layer over what is not zero.

Lists of the inputs that are not zero, and the sums of the rows of weights that leave them.

Nothing here checks an index: `rectifier.inference` and `rectifier.sparse_training` make the arrays
and check the images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurosparse.kernels.network.layout import DENSE_TILE, Floats, Net
from neurosparse.kernels.network.sparse_rows import (
    Ints,
    add_active_rows,
    dot_2_by_5,
    fill_up,
    inner,
    jit,
)

BLOCK_ROWS = 64  # rows of 1,000 weights that stay in the second cache level
LARGE_BATCH = 20
TILE_UNITS, TILE_SAMPLES = DENSE_TILE


@jit
def run_layer(
    W: Floats,
    bias: Floats,
    n_in: int,
    columns: int,
    x: Floats,
    n: int,
    rectified: bool,
    most: int,
    units: Ints,
    values: Floats,
    n_listed: NDArray[np.int64],
    z: Floats,
) -> int:
    """Run one layer for the first n samples of x, (n, inputs).

    z = bias + max(0, x) W, or x W where not `rectified`.

    Returns the (sample, input) pairs that are not zero; with more than `most` of them z is left
    alone.
    """
    total = 0
    for b in range(n):
        if rectified:
            n_listed[b] = list_positive(x, b, n_in, units, values, b)
        else:
            n_listed[b] = list_not_zero(x, b, n_in, units, values, b)
        total += n_listed[b]
    if total <= most:
        sparse_sums(W, bias, units, values, n_listed, z, columns, n)
    return total


@inner
def matrix(net: Net, k: int) -> Floats:
    """Return matrix k with its padding, (rows, stride)."""
    first, n_rows, stride = net.offsets[k], net.rows[k], net.strides[k]
    return net.weights[first : first + n_rows * stride].reshape((n_rows, stride))


@inner
def list_positive(x: Floats, row: int, size: int, units: Ints, values: Floats, b: int) -> int:
    """List the entries of x[row, :size] above 0 without a branch; return how many.

    NaN is one of them, to be seen.
    """
    count = 0
    for j in range(size):
        units[b, count], values[b, count] = j, x[row, j]
        count += not x[row, j] <= 0
    return count


@inner
def list_not_zero(x: Floats, row: int, size: int, units: Ints, values: Floats, b: int) -> int:
    """List the entries of x[row, :size] that are not 0 without a branch; return how many."""
    count = 0
    for j in range(size):
        units[b, count], values[b, count] = j, x[row, j]
        count += x[row, j] != 0
    return count


@inner
def sparse_sums(
    W: Floats,
    bias: Floats,
    units: Ints,
    values: Floats,
    count: NDArray[np.int64],
    z: Floats,
    columns: int,
    n: int,
) -> None:
    """Compute z[b] = bias + values[b] W[units[b]] for each sample.

    In a large batch that uses many rows, these are taken in blocks: one serves all samples while it
    is in the cache.
    """
    total = 0
    for b in range(n):
        total += count[b]
        fill_up(units, values, b, count[b])
        for j in range(columns):
            z[b, j] = bias[j]
    done = np.zeros(n, np.int64)
    block = BLOCK_ROWS if n >= LARGE_BATCH and total >= n * BLOCK_ROWS else len(W)
    for end in range(block, len(W) + block, block):
        for b in range(n):
            done[b] = add_active_rows(z, b, W, units, values, done[b], count[b], end, columns)


@inner
def dense_sums(W: Floats, bias: Floats, inputs: Floats, z: Floats, columns: int, n: int) -> None:
    """Set z[b, j] = bias[j] + W[j] . inputs[b].

    Samples past n, up to a whole tile, are computed and not used.
    """
    for b in range(0, n, TILE_SAMPLES):
        for s in range(TILE_SAMPLES):
            for j in range(len(W)):
                z[b + s, j] = bias[j]
    for j in range(0, len(W), TILE_UNITS):
        for b in range(0, n, TILE_SAMPLES):
            dot_2_by_5(W, j, inputs, b, columns, z)
