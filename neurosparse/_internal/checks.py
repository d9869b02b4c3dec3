"""Checks of arguments.

Each error names the thing, the value and, where it is not plain, the remedy.
"""

import math
import os
import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from neurosparse._internal import units
from neurosparse._internal.types import Array, Foreign

T = TypeVar("T")

_IN_WORDS = {  # kinds whose names say little
    "Iterable": "list",
    "Mapping": "dict",
    "Module": "torch module",
    "NoneType": "None",
    "Path": "path",
    "Real": "number",
    "Sequence": "list",
    "SupportsIndex": "whole number",
    "str": "string",
}


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
    values = units.without_gradient(units.plain(name, values, unit))
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


def classes(labels: Foreign, n: int) -> None:
    """Refuse labels, an array or a tensor, that are none of n classes with a ValueError."""
    if not 0 <= labels.min() <= labels.max() < n:
        raise ValueError(f"labels must lie in [0, {n}), got {labels.min()} to {labels.max()}")


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


def instance(name: str, value: object, kind: type | tuple[type, ...], remedy: str = "") -> None:
    """Refuse what is not of a kind, or of one of several, with a TypeError.

    Parameters
    ----------
    name
        How the caller knows it: the argument, such as "spikes".
    value
        What was given.
    kind
        What it must be.
    remedy
        Where one comes from.

    Examples
    --------
    >>> instance("error", 3, LookupError, "catch one")
    Traceback (most recent call last):
    TypeError: error must be a LookupError, got an int: catch one
    >>> instance("error", KeyError, LookupError, "catch one")
    Traceback (most recent call last):
    TypeError: error must be a LookupError, got the class KeyError: call it
    """
    if isinstance(value, kind):
        return
    kinds = kind if isinstance(kind, tuple) else (kind,)
    a_class = isinstance(value, type) and issubclass(value, kinds)
    raise wrong_kind(name, " or ".join(map(_one, kinds)), value, "call it" if a_class else remedy)


def instances(name: str, values: object, kind: type[T], remedy: str = "") -> list[T]:
    """Return several of a kind as a list; a TypeError where they are not.

    Any list passes where the kind is `object`.
    """
    one = kind is not object and isinstance(values, kind)
    if one or isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise wrong_kind(name, f"a list, each {_one(kind)}", values, remedy)
    found = list(values)
    for k, value in enumerate(found):
        instance(f"{name}[{k}]", value, kind, remedy)
    return found


def path(name: str, value: object) -> Path:
    """Return `value` as a path; a TypeError where it is none."""
    if isinstance(value, str | os.PathLike) and isinstance(found := os.fspath(value), str):
        return Path(found)
    raise wrong_kind(name, "a path", value)


def wrong_kind(name: str, wanted: str, value: object, remedy: str = "") -> TypeError:
    """Return the refusal of a value: what it must be, what it is, and the remedy."""
    end = f": {remedy}" if remedy else ""
    return TypeError(f"{name} must be {wanted}, got {kind_of(value)}{end}")


def kind_of(value: object) -> str:
    """Return the kind of an object in words.

    Examples
    --------
    >>> kind_of(3), kind_of(None), kind_of(dict)
    ('an int', 'None', 'the class dict')
    """
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return _one(type(value))


def _one(kind: type) -> str:
    word = _IN_WORDS.get(kind.__name__, kind.__name__)
    if word == "None":
        return word
    return f"{'an' if word[0] in 'AEIOUaeiou' or word == 'ndarray' else 'a'} {word}"
