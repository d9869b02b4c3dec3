"""A part of the page: a figure, a table, or both; and how a table's cells are written."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neurosparse import plots
from neurosparse._internal.types import FieldsView
from neurosparse.activity import ActivityStats, SpikeTrains
from neurosparse.comparison import Comparison, band_in_words, milliseconds, percent, percents

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Panel:
    """One part of the page: a figure, a table, or both.

    Parameters
    ----------
    key
        The name of its files, figures/<key>.png and .svg, and of its place in the page: letters,
        digits, "_" and "-".
    title, caption
        What stands above and below it; the caption is also what a screen reader says.
    draw
        Draws the figure on the axes it is given, side by side where there are several. In a browser
        the lines, bars and steps on them can be hovered over, hidden and zoomed; a figure with
        anything else stays as it was drawn.
    n_axes
        How many axes `draw` takes.
    spikes
        For a raster: the spikes themselves, which the page then shows in place of the sample that
        `draw` draws.
    table
        Rows of a table that can be sorted, as column -> cell. Numbers are written with three
        digits, None and NaN as "-".

    Raises
    ------
    ValueError
        Where there is neither a figure nor a table, or the key is no name of a file.

    Examples
    --------
    >>> Panel("claims", "The claims", "What held.", table=[{"claim": "Zeros do not hurt", "verdict": "undecided"}]).key
    'claims'
    """  # noqa: E501

    key: str
    title: str
    caption: str
    draw: Callable[..., object] | None = None
    n_axes: int = 1
    spikes: SpikeTrains | None = None
    table: Sequence[FieldsView] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self.key):
            raise ValueError(
                f"key must be letters, digits, _ and -, got {self.key!r}: it names files"
            )
        if self.draw is None and not self.table:
            raise ValueError(f"panel {self.key!r} shows nothing: pass draw, table or both")
        if self.spikes is not None and self.draw is None:
            raise ValueError(
                f"panel {self.key!r} has spikes and nothing for paper: pass draw as well"
            )


def main_panel(comparison: Comparison) -> Panel:
    """The figure that answers the question."""

    def draw(ax: Axes) -> None:
        plots.activity_curves(comparison, ax)

    return Panel(
        "active_fraction_over_window",
        "How many are active at once?",
        "Curves: the share of a circuit's neurons that fire at least once in a window, over the"
        " length of the window. Horizontal lines: the share of a network's units that are active"
        " for one input, which has no window. Where a line meets a curve, the circuit is as active"
        " as the network: the equivalent window, in the legend that of one circuit. Yellow: what is"
        " said of the brain. " + comparison.band.caption,
        draw,
    )


def headline(comparison: Comparison) -> str:
    """The answer in one sentence: the sparsest network beside the first circuit, or the first
    circuit, beside the brain.
    """
    band, circuits, networks = comparison.band, comparison.circuits, comparison.networks

    def place(fraction: float) -> str:
        shown = round(100 * fraction, 1)
        return (
            f"{'below' if shown < 100 * band.low else 'above' if shown > 100 * band.high else 'within'}"  # noqa: E501
            f" the {band_in_words(band)}"
        )

    if not networks:
        first = circuits[0]
        fires = (
            f"{percent(first.active_fraction)} of the neurons fire in"
            f" {first.active_when.window_ms:g} ms"
        )
        return f"In “{first.name}” {fires}: {place(first.active_fraction)}."
    sparsest = min(networks, key=lambda s: s.active_fraction)
    which = "The network" if len(networks) == 1 else f"The sparsest of {len(networks)} networks,"
    active = (
        f"{which} “{sparsest.name}”{',' * (len(networks) > 1)} has"
        f" {percent(sparsest.active_fraction)} of its units active"
    )
    window = circuits and comparison.equivalent_window_ms[sparsest.name][circuits[0].name]
    as_many = (
        f", as many as fire in “{circuits[0].name}” in {milliseconds(window)}" if window else ""
    )
    return f"{active} for one input{as_many}: {place(sparsest.active_fraction)}."


def row(
    stats: ActivityStats, equivalent_window_ms: Mapping[str, Mapping[str, float | None]]
) -> dict[str, str]:
    """One line of the table of results, for the page and the terminal."""
    equivalents = equivalent_window_ms.get(stats.name, {})
    error = stats.provenance.get("test error")
    return {
        "name": stats.name,
        "active means": stats.active_when.describe(),
        "active": percent(stats.active_fraction),
        "95 % interval": percents(stats.interval.low, stats.interval.high),
        "equals window": (
            ", ".join("none" if w is None else milliseconds(w) for w in equivalents.values())
            or NOTHING
        ),
        "test error": NOTHING if error is None else f"{100 * error:.1f} %",
        "never active": f"{stats.n_silent:,} of {stats.n_units:,}",
        "active of those alive": (
            "-" if (alive := stats.active_fraction_alive) is None else percent(alive)
        ),
        "rate": NOTHING if stats.mean_rate_hz is None else f"{stats.mean_rate_hz:.2f} Hz",
        "Treves-Rolls": (
            NOTHING
            if stats.population.treves_rolls is None
            else f"{stats.population.treves_rolls:.3f}"
        ),
        "Gini": NOTHING if stats.population.gini is None else f"{stats.population.gini:.3f}",
    }


def cells(rows: Sequence[FieldsView]) -> list[dict[str, str]]:
    """Rows of a table as text, of one set of columns; those in which nothing stands are left
    out.
    """
    columns = dict.fromkeys(column for each in rows for column in each)
    written = [{column: _cell(each.get(column)) for column in columns} for each in rows]
    empty = {column for column in columns if all(each[column] == NOTHING for each in written)}
    return [
        {column: text for column, text in each.items() if column not in empty} for each in written
    ]


def _cell(value: object) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3g}" if math.isfinite(value) else NOTHING
    return str(value)
