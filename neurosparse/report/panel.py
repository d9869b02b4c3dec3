"""A part of the page: a figure, a table, or both; and how a table's cells are written."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from neurosparse._internal import checks
from neurosparse._internal.types import FieldsView
from neurosparse.activity import ActivityStats, SpikeTrains
from neurosparse.activity.given import check_stats
from neurosparse.comparison import milliseconds, percent, percents
from neurosparse.report.verdict import Verdict

NOTHING = "-"
SECTIONS = ("window", "cost", "inside", "claims")  # of the page, that take panels


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
    section
        Where it stands: "window", "cost", "inside" (folded) or "claims".
    verdicts
        Of claims: each becomes a chip that opens its interval against its criterion.

    Raises
    ------
    ValueError
        Where there is neither a figure nor a table, the key is no name of a file, or the section is
        unknown.

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
    section: str = "inside"
    verdicts: Sequence[Verdict] = ()

    def __post_init__(self) -> None:
        checks.instance("key", self.key, str)
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self.key):
            raise ValueError(
                f"key must be letters, digits, _ and -, got {self.key!r}: it names files"
            )
        if self.section not in SECTIONS:
            raise ValueError(
                f"section of panel {self.key!r} must be one of {', '.join(SECTIONS)}, got"
                f" {self.section!r}"
            )
        if self.draw is None and not self.table:
            raise ValueError(f"panel {self.key!r} shows nothing: pass draw, table or both")
        if self.spikes is not None and self.draw is None:
            raise ValueError(
                f"panel {self.key!r} has spikes and nothing for paper: pass draw as well"
            )


def row(
    stats: ActivityStats, equivalent_window_ms: Mapping[str, Mapping[str, float | None]]
) -> dict[str, str]:
    """Return one line of the table of results, for the page and the terminal."""
    check_stats("stats", stats)
    checks.instance("equivalent_window_ms", equivalent_window_ms, Mapping)
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
    """Return the rows of a table as text, of one set of columns.

    Columns in which nothing stands are left out.
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
