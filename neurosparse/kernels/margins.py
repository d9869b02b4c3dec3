"""Counts and sums of activations along both margins, per unit and per sample, in one pass over the values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosparse.kernels.sparse_rows import jit


@jit
def add_margins(x: NDArray[Any], threshold: float, rows: NDArray[Any], columns: NDArray[Any]) -> int:
    """Add what is above the threshold, the magnitudes and their squares to the sums of the rows and of the columns.

    Sums are float64 whatever the values are, and NaN and infinity stay what they are in them.

    Parameters
    ----------
    x : array of float, shape (n, m)
    rows, columns : arrays of float64, shapes (3, n) and (3, m)
        Added to: the number of values with abs(x) > threshold, the sum of abs(x), the sum of x^2.

    Returns
    -------
    int
        How many values are exactly 0.
    """
    n_zero = 0
    for i in range(x.shape[0]):
        count = total = square = 0.0
        for j in range(x.shape[1]):
            magnitude = abs(np.float64(x[i, j]))
            active = 1.0 if magnitude > threshold else 0.0
            columns[0, j] += active
            columns[1, j] += magnitude
            columns[2, j] += magnitude * magnitude
            count += active
            total += magnitude
            square += magnitude * magnitude
            n_zero += magnitude == 0
        rows[0, i] += count
        rows[1, i] += total
        rows[2, i] += square
    return n_zero
