"""Effect of electrodes that miss rarely firing cells, in a circuit whose cells are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neurosparse import plots
from neurosparse._internal.tables import markdown
from neurosparse.activity import ActiveWhen, ActivityStats, SpikeTrains
from neurosparse.measurement import measure
from neurosparse.plots.look import axes, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WINDOW = ActiveWhen(window_ms=10.0)
N_CELLS = 200  # of a probe


@dataclass(frozen=True, slots=True)
class Missed:
    """Outcome of probes of a circuit that miss the cells below a rate.

    Attributes
    ----------
    below_hz
        The rate.
    truth
        The active fraction of all cells.
    missed
        Share of the cells below the rate.
    others
        The active fraction of all the others.
    refused
        Share of the probes that have no correction.
    corrected
        The median active fraction with the missed cells, over the probes that have one.
    held
        Share of these whose interval holds the truth.
    """

    below_hz: float
    truth: float
    missed: float
    others: float
    refused: float
    corrected: float
    held: float


def probe(spikes: SpikeTrains, below_hz: float, n: int, seed: int = 0) -> SpikeTrains:
    """Return n random cells of those that fire at least so often, or all where there are fewer."""
    rates_hz = np.asarray(spikes.counts) / (spikes.observed_ms * 1e-3)
    able = np.flatnonzero(rates_hz >= below_hz)
    cells = np.random.default_rng(seed).permutation(able)[:n]
    at = np.full(spikes.n_units, -1)
    at[cells] = np.arange(cells.size)
    held = at[spikes.units] >= 0
    return SpikeTrains(
        np.asarray(spikes.times_ms)[held],
        at[spikes.units][held],
        n_units=cells.size,
        duration_ms=spikes.duration_ms,
        dt_ms=spikes.dt_ms,
    )


def missed(spikes: SpikeTrains, below_hz: float, n_probes: int) -> Missed:
    """Measure a circuit by probes of `N_CELLS` cells each, corrected for what they miss."""
    truth = measure(spikes, active_when=WINDOW).active_fraction
    able = probe(spikes, below_hz, spikes.n_units)
    probes = [_measured(probe(spikes, below_hz, N_CELLS, k), below_hz) for k in range(n_probes)]
    ends = [
        (s.active_fraction_with_missed, s.interval_with_missed.low, s.interval_with_missed.high)
        for s in probes
        if s.active_fraction_with_missed is not None and s.interval_with_missed is not None
    ]
    middle, low, high = np.array(ends).T if ends else np.full((3, 1), np.nan)
    return Missed(
        below_hz,
        truth,
        1 - able.n_units / spikes.n_units,
        measure(able, active_when=WINDOW).active_fraction,
        1 - len(ends) / n_probes,
        float(np.median(middle)),
        float(np.mean((low <= truth) & (truth <= high))) if ends else float("nan"),
    )


def _measured(spikes: SpikeTrains, below_hz: float) -> ActivityStats:
    return measure(spikes, active_when=WINDOW, missed_below_hz=below_hz)


def table(found: Sequence[Missed]) -> str:
    """Format as a Markdown table, in %."""
    heads = ["missed below (Hz)", "cells missed %", "active of all others %", "refused %"]
    heads += ["corrected, median %", "intervals that hold the truth %"]
    lines = [
        [
            f"{m.below_hz:g}",
            *(f"{100 * each:.3g}" for each in (m.missed, m.others, m.refused, m.corrected, m.held)),
        ]
        for m in found
    ]
    return markdown(heads, lines)


@drawn
def draw(found: Sequence[Missed], ax: Axes | None = None) -> Axes:
    """Draw what is seen and what is corrected over the rate below which cells are missed."""
    ax = axes(ax)
    below = [m.below_hz for m in found]
    ax.axhline(100 * found[0].truth, color="0.4", ls="--", label="all cells")
    ax.plot(
        below,
        [100 * m.others for m in found],
        "o-",
        color=plots.COLOURS[0],
        label="cells that are seen",
    )
    corrected = [100 * m.corrected for m in found]
    ax.plot(below, corrected, "s-", color=plots.COLOURS[1], label="corrected, median of probes")
    ax.set(xscale="log", xlabel="cells below this rate are missed (Hz)", ylim=(0, None))
    ax.set_xticks(below, [f"{each:g}" for each in below])
    ax.minorticks_off()
    most = found[-1]
    ax.set(
        ylabel=f"active in {WINDOW.window_ms:g} ms (%)",
        title=f"Without cells below {most.below_hz:g} Hz, {100 * most.truth:.1f} % active look like"
        f" {100 * most.others:.1f} %",
    )
    ax.legend()
    return ax
