"""Self-consistent rates against the published ones, and against the equations they must solve."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neurosparse.lif import LIF, siegert_rate
from neurosparse.meanfield import OVERSHOOT, MeanField, brunel_rate, solve

BRUNEL = LIF(tau_m_ms=20.0, e_leak_mV=0.0, v_threshold_mV=20.0, v_reset_mV=10.0, t_ref_ms=2.0)


def network(**changes):
    values = {
        "cells": [BRUNEL, LIF(tau_m_ms=10.0, e_leak_mV=0.0, v_threshold_mV=20.0, v_reset_mV=10.0)],
        "in_degrees": np.array([[400.0, 100.0], [400.0, 100.0]]),
        "weights_mV": np.array([[0.1, -0.5], [0.1, -0.5]]),
        "input_mean_mV": np.array([17.0, 16.0]),
        "input_sigma_mV": np.array([3.5, 3.5]),
        "excitability_sd_mV": np.array([1.5, 1.0]),
    }
    return MeanField(**{**values, **changes})


@pytest.mark.parametrize(
    ("g", "external", "start_hz", "published_hz"),
    [
        (6.0, 4.0, 30.0, 55.84),
        (5.0, 2.0, 30.0, 37.95),
        (4.5, 0.9, 5.0, 6.52),
        (3.0, 2.0, 300.0, 327.0),
    ],
    ids=["B", "C", "D", "A"],
)
def test_brunels_regimes(g, external, start_hz, published_hz):
    assert_allclose(
        brunel_rate(g, external, cell=BRUNEL, start_hz=start_hz), published_hz, rtol=1e-3
    )


def test_the_solution_solves_its_equations():
    net = network(excitability_sd_mV=None)
    found = solve(net)
    for k, cell in enumerate(net.cells):
        tau_s = cell.tau_m_ms * 1e-3
        mean = (
            net.input_mean_mV[k]
            + tau_s * (net.in_degrees[k] * net.weights_mV[k] * found.mean_hz).sum()
        )
        variance = (
            net.input_sigma_mV[k] ** 2
            + tau_s * (net.in_degrees[k] * net.weights_mV[k] ** 2 * found.mean_hz).sum()
        )
        assert_allclose(siegert_rate(mean, np.sqrt(variance), cell), found.mean_hz[k], rtol=1e-8)
    assert_allclose(found.variance_hz2, 0, atol=1e-9)
    assert_allclose(found.log_sd, 0, atol=1e-6)


def test_without_connections_it_is_the_average_over_excitabilities():
    net = network(in_degrees=np.zeros((2, 2)))
    draws = 17.0 + 1.5 * np.random.default_rng(1).standard_normal(400_000)
    rates = siegert_rate(draws, 3.5, BRUNEL)
    found = solve(net)
    assert_allclose(found.mean_hz[0], rates.mean(), rtol=1e-2)
    assert_allclose(found.variance_hz2[0], rates.var(), rtol=2e-2)
    assert_allclose(found.log_sd[0], np.log(rates).std(), rtol=1e-2)
    assert_allclose(found.input_spread_mV, [1.5, 1.0])


def test_a_step_delays_the_crossing_of_the_threshold():
    alone = {"in_degrees": np.zeros((2, 2)), "excitability_sd_mV": None}
    late = OVERSHOOT * 3.5 * np.sqrt(0.1 / 20.0)
    expected = siegert_rate(17.0, 3.5, LIF(20.0, 100.0, 0.0, 20.0 + late, 10.0, 2.0))
    assert_allclose(solve(network(dt_ms=0.1, **alone)).mean_hz[0], expected, rtol=1e-9)
    assert solve(network(dt_ms=0.1, **alone)).mean_hz[0] < solve(network(**alone)).mean_hz[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"in_degrees": np.zeros((2, 3))},
            r"in_degrees must have shape \(2, 2\) for 2 populations, got \(2, 3\)",
        ),
        ({"input_mean_mV": np.array([np.nan, 1.0])}, "input_mean_mV must be finite, got nan"),
        ({"excitability_sd_mV": np.zeros(3)}, r"excitability_sd_mV must have shape \(2,\)"),
    ],
)
def test_networks_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        network(**changes)


def test_rates_that_do_not_settle_are_said_not_to():
    with pytest.raises(ValueError, match="do not settle"):
        solve(network(), steps=3)
