"""The curve of active fraction over window, against a count of every position in whole numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from drawn import spike_trains
from hypothesis import given
from hypothesis import strategies as st

from neurosparse.activity import ActiveWhen, SpikeTrains
from neurosparse.sparsity import active_fraction, activity_curve, describe_spikes


def counted(spikes: SpikeTrains, window: int) -> Fraction:
    """Active (unit, position) pairs over all of them, position by position."""
    fired = [
        [(spikes.ticks[spikes.units == u] == t).any() for t in range(spikes.duration_ticks)]
        for u in range(spikes.n_units)
    ]
    positions = spikes.duration_ticks - window + 1
    return Fraction(
        sum(any(row[s : s + window]) for row in fired for s in range(positions)),
        spikes.n_units * positions,
    )


def exact(fraction: Fraction) -> float:
    return fraction.numerator / fraction.denominator


@given(spike_trains(most_units=4, most_ticks=14))
def test_the_curve_counts_every_position(spikes: SpikeTrains) -> None:
    curve = activity_curve(spikes)
    for window in range(1, spikes.duration_ticks + 1):
        assert curve(window * 0.5) == exact(counted(spikes, window))


@given(spike_trains(most_units=4, most_ticks=14), st.data())
def test_statistics_agree_with_the_curve(spikes: SpikeTrains, data: st.DataObject) -> None:
    window_ms = data.draw(st.integers(1, spikes.duration_ticks)) * 0.5
    stats = describe_spikes(spikes, ActiveWhen(window_ms=window_ms))
    assert stats.active_fraction == active_fraction(spikes, window_ms) == stats.curve(window_ms)
    window = round(window_ms / 0.5)
    for unit, fraction in enumerate(stats.unit_active_fraction):
        alone = SpikeTrains(
            times := spikes.times_ms[spikes.units == unit],
            np.zeros(times.size, int),
            n_units=1,
            duration_ms=spikes.duration_ms,
            dt_ms=0.5,
        )
        assert fraction == exact(counted(alone, window))
    assert stats.n_samples == spikes.duration_ticks - window + 1


@given(spike_trains(most_ticks=200), st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_the_curve_never_falls(spikes: SpikeTrains, shares: list[float]) -> None:
    windows = 0.5 + np.sort(shares) * (spikes.duration_ms - 0.5)
    curve = activity_curve(spikes)
    assert (np.diff(curve(windows)) >= -1e-15).all()
    assert (np.diff(curve(np.arange(1, spikes.duration_ticks + 1) * 0.5)) >= 0).all()
    assert ((curve(windows) >= 0) & (curve(windows) <= 1)).all()


@given(spike_trains(most_units=4, most_ticks=30), st.permutations(range(4)), st.data())
def test_units_may_be_renamed_and_time_reversed(
    spikes: SpikeTrains, names: list[int], data: st.DataObject
) -> None:
    window_ms = data.draw(st.integers(1, spikes.duration_ticks)) * 0.5
    rename = np.array([name for name in names if name < spikes.n_units])
    renamed = SpikeTrains(
        spikes.times_ms,
        rename[spikes.units],
        n_units=spikes.n_units,
        duration_ms=spikes.duration_ms,
        dt_ms=0.5,
    )
    reversed_ = SpikeTrains(
        spikes.duration_ms - 0.5 - spikes.times_ms, spikes.units, n_units=spikes.n_units, duration_ms=spikes.duration_ms, dt_ms=0.5
    )  # fmt: skip
    assert activity_curve(renamed) == activity_curve(spikes) == activity_curve(reversed_)
    assert active_fraction(renamed, window_ms) == active_fraction(reversed_, window_ms)


@given(spike_trains(most_units=4, most_ticks=14, least_spikes=1), st.fractions(0, 1))
def test_the_inverse_is_the_shortest_window(spikes: SpikeTrains, fraction: Fraction) -> None:
    if fraction == 0:
        fraction = Fraction(1, 7)
    at = {w: counted(spikes, w) for w in range(1, spikes.duration_ticks + 1)}
    window_ms = activity_curve(spikes).window_ms(exact(fraction))
    reached = [w for w, value in at.items() if exact(value) >= exact(fraction)]
    if not reached:
        assert window_ms is None
        return
    high = reached[0]
    below = at.get(high - 1, Fraction(0))
    expected = 0.5 * (high - 1 + (fraction - below) / (at[high] - below))
    assert window_ms == pytest.approx(float(expected), rel=1e-12)


@given(spike_trains(most_ticks=60, least_spikes=1), st.floats(0.01, 1))
def test_the_inverse_leads_back(spikes: SpikeTrains, fraction: float) -> None:
    curve = activity_curve(spikes)
    window_ms = curve.window_ms(fraction)
    if window_ms is None:
        assert curve(spikes.duration_ms) < fraction
    elif window_ms >= 0.5:
        # within the tolerance of the grid
        assert curve(window_ms) == pytest.approx(fraction, abs=2e-3)
    else:
        assert fraction <= curve(0.5) * (1 + 1e-12)


@pytest.mark.parametrize("active", range(1, 11))
def test_a_fraction_of_whole_units_is_reached(active: int) -> None:
    # 1 - 9/10 is 0.09999999999999998 in floats: the window in which 0.1 of ten units fire must not
    # be lost to that
    spikes = SpikeTrains(
        np.full(active, 3.0), np.arange(active), n_units=10, duration_ms=8.0, dt_ms=1.0
    )
    assert active_fraction(spikes, 8.0) == active / 10
    # position by position: a lone spike at tick 3 of 8 lies in every window of 5 ticks or more
    assert activity_curve(spikes).window_ms(active / 10) == pytest.approx(5.0)


def test_a_poisson_train_follows_its_closed_form() -> None:
    rng = np.random.default_rng(5)
    n_units, ticks, rate_hz, dt_ms = 200, 50_000, 4.0, 0.1
    p = 1 - np.exp(-rate_hz * dt_ms * 1e-3)
    unit, tick = np.nonzero(rng.random((n_units, ticks), dtype=np.float32) < p)
    spikes = SpikeTrains(
        tick * dt_ms, unit, n_units=n_units, duration_ms=ticks * dt_ms, dt_ms=dt_ms
    )
    windows_ms = np.array([1.0, 5.0, 10.0, 50.0, 200.0])
    expected = 1 - np.exp(-rate_hz * windows_ms * 1e-3)
    # 4,000 spikes: about 1.6 % of sampling error
    np.testing.assert_allclose(activity_curve(spikes)(windows_ms), expected, rtol=0.05)


def test_a_clock_is_active_in_its_period() -> None:
    spikes = SpikeTrains(
        np.arange(100) * 10.0, np.zeros(100, int), n_units=1, duration_ms=1000.0, dt_ms=1.0
    )
    curve = activity_curve(spikes)
    assert curve(10.0) == 1.0
    assert curve(4.0) == exact(counted(spikes, 4))
    assert curve(4.0) == pytest.approx(0.4, abs=0.005)
    assert curve.window_ms(1.0) == 10.0


def test_silence_and_full_activity() -> None:
    silent = SpikeTrains([], [], n_units=3, duration_ms=5.0, dt_ms=0.5)
    assert activity_curve(silent)([0.5, 2.0, 5.0]).tolist() == [0.0, 0.0, 0.0]
    assert activity_curve(silent).window_ms(1e-9) is None
    full = SpikeTrains(
        np.tile(np.arange(10), 3) * 0.5,
        np.repeat(np.arange(3), 10),
        n_units=3,
        duration_ms=5.0,
        dt_ms=0.5,
    )
    assert activity_curve(full)([0.5, 2.0, 5.0]).tolist() == [1.0, 1.0, 1.0]
    assert activity_curve(full).window_ms(0.25) == 0.125  # continued to the origin below one tick


def test_a_record_of_one_tick() -> None:
    spikes = SpikeTrains([0.0], [1], n_units=2, duration_ms=0.1, dt_ms=0.1)
    assert active_fraction(spikes, 0.1) == 0.5
    assert activity_curve(spikes).window_ms(0.5) == pytest.approx(0.1)
    stats = describe_spikes(spikes, ActiveWhen(window_ms=0.1))
    assert (stats.n_samples, stats.n_silent, stats.mean_rate_hz) == (1, 1, pytest.approx(5000.0))


@pytest.mark.parametrize("shape", [(), (3,), (2, 2), (1, 0, 3)])
def test_windows_of_any_shape(shape: tuple[int, ...]) -> None:
    curve = activity_curve(SpikeTrains([1.0], [0], n_units=1, duration_ms=9.0, dt_ms=1.0))
    if 0 in shape:
        with pytest.raises(ValueError, match="windows_ms must lie in"):
            curve(np.ones(shape))
    else:
        assert np.shape(curve(np.ones(shape))) == shape


def test_windows_between_ticks_are_interpolated() -> None:
    curve = activity_curve(SpikeTrains([1.0, 4.0], [0, 1], n_units=2, duration_ms=9.0, dt_ms=1.0))
    assert curve(2.5) == pytest.approx((curve(2.0) + curve(3.0)) / 2)
    assert curve(3 * (1 + 1e-12)) == curve(3.0)
    assert curve(3 * (1 - 1e-12)) == curve(3.0)


def test_an_hour_in_nanoseconds_has_the_curve_of_its_grid() -> None:
    rng = np.random.default_rng(2)
    ticks, units = np.sort(rng.integers(0, 36_000_000, 3_000)), rng.integers(0, 50, 3_000)
    options = {"n_units": 50, "duration_ms": 3_600_000.0}
    grid = activity_curve(SpikeTrains(ticks * 0.1, units, dt_ms=0.1, **options))
    free = activity_curve(SpikeTrains(ticks * 0.1, units, **options))
    windows_ms = [1.0, 100.0, 60_000.0, 3_600_000.0]
    # a tick of 0.1 ms at the ends is all that differs
    np.testing.assert_allclose(free(windows_ms), grid(windows_ms), rtol=1e-5)


@pytest.mark.parametrize(
    ("windows_ms", "sentence"),
    [
        ([0.4], r"^windows_ms must lie in \[0\.5, 5\], got \[0\.4\]$"),
        (5.5, r"^windows_ms must lie in \[0\.5, 5\], got 5\.5$"),
        ([], r"^windows_ms must lie in \[0\.5, 5\], got \[\]$"),
        ([np.nan], r"^windows_ms must be finite, got nan"),
        ([-1.0], r"^windows_ms must lie in"),
    ],
)
def test_windows_outside_the_record(windows_ms: object, sentence: str) -> None:
    curve = activity_curve(SpikeTrains([1.0], [0], n_units=1, duration_ms=5.0, dt_ms=0.5))
    with pytest.raises(ValueError, match=sentence):
        curve(windows_ms)


@pytest.mark.parametrize("fraction", [0, -0.1, 1.1, float("nan"), float("inf")])
def test_fractions_that_are_none(fraction: float) -> None:
    curve = activity_curve(SpikeTrains([1.0], [0], n_units=1, duration_ms=5.0, dt_ms=0.5))
    with pytest.raises(ValueError, match=r"^fraction must "):
        curve.window_ms(fraction)
