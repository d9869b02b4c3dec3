"""Data that the page computes with: each circuit's curve over the window, and a raster."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosparse._internal.types import Fields
from neurosparse.activity import ActivityCurve, ActivityStats, SpikeTrains
from neurosparse.comparison import Comparison
from neurosparse.plots import PARTS, coloured

_FINE_POINTS = 1000  # between them linear interpolation has an error of about 1e-5
MOST_SPIKES = 100_000  # of a raster
MOST_SPIKES_OF_A_PAGE = 300_000  # 2.4 MB
_MOST_ROWS = 65_535
_FEWEST_ROWS = 1000


def windows(comparison: Comparison) -> Fields | None:
    """Return the curves of the circuits and the levels of the networks.

    None where there is no circuit, hence no window.

    `grid_ms` holds the windows of comparison.json, those of all circuits, and the one by which each
    was measured. A circuit's curve is given exactly there and at a thousand windows besides, evenly
    spaced on a log axis as far as its ticks allow.
    """
    circuits = comparison.circuits
    if not circuits:
        return None
    own = [c.active_when.window_ms for c in circuits]
    grid = np.unique(
        np.round(np.concatenate([own, *(comparison.curve(c)[0] for c in circuits)]), 9)
    )
    band = comparison.band
    return {
        "grid_ms": grid.tolist(),
        "ends_log": [float(np.log10(grid[0])), float(np.log10(grid[-1]))],
        "start_ms": own[0],
        "band": {"low": band.low, "high": band.high},
        "circuits": [_circuit(comparison, c, grid) for c in circuits],
        "networks": [
            {
                "name": n.name,
                "active_fraction": n.active_fraction,
                "equivalent_ms": list(comparison.equivalent_window_ms[n.name].values()),
            }
            for n in comparison.networks
        ],
    }


def _circuit(comparison: Comparison, circuit: ActivityStats, grid: NDArray[np.float64]) -> Fields:
    curve = cast(ActivityCurve, circuit.curve)
    first, last = comparison.curve(circuit)[0][[0, -1]]
    ticks = np.unique(np.rint(np.geomspace(first, last, _FINE_POINTS) / curve.tick_ms))
    mine = grid[(grid >= first) & (grid <= curve.longest_ticks * curve.tick_ms)]
    fine = np.union1d(np.round(ticks * curve.tick_ms, 9), mine)
    return {
        "name": circuit.name,
        "window_ms": _packed(fine, "<f8"),
        "active_fraction": _packed(curve(fine), "<f8"),
    }


def raster(
    spikes: SpikeTrains, most: int = MOST_SPIKES, colours: Mapping[str, str] | None = None
) -> Fields:
    """Return at most `most` spikes, for a raster.

    Of all units where they are that few, or else of a sample, each population in proportion.

    Where the spikes of a thousand units are still too many, the stretch that is shown ends earlier.
    Row k of the n rows of a population of N units is its unit floor(k N / n).
    """
    fits = len(spikes) <= most
    # a little less: a sample may fire more than its share
    sample = 1.0 if fits else 0.95 * most / len(spikes)
    share = min(1.0, max(sample, _FEWEST_ROWS / spikes.n_units), _MOST_ROWS / spikes.n_units)
    place = np.full(spikes.n_units, -1)
    populations, row = [], 0
    named = spikes.populations or {"units": (0, spikes.n_units)}
    for colour, (name, (first, stop)) in zip(
        coloured(named, colours, PARTS), named.items(), strict=True
    ):
        size = stop - first
        n = max(1, int(share * size))
        place[first + np.arange(n) * size // n] = row + np.arange(n)
        populations.append(
            {"name": name, "size": size, "first": row, "stop": row + n, "colour": colour.lower()}
        )
        row += n
    kept = np.flatnonzero(place[spikes.units] >= 0)
    shown_ms = spikes.duration_ms if kept.size <= most else float(spikes.times_ms[kept[most]])
    kept = kept[:most]
    return {
        "times_ms": _packed(spikes.times_ms[kept], "<f4"),
        "rows": _packed(place[spikes.units[kept]], "<u2"),
        "n_rows": row,
        "shown_ms": shown_ms,
        "duration_ms": spikes.duration_ms,
        "n_spikes": len(spikes),
        "populations": populations,
    }


def _packed(values: ArrayLike, dtype: str) -> str:
    """Return the bytes of an array, little-endian, as the page's typed arrays read them."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode("ascii")
