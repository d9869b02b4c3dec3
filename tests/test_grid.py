"""One rule for what lies on a grid, and windows that a recorded grid does not hold."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import neurosparse as ns
from neurosparse._internal.grid import on_grid
from neurosparse.sparsity import active_fraction, spike_counts
from neurosparse.spiking import run_circuit
from neurosparse.spiking.brian import running
from neurosparse.spiking.circuit import load

TDT_MS = 1e3 / 24414.0625  # the sampling grid of a widespread amplifier


def trains(**options: object) -> ns.SpikeTrains:
    return ns.SpikeTrains([], [], **{"n_units": 1, "duration_ms": 10.0, "dt_ms": 0.1, **options})


def test_steps_lie_on_the_grid() -> None:
    assert on_grid("delay_ms", 1.5, 0.1) == 15
    assert on_grid("duration_ms", 3_600_000.0, 0.1) == 36_000_000
    with pytest.raises(
        ValueError, match=r"^delay_ms must be a whole multiple of dt_ms=0\.1, got 1\.55$"
    ):
        on_grid("delay_ms", 1.55, 0.1)


@pytest.mark.parametrize(
    "refuse",
    [
        lambda: trains(duration_ms=10000.005),
        lambda: run_circuit(load("brunel2000_ai"), seconds=10.000005, seed=1),
        lambda: run_circuit(load("brunel2000_ai"), seconds=1, warm_up_ms=10000.005, seed=1),
        lambda: running.run(list, duration_ms=10000.005, seed=1),
        lambda: trains(duration_ms=20000.0).between(0, 10000.005),
    ],
)
def test_one_rule_refuses_everywhere_and_prints_what_was_given(
    refuse: Callable[[], object],
) -> None:
    with pytest.raises(
        ValueError, match=r"must be a whole multiple of dt_ms=0\.1, got 10000\.005\d*"
    ) as caught:
        refuse()
    assert not re.search(r"got 10000(\.0)?$", str(caught.value))


# ---- Windows on a recorded grid
# --------------------------------------------------------------------------------------------------


def recorded(seconds: float = 2.0) -> ns.SpikeTrains:
    """Four units, a spike each 100 ms, staggered, on the samples of an amplifier."""
    times = (np.arange(20) * 100.0 + 5 + 20 * np.arange(4)[:, None]).ravel()
    samples = np.rint(times / TDT_MS)
    return ns.SpikeTrains(
        samples * TDT_MS,
        np.repeat(np.arange(4), 20),
        n_units=4,
        duration_ms=round(seconds * 1e3 / TDT_MS) * TDT_MS,
        dt_ms=TDT_MS,
    )


def test_the_nearest_window_is_taken_and_said() -> None:
    spikes = recorded()
    stats = ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=10.0))
    assert stats.active_when.window_ms == pytest.approx(244 * TDT_MS)
    assert stats.active_when.describe() == "at least one spike in 9.99424 ms"
    assert stats.to_dict()["definition"] == "at least one spike in 9.99424 ms"
    assert stats.active_fraction == active_fraction(spikes, 244 * TDT_MS)
    free = ns.SpikeTrains(spikes.times_ms, spikes.units, n_units=4, duration_ms=spikes.duration_ms)
    assert stats.active_fraction == pytest.approx(active_fraction(free, 10.0), rel=1e-3)
    assert len(spike_counts(spikes, 10.0)) == spikes.duration_ticks // 244


def test_a_window_on_the_grid_stays_what_it_is() -> None:
    for window_ms in (10.0, 0.3, 0.7):
        stats = ns.measure(trains(), active_when=ns.ActiveWhen(window_ms=window_ms))
        assert stats.active_when == ns.ActiveWhen(window_ms=window_ms)


@given(st.floats(0.02, 0.2), st.floats(0.1, 50.0))
def test_a_window_is_within_a_hundredth_or_refused(dt_ms: float, window_ms: float) -> None:
    spikes = trains(dt_ms=dt_ms, duration_ms=2000 * dt_ms)
    nearest = round(window_ms / dt_ms)
    if abs(nearest * dt_ms - window_ms) <= 0.0099 * window_ms and nearest <= 2000:
        assert spikes.window_ticks(window_ms) == nearest
    elif abs(nearest * dt_ms - window_ms) > max(0.0101 * window_ms, 2e-3 * dt_ms):
        with pytest.raises(ValueError, match=r"^window_ms must (be a whole|lie in)"):
            spikes.window_ticks(window_ms)
