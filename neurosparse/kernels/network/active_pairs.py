"""A feed-forward block over its active (token, unit) pairs alone, forward and backward.

A rectifier's output is 0 for most tokens and units, and so is the gradient that reaches its input
there. Where few pairs are active, sums over these pairs are the whole of three of the block's four
products. Only the first, which finds out who is active, must be dense.

The pairs are kept twice: by token for sums that gather rows of weights, and by unit for gradients
of weights. So each row of a matrix is read and written once. Nothing here checks an index:
`sparsify.ffn` makes the arrays. The plain version is autograd itself, to which tests hold it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurosparse.kernels.network.layout import Floats
from neurosparse.kernels.network.sparse_rows import Ints, inner, jit

Offsets = NDArray[np.int64]

LANES = 8  # entries that are looked at together: nearly all of them hold no active unit


@jit
def list_pairs(z: Floats, most: int, start: Offsets, units: Ints, values: Floats) -> int:
    """List the entries of z that are not <= 0 by token, and return how many there are.

    `start` has one entry more than z has rows; `units` and `values` hold at least `most` pairs and
    one row of z more. Returns -1 once there are more than `most` pairs. NaN is listed, to be seen.
    """
    n_tokens, n_units = z.shape
    whole = n_units - n_units % LANES
    count = 0
    start[0] = 0
    for t in range(n_tokens):
        for first in range(0, whole, LANES):
            silent = True
            for lane in range(LANES):
                silent &= z[t, first + lane] <= 0
            if not silent:
                for u in range(first, first + LANES):
                    units[count], values[count] = u, z[t, u]
                    count += not z[t, u] <= 0
        for u in range(whole, n_units):
            units[count], values[count] = u, z[t, u]
            count += not z[t, u] <= 0
        start[t + 1] = count
        if count > most:
            return -1
    return count


@jit
def add_rows(
    first: int, last: int, start: Offsets, units: Ints, values: Floats, rows: Floats, out: Floats
) -> None:
    """Add to out[t] the sum of values * rows[units] over the pairs of token t.

    For the tokens from `first` to `last`. Eight rows at a time, so that out is read and written
    once for eight of them.
    """
    width = rows.shape[1]
    for t in range(first, last):
        p, end = start[t], start[t + 1]
        while p + 8 <= end:
            u0, u1, u2, u3 = units[p], units[p + 1], units[p + 2], units[p + 3]
            u4, u5, u6, u7 = units[p + 4], units[p + 5], units[p + 6], units[p + 7]
            v0, v1, v2, v3 = values[p], values[p + 1], values[p + 2], values[p + 3]
            v4, v5, v6, v7 = values[p + 4], values[p + 5], values[p + 6], values[p + 7]
            for j in range(width):
                low = v0 * rows[u0, j] + v1 * rows[u1, j] + v2 * rows[u2, j] + v3 * rows[u3, j]
                high = v4 * rows[u4, j] + v5 * rows[u5, j] + v6 * rows[u6, j] + v7 * rows[u7, j]
                out[t, j] += low + high
            p += 8
        while p + 2 <= end:
            u0, u1 = units[p], units[p + 1]
            v0, v1 = values[p], values[p + 1]
            for j in range(width):
                out[t, j] += v0 * rows[u0, j] + v1 * rows[u1, j]
            p += 2
        if p < end:
            u0, v0 = units[p], values[p]
            for j in range(width):
                out[t, j] += v0 * rows[u0, j]


@jit
def order_by_unit(
    start: Offsets, units: Ints, unit_start: Offsets, tokens: Ints, places: Offsets
) -> None:
    """Order the pairs by unit: the token of each, and its place in the lists by token.

    `unit_start` has one entry more than there are units.
    """
    n_units = len(unit_start) - 1
    unit_start[:] = 0
    for p in range(start[-1]):
        unit_start[units[p] + 1] += 1
    for u in range(n_units):
        unit_start[u + 1] += unit_start[u]
    upcoming = unit_start[:n_units].copy()
    for t in range(len(start) - 1):
        for p in range(start[t], start[t + 1]):
            place = upcoming[units[p]]
            upcoming[units[p]] += 1
            tokens[place], places[place] = t, p


@jit
def rows_backward(
    first: int,
    last: int,
    unit_start: Offsets,
    tokens: Ints,
    places: Offsets,
    values: Floats,
    rows: Floats,
    gradient: Floats,
    rows_gradient: Floats,
    values_gradient: Floats,
) -> None:
    """Go back through `add_rows`, for the units from `first` to `last`.

    rows_gradient[u] += the sum of value * gradient[token] over the pairs of u;
    values_gradient = gradient[token] . rows[u] of each pair, at its place by token.
    """
    width = rows.shape[1]
    for u in range(first, last):
        q, end = unit_start[u], unit_start[u + 1]
        while q + 4 <= end:
            t0, t1, t2, t3 = tokens[q], tokens[q + 1], tokens[q + 2], tokens[q + 3]
            p0, p1, p2, p3 = places[q], places[q + 1], places[q + 2], places[q + 3]
            v0, v1, v2, v3 = values[p0], values[p1], values[p2], values[p3]
            s0 = s1 = s2 = s3 = np.float32(0)
            for j in range(width):
                w = rows[u, j]
                g0, g1, g2, g3 = gradient[t0, j], gradient[t1, j], gradient[t2, j], gradient[t3, j]
                s0 += w * g0
                s1 += w * g1
                s2 += w * g2
                s3 += w * g3
                rows_gradient[u, j] += v0 * g0 + v1 * g1 + v2 * g2 + v3 * g3
            values_gradient[p0], values_gradient[p1] = s0, s1
            values_gradient[p2], values_gradient[p3] = s2, s3
            q += 4
        while q < end:
            t0, p0 = tokens[q], places[q]
            v0, s0 = values[p0], np.float32(0)
            for j in range(width):
                s0 += rows[u, j] * gradient[t0, j]
                rows_gradient[u, j] += v0 * gradient[t0, j]
            values_gradient[p0] = s0
            q += 1


@jit
def weights_backward(
    first: int,
    last: int,
    unit_start: Offsets,
    tokens: Ints,
    places: Offsets,
    values: Floats,
    inputs: Floats,
    weights_gradient: Floats,
    bias_gradient: Floats,
) -> None:
    """Add value * inputs[token] to the gradient of each unit's weights, and value to its bias's.

    `values` are gradients of pre-activations, at their places by token; for the units from `first`
    to `last`.
    """
    width = inputs.shape[1]
    for u in range(first, last):
        q, end = unit_start[u], unit_start[u + 1]
        total = np.float64(0)  # of many tokens, whose gradients cancel
        while q + 4 <= end:
            t0, t1, t2, t3 = tokens[q], tokens[q + 1], tokens[q + 2], tokens[q + 3]
            g0, g1 = values[places[q]], values[places[q + 1]]
            g2, g3 = values[places[q + 2]], values[places[q + 3]]
            for j in range(width):
                weights_gradient[u, j] += (
                    g0 * inputs[t0, j]
                    + g1 * inputs[t1, j]
                    + g2 * inputs[t2, j]
                    + g3 * inputs[t3, j]
                )
            total += np.float64(g0 + g1) + np.float64(g2 + g3)
            q += 4
        while q < end:
            t0, g0 = tokens[q], values[places[q]]
            for j in range(width):
                weights_gradient[u, j] += g0 * inputs[t0, j]
            total += g0
            q += 1
        bias_gradient[u] += total


@jit
def pair_dots(
    first: int, last: int, start: Offsets, units: Ints, rows: Floats, inputs: Floats, out: Floats
) -> None:
    """Write inputs[t] . rows[u] of each pair of the tokens from `first` to `last` into `out`."""
    width = rows.shape[1]
    for t in range(first, last):
        for p in range(start[t], start[t + 1]):
            out[p] = _dot(rows, units[p], inputs, t, width)


@inner
def _dot(a: Floats, i: int, b: Floats, k: int, width: int) -> np.float32:
    total = np.float32(0)
    for j in range(width):
        total += a[i, j] * b[k, j]
    return total
