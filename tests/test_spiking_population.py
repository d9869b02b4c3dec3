"""The cortical population against its mean field, and against what cortex is like."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from neurosparse import recipes
from neurosparse.meanfield import solve
from neurosparse.spiking.population import (
    PopulationSpec,
    load_population,
    mean_field,
    simulate_population,
)


@pytest.fixture(scope="module")
def spec():
    return load_population()


@pytest.fixture(scope="module")
def spikes(spec):
    return simulate_population(spec, duration_ms=5000.0, seed=1)


@pytest.fixture(scope="module")
def rates(spikes):
    return {name: spikes.population(name).counts / (spikes.duration_ms * 1e-3) for name in "EI"}


def test_it_is_what_the_recipe_says(spec, spikes):
    assert spikes.populations == {"E": (0, 4000), "I": (4000, 5000)}
    assert spikes.duration_ms == 5000.0
    assert spikes.dt_ms == spec.dt_ms
    assert len(spikes) > 50_000


@pytest.mark.parametrize(("name", "low_hz", "high_hz"), [("E", 1.0, 4.0), ("I", 5.0, 10.0)])
def test_rates_are_low_and_near_mean_field(spec, rates, name, low_hz, high_hz):
    theory = solve(mean_field(spec), start_hz=3.0)
    k = "EI".index(name)
    assert low_hz < rates[name].mean() < high_hz
    # Mean field takes inputs for white and Gaussian and cells for Poisson; and excitation and
    # inhibition nearly cancel, so that what little differs counts: over eight seeds 1.81 +- 0.16 Hz
    # against 1.96 (E), 5.71 +- 0.03 Hz against 5.84 (I)
    assert_allclose(rates[name].mean(), theory.mean_hz[k], rtol=0.15)
    noise = rates[name].mean() / 5.0  # the variance that counting over 5 s adds
    assert_allclose(np.sqrt(rates[name].var() - noise), np.sqrt(theory.variance_hz2[k]), rtol=0.15)


@pytest.mark.parametrize("name", ["E", "I"])
def test_rates_are_close_to_log_normal(rates, name):
    log = np.log(rates[name][rates[name] > 0])
    assert stats.skew(rates[name]) > 1.0
    assert abs(stats.skew(log)) < 0.5 * stats.skew(rates[name])
    assert 0.7 < log.std() < 1.5


def test_firing_is_irregular_and_asynchronous(spikes):
    for name in "EI":
        trains = spikes.population(name)
        order = np.lexsort((trains.ticks, trains.units))
        intervals, same = np.diff(trains.times_ms[order]), np.diff(trains.units[order]) == 0
        cvs = [
            intervals[same & (trains.units[order][1:] == unit)].std()
            / intervals[same & (trains.units[order][1:] == unit)].mean()
            for unit in np.flatnonzero(trains.counts >= 20)[:200]
        ]
        assert 0.7 < np.mean(cvs) < 1.1
        in_1_ms = np.histogram(trains.times_ms, np.arange(0, 5001))[0]
        # 1 where all are independent; volleys would give hundreds
        assert in_1_ms.var() / in_1_ms.mean() < 3


def test_a_seed_decides_everything(spec):
    one, again, other = (
        simulate_population(spec, duration_ms=20.0, seed=seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(one.ticks, again.ticks)
    assert np.array_equal(one.units, again.units)
    assert len(one) != len(other) or not np.array_equal(one.units, other.units)


def test_the_warm_up_is_not_recorded(spec, spikes):
    counts = np.histogram(spikes.times_ms, np.linspace(0, 5000, 26))[0]
    assert 0.7 < counts[0] / counts[1:].mean() < 1.4


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"excitatory.cell.tau_m_ms": -5.0}, "tau_m_ms.*greater than 0"),
        ({"excitatory.cell.v_threshold_mV": -80.0}, "v_threshold_mV must be > v_reset_mV=-60"),
        ({"excitatory.size": 0}, "excitatory.size"),
        ({"delay_ms": 0.05}, "delay_ms must be >= dt_ms=0.1, got 0.05"),
        ({"inhibitory.input_noise_mV": float("nan")}, "input_noise_mV"),
        ({"weight_inhibitory_mV": 0.5}, "weight_inhibitory_mV"),
        ({"weight": 1.0}, "unknown key 'weight'"),
    ],
)
def test_populations_that_cannot_be_are_refused(overrides, message):
    with pytest.raises(ValueError, match=message):
        load_population(**overrides)


@pytest.mark.parametrize(
    ("duration_ms", "message"),
    [(-5.0, "duration_ms must be > 0"), (0.25, "whole multiple of dt_ms")],
)
def test_durations_that_cannot_be_are_refused(spec, duration_ms, message):
    with pytest.raises(ValueError, match=message):
        simulate_population(spec, duration_ms=duration_ms, seed=1)


def test_another_kind_of_recipe_is_refused():
    with pytest.raises(ValueError, match="is of kind 'lif', not 'population'"):
        load_population("lif_cortical")
    assert recipes.load("cortical_population").spec(PopulationSpec) == load_population()
