"""Rows of weights, each updated once in a step, for the samples in which its unit is active."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurosparse.kernels.network.layout import Floats
from neurosparse.kernels.network.minibatch import Work
from neurosparse.kernels.network.sparse_rows import (
    add_1,
    add_2,
    add_4,
    dot_4,
    dot_and_add_1,
    dot_and_add_2,
    dot_and_add_3,
    inner,
)


@inner
def list_by_row(
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
def learn_rows(
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
    """Add to W[i] the sum over its samples of value * D[sample]."""
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
def update_rows(W: Floats, n: int, D: Floats, work: Work, n_rows: int) -> None:
    """Update the rows of the first layer; no delta goes further down."""
    for i in range(n_rows):
        _update_row(W, i, n, D, work.samples, work.sample_values, work.n_samples[i])


@inner
def pack(
    delta: Floats, units: NDArray[np.int32], count: NDArray[np.int64], n: int, packed: Floats
) -> None:
    """Pack the deltas of the active units, in the order of their lists."""
    for b in range(n):
        for t in range(count[b]):
            packed[b, t] = delta[b, units[b, t]]


@inner
def clear(delta: Floats, units: NDArray[np.int32], count: NDArray[np.int64], n: int) -> None:
    """Set back to zero where a unit was active; the rest is zero already."""
    for b in range(n):
        for t in range(count[b]):
            delta[b, units[b, t]] = 0
