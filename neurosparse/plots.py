"""Data -> matplotlib axes. Every function takes `ax=None`, draws one thing and returns the axes.

Colours are Okabe and Ito's, which the colour-blind can tell apart; what is compared also differs in dash or marker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosparse import files
from neurosparse.activity import ActivityStats, SpikeTrains
from neurosparse.comparison import Comparison, milliseconds, percent
from neurosparse.lif import LIF, rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from neurosparse.convert.report import ConversionReport

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C8C")
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (8, 2, 1, 2, 1, 2)), (0, (1, 3)), (0, (10, 4)))
BAND_COLOUR = "#F0E442"
_STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "figure.dpi": 110,
    "figure.figsize": (7.2, 4.4),
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "savefig.dpi": 160,
    "svg.fonttype": "none",
    "svg.hashsalt": "neurosparse",  # the same data give the same file
}


@contextmanager
def style() -> Iterator[None]:
    """The package's look, for `with style(): fig, ax = plt.subplots(); ...`."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        yield


def save(path: str | Path, *draw: Callable[[Axes], object], inches: tuple[float, float] = (6.4, 4.4)) -> None:
    """Write a figure as PNG, which appears whole or not at all; each of `draw` is given axes of its own, side by side."""
    import matplotlib.pyplot as plt

    with style(), files.new_file(Path(path)) as file:
        fig, axes = plt.subplots(1, len(draw), figsize=inches, squeeze=False)
        for draw_on, ax in zip(draw, axes[0], strict=True):
            draw_on(ax)
        fig.savefig(file, format="png")
        plt.close(fig)


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    with style():
        return plt.subplots()[1]


def activity_curves(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Active fraction over the window: circuits as curves, networks as levels, the band behind; the equivalent windows marked."""
    ax = _axes(ax)
    band = comparison.band
    ax.axhspan(
        100 * band.low, 100 * band.high, color=BAND_COLOUR, alpha=0.45, lw=0, zorder=0, label=f"brain: {band.label}*"
    )
    for k, circuit in enumerate(comparison.circuits):
        windows, fractions = comparison.curve(circuit)
        look: dict[str, Any] = {"color": COLOURS[k % len(COLOURS)], "ls": DASHES[k // len(COLOURS)], "zorder": 3}
        ax.plot(windows, 100 * fractions, label=f"{circuit.name} (spikes)", **look)
    for k, network in enumerate(comparison.networks):
        colour = COLOURS[(k + len(comparison.circuits)) % len(COLOURS)]
        level = 100 * network.active_fraction
        equal = [w for w in comparison.equivalent_window_ms[network.name].values() if w]
        label = f"{network.name}: {percent(network.active_fraction)} ({network.active_when.describe()})"
        if equal:
            label += f", as the circuit{'s' * (len(equal) > 1)} in " + ", ".join(milliseconds(w) for w in equal)
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
    ax.yaxis.set_major_formatter(_plain)
    ax.xaxis.set_major_formatter(_plain)
    _legend_below(ax, -0.16, ncols=1 if comparison.networks else 3)
    note: dict[str, Any] = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "fontsize": 7.5,
        "color": "0.35",
    }
    ax.annotate(f"* {band.caption}", (1, 0), xytext=(-2, 4), ha="right", **note)
    return ax


def fi_curve(lif: LIF, currents_nA: Any, rates_hz: Any, ax: Axes | None = None) -> Axes:
    """Firing rate over current: simulated cells on the closed form of a LIF cell."""
    ax = _axes(ax)
    currents = np.asarray(currents_nA, dtype=float)
    dense = np.linspace(currents.min(), currents.max(), 2000)
    ax.plot(dense, rate(dense, lif), color=COLOURS[0], label="closed form", zorder=2)
    some = np.linspace(0, currents.size - 1, min(currents.size, 40)).astype(int)
    simulated = f"simulated ({currents.size:,} cells, {some.size} shown)"
    ax.plot(
        currents[some], np.asarray(rates_hz)[some], "o", mfc="none", ms=4, color=COLOURS[1], label=simulated, zorder=3
    )
    ax.axvline(lif.rheobase_nA, color="0.6", lw=1, ls=":", label=f"rheobase {lif.rheobase_nA:.3g} nA")
    ax.set(xlabel="input current (nA)", ylabel="firing rate (Hz)", title="A neuron: one-sided, silent below threshold")
    ax.legend(loc="lower right")
    return ax


def activation_functions(ax: Axes | None = None) -> Axes:
    """Sigmoid, tanh, softplus and rectifier: the units of networks beside which the LIF cell is set (figure 1 of the paper)."""
    ax = _axes(ax)
    x = np.linspace(-3, 3, 601)
    curves = {
        "rectifier max(0, x)": np.maximum(x, 0),
        "softplus ln(1 + exp x)": np.logaddexp(0, x),
        "sigmoid": 1 / (1 + np.exp(-x)),
        "tanh": np.tanh(x),
    }
    for k, (name, y) in enumerate(curves.items()):
        ax.plot(x, y, color=COLOURS[k], ls=DASHES[k], label=name)
    ax.axhline(0, color="0.8", lw=0.8, zorder=0)
    ax.axvline(0, color="0.8", lw=0.8, zorder=0)
    ax.set(xlabel="input x", ylabel="activation", title="Units of networks", ylim=(-1.15, 3))
    ax.legend(loc="upper left")
    return ax


def raster(spikes: SpikeTrains, ax: Axes | None = None, *, n_units: int = 200, duration_ms: float = 1000.0) -> Axes:
    """Spikes of a sample of units over the first stretch of the record, populations in proportion to their size."""
    ax = _axes(ax)
    populations = spikes.populations or {"units": (0, spikes.n_units)}
    share = min(1.0, n_units / spikes.n_units)
    shown = min(duration_ms, spikes.duration_ms)
    row = 0
    for k, (name, (first, stop)) in enumerate(populations.items()):
        n = max(1, round(share * (stop - first)))
        sample = np.unique(np.linspace(first, stop - 1, n).astype(int))
        place = np.full(spikes.n_units, -1)
        place[sample] = row + np.arange(sample.size)
        inside = (place[spikes.units] >= 0) & (spikes.times_ms < shown)
        label = f"{name}: {sample.size} of {stop - first:,}"
        ax.plot(
            spikes.times_ms[inside],
            place[spikes.units[inside]],
            ls="none",
            marker="|",
            ms=min(3.0, 900 / n_units),
            mew=0.8,
            color=COLOURS[k % len(COLOURS)],
            label=label,
            rasterized=True,
        )
        row += sample.size
    ax.set(xlim=(0, shown), ylim=(-1, row), xlabel="time (ms)", ylabel="neuron (a sample)", title="Spikes")
    _legend_below(ax, -0.16, ncols=4, marker_size=8)
    return ax


def rate_histogram(stats: Sequence[ActivityStats], ax: Axes | None = None) -> Axes:
    """Firing rates over the units of each circuit on a log axis, beside log-normal distributions.

    The lines have the mean and the standard deviation of ln(rate) over the units that fired. Bins hold whole numbers of spikes, so
    that a short record shows no false gaps.
    """
    ax = _axes(ax)
    for k, s in enumerate(s for s in stats if s.unit_rates_hz is not None and s.n_spikes):
        rates = np.asarray(s.unit_rates_hz)
        seconds = float(s.duration_ms or 0) * 1e-3
        counts = np.unique(np.rint(np.geomspace(1, rates.max() * seconds + 1, 28)))
        edges = (np.append(counts, counts[-1] + 1) - 0.5) / seconds
        shares = np.histogram(rates, edges)[0] / rates.size
        colour = COLOURS[k % len(COLOURS)]
        label = f"{s.name}: mean {rates.mean():.2g} Hz, {s.n_silent:,} of {s.n_units:,} silent"
        ax.stairs(100 * shares / np.diff(np.log10(edges)), edges, fill=True, alpha=0.35, color=colour, label=label)
        log = np.log(rates[rates > 0])
        if log.std() > 0:
            line = np.geomspace(edges[0], edges[-1], 300)
            density = np.exp(-0.5 * ((np.log(line) - log.mean()) / log.std()) ** 2) / (log.std() * np.sqrt(2 * np.pi))
            share_per_decade = 100 * np.log(10) * density * log.size / rates.size
            ax.plot(line, share_per_decade, color=colour, ls=DASHES[k % 4], lw=1.4)
    title = "Rates over neurons; lines: log-normal"
    ax.set(xscale="log", xlabel="mean firing rate (Hz)", ylabel="neurons (% per decade)", title=title)
    ax.xaxis.set_major_formatter(_plain)
    _legend_below(ax, -0.16)
    return ax


def rates_by_population(
    stats: Sequence[ActivityStats], published_hz: Mapping[str, float] | None = None, ax: Axes | None = None
) -> Axes:
    """Single-cell rates of each population as boxes, their means as dots, and published means as crosses."""
    ax = _axes(ax)
    published = published_hz or {}
    rates = [np.asarray(s.unit_rates_hz) for s in stats]
    at = np.arange(len(stats))
    boxes = ax.boxplot(rates, positions=at, orientation="horizontal", whis=(5, 95), showfliers=False, widths=0.6)
    for line in boxes["medians"]:
        line.set_color(COLOURS[0])
    ax.plot([r.mean() for r in rates], at, "o", color=COLOURS[0], ms=6, label="mean", zorder=3)
    known = [k for k, s in enumerate(stats) if s.name in published]
    if known:
        means = [published[stats[k].name] for k in known]
        ax.plot(means, known, "x", color=COLOURS[1], ms=8, mew=2, label="mean, as published", zorder=4)
    ax.set_yticks(at, [s.name for s in stats])
    ax.invert_yaxis()
    ax.set(xlabel="firing rate (Hz)", xlim=(0, None), title="Rates by population")
    _legend_below(ax, -0.16, ncols=2)
    return ax


def windows_by_population(
    rows: Sequence[Mapping[str, Any]], fractions: Sequence[float], ax: Axes | None = None
) -> Axes:
    """The window that holds each active fraction, by population, with its spread over seeds, or over time where there is one seed.

    `rows` are those of `simulation.run`: one a seed and population.
    """
    ax = _axes(ax)
    names = list(dict.fromkeys(row["population"] for row in rows))
    for k, fraction in enumerate(fractions):
        key = f"window_ms_at_{100 * fraction:g}_percent"
        by_name = [[row for row in rows if row["population"] == name] for name in names]
        values = [np.array([row[key] for row in mine], dtype=float) for mine in by_name]
        spread = [
            v.std(ddof=1) if v.size > 1 else mine[0][f"{key}_sd_over_time"]
            for v, mine in zip(values, by_name, strict=True)
        ]
        at = np.arange(len(names)) + 0.18 * (k - (len(fractions) - 1) / 2)
        look: dict[str, Any] = {"fmt": "os^Dv"[k % 5], "color": COLOURS[k % len(COLOURS)], "ms": 5, "capsize": 2}
        ax.errorbar([v.mean() for v in values], at, xerr=spread, label=f"{100 * fraction:g} % active", **look)
    ax.set_yticks(np.arange(len(names)), names)
    ax.invert_yaxis()
    ax.set(xscale="log", xlabel="window (ms)", title="The window that holds a given share of active cells")
    ax.xaxis.set_major_formatter(_plain)
    ax.xaxis.set_minor_formatter(_plain)
    ax.tick_params(axis="x", which="minor", labelsize=7)
    _legend_below(ax, -0.18, ncols=3)
    return ax


def activation_histogram(stats: Sequence[ActivityStats], ax: Axes | None = None) -> Axes:
    """How often each unit of a network is active: the share of units over their active fraction."""
    ax = _axes(ax)
    edges = [2.5 * k for k in range(41)]
    for k, s in enumerate(stats):
        label = f"{s.name}: {s.n_silent:,} of {s.n_units:,} dead ({s.active_when.describe()})"
        weights = np.full(s.n_units, 100 / s.n_units)
        colour, dash = COLOURS[(k + 1) % len(COLOURS)], DASHES[k % 4]
        ax.hist(
            100 * s.unit_active_fraction,
            edges,
            weights=weights,
            histtype="step",
            lw=1.6,
            color=colour,
            ls=dash,
            label=label,
        )
    ax.set(
        xlabel="inputs for which a unit is active (%)",
        ylabel="units (%)",
        yscale="log",
        title="How often a unit is active",
    )
    ax.yaxis.set_major_formatter(_plain)
    _legend_below(ax, -0.16)
    return ax


def layers(networks: Mapping[str, Mapping[str, ActivityStats]], comparison: Comparison, ax: Axes | None = None) -> Axes:
    """The active fraction of each layer of each network, with its interval, over the band."""
    ax = _axes(ax)
    band = comparison.band
    ax.axhspan(
        100 * band.low, 100 * band.high, color=BAND_COLOUR, alpha=0.45, lw=0, zorder=0, label=f"brain: {band.label}"
    )
    width = 0.8 / len(networks)
    names: list[str] = []
    for k, (network, by_layer) in enumerate(networks.items()):
        names = names or list(by_layer)
        fractions = np.array([s.active_fraction for s in by_layer.values()])
        ends = np.array([[s.interval.low, s.interval.high] for s in by_layer.values()]).T
        at = np.arange(len(by_layer)) + (k - (len(networks) - 1) / 2) * width
        definition = next(iter(by_layer.values())).active_when.describe()
        errors = (100 * np.abs(ends - fractions)).tolist()  # (2, n): below, above
        colour = COLOURS[(k + 1) % len(COLOURS)]
        ax.bar(
            at, 100 * fractions, width * 0.92, yerr=errors, color=colour, label=f"{network} ({definition})", zorder=2
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
    ax.set_xticks(np.arange(len(names)), names)
    ax.set(ylabel="active units (%)", title="Sparsity per layer")
    ax.margins(y=0.12)
    _legend_below(ax, -0.1)
    return ax


def by_epoch(courses: Mapping[str, Mapping[int, float]], label: str, ax: Axes | None = None) -> Axes:
    """How one quantity of several networks or layers changes with training: courses[name][epoch]."""
    ax = _axes(ax)
    for k, (name, course) in enumerate(courses.items()):
        colour, dash = COLOURS[(k + 1) % len(COLOURS)], DASHES[k % 4]
        ax.plot(list(course), list(course.values()), color=colour, ls=dash, marker="o", ms=3, label=name)
    ax.set(xlabel="epoch", ylabel=label)
    ax.locator_params(axis="x", integer=True)
    ax.legend()
    return ax


def conversion(reports: Sequence[ConversionReport], ax: Axes | None = None) -> Axes:
    """What spiking networks lose against their sources over time steps: accuracy where there are labels, or else agreement."""
    ax = _axes(ax)
    labelled = all(report.source_accuracy is not None for report in reports)
    for k, report in enumerate(reports):
        lost = [
            100 * ((report.source_accuracy or 0.0) - (at.accuracy or 0.0) if labelled else 1 - at.agreement)
            for at in report.curve
        ]
        fewest = "not within 0.5" if report.fewest_steps is None else f"within 0.5 from {report.fewest_steps} steps"
        label = f"{report.name}: {report.spikes:,.0f} spikes in {report.steps} steps, {fewest}"
        steps = [at.steps for at in report.curve]
        ax.plot(
            steps, lost, color=COLOURS[k % len(COLOURS)], ls=DASHES[k % 7], marker="os^Dv"[k % 5], ms=4, label=label
        )
    ax.axhspan(-0.5, 0.5, color="0.9", lw=0, zorder=0)
    ax.axhline(0, color="0.7", lw=0.8, zorder=0)
    ax.set_yscale("symlog", linthresh=1)
    ax.set_xscale("log", base=2)
    what = "accuracy lost (points)" if labelled else "inputs of another class than the source's (%)"
    ax.set(xlabel="time steps", ylabel=what, title="What spikes cost in accuracy")
    ax.xaxis.set_major_formatter(_plain)
    ax.yaxis.set_major_formatter(_plain)
    _legend_below(ax, -0.16)
    return ax


def l1_to_spikes(reports: Mapping[float, ConversionReport], ax: Axes | None = None) -> Axes:
    """Spikes of an inference over the share of active units, a point a strength of the L1 penalty, with its errors."""
    ax = _axes(ax)
    active = [100 * report.source.active_fraction for report in reports.values()]
    spikes = [report.spikes for report in reports.values()]
    ax.plot(active, spikes, "o", color=COLOURS[0])
    for x, y, (l1, report) in zip(active, spikes, reports.items(), strict=True):
        errors = [100 * (1 - (share or 0.0)) for share in (report.source_accuracy, report.curve[-1].accuracy)]
        text = f"L1 {l1:g}: {errors[0]:.1f} % wrong, spiking {errors[1]:.1f} %"
        ax.annotate(text, (x, y), xytext=(8, -3), textcoords="offset points", fontsize=8)
    first = next(iter(reports.values()))
    ax.set(
        xlabel="units of the source that are active for an input (%)",
        ylabel=f"spikes in {first.steps} steps, {first.n_units:,} neurons",
        title="A penalty on activations is a penalty on spikes",
        xlim=(0, 1.45 * max(active)),
        ylim=(0, None),
    )
    return ax


def _plain(value: float, _: float) -> str:
    """Tick labels without powers of ten."""
    return f"{value:g}"


def _legend_below(ax: Axes, distance: float, ncols: int = 1, marker_size: float | None = None) -> None:
    legend = ax.legend(loc="upper left", bbox_to_anchor=(0, distance), ncols=ncols, borderaxespad=0)
    for line in legend.get_lines() if marker_size else ():
        line.set(markersize=marker_size, markeredgewidth=2)
