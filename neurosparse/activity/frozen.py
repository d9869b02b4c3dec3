"""Frozen records of arrays: read-only all the way down, and equal where all they hold is equal."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np


def freeze(record: Any) -> None:
    """Make the arrays of a frozen dataclass read-only, so that it is frozen all the way down."""
    for name in (f.name for f in fields(record)):
        if isinstance(array := getattr(record, name), np.ndarray):
            view = array.view()  # the array itself stays as its owner has it
            view.flags.writeable = False
            object.__setattr__(record, name, view)


def equal(a: Any, b: Any) -> bool:
    """Return whether two records hold the same.

    Arrays are compared as wholes, which the `==` of a dataclass cannot do.
    """
    if type(a) is not type(b):
        result: bool = NotImplemented
        return result
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(a) if f.compare]
    return all(
        np.array_equal(x, y, equal_nan=True) if isinstance(x, np.ndarray) else x == y
        for x, y in pairs
    )


def brief(record: Any) -> str:
    """Return a record in words for a prompt: of arrays the type and shape, not the numbers."""
    held = ((f.name, getattr(record, f.name)) for f in fields(record) if f.repr)
    words = ", ".join(
        f"{name}=<{value.dtype} {value.shape}>"
        if isinstance(value, np.ndarray)
        else f"{name}={value!r}"
        for name, value in held
    )
    return f"{type(record).__name__}({words})"
