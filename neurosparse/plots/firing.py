"""Spikes and firing rates of cells and circuits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from neurosparse import interop
from neurosparse._internal import checks
from neurosparse._internal.names import for_figure
from neurosparse._internal.types import Fields, Foreign
from neurosparse.activity import ActivityStats, SpikeTrains
from neurosparse.comparison import Comparison
from neurosparse.lif import LIF, rate
from neurosparse.lif.rates import check_lif
from neurosparse.plots import findings
from neurosparse.plots.fitting import End
from neurosparse.plots.inputs import Stats, circuits
from neurosparse.plots.labels import label_ends, legend_below, say
from neurosparse.plots.look import PARTS, axes, coloured, dashed, drawn, plainly, scaled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_CELLS = 40  # simulated ones that are shown on an f-I curve
_BINS = 28


@drawn
def fi_curve(lif: LIF, currents_nA: object, rates_hz: object, ax: Axes | None = None) -> Axes:
    """Draw firing rate over current: simulated cells on the closed form of a LIF cell.

    Parameters
    ----------
    lif
        The cell of the closed form.
    currents_nA, rates_hz
        Of the simulated cells, shape (n,).
    ax
        The axes to draw on; new ones by default.
    """
    check_lif(lif)
    ax = axes(ax)
    currents = checks.finite_array("currents_nA", currents_nA)
    rates = checks.finite_array("rates_hz", rates_hz)
    if currents.ndim != 1 or currents.size == 0 or rates.shape != currents.shape:
        raise ValueError(
            "currents_nA and rates_hz must be lists of one length, at least 1, got shapes"
            f" {currents.shape} and {rates.shape}"
        )
    dense = np.linspace(currents.min(), currents.max(), 2000)
    ax.plot(dense, rate(dense, lif), color=PARTS[0], label="closed form", zorder=2)
    some = np.linspace(0, currents.size - 1, min(currents.size, _MOST_CELLS)).astype(int)
    simulated = f"simulated ({currents.size:,} cells, {some.size} shown)"
    dots: Fields = {"mfc": "none", "ms": scaled(4), "color": PARTS[1], "zorder": 3}
    ax.plot(currents[some], rates[some], "o", label=simulated, **dots)
    threshold: Fields = {"color": "0.5", "lw": 1, "ls": ":"}
    ax.axvline(lif.rheobase_nA, label=f"rheobase {lif.rheobase_nA:.3g} nA", **threshold)
    say(
        ax,
        title=f"A neuron is one-sided: silent below {lif.rheobase_nA:.3g} nA",
        xlabel="input current (nA)",
        ylabel="firing rate (Hz)",
    )
    legend_below(ax, ncols=3)
    return ax


@drawn
def raster(
    spikes: SpikeTrains,
    ax: Axes | None = None,
    *,
    n_units: int = 200,
    duration_ms: float = 1000.0,
    colours: Mapping[str, str] | None = None,
) -> Axes:
    """Draw the spikes of a sample of units over the first stretch of the record.

    Populations stand in their order, the first on top, in proportion to their size. Gaps, in which
    nothing was observed, are grey.

    Parameters
    ----------
    spikes
        `SpikeTrains`, or whatever `as_spikes` reads without further words.
    ax
        The axes to draw on; new ones by default.
    n_units
        Units to draw; every population has one at least.
    duration_ms
        How much of the record.
    colours
        A colour for each population, by name.
    """
    from matplotlib.ticker import MaxNLocator

    n_units, spikes = checks.whole("n_units", n_units), _spikes(spikes)
    ax, populations = axes(ax), spikes.populations or {"units": (0, spikes.n_units)}
    share = min(1.0, n_units / spikes.n_units)
    shown = min(checks.positive("duration_ms", duration_ms), spikes.duration_ms)
    row, ends = 0, []
    for colour, (name, (first, stop)) in zip(
        coloured(populations, colours, PARTS), populations.items(), strict=True
    ):
        n = max(1, round(share * (stop - first)))
        sample = np.unique(np.linspace(first, stop - 1, n).astype(int))
        place = np.full(spikes.n_units, -1)
        place[sample] = row + np.arange(sample.size)
        inside = (place[spikes.units] >= 0) & (spikes.times_ms < shown)
        ax.plot(
            spikes.times_ms[inside],
            place[spikes.units[inside]],
            ls="none",
            marker="|",
            ms=scaled(min(3.0, 2000 / min(n_units, spikes.n_units))),
            mew=scaled(0.8),
            color=colour,
            label=f"{for_figure(name)}: {sample.size} of {stop - first:,}",
            rasterized=True,
        )
        ends.append(End(for_figure(name), None, row + (sample.size - 1) / 2, colour))
        row += sample.size
    _gaps(ax, spikes, shown)
    ax.set(xlim=(0, shown), ylim=(row - 0.5, -0.5))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    say(
        ax,
        title=findings.of_spikes(spikes),
        xlabel="time (ms)",
        ylabel=f"neuron ({row:,} of {spikes.n_units:,} shown)",
    )
    label_ends(ax, ends if spikes.populations else [])
    return ax


def _spikes(what: object) -> SpikeTrains:
    held = list(what.values()) if isinstance(what, Mapping) else what
    first = held[0] if isinstance(held, list | tuple) and held else held
    if isinstance(first, ActivityStats | Comparison):
        name = first.stats[0].name if isinstance(first, Comparison) else first.name
        raise TypeError(
            f"raster draws spikes, and the statistics of {name!r} hold none: pass the SpikeTrains"
            " that were measured"
        )
    return what if isinstance(what, SpikeTrains) else interop.as_spikes(what)


def _gaps(ax: Axes, spikes: SpikeTrains, shown: float) -> None:
    edges = np.concatenate([[0.0], spikes.intervals.ravel(), [spikes.duration_ms]])
    for start, stop in edges.reshape(-1, 2):
        if start < min(stop, shown):
            ax.axvspan(start, min(stop, shown), color="0.9", lw=0, zorder=0)


@drawn
def rate_histogram(
    stats: Stats, ax: Axes | None = None, *, colours: Mapping[str, str] | None = None
) -> Axes:
    """Draw firing rates over the units of each circuit on a log axis, and log-normal distributions.

    The lines have the mean and the standard deviation of ln(rate) over the units that fired. Bins
    hold whole numbers of spikes, so that a short record shows no false gaps.

    Parameters
    ----------
    stats
        What `measure` or `compare` returned; networks, and circuits without a spike, are left out.
    ax
        The axes to draw on; new ones by default.
    colours
        A colour for each name, such as `colours(comparison)`.
    """
    found = circuits(stats, "rate_histogram")
    firing, silent = [s for s in found if s.n_spikes], [s for s in found if not s.n_spikes]
    if not firing:
        raise ValueError(
            f"rate_histogram draws the rates of units that fire, and none of {silent[0].name!r}"
            " does: pass a circuit with spikes"
        )
    ax = axes(ax)
    shades = coloured([s.name for s in firing], colours)
    for s, colour, dash in zip(firing, shades, dashed(shades), strict=True):
        _steps(ax, s, colour, dash)
    ax.set(xscale="log")
    plainly(ax.xaxis)
    say(
        ax,
        title=findings.of_rates(firing),
        xlabel="mean firing rate (Hz); lines: log-normal",
        ylabel="neurons (% per decade)",
    )
    legend_below(ax, notes=[f"{for_figure(s.name)}: no unit fires" for s in silent])
    return ax


def _steps(ax: Axes, s: ActivityStats, colour: str, dash: Foreign) -> None:
    rates = np.asarray(s.unit_rates_hz)
    seconds = float(s.duration_ms or 0) * 1e-3
    counts = np.unique(np.rint(np.geomspace(1, rates.max() * seconds + 1, _BINS)))
    edges = (np.append(counts, counts[-1] + 1) - 0.5) / seconds
    shares = np.histogram(rates, edges)[0] / rates.size
    silent = f"{s.n_silent:,} of {s.n_units:,} silent"
    label = f"{for_figure(s.name)}: mean {rates.mean():.2g} Hz, {silent}"
    look: Fields = {"fill": True, "alpha": 0.35, "color": colour, "ls": dash}
    ax.stairs(100 * shares / np.diff(np.log10(edges)), edges, label=label, **look)
    log = np.log(rates[rates > 0])
    if log.std() > 0:
        line = np.geomspace(edges[0], edges[-1], 300)
        density = np.exp(-0.5 * ((np.log(line) - log.mean()) / log.std()) ** 2) / (
            log.std() * np.sqrt(2 * np.pi)
        )
        share_per_decade = 100 * np.log(10) * density * log.size / rates.size
        ax.plot(line, share_per_decade, color=colour, ls=dash, lw=scaled(1.4))
