"""One token through a feed-forward block: units are left out where 8 bits prove them silent.

A unit's input is z = w . x + b. With w = s q + e (q whole numbers of 8 bits, e what rounding left)
and x = t p + f (p of up to 12 bits), it is

    z = s t (q . p) + e . x + s q . f + b,    |e . x| <= |e| |x|,    |s q . f| <= |s q| |f|

by Cauchy and Schwarz. So a unit whose 8-bit sum lies below -(|e| |x| + |s q| |f|) is silent for
sure. All others are candidates and are computed in float32. The bound has room for the rounding of
float32 sums in any order, both here and in torch (Higham 2002, section 3.1). Whole sums of 8 times
12 bits fit 32 bits up to 8,256 inputs; beyond that x takes fewer bits.

Nothing here checks an index: `sparsify.decoding` makes the arrays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosparse.kernels.network.byte_dots import BLOCK, dot_of_blocks
from neurosparse.kernels.network.layout import Floats
from neurosparse.kernels.network.sparse_rows import Ints, inner, jit

LEVELS = 127  # of a weight's 8 bits
MOST_INPUT_LEVELS = 2047
ROUNDING = 2.0**-24  # of a float32, relative


class Screen(NamedTuple):
    """The weights in front of a rectifier in 8 bits, and how far each unit's may be off."""

    levels: NDArray[np.int8]  # (n_units, n_inputs)
    scale: Floats  # (n_units,) of one level
    error: Floats  # (n_units,) |e|, with the rounding of sums
    norm: Floats  # (n_units,) |s q|
    input_levels: int


def screen_of(weights: Floats) -> Screen:
    """Return the screen of weights of shape (n_units, n_inputs).

    Examples
    --------
    >>> screen_of(np.array([[1.0, -0.5]], np.float32)).levels
    array([[127, -64]], dtype=int8)
    """
    wide = weights.astype(np.float64)
    n_inputs = weights.shape[1]
    scale = (np.abs(wide).max(axis=1, initial=0.0) / LEVELS).astype(np.float32)
    safe = np.where(scale > 0, scale, 1.0).astype(np.float64)
    levels = np.rint(wide / safe[:, None]).clip(-LEVELS, LEVELS)
    kept = levels * scale.astype(np.float64)[:, None]
    slack = 4 * (n_inputs + 8) * ROUNDING * np.linalg.norm(wide, axis=1)
    error = np.linalg.norm(wide - kept, axis=1) * (1 + 1e-6) + slack
    norm = np.linalg.norm(kept, axis=1) * (1 + 1e-6)
    most = min(MOST_INPUT_LEVELS, (2**31 - 1) // (LEVELS * max(1, n_inputs)))
    return Screen(levels.astype(np.int8), scale, _not_less(error), _not_less(norm), most)


def _not_less(values: NDArray[np.float64]) -> Floats:
    """Return float32 that are not below the given numbers."""
    return np.nextafter(values.astype(np.float32), np.float32(np.inf))


@jit
def candidates(
    screen: Screen, bias: Floats, x: Floats, whole: NDArray[np.int16], units: Ints
) -> int:
    """List the units that may be active for x, (n_inputs,), and return how many there are.

    `whole` is scratch, (n_inputs,); `units` has room for all.
    """
    n_units, n_inputs = screen.levels.shape
    largest, square = np.float32(0), np.float64(0)
    for j in range(n_inputs):
        largest = max(largest, abs(x[j]))
        square += np.float64(x[j]) * np.float64(x[j])
    if not np.isfinite(square):  # NaN or infinity: nothing is proven
        for u in range(n_units):
            units[u] = u
        result: int = n_units
        return result
    step = largest / np.float32(screen.input_levels)
    per_step = np.float32(1) / step if step > 0 else np.float32(0)
    if not np.isfinite(per_step):  # steps too small for a float32
        per_step = np.float32(0)
    left = np.float64(0)
    for j in range(n_inputs):
        nearest = np.rint(x[j] * per_step)
        whole[j] = np.int16(nearest)
        off = np.float64(x[j]) - np.float64(nearest) * np.float64(step)
        left += off * off
    length = np.float32(np.sqrt(square) * 1.000001) + np.float32(1e-30)
    left_length = np.float32(np.sqrt(left) * 1.000001) + np.float32(1e-30)
    rows = screen.levels.reshape(-1)
    count = 0
    for u in range(n_units):
        z = np.float32(_whole_dot(rows, u, whole)) * (step * screen.scale[u])
        reach = screen.error[u] * length + screen.norm[u] * left_length
        units[count] = u
        count += not z + bias[u] <= -(reach * np.float32(1.00001) + abs(bias[u]) * np.float32(1e-6))
    return count


@inner
def _whole_dot(rows: NDArray[np.int8], u: int, whole: NDArray[np.int16]) -> np.int32:
    """Return row u of `rows`, a matrix in one, times `whole`; `screen_of` sees that it fits."""
    n = len(whole)
    begin, n_blocks = u * n, n - n % BLOCK
    total = np.int32(dot_of_blocks(rows, begin, whole, n_blocks))
    for j in range(n_blocks, n):
        total = np.int32(total + np.int32(rows[begin + j]) * np.int32(whole[j]))
    return total


@jit
def active_of(
    weights: Floats, bias: Floats, x: Floats, count: int, units: Ints, values: Floats
) -> int:
    """Compute the first `count` of `units` in float32 and keep those not <= 0; return how many."""
    n_inputs = weights.shape[1]
    kept = 0
    for k in range(count):
        u = units[k]
        z = bias[u]
        total = np.float32(0)
        for j in range(n_inputs):
            total += weights[u, j] * x[j]
        z += total
        units[kept], values[kept] = u, z
        kept += not z <= 0
    return kept


@jit
def multiply_by(
    weights: Floats, bias: Floats, x: Floats, count: int, units: Ints, values: Floats
) -> None:
    """Multiply the values of the first `count` of `units` by weights[u] . x + bias[u]."""
    n_inputs = weights.shape[1]
    for k in range(count):
        total = np.float32(0)
        for j in range(n_inputs):
            total += weights[units[k], j] * x[j]
        values[k] *= total + bias[units[k]]
