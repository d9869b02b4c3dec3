"""The finding of a figure in one sentence: its title."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurosparse._internal.names import for_figure
from neurosparse.activity import ActivityStats, SpikeTrains
from neurosparse.comparison import Comparison, band_in_words, milliseconds, percent
from neurosparse.comparison.words import STEERED, quoted

_TENTH = 0.1


def of_comparison(comparison: Comparison) -> str:
    """Return the window in which a circuit is as active as the sparsest network.

    What a network was steered to is no finding: one that was left to find its share goes before.
    Where there is no network, the windows in which the circuit holds the band.
    """
    circuits, networks = comparison.circuits, comparison.networks
    if not networks:
        low, high = (
            circuits[0].curve.window_ms(share) if circuits[0].curve is not None else None
            for share in (comparison.band.low, comparison.band.high)
        )
        if low is None or high is None:
            return _fires(circuits[0])
        ends = f"{milliseconds(low).removesuffix(' ms')} to {milliseconds(high)}"
        return f"{_short(circuits[0])}: {band_in_words(comparison.band)} take {ends}"
    found = [s for s in networks if s.provenance.get(STEERED) is None]
    sparsest = min(found or networks, key=lambda s: s.active_fraction)
    share = f"{_short(sparsest)}: {percent(sparsest.active_fraction)} of the units active"
    windows = comparison.equivalent_window_ms[sparsest.name]
    equal = [(name, window) for name, window in windows.items() if window]
    if not equal:
        return share
    name, window = equal[0]
    return f"{share}, as many as fire in {quoted(for_figure(name))} in {milliseconds(window)}"


def of_spikes(spikes: SpikeTrains) -> str:
    """Return the mean rate, and how many units never fire."""
    seconds = 1e-3 * float(np.sum(np.diff(spikes.intervals, axis=1)))
    silent = spikes.n_units - np.unique(spikes.units).size
    rate = spikes.times_ms.size / spikes.n_units / seconds
    return f"{rate:.3g} Hz on average; {silent:,} of {spikes.n_units:,} units never fire"


def of_rates(firing: Sequence[ActivityStats]) -> str:
    """Return the share of the spikes that the busiest tenth of the units makes."""
    rates = np.sort(np.asarray(firing[0].unit_rates_hz))[::-1]
    busiest = rates[: max(1, round(_TENTH * rates.size))]
    share = percent(float(busiest.sum() / rates.sum()))
    return f"{_short(firing[0])}: a tenth of the units makes {share} of the spikes"


def of_population_rates(stats: Sequence[ActivityStats]) -> str:
    """Return the populations of least and highest mean rate."""
    means = [(float(np.mean(np.asarray(s.unit_rates_hz))), _short(s)) for s in stats]
    ends = [f"{mean:.3g} Hz ({name})" for mean, name in (min(means), max(means))]
    return f"Mean rate: {' to '.join(ends if len(stats) > 1 else ends[:1])}"


def of_layers(stats: Sequence[ActivityStats]) -> str:
    """Return the sparsest and the densest layer."""
    ordered = sorted(stats, key=lambda s: s.active_fraction)
    ends = [f"{percent(s.active_fraction)} ({_short(s)})" for s in (ordered[0], ordered[-1])]
    return f"Active units: {' to '.join(ends if len(stats) > 1 else ends[:1])}"


def of_units(stats: Sequence[ActivityStats]) -> str:
    """Return how many units are never active."""
    dead, n_units = sum(s.n_silent for s in stats), sum(s.n_units for s in stats)
    return f"{dead:,} of {n_units:,} units are never active"


def _fires(circuit: ActivityStats) -> str:
    window = circuit.active_when.window_ms or 0.0
    share = percent(circuit.active_fraction)
    return f"{_short(circuit)}: {share} of the units fire in {milliseconds(window)}"


def _short(stats: ActivityStats) -> str:
    return for_figure(stats.name)
