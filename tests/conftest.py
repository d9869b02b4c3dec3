"""What the tests of the core share: trains of spikes, drawn and generated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from neurosparse.activity import SpikeTrains

# Examples are the same in every run; a slow, busy machine is no failure.
settings.register_profile(
    "suite", deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")


@st.composite
def spike_trains(
    draw: st.DrawFn, *, most_units: int = 5, most_ticks: int = 40, dt_ms: float | None = 0.5, least_spikes: int = 0
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


@pytest.fixture
def poisson() -> Callable[..., SpikeTrains]:
    """Poisson spikes at a rate that all units share; `modulation` > 0 lets it wander, correlated over `tau_ms`."""

    def draw(
        seed: int,
        *,
        n_units: int,
        duration_ms: int,
        rate_hz: float,
        modulation: float = 0.0,
        tau_ms: float = 20.0,
    ) -> SpikeTrains:
        rng = np.random.default_rng(seed)
        keep = np.exp(-1.0 / tau_ms)
        noise = rng.standard_normal(duration_ms) * np.sqrt(1 - keep**2)
        noise[0] /= np.sqrt(1 - keep**2)  # x starts where it stays: at variance 1
        x = lfilter([1.0], [1.0, -keep], noise)
        rate = rate_hz * np.exp(modulation * x - modulation**2 / 2)  # mean rate_hz for any modulation
        fires = rng.random((duration_ms, n_units), dtype=np.float32) < 1 - np.exp(-rate[:, None] * 1e-3)
        ticks, units = np.nonzero(fires)
        return SpikeTrains(ticks * 1.0, units, n_units=n_units, duration_ms=float(duration_ms), dt_ms=1.0)

    return draw
