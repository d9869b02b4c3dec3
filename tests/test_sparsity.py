"""Measures of sparsity against closed forms, naive formulas and Elephant."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import astuple
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import quantities as pq
from drawn import spike_trains
from elephant import conversion, spike_train_correlation, statistics
from hypothesis import given
from hypothesis import strategies as st
from neo import SpikeTrain

from neurosparse.activity import ActiveWhen, Sparseness, SpikeTrains
from neurosparse.activity.activations import MOST_RUNS
from neurosparse.sparsity import (
    count_correlation,
    describe_activations,
    describe_spikes,
    describe_windows,
    firing_rates_hz,
    gini,
    hoyer,
    isi_cv,
    observe,
    spike_counts,
    synchrony,
    treves_rolls,
    vinje_gallant,
)

GOLDEN = json.loads((Path(__file__).parent / "golden" / "core.json").read_text(encoding="utf-8"))
# from within Elephant
pytestmark = pytest.mark.filterwarnings("ignore:The 'copy' argument in Quantity")
MEASURES = (treves_rolls, vinje_gallant, hoyer, gini)
rates = st.lists(st.one_of(st.just(0.0), st.floats(1e-3, 1e3)), min_size=2, max_size=12).filter(any)


def random_train(seed: int, n_units: int = 12) -> SpikeTrains:
    """Log-normal rates, units without a spike among them, on a grid of 0.1 ms."""
    rng = np.random.default_rng(seed)
    probability = np.append(rng.lognormal(-6, 1, n_units - 2), [0.0, 0.0])
    units, ticks = np.nonzero(rng.random((n_units, 20_000)) < probability[:, None])
    return SpikeTrains(ticks * 0.1, units, n_units=n_units, duration_ms=2000.0, dt_ms=0.1)


def as_neo(spikes: SpikeTrains) -> list[SpikeTrain]:
    stop = spikes.duration_ms * pq.ms
    return [
        SpikeTrain(spikes.times_ms[spikes.units == u] * pq.ms, t_stop=stop)
        for u in range(spikes.n_units)
    ]


# ---- Elephant
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_rates_and_intervals_are_those_of_elephant(seed: int) -> None:
    spikes = random_train(seed)
    trains = as_neo(spikes)
    expected = [float(statistics.mean_firing_rate(train).rescale("Hz")) for train in trains]
    np.testing.assert_allclose(firing_rates_hz(spikes), expected, rtol=1e-12)
    cvs = isi_cv(spikes)
    for unit, train in enumerate(trains):
        if len(train) < 6:
            assert np.isnan(cvs[unit])
        else:
            assert cvs[unit] == pytest.approx(float(statistics.cv(statistics.isi(train))), rel=1e-9)
    assert np.isfinite(cvs).any()
    assert np.isnan(cvs).any()


@pytest.mark.parametrize("window_ms", [1.0, 10.0, 50.0])
def test_binned_counts_are_those_of_elephant(window_ms: float) -> None:
    spikes = random_train(7)
    trains = as_neo(spikes)
    binned = conversion.BinnedSpikeTrain(trains, bin_size=window_ms * pq.ms)
    counts = spike_counts(spikes, window_ms)
    assert counts.T.tolist() == binned.to_array().tolist()
    histogram = statistics.time_histogram(trains, window_ms * pq.ms, output="counts")
    assert counts.sum(axis=1).tolist() == histogram.magnitude[:, 0].astype(int).tolist()


@pytest.mark.parametrize("bin_ms", [2.0, 8.0, 50.0])
def test_correlation_is_the_mean_of_elephants_matrix(bin_ms: float) -> None:
    spikes = random_train(5)
    trains = [train for train in as_neo(spikes) if len(train)]
    binned = conversion.BinnedSpikeTrain(trains, bin_size=bin_ms * pq.ms)
    matrix = spike_train_correlation.correlation_coefficient(binned)
    expected = matrix[np.triu_indices(len(trains), 1)].mean()
    assert count_correlation(spikes, bin_ms) == pytest.approx(expected, abs=1e-12)


# ---- Correlation
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bin_ms", [1.0, 2.0, 10.0])
def test_units_that_share_a_poisson_source_have_its_share_of_the_variance_in_common(
    bin_ms: float,
) -> None:
    own_hz, shared_hz, n_units, n_ticks = 6.0, 4.0, 30, 400_000  # ticks of 1 ms
    rng = np.random.default_rng(1)
    own = rng.poisson(own_hz * 1e-3, (n_units, n_ticks))
    counts = own + rng.poisson(shared_hz * 1e-3, n_ticks)
    units, ticks = np.nonzero(counts)
    number = counts[units, ticks]
    spikes = SpikeTrains(
        np.repeat(ticks, number) * 1.0,
        np.repeat(units, number),
        n_units=n_units + 5,
        duration_ms=float(n_ticks),
        dt_ms=1.0,
    )
    assert count_correlation(spikes, bin_ms) == pytest.approx(
        shared_hz / (own_hz + shared_hz), rel=0.03
    )


def test_independent_units_are_not_correlated(poisson: Callable[..., SpikeTrains]) -> None:
    found = [
        count_correlation(poisson(s, n_units=400, duration_ms=4000, rate_hz=5.0), 2.0)
        for s in range(8)
    ]
    # Var(sum z) / n is 1 +- sqrt(2 / bins)
    assert abs(np.mean(found)) < 4 * np.sqrt(2 / 2000) / 400 / np.sqrt(8)


@given(spike_trains(most_units=4))
def test_correlation_is_that_of_the_matrix_or_refused(spikes: SpikeTrains) -> None:
    width = min(1.0, spikes.duration_ms)
    counts = spike_counts(spikes, width)
    varying = counts[:, counts.std(axis=0) > 0]
    if len(counts) < 2 or varying.shape[1] < 2:
        with pytest.raises(ValueError, match=r"at least twice|correlation needs two units"):
            count_correlation(spikes, width)
        return
    matrix = np.corrcoef(varying, rowvar=False)
    assert count_correlation(spikes, width) == pytest.approx(
        matrix[np.triu_indices(len(matrix), 1)].mean(), abs=1e-9
    )


# ---- Vectors: closed forms
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "active"), [(1000, 20), (10, 1), (10, 10), (7, 3)])
@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e300, 5e-324])
def test_a_binary_code(n: int, active: int, scale: float) -> None:
    code = np.zeros(n)
    code[:active] = scale
    p = active / n
    assert treves_rolls(code) == pytest.approx(p, rel=1e-12)
    assert vinje_gallant(code) == pytest.approx((1 - p) / (1 - 1 / n), rel=1e-12)
    assert hoyer(code) == pytest.approx((1 - p**0.5) / (1 - n**-0.5), rel=1e-12)
    assert gini(code) == pytest.approx(1 - p, rel=1e-12)


@pytest.mark.parametrize("n", [2, 3, 10, 999])
def test_uniform_and_one_hot_are_the_ends(n: int) -> None:
    assert [float(measure(np.full(n, 0.1))) for measure in MEASURES] == pytest.approx(
        [1.0, 0.0, 0.0, 0.0], abs=1e-12
    )
    assert [float(measure(np.eye(n)[0] * 0.1)) for measure in MEASURES] == pytest.approx(
        [1 / n, 1.0, 1.0, 1 - 1 / n]
    )


def test_exponential_rates() -> None:
    # quantiles of an exponential distribution: <r>^2 / <r^2> = 1/2, Gini = 1/2
    quantiles = -np.log1p(-(np.arange(200_000) + 0.5) / 200_000)
    assert treves_rolls(quantiles) == pytest.approx(0.5, abs=1e-4)
    assert gini(quantiles) == pytest.approx(0.5, abs=1e-4)


def test_one_unit() -> None:
    assert treves_rolls([3.0]) == 1.0
    assert gini([3.0]) == 0.0
    for measure in (vinje_gallant, hoyer):
        with pytest.raises(
            ValueError, match=r"^this measure needs at least 2 values along axis -1, got 1$"
        ):
            measure([3.0])


# ---- Vectors: naive formulas and properties
# --------------------------------------------------------------------------------------------------


@given(rates)
def test_measures_are_their_formulas(r: list[float]) -> None:
    n, x = len(r), [Fraction(value) for value in r]
    a = (sum(x) / n) ** 2 / (sum(v * v for v in x) / n)
    # Gini as a mean difference, no ranks
    differences = sum(abs(v - w) for v in x for w in x) / (2 * n * sum(x))
    assert treves_rolls(r) == pytest.approx(float(a), rel=1e-12)
    assert vinje_gallant(r) == pytest.approx(float((1 - a) / (1 - Fraction(1, n))), abs=1e-12)
    norm = float(sum(v * v for v in x)) ** 0.5
    assert hoyer(r) == pytest.approx((n**0.5 - float(sum(x)) / norm) / (n**0.5 - 1), abs=1e-12)
    assert gini(r) == pytest.approx(float(differences), abs=1e-12)


@given(rates, st.randoms(use_true_random=False), st.sampled_from([1e-200, 0.1, 3.0, 1e200]))
def test_bounds_order_and_scale(r: list[float], random: Any, scale: float) -> None:
    n = len(r)
    bounds = {
        treves_rolls: (1 / n, 1.0),
        vinje_gallant: (0.0, 1.0),
        hoyer: (0.0, 1.0),
        gini: (0.0, 1 - 1 / n),
    }
    shuffled = random.sample(r, n)
    for measure, (low, high) in bounds.items():
        value = measure(r)
        assert low <= value <= high
        assert measure(shuffled) == pytest.approx(value, abs=1e-12)
        assert measure(np.array(r) * scale) == pytest.approx(value, abs=1e-12)


@given(rates)
def test_silent_units_make_a_code_sparser(r: list[float]) -> None:
    assert gini([*r, 0.0]) >= gini(r) - 1e-12
    assert treves_rolls([*r, 0.0]) <= treves_rolls(r) + 1e-12


def test_axes() -> None:
    r = np.random.default_rng(0).exponential(size=(3, 4, 5))
    for measure in MEASURES:
        for axis in (0, 1, 2, -1):
            expected = np.apply_along_axis(lambda v, m=measure: m(v), axis, r)
            np.testing.assert_allclose(measure(r, axis=axis), expected, rtol=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.filterwarnings("error")
def test_a_silent_row_is_nan_and_spoils_no_other(measure: Any) -> None:
    rows = np.array([[3.0, 0, 0, 3], [0, 0, 0, 0], [1, 1, 1, 1]])
    expected = [float(measure(rows[0])), np.nan, float(measure(rows[2]))]
    np.testing.assert_array_equal(measure(rows, axis=1), expected)
    np.testing.assert_array_equal(measure(rows.T, axis=0), expected)
    assert np.isnan(measure(np.zeros((2, 3)))).all()
    cube = np.stack([rows, rows[::-1]])
    np.testing.assert_array_equal(measure(cube), [expected, expected[::-1]])


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("r", "error", "sentence"),
    [
        ([], ValueError, "rates is empty, shape"),
        ([0.0, 0.0], ValueError, "^rates are all zero along the axis: silence has no sparseness$"),
        ([1.0, -1.0], ValueError, r"^rates must be >= 0, got -1\.0; pass magnitudes"),
        ([1.0, np.nan], ValueError, r"^rates must be finite, got nan at index 1"),
        ([np.inf, 1.0], ValueError, r"^rates must be finite, got inf at index 0"),
        ([True, False], TypeError, "^rates must be numbers, got"),
        (1.0, ValueError, r"^axis -1 does not exist in rates of shape \(\)$"),
    ],
)
def test_measures_refuse(
    measure: Callable[..., Any], r: Any, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        measure(r)


# ---- Spikes
# --------------------------------------------------------------------------------------------------


@given(spike_trains(most_units=4, most_ticks=25), st.integers(1, 25))
def test_counts_are_counted(spikes: SpikeTrains, window: int) -> None:
    window = min(window, spikes.duration_ticks)
    n_windows = spikes.duration_ticks // window
    expected = np.zeros((n_windows, spikes.n_units), int)
    for tick, unit in zip(spikes.ticks, spikes.units, strict=True):
        if tick // window < n_windows:
            expected[tick // window, unit] += 1
    assert spike_counts(spikes, window * 0.5).tolist() == expected.tolist()


@given(spike_trains(most_units=4, most_ticks=25), st.integers(1, 25))
def test_grouped_sparseness_is_the_mean_over_dense_vectors(
    spikes: SpikeTrains, window: int
) -> None:
    window_ms = min(window, spikes.duration_ticks) * 0.5
    stats = describe_spikes(spikes, ActiveWhen(window_ms=window_ms))
    counts = spike_counts(spikes, window_ms)
    for sparseness, vectors in ((stats.population, counts), (stats.lifetime, counts.T)):
        assert astuple(sparseness) == pytest.approx(astuple(dense_mean(vectors)), abs=1e-12)


def dense_mean(vectors: np.ndarray) -> Sparseness:
    active = vectors[vectors.any(axis=1)]
    if not active.size:
        return Sparseness(None, None, None, None, 0)
    lone = active.shape[1] == 1
    means = [
        None if lone and m in (vinje_gallant, hoyer) else float(m(active).mean()) for m in MEASURES
    ]
    return Sparseness(*means, len(active))


def test_both_ways_to_sort_the_groups_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    spikes = random_train(4)
    fast = describe_spikes(spikes, ActiveWhen(window_ms=20.0))
    monkeypatch.setattr("neurosparse.sparsity.spikes._INT64", 1)  # as if the keys did not fit
    assert describe_spikes(spikes, ActiveWhen(window_ms=20.0)) == fast


def test_clocks_and_poisson_trains_have_known_intervals() -> None:
    clock = SpikeTrains(
        np.arange(50) * 2.0, np.zeros(50, int), n_units=2, duration_ms=100.0, dt_ms=0.1
    )
    assert isi_cv(clock)[0] == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(isi_cv(clock)[1])
    times = np.cumsum(np.random.default_rng(0).exponential(10.0, 20_000))
    poisson = SpikeTrains(times, np.zeros(20_000, int), n_units=1, duration_ms=float(times[-1]) + 1)
    assert isi_cv(poisson)[0] == pytest.approx(1.0, abs=0.03)
    together = SpikeTrains(np.full(9, 3.0), np.zeros(9, int), n_units=1, duration_ms=9.0)
    assert np.isnan(isi_cv(together)[0])  # no time between the spikes: no CV


@given(spike_trains(least_spikes=1), st.integers(1, 40))
def test_statistics_add_up(spikes: SpikeTrains, window: int) -> None:
    stats = describe_spikes(spikes, ActiveWhen(window_ms=min(window, spikes.duration_ticks) * 0.5))
    assert stats.n_spikes == len(spikes) == spikes.counts.sum()
    assert stats.mean_rate_hz == pytest.approx(
        len(spikes) / spikes.n_units / (spikes.duration_ms * 1e-3)
    )
    assert stats.n_silent == (spikes.counts == 0).sum() == (stats.unit_active_fraction == 0).sum()
    assert stats.unit_active_fraction.mean() == pytest.approx(stats.active_fraction, abs=1e-12)
    if stats.interval.is_known:
        assert 0 <= stats.interval.low <= stats.active_fraction <= stats.interval.high <= 1


def test_several_windows_are_each_as_one() -> None:
    spikes, windows_ms = random_train(2), [0.1, 1.0, 33.3, 2000.0]
    together = describe_windows(spikes, windows_ms, name="x", provenance={"seed": 2})
    apart = [
        describe_spikes(spikes, ActiveWhen(window_ms=w), name="x", provenance={"seed": 2})
        for w in windows_ms
    ]
    assert together == apart
    with pytest.raises(ValueError, match=r"^window_ms must lie in"):
        describe_windows(spikes, [1.0, 3000.0])


def test_silence_is_counted_but_has_no_sparseness() -> None:
    stats = describe_spikes(
        SpikeTrains([], [], n_units=4, duration_ms=9.0), ActiveWhen(window_ms=3.0)
    )
    assert (stats.active_fraction, stats.mean_rate_hz, stats.n_silent, stats.n_alive) == (
        0.0,
        0.0,
        4,
        0,
    )
    assert stats.isi_cv is None
    assert stats.population == stats.lifetime == Sparseness(None, None, None, None, 0)
    assert not any(spike_counts(SpikeTrains([], [], n_units=4, duration_ms=9.0), 3.0).ravel())


# ---- Activations
# --------------------------------------------------------------------------------------------------


def test_a_layer_of_known_activations() -> None:
    values = np.array([[0.0, 2.0, 0.0, 0.0], [0.0, 2.0, -2.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    stats = describe_activations(observe(values, ActiveWhen(threshold=0), "relu1"))
    assert stats.active_fraction == 3 / 12
    assert stats.unit_active_fraction.tolist() == [0.0, 2 / 3, 1 / 3, 0.0]
    assert (stats.n_samples, stats.n_units, stats.n_silent, stats.n_alive) == (3, 4, 2, 2)
    assert stats.population.n_averaged == 2
    assert stats.population.treves_rolls == pytest.approx((1 / 4 + 1 / 2) / 2)
    assert stats.population.gini == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert stats.lifetime.n_averaged == 2
    assert stats.lifetime.treves_rolls == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert stats.lifetime.gini is None
    assert stats.mean_magnitude == pytest.approx(6 / 12)


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(2, 8))
def test_population_and_lifetime_are_those_of_the_tensor(
    seed: int, n_samples: int, width: int
) -> None:
    values = np.round(np.maximum(np.random.default_rng(seed).normal(size=(n_samples, width)), 0), 1)
    stats = describe_activations(observe(values, ActiveWhen(threshold=0)))
    assert astuple(stats.population) == pytest.approx(astuple(dense_mean(values)), abs=1e-12)
    lifetime = dense_mean(values.T)
    assert astuple(stats.lifetime)[:3] == pytest.approx(astuple(lifetime)[:3], abs=1e-12)
    assert stats.active_fraction == pytest.approx(np.count_nonzero(values) / values.size, abs=1e-15)


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e-30, 1e30, 1e70])
def test_any_scale_of_activations(scale: float) -> None:
    values = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]) * scale
    stats = describe_activations(observe(values, ActiveWhen(threshold=0)))
    assert stats.active_fraction == 0.5
    assert stats.population.treves_rolls == pytest.approx((1 / 3 + 2 / 3) / 2)
    if scale > 1e-150:
        assert stats.lifetime.treves_rolls == pytest.approx((1.0 + 0.5) / 2)
    else:  # squares vanish: lifetime sparseness is not had, rather than wrong
        assert stats.lifetime == Sparseness(None, None, None, None, 0)


def test_float32_and_integers_are_counted_alike() -> None:
    values = np.random.default_rng(0).integers(-3, 4, size=(20, 6))
    expected = observe(values, ActiveWhen(threshold=1))
    for dtype in (np.float16, np.float32, np.int8, np.int64):
        assert observe(values.astype(dtype), ActiveWhen(threshold=1)) == expected
    # a float32 keeps its own value: 0.1 in float32 lies above 0.1
    assert observe(np.float32([[0.1]]), ActiveWhen(threshold=0.1)).active_count.tolist() == [1]


def test_wide_layers_and_long_streams_do_not_overflow() -> None:
    record = observe(np.ones((2, 3)), ActiveWhen(threshold=0))
    for _ in range(62):  # 2^63 samples, whose squared counts exceed int64
        record = record + record if record.n_samples < 2**55 else record
    assert record.n_samples == 2**55
    assert record.runs.shape[1] <= MOST_RUNS
    assert record.runs.sum(axis=1).tolist() == [2**55, 3 * 2**55, 2**55]
    assert describe_activations(record).active_fraction == 1.0
    wide = observe(np.ones((1, 200_000)), ActiveWhen(threshold=0))
    assert wide.runs.tolist() == [[1], [200_000], [1]]


# ---- Golden values
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values(name: str) -> None:
    golden = GOLDEN[name]
    if name == "spikes":
        stats = describe_spikes(random_train(11), ActiveWhen(window_ms=10.0))
    else:
        values = np.maximum(np.random.default_rng(11).normal(-1, 1, size=(200, 50)), 0)
        stats = describe_activations(observe(values, ActiveWhen(threshold=0)))
    found, expected = flat(stats.to_dict()), flat(golden)
    assert found.pop("definition") == stats.active_when.describe()
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == (
            pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
        ), key


def flat(tree: dict[str, Any], name: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        leaves |= (
            flat(value, f"{name}{key}.") if isinstance(value, dict) else {f"{name}{key}": value}
        )
    return leaves


def test_rounding_does_not_lead_past_the_bounds() -> None:
    assert min(float(gini(np.ones(n))) for n in range(1, 100)) >= 0
    when = ActiveWhen(threshold=0)
    steady = [
        describe_activations(observe(np.full((n, 1), a), when))
        for n in range(2, 30)
        for a in (0.1, 0.3, 0.7)
    ]
    assert max(s.lifetime.treves_rolls for s in steady) == 1
    assert min(min(s.lifetime.vinje_gallant, s.lifetime.hoyer) for s in steady) == 0


def test_synchrony_of_two_bins() -> None:
    spikes = SpikeTrains([0.5, 1.5], [0, 1], n_units=2, duration_ms=6.0, dt_ms=0.5)
    assert synchrony(spikes, 3.0) == 2.0  # counts of 2 and 0: a variance of 2, a mean of 1
