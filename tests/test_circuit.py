"""Circuits as recipes: what a spec refuses, what it resolves to, what scaling keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from neurosparse import recipes
from neurosparse.spiking import circuit as circuits
from neurosparse.spiking.circuit import CircuitSpec
from neurosparse.spiking.circuit_specs import CellSpec
from neurosparse.spiking.scaling import ScaledCircuitWarning, scaled
from neurosparse.spiking.simulate import run_circuit

CELL = {
    "tau_m_ms": 20.0,
    "e_leak_mV": -60.0,
    "v_threshold_mV": -45.0,
    "v_reset_mV": -55.0,
    "t_ref_ms": 2.0,
}


def two_populations(**changes: object) -> dict:
    values: dict = {
        "cell": dict(CELL),
        "synapse": {"model": "delta"},
        "drive": {"rate_hz": 10.0, "in_degree": 100, "weight_mV": 0.1},
        "populations": {
            "A": {"size": 80, "v_init_mV": -60.0, "mean_rate_hz": 5.0},
            "B": {"size": 20, "v_init_mV": -60.0, "mean_rate_hz": 10.0},
        },
        "projections": {
            "a": {
                "pre": "A",
                "post": ["A", "B"],
                "in_degree": 10,
                "weight_mV": 0.2,
                "delay_ms": 1.5,
            }
        },
    }
    for dotted, value in changes.items():
        *parents, last = dotted.split("__")
        table = values
        for parent in parents:
            table = table[parent]
        if value is None:
            table.pop(last)
        else:
            table[last] = value
    return values


def spec_of(**changes: object) -> CircuitSpec:
    return recipes.build(CircuitSpec, two_populations(**changes), what="circuit")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"projections__a__pre": "X"}, "projections.a names no population 'X'; there are: A, B"),
        (
            {"projections__a__total": 5},
            "exactly one of in_degree, total and probability, got in_degree and total",
        ),
        (
            {"projections__a__in_degree": None},
            "exactly one of in_degree, total and probability, got none",
        ),
        (
            {"projections__a__multapses": False},
            "multapses = false goes with the rule probability only, got in_degree",
        ),
        ({"projections__a__in_degree": -1}, "in_degree must be a whole number >= 0, got -1"),
        ({"projections__a__in_degree": [[1], [2], [3]]}, "the table in_degree must have 2 rows"),
        ({"projections__a__weight_pA": 1.0}, "exactly one of weight_mV and weight_pA"),
        (
            {"projections__a__weight_mV": None, "projections__a__weight_pA": 3.0},
            "delta synapses take weight_mV, got weight_pA=3",
        ),
        (
            {"projections__a__delay_ms": 0.0},
            "projections.a.delay_ms: Input should be greater than 0, got 0.0",
        ),
        ({"projections__a__weight_mV": float("nan")}, "weight_mV: Input should be a finite number"),
        ({"synapse": {"model": "exponential"}}, "exponential synapses need tau_syn_ms"),
        ({"synapse": {"model": "exponential", "tau_syn_ms": 0.5}}, "capacitance_pF is needed"),
        ({"cell__v_reset_mV": -40.0}, "v_threshold_mV must be > v_reset_mV=-40, got -45"),
        (
            {"populations__A__cell": {"tau_m_ms": -5.0}},
            "populations.A.cell: tau_m_ms: Input should be greater than 0, got -5.0",
        ),
        ({"populations__A__cell": {"tau": 5.0}}, "populations.A.cell: unknown key 'tau'"),
        ({"populations__A__drive": {"rate_hz": -1.0}}, "populations.A.drive: rate_hz"),
        (
            {"populations__A__size": 0},
            "populations.A.size: Input should be greater than or equal to 1, got 0",
        ),
        ({"populations": {}}, "populations: Dictionary should have at least 1 item"),
    ],
)
def test_refuses_in_one_sentence(changes: dict, message: str) -> None:
    with pytest.raises(ValueError) as error:
        spec_of(**changes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_common_values_and_their_replacements() -> None:
    spec = spec_of(
        populations__B={
            "size": 20,
            "v_init_mV": -60.0,
            "cell": {"t_ref_ms": 1.0},
            "drive": {"in_degree": 50},
        }
    )
    a, b = circuits.resolve(spec).populations
    assert (a.cell.t_ref_ms, b.cell.t_ref_ms, b.cell.tau_m_ms) == (2.0, 1.0, 20.0)
    assert (a.drive_rate_hz, b.drive_rate_hz, b.drive_weight) == (1000.0, 500.0, 0.1)
    assert (a.first, b.first, circuits.resolve(spec).n_units) == (0, 80, 100)
    assert circuits.resolve(spec).ranges == {"A": (0, 80), "B": (80, 100)}
    assert a.drive_mean(0.1) == pytest.approx(0.1)


def test_tables_have_a_row_for_each_target() -> None:
    table = {"pre": ["A", "B"], "post": "A", "total": [[7, 0]], "weight_mV": 0.1, "delay_ms": 1.0}
    (only,) = circuits.resolve(spec_of(projections={"t": table})).projections
    assert (only.pre, only.post, only.rule, only.number) == (0, 0, "total", 7)


def test_probability_with_multapses_is_that_of_at_least_one_synapse() -> None:
    rule = {"pre": "A", "post": "B", "probability": 0.3, "weight_mV": 0.1, "delay_ms": 1.0}
    (with_,) = circuits.resolve(spec_of(projections={"t": rule})).projections
    assert with_.rule == "total"
    assert (1 - 1 / 1600) ** with_.number == pytest.approx(0.7, abs=1e-3)
    (without,) = circuits.resolve(
        spec_of(projections={"t": {**rule, "multapses": False}})
    ).projections
    assert (without.rule, without.number) == ("pairwise", 0.3)


@pytest.mark.parametrize(("tau_m", "tau_s"), [(10.0, 0.5), (20.0, 5.0), (3.0, 8.0), (7.0, 7.0)])
def test_psp_of_the_converted_current_peaks_at_1_mV(tau_m: float, tau_s: float) -> None:
    cell = CellSpec(**{**CELL, "tau_m_ms": tau_m}, capacitance_pF=250.0)
    peak_pA = circuits.psc_per_psp(cell, tau_s)
    times = np.linspace(0, 40, 40001)
    potential = solve_ivp(
        lambda t, v: -v / tau_m + peak_pA * np.exp(-t / tau_s) / 250.0,
        (0, 40),
        [0.0],
        t_eval=times,
        rtol=1e-9,
        atol=1e-12,
    ).y[0]
    assert potential.max() == pytest.approx(1.0, abs=1e-6)


# --------------------------------------------------------------------------------------------------
# scaling
def input_mean_and_variance(circuit: circuits.Circuit) -> tuple[np.ndarray, np.ndarray]:
    """Of each population's synaptic input at the expected rates, written out: K w nu and K w^2
    nu.
    """
    mean = np.array([p.drive_rate_hz * p.drive_weight for p in circuit.populations])
    variance = np.array([p.drive_rate_hz * p.drive_weight**2 for p in circuit.populations])
    for x in circuit.projections:
        sources = (
            circuit.n_synapses(x)
            / circuit.populations[x.post].size
            * (circuit.populations[x.pre].mean_rate_hz or 0)
        )
        mean[x.post] += sources * x.weight
        variance[x.post] += sources * x.weight**2
    return mean, variance


@pytest.mark.parametrize("name", ["brunel2000_ai", "potjans2014"])
@given(scale=st.floats(0.05, 0.95))
def test_scaling_keeps_mean_and_variance_of_the_input(name: str, scale: float) -> None:
    full = circuits.resolve(circuits.load(name))
    with pytest.warns(ScaledCircuitWarning, match="is not the full one"):
        small = scaled(full, scale)
    mean, variance = input_mean_and_variance(full)
    small_mean, small_variance = input_mean_and_variance(small)
    unit = [
        p.cell.tau_m_ms
        * 1e-3
        * (1 if full.synapse == "delta" else full.tau_syn_ms / p.cell.capacitance_pF)
        for p in full.populations
    ]
    given_back = np.array(
        [s.dc_mV - f.dc_mV for s, f in zip(small.populations, full.populations, strict=True)]
    )
    np.testing.assert_allclose(small_mean * unit + given_back, mean * unit, atol=1e-9)
    np.testing.assert_allclose(small_variance, variance, rtol=0.05)  # half a source of 12
    assert small.n_units == pytest.approx(full.n_units * scale, abs=5)
    assert small.n_synapses_total == pytest.approx(full.n_synapses_total * scale**2, rel=0.02)


def test_scaling_refuses_what_it_cannot_do() -> None:
    full = circuits.resolve(spec_of())
    assert scaled(full, 1.0) is full
    with pytest.raises(ValueError, match=r"scale must lie in \(0, 1\], got 2"):
        scaled(full, 2.0)
    with pytest.raises(ValueError, match="leaves no cell of population 'B'"):
        scaled(full, 0.02)
    unknown = circuits.resolve(spec_of(populations__A={"size": 80, "v_init_mV": 0.0}))
    with pytest.raises(ValueError, match=r"populations.A.mean_rate_hz is needed"):
        scaled(unknown, 0.5)  # and no warning of a circuit that there is not
    with pytest.warns(ScaledCircuitWarning):
        scaled(full, 0.5)


# --------------------------------------------------------------------------------------------------
# the recipes
def test_microcircuit_has_the_published_numbers() -> None:
    circuit = circuits.resolve(circuits.load("potjans2014"))
    assert circuit.n_units == 77_169
    assert circuit.n_synapses_total == 298_880_970
    assert [p.drive_rate_hz for p in circuit.populations] == [
        8.0 * k for k in (1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100)
    ]
    weights = {
        (circuit.populations[x.pre].name, circuit.populations[x.post].name): x.weight
        for x in circuit.projections
    }
    assert len(weights) == len(circuit.projections) == 55  # of 64 pairs 9 have no synapse
    assert weights["L4E", "L4I"] == pytest.approx(87.81, abs=0.01)  # pA, as published
    assert weights["L4E", "L23E"] == pytest.approx(2 * weights["L4E", "L4I"])
    assert weights["L4I", "L4E"] == pytest.approx(-4 * weights["L4E", "L4I"])


@pytest.mark.parametrize(
    ("name", "g", "eta"), [("sr", 3, 2), ("fast", 6, 4), ("ai", 5, 2), ("si", 4.5, 0.9)]
)
def test_brunel_recipes_say_what_the_paper_says(name: str, g: float, eta: float) -> None:
    circuit = circuits.resolve(circuits.load(f"brunel2000_{name}"))
    e, i = circuit.populations
    # theta / (J tau): of all C_E external synapses together
    threshold_rate_hz = 20.0 / (0.1 * 20e-3)
    assert e.drive_rate_hz == i.drive_rate_hz == pytest.approx(eta * threshold_rate_hz)
    assert (e.size, i.size, circuit.n_synapses_total) == (10_000, 2_500, 15_625_000)
    assert {(x.pre, x.number, round(x.weight, 9)) for x in circuit.projections} == {
        (0, 1000, 0.1),
        (1, 250, round(-0.1 * g, 9)),
    }


# --------------------------------------------------------------------------------------------------
# running
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engine": "nothing"}, "engine must be one of brian2, kernel, nest, got 'nothing'"),
        ({"seconds": 0.0}, "seconds must be > 0, got 0.0"),
        ({"seconds": float("nan")}, "seconds must be finite"),
        ({"warm_up_ms": -1.0}, "warm_up_ms must be >= 0, got -1.0"),
        ({"warm_up_ms": 0.15}, "warm_up_ms must be a whole multiple of dt_ms=0.1, got 0.15"),
        ({"dt_ms": 0.0}, "dt_ms must be > 0"),
        ({"seed": -1}, "seed must be >= 0, got -1"),
        (
            {"dt_ms": 0.4, "seconds": 0.02, "warm_up_ms": 0.0},
            "delay_ms must be a whole multiple of dt_ms=0.4, got 1.5",
        ),
    ],
)
def test_run_circuit_refuses_in_one_sentence(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError) as error:
        run_circuit(spec_of(), **{"seconds": 0.01, "seed": 1, **arguments})
    assert message in str(error.value)


def test_run_circuit_discards_the_warm_up() -> None:
    spec = spec_of(drive__rate_hz=200.0)
    whole = run_circuit(spec, seconds=0.05, seed=1, warm_up_ms=0.0)
    part = run_circuit(spec, seconds=0.03, seed=1, warm_up_ms=20.0)
    assert part.duration_ms == pytest.approx(30.0)
    assert len(part) > 100
    np.testing.assert_array_equal(part.ticks, whole.between(20.0, 50.0).ticks)
    assert part.populations == {"A": (0, 80), "B": (80, 100)}
