"""Words on figures: labels at the ends of lines, titles and legends that fit their place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from neurosparse._internal.types import Fields, Foreign
from neurosparse.plots.fitting import (
    AT_RIGHT,
    EM,
    HANDLE,
    End,
    cell_height,
    cell_width,
    figure_of,
    fit_words,
    room_of,
    some,
    wrapped,
)
from neurosparse.plots.look import check_axes, is_on, scaled, small

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Transform

_OF_THE_WIDTH = 0.27  # that labels at the ends of lines may take
_POINTS_PER_INCH = 72
_MOST_POINTS = 400.0  # of the height, that labels or a legend take: a figure fits a page
_SLACK = 1.3  # how much more room labels have where one of them keeps its place
_LEAST, _TITLE = 110.0, 60.0  # points of axes, and of their title, in letters of 10 points
# what the words of axes need: points beside them, and under them
_NEEDS: WeakKeyDictionary[Axes, tuple[float, float]] = WeakKeyDictionary()


def label_ends(ax: Axes, ends: Sequence[End]) -> None:
    """Name lines at their ends, to the right of the axes, so that no label overlaps another.

    Where there are too many for a page, the first, every k-th and the last are named.
    """
    from neurosparse.plots.end_labels import Column

    check_axes(ax)
    if not ends:
        return
    make_room(ax)
    points, size = _OF_THE_WIDTH * cell_width(ax), small()
    heights = [1.1 * size * (wrapped(e.text, points, size).count("\n") + 1) + 2 for e in ends]
    firm = [k for k, end in enumerate(ends) if end.firm]
    others = [k for k, end in enumerate(ends) if not end.firm]
    fit = some(len(others), int(_MOST_POINTS / max(heights)))
    named = sorted([*firm, *(others[k] for k in fit)])
    grow(ax, inside=(_SLACK if firm else 1.0) * sum(heights[k] for k in named))
    AT_RIGHT[ax] = points + scaled(9)
    Column(ax, [ends[k] for k in named], points)


def say(ax: Axes, *, title: str = "", xlabel: str = "", ylabel: str = "") -> None:
    """Set title and labels of axes, in as many lines as they need."""
    check_axes(ax)
    make_room(ax)
    if title:
        ax.set_title(title)
    if xlabel:
        ax.set_xlabel(xlabel)
    if ylabel:
        size = float(ax.yaxis.label.get_fontsize())
        ax.set_ylabel(wrapped(ylabel, 0.7 * cell_height(ax), size))
    fit_words(ax)


def make_room(ax: Axes) -> None:
    """See to it that a figure of the user's own keeps room for labels outside the axes."""
    figure = figure_of(ax)
    if figure.get_layout_engine() is None and not is_on():
        figure.set_layout_engine("constrained")


def legend_below(
    ax: Axes,
    *,
    points: float | None = None,
    ncols: int = 1,
    marker_size: float | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Put a legend under the axes, in as many columns and lines as fit the figure.

    Where there are too many entries for a page, the first, every k-th and the last are in it.

    Parameters
    ----------
    ax
        The axes.
    points
        From the axes' lower edge to the legend; by default what ticks and a label take.
    ncols
        The most columns.
    marker_size
        Of markers in the legend, where those of the figure are too small.
    notes
        Sentences that follow, such as what is left out.
    """
    from matplotlib.lines import Line2D

    check_axes(ax)
    make_room(ax)
    size, width = small(), min(0.8 * cell_width(ax), room_of(ax))
    handles, labels = ax.get_legend_handles_labels()
    fit = int(width // ((EM * max(map(len, labels), default=0) + HANDLE + 2) * size))
    columns = max(1, min(ncols, fit))
    texts = [wrapped(label, width - HANDLE * size, size) for label in labels]
    tallest = max((text.count("\n") + 1 for text in texts), default=1)
    shown = some(len(texts), int(columns * _MOST_POINTS / (1.5 * size * tallest)))
    if len(shown) < len(texts):
        notes = [*notes, f"{len(shown)} of {len(texts)} are named"]
    legend = ax.legend(
        [*(_sample(handles[k]) for k in shown), *(Line2D([], [], ls="none") for _ in notes)],
        [*(texts[k] for k in shown), *(wrapped(note, width, size) for note in notes)],
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=_below(ax, points),
        ncols=columns,
        borderaxespad=0,
        fontsize=size,
    )
    n_lines = sum(text.get_text().count("\n") + 1 for text in legend.get_texts())
    grow(ax, below=1.5 * size * -(-n_lines // columns) + _away(ax, points))
    for line in legend.get_lines() if marker_size else ():
        line.set(markersize=marker_size, markeredgewidth=2)


def notes_below(ax: Axes, notes: Sequence[str]) -> None:
    """Put sentences in grey under the axes and their label."""
    size, width = small(), room_of(ax)
    text = "\n".join(wrapped(note, width, size) for note in notes)
    look: Fields = {"ha": "left", "va": "top", "fontsize": size, "color": "0.35"}
    ax.text(0, 0, text, transform=_below(ax, None), **look)
    grow(ax, below=1.3 * size * (text.count("\n") + 1) + _away(ax, None))


def _sample(handle: Foreign) -> Foreign:
    """Return what a legend shows of a curve of steps: its dash, which a box would hide."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Polygon, StepPatch

    if not isinstance(handle, StepPatch | Polygon):
        return handle
    look: Fields = {"lw": max(handle.get_linewidth(), scaled(1.4)), "ls": handle.get_linestyle()}
    colour = handle.get_facecolor() if handle.get_fill() else handle.get_edgecolor()
    return Line2D([], [], color=colour, alpha=1.0, **look)


def _away(ax: Axes, points: float | None) -> float:
    return points or scaled(26 + 14 * (1 + ax.get_xlabel().count("\n")))


def _below(ax: Axes, points: float | None) -> Transform:
    """Return where something under the axes and their label begins."""
    from matplotlib.transforms import ScaledTranslation

    down = -_away(ax, points) / _POINTS_PER_INCH
    return ax.transAxes + ScaledTranslation(0, down, figure_of(ax).dpi_scale_trans)


def grow(ax: Axes, *, inside: float = 0.0, below: float = 0.0) -> None:
    """Make a figure higher whose axes would have less height than their words need.

    Parameters
    ----------
    ax
        The axes.
    inside, below
        Points that are needed beside the axes, and under them.
    """
    before = _NEEDS.get(ax, (scaled(_LEAST), 0.0))
    _NEEDS[ax] = needs = (max(before[0], inside), max(before[1], below))
    figure, missing = figure_of(ax), sum(needs) + scaled(_TITLE) - cell_height(ax)
    if missing > 0:
        rows = figure.get_figheight() * _POINTS_PER_INCH / cell_height(ax)
        figure.set_figheight(figure.get_figheight() + rows * missing / _POINTS_PER_INCH)
