"""The closed forms of a LIF cell against integration of its equation, each other, and published
numbers.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.integrate import quad, solve_ivp
from scipy.special import erfcx

from neurosparse.lif import LIF, current, rate, siegert_rate, soft_rate

CELLS = [
    LIF(),
    LIF(tau_m_ms=36.3, v_threshold_mV=-56.3, v_reset_mV=-79.0, t_ref_ms=3.99),
    LIF(tau_m_ms=5.0, resistance_MOhm=40.0, e_leak_mV=-65.0, v_reset_mV=-58.0, t_ref_ms=0.0),
]
cells = st.builds(
    LIF,
    tau_m_ms=st.floats(1.0, 100.0),
    resistance_MOhm=st.floats(1.0, 500.0),
    e_leak_mV=st.floats(-90.0, -40.0),
    v_threshold_mV=st.floats(-60.0, -30.0),
    v_reset_mV=st.floats(-100.0, -61.0),
    t_ref_ms=st.floats(0.0, 10.0),
)


# ---- rate, current, soft_rate
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("excess", [0.01, 1.0, 30.0])
def test_the_rate_is_that_of_the_integrated_membrane(cell, excess):
    nA = cell.rheobase_nA + excess * (cell.v_threshold_mV - cell.v_reset_mV) / cell.resistance_MOhm

    def membrane(_, v):
        return (cell.e_leak_mV - v + cell.resistance_MOhm * nA) / cell.tau_m_ms

    def crosses(_, v):
        return v[0] - cell.v_threshold_mV

    crosses.terminal = True
    run = solve_ivp(
        membrane, (0, 50 * cell.tau_m_ms), [cell.v_reset_mV], events=crosses, rtol=1e-10, atol=1e-10
    )
    assert_allclose(rate(nA, cell), 1e3 / (cell.t_ref_ms + run.t_events[0][0]), rtol=1e-6)


@given(cells, st.floats(-1.0, 50.0))
def test_current_inverts_rate(cell, excess_mV):
    nA = cell.rheobase_nA + excess_mV / cell.resistance_MOhm
    f = rate(nA, cell)
    if excess_mV <= 0:
        assert f == 0 or excess_mV > -1e-9
    elif excess_mV > 1e-3:  # closer to the threshold a rate says nothing about the current
        assert_allclose(rate(current(f, cell), cell), f, rtol=1e-9)
    assert_allclose(current(0.0, cell), cell.rheobase_nA)


@given(cells, st.lists(st.floats(-5.0, 50.0), min_size=2, max_size=8))
def test_rates_rise_with_the_current_and_stay_below_the_refractory_limit(cell, currents):
    for f in (rate, soft_rate):
        rates = f(sorted(currents), cell)
        assert (np.diff(rates) >= 0).all()
        assert (rates >= 0).all()
        assert cell.t_ref_ms == 0 or (rates <= 1e3 / cell.t_ref_ms).all()


@pytest.mark.parametrize("cell", CELLS)
def test_the_soft_rate_tends_to_the_rate(cell):
    nA = cell.rheobase_nA + np.array([0.05, 0.3, 2.0])
    assert_allclose(soft_rate(nA, cell, smoothing=1e-3), rate(nA, cell), rtol=1e-3)
    below = [soft_rate(cell.rheobase_nA - 0.2, cell, smoothing=s) for s in (1e-2, 1e-3, 1e-4)]
    # falls as the smoothing itself
    assert_allclose(np.array(below[:-1]) / below[1:], 10.0, rtol=0.2)


def test_far_from_the_threshold_nothing_overflows():
    assert_allclose(rate([-np.inf, np.inf], LIF()), [0.0, 500.0])
    assert_allclose(soft_rate([-1e6, 1e9], LIF()), [0.0, 500.0], atol=1e-2)


@pytest.mark.parametrize("function", [rate, soft_rate])
def test_tensors_give_the_same_with_gradients(function):
    # the rheobase is one of them
    nA = torch.linspace(0.0, 1.0, 41, dtype=torch.float64, requires_grad=True)
    f = function(nA, LIF())
    assert_allclose(f.detach(), function(nA.detach().numpy(), LIF()), rtol=1e-14)
    f.sum().backward()
    assert torch.isfinite(nA.grad).all()
    above = torch.tensor([0.21, 0.3, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: function(x, LIF()), (above,))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tau_m_ms": -5.0}, r"tau_m_ms must be > 0, got -5.0"),
        ({"tau_m_ms": float("nan")}, r"tau_m_ms must be finite, got nan"),
        ({"t_ref_ms": -1}, r"t_ref_ms must be >= 0, got -1"),
        ({"resistance_MOhm": 0}, r"resistance_MOhm must be > 0, got 0"),
        ({"v_threshold_mV": -80.0}, r"v_threshold_mV must be > v_reset_mV=-70, got -80"),
    ],
)
def test_cells_that_cannot_be_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        LIF(**values)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rate([0.1, np.nan], LIF()), "current_nA must not be NaN"),
        (lambda: rate(torch.tensor([float("nan")]), LIF()), "current_nA must not be NaN"),
        (lambda: current(500.0, LIF()), r"rate_hz must lie in \[0, 500\)"),
        (lambda: current(-1.0, LIF()), r"rate_hz must lie in \[0, 500\)"),
        (lambda: soft_rate(0.1, LIF(), smoothing=0), "smoothing must be > 0, got 0"),
        (lambda: siegert_rate(np.nan, 1.0, LIF()), "mean_mV must be finite, got nan"),
        (lambda: siegert_rate(-50.0, [1.0, -2.0], LIF()), r"sigma_mV must be >= 0, got -2"),
    ],
)
def test_inputs_that_mean_nothing_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- Siegert's rate
# --------------------------------------------------------------------------------------------------


def siegert_by_quad(mean_mV, sigma_mV, cell):
    """The formula as it stands, on pieces that follow the shape of the integrand; 0 where it
    exceeds the largest float.
    """
    a, b = (cell.v_reset_mV - mean_mV) / sigma_mV, (cell.v_threshold_mV - mean_mV) / sigma_mV
    if b > 26:
        return 0.0
    edges = sorted(
        {
            a,
            b,
            *(
                x
                for x in (-1e5, -1e4, -1e3, -100, -10, 0, b - 10 / max(b, 1), b - 1 / max(b, 1))
                if a < x < b
            ),
        }
    )
    total = sum(
        quad(lambda u: erfcx(-u), *piece, epsabs=0, epsrel=1e-11)[0] for piece in pairwise(edges)
    )
    return 1e3 / (cell.t_ref_ms + cell.tau_m_ms * np.sqrt(np.pi) * total)


@pytest.mark.parametrize("cell", CELLS)
def test_siegert_equals_its_integral_far_below_and_above_threshold(cell):
    sigma = np.geomspace(0.05, 300.0, 14)
    distance = np.concatenate(
        [-np.geomspace(1e-3, 1e3, 10), [0.0], np.geomspace(1e-3, 1e4, 10)]
    )  # of mean over threshold
    mean, sigma = (x.ravel() for x in np.meshgrid(cell.v_threshold_mV + distance, sigma))
    found = siegert_rate(mean, sigma, cell)
    expected = np.array([siegert_by_quad(m, s, cell) for m, s in zip(mean, sigma, strict=True)])
    seen = expected > 0
    assert 200 < seen.sum() < seen.size
    assert_allclose(found[seen], expected[seen], rtol=1e-9)
    assert (found[~seen] < 1e-290).all()


@pytest.mark.parametrize("cell", CELLS)
def test_without_noise_siegert_is_the_rate(cell):
    nA = cell.rheobase_nA + np.array([-0.1, 0.0, 1e-3, 0.1, 2.0])
    mean = cell.e_leak_mV + cell.resistance_MOhm * nA
    assert_allclose(siegert_rate(mean, 0.0, cell), rate(nA, cell), rtol=1e-9)
    away = np.abs(mean - cell.v_threshold_mV) > 1e-6
    assert_allclose(siegert_rate(mean, 1e-5, cell)[away], rate(nA, cell)[away], rtol=1e-6)


@given(cells, st.floats(-30.0, 30.0), st.floats(0.1, 20.0), st.floats(0.01, 10.0))
def test_siegert_rises_with_the_mean(cell, distance, sigma, step):
    mean = cell.v_threshold_mV + distance
    low, high = siegert_rate([mean, mean + step], sigma, cell)
    assert 0 <= low <= high
    assert cell.t_ref_ms == 0 or high < 1e3 / cell.t_ref_ms


def test_siegert_counts_voltages_from_anywhere_and_broadcasts():
    moved = replace(LIF(), e_leak_mV=0.0, v_threshold_mV=20.0, v_reset_mV=0.0)
    mean, sigma = np.linspace(-90, -20, 5), np.array([[1.0], [4.0]])
    assert siegert_rate(mean, sigma, LIF()).shape == (2, 5)
    assert_allclose(
        siegert_rate(mean, sigma, LIF()), siegert_rate(mean + 70, sigma, moved), rtol=1e-12
    )
    assert np.ndim(siegert_rate(-50.0, 3.0, LIF())) == 0


def test_siegert_of_tensors_is_the_same_and_differentiable_twice():
    mean = torch.linspace(-80.0, -30.0, 12, dtype=torch.float64, requires_grad=True)
    sigma = torch.linspace(9.0, 1.0, 12, dtype=torch.float64, requires_grad=True)
    f = siegert_rate(mean, sigma, LIF())
    assert_allclose(
        f.detach(), siegert_rate(mean.detach().numpy(), sigma.detach().numpy(), LIF()), rtol=1e-14
    )
    assert torch.autograd.gradcheck(lambda m, s: siegert_rate(m, s, LIF()), (mean, sigma))
    assert torch.autograd.gradgradcheck(lambda m, s: siegert_rate(m, s, LIF()), (mean, sigma))
    single = siegert_rate(mean.detach().float(), 3.0, LIF())
    assert single.dtype == torch.float32


def test_gradients_stay_finite_where_rates_vanish_or_noise_does():
    mean = torch.tensor([-5000.0, -51.0, -49.0, 1e5], dtype=torch.float64, requires_grad=True)
    sigma = torch.tensor([0.1, 0.0, 0.0, 2.0], dtype=torch.float64, requires_grad=True)
    siegert_rate(mean, sigma, LIF()).sum().backward()
    assert torch.isfinite(mean.grad).all()
    assert torch.isfinite(sigma.grad).all()
    nA = torch.tensor([0.21], dtype=torch.float64, requires_grad=True)  # the third, as a current
    rate(nA, LIF()).backward()
    assert_allclose(mean.grad[2] * 100.0, nA.grad[0], rtol=1e-4)
