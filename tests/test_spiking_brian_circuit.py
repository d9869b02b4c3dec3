"""Circuits in Brian2, spike for spike against a plain loop that does what `circuit` says."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neurosparse.lif import LIF, rate
from neurosparse.spiking.circuit import Circuit, Population, Projection
from neurosparse.spiking.circuit_specs import CellSpec
from neurosparse.spiking.engines import brian2 as brian_circuit

CELL = CellSpec(
    tau_m_ms=20.0,
    e_leak_mV=0.0,
    v_threshold_mV=20.0,
    v_reset_mV=10.0,
    t_ref_ms=2.0,
    capacitance_pF=250.0,
)
QUICK = CELL.model_copy(update={"tau_m_ms": 10.0, "t_ref_ms": 0.7, "v_reset_mV": 5.0})


def population(name, first, size, cell=CELL, dc_mV=0.0, drive_rate_hz=0.0, drive_weight=0.0):
    return Population(
        name=name,
        size=size,
        first=first,
        cell=cell,
        v_init_mV=10.0,
        v_init_sd_mV=5.0,
        dc_mV=dc_mV,
        drive_rate_hz=drive_rate_hz,
        drive_weight=drive_weight,
        mean_rate_hz=None,
    )


def projection(pre, post, weight, rule="in_degree", number=10, **changes):
    values = {"weight_rel_sd": 0.0, "delay_ms": 1.5, "delay_rel_sd": 0.0, **changes}
    return Projection(pre=pre, post=post, rule=rule, number=number, weight=weight, **values)


def plain(circuit, seed, steps, dt_ms):
    """The spikes of a circuit without random input, as a list of (step, unit), one step and one
    arrival at a time.
    """
    generator = np.random.default_rng([seed, 1])
    v = np.concatenate(
        [generator.normal(p.v_init_mV, p.v_init_sd_mV, p.size) for p in circuit.populations]
    )
    targets = [[] for _ in range(circuit.n_units)]
    for bundle in brian_circuit._bundles(circuit, dt_ms, generator):
        for k, (pre, post) in enumerate(zip(bundle.pre, bundle.post, strict=True)):
            weight = bundle.weight[pre] if bundle.weight_of_source else bundle.weight[k]
            targets[pre].append(
                (post, weight, bundle.delay_steps[k if bundle.delay_steps.size > 1 else 0])
            )
    of = np.repeat(np.arange(len(circuit.populations)), [p.size for p in circuit.populations])
    cells = [circuit.populations[k].cell for k in of]
    dc = np.array([circuit.populations[k].dc_mV for k in of])
    tau, rest, threshold, reset, t_ref = (
        np.array([getattr(cell, name) for cell in cells])
        for name in ("tau_m_ms", "e_leak_mV", "v_threshold_mV", "v_reset_mV", "t_ref_ms")
    )
    current, free, arriving, spikes = np.zeros_like(v), np.zeros(v.size, int), Counter(), []
    for step in range(steps):
        held = step < free
        charge = np.zeros_like(v)
        if circuit.synapse == "exponential":
            s = circuit.tau_syn_ms
            resistance = tau / np.array([cell.capacitance_pF for cell in cells])
            charge = (
                current * resistance * s / (s - tau) * (np.exp(-dt_ms / s) - np.exp(-dt_ms / tau))
            )
            current = current * np.exp(-dt_ms / s)
        v = np.where(held, reset, rest + dc + (v - rest - dc) * np.exp(-dt_ms / tau) + charge)
        for unit in range(v.size):
            arrived = arriving.pop((step, unit), 0.0)
            if circuit.synapse == "exponential":
                current[unit] += arrived
            elif not held[unit]:
                v[unit] += arrived
        for unit in np.flatnonzero(v >= threshold):
            spikes.append((step, int(unit)))
            v[unit] = reset[unit]
            free[unit] = step + round(t_ref[unit] / dt_ms) + 1
            for post, weight, delay in targets[unit]:
                arriving[step + delay, post] += weight
    return spikes


DELTA = Circuit(
    "delta",
    None,
    (population("E", 0, 80, dc_mV=26.0), population("I", 80, 20, cell=QUICK, dc_mV=28.0)),
    (
        projection(0, 0, 0.5),
        projection(0, 1, 0.5, "total", 300),
        projection(1, 0, -2.0, number=5),
        projection(1, 1, -2.0, number=4, delay_ms=0.1),
    ),
)
EXPONENTIAL = Circuit(
    "exponential",
    0.5,
    (population("E", 0, 80, dc_mV=26.0), population("I", 80, 20, cell=QUICK, dc_mV=28.0)),
    (
        projection(0, 0, 90.0, weight_rel_sd=0.1, delay_rel_sd=0.5),
        projection(0, 1, 90.0, "pairwise", 0.1, weight_rel_sd=0.1, delay_rel_sd=0.5),
        projection(1, 0, -300.0, "total", 400, weight_rel_sd=0.1, delay_ms=0.8, delay_rel_sd=0.5),
    ),
)


@pytest.mark.parametrize("circuit", [DELTA, EXPONENTIAL], ids=["delta", "exponential"])
@pytest.mark.parametrize("seed", [1, 2])
def test_spikes_equal_a_plain_loops(circuit, seed):
    if circuit is EXPONENTIAL:  # the number of synapses is part of the code: keep it
        circuit = replace(circuit, projections=(circuit.projections[0], circuit.projections[2]))
    spikes = brian_circuit.simulate(circuit, duration_ms=150.0, seed=seed)
    found = list(zip(spikes.ticks.tolist(), spikes.units.tolist(), strict=True))
    expected = plain(circuit, seed, 1500, 0.1)
    assert len(expected) > 150
    assert sorted(found) == sorted(expected)
    assert spikes.populations == {"E": (0, 80), "I": (80, 100)}


def test_numpy_gives_the_same_spikes():
    one, other = (
        brian_circuit.simulate(DELTA, duration_ms=100.0, seed=1, target=target)
        for target in ("cpp", "numpy")
    )
    assert np.array_equal(one.ticks, other.ticks)
    assert np.array_equal(one.units, other.units)


def test_the_refractory_period_is_the_one_asked_for():
    silent = tuple(replace(p, weight=0.0) for p in DELTA.projections)
    alone = replace(
        DELTA,
        projections=silent,
        populations=(replace(DELTA.populations[0], dc_mV=30.0), DELTA.populations[1]),
    )
    spikes = brian_circuit.simulate(alone, duration_ms=2000.0, seed=1)
    expected = rate(
        0.3, LIF(tau_m_ms=20.0, e_leak_mV=0.0, v_threshold_mV=20.0, v_reset_mV=10.0, t_ref_ms=2.0)
    )
    interval_ms = np.diff(spikes.times_ms[spikes.units == 0]).mean()
    # on the grid an interval is rounded up
    assert 1e3 / expected <= interval_ms <= 1e3 / expected + 0.1


# ---- How synapses are drawn
# --------------------------------------------------------------------------------------------------


def drawn(*projections, sizes=(300, 200), synapse="delta", seed=1):
    populations = (population("a", 0, sizes[0]), population("b", sizes[0], sizes[1]))
    circuit = Circuit(synapse, 0.5 if synapse == "exponential" else None, populations, projections)
    return list(brian_circuit._bundles(circuit, 0.1, np.random.default_rng(seed)))


def test_rules_give_the_synapses_they_name():
    (bundle,) = drawn(projection(0, 1, 0.1, number=30))
    assert (np.bincount(bundle.post, minlength=500)[300:] == 30).all()
    assert bundle.pre.max() < 300 <= bundle.post.min()
    assert (np.diff(bundle.pre) >= 0).all()  # sorted by source
    (bundle,) = drawn(projection(1, 0, 0.1, "total", 5000))
    assert bundle.pre.size == 5000
    # Poisson out-degrees
    assert_allclose(np.bincount(bundle.pre - 300, minlength=200).var(), 25.0, rtol=0.4)
    (bundle,) = drawn(projection(0, 0, 0.1, "pairwise", 0.1))
    assert_allclose(bundle.pre.size, 9000, atol=5 * np.sqrt(8100))
    assert np.unique(bundle.pre * 1000 + bundle.post).size == bundle.pre.size  # no pair twice


def test_weights_and_delays_follow_their_distributions():
    (bundle,) = drawn(
        projection(0, 1, -2.0, number=300, weight_rel_sd=0.1, delay_ms=1.5, delay_rel_sd=0.5),
        synapse="exponential",
    )
    assert_allclose(bundle.weight.mean(), -2.0, rtol=0.005)
    assert_allclose(bundle.weight.std(), 0.2, rtol=0.02)
    assert bundle.delay_steps.min() >= 1
    # normal(1.5, 0.75) ms above 0.05 ms, on the grid
    assert_allclose(bundle.delay_steps.mean() * 0.1, 1.5 + 0.75 * 0.0803, rtol=0.01)
    (bundle,) = drawn(projection(0, 1, 0.1, number=300, weight_rel_sd=1.0))
    assert bundle.weight.min() >= 0


def test_synapses_are_bundled_by_delay_and_weights_kept_with_the_source():
    bundles = drawn(
        projection(0, 0, 0.1),
        projection(0, 1, 0.1),
        projection(1, 0, -0.5),
        projection(1, 1, -0.5, delay_ms=1.0),
    )
    assert [bundle.delay_steps.tolist() for bundle in bundles] == [[15], [10]]
    assert bundles[0].weight_of_source
    assert_allclose(bundles[0].weight, np.repeat([0.1, -0.5], [300, 200]))
    (mixed,) = drawn(projection(0, 0, 0.1), projection(0, 1, 0.2))
    assert not mixed.weight_of_source
    assert_allclose(mixed.weight, np.where(mixed.post < 300, 0.1, 0.2))


def test_times_off_the_grid_are_refused():
    circuit = replace(DELTA, projections=(projection(0, 0, 0.5, delay_ms=0.25),))
    with pytest.raises(
        ValueError, match=r"delay_ms must be a whole multiple of dt_ms=0.1, got 0.25"
    ):
        brian_circuit.simulate(circuit, duration_ms=10.0, seed=1)
    with pytest.raises(
        ValueError, match=r"dc_mV must hold a value for each of 100 cells, got shape \(3,\)"
    ):
        brian_circuit.simulate(DELTA, duration_ms=10.0, seed=1, dc_mV=np.zeros(3))
