"""Spikes and firing rates of cells and circuits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from neurosparse._internal import checks
from neurosparse._internal.names import for_figure
from neurosparse.activity import ActivityStats, SpikeTrains
from neurosparse.lif import LIF, rate
from neurosparse.plots.look import DASHES, PARTS, axes, coloured, legend_below, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def fi_curve(lif: LIF, currents_nA: object, rates_hz: object, ax: Axes | None = None) -> Axes:
    """Firing rate over current: simulated cells on the closed form of a LIF cell."""
    ax = axes(ax)
    currents = checks.finite_array("currents_nA", currents_nA)
    rates = checks.finite_array("rates_hz", rates_hz)
    dense = np.linspace(currents.min(), currents.max(), 2000)
    ax.plot(dense, rate(dense, lif), color=PARTS[0], label="closed form", zorder=2)
    some = np.linspace(0, currents.size - 1, min(currents.size, 40)).astype(int)
    simulated = f"simulated ({currents.size:,} cells, {some.size} shown)"
    ax.plot(
        currents[some],
        rates[some],
        "o",
        mfc="none",
        ms=4,
        color=PARTS[1],
        label=simulated,
        zorder=3,
    )
    ax.axvline(
        lif.rheobase_nA, color="0.6", lw=1, ls=":", label=f"rheobase {lif.rheobase_nA:.3g} nA"
    )
    ax.set(
        xlabel="input current (nA)",
        ylabel="firing rate (Hz)",
        title="A neuron: one-sided, silent below threshold",
    )
    ax.legend(loc="lower right")
    return ax


def raster(
    spikes: SpikeTrains,
    ax: Axes | None = None,
    *,
    n_units: int = 200,
    duration_ms: float = 1000.0,
    colours: Mapping[str, str] | None = None,
) -> Axes:
    """Spikes of a sample of units over the first stretch of the record, populations in proportion
    to their size. Gaps, in which nothing was observed, are grey.
    """
    ax = axes(ax)
    populations = spikes.populations or {"units": (0, spikes.n_units)}
    share = min(1.0, n_units / spikes.n_units)
    shown = min(checks.positive("duration_ms", duration_ms), spikes.duration_ms)
    row = 0
    for colour, (name, (first, stop)) in zip(
        coloured(populations, colours, PARTS), populations.items(), strict=True
    ):
        n = max(1, round(share * (stop - first)))
        sample = np.unique(np.linspace(first, stop - 1, n).astype(int))
        place = np.full(spikes.n_units, -1)
        place[sample] = row + np.arange(sample.size)
        inside = (place[spikes.units] >= 0) & (spikes.times_ms < shown)
        label = f"{for_figure(name)}: {sample.size} of {stop - first:,}"
        ax.plot(
            spikes.times_ms[inside],
            place[spikes.units[inside]],
            ls="none",
            marker="|",
            ms=min(3.0, 2000 / n_units),
            mew=0.8,
            color=colour,
            label=label,
            rasterized=True,
        )
        row += sample.size
    edges = np.concatenate([[0.0], spikes.intervals.ravel(), [spikes.duration_ms]])
    for start, stop in edges.reshape(-1, 2):
        if start < min(stop, shown):
            ax.axvspan(start, min(stop, shown), color="0.9", lw=0, zorder=0)
    ax.set(
        xlim=(0, shown),
        ylim=(-1, row),
        xlabel="time (ms)",
        ylabel="neuron (a sample)",
        title="Spikes",
    )
    legend_below(ax, ncols=4, marker_size=8)
    return ax


def rate_histogram(
    stats: Sequence[ActivityStats],
    ax: Axes | None = None,
    *,
    colours: Mapping[str, str] | None = None,
) -> Axes:
    """Firing rates over the units of each circuit on a log axis, beside log-normal distributions.

    The lines have the mean and the standard deviation of ln(rate) over the units that fired. Bins
    hold whole numbers of spikes, so that a short record shows no false gaps.
    """
    ax = axes(ax)
    firing = [s for s in stats if s.unit_rates_hz is not None and s.n_spikes]
    for k, (s, colour) in enumerate(
        zip(firing, coloured([s.name for s in firing], colours), strict=True)
    ):
        rates = np.asarray(s.unit_rates_hz)
        seconds = float(s.duration_ms or 0) * 1e-3
        counts = np.unique(np.rint(np.geomspace(1, rates.max() * seconds + 1, 28)))
        edges = (np.append(counts, counts[-1] + 1) - 0.5) / seconds
        shares = np.histogram(rates, edges)[0] / rates.size
        silent = f"{s.n_silent:,} of {s.n_units:,} silent"
        label = f"{for_figure(s.name)}: mean {rates.mean():.2g} Hz, {silent}"
        ax.stairs(
            100 * shares / np.diff(np.log10(edges)),
            edges,
            fill=True,
            alpha=0.35,
            color=colour,
            label=label,
        )
        log = np.log(rates[rates > 0])
        if log.std() > 0:
            line = np.geomspace(edges[0], edges[-1], 300)
            density = np.exp(-0.5 * ((np.log(line) - log.mean()) / log.std()) ** 2) / (
                log.std() * np.sqrt(2 * np.pi)
            )
            share_per_decade = 100 * np.log(10) * density * log.size / rates.size
            ax.plot(line, share_per_decade, color=colour, ls=DASHES[k % 4], lw=1.4)
    title = "Rates over neurons; lines: log-normal"
    ax.set(
        xscale="log", xlabel="mean firing rate (Hz)", ylabel="neurons (% per decade)", title=title
    )
    ax.xaxis.set_major_formatter(plain)
    legend_below(ax)
    return ax


def rates_by_population(
    stats: Sequence[ActivityStats],
    published_hz: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Single-cell rates of each population as boxes, their means as dots, and published means as
    crosses.
    """
    ax = axes(ax)
    published = published_hz or {}
    rates = [np.asarray(s.unit_rates_hz) for s in stats]
    at = np.arange(len(stats))
    boxes = ax.boxplot(
        rates, positions=at, orientation="horizontal", whis=(5, 95), showfliers=False, widths=0.6
    )
    for line in boxes["medians"]:
        line.set_color(PARTS[0])
    ax.plot([r.mean() for r in rates], at, "o", color=PARTS[0], ms=6, label="mean", zorder=3)
    known = [k for k, s in enumerate(stats) if s.name in published]
    if known:
        means = [published[stats[k].name] for k in known]
        ax.plot(
            means, known, "x", color=PARTS[1], ms=8, mew=2, label="mean, as published", zorder=4
        )
    ax.set_yticks(at, [for_figure(s.name) for s in stats])
    ax.invert_yaxis()
    ax.set(xlabel="firing rate (Hz)", xlim=(0, None), title="Rates by population")
    legend_below(ax, ncols=2)
    return ax
