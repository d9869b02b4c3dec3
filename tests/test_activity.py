"""Spike trains and records of activations: what they keep, what they refuse."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from drawn import spike_trains
from hypothesis import given
from hypothesis import strategies as st

from neurosparse.activity import Activations, ActiveWhen, SpikeTrains, in_order
from neurosparse.kernels import spike_order
from neurosparse.sparsity import (
    activity_curve,
    describe_activations,
    describe_spikes,
    observe,
    spike_counts,
)

HOUR_MS = 3_600_000.0


def trains(times_ms: Any, units: Any, **options: Any) -> SpikeTrains:
    return SpikeTrains(times_ms, units, **{"n_units": 3, "duration_ms": 10.0, **options})


# ---- What active means
# --------------------------------------------------------------------------------------------------


def test_active_when_needs_exactly_one_definition() -> None:
    for options in ({}, {"window_ms": 1.0, "threshold": 0.0}):
        with pytest.raises(ValueError, match="exactly one of window_ms"):
            ActiveWhen(**options)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"window_ms": 0}, ValueError, r"^window_ms must be > 0, got 0$"),
        ({"window_ms": float("nan")}, ValueError, r"^window_ms must be finite, got nan$"),
        ({"window_ms": True}, TypeError, r"^window_ms must be a number, got True$"),
        ({"threshold": -0.1}, ValueError, r"^threshold must be >= 0, got -0\.1$"),
        ({"threshold": "0"}, TypeError, r"^threshold must be a number, got '0'$"),
        ({"threshold": 0, "axis": 1.0}, TypeError, r"^axis must be a whole number, got 1\.0$"),
    ],
)
def test_active_when_refuses(options: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        ActiveWhen(**options)


# ---- Times on a grid
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dt_ms", [0.1, 0.05, 0.025, 1 / 3, 1.0, 0.7])
def test_multiples_of_dt_are_found_through_hours(dt_ms: float) -> None:
    ticks = np.unique(np.random.default_rng(0).integers(0, round(5 * HOUR_MS / dt_ms), 20_000))
    duration = int(ticks[-1]) + 1
    for times in (ticks * dt_ms, np.array([float(k) * dt_ms for k in ticks]), ticks / (1 / dt_ms)):
        spikes = SpikeTrains(
            times, np.zeros(len(times), int), n_units=1, duration_ms=duration * dt_ms, dt_ms=dt_ms
        )
        assert np.array_equal(spikes.ticks, ticks)
        assert spikes.duration_ticks == duration


def test_times_summed_step_by_step_are_still_on_the_grid() -> None:
    times = np.cumsum(np.full(100_000, 0.1))  # 10 s; the sum drifts away from k * 0.1
    assert times[-1] != 100_000 * 0.1
    spikes = SpikeTrains(times, np.zeros(100_000, int), n_units=1, duration_ms=10_001.0, dt_ms=0.1)
    assert np.array_equal(spikes.ticks, np.arange(1, 100_001))


@given(spike_trains(dt_ms=0.1, most_ticks=60), st.integers(1, 60))
def test_no_spike_is_lost_or_doubled_at_edges_of_windows(spikes: SpikeTrains, window: int) -> None:
    window = min(window, spikes.duration_ticks)
    counts = spike_counts(spikes, window * 0.1)
    whole = spikes.ticks < counts.shape[0] * window
    assert counts.sum() == whole.sum()
    assert (
        counts.sum(axis=0).tolist()
        == np.bincount(spikes.units[whole], minlength=spikes.n_units).tolist()
    )


@pytest.mark.parametrize("dt_ms", [0.1, None])
def test_a_spike_on_an_edge_belongs_to_the_window_that_begins_there(dt_ms: float | None) -> None:
    times = np.arange(0, 3600) * 0.1  # in floats, 0.1 * 3 lies above 0.3 and 0.1 * 6 too, 0.7 below
    spikes = SpikeTrains(times, np.zeros(3600, int), n_units=1, duration_ms=360.0, dt_ms=dt_ms)
    for window_ms in (0.1, 0.3, 0.6, 0.7, 1.2):
        per_window = spike_counts(spikes, window_ms)[:, 0]
        assert set(per_window.tolist()) == {round(window_ms / 0.1)}


def test_an_hour_without_a_grid() -> None:
    times = np.sort(np.random.default_rng(1).uniform(0, HOUR_MS, 5_000))
    spikes = SpikeTrains(times, np.arange(5_000) % 3, n_units=3, duration_ms=HOUR_MS)
    assert spikes.duration_ticks == 3_600_000_000_000
    assert np.abs(spikes.ticks * 1e-6 - times).max() <= 0.51e-6
    counts = spike_counts(spikes, 1000.0)
    assert counts.shape == (3600, 3)
    for unit in range(3):
        expected = np.bincount((times[spikes.units == unit] // 1000).astype(int), minlength=3600)
        assert counts[:, unit].tolist() == expected.tolist()


def test_the_last_half_nanosecond_belongs_to_the_record() -> None:
    assert trains([9.99999999], [0]).ticks.tolist() == [9_999_999]
    with pytest.raises(
        ValueError, match=r"^times_ms must lie in \[0, duration_ms=10\), got 10 to 10$"
    ):
        trains([10.0], [0])


@pytest.mark.parametrize("units_dtype", [np.int8, np.int32, np.uint16, np.uint64])
def test_small_integers_do_not_overflow(units_dtype: type) -> None:
    n = 100
    units = np.arange(n, dtype=units_dtype)
    spikes = SpikeTrains(np.full(n, 3599.9), units, n_units=n, duration_ms=3600.0, dt_ms=0.1)
    counts = spike_counts(spikes, 0.1)  # keys up to 3.6e6, far beyond int8 and uint16
    assert counts[-1].tolist() == [1] * n
    assert counts.sum() == n
    assert spikes.units.dtype == np.int64


# ---- Order, copies, frozenness
# --------------------------------------------------------------------------------------------------


@given(spike_trains(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(spikes: SpikeTrains, random: Any) -> None:
    order = list(range(len(spikes)))
    random.shuffle(order)
    shuffled = SpikeTrains(
        spikes.times_ms[order],
        spikes.units[order],
        n_units=spikes.n_units,
        duration_ms=spikes.duration_ms,
        dt_ms=0.5,
    )
    assert shuffled == spikes
    assert (np.diff(shuffled.ticks) >= 0).all()


@given(
    st.lists(st.tuples(st.integers(0, 12), st.floats(-4e-7, 4e-7), st.integers(0, 2)), max_size=40),
    st.booleans(),
    st.booleans(),
)
def test_spikes_keep_their_times_whatever_order_they_come_in(
    drawn: list[tuple[int, float, int]], in_time: bool, is_split: bool
) -> None:
    """Many share a nanosecond, some of them a time; the order is by nanosecond and by unit."""
    drawn = [(t, max(t * 1e-6 + d, 0.0), u) for t, d, u in drawn if not is_split or t != 6]
    drawn = sorted(drawn, key=lambda each: each[1]) if in_time else drawn
    _, times, units = zip(*drawn, strict=True) if drawn else ((), (), ())
    halves = [(0, 6e-6), (7e-6, 1.3e-5)] if is_split else None
    record = trains(times, units, duration_ms=1.3e-5, intervals=halves)
    found = list(zip(record.times_ms.tolist(), record.units.tolist(), strict=True))
    assert sorted(found) == sorted((time, unit) for _, time, unit in drawn)
    keys = list(zip(record.ticks.tolist(), record.units.tolist(), strict=True))
    assert keys == sorted(keys)
    for tick, time in zip(record.ticks, record.times_ms, strict=True):
        assert abs(tick - time * 1e6) <= 1


spikes_in_any_order = st.tuples(st.integers(0, 53), st.integers(0, 2**32)).map(
    lambda drawn: _shuffled(2 ** drawn[0], drawn[1])
)


def _shuffled(n_ticks: int, seed: int) -> tuple[Any, Any, Any]:
    """Return times, ticks and units of up to 200 spikes; of some shared ticks, the times differ."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 200))
    known = rng.integers(0, n_ticks, rng.integers(1, n + 1))
    ticks = rng.choice(known, n) + rng.integers(0, 2**20)
    return rng.random(n), ticks, rng.integers(0, 5, n)


@given(spikes_in_any_order, st.booleans())
def test_the_compiled_order_is_numpys(drawn: tuple[Any, Any, Any], is_read_only: bool) -> None:
    times, ticks, units = drawn
    units.setflags(write=not is_read_only)
    order = np.argsort(ticks, kind="stable")
    expected = times[order], ticks[order], units[order]
    for found, wanted in zip(
        spike_order.by_tick(times, ticks.copy(), units), expected, strict=True
    ):
        assert found.dtype == wanted.dtype
        assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("how", ["compiled", "plain", "without numba"])
@given(drawn=spikes_in_any_order)
def test_spikes_are_in_the_order_of_lexsort(how: str, drawn: tuple[Any, Any, Any]) -> None:
    times, ticks, units = drawn
    order = np.lexsort((units, ticks))
    expected = times[order], ticks[order], units[order]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_order, "_MANY", 10**9 if how == "plain" else 0)
        if how == "without numba":
            for module in ("neurosparse.kernels.spike_order", "neurosparse.kernels.compiled"):
                patch.delitem(sys.modules, module)
            patch.setitem(sys.modules, "numba", None)
        found = in_order.in_order(times, ticks.copy(), units, 5)
    for each, wanted in zip(found, expected, strict=True):
        assert each.tobytes() == wanted.tobytes()


def test_nothing_is_shared_with_the_caller() -> None:
    times, units, populations = np.array([1.0, 2.0]), np.array([0, 1]), {"E": (0, 2)}
    spikes = trains(times, units, populations=populations)
    times[:], units[:] = 5.0, 2
    populations["E"] = (0, 3)
    assert times.flags.writeable
    assert units.flags.writeable
    assert (spikes.times_ms.tolist(), spikes.units.tolist()) == ([1.0, 2.0], [0, 1])
    assert spikes.populations == {"E": (0, 2)}
    unsorted = np.array([2.0, 1.0])
    trains(unsorted, [0, 1])
    assert unsorted.tolist() == [2.0, 1.0]


def test_records_cannot_be_written() -> None:
    spikes = trains([1.0, 2.0], [0, 1])
    stats = describe_spikes(spikes, ActiveWhen(window_ms=5.0))
    record = observe([[0.0, 1.0]], ActiveWhen(threshold=0))
    arrays = [
        spikes.times_ms,
        spikes.units,
        spikes.ticks,
        record.active_count,
        record.magnitude_sum,
        record.square_sum,
    ]
    arrays += [
        record.population_sums,
        stats.unit_active_fraction,
        stats.unit_rates_hz,
        stats.curve.gaps_ticks,
    ]
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    for thing, name in ((spikes, "n_units"), (record, "n_samples"), (stats, "active_fraction")):
        with pytest.raises(AttributeError, match="cannot assign"):
            setattr(thing, name, 1)


def test_records_compare_by_value() -> None:
    assert trains([1.0], [0]) == trains([1.0], [0])
    assert trains([1.0], [0]) != trains([1.0], [1])
    assert trains([1.0], [0]) != trains([1.0], [0], n_units=4)
    assert trains([1.0], [0]) != "spikes"
    one = observe([[1.0]], ActiveWhen(threshold=0))  # width 1: NaN among its sums
    assert one == observe([[1.0]], ActiveWhen(threshold=0))
    assert one != observe([[2.0]], ActiveWhen(threshold=0))
    stats = [describe_spikes(trains([t], [0]), ActiveWhen(window_ms=5.0)) for t in (1.0, 1.0, 2.0)]
    assert stats[0] == stats[1] != stats[2]
    assert stats[0].curve == stats[1].curve != stats[2].curve


def test_records_travel_between_processes() -> None:
    spikes = trains([1.0, 2.0], [0, 1], populations={"E": (0, 2)})
    stats = describe_spikes(spikes, ActiveWhen(window_ms=5.0))
    for thing in (spikes, stats, observe([[0.0, 1.0]], ActiveWhen(threshold=0))):
        assert pickle.loads(pickle.dumps(thing)) == thing  # noqa: S301
        assert copy.deepcopy(thing) == thing


# ---- Refusals
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "units", "options", "error", "sentence"),
    [
        ([np.nan], [0], {}, ValueError, r"^times_ms must be finite, got nan at index 0 \(1 such values\)$"),
        ([1.0, np.inf], [0, 0], {}, ValueError, r"^times_ms must be finite, got inf at index 1"),
        ([-1.0], [0], {}, ValueError, r"^times_ms must lie in \[0, duration_ms=10\), got -1 to -1$"),
        ([10.0], [0], {"dt_ms": 0.5}, ValueError, r"^times_ms must lie in \[0, duration_ms=10\), got 10 to 10$"),
        ([1e300], [0], {}, ValueError, r"^times_ms must be below .*2\^53 ticks"),
        ([1.3], [0], {"dt_ms": 0.5}, ValueError, r"^times_ms must be a whole multiple of dt_ms=0\.5, got .*1\.3.*leave dt_ms out"),
        ([True], [0], {}, TypeError, r"^times_ms must be numbers, got \[True\] of dtype bool$"),
        (["1"], [0], {}, TypeError, r"^times_ms must be numbers, got \['1'\]"),
        ([1.0], [3], {}, ValueError, r"^units must lie in \[0, n_units=3\), got 3 to 3$"),
        ([1.0], [-1], {}, ValueError, r"^units must lie in \[0, n_units=3\), got -1 to -1$"),
        ([1.0], [0.0], {}, TypeError, r"^units must be integers, got dtype float64$"),
        ([1.0], [True], {}, TypeError, r"^units must be integers, got dtype bool$"),
        ([1.0, 2.0], [0], {}, ValueError, r"^times_ms and units must be 1-D and of one length, got shapes \(2,\) and \(1,\)$"),
        ([[1.0]], [[0]], {}, ValueError, r"^times_ms and units must be 1-D"),
        ([], [], {"n_units": 0}, ValueError, r"^n_units must be >= 1, got 0$"),
        ([], [], {"n_units": 2.0}, TypeError, r"^n_units must be a whole number, got 2\.0$"),
        ([], [], {"duration_ms": -1}, ValueError, r"^duration_ms must be > 0, got -1$"),
        ([], [], {"duration_ms": np.inf}, ValueError, r"^duration_ms must be finite, got inf$"),
        ([], [], {"duration_ms": 1e300}, ValueError, r"^duration_ms must be below .*2\^53 ticks"),
        ([], [], {"duration_ms": 1e-9}, ValueError, r"^duration_ms must be at least a tick of 1e-06 ms, got 1e-09$"),
        ([], [], {"duration_ms": 10.25, "dt_ms": 0.5}, ValueError, r"^duration_ms must be a whole multiple of dt_ms=0\.5"),
        ([], [], {"dt_ms": 0.0}, ValueError, r"^dt_ms must be > 0, got 0\.0$"),
        ([], [], {"n_units": 10**10, "duration_ms": HOUR_MS}, ValueError, r"^10,000,000,000 units times .* give the grid .* dt_ms"),
        ([], [], {"populations": {"E": (0, 4)}}, ValueError, r"^population 'E' must lie in \[0, n_units=3\], got 0 to 4$"),
        ([], [], {"populations": {"E": (2, 2)}}, ValueError, r"^population 'E' must lie in"),
        ([], [], {"populations": {"E": 3}}, ValueError, r"^population 'E' must be \(first unit, one past the last\).*got 3$"),
        ([], [], {"populations": {"E": (-1, 2)}}, ValueError, r"^population 'E' must be .*got \(-1, 2\)$"),
        ([], [], {"populations": {"E": (0, 1.5)}}, ValueError, r"^population 'E' must be .*got \(0, 1\.5\)$"),
    ],
)  # fmt: skip
def test_spike_trains_refuse(
    times: Any, units: Any, options: Any, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence) as caught:
        trains(times, units, **options)
    assert "\n" not in str(caught.value)


def test_windows_refused() -> None:
    spikes = trains([1.0], [0], dt_ms=0.5)
    for window_ms, sentence in (
        (10.5, r"^window_ms must lie in \[0\.5, duration_ms=10\], got 10\.5$"),
        (0.3, r"^window_ms must be a whole multiple of dt_ms=0\.5"),
        (0.0, r"^window_ms must be > 0, got 0\.0$"),
        (float("nan"), r"^window_ms must be finite, got nan$"),
        (1e300, r"^window_ms must be below"),
    ):
        with pytest.raises(ValueError, match=sentence):
            spikes.window_ticks(window_ms)


# ---- Parts
# --------------------------------------------------------------------------------------------------


def cuts_of(end: int) -> st.SearchStrategy[list[int]]:
    """0, up to three places between, `end`."""
    return st.sets(st.integers(1, max(1, end - 1)), max_size=3).map(
        lambda inner: sorted({0, end} | (inner - {end}))
    )


@given(spike_trains(), st.data())
def test_a_cut_record_keeps_every_spike(spikes: SpikeTrains, data: st.DataObject) -> None:
    end = spikes.duration_ticks
    cuts = data.draw(cuts_of(end))
    parts = [spikes.between(a * 0.5, b * 0.5) for a, b in itertools.pairwise(cuts)]
    assert sum(len(part) for part in parts) == len(spikes)
    assert sum(part.duration_ticks for part in parts) == end
    assert (
        np.concatenate([part.ticks + a for part, a in zip(parts, cuts[:-1], strict=True)]).tolist()
        == spikes.ticks.tolist()
    )


def test_a_cut_keeps_edges_half_open_and_populations() -> None:
    spikes = trains([1.0, 2.0, 3.0], [0, 1, 2], populations={"E": (0, 2)})
    part = spikes.between(1.0, 3.0)
    assert (part.times_ms.tolist(), part.units.tolist(), part.duration_ms) == (
        [0.0, 1.0],
        [0, 1],
        2.0,
    )
    assert part.populations == {"E": (0, 2)}
    for start, stop in ((3.0, 1.0), (0.0, 11.0), (-1.0, 5.0), (2.0, 2.0)):
        with pytest.raises(
            ValueError, match=r"^start_ms and stop_ms must enclose a part of \[0, 10\], got "
        ):
            spikes.between(start, stop)


@given(spike_trains(most_units=6), st.data())
def test_populations_that_tile_the_units_keep_every_spike(
    spikes: SpikeTrains, data: st.DataObject
) -> None:
    n = spikes.n_units
    cuts = data.draw(cuts_of(n))
    named = {f"p{a}": (a, b) for a, b in itertools.pairwise(cuts)}
    spikes = SpikeTrains(
        spikes.times_ms,
        spikes.units,
        n_units=n,
        duration_ms=spikes.duration_ms,
        dt_ms=0.5,
        populations=named,
    )
    parts = [spikes.population(name) for name in named]
    assert np.concatenate([part.counts for part in parts]).tolist() == spikes.counts.tolist()
    assert sum(part.n_units for part in parts) == n


def test_an_unknown_population_is_named() -> None:
    with pytest.raises(ValueError, match=r"^no population 'I'; there are: E$"):
        trains([], [], populations={"E": (0, 1)}).population("I")
    with pytest.raises(ValueError, match=r"^no population 'I'; there are: none$"):
        trains([], []).population("I")


@given(spike_trains(dt_ms=0.1))
def test_seconds_and_milliseconds_are_alike(spikes: SpikeTrains) -> None:
    same = SpikeTrains.from_seconds(
        spikes.times_ms / 1e3,
        spikes.units,
        n_units=spikes.n_units,
        duration_s=spikes.duration_ms / 1e3,
        dt_s=1e-4,
    )
    assert np.array_equal(same.ticks, spikes.ticks)
    assert np.array_equal(same.units, spikes.units)
    assert activity_curve(same)(0.1) == activity_curve(spikes)(0.1)


# ---- Records of activations
# --------------------------------------------------------------------------------------------------

THRESHOLD = ActiveWhen(threshold=0.5)
batches = st.lists(
    st.lists(st.sampled_from([0.0, -0.0, 0.25, -0.5, 0.75, -1.5, 3.0]), min_size=4, max_size=4),
    min_size=1,
    max_size=6,
)


def assert_same_record(a: Activations, b: Activations) -> None:
    assert (a.n_samples, a.n_repeats, a.n_population) == (b.n_samples, b.n_repeats, b.n_population)
    assert a.active_count.tolist() == b.active_count.tolist()
    assert sorted(a.runs.T.tolist()) == sorted(b.runs.T.tolist())
    for name in ("magnitude_sum", "square_sum", "population_sums"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-12, atol=1e-12)


@given(batches, batches, batches)
def test_records_add_up_in_any_grouping_and_order(a: Any, b: Any, c: Any) -> None:
    x, y, z = (observe(batch, THRESHOLD) for batch in (a, b, c))
    assert_same_record((x + y) + z, x + (y + z))
    assert_same_record(x + y, y + x)
    assert_same_record(x + y + z, observe(a + b + c, THRESHOLD))


def test_one_at_a_time_is_as_good_as_all_at_once() -> None:
    values = np.maximum(np.random.default_rng(3).normal(size=(200, 37)), 0)
    whole = observe(values, THRESHOLD)
    stream = observe(values[:1], THRESHOLD)
    for row in values[1:]:
        stream += observe(row[None], THRESHOLD)
    assert_same_record(stream, whole)
    a, b = describe_activations(stream), describe_activations(whole)
    assert a.active_fraction == b.active_fraction
    assert a.interval == b.interval
    assert a.population.gini == pytest.approx(b.population.gini, rel=1e-12)
    assert a.lifetime.treves_rolls == pytest.approx(b.lifetime.treves_rolls, rel=1e-12)


def test_only_like_records_add_up() -> None:
    a = observe([[1.0, 2.0]], THRESHOLD, "a")
    for other in (
        observe([[1.0, 2.0]], THRESHOLD, "b"),
        observe([[1.0]], THRESHOLD, "a"),
        observe([[1.0, 2.0]], ActiveWhen(threshold=0), "a"),
    ):
        with pytest.raises(
            ValueError,
            match=r"^only records of one layer, definition and width add up, got 'a' \(2 units",
        ):
            a + other
    with pytest.raises(TypeError):
        a + 1


def test_a_record_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"^the counts and sums of 'x' must be of one shape"):
        Activations(
            "x",
            THRESHOLD,
            1,
            [1, 2],
            [1.0],
            [1.0],
            1,
            np.zeros((3, 0)),
            np.zeros(4),
            0,
            0,
            0,
            [],
            np.zeros((0, 1)),
        )
    with pytest.raises(ValueError, match=r"^n_samples must be >= 1, got 0$"):
        Activations(
            "x",
            THRESHOLD,
            0,
            [1],
            [1.0],
            [1.0],
            1,
            np.zeros((3, 0)),
            np.zeros(4),
            0,
            0,
            0,
            [],
            np.zeros((0, 1)),
        )
    record = observe([[1.0]], THRESHOLD)
    with pytest.raises(ValueError, match=r"^runs must be of shape \(3, n_runs\), got \(2, 1\)$"):
        replace(record, runs=record.runs[:2])


@pytest.mark.parametrize(
    ("values", "options", "error", "sentence"),
    [
        (
            [[np.nan]],
            {},
            ValueError,
            r"^activations of 'relu1' must be finite, got nan at index 0, 0",
        ),
        ([[-np.inf]], {}, ValueError, r"^activations of 'relu1' must be finite, got -inf"),
        (
            np.zeros((0, 3)),
            {},
            ValueError,
            r"^activations of 'relu1' are empty, shape \(0, 3\): nothing to measure$",
        ),
        (np.zeros((3, 0)), {}, ValueError, r"^activations of 'relu1' are empty"),
        ([[True]], {}, TypeError, r"^activations of 'relu1' must be numbers, got"),
        (
            [[1.0]],
            {"axis": 2},
            ValueError,
            r"^axis 2 does not exist in activations of shape \(1, 1\)$",
        ),
        ([[1e200]], {}, ValueError, r"^activations of 'relu1' must be below 1e\+70, got 1e\+200"),
    ],
)
def test_observe_refuses(values: Any, options: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        observe(values, ActiveWhen(threshold=0, **options), "relu1")


def test_the_wrong_definition_is_named() -> None:
    with pytest.raises(
        ValueError, match=r"^activations need a threshold: pass ActiveWhen\(threshold=\.\.\.\)"
    ):
        observe([[1.0]], ActiveWhen(window_ms=1.0))
    with pytest.raises(
        ValueError, match=r"^spikes need a window: pass ActiveWhen\(window_ms=\.\.\.\)"
    ):
        describe_spikes(trains([1.0], [0]), ActiveWhen(threshold=0))


def test_inputs_are_not_changed() -> None:
    values = np.array([[-1.0, 0.0], [2.0, -3.0]])
    observe(values, THRESHOLD)
    assert values.tolist() == [[-1.0, 0.0], [2.0, -3.0]]
    assert values.flags.writeable


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_any_axis_may_hold_the_units(axis: int) -> None:
    values = np.random.default_rng(0).normal(size=(3, 4, 5))
    record = observe(values, ActiveWhen(threshold=0.5, axis=axis))
    others = tuple(i for i in range(3) if i != axis % 3)
    assert record.active_count.tolist() == (np.abs(values) > 0.5).sum(axis=others).tolist()
    np.testing.assert_allclose(record.magnitude_sum, np.abs(values).sum(axis=others))
    assert record.n_samples == 60 // values.shape[axis]
    assert record.n_repeats == values.shape[others[0]]


def test_statistics_are_plain_json() -> None:
    spikes = describe_spikes(
        trains([1.0, 2.0], [0, 1]), ActiveWhen(window_ms=5.0), provenance={"seed": 1}
    )
    layer = describe_activations(observe([[0.0, 1.0]], THRESHOLD))
    for stats in (spikes, layer):
        assert json.loads(json.dumps(stats.to_dict(), allow_nan=False)) == stats.to_dict()
    assert spikes.to_dict()["definition"] == "at least one spike in 5 ms"
    assert spikes.to_dict()["provenance"] == {"seed": 1}
    assert (spikes.n_silent, spikes.n_alive) == (1, 2)


def test_silent_inputs_are_not_kept() -> None:
    values = np.zeros((150, 3))
    values[::3, 0] = np.arange(1, 51)
    record = observe(values, ActiveWhen(threshold=0))
    assert sorted(record.sample[:, 0].tolist()) == list(range(1, 51))


def test_a_magnitude_whose_fourth_power_overflows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be below 1e\+70, got 2e\+70: too large to square"):
        observe([[1.0, -2e70]], ActiveWhen(threshold=0))
