"""Texts fitted into lines, and labels that keep off each other."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

# what stays in one line: a number with its unit, and what stands in short brackets
_WHOLE = re.compile(r" %|\((?:[^()]|\(\w*\)){1,24}\)")
EM = 0.56  # mean width of a letter, as a part of its height


@dataclass(frozen=True, slots=True)
class End:
    """The label of a line, and where the line ends in the units of the data.

    `x` is None where it ends at the edge of the axes.
    """

    text: str
    x: float | None
    y: float
    colour: str


def spread(wanted: ArrayLike, heights: ArrayLike, low: float, high: float) -> NDArray[np.float64]:
    """Return the middles of labels that do not overlap, as near to the wanted ones as can be.

    They stay between `low` and `high` where they fit, and are centred there where they do not.
    Least squares under an order is isotonic regression.

    Parameters
    ----------
    wanted, heights
        Of each label, of shape (n,), in one unit of length.
    low, high
        The ends of the room.

    Examples
    --------
    >>> spread([5.0, 5.0], [2.0, 2.0], 0.0, 10.0).tolist()
    [4.0, 6.0]
    """
    from scipy.optimize import isotonic_regression

    middles, sizes = np.asarray(wanted, dtype=float), np.asarray(heights, dtype=float)
    if not middles.size:
        return middles
    order = np.argsort(middles, kind="stable")
    before = np.cumsum(sizes[order]) - sizes[order] / 2  # of each middle, in a tight stack
    bottoms = isotonic_regression(middles[order] - before).x
    last = high - sizes.sum()
    bottoms = (
        np.clip(bottoms, low, last) if low <= last else np.full_like(bottoms, (low + last) / 2)
    )
    found = np.empty_like(middles)
    found[order] = bottoms + before
    return found


def wrapped(text: str, points: float, size: float) -> str:
    """Return a text in lines that fit so many points, in letters of a size.

    Dollars that were made harmless stay so: no line ends between them and their backslash.
    """
    letters = max(8, int(points / (EM * size)))
    whole = _WHOLE.sub(lambda part: part[0].replace(" ", "\xa0"), text)
    lines = textwrap.wrap(whole, letters)
    return "\n".join(lines).replace("\xa0", " ").replace("\\\n$", "\n\\$") or text
