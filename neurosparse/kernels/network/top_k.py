"""The k largest of the values of active units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurosparse.kernels.network.layout import Floats
from neurosparse.kernels.network.sparse_rows import inner


@inner
def keep_largest(
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
