"""Counts and sums of activations along both margins, in one pass over the values.

Per unit and per sample.
"""

from __future__ import annotations

import numpy as np

from neurosparse._internal.types import Array
from neurosparse.kernels.network.sparse_rows import inner, jit


@jit
def add_margins(x: Array, threshold: float, rows: Array, columns: Array) -> int:
    """Add counts, magnitudes and squares to the sums of the rows and of the columns.

    Counted is what is above the threshold.

    Sums are float64 whatever the values are, and NaN and infinity stay what they are in them.

    Parameters
    ----------
    x : array of float, shape (n, m)
        The values.
    threshold
        See `rows, columns`.
    rows, columns : arrays of float64, shapes (3, n) and (3, m)
        Added to: the number of values with abs(x) > threshold, the sum of abs(x), the sum of x^2.

    Returns
    -------
    int
        How many values are exactly 0.
    """
    n_zero, n = 0.0, x.shape[0]
    for i in range(0, n - 3, 4):
        n_zero += _add_4_rows(x, i, threshold, rows, columns)
    for i in range(n - n % 4, n):
        n_zero += _add_row(x, i, threshold, rows, columns)
    return int(n_zero)


@jit
def add_margins_of_maps(maps: Array, threshold: float, units: Array, samples: Array) -> int:
    """Add the margins of several matrices whose rows are the same units.

    Parameters
    ----------
    maps : array of float, shape (n_inputs, n_units, n_positions)
        The values.
    threshold
        As for `add_margins`.
    units, samples : arrays of float64, shapes (3, n_units) and (n_inputs, 3, n_positions)
        Added to, as `rows` and `columns` in `add_margins`.

    Returns
    -------
    int
        How many values are exactly 0.
    """
    n_zero = 0
    for k in range(maps.shape[0]):
        n_zero += add_margins(maps[k], threshold, units, samples[k])
    return n_zero


@jit
def add_margins_of_list(
    start: Array, units: Array, values: Array, threshold: float, counts: Array, samples: Array
) -> None:
    """Add the margins of a rectifier's output that is a list of what is not 0, sample by sample.

    Parameters
    ----------
    start : array of int, shape (n_samples + 1,)
        Where the entries of each sample begin.
    units, values : arrays, shape (n_entries,)
        The unit of each entry, and its activation.
    threshold
        As for `add_margins`.
    counts : array of float64, shape (n_units,)
        Added to: the samples for which each unit is above the threshold.
    samples : array of float64, shape (2, n_samples)
        Added to: the sums of magnitudes and of squares.
    """
    for i in range(len(start) - 1):
        total = square = 0.0
        for k in range(start[i], start[i + 1]):
            a = np.float64(values[k])
            counts[units[k]] += _one_if(a > threshold)
            total += a
            square += a * a
        samples[0, i] += total
        samples[1, i] += square


@inner
def _add_row(x: Array, i: int, threshold: float, rows: Array, columns: Array) -> float:
    """Add row i alone, as `add_margins` does."""
    n_zero = count = total = square = 0.0
    for j in range(x.shape[1]):
        a = abs(np.float64(x[i, j]))
        active = _one_if(a > threshold)
        columns[0, j] += active
        columns[1, j] += a
        columns[2, j] += a * a
        count += active
        total += a
        square += a * a
        n_zero += _one_if(a == 0)
    rows[0, i] += count
    rows[1, i] += total
    rows[2, i] += square
    return n_zero


@inner
def _add_4_rows(x: Array, i: int, threshold: float, rows: Array, columns: Array) -> float:
    """Add rows i to i + 3 at once.

    The sums of the columns, longer than the rows, are then loaded and stored once.
    """
    n_zero = count_a = count_b = count_c = count_d = 0.0
    total_a = total_b = total_c = total_d = square_a = square_b = square_c = square_d = 0.0
    for j in range(x.shape[1]):
        a, b = abs(np.float64(x[i, j])), abs(np.float64(x[i + 1, j]))
        c, d = abs(np.float64(x[i + 2, j])), abs(np.float64(x[i + 3, j]))
        active_a, active_b = _one_if(a > threshold), _one_if(b > threshold)
        active_c, active_d = _one_if(c > threshold), _one_if(d > threshold)
        columns[0, j] += (active_a + active_b) + (active_c + active_d)
        columns[1, j] += (a + b) + (c + d)
        columns[2, j] += (a * a + b * b) + (c * c + d * d)
        count_a, count_b, count_c, count_d = (
            count_a + active_a,
            count_b + active_b,
            count_c + active_c,
            count_d + active_d,
        )
        total_a, total_b, total_c, total_d = total_a + a, total_b + b, total_c + c, total_d + d
        square_a, square_b, square_c, square_d = (
            square_a + a * a,
            square_b + b * b,
            square_c + c * c,
            square_d + d * d,
        )
        n_zero += (_one_if(a == 0) + _one_if(b == 0)) + (_one_if(c == 0) + _one_if(d == 0))
    for k, sums in enumerate(
        (
            (count_a, total_a, square_a),
            (count_b, total_b, square_b),
            (count_c, total_c, square_c),
            (count_d, total_d, square_d),
        )
    ):
        for s in range(3):
            rows[s, i + k] += sums[s]
    return n_zero


@inner
def _one_if(condition: bool | np.bool) -> float:
    return 1.0 if condition else 0.0
