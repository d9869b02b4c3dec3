"""The effective dimension: unbiased over rates and lengths, never above the number of units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawn import trials
from hypothesis import given

from neurosparse.activity import ActiveWhen, ActivityStats, SpikeTrains
from neurosparse.sparsity import describe_spikes, effective_dimension
from neurosparse.sparsity import dimension as estimator


def poisson(rates_hz: Any, seconds: float, seed: int) -> SpikeTrains:
    """Independent Poisson units, off any grid."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(np.asarray(rates_hz) * seconds)
    units = np.repeat(np.arange(counts.size), counts)
    times = rng.uniform(0, seconds * 1e3 * (1 - 1e-9), units.size)
    return SpikeTrains(times, units, n_units=counts.size, duration_ms=seconds * 1e3)


def described(spikes: SpikeTrains, window_ms: float = 10.0) -> ActivityStats:
    return describe_spikes(spikes, ActiveWhen(window_ms=window_ms))


def by_definition(samples: Any) -> float:
    """tr(C^2) and (tr C)^2 by sums over all pairs, triples and fours of different samples."""
    x = np.asarray(samples, dtype=float)
    n = len(x)
    g = x @ x.T
    of_square = square_of = 0.0
    for i in range(n):
        for j in range(n):
            for k in range(n):
                for m in range(n):
                    if len({i, j, k, m}) == 4:
                        # (x_i - x_j) . (x_k - x_m) squared, and |x_i - x_j|^2 |x_k - x_m|^2
                        across = g[i, k] - g[i, m] - g[j, k] + g[j, m]
                        of_square += across**2 / 4
                        left = g[i, i] - 2 * g[i, j] + g[j, j]
                        square_of += left * (g[k, k] - 2 * g[k, m] + g[m, m]) / 4
    return of_square / square_of


@pytest.mark.parametrize("shape", [(6, 3), (7, 12)])
def test_both_traces_are_means_over_four_different_samples(shape: tuple[int, int]) -> None:
    samples = np.random.default_rng(1).poisson(0.7, shape)
    inverse = by_definition(samples)
    expected = min(max(1 / inverse, 1), shape[1]) if inverse > 0 else None
    assert effective_dimension(samples) == pytest.approx(expected, rel=1e-10)
    rows, units = np.nonzero(samples)
    for most in (0, 100):  # from products of windows, and of units
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(estimator, "MOST_SIDE", most or max(shape[0], 1))
            found, _ = estimator.dimension_of_counts(
                rows, units, samples[rows, units], shape[0], shape[1]
            )
        assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("rate_hz", "seconds", "tolerance"),
    [(0.5, 60, 0.5), (5, 20, 0.5), (0.2, 300, 0.5), (30, 4, 1.0)],
)
def test_equal_independent_units_have_their_number(
    rate_hz: float, seconds: float, tolerance: float
) -> None:
    found = [described(poisson([rate_hz] * 50, seconds, seed)) for seed in range(8)]
    dimensions = [s.effective_dimension for s in found]
    assert np.mean(dimensions) == pytest.approx(50, abs=tolerance)
    assert max(dimensions) <= 50


@pytest.mark.parametrize("seconds", [10, 60, 300])
def test_unequal_rates_have_no_bias_in_short_records(seconds: float) -> None:
    rates = np.random.default_rng(0).lognormal(0.5, 0.8, 60)
    variances = rates * 0.01  # of Poisson counts in 10 ms
    expected = variances.sum() ** 2 / np.square(variances).sum()
    found = [described(poisson(rates, seconds, seed)) for seed in range(20)]
    error = np.std([s.effective_dimension for s in found]) / np.sqrt(len(found))
    assert np.mean([s.effective_dimension for s in found]) == pytest.approx(
        expected, abs=4 * error + 0.01 * expected
    )
    assert error < 0.03 * expected
    held = [
        s.effective_dimension_interval.low <= expected <= s.effective_dimension_interval.high
        for s in found
    ]
    assert np.mean(held) >= 0.8


@pytest.mark.parametrize("shape", [(), (4,), (1, 4, 4)])
def test_samples_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^samples must have shape \(n_samples, n_units\), got"):
        effective_dimension(np.ones(shape))


def test_units_that_fire_as_one_have_one_dimension() -> None:
    one = poisson([5.0], 60, 0)
    spikes = SpikeTrains(
        np.tile(one.times_ms, 20), np.repeat(np.arange(20), len(one)), n_units=20, duration_ms=6e4
    )
    assert described(spikes).effective_dimension == pytest.approx(1.0)


def test_all_windows_count() -> None:
    # two groups of units, each as one, that differ in the first half and agree in the second
    rng = np.random.default_rng(0)
    active = rng.random((2000, 2)) < 0.3
    active[1000:, 1] = active[1000:, 0]
    rows, groups = np.nonzero(active)
    spikes = SpikeTrains(rows + 0.0, groups, n_units=2, duration_ms=2000, dt_ms=1.0)
    covariance = np.cov(active.T.astype(float))
    expected = np.trace(covariance) ** 2 / np.square(covariance).sum()
    assert described(spikes, 1.0).effective_dimension == pytest.approx(expected, rel=0.02)


def test_many_units_are_thinned_evenly() -> None:
    spikes = poisson([2.0] * 3000, 60, 0)  # more units and windows than a matrix may have
    stats = described(spikes)
    assert stats.effective_dimension == pytest.approx(3000, rel=0.02)
    assert stats.effective_dimension_interval.low > 2500
    assert stats.effective_dimension_interval.high <= 3000


@given(trials())
def test_never_above_the_number_of_units(spikes: SpikeTrains) -> None:
    stats = described(spikes, 0.5)
    if stats.effective_dimension is not None:
        assert 1 <= stats.effective_dimension <= spikes.n_units
    if (interval := stats.effective_dimension_interval) is not None:
        assert 1 <= interval.low <= interval.high <= spikes.n_units


def test_what_does_not_vary_has_none() -> None:
    assert effective_dimension(np.ones((10, 3))) is None
    assert effective_dimension(np.zeros((10, 3))) is None
    assert effective_dimension(np.eye(3)) is None  # too few samples
    assert described(SpikeTrains([], [], n_units=2, duration_ms=100.0)).effective_dimension is None


def test_four_windows_are_the_fewest() -> None:
    spikes = SpikeTrains([0.0, 1.0, 1.0], [0, 0, 1], n_units=2, duration_ms=4.0, dt_ms=1.0)
    expected = 1 / by_definition([(1, 0), (1, 1), (0, 0), (0, 0)])
    assert described(spikes, 1.0).effective_dimension == pytest.approx(min(max(expected, 1), 2))
    assert described(spikes, 2.0).effective_dimension is None
