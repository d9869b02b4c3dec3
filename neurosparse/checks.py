"""Checks of arguments. Each error names the thing, the value and, where it is not plain, the remedy."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def number(name: str, value: Any) -> float:
    """`value` as a finite float; TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")
    return float(value)


def positive(name: str, value: Any) -> float:
    """`value` as a finite float > 0."""
    result = number(name, value)
    if result <= 0:
        raise ValueError(f"{name} must be > 0, got {value}")
    return result


def not_negative(name: str, value: Any) -> float:
    """`value` as a finite float >= 0."""
    result = number(name, value)
    if result < 0:
        raise ValueError(f"{name} must be >= 0, got {value}")
    return result


def whole(name: str, value: Any, *, least: int = 1) -> int:
    """`value` as an int >= `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be >= {least}, got {value}")
    return int(value)


def finite_array(name: str, values: ArrayLike, *, dtype: Any = np.float64) -> NDArray[Any]:
    """`values` as an array without NaN or infinity."""
    array = np.asarray(values, dtype=dtype)
    bad = ~np.isfinite(array)
    if bad.any():
        where = np.unravel_index(int(np.argmax(bad)), array.shape)
        at = ", ".join(str(int(i)) for i in where)
        raise ValueError(f"{name} must be finite, got {array[where]} at index {at} ({int(bad.sum())} such values)")
    return array


def rates_array(name: str, values: ArrayLike, axis: int) -> NDArray[np.float64]:
    """`values` as finite, non-negative floats with at least one entry along `axis`."""
    array = finite_array(name, values)
    if array.ndim == 0 or array.size == 0 or array.shape[axis] == 0:
        raise ValueError(f"{name} is empty, shape {array.shape}: nothing to measure")
    if (array < 0).any():
        raise ValueError(f"{name} must be >= 0, got {array.min()}; pass magnitudes, abs(a), for signed activations")
    return array
