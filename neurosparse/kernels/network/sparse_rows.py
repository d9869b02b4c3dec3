"""Loops over whole rows of weights: what the sparse kernels spend their time in.

Each takes 2-D arrays and the numbers of the rows, for a slice costs as much as a short loop. Each
runs over range(n) from 0, for a variable start keeps the compiler from using vectors. Several rows
are taken at once, so that the row which they share is loaded and stored once. Sums may be taken in
any order (`FAST`), but NaN and infinity stay what they are.

Nothing here checks an index: whoever calls makes sure that rows exist and hold n columns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurosparse.kernels.compiled import njit
from neurosparse.kernels.network.layout import Floats

Ints = NDArray[np.int32]

# not "nnan" and "ninf": a NaN must not be optimised away
FAST = {"reassoc", "contract", "nsz", "arcp"}

_options = {"fastmath": FAST, "nogil": True, "error_model": "numpy"}
jit = njit(**_options)  # called from Python
# called from other kernels alone
inner = njit(**_options, no_cpython_wrapper=True, no_cfunc_wrapper=True)


@inner
def add_8_rows(z: Floats, b: int, W: Floats, units: Ints, values: Floats, t: int, n: int) -> None:
    """Add to z[b] the sum over s < 8 of values[b, t + s] W[units[b, t + s]]."""
    i0, i1, i2, i3 = units[b, t], units[b, t + 1], units[b, t + 2], units[b, t + 3]
    i4, i5, i6, i7 = units[b, t + 4], units[b, t + 5], units[b, t + 6], units[b, t + 7]
    v0, v1, v2, v3 = values[b, t], values[b, t + 1], values[b, t + 2], values[b, t + 3]
    v4, v5, v6, v7 = values[b, t + 4], values[b, t + 5], values[b, t + 6], values[b, t + 7]
    for j in range(n):
        low = v0 * W[i0, j] + v1 * W[i1, j] + v2 * W[i2, j] + v3 * W[i3, j]
        z[b, j] += low + v4 * W[i4, j] + v5 * W[i5, j] + v6 * W[i6, j] + v7 * W[i7, j]


@inner
def add_4_rows(z: Floats, b: int, W: Floats, units: Ints, values: Floats, t: int, n: int) -> None:
    """Add to z[b] the sum over s < 4 of values[b, t + s] W[units[b, t + s]]."""
    i0, i1, i2, i3 = units[b, t], units[b, t + 1], units[b, t + 2], units[b, t + 3]
    v0, v1, v2, v3 = values[b, t], values[b, t + 1], values[b, t + 2], values[b, t + 3]
    for j in range(n):
        z[b, j] += v0 * W[i0, j] + v1 * W[i1, j] + v2 * W[i2, j] + v3 * W[i3, j]


@inner
def add_active_rows(
    z: Floats, b: int, W: Floats, units: Ints, values: Floats, t: int, count: int, end: int, n: int
) -> int:
    """Add values[b, t:] W[units[b, t:]] to z[b], for units below `end` and a few above.

    Returns the t at which to go on.

    The lists are in the order of the units; `fill_up` has made them a multiple of 4 long.
    """
    while t < count and units[b, t] < end:
        if t + 4 < count:
            add_8_rows(z, b, W, units, values, t, n)
            t += 8
        else:
            add_4_rows(z, b, W, units, values, t, n)
            t += 4
    return t


@inner
def fill_up(units: Ints, values: Floats, b: int, count: int) -> None:
    """Lengthen the lists of sample b to a multiple of 4 by its last unit with the value 0."""
    for t in range(count, (count + 3) & ~3):
        units[b, t], values[b, t] = units[b, count - 1], 0


# ---- A row of weights: its products with the deltas, and its update
# --------------------------------------------------------------------------------------------------


@inner
def dot_and_add_1(W: Floats, i: int, n: int, D: Floats, b0: int, v0: float) -> np.float32:
    """Return W[i] . D[b0], then add v0 D[b0] to W[i], in one pass."""
    s0 = np.float32(0)
    for j in range(n):
        w, d0 = W[i, j], D[b0, j]
        s0 += w * d0
        W[i, j] = w + v0 * d0
    return s0


@inner
def dot_and_add_2(
    W: Floats, i: int, n: int, D: Floats, b0: int, v0: float, b1: int, v1: float
) -> tuple[np.float32, np.float32]:
    """Do for two samples what `dot_and_add_1` does for one."""
    s0 = s1 = np.float32(0)
    for j in range(n):
        w, d0, d1 = W[i, j], D[b0, j], D[b1, j]
        s0 += w * d0
        s1 += w * d1
        W[i, j] = w + v0 * d0 + v1 * d1
    return s0, s1


@inner
def dot_and_add_3(
    W: Floats, i: int, n: int, D: Floats, b0: int, v0: float, b1: int, v1: float, b2: int, v2: float
) -> tuple[np.float32, ...]:
    """Do for three samples what `dot_and_add_1` does for one."""
    s0 = s1 = s2 = np.float32(0)
    for j in range(n):
        w, d0, d1, d2 = W[i, j], D[b0, j], D[b1, j], D[b2, j]
        s0 += w * d0
        s1 += w * d1
        s2 += w * d2
        W[i, j] = w + v0 * d0 + v1 * d1 + v2 * d2
    return s0, s1, s2


@inner
def dot_4(
    W: Floats, i: int, n: int, D: Floats, b0: int, b1: int, b2: int, b3: int
) -> tuple[np.float32, ...]:
    """Return W[i] . D[b] for four samples."""
    s0 = s1 = s2 = s3 = np.float32(0)
    for j in range(n):
        w = W[i, j]
        s0 += w * D[b0, j]
        s1 += w * D[b1, j]
        s2 += w * D[b2, j]
        s3 += w * D[b3, j]
    return s0, s1, s2, s3


@inner
def add_1(W: Floats, i: int, n: int, D: Floats, b0: int, v0: float) -> None:
    """Add v0 D[b0] to W[i]."""
    for j in range(n):
        W[i, j] += v0 * D[b0, j]


@inner
def add_2(W: Floats, i: int, n: int, D: Floats, b0: int, v0: float, b1: int, v1: float) -> None:
    """Do for two samples what `add_1` does for one."""
    for j in range(n):
        W[i, j] += v0 * D[b0, j] + v1 * D[b1, j]


@inner
def add_4(
    W: Floats,
    i: int,
    n: int,
    D: Floats,
    b0: int,
    v0: float,
    b1: int,
    v1: float,
    b2: int,
    v2: float,
    b3: int,
    v3: float,
) -> None:
    """Do for four samples what `add_1` does for one."""
    for j in range(n):
        W[i, j] += v0 * D[b0, j] + v1 * D[b1, j] + v2 * D[b2, j] + v3 * D[b3, j]


# ---- A dense product
# --------------------------------------------------------------------------------------------------


@inner
def dot_2_by_5(W: Floats, j: int, X: Floats, b: int, n: int, z: Floats) -> None:
    """Add W[j + r] . X[b + s] to z[b + s, j + r] for r < 2 and s < 5.

    Seven loads for ten products, all sums in registers.
    """
    s0 = s1 = s2 = s3 = s4 = np.float32(0)
    t0 = t1 = t2 = t3 = t4 = np.float32(0)
    for i in range(n):
        v, w = W[j, i], W[j + 1, i]
        x0, x1, x2, x3, x4 = X[b, i], X[b + 1, i], X[b + 2, i], X[b + 3, i], X[b + 4, i]
        s0 += v * x0
        s1 += v * x1
        s2 += v * x2
        s3 += v * x3
        s4 += v * x4
        t0 += w * x0
        t1 += w * x1
        t2 += w * x2
        t3 += w * x3
        t4 += w * x4
    z[b, j] += s0
    z[b + 1, j] += s1
    z[b + 2, j] += s2
    z[b + 3, j] += s3
    z[b + 4, j] += s4
    z[b, j + 1] += t0
    z[b + 1, j + 1] += t1
    z[b + 2, j + 1] += t2
    z[b + 3, j + 1] += t3
    z[b + 4, j + 1] += t4
