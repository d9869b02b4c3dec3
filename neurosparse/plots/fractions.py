"""Figures of the units that are active at once: circuits, networks and the brain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from neurosparse._internal.names import for_figure
from neurosparse._internal.types import Fields
from neurosparse.activity import ActivityStats
from neurosparse.comparison import Comparison, milliseconds, percent
from neurosparse.comparison.words import quoted
from neurosparse.plots import findings
from neurosparse.plots.fitting import End, wrapped
from neurosparse.plots.inputs import Stats, networks, statistics
from neurosparse.plots.inputs import comparison as compared
from neurosparse.plots.labels import label_ends, legend_below, say
from neurosparse.plots.look import (
    BAND_COLOUR,
    axes,
    coloured,
    colours,
    dashed,
    drawn,
    plain,
    scaled,
    small,
)
from neurosparse.reference import Band

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS_PER_INCH = 72
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
    whole, ax = compared(comparison), axes(ax)
    label_ends(ax, [*_curves(whole, ax), *_levels(whole, ax), _named_band(whole.band, ax)])
    if not whole.circuits:
        ax.set(xlim=(1, 1000), ylim=(0.1, 130))  # a log axis finds none without data
    ax.set(xscale="log", yscale="log")
    say(
        ax,
        title=findings.of_comparison(whole),
        xlabel="window in which a neuron must fire to be active (ms)",
        ylabel="active at once (%)",
    )
    ax.set_ylim(top=130)
    ax.yaxis.set_major_formatter(plain)
    ax.xaxis.set_major_formatter(plain)
    notes = [f"* {whole.band.caption}"]
    if definition := _one_definition(whole):
        notes.append(f"Units of networks: active where {definition}.")
    points = 0.6 * _room(ax, 1)
    text = "\n".join(wrapped(note, points, small()) for note in notes)
    note: Fields = {"ha": "right", "va": "bottom", "fontsize": small(), "color": "0.35"}
    ax.annotate(text, (0.99, 0.01), xycoords="axes fraction", **note)
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
        {"trained": measure(...), "untrained": measure(...)}.
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
    ax, by_network = axes(ax), _by_network(networks)
    whole = comparison or compared(next(iter(by_network.values())))
    _band(ax, whole.band, f"brain: {for_figure(whole.band.label)}")
    names = list(dict.fromkeys(layer for of in by_network.values() for layer in of))
    wide = 0.8 / len(by_network)
    known = colours(comparison) if comparison else None
    for k, (network, colour) in enumerate(
        zip(by_network, coloured(by_network, known), strict=True)
    ):
        shift = (k - (len(by_network) - 1) / 2) * wide
        _bars(ax, network, by_network[network], (names, shift, wide), colour)
    ax.set_xticks(np.arange(len(names)), [for_figure(name, most=24) for name in names])
    longest = max(len(for_figure(name, most=24)) for name in names)
    size = float(ax.xaxis.get_ticklabels()[0].get_fontsize())
    turned = longest * 0.6 * size > _room(ax, len(names))
    if turned:
        ax.tick_params(axis="x", labelrotation=90)
    every = [s for of in by_network.values() for s in of.values()]
    say(ax, title=findings.of_layers(every), ylabel="active units (%)")
    ax.margins(y=0.3 if _is_narrow(ax, wide, len(names)) else 0.12)
    legend_below(ax, points=scaled(14) + size * (0.6 * longest if turned else 1.2))
    return ax


def _by_network(what: Stats) -> dict[str, dict[str, ActivityStats]]:
    """Return layers by network: those of one network have no name for it."""
    if isinstance(what, Mapping) and what and all(isinstance(v, Mapping) for v in what.values()):
        return {str(name): {str(k): s for k, s in of.items()} for name, of in what.items()}
    if isinstance(what, Mapping):
        return {"": {str(k): s for k, each in what.items() for s in statistics(each)}}
    return {"": {s.name: s for s in networks(what, "layers")}}


def _bars(
    ax: Axes,
    network: str,
    by_layer: Mapping[str, ActivityStats],
    place: tuple[list[str], float, float],
    colour: str,
) -> None:
    names, shift, wide = place
    at = np.array([names.index(layer) for layer in by_layer]) + shift
    fractions = 100 * np.array([s.active_fraction for s in by_layer.values()])
    ends = 100 * np.array([[s.interval.low, s.interval.high] for s in by_layer.values()]).T
    definition = next(iter(by_layer.values())).active_when.describe()
    label = f"{for_figure(network)} ({definition})" if network else f"active: {definition}"
    errors = np.abs(ends - fractions).tolist()  # (2, n): below, above
    look: Fields = {"color": colour, "label": label, "zorder": 2}
    look["error_kw"] = {"lw": scaled(1.2)}
    ax.bar(at, fractions, wide * 0.92, yerr=errors, **look)
    if len(names) > _MOST_NUMBERS:
        return
    narrow = _is_narrow(ax, wide, len(names))
    for x, fraction, top in zip(at, fractions, ends[1], strict=True):
        ax.annotate(
            f"{fraction:.3g}" if fraction >= 1 else f"{fraction:.2g}",
            (x, np.fmax(top, fraction)),  # without an interval its end is NaN
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            rotation=90 if narrow else 0,
            fontsize=small(),
        )


def _is_narrow(ax: Axes, wide: float, n: int) -> bool:
    """Return whether a number does not fit above a bar and is turned."""
    return 2.6 * small() > wide * _room(ax, n)


def _room(ax: Axes, n: int) -> float:
    """Return the points that each of `n` places has along the x axis."""
    return float(ax.bbox.width) / ax.figure.dpi * _POINTS_PER_INCH / n


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
    found, ax = networks(stats, "activation_histogram"), axes(ax)
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
    say(
        ax,
        title=findings.of_units(found),
        xlabel="inputs for which a unit is active (%)",
        ylabel="units (%)",
    )
    ax.yaxis.set_major_formatter(plain)
    legend_below(ax)
    return ax


def _named_band(band: Band, ax: Axes) -> End:
    """Draw the band and return its label, at its middle on a log axis."""
    _band(ax, band, f"brain: {for_figure(band.label)}*")
    text = f"brain: {100 * band.low:g}-{100 * band.high:g} %*"
    middle = 100 * float(np.sqrt(max(band.low, 1e-4) * band.high))
    return End(text, None, middle, BAND_COLOUR)


def _band(ax: Axes, band: Band, label: str) -> None:
    ax.axhspan(
        100 * band.low, 100 * band.high, color=BAND_COLOUR, alpha=0.45, lw=0, zorder=0, label=label
    )
