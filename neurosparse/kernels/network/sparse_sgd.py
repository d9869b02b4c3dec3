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
from neurosparse.kernels.network.sparse_forward import (
    dense_sums,
    list_not_zero,
    list_positive,
    matrix,
    sparse_sums,
)
from neurosparse.kernels.network.sparse_rows import (
    add_1,
    add_2,
    add_4,
    dot_4,
    dot_and_add_1,
    dot_and_add_2,
    dot_and_add_3,
    inner,
    jit,
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
    """Room for minibatches of up to `batch` samples of `net`."""
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
) -> tuple[float, int]:
    """Descend along images[rows], `batch` at a time; the last minibatch may be smaller.

    Parameters
    ----------
    l1 : (hidden layers,)
        The weight of the penalty in each: sum over units, mean over the minibatch.
    top_k : (hidden layers,)
        The most units that may be active in each; 0 for any number.
    n_active : (hidden layers,)
        To which the active (sample, unit) pairs are added.
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
        _forward(net, work, n, top_k, n_active)
        loss = _output_delta(net, work, labels, rows, first, n, learning_rate)
        if not np.isfinite(loss):
            return total, step
        total += loss
        _backward(net, work, n, learning_rate, l1)
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
    net: Net, work: Work, n: int, top_k: NDArray[np.int64], n_active: NDArray[np.int64]
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
                    count = _keep_largest(units, values, b, count, top_k[k], work.sorting)
                work.n_listed[k + 1, b] = count
                n_active[k] += count


@inner
def _keep_largest(
    units: NDArray[np.int32], values: Floats, b: int, count: int, k: int, sorting: Floats
) -> int:
    """Shorten the lists to the k largest values; of equals, the first units. NaN is kept."""
    least, kept, room = -np.float32(np.inf), 0, 4 * k
    # most values are soon below the k-th largest so far, and are passed over
    for t in range(count):
        sorting[kept] = values[b, t]
        kept += not values[b, t] <= least
        if kept == room:
            least, kept = _kth_largest(sorting, kept, k), k
    least = _kth_largest(sorting, kept, k)
    n_above = 0
    for t in range(count):
        n_above += values[b, t] > least
    n_equal, kept = k - n_above, 0
    for t in range(count):
        value = values[b, t]
        if value == least:
            n_equal -= 1
            if n_equal < 0:
                continue
        elif value < least:
            continue
        units[b, kept], values[b, kept] = units[b, t], value
        kept += 1
    return kept


@inner
def _kth_largest(a: Floats, n: int, k: int) -> np.float32:
    """Return the k-th largest of a[:n], reordered so that the k largest come first.

    Hoare's selection.
    """
    low, high = 0, n - 1
    while low < high:
        pivot, i, j = a[(low + high) // 2], low, high
        while i <= j:
            while a[i] > pivot:
                i += 1
            while a[j] < pivot:
                j -= 1
            if i <= j:
                a[i], a[j] = a[j], a[i]
                i += 1
                j -= 1
        if k - 1 <= j:
            high = j
        elif k - 1 >= i:
            low = i
        else:
            break
    result: np.float32 = a[k - 1]
    return result


@inner
def _output_delta(
    net: Net,
    work: Work,
    labels: NDArray[np.int64],
    rows: NDArray[np.int64],
    first: int,
    n: int,
    learning_rate: float,
) -> float:
    """Set the deltas of the scores, -learning_rate (softmax - one-hot) / n; return the loss.

    They are -learning_rate * d loss / d scores; the loss is summed over the samples.
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
            delta[b, c] = -learning_rate / n * (np.exp(z[b, c] - most) / total - (c == label))
    return loss


# ---- Backward
# --------------------------------------------------------------------------------------------------


@inner
def _backward(net: Net, work: Work, n: int, learning_rate: float, l1: Floats) -> None:
    """Move every weight and bias, from the last layer to the first."""
    n_layers = len(net.rows)
    for k in range(n_layers - 1, -1, -1):
        W, delta = matrix(net, k), work.delta[k + 1]
        for b in range(n):
            for j in range(net.sizes[k + 1]):
                net.biases[k, j] += delta[b, j]
        if k > 0:
            _by_row(work, work.units[k], work.values[k], work.n_listed[k], n, net.rows[k])
            push = np.float32(-learning_rate / n * l1[k - 1])
            _learn_rows(W, net.columns[k], delta, work, net.rows[k], push, work.delta[k])
        # roles swapped: a row belongs to an active unit, and what is added to it are the inputs
        elif net.dense_input:
            _pack(delta, work.units[1], work.n_listed[1], n, work.packed)
            _by_row(work, work.units[1], work.packed, work.n_listed[1], n, net.rows[0])
            _update_rows(W, net.columns[0], work.inputs, work, net.rows[0])
        else:
            _by_row(work, work.units[0], work.values[0], work.n_listed[0], n, net.rows[0])
            _update_rows(W, net.columns[0], delta, work, net.rows[0])
        if k + 1 < n_layers:
            _clear(delta, work.units[k + 1], work.n_listed[k + 1], n)


@inner
def _by_row(
    work: Work,
    units: NDArray[np.int32],
    values: Floats,
    count: NDArray[np.int64],
    n: int,
    n_rows: int,
) -> None:
    """Turn lists by sample into lists by row of weights: n_samples, samples, sample_values."""
    n_samples, samples, sample_values = work.n_samples, work.samples, work.sample_values
    for i in range(n_rows):
        n_samples[i] = 0
    for b in range(n):
        for t in range(count[b]):
            i = units[b, t]
            q = n_samples[i]
            samples[i, q] = b
            sample_values[i, q] = values[b, t]
            n_samples[i] = q + 1


@inner
def _learn_rows(
    W: Floats, n: int, delta: Floats, work: Work, n_rows: int, push: np.float32, below: Floats
) -> None:
    """Send the deltas down through each row, then update the row.

    below[b, row] = W[row] . delta[b] + push for the samples b that it is active in.
    """
    samples, values = work.samples, work.sample_values
    for i in range(n_rows):
        count = work.n_samples[i]
        if count == 0:
            continue
        b0, v0 = samples[i, 0], values[i, 0]
        if count == 1:
            below[b0, i] = dot_and_add_1(W, i, n, delta, b0, v0) + push
        elif count == 2:
            b1, v1 = samples[i, 1], values[i, 1]
            s0, s1 = dot_and_add_2(W, i, n, delta, b0, v0, b1, v1)
            below[b0, i], below[b1, i] = s0 + push, s1 + push
        elif count == 3:
            b1, v1, b2, v2 = samples[i, 1], values[i, 1], samples[i, 2], values[i, 2]
            s0, s1, s2 = dot_and_add_3(W, i, n, delta, b0, v0, b1, v1, b2, v2)
            below[b0, i], below[b1, i], below[b2, i] = s0 + push, s1 + push, s2 + push
        else:
            _dot_row(W, i, n, delta, samples, count, push, below)
            _update_row(W, i, n, delta, samples, values, count)


@inner
def _dot_row(
    W: Floats,
    i: int,
    n: int,
    delta: Floats,
    samples: NDArray[np.int32],
    count: int,
    push: np.float32,
    below: Floats,
) -> None:
    """Set below[b, i] = W[i] . delta[b] + push for four or more samples.

    The last four may overlap those before.
    """
    for q in range(0, count, 4):
        t = min(q, count - 4)
        b0, b1, b2, b3 = samples[i, t], samples[i, t + 1], samples[i, t + 2], samples[i, t + 3]
        s0, s1, s2, s3 = dot_4(W, i, n, delta, b0, b1, b2, b3)
        below[b0, i], below[b1, i], below[b2, i], below[b3, i] = (
            s0 + push,
            s1 + push,
            s2 + push,
            s3 + push,
        )


@inner
def _update_row(
    W: Floats, i: int, n: int, D: Floats, samples: NDArray[np.int32], values: Floats, count: int
) -> None:
    """W[i] += sum over its samples of value * D[sample]."""
    q = 0
    while q + 4 <= count:
        add_4(
            W,
            i,
            n,
            D,
            samples[i, q],
            values[i, q],
            samples[i, q + 1],
            values[i, q + 1],
            samples[i, q + 2],
            values[i, q + 2],
            samples[i, q + 3],
            values[i, q + 3],
        )
        q += 4
    if q + 2 <= count:
        add_2(W, i, n, D, samples[i, q], values[i, q], samples[i, q + 1], values[i, q + 1])
        q += 2
    if q < count:
        add_1(W, i, n, D, samples[i, q], values[i, q])


@inner
def _update_rows(W: Floats, n: int, D: Floats, work: Work, n_rows: int) -> None:
    """Update the rows of the first layer; no delta goes further down."""
    for i in range(n_rows):
        _update_row(W, i, n, D, work.samples, work.sample_values, work.n_samples[i])


@inner
def _pack(
    delta: Floats, units: NDArray[np.int32], count: NDArray[np.int64], n: int, packed: Floats
) -> None:
    """Pack the deltas of the active units, in the order of their lists."""
    for b in range(n):
        for t in range(count[b]):
            packed[b, t] = delta[b, units[b, t]]


@inner
def _clear(delta: Floats, units: NDArray[np.int32], count: NDArray[np.int64], n: int) -> None:
    """Back to zero where a unit was active; the rest is zero already."""
    for b in range(n):
        for t in range(count[b]):
            delta[b, units[b, t]] = 0
