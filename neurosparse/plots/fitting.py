"""Texts fitted into lines, and labels that keep off each other."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

# what stays in one line: a number with its unit, and what stands in short brackets
_WHOLE = re.compile(r" (?:%|(?:ms|Hz|nA|points|steps)\b)|\((?:[^()]|\(\w*\)){1,24}\)")
_POINTS_PER_INCH = 72
_EDGE = 8.0  # points that stay free at the edges of a figure
_SAFE = 0.95  # of the room, that words may take: letters differ with the dots an inch
_OF_A_LABEL = 0.66  # of the width, that a label of the x axis may take
HANDLE = 5.2  # width of a legend's sample with what is about it, as a part of the letters' height
_FITTED: WeakSet[Axes] = WeakSet()  # those whose words are ours
# the points that labels take at the right of axes
AT_RIGHT: WeakKeyDictionary[Axes, float] = WeakKeyDictionary()
EM = 0.56  # mean width of a letter, as a part of its height


@dataclass(frozen=True, slots=True)
class End:
    """The label of a line, and where the line ends in the units of the data.

    `x` is None where it ends at the edge of the axes. The others make room for a `firm` one.
    """

    text: str
    x: float | None
    y: float
    colour: str
    firm: bool = False


def spread(
    wanted: ArrayLike,
    heights: ArrayLike,
    low: float,
    high: float,
    weights: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Return the middles of labels that do not overlap, as near to the wanted ones as can be.

    They stay between `low` and `high` where they fit, and are centred there where they do not.
    Least squares under an order is isotonic regression.

    Parameters
    ----------
    wanted, heights
        Of each label, of shape (n,), in one unit of length.
    low, high
        The ends of the room.
    weights
        How firmly each keeps its place, of shape (n,); all alike by default.

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
    firm = None if weights is None else np.asarray(weights, dtype=float)[order]
    bottoms = isotonic_regression(middles[order] - before, weights=firm).x
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


def some(n: int, most: int) -> list[int]:
    """Return which of `n` things are named where `most` can be: the first, every k-th, the last.

    Examples
    --------
    >>> some(3, 5), some(100, 5)
    ([0, 1, 2], [0, 25, 50, 99])
    """
    if n <= most:
        return list(range(n))
    step = -(-(n - 1) // max(1, most - 1))
    return [*range(0, n - step, step), n - 1]


def fit_words(ax: Axes) -> None:
    """Break title, x label and legend into lines that end within the place of the axes.

    What stands at the left of axes, such as names of rows, takes its part of the width. It does so
    for all axes of a grid, which are fitted again.
    """
    _FITTED.add(ax)
    for one in _FITTED.intersection(_grid(ax)):
        _fit(one)


def _fit(ax: Axes) -> None:
    import matplotlib as mpl

    place, whole = mpl.rcParams["axes.titlelocation"], room_of(ax)
    if words := ax.get_title(loc=place):
        _narrow(ax, ax.set_title(words, loc=place), whole)
    if ax.get_xlabel():
        _narrow(ax, ax.xaxis.label, min(whole, _OF_A_LABEL * cell_width(ax)))
    legend = ax.get_legend()
    for text in legend.get_texts() if legend else ():
        _narrow(ax, text, whole - HANDLE * float(text.get_fontsize()))


def _narrow(ax: Axes, text: Text, room: float) -> None:
    """Break a text into more lines until none is wider than so many points."""
    words, points = text.get_text().replace("\n", " "), room
    for _ in range(8):
        wide = in_points(figure_of(ax), text.get_window_extent().width)
        if wide <= _SAFE * room:
            return
        text.set_text(wrapped(words, points, float(text.get_fontsize())))
        points *= 0.9


def room_of(ax: Axes) -> float:
    """Return the points from the left edge of the axes to the end of their place.

    In a grid all axes are alike wide, and those of a column begin at one line.
    """
    columns: dict[int, tuple[float, float]] = {}  # what words take at the left and the right
    for other in _grid(ax):
        place = other.get_subplotspec()
        column = 0 if place is None else place.colspan.start
        left, right = columns.get(column, (0.0, 0.0))
        columns[column] = (max(left, _left_of(other)), max(right, AT_RIGHT.get(other, 0.0)))
    place = ax.get_subplotspec()
    n = 1 if place is None else place.get_gridspec().ncols
    own = columns[0 if place is None else place.colspan.start][1]
    return cell_width(ax) - sum(map(sum, columns.values())) / n + own - _EDGE


def _left_of(ax: Axes) -> float:
    """Return the points that ticks, their labels and the y label take at the left of the axes."""
    box = ax.yaxis.get_tightbbox() if ax.get_visible() else None
    return 0.0 if box is None else in_points(figure_of(ax), max(0.0, ax.bbox.x0 - box.x0))


def _grid(ax: Axes) -> list[Axes]:
    """Return the axes that stand in one grid with these."""
    place = ax.get_subplotspec()
    if place is None:
        return [ax]
    return [
        other
        for other in figure_of(ax).axes
        if (of := other.get_subplotspec()) and of.get_gridspec() is place.get_gridspec()
    ]


def in_points(figure: Figure, pixels: float) -> float:
    """Return a length in points."""
    return float(pixels) / figure.dpi * _POINTS_PER_INCH


def figure_of(ax: Axes) -> Figure:
    """Return the figure of axes; ValueError where they belong to none any more."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("these axes belong to no figure any more: make new ones")
    return figure


def cell_width(ax: Axes) -> float:
    """Return the width of the axes' share of the figure in points."""
    figure, place = figure_of(ax), ax.get_subplotspec()
    columns = 1 if place is None else place.get_gridspec().ncols
    return float(figure.get_figwidth()) * _POINTS_PER_INCH / columns


def cell_height(ax: Axes) -> float:
    """Return the height of the axes' share of the figure in points."""
    figure, place = figure_of(ax), ax.get_subplotspec()
    rows = 1 if place is None else place.get_gridspec().nrows
    return float(figure.get_figheight()) * _POINTS_PER_INCH / rows
