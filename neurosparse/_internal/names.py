"""Names that come from files and objects of anyone's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def clean(text: Any) -> str:
    """Return a text or bytes without what would move a terminal's cursor or break a figure.

    Control characters, escape sequences and lone surrogates become "?".

    Examples
    --------
    >>> clean(b"CA1"), clean("a\\x1b[2J")
    ('CA1', 'a?[2J')
    """
    found = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return "".join(c if c.isprintable() else "?" for c in found)


def clean_array(values: NDArray[Any]) -> NDArray[Any]:
    """Return an array of texts with each of them clean; numbers and truth values as they are."""
    if values.dtype.kind in "biuf":
        return values
    distinct, code = np.unique(values.astype("O"), return_inverse=True)
    return np.array([clean(value) for value in distinct], dtype=str)[code.reshape(values.shape)]
