"""The populations of a circuit, one below another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from neurosparse._internal.names import for_figure
from neurosparse._internal.types import Fields, Foreign
from neurosparse.comparison import BRAIN_FRACTIONS, milliseconds
from neurosparse.plots import findings
from neurosparse.plots.inputs import Stats, circuits
from neurosparse.plots.labels import legend_below, say
from neurosparse.plots.look import MARKERS, PARTS, axes, drawn, plainly, scaled, small

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class SpreadWindow(Protocol):
    """A window that holds a share of the cells, and how it varies over time."""

    @property
    def window_ms(self) -> float | None: ...
    @property
    def sd_over_time_ms(self) -> float: ...


class HasWindows(Protocol):
    """A population of one seed, with its windows."""

    @property
    def population(self) -> str: ...
    def window(self, fraction: float, /) -> SpreadWindow: ...


@drawn
def rates_by_population(
    stats: Stats, published_hz: Mapping[str, float] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw single-cell rates of each population as boxes, and their means as dots.

    Boxes hold the middle half of the cells, whiskers 5 to 95 %.

    Parameters
    ----------
    stats
        What `measure` or `compare` returned, one for each population; networks are left out.
    published_hz
        Mean rates to be marked by crosses, by name.
    ax
        The axes to draw on; new ones by default.
    """
    found, published, ax = circuits(stats, "rates_by_population"), published_hz or {}, axes(ax)
    rates = [np.asarray(s.unit_rates_hz) for s in found]
    at = np.arange(len(found))
    look: Fields = {"whis": (5, 95), "showfliers": False, "widths": 0.6}
    boxes = ax.boxplot(rates, positions=at, orientation="horizontal", **look)
    for line in boxes["medians"]:
        line.set_color(PARTS[0])
    means = [r.mean() for r in rates]
    ax.plot(means, at, "o", color=PARTS[0], ms=scaled(6), label="mean", zorder=3)
    known = [k for k, s in enumerate(found) if s.name in published]
    if known:
        cross: Fields = {"color": PARTS[1], "ms": scaled(8), "mew": scaled(2), "zorder": 4}
        theirs = [published[found[k].name] for k in known]
        ax.plot(theirs, known, "x", label="mean, as published", **cross)
    ax.set_yticks(at, [for_figure(s.name, most=24) for s in found])
    ax.invert_yaxis()
    ax.set(xlim=(0, None))
    say(ax, title=findings.of_population_rates(found), xlabel="firing rate (Hz)")
    legend_below(ax, ncols=2)
    return ax


@drawn
def windows_by_population(
    rows: Sequence[HasWindows] | Stats,
    fractions: Sequence[float] = BRAIN_FRACTIONS,
    ax: Axes | None = None,
) -> Axes:
    """Draw the window that holds each active fraction, by population.

    Bars are its spread over seeds, or over time where there is one seed.

    Parameters
    ----------
    rows
        What `measure` or `compare` returned, one for each population, which has no spread. Or the
        rows of `simulation.run`, one a seed and population.
    fractions
        The shares of the cells, such as 0.01. Rows must have windows for them.
    ax
        The axes to draw on; new ones by default.
    """
    windows = _of_rows(rows, fractions) if _are_rows(rows) else _of_stats(rows, fractions)
    ax = axes(ax)
    names = list(windows)
    for k, fraction in enumerate(fractions):
        means, spreads = zip(*(windows[name][k] for name in names), strict=True)
        at = np.arange(len(names)) + 0.18 * (k - (len(fractions) - 1) / 2)
        look: Fields = {"color": PARTS[k % len(PARTS)], "ms": scaled(5)}
        look |= {"fmt": MARKERS[k % len(MARKERS)], "capsize": scaled(2), "elinewidth": scaled(1.2)}
        ax.errorbar(
            np.array(means, dtype=float),
            at,
            xerr=spreads,
            label=f"{100 * fraction:g} % active",
            **look,
        )
    ax.set_yticks(np.arange(len(names)), [for_figure(name, most=24) for name in names])
    ax.set(xscale="log", ylim=(len(names) - 0.5, -0.5))
    found = [mean for each in windows.values() for mean, _ in each if np.isfinite(mean)]
    if not found:
        ax.set_xlim(1, 1000)  # a log axis finds none without data
    note: Fields = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": small()}
    for y, each in enumerate(windows.values()):
        if not np.isfinite([mean for mean, _ in each]).any():
            ax.text(0.02, y, "no window of the record", color="0.35", **note)
    plainly(ax.xaxis)
    say(ax, title=_range(found, fractions), xlabel="window (ms)")
    legend_below(ax, ncols=3)
    return ax


Windows = dict[str, list[tuple[float, float]]]  # population -> mean and spread by fraction


def _are_rows(what: object) -> bool:
    return isinstance(what, list | tuple) and bool(what) and hasattr(what[0], "window")


def _of_rows(rows: Foreign, fractions: Sequence[float]) -> Windows:
    found: Windows = {}
    for name in dict.fromkeys(row.population for row in rows):
        mine = [row for row in rows if row.population == name]
        for fraction in fractions:
            windows = [row.window(fraction) for row in mine]
            values = np.array([w.window_ms for w in windows], dtype=float)
            spread = values.std(ddof=1) if values.size > 1 else windows[0].sd_over_time_ms
            found.setdefault(name, []).append((float(values.mean()), float(spread)))
    return found


def _of_stats(stats: Foreign, fractions: Sequence[float]) -> Windows:
    found = circuits(stats, "windows_by_population")
    windows = {
        s.name: [s.curve.window_ms(f) if s.curve is not None else None for f in fractions]
        for s in found
    }
    return {
        name: [(np.nan if w is None else w, np.nan) for w in each] for name, each in windows.items()
    }


def _range(found: Sequence[float], fractions: Sequence[float]) -> str:
    """Return the windows from the least share to the largest, over all populations."""
    shares = [f"{100 * f:g}" for f in (min(fractions), max(fractions))]
    share = "-".join(dict.fromkeys(shares)) + " % active"
    if not found:
        return f"No window of the record holds {share}"
    least, most = milliseconds(min(found)).removesuffix(" ms"), milliseconds(max(found))
    return f"{share} take windows of {least} to {most}"
