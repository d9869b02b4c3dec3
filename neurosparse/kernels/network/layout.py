"""Layout in memory of a fully connected network, for the sparse kernels.

The weights of all layers share one block of float32, so that one compiled kernel serves any depth.
Each matrix is [inputs, outputs]: the weights that leave an active unit are a row, read and written
as a whole. Where the inputs are dense, the first matrix is [outputs, inputs] instead, for then its
rows belong to the units that are active. Rows are padded with zeros to whole vectors and start on a
cache line. They are never a multiple of 4 KiB apart, where they would fall into the same places of
the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal.types import Array

Floats = NDArray[np.float32]

LINE = 16  # float32 in a cache line, and in the widest vector
UNROLLED = 4  # vectors that a loop over a long row takes at a time
PAGE = 1024  # float32 in 4 KiB
# float32 in 2 MiB: a block that starts on this boundary needs few entries of the address cache
HUGE_PAGE = 2**19
# units and samples that the dense product takes at a time; minibatches are multiples of 5
DENSE_TILE = (2, 5)


class Net(NamedTuple):
    """The weights and biases of a network of n layers of weights, as the kernels take them."""

    weights: Floats  # all matrices, one after another
    biases: Floats  # (n, widest)
    sizes: NDArray[np.int64]  # (n + 1,) inputs, hidden units, classes
    offsets: NDArray[np.int64]  # (n,) where each matrix starts
    rows: NDArray[np.int64]  # (n,)
    columns: NDArray[np.int64]  # (n,) length of a row with its padding: what the loops run over
    strides: NDArray[np.int64]  # (n,) from one row to the next
    dense_input: bool  # whether the first matrix is [outputs, inputs]


def multiple(n: int, of: int) -> int:
    """Return the least multiple of `of` that is >= n."""
    return -(-n // of) * of


def padded(n: int) -> int:
    """Return the columns of a row of n weights.

    Whole vectors, and whole turns of an unrolled loop where it is long.
    """
    return multiple(n, LINE if n < LINE * UNROLLED else LINE * UNROLLED)


def stride(columns: int) -> int:
    """Return the values from one row to the next.

    It is a cache line more where it would be a multiple of 4 KiB.
    """
    return columns + LINE if columns % PAGE == 0 else columns


def aligned_zeros(*shape: int, boundary: int = LINE) -> Floats:
    """Return zeros of float32 that start on a multiple of `boundary` float32.

    So no vector straddles two cache lines.
    """
    size = prod(shape)
    block = np.zeros(size + boundary, np.float32)
    first = -(block.ctypes.data // 4) % boundary
    return block[first : first + size].reshape(shape)


def net(weights: Sequence[Array], biases: Sequence[Array], *, dense_input: bool = False) -> Net:
    """Lay out a network.

    Parameters
    ----------
    weights : sequence of arrays, shape (outputs, inputs) each
        From the inputs to the classes, as torch has them.
    biases : sequence of arrays, shape (outputs,) each
        In the same order.
    dense_input
        Whether to lay the first matrix out for inputs of which most are not zero.

    Raises
    ------
    ValueError
        Where the shapes do not fit one another.
    """
    if not weights or len(weights) != len(biases):
        raise ValueError(
            f"a network needs a bias for each of its matrices, got {len(weights)} and {len(biases)}"
        )
    for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        if weight.ndim != 2 or not weight.size or bias.shape != weight.shape[:1]:
            raise ValueError(
                f"layer {k + 1} has weights of shape {weight.shape} and biases of shape"
                f" {bias.shape}"
            )
        if k and weight.shape[1] != weights[k - 1].shape[0]:
            raise ValueError(
                f"layer {k + 1} takes {weight.shape[1]} inputs but the layer below has"
                f" {weights[k - 1].shape[0]} units"
            )
    sizes = np.array([weights[0].shape[1], *(weight.shape[0] for weight in weights)], np.int64)
    rows, lengths = sizes[:-1].copy(), sizes[1:].copy()
    if dense_input:
        rows[0], lengths[0] = multiple(int(sizes[1]), DENSE_TILE[0]), sizes[0]
    columns = np.array([padded(int(n)) for n in lengths], np.int64)
    strides = np.array([stride(int(n)) for n in columns], np.int64)
    offsets = np.concatenate([[0], np.cumsum(rows * strides)]).astype(np.int64)
    laid = Net(
        aligned_zeros(int(offsets[-1]), boundary=HUGE_PAGE if offsets[-1] > HUGE_PAGE else LINE),
        aligned_zeros(len(weights), widest(sizes)),
        sizes,
        offsets[:-1].copy(),
        rows,
        columns,
        strides,
        dense_input,
    )
    write(laid, weights, biases)
    return laid


def widest(sizes: NDArray[np.int64]) -> int:
    """Return the room for one value of each unit of any layer, with its row's padding."""
    return stride(max(padded(int(n)) for n in sizes))


def write(net: Net, weights: Sequence[Array], biases: Sequence[Array]) -> None:
    """Copy matrices (outputs, inputs) and biases into the layout."""
    for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        view(net, k)[:] = weight
        net.biases[k, : len(bias)] = bias


def view(net: Net, k: int) -> Floats:
    """Return matrix k without its padding, (outputs, inputs): a view, to read and to write."""
    whole = matrix(net, k)
    n_in, n_out = (int(n) for n in net.sizes[k : k + 2])
    return whole[:n_out, :n_in] if k == 0 and net.dense_input else whole[:n_in, :n_out].T


def matrix(net: Net, k: int) -> Floats:
    """Return matrix k with its padding, (rows, stride): a view, to read and to write."""
    first, n_rows = int(net.offsets[k]), int(net.rows[k])
    return net.weights[first : first + n_rows * int(net.strides[k])].reshape(n_rows, -1)


def bias(net: Net, k: int) -> Floats:
    """Return the biases of layer k: a view."""
    return net.biases[k, : int(net.sizes[k + 1])]
