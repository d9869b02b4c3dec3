"""Words on figures: labels at the ends of lines, titles and legends that fit their place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from neurosparse._internal.types import Fields
from neurosparse.plots.fitting import EM, End, wrapped
from neurosparse.plots.look import check_axes, is_on, scaled, small

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OF_THE_WIDTH = 0.27  # that labels at the ends of lines may take
_HANDLE = 5.2  # width of a legend's sample with what is about it, as a part of the letters' height
_POINTS_PER_INCH = 72


def label_ends(ax: Axes, ends: Sequence[End]) -> None:
    """Name lines at their ends, to the right of the axes, so that no label overlaps another."""
    from neurosparse.plots.end_labels import Column

    check_axes(ax)
    if not ends:
        return
    make_room(ax)
    points, size = _OF_THE_WIDTH * _width(ax), small()
    n_lines = sum(wrapped(end.text, points, size).count("\n") + 1 for end in ends)
    _grow(ax, 1.1 * size * n_lines + 2 * len(ends))
    Column(ax, list(ends), points)


def say(ax: Axes, *, title: str = "", xlabel: str = "", ylabel: str = "") -> None:
    """Set title and labels of axes, in as many lines as they need."""
    check_axes(ax)
    make_room(ax)
    width, height = _width(ax), _height(ax)
    texts: Fields = {}
    if title:
        texts["title"] = wrapped(title, 0.92 * width, float(ax.title.get_fontsize()))
    if xlabel:
        texts["xlabel"] = wrapped(xlabel, 0.66 * width, float(ax.xaxis.label.get_fontsize()))
    if ylabel:
        texts["ylabel"] = wrapped(ylabel, 0.7 * height, float(ax.yaxis.label.get_fontsize()))
    ax.set(**texts)


def make_room(ax: Axes) -> None:
    """See to it that a figure of the user's own keeps room for labels outside the axes."""
    figure = figure_of(ax)
    if figure.get_layout_engine() is None and not is_on():
        figure.set_layout_engine("constrained")


def legend_below(
    ax: Axes, *, points: float | None = None, ncols: int = 1, marker_size: float | None = None
) -> None:
    """Put a legend under the axes, in as many columns and lines as fit the figure.

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
    """
    from matplotlib.transforms import ScaledTranslation

    check_axes(ax)
    make_room(ax)
    size, width = small(), 0.7 * _width(ax)
    lines = 1 + ax.get_xlabel().count("\n")
    away = points or scaled(26 + 14 * lines)
    below = ax.transAxes + ScaledTranslation(
        0, -away / _POINTS_PER_INCH, figure_of(ax).dpi_scale_trans
    )
    longest = max((len(text) for text in ax.get_legend_handles_labels()[1]), default=0)
    fit = int(width // ((EM * longest + _HANDLE) * size))
    legend = ax.legend(
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=below,
        ncols=max(1, min(ncols, fit)),
        borderaxespad=0,
        fontsize=size,
    )
    for text in legend.get_texts():
        text.set_text(wrapped(text.get_text(), width - _HANDLE * size, size))
    n_lines = sum(text.get_text().count("\n") + 1 for text in legend.get_texts())
    _grow(ax, 1.5 * size * -(-n_lines // max(1, min(ncols, fit))) + away + scaled(90))
    for line in legend.get_lines() if marker_size else ():
        line.set(markersize=marker_size, markeredgewidth=2)


def _grow(ax: Axes, points: float) -> None:
    """Make a figure higher whose axes would have less height than its words need."""
    figure, missing = figure_of(ax), points + scaled(70) - _height(ax)
    if missing > 0:
        rows = figure.get_figheight() * _POINTS_PER_INCH / _height(ax)
        figure.set_figheight(figure.get_figheight() + rows * missing / _POINTS_PER_INCH)


def figure_of(ax: Axes) -> Figure:
    """Return the figure of axes; ValueError where they belong to none any more."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("these axes belong to no figure any more: make new ones")
    return figure


def _width(ax: Axes) -> float:
    """Return the width of the axes' share of the figure in points."""
    figure, place = figure_of(ax), ax.get_subplotspec()
    columns = 1 if place is None else place.get_gridspec().ncols
    return float(figure.get_figwidth()) * _POINTS_PER_INCH / columns


def _height(ax: Axes) -> float:
    figure, place = figure_of(ax), ax.get_subplotspec()
    rows = 1 if place is None else place.get_gridspec().nrows
    return float(figure.get_figheight()) * _POINTS_PER_INCH / rows
