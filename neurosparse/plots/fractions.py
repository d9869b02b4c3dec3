"""How many units are active at once: circuits, networks and the brain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from neurosparse._internal.names import for_figure
from neurosparse._internal.types import Fields
from neurosparse.activity import ActivityStats
from neurosparse.comparison import Comparison, milliseconds, percent
from neurosparse.plots.look import (
    BAND_COLOUR,
    COLOURS,
    DASHES,
    PARTS,
    axes,
    coloured,
    colours,
    legend_below,
    plain,
)
from neurosparse.reference import Band

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def activity_curves(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Active fraction over the window: circuits as curves, networks as levels, the band behind; the
    equivalent windows marked.
    """
    ax = axes(ax)
    colour_of = colours(comparison)
    _band(ax, comparison.band, f"brain: {for_figure(comparison.band.label)}*")
    for k, circuit in enumerate(comparison.circuits):
        windows, fractions = comparison.curve(circuit)
        look: Fields = {
            "color": colour_of[circuit.name],
            "ls": DASHES[k // len(COLOURS)],
            "zorder": 3,
        }
        ax.plot(windows, 100 * fractions, label=f"{for_figure(circuit.name)} (spikes)", **look)
    for k, network in enumerate(comparison.networks):
        colour = colour_of[network.name]
        level = 100 * network.active_fraction
        equivalent = comparison.equivalent_window_ms[network.name]
        equal = [w for w in equivalent.values() if w]
        share = percent(network.active_fraction)
        label = f"{for_figure(network.name)}: {share} ({network.active_when.describe()})"
        if equal:
            circuit_name, window = next((name, w) for name, w in equivalent.items() if w)
            label += f", as {for_figure(circuit_name)} in {milliseconds(window)}"
        ax.axhline(level, color=colour, ls=DASHES[1 + k % 6], lw=1.5, label=label, zorder=2)
        ax.plot(equal, [level] * len(equal), "o", color=colour, mec="white", ms=7, zorder=4)
    if not comparison.circuits:
        ax.set_xlim(1, 1000)  # a log axis finds none without data
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="window in which a spike counts as active (ms)",
        ylabel="active at once (%)",
        title="How many are active at once?",
    )
    ax.set_ylim(top=130)
    ax.yaxis.set_major_formatter(plain)
    ax.xaxis.set_major_formatter(plain)
    legend_below(ax, ncols=1 if comparison.networks else 3)
    note: Fields = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "fontsize": 7.5,
        "color": "0.35",
    }
    ax.annotate(f"* {comparison.band.caption}", (1, 0), xytext=(-2, 4), ha="right", **note)
    return ax


def layers(
    networks: Mapping[str, Mapping[str, ActivityStats]],
    comparison: Comparison,
    ax: Axes | None = None,
) -> Axes:
    """The active fraction of each layer of each network, with its interval, over the band."""
    ax = axes(ax)
    _band(ax, comparison.band, f"brain: {for_figure(comparison.band.label)}")
    width = 0.8 / len(networks)
    names: list[str] = []
    found = coloured(networks, colours(comparison))
    for k, (network, by_layer) in enumerate(networks.items()):
        names = names or list(by_layer)
        fractions = np.array([s.active_fraction for s in by_layer.values()])
        ends = np.array([[s.interval.low, s.interval.high] for s in by_layer.values()]).T
        at = np.arange(len(by_layer)) + (k - (len(networks) - 1) / 2) * width
        definition = next(iter(by_layer.values())).active_when.describe()
        errors = (100 * np.abs(ends - fractions)).tolist()  # (2, n): below, above
        label = f"{for_figure(network)} ({definition})"
        ax.bar(
            at, 100 * fractions, width * 0.92, yerr=errors, color=found[k], label=label, zorder=2
        )
        for x, fraction in zip(at, fractions, strict=True):
            ax.annotate(
                f"{100 * fraction:.3g}",
                (x, 100 * fraction),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
    ax.set_xticks(np.arange(len(names)), list(map(for_figure, names)))
    ax.set(ylabel="active units (%)", title="Sparsity per layer")
    ax.margins(y=0.12)
    legend_below(ax, points=24)
    return ax


def activation_histogram(
    stats: Sequence[ActivityStats],
    ax: Axes | None = None,
    *,
    colours: Mapping[str, str] | None = None,
) -> Axes:
    """How often each unit of a network is active: the share of units over their active fraction."""
    ax = axes(ax)
    edges = [2.5 * k for k in range(41)]
    for k, (s, colour) in enumerate(
        zip(stats, coloured([s.name for s in stats], colours), strict=True)
    ):
        dead = f"{s.n_silent:,} of {s.n_units:,} dead"
        label = f"{for_figure(s.name)}: {dead} ({s.active_when.describe()})"
        weights = np.full(s.n_units, 100 / s.n_units)
        ax.hist(
            100 * s.unit_active_fraction,
            edges,
            weights=weights,
            histtype="step",
            lw=1.6,
            color=colour,
            ls=DASHES[k % 4],
            label=label,
        )
    ax.set(
        xlabel="inputs for which a unit is active (%)",
        ylabel="units (%)",
        yscale="log",
        title="How often a unit is active",
    )
    ax.yaxis.set_major_formatter(plain)
    legend_below(ax)
    return ax


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


def windows_by_population(
    rows: Sequence[HasWindows], fractions: Sequence[float], ax: Axes | None = None
) -> Axes:
    """Draw the window that holds each active fraction, by population.

    Bars are its spread over seeds, or over time where there is one seed.

    Parameters
    ----------
    rows
        Those of `simulation.run`: one a seed and population.
    fractions
        The shares of the cells, such as 0.01, for which the rows have windows.
    """
    ax = axes(ax)
    names = list(dict.fromkeys(row.population for row in rows))
    for k, fraction in enumerate(fractions):
        by_name = [
            [row.window(fraction) for row in rows if row.population == name] for name in names
        ]
        values = [np.array([w.window_ms for w in mine], dtype=float) for mine in by_name]
        spread = [
            v.std(ddof=1) if v.size > 1 else mine[0].sd_over_time_ms
            for v, mine in zip(values, by_name, strict=True)
        ]
        at = np.arange(len(names)) + 0.18 * (k - (len(fractions) - 1) / 2)
        look: Fields = {
            "fmt": "os^Dv"[k % 5],
            "color": PARTS[k % len(PARTS)],
            "ms": 5,
            "capsize": 2,
        }
        ax.errorbar(
            [v.mean() for v in values],
            at,
            xerr=spread,
            label=f"{100 * fraction:g} % active",
            **look,
        )
    ax.set_yticks(np.arange(len(names)), list(map(for_figure, names)))
    ax.invert_yaxis()
    ax.set(
        xscale="log",
        xlabel="window (ms)",
        title="The window that holds a given share of active cells",
    )
    ax.xaxis.set_major_formatter(plain)
    ax.xaxis.set_minor_formatter(plain)
    ax.tick_params(axis="x", which="minor", labelsize=7)
    legend_below(ax, ncols=3)
    return ax


def _band(ax: Axes, band: Band, label: str) -> None:
    ax.axhspan(
        100 * band.low, 100 * band.high, color=BAND_COLOUR, alpha=0.45, lw=0, zorder=0, label=label
    )
