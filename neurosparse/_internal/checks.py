"""Checks of arguments.

Each error names the thing, the value and, where it is not plain, the remedy.
"""

import math
import reprlib

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from neurosparse._internal import units
from neurosparse._internal.types import Array


def number(name: str, value: object) -> float:
    """Return `value` as a finite float, in the unit of the name if it carries one.

    TypeError or ValueError where it is none.
    """
    if (numbers := units.plain(name, value)) is not value and not np.ndim(numbers):
        value = float(numbers)
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        result = float(value)
    except OverflowError:  # a Python int has no bounds
        result = math.inf
    if not math.isfinite(result):
        raise ValueError(f"{name} must be finite, got {reprlib.repr(value)}")
    return result


def positive(name: str, value: object) -> float:
    """Return `value` as a finite float > 0."""
    result = number(name, value)
    if result <= 0:
        raise ValueError(f"{name} must be > 0, got {value}")
    return result


def not_negative(name: str, value: object) -> float:
    """Return `value` as a finite float >= 0."""
    result = number(name, value)
    if result < 0:
        raise ValueError(f"{name} must be >= 0, got {value}")
    return result


def whole(name: str, value: object, *, least: int = 1) -> int:
    """Return `value` as an int >= `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be >= {least}, got {value}")
    return int(value)


def seed(value: object, *, name: str = "seed") -> int:
    """Return `value` as a seed: an int from 0 to 2^63 - 1.

    Every generator here can take it.
    """
    result = whole(name, value, least=0)
    if result >= 2**63:
        raise ValueError(f"{name} must be < 2**63, got {value}")
    return result


def finite_array(
    name: str, values: object, *, dtype: DTypeLike = np.float64, unit: str | None = None
) -> Array:
    """Return `values` as an array of real numbers without NaN or infinity.

    TypeError or ValueError where they are none.

    Values with units are converted to the unit of the name, or to `unit`.
    """
    values = units.plain(name, values, unit)
    try:
        given = np.asarray(values)
    except ValueError:  # rows of unlike lengths
        raise ValueError(
            f"{name} must be an array of numbers, got {reprlib.repr(values)}"
        ) from None
    # booleans, complex numbers, text, objects; an empty list is float
    if given.size and given.dtype.kind not in "iuf":
        raise TypeError(
            f"{name} must be numbers, got {reprlib.repr(values)} of dtype {given.dtype}"
        )
    array = given.astype(dtype, copy=False)
    bad = ~np.isfinite(array)
    if bad.any():
        where = np.unravel_index(int(np.argmax(bad)), array.shape)
        at = (
            f" at index {', '.join(str(int(i)) for i in where)} ({int(bad.sum())} such values)"
            if array.ndim
            else ""
        )
        raise ValueError(f"{name} must be finite, got {array[where]}{at}")
    return array


def rates_array(name: str, values: ArrayLike, axis: int) -> NDArray[np.float64]:
    """Return `values` as finite floats >= 0 with at least one entry along `axis`."""
    array = finite_array(name, values)
    if not -array.ndim <= axis < array.ndim:
        raise ValueError(f"axis {axis} does not exist in {name} of shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} is empty, shape {array.shape}: nothing to measure")
    if (array < 0).any():
        raise ValueError(
            f"{name} must be >= 0, got {array.min()}; pass magnitudes, abs(a), for signed"
            " activations"
        )
    return array
