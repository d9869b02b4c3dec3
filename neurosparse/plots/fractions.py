"""Figures of the units that are active at once: circuits, networks and the brain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from neurosparse import reference
from neurosparse._internal import checks
from neurosparse._internal.names import for_figure
from neurosparse._internal.types import Fields
from neurosparse.activity import ActivityStats
from neurosparse.comparison import Comparison, milliseconds, percent
from neurosparse.comparison.words import quoted
from neurosparse.plots import findings
from neurosparse.plots.fitting import End, room_of, some
from neurosparse.plots.inputs import Entry, Stats, not_reached
from neurosparse.plots.inputs import comparison as compared
from neurosparse.plots.inputs import networks as measured
from neurosparse.plots.labels import label_ends, legend_below, notes_below, say
from neurosparse.plots.look import (
    BAND_COLOUR,
    axes,
    coloured,
    colours,
    dashed,
    drawn,
    hatched,
    plainly,
    scaled,
    small,
)
from neurosparse.reference import Band

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BRAIN = "glorot2011"  # the band of the package
_MOST_NUMBERS = 40  # bars that have their number written on them


@drawn
def activity_curves(comparison: Stats, ax: Axes | None = None) -> Axes:
    """Draw active fractions over the window: circuits as curves, networks as levels.

    The band of the brain lies behind. Dots mark the equivalent windows.

    Parameters
    ----------
    comparison
        What `compare` or `measure` returned.
    ax
        The axes to draw on; new ones by default.

    Examples
    --------
    >>> import neurosparse as ns
    >>> spikes = ns.SpikeTrains([1.0, 6.0], [0, 1], n_units=4, duration_ms=10.0, dt_ms=1.0)
    >>> stats = ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=2))
    >>> activity_curves(stats).get_ylabel()
    'active at once (%)'
    """
    (whole, missing), ax = compared(comparison), axes(ax)
    label_ends(ax, [*_curves(whole, ax), *_levels(whole, ax), _named_band(whole.band, ax)])
    if not whole.circuits:
        ax.set(xlim=(1, 1000), ylim=(0.1, 130))  # a log axis finds none without data
    ax.set(xscale="log", yscale="log")
    ax.set_ylim(top=130)
    plainly(ax.xaxis)
    plainly(ax.yaxis)
    say(
        ax,
        title=findings.of_comparison(whole),
        xlabel="window in which a neuron must fire to be active (ms)",
        ylabel="active at once (%)",
    )
    notes = [f"* {whole.band.caption}"]
    if definition := _one_definition(whole):
        notes.append(f"Units of networks: active where {definition}.")
    notes_below(ax, [*notes, *(f"Not drawn: {words}." for words in not_reached(missing))])
    return ax


def _curves(comparison: Comparison, ax: Axes) -> list[End]:
    ends, known = [], colours(comparison)
    dash_of = _dashes(comparison)
    for circuit in comparison.circuits:
        windows, fractions = comparison.curve(circuit)
        colour, name = known[circuit.name], for_figure(circuit.name)
        look: Fields = {"color": colour, "ls": dash_of[circuit.name], "zorder": 3}
        ax.plot(windows, 100 * fractions, label=f"{name} (spikes)", **look)
        ends.append(End(f"{name} (spikes)", windows[-1], 100 * fractions[-1], colour))
    return ends


def _levels(comparison: Comparison, ax: Axes) -> list[End]:
    ends, known = [], colours(comparison)
    dash_of, alike = _dashes(comparison), _one_definition(comparison)
    for network in comparison.networks:
        colour, level = known[network.name], 100 * network.active_fraction
        equivalent = {c: w for c, w in comparison.equivalent_window_ms[network.name].items() if w}
        share, definition = percent(network.active_fraction), network.active_when.describe()
        label = f"{for_figure(network.name)}: {share} ({definition})"
        for circuit, window in list(equivalent.items())[:1]:
            label += f", as {quoted(for_figure(circuit))} in {milliseconds(window)}"
        look: Fields = {"color": colour, "ls": dash_of[network.name], "lw": scaled(1.5)}
        ax.axhline(level, label=label, zorder=2, **look)
        dots: Fields = {"color": colour, "mec": "white", "ms": scaled(7), "zorder": 4}
        ax.plot([*equivalent.values()], [level] * len(equivalent), "o", **dots)
        text = f"{for_figure(network.name)}: {share}" + ("" if alike else f" ({definition})")
        ends.append(End(text, None, level, colour))
    return ends


def _dashes(comparison: Comparison) -> Fields:
    known = colours(comparison)
    return dict(zip(known, dashed([*known.values()]), strict=True))


def _one_definition(comparison: Comparison) -> str:
    """Return what "active" means where all networks share it."""
    found = {network.active_when.describe() for network in comparison.networks}
    return found.pop() if len(found) == 1 else ""


@drawn
def layers(networks: Stats, comparison: Comparison | None = None, ax: Axes | None = None) -> Axes:
    """Draw the active fraction of each layer with its interval, over the band of the brain.

    Parameters
    ----------
    networks
        What `measure` returned for a network; or several of them by name, such as
        {"trained": measure(...), "untrained": measure(...)}. Circuits are left out: they have no
        layers.
    comparison
        Gives the colours of the networks and the band; without one, those of the package.
    ax
        The axes to draw on; new ones by default.

    Examples
    --------
    >>> import torch
    >>> import neurosparse as ns
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
    >>> found = ns.measure(net, torch.ones(16, 4), active_when=ns.ActiveWhen(threshold=0))
    >>> layers(found).get_ylabel()
    'active units (%)'
    """
    checks.instance("comparison", comparison, (Comparison, type(None)), "compare returns one")
    (found, missing), ax = measured(networks, "layers"), axes(ax)
    given = comparison or networks
    band = given.band if isinstance(given, Comparison) else reference.bands()[_BRAIN]
    _band(ax, band, f"brain: {for_figure(band.label)}")
    series = _series(found)
    names = list(dict.fromkeys(entry.layer for entry in found))
    here = {name: [which for which, of in series.items() if name in of] for name in names}
    wide = 0.8 / max(map(len, here.values()))
    known = colours(comparison) if comparison else None
    shades = coloured([network for network, _ in series], known)
    for which, colour, hatch in zip(series, shades, hatched(shades), strict=True):
        at = [
            k + wide * (here[name].index(which) - (len(here[name]) - 1) / 2)
            for k, name in enumerate(names)
            if which in here[name]
        ]
        bars = [series[which][name] for name in names if name in series[which]]
        network, definition = which
        label = f"{for_figure(network)} ({definition})" if network else f"active: {definition}"
        look: Fields = {"facecolor": colour, "hatch": hatch, "label": label}
        _bars(ax, at, bars, wide, look)
        if len(names) <= _MOST_NUMBERS:
            _numbers(ax, at, bars, turned=_is_narrow(ax, wide, len(names)))
    below = _name_layers(ax, names)
    say(ax, title=findings.of_layers([entry.stats for entry in found]), ylabel="active units (%)")
    ax.margins(y=0.3 if _is_narrow(ax, wide, len(names)) else 0.12)
    legend_below(ax, points=scaled(14) + below, notes=not_reached(missing))
    return ax


def _series(found: list[Entry]) -> dict[tuple[str, str], dict[str, ActivityStats]]:
    """Return the layers of each network, apart by what "active" means."""
    series: dict[tuple[str, str], dict[str, ActivityStats]] = {}
    for entry in found:
        which = (entry.network, entry.stats.active_when.describe())
        series.setdefault(which, {})[entry.layer] = entry.stats
    return series


def _name_layers(ax: Axes, names: list[str]) -> float:
    """Name the places along the x axis, as many as fit, and return the points that it takes."""
    size = float(ax.xaxis.get_ticklabels()[0].get_fontsize())
    texts = [for_figure(name, most=24) for name in names]
    longest = max(map(len, texts))
    turned = longest * 0.6 * size > _room(ax, len(names))
    named = some(len(names), int(len(names) * _room(ax, len(names)) / (1.3 * size)))
    ax.set_xticks(named if turned else range(len(names)), [texts[k] for k in named])
    if turned:
        ax.tick_params(axis="x", labelrotation=90)
    return size * (0.6 * longest if turned else 1.2)


def _bars(ax: Axes, at: list[float], stats: list[ActivityStats], wide: float, look: Fields) -> None:
    fractions = 100 * np.array([s.active_fraction for s in stats])
    ends = 100 * np.array([[s.interval.low, s.interval.high] for s in stats]).T
    errors = np.abs(ends - fractions).tolist()  # (2, n): below, above
    look |= {"edgecolor": "white", "lw": 0, "zorder": 2, "error_kw": {"lw": scaled(1.2)}}
    ax.bar(at, fractions, wide * 0.92, yerr=errors, **look)


def _numbers(ax: Axes, at: list[float], stats: list[ActivityStats], *, turned: bool) -> None:
    """Write the per cent above bars and their intervals."""
    for x, s in zip(at, stats, strict=True):
        fraction, top = 100 * s.active_fraction, 100 * s.interval.high
        ax.annotate(
            f"{fraction:.3g}" if fraction >= 1 else f"{fraction:.2g}",
            (x, np.fmax(top, fraction)),  # without an interval its end is NaN
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            rotation=90 if turned else 0,
            fontsize=small(),
        )


def _is_narrow(ax: Axes, wide: float, n: int) -> bool:
    """Return whether a number does not fit above a bar and is turned."""
    return 2.6 * small() > wide * _room(ax, n)


def _room(ax: Axes, n: int) -> float:
    """Return the points that each of `n` places has along the x axis."""
    return room_of(ax) / n


@drawn
def activation_histogram(
    stats: Stats, ax: Axes | None = None, *, colours: Mapping[str, str] | None = None
) -> Axes:
    """Draw how often each unit of a network is active: units over their active fraction.

    Parameters
    ----------
    stats
        What `measure` or `compare` returned; circuits are left out, as they have no inputs.
    ax
        The axes to draw on; new ones by default.
    colours
        A colour for each name, such as `colours(comparison)`.
    """
    (entries, missing), ax = measured(stats, "activation_histogram"), axes(ax)
    found = [entry.stats for entry in entries]
    edges = [2.5 * k for k in range(41)]
    shades = coloured([s.name for s in found], colours)
    for s, colour, dash in zip(found, shades, dashed(shades), strict=True):
        dead = f"{s.n_silent:,} of {s.n_units:,} dead"
        ax.hist(
            100 * s.unit_active_fraction,
            edges,
            weights=np.full(s.n_units, 100 / s.n_units),
            histtype="step",
            lw=scaled(1.6),
            color=colour,
            ls=dash,
            label=f"{for_figure(s.name)}: {dead} ({s.active_when.describe()})",
        )
    ax.set_ylim(50 / max(s.n_units for s in found), 130)  # a bar of one unit is seen
    ax.set_yscale("log")
    plainly(ax.yaxis)
    say(
        ax,
        title=findings.of_units(found),
        xlabel="inputs for which a unit is active (%)",
        ylabel="units (%)",
    )
    legend_below(ax, notes=not_reached(missing))
    return ax


def _named_band(band: Band, ax: Axes) -> End:
    """Draw the band and return its label, at its middle on a log axis."""
    _band(ax, band, f"brain: {for_figure(band.label)}*")
    text = f"brain: {100 * band.low:g}-{100 * band.high:g} %*"
    middle = 100 * float(np.sqrt(max(band.low, 1e-4) * band.high))
    return End(text, None, middle, BAND_COLOUR, firm=True)


def _band(ax: Axes, band: Band, label: str) -> None:
    ax.axhspan(
        100 * band.low, 100 * band.high, color=BAND_COLOUR, alpha=0.45, lw=0, zorder=0, label=label
    )
