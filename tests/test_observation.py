"""Records in pieces: every measure against a count of each tick by hand."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import spike_trains, trials
from hypothesis import assume, given
from hypothesis import strategies as st

from neurosparse import energy, recordings
from neurosparse.activity import ActiveWhen, SpikeTrains
from neurosparse.sparsity import (
    active_fraction,
    activity_curve,
    count_correlation,
    describe_spikes,
    firing_rates_hz,
    isi_cv,
    spike_counts,
    synchrony,
    windows_over_time,
)


def fired(spikes: SpikeTrains) -> np.ndarray:
    """Spikes of each unit in each tick, shape (n_units, duration_ticks)."""
    table = np.zeros((spikes.n_units, spikes.duration_ticks), dtype=int)
    np.add.at(table, (spikes.units, spikes.ticks), 1)
    return table


def positions(spikes: SpikeTrains, window: int) -> list[int]:
    """Every place where a window lies within one interval."""
    return [s for start, stop in spikes.interval_ticks for s in range(start, stop - window + 1)]


def counted(spikes: SpikeTrains, window: int) -> Fraction:
    table, places = fired(spikes), positions(spikes, window)
    active = sum(int((table[:, s : s + window].sum(axis=1) > 0).sum()) for s in places)
    return Fraction(active, spikes.n_units * len(places))


def bins(spikes: SpikeTrains, width: int) -> np.ndarray:
    """Counts in consecutive windows that begin with each interval, shape (n_windows, n_units)."""
    table = fired(spikes)
    return np.array(
        [
            table[:, s : s + width].sum(axis=1)
            for start, stop in spikes.interval_ticks
            for s in range(start, stop - width + 1, width)
        ]
    )


def longest(spikes: SpikeTrains) -> int:
    return int(spikes.interval_lengths_ticks.max())


# ---- Measures
# --------------------------------------------------------------------------------------------------


@given(trials())
def test_the_curve_counts_every_position_within_intervals(spikes: SpikeTrains) -> None:
    curve = activity_curve(spikes)
    for window in range(1, longest(spikes) + 1):
        assert curve(window * 0.5) == pytest.approx(float(counted(spikes, window)), abs=1e-12)
        assert active_fraction(spikes, window * 0.5) == curve(window * 0.5)
    with pytest.raises(ValueError, match=r"^windows_ms must lie in"):
        curve((longest(spikes) + 1) * 0.5)


@given(trials(), st.data())
def test_statistics_of_a_record_in_pieces(spikes: SpikeTrains, data: st.DataObject) -> None:
    window = data.draw(st.integers(1, longest(spikes)))
    stats = describe_spikes(spikes, ActiveWhen(window_ms=window * 0.5))
    table, places = fired(spikes), positions(spikes, window)
    observed_ms = sum(stop - start for start, stop in spikes.interval_ticks) * 0.5
    assert stats.n_samples == len(places)
    assert stats.active_fraction == pytest.approx(float(counted(spikes, window)), abs=1e-12)
    by_hand = [np.mean([row[s : s + window].any() for s in places]) for row in table]
    np.testing.assert_allclose(stats.unit_active_fraction, by_hand, atol=1e-12)
    assert stats.duration_ms == spikes.observed_ms == observed_ms
    np.testing.assert_allclose(stats.unit_rates_hz, table.sum(axis=1) / observed_ms * 1e3)
    assert spike_counts(spikes, window * 0.5).tolist() == bins(spikes, window).tolist()
    if stats.interval.is_known:
        assert stats.interval.low <= stats.active_fraction <= stats.interval.high


@given(trials(), st.floats(0.01, 1))
def test_the_inverse_is_the_shortest_window_that_holds_a_fraction(
    spikes: SpikeTrains, fraction: float
) -> None:
    at = [float(counted(spikes, w)) for w in range(1, longest(spikes) + 1)]
    found = activity_curve(spikes).window_ms(fraction)
    reached = [w for w, value in enumerate(at, 1) if value >= fraction]
    if not reached:
        assert found is None
        return
    assert found is not None
    high = reached[0]
    below = at[high - 2] if high > 1 else 0.0
    expected = (high - 1 + (fraction - below) / (at[high - 1] - below)) * 0.5
    assert found == pytest.approx(expected, rel=1e-9)


def test_the_curve_may_fall_where_a_short_interval_drops_out() -> None:
    # a trial of 2 ms that fires throughout, one of 20 ms in silence
    spikes = SpikeTrains(
        [0, 1], [0, 0], n_units=1, duration_ms=30, dt_ms=1, intervals=[(0, 2), (5, 25)]
    )
    curve = activity_curve(spikes)
    assert curve(1.0) == 2 / 22
    assert curve(2.0) == 1 / 20
    assert curve(3.0) == 0
    assert curve.window_ms(0.06) == pytest.approx(0.06 / (2 / 22))
    assert curve.window_ms(0.5) is None


@given(trials(most_ticks=60))
def test_no_inter_spike_interval_spans_a_gap(spikes: SpikeTrains) -> None:
    found = isi_cv(spikes, min_intervals=2)
    for unit in range(spikes.n_units):
        ticks = spikes.ticks[spikes.units == unit]
        isi = np.concatenate(
            [np.diff(ticks[(ticks >= a) & (ticks < b)]) for a, b in spikes.interval_ticks]
        )
        if isi.size < 2 or isi.mean() == 0:
            assert np.isnan(found[unit])
        else:
            assert found[unit] == pytest.approx(isi.std() / isi.mean(), abs=1e-9)


@given(trials(most_ticks=60), st.integers(1, 6))
def test_counts_in_bins_stay_within_intervals(spikes: SpikeTrains, width: int) -> None:
    assume(width <= longest(spikes))
    counts = bins(spikes, width)
    assume(len(counts) >= 2)
    total = counts.sum(axis=1)
    if total.any():
        expected = total.var(ddof=1) / total.mean()
        assert synchrony(spikes, width * 0.5) == pytest.approx(expected, abs=1e-9)
    varying = counts[:, counts.std(axis=0) > 0]
    if varying.shape[1] >= 2:
        matrix = np.corrcoef(varying.T)
        expected = matrix[~np.eye(len(matrix), dtype=bool)].mean()
        assert count_correlation(spikes, width * 0.5) == pytest.approx(expected, abs=1e-9)


@given(trials(), st.data())
def test_a_part_of_a_record_in_pieces(spikes: SpikeTrains, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, spikes.duration_ticks - 1))
    stop = data.draw(st.integers(start + 1, spikes.duration_ticks))
    observed = np.zeros(spikes.duration_ticks, dtype=bool)
    for a, b in spikes.interval_ticks:
        observed[a:b] = True
    if not observed[start:stop].any():
        with pytest.raises(ValueError, match=r"^nothing was observed between"):
            spikes.between(start * 0.5, stop * 0.5)
        return
    part = spikes.between(start * 0.5, stop * 0.5)
    assert fired(part).tolist() == fired(spikes)[:, start:stop].tolist()
    assert part.observed_ticks == observed[start:stop].sum()
    assert part.start_ms == start * 0.5


@given(trials(most_ticks=60), st.integers(1, 4))
def test_stretches_are_observed_for_equally_long(spikes: SpikeTrains, n: int) -> None:
    assume(spikes.observed_ticks >= n)
    rows = windows_over_time(spikes, [0.5], n)
    ticks = np.concatenate([np.arange(a, b) for a, b in spikes.interval_ticks])
    edges = [spikes.observed_ticks * k // n for k in range(n + 1)]
    for row, (a, b) in zip(rows, itertools.pairwise(edges), strict=True):
        part = spikes.between(ticks[a] * 0.5, (ticks[b - 1] + 1) * 0.5)
        assert part.observed_ticks == b - a
        expected = activity_curve(part).window_ms(0.5)
        assert row.tolist() == [np.nan if expected is None else expected] or (
            expected is None and np.isnan(row).all()
        )


def test_ten_trials_average_to_the_mean_of_each() -> None:
    rng = np.random.default_rng(0)
    starts = np.arange(10) * 200.0
    times = np.concatenate([rng.integers(0, 1000, 30) * 0.1 + start for start in starts])
    units = rng.integers(0, 4, times.size)
    bounds = [(start, start + 100) for start in starts]
    whole = SpikeTrains(times, units, n_units=4, duration_ms=2000, dt_ms=0.1, intervals=bounds)
    when = ActiveWhen(window_ms=10)
    each = [describe_spikes(whole.between(a, b), when) for a, b in bounds]
    stats = describe_spikes(whole, when)
    assert stats.active_fraction == pytest.approx(np.mean([s.active_fraction for s in each]))
    np.testing.assert_allclose(firing_rates_hz(whole), np.mean([s.unit_rates_hz for s in each], 0))
    # trials are what is independent here, none of which is cut
    assert stats.interval.method == "Wilson, effective sample size from 40 stretches of the record"
    assert energy.energy_use(whole, "attwell2001").mean_rate_hz == pytest.approx(stats.mean_rate_hz)


def test_trials_that_touch_are_kept_apart() -> None:
    times, units = [4.0, 5.0], [0, 0]
    apart = SpikeTrains(
        times, units, n_units=1, duration_ms=10, dt_ms=1, intervals=[(5, 10), (0, 5)]
    )
    joined = SpikeTrains(times, units, n_units=1, duration_ms=10, dt_ms=1)
    assert apart.intervals.tolist() == [[0, 5], [5, 10]]
    assert active_fraction(apart, 5.0) == 1.0
    assert describe_spikes(apart, ActiveWhen(window_ms=5.0)).n_samples == 2
    assert describe_spikes(joined, ActiveWhen(window_ms=5.0)).n_samples == 6
    assert apart != joined


@given(spike_trains())
def test_one_interval_over_all_is_the_whole_record(spikes: SpikeTrains) -> None:
    same = SpikeTrains(
        spikes.times_ms,
        spikes.units,
        n_units=spikes.n_units,
        duration_ms=spikes.duration_ms,
        dt_ms=0.5,
        intervals=[(0, spikes.duration_ms)],
    )
    assert same == spikes
    assert same.observed_ms == spikes.duration_ms


# ---- Refusals
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("intervals", "sentence"),
    [
        ([], r"^intervals must be \(start, stop\) pairs in ms, shape \(n_intervals, 2\), got shape \(0,\)$"),
        ([1, 2], r"^intervals must be \(start, stop\) pairs .* got shape \(2,\)$"),
        ([(0, 5, 6)], r"^intervals must be \(start, stop\) pairs"),
        ([(5, 5)], r"^intervals must start before they stop, got 5 to 5 ms$"),
        ([(6, 2)], r"^intervals must start before they stop, got 6 to 2 ms$"),
        ([(-1, 5)], r"^intervals must lie in \[0, duration_ms=10\], got -1 to 5 ms$"),
        ([(0, 5), (6, 10.5)], r"^intervals must lie in \[0, duration_ms=10\], got 6 to 10\.5 ms$"),
        ([(4, 9), (0, 5)], r"^intervals must not overlap, got 0 to 5 ms and 4 to 9 ms: merge them"),
        ([(0, np.nan)], r"^intervals must be finite, got nan"),
        ([(0, 5.3)], r"^intervals must be a whole multiple of dt_ms=0\.5"),
        ([(0, 4), (5, 9)], r"^1 of 2 spikes lie outside the intervals of observation, the first at 4\.5 ms: leave"),
        ([(0.5, 9)], r"^1 of 2 spikes lie outside the intervals of observation, the first at 0 ms"),
    ],
)  # fmt: skip
def test_intervals_refused(intervals: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        SpikeTrains([0.0, 4.5], [0, 0], n_units=1, duration_ms=10, dt_ms=0.5, intervals=intervals)


def test_edges_that_differ_by_a_rounding_touch() -> None:
    options: Any = {"n_units": 1, "duration_s": 0.3, "intervals_s": [(0, 0.1), (0.1, 0.1 + 0.2)]}
    spikes = SpikeTrains.from_seconds([0.05], [0], **options)
    assert spikes.intervals.tolist() == [[0, 100], [100, 300]]
    edges = [(0, 0.3 + 4e-16), (0.3, 1)]
    assert SpikeTrains([], [], n_units=1, duration_ms=1, intervals=edges).intervals[0, 1] == 0.3
    with pytest.raises(ValueError, match="overlap"):
        SpikeTrains([], [], n_units=1, duration_ms=1, intervals=[(0, 0.30001), (0.3, 1)])


def test_a_window_longer_than_any_interval_is_refused() -> None:
    spikes = SpikeTrains(
        [1.0], [0], n_units=1, duration_ms=10, dt_ms=0.5, intervals=[(0, 4), (6, 9)]
    )
    with pytest.raises(
        ValueError, match=r"^window_ms must lie in \[0\.5, longest interval=4\], got 5$"
    ):
        describe_spikes(spikes, ActiveWhen(window_ms=5))


def test_the_last_half_nanosecond_of_an_interval_belongs_to_it() -> None:
    options = {"n_units": 1, "duration_ms": 10, "intervals": [(0, 4), (6, 9)]}
    assert SpikeTrains([3.9999999999], [0], **options).ticks.tolist() == [3_999_999]
    with pytest.raises(ValueError, match="outside the intervals"):
        SpikeTrains([4.0], [0], **options)


# ---- Files and figures
# --------------------------------------------------------------------------------------------------


@given(trials())
def test_archives_keep_intervals(tmp_path_factory: Any, spikes: SpikeTrains) -> None:
    path = tmp_path_factory.mktemp("npz") / "spikes.npz"
    assert recordings.load_spikes(recordings.save_spikes(spikes, path)) == spikes


def test_archives_keep_where_a_record_starts(tmp_path: Path) -> None:
    spikes = SpikeTrains.from_seconds(
        [0.001], [0], n_units=1, duration_s=1.0, intervals_s=[(0, 0.25), (0.5, 1)], start_s=3600.0
    )
    again = recordings.load_spikes(recordings.save_spikes(spikes, tmp_path / "spikes.npz"))
    assert (again.start_ms, again.intervals.tolist()) == (3.6e6, [[0, 250], [500, 1000]])


def test_nwb_files_state_intervals(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    spikes = SpikeTrains(
        [1.0, 70.0], [0, 1], n_units=2, duration_ms=100, dt_ms=1,
        intervals=[(0, 40), (60, 100)], start_ms=5000,
    )  # fmt: skip
    with h5py.File(recordings.save_spikes(spikes, tmp_path / "spikes.nwb")) as file:
        stated = file["units/obs_intervals"][()], file["units/obs_intervals_index"][()]
        times = file["units/spike_times"][()]
    np.testing.assert_allclose(stated[0], [(5, 5.04), (5.06, 5.1)] * 2)
    assert stated[1].tolist() == [2, 4]
    np.testing.assert_allclose(times, [5.001, 5.07])


def test_a_raster_shows_gaps() -> None:
    from neurosparse import plots

    spikes = SpikeTrains([1.0], [0], n_units=1, duration_ms=100, intervals=[(0, 40), (60, 90)])
    ax = plots.raster(spikes)
    gaps = [patch.get_extents() for patch in ax.patches]
    edges = [ax.transData.inverted().transform(box)[:, 0].tolist() for box in gaps]
    np.testing.assert_allclose(edges, [(40, 60), (90, 100)])
