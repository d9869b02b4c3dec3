"""What hypothesis draws in the tests of the core."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import strategies as st

from neurosparse.activity import SpikeTrains


@st.composite
def spike_trains(
    draw: st.DrawFn,
    *,
    most_units: int = 5,
    most_ticks: int = 40,
    dt_ms: float | None = 0.5,
    least_spikes: int = 0,
) -> SpikeTrains:
    """Small trains on a grid of `dt_ms`, coincident spikes and silent units included."""
    n_units = draw(st.integers(1, most_units))
    n_ticks = draw(st.integers(1, most_ticks))
    pairs = st.tuples(st.integers(0, n_ticks - 1), st.integers(0, n_units - 1))
    spikes = draw(st.lists(pairs, min_size=least_spikes, max_size=40))
    tick_ms = dt_ms or 1.0
    return SpikeTrains(
        np.array([tick for tick, _ in spikes]) * tick_ms,
        np.array([unit for _, unit in spikes], dtype=np.int64),
        n_units=n_units,
        duration_ms=n_ticks * tick_ms,
        dt_ms=dt_ms,
    )


@st.composite
def trials(draw: st.DrawFn, *, most_units: int = 4, most_ticks: int = 40) -> SpikeTrains:
    """Small trains on a grid of 0.5 ms, observed in intervals with gaps between, or none."""
    n_ticks = draw(st.integers(2, most_ticks))
    edges = st.lists(st.integers(0, n_ticks), min_size=2, max_size=8, unique=True).map(sorted)
    cuts = draw(edges)
    pairs = list(itertools.pairwise(cuts))
    kept = [pair for pair in pairs if draw(st.booleans())] or pairs[:1]
    inside = [tick for start, stop in kept for tick in range(start, stop)]
    n_units = draw(st.integers(1, most_units))
    places = st.tuples(st.sampled_from(inside), st.integers(0, n_units - 1))
    spikes = draw(st.lists(places, max_size=40))
    return SpikeTrains(
        np.array([tick for tick, _ in spikes]) * 0.5,
        np.array([unit for _, unit in spikes], dtype=np.int64),
        n_units=n_units,
        duration_ms=n_ticks * 0.5,
        dt_ms=0.5,
        intervals=[(a * 0.5, b * 0.5) for a, b in kept],
    )
