"""Exact stochastic gradient descent that does the work of the active units alone.

A rectifier's slope is zero where the unit is silent, so a silent unit neither feeds the next layer
nor learns from it. A step

    forward     adds, for each sample, the rows of weights that leave its active units
    backward    visits each row whose unit is active in some sample, once:
                delta_in = W[row] . delta_out for those samples, and in the same pass
                W[row] -= learning_rate * sum over samples of value * delta_out

computes what autograd computes, to the rounding of float32, at a cost in proportion to the active
(sample, unit) pairs. The rule is plain SGD: momentum would move the weights of silent units too.

Nothing here checks an index: `rectifier.sparse_training` checks images, labels and rows before it
calls.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurosparse.kernels.network.dropout import drop_units, scale_up
from neurosparse.kernels.network.layout import Floats, Net
from neurosparse.kernels.network.minibatch import Work
from neurosparse.kernels.network.sparse_forward import (
    dense_sums,
    list_not_zero,
    list_positive,
    matrix,
    sparse_sums,
)
from neurosparse.kernels.network.sparse_rows import inner, jit
from neurosparse.kernels.network.sparse_updates import (
    clear,
    learn_rows,
    list_by_row,
    pack,
    update_rows,
)
from neurosparse.kernels.network.top_k import keep_largest


@jit
def run_steps(
    net: Net,
    work: Work,
    images: Floats,
    labels: NDArray[np.int64],
    rows: NDArray[np.int64],
    batch: int,
    learning_rate: float,
    l1: Floats,
    top_k: NDArray[np.int64],
    n_active: NDArray[np.int64],
    smoothing: float,
    dropout: float,
    draw: np.uint64,
) -> tuple[float, int]:
    """Descend along images[rows], `batch` at a time; the last minibatch may be smaller.

    Parameters
    ----------
    l1 : (hidden layers,)
        The weight of the penalty in each: sum over units, mean over the minibatch.
    top_k : (hidden layers,)
        The most units that may be active in each; 0 for any number.
    n_active : (hidden layers,)
        To which the active (sample, unit) pairs are added, those that are then left out among them.
    smoothing
        The share of each label that is spread evenly over the classes.
    dropout
        The share of hidden units that is left out for each image.
    draw
        Decides which (`kernels.network.dropout`).
    net
        The weights, changed in place.
    work
        Room for a minibatch.
    images
        Of float32, (n, pixels).
    labels
        Whole numbers, (n,).
    rows
        The images to descend along, in order.
    batch
        Images a step.
    learning_rate
        Of every step.

    Returns
    -------
    tuple
        The summed negative log-likelihood, each image in its own step, and the number of the step,
        from 0, whose loss is not finite, or -1. Such a step is the last and leaves the weights
        alone.
    """
    total = 0.0
    for step in range((len(rows) + batch - 1) // batch):
        first = step * batch
        n = min(batch, len(rows) - first)
        _take_images(net, work, images, rows, first, n)
        _forward(net, work, n, top_k, n_active, dropout, draw, first)
        loss = _output_delta(net, work, labels, rows, first, n, learning_rate, smoothing)
        if not np.isfinite(loss):
            return total, step
        total += loss
        _backward(net, work, n, learning_rate, l1, dropout)
    return total, -1


# ---- Forward
# --------------------------------------------------------------------------------------------------


@inner
def _take_images(
    net: Net, work: Work, images: Floats, rows: NDArray[np.int64], first: int, n: int
) -> None:
    """Take the images of a minibatch.

    They are copied where the layout is dense, else listed as the pixels that are not zero.
    """
    for b in range(n):
        row = rows[first + b]
        if net.dense_input:
            for i in range(net.sizes[0]):
                work.inputs[b, i] = images[row, i]
        else:
            work.n_listed[0, b] = list_not_zero(
                images, row, net.sizes[0], work.units[0], work.values[0], b
            )


@inner
def _forward(
    net: Net,
    work: Work,
    n: int,
    top_k: NDArray[np.int64],
    n_active: NDArray[np.int64],
    dropout: float,
    draw: np.uint64,
    first: int,
) -> None:
    """Find the active units of each hidden layer, and the scores in `work.z`."""
    z, n_layers = work.z, len(net.rows)
    for k in range(n_layers):
        W, size = matrix(net, k), net.sizes[k + 1]
        if k == 0 and net.dense_input:
            dense_sums(W, net.biases[0], work.inputs, z, net.columns[0], n)
        else:
            sparse_sums(
                W,
                net.biases[k],
                work.units[k],
                work.values[k],
                work.n_listed[k],
                z,
                net.columns[k],
                n,
            )
        if k + 1 < n_layers:
            units, values = work.units[k + 1], work.values[k + 1]
            for b in range(n):
                count = list_positive(z, b, size, units, values, b)
                if 0 < top_k[k] < count:
                    count = keep_largest(units, values, b, count, top_k[k], work.sorting)
                n_active[k] += count
                if dropout > 0:
                    count = drop_units(units, values, b, count, dropout, draw, first + b, k)
                work.n_listed[k + 1, b] = count


@inner
def _output_delta(
    net: Net,
    work: Work,
    labels: NDArray[np.int64],
    rows: NDArray[np.int64],
    first: int,
    n: int,
    learning_rate: float,
    smoothing: float,
) -> float:
    """Set the deltas of the scores, -learning_rate (softmax - label) / n; return the loss.

    They are -learning_rate * d loss / d scores, of smoothed labels; the loss is that of the labels
    as they are, summed over the samples.
    """
    n_classes, z, delta = net.sizes[-1], work.z, work.delta[len(net.rows)]
    loss = 0.0
    for b in range(n):
        label, most = labels[rows[first + b]], z[b, 0]
        for c in range(1, n_classes):
            most = max(most, z[b, c])
        total = 0.0
        for c in range(n_classes):
            total += np.exp(z[b, c] - most)
        loss += np.log(total) + most - z[b, label]
        for c in range(n_classes):
            wanted = (1 - smoothing) * (c == label) + smoothing / n_classes
            delta[b, c] = -learning_rate / n * (np.exp(z[b, c] - most) / total - wanted)
    return loss


# ---- Backward
# --------------------------------------------------------------------------------------------------


@inner
def _backward(
    net: Net, work: Work, n: int, learning_rate: float, l1: Floats, dropout: float
) -> None:
    """Move every weight and bias, from the last layer to the first."""
    n_layers = len(net.rows)
    for k in range(n_layers - 1, -1, -1):
        W, delta = matrix(net, k), work.delta[k + 1]
        for b in range(n):
            for j in range(net.sizes[k + 1]):
                net.biases[k, j] += delta[b, j]
        if k > 0:
            list_by_row(work, work.units[k], work.values[k], work.n_listed[k], n, net.rows[k])
            push = np.float32(-learning_rate / n * l1[k - 1])
            learn_rows(W, net.columns[k], delta, work, net.rows[k], push, work.delta[k])
            if dropout > 0:
                scale_up(work.delta[k], work.units[k], work.n_listed[k], n, dropout)
        # roles swapped: a row belongs to an active unit, and what is added to it are the inputs
        elif net.dense_input:
            pack(delta, work.units[1], work.n_listed[1], n, work.packed)
            list_by_row(work, work.units[1], work.packed, work.n_listed[1], n, net.rows[0])
            update_rows(W, net.columns[0], work.inputs, work, net.rows[0])
        else:
            list_by_row(work, work.units[0], work.values[0], work.n_listed[0], n, net.rows[0])
            update_rows(W, net.columns[0], delta, work, net.rows[0])
        if k + 1 < n_layers:
            clear(delta, work.units[k + 1], work.n_listed[k + 1], n)
