"""The kernel engine against a plain simulation, step by step and spike for spike; its noise and
rates against theory.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from neurosparse import recipes
from neurosparse.activity import SpikeTrains
from neurosparse.kernels.circuit import poisson, synapses
from neurosparse.lif import LIF, siegert_rate
from neurosparse.spiking import circuit as circuits
from neurosparse.spiking.circuit import Circuit, CircuitSpec
from neurosparse.spiking.engines import kernel as kernel_engine
from neurosparse.spiking.kernel import arrays
from neurosparse.spiking.scaling import ScaledCircuitWarning, scaled

DT = 0.1


def plainly(
    built: kernel_engine.Built, n_steps: int, v: np.ndarray, external: np.ndarray | None = None
) -> SpikeTrains:
    """The same circuit in float64, one line a rule of `circuit`. v: (n_units,) mV; external:
    (n_steps, n_units) spikes.
    """
    circuit, table = built.circuit, synapses.listed(built.layout, built.synapses)
    source, target, delay, weight = (
        table[0],
        table[1],
        table[2],
        table[3] * float(built.cells.quantum),
    )
    by_source = np.argsort(source, kind="stable")
    edges = np.searchsorted(source[by_source], np.arange(circuit.n_units + 1))

    def each(value) -> np.ndarray:  # type: ignore[no-untyped-def]
        return np.concatenate([np.full(p.size, value(p)) for p in circuit.populations])

    leak, tau = each(lambda p: p.cell.e_leak_mV), each(lambda p: p.cell.tau_m_ms)
    threshold, reset = each(lambda p: p.cell.v_threshold_mV), each(lambda p: p.cell.v_reset_mV)
    held = np.rint(each(lambda p: p.cell.t_ref_ms / DT)).astype(int)
    dc, drive = each(lambda p: p.dc_mV), each(lambda p: p.drive_weight)
    exponential = circuit.synapse == "exponential"
    if exponential:
        tau_s, capacitance = circuit.tau_syn_ms, each(lambda p: p.cell.capacitance_pF)
        # V at the end of the step by a plain sum over the step
        fine = (np.arange(20_000) + 0.5) * DT / 20_000
        from_current = (
            (np.exp(-fine / tau_s) * np.exp(-(DT - fine) / tau[:, None])).sum(1)
            * DT
            / 20_000
            / capacitance
        )
    arriving = np.zeros((n_steps + 1000, circuit.n_units))
    if external is not None:
        arriving[:n_steps] += external * drive
    current, last = np.zeros(circuit.n_units), np.full(circuit.n_units, -(10**9))
    v = v.copy()
    spikes: list[tuple[int, int]] = []
    for step in range(n_steps):
        free = leak + dc + (v - leak - dc) * np.exp(-DT / tau)
        if exponential:
            v = free + current * from_current
            current = current * math.exp(-DT / tau_s) + arriving[step]
        else:
            v = free + arriving[step]
        is_held = step - last <= held
        v[is_held] = reset[is_held]
        fired = np.flatnonzero(~is_held & (v >= threshold))
        v[fired], last[fired] = reset[fired], step
        for s in fired:
            spikes.append((step, s))
            mine = by_source[edges[s] : edges[s + 1]]
            np.add.at(arriving, (step + delay[mine], target[mine]), weight[mine])
    steps, units = np.array(spikes).reshape(-1, 2).T
    return SpikeTrains(
        steps * DT, units, n_units=circuit.n_units, duration_ms=n_steps * DT, dt_ms=DT
    )


def same(a: SpikeTrains, b: SpikeTrains) -> bool:
    return np.array_equal(a.ticks, b.ticks) and np.array_equal(a.units, b.units)


def potentials(circuit: Circuit, seed: int) -> np.ndarray:
    """The initial potentials that the engine draws."""
    rng = np.random.default_rng([seed, 1])
    drawn = []
    for p in circuit.populations:
        drawn.append(
            p.cell.e_leak_mV
            + rng.normal(p.v_init_mV - p.cell.e_leak_mV, p.v_init_sd_mV, p.size).astype(np.float32)
        )
        rng.integers(1, 1 << 63, -(-p.size // 4), dtype=np.uint64)
    return np.concatenate(drawn).astype(float)


def small_net(model: str, *, fixed_weights: bool = True, **populations: dict) -> Circuit:
    """Two populations of 90 and 40 cells above threshold, with excitation, inhibition and
    refractory periods that differ.
    """
    weight = {"weight_mV": 0.5} if model == "delta" else {"weight_pA": 60.0}
    inhibition = {"weight_mV": -1.25} if model == "delta" else {"weight_pA": -150.0}
    spread = {} if fixed_weights else {"weight_rel_sd": 0.2}
    voltages = {"e_leak_mV": -65.0, "v_threshold_mV": -50.0, "v_reset_mV": -65.0}
    start = {"v_init_mV": -58.0, "v_init_sd_mV": 5.0}
    briefly = {"t_ref_ms": 0.5, "v_reset_mV": -60.0}
    pairs = {"probability": 0.2, "multapses": False}
    values = {
        "cell": {"tau_m_ms": 10.0, "t_ref_ms": 2.0, "capacitance_pF": 250.0, **voltages},
        "synapse": {"model": model} | ({"tau_syn_ms": 0.5} if model == "exponential" else {}),
        "populations": {
            "E": {"size": 90, "dc_mV": 17.0, **start, **populations.get("E", {})},
            "I": {"size": 40, "dc_mV": 16.0, "cell": briefly, **start, **populations.get("I", {})},
        },
        "projections": {
            "near": {
                "pre": "E",
                "post": ["E", "I"],
                "total": 900,
                "delay_ms": 0.1,
                **weight,
                **spread,
            },
            "far": {
                "pre": "E",
                "post": "E",
                "in_degree": 8,
                "delay_ms": 1.5,
                "delay_rel_sd": 0.5,
                **weight,
                **spread,
            },
            "back": {
                "pre": "I",
                "post": ["E", "I"],
                "delay_ms": 0.8,
                **pairs,
                **inhibition,
                **spread,
            },
        },
    }
    return circuits.resolve(recipes.build(CircuitSpec, values, what="circuit"))


# --------------------------------------------------------------------------------------------------
# spike for spike
@pytest.mark.parametrize("model", ["delta", "exponential"])
@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("fixed_weights", [True, False])
def test_equals_a_plain_simulation_spike_for_spike(
    model: str, n_threads: int, fixed_weights: bool
) -> None:
    circuit = small_net(model, fixed_weights=fixed_weights)
    built = kernel_engine.build(circuit, seed=5, n_threads=n_threads, exact_weights=fixed_weights)
    assert built.layout.n_partitions == n_threads
    # a quantum that is no power of 2 is rounded in float32, which sooner or later moves a spike by
    # a step: here after 110 ms
    n_steps = 1200 if fixed_weights else 1000
    got = kernel_engine.run(built, n_steps=n_steps, seed=7)
    expected = plainly(built, n_steps, potentials(circuit, 7))
    assert len(expected) > 500
    assert same(got, expected)


@pytest.mark.parametrize("model", ["delta", "exponential"])
def test_equals_a_plain_simulation_with_the_same_external_spikes(model: str) -> None:
    drive = {"rate_hz": 800.0, "in_degree": 10} | (
        {"weight_mV": 0.25} if model == "delta" else {"weight_pA": 30.0}
    )
    circuit = small_net(
        model,
        E={"drive": drive, "dc_mV": 12.0},
        I={"drive": {**drive, "in_degree": 20}, "dc_mV": 8.0},
    )
    built = kernel_engine.build(circuit, seed=5, n_threads=1)
    state = arrays.state(built, 100, 7)
    cells, n_steps = built.cells, 1200
    external = np.zeros((n_steps, circuit.n_units))
    counts = np.zeros(512, np.int16)
    for b, p in enumerate(circuit.populations):
        states = state.noise[0, cells.offset[0, b] // 4 : -(-(cells.offset[0, b] + p.size) // 4)]
        for step in range(n_steps):
            counts[:] = 0
            lanes = states.view(np.int16)[: p.size]
            table = poisson.poisson_table(p.drive_mean(DT)).arrays
            poisson.poisson(states, lanes, table, np.int32(1), counts)
            external[step, p.first : p.first + p.size] = counts[: p.size]
    assert external[:, :90].mean() == pytest.approx(0.8, rel=0.02)
    got = kernel_engine.run(built, n_steps=n_steps, seed=7)
    expected = plainly(built, n_steps, potentials(circuit, 7), external)
    assert len(expected) > 600
    assert same(got, expected)


@pytest.mark.parametrize("name", ["brunel2000_ai", "potjans2014"])
def test_the_number_of_threads_changes_nothing(name: str) -> None:
    with pytest.warns(ScaledCircuitWarning):
        circuit = scaled(circuits.resolve(circuits.load(name)), 0.04)
    alone, *others = (
        kernel_engine.simulate(circuit, duration_ms=150.0, seed=3, n_threads=n) for n in (1, 2, 3)
    )
    assert len(alone) > 300
    assert all(same(alone, other) for other in others)
    assert not same(alone, kernel_engine.simulate(circuit, duration_ms=150.0, seed=4, n_threads=1))


@pytest.mark.parametrize("n_threads", [1, 3])
def test_bits_and_lists_of_synapses_give_the_same_spikes(
    n_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.warns(ScaledCircuitWarning):
        circuit = scaled(circuits.resolve(circuits.load("brunel2000_ai")), 0.1)
    bits = kernel_engine.build(circuit, seed=3, n_threads=n_threads)
    assert bits.synapses.bits.weight.size == 2
    monkeypatch.setattr(synapses, "DENSE", 2.0)
    lists = kernel_engine.build(circuit, seed=3)
    assert lists.synapses.bits.weight.size == 0
    expected = kernel_engine.run(lists, n_steps=1500, seed=3)
    assert len(expected) > 1000
    assert same(kernel_engine.run(bits, n_steps=1500, seed=3), expected)


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_the_length_of_a_chunk_changes_nothing(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    built = kernel_engine.build(small_net("exponential"), seed=5, n_threads=2)
    whole = kernel_engine.run(built, n_steps=333, seed=7)
    monkeypatch.setattr(arrays, "CHUNK_STEPS", chunk)
    assert same(whole, kernel_engine.run(built, n_steps=333, seed=7))


# --------------------------------------------------------------------------------------------------
# capacities
@pytest.mark.parametrize("t_ref_ms", [0.0, 0.1, 2.0])
def test_cells_that_fire_as_fast_as_they_can_overrun_nothing(t_ref_ms: float) -> None:
    cell = {"t_ref_ms": t_ref_ms, "v_reset_mV": -65.0}
    fastest = {"dc_mV": 1e6, "v_init_mV": 0.0, "cell": cell}
    circuit = small_net("delta", E=fastest, I=fastest)
    n_steps = 1000
    spikes = kernel_engine.simulate(circuit, duration_ms=n_steps * DT, seed=1, n_threads=2)
    every = round(t_ref_ms / DT) + 1
    np.testing.assert_array_equal(spikes.counts, math.ceil(n_steps / every))
    assert set(np.unique(spikes.ticks % every)) == {0}


def test_sums_beyond_16_bits_are_exact() -> None:
    values = {
        "cell": {
            "tau_m_ms": 10.0,
            "e_leak_mV": 0.0,
            "v_threshold_mV": 1000.0,
            "v_reset_mV": 0.0,
            "t_ref_ms": 2.0,
        },
        "synapse": {"model": "delta"},
        "populations": {
            "loud": {"size": 3000, "v_init_mV": 1000.0, "cell": {"tau_m_ms": 1e9}},
            "heard": {
                "size": 2,
                "v_init_mV": 0.0,
                "cell": {"tau_m_ms": 1e9, "v_threshold_mV": 3e5},
            },
        },
        "projections": {
            "all": {
                "pre": "loud",
                "post": "heard",
                "probability": 1.0,
                "multapses": False,
                "weight_mV": 100.0,
                "delay_ms": 1.0,
            },
            "one": {
                "pre": "loud",
                "post": "loud",
                "in_degree": 1,
                "weight_mV": 1.0,
                "delay_ms": 1.0,
            },
        },
    }  # 3,000 spikes of 100 quanta at once: 300,000 quanta, just the threshold
    circuit = circuits.resolve(recipes.build(CircuitSpec, values, what="circuit"))
    spikes = kernel_engine.simulate(
        circuit, duration_ms=2.0, seed=1, exact_weights=True
    ).population("heard")
    assert spikes.ticks.tolist() == [10, 10]


# --------------------------------------------------------------------------------------------------
# weights
def test_the_quantum_of_the_recipes() -> None:
    micro = circuits.resolve(circuits.load("potjans2014"))
    assert kernel_engine.weight_quantum(micro) == pytest.approx(87.81 / 22, rel=1e-4)
    ai = circuits.resolve(circuits.load("brunel2000_ai"))
    assert kernel_engine.weight_quantum(ai, exact=True) == pytest.approx(0.1)
    si = circuits.resolve(circuits.load("brunel2000_si"))
    assert kernel_engine.weight_quantum(si, exact=True) == pytest.approx(0.05)  # g = 4.5
    with pytest.raises(
        ValueError, match="the weights of this circuit are random; leave exact_weights out"
    ):
        kernel_engine.weight_quantum(micro, exact=True)


def test_rounding_is_bounded_or_refused() -> None:
    net = small_net("delta")

    def with_weights(*weights: float) -> Circuit:
        pairs = zip(net.projections, weights, strict=False)
        return replace(net, projections=tuple(replace(p, pre=0, weight=w) for p, w in pairs))

    odd = with_weights(1.0, math.sqrt(2), -math.pi)
    quantum = kernel_engine.weight_quantum(odd)
    for w in (1.0, math.sqrt(2), math.pi):
        assert abs(round(w / quantum) * quantum / w - 1) < 0.01
        assert round(w / quantum) <= 127
    with pytest.raises(ValueError, match="not multiples of one quantum"):
        kernel_engine.weight_quantum(odd, exact=True)
    with pytest.raises(
        ValueError,
        match="cannot be whole multiples of one quantum within 1% in 8 bits; use another engine",
    ):
        kernel_engine.weight_quantum(with_weights(1.0, 200.0, -1.0))
    with pytest.raises(ValueError, match="from 1 to 60 cannot be whole multiples"):
        kernel_engine.weight_quantum(with_weights(1.0, 60.0, -1.3))


# --------------------------------------------------------------------------------------------------
# noise
MEANS = [1e-6, 5e-6, 1e-5, 1e-4, 1e-3, 0.05, 0.3, 1.28, 2.0, 12.5, 40.0, 100.0, 300.0, 20_000.0]


@pytest.mark.parametrize("mean", MEANS)
def test_the_tables_hold_the_distribution(mean: float) -> None:
    table = poisson.poisson_table(mean)
    held, k = table.probabilities(), np.arange(table.most + 1)
    expected = stats.poisson.pmf(k, mean)
    assert np.abs(held - expected).sum() + stats.poisson.sf(table.most, mean) < 1e-10
    assert (held * k).sum() == pytest.approx(mean, rel=1e-9)
    # exact in proportion too, as far as the counts come at all
    likely = expected > 1e-12
    np.testing.assert_allclose(held[likely], expected[likely], rtol=1e-6, atol=1e-16)


@pytest.mark.parametrize("mean", [5e-6, 0.3, 12.5, 100.0])
def test_every_lane_has_the_count_that_the_table_says(mean: float) -> None:
    table = poisson.poisson_table(mean)
    states = np.random.default_rng(2).integers(1, 1 << 63, 16384, dtype=np.uint64)
    counts = np.zeros(65536, np.int16)
    lanes = states.view(np.int16)
    poisson.poisson(states, lanes, table.arrays, np.int32(1), counts)
    again = lanes < table.again
    assert again.any()
    expected = table.least + (lanes[:, None] > table.thresholds).sum(axis=1)
    np.testing.assert_array_equal(counts[~again], expected[~again])


@pytest.mark.parametrize("mean", [0.3, 12.5, 100.0])
def test_lanes_that_are_drawn_again_have_the_rest(mean: float) -> None:
    table = poisson.poisson_table(mean)
    # as if every lane were drawn again
    arrays = (np.int16(0), np.full(12, poisson.NEVER), poisson.NEVER, table.rest)
    states = np.random.default_rng(3).integers(1, 1 << 63, 50_000, dtype=np.uint64)
    counts = np.zeros(200_000, np.int16)
    poisson.poisson(states, states.view(np.int16), arrays, np.int32(1), counts)
    cumulative = np.append(table.rest.astype(float) / 2.0**64, 1.0)
    expected = counts.size * np.diff(cumulative, prepend=0.0)
    enough = expected > 20
    seen = np.bincount(counts, minlength=expected.size)[enough]
    assert (
        stats.chisquare(seen, expected[enough] * seen.sum() / expected[enough].sum()).pvalue > 1e-3
    )
    pairs = (counts - counts.mean()).reshape(-1, 4) / counts.std()
    between = pairs.T @ pairs / len(pairs)
    assert np.abs(between[~np.eye(4, dtype=bool)]).max() < 4 / math.sqrt(len(pairs))


def drawn(mean: float, n_steps: int) -> np.ndarray:
    table = poisson.poisson_table(mean)
    states = np.random.default_rng(1).integers(1, 1 << 63, 128, dtype=np.uint64)
    counts = np.zeros((n_steps, 512), np.int16)
    for row in counts:
        poisson.poisson(states, states.view(np.int16), table.arrays, np.int32(1), row)
    return counts


@pytest.mark.parametrize("mean", [1e-6, 5e-6, 5e-5, 1e-3])
def test_rare_external_spikes_come_as_often_as_they_should(mean: float) -> None:
    n_steps = 40_000
    expected = mean * 512 * n_steps  # 20 spikes and more
    assert abs(drawn(mean, n_steps).sum() - expected) < 4 * math.sqrt(expected)


@pytest.mark.parametrize("mean", [0.001, 0.3, 1.28, 2.0, 12.5, 100.0, 300.0])
def test_external_counts_are_poisson(mean: float) -> None:
    counts = drawn(mean, 1000)
    n = counts.size
    assert abs(counts.mean() - mean) < 4 * math.sqrt(mean / n)
    k = np.arange(counts.max() + 1)
    expected = n * stats.poisson.pmf(k, mean)
    enough = expected > 20
    seen = np.bincount(counts.ravel())[enough]
    assert (
        stats.chisquare(seen, expected[enough] * seen.sum() / expected[enough].sum()).pvalue > 1e-3
    )
    if mean > 0.1:  # no correlation between cells, also those of one state, nor between steps
        centred = (counts - counts.mean()) / counts.std()
        between = centred.T @ centred / 1000
        assert np.abs(between[~np.eye(512, dtype=bool)]).max() < 6 / math.sqrt(1000)
        for lag in (1, 2, 3):
            assert abs((centred[lag:] * centred[:-lag]).mean()) < 4 / math.sqrt(n)
        for lag in (1, 2, 3, 4):
            assert abs((centred[:, lag:] * centred[:, :-lag]).mean()) < 4 / math.sqrt(n)


@pytest.mark.parametrize("rate_hz", [0.05, 0.1, 10.0])
def test_a_slow_drive_runs_at_its_rate(rate_hz: float) -> None:
    # each external spike makes one spike of the cell
    circuit = circuits.resolve(circuits.load("brunel2000_ai"))
    n_cells = 20_000
    driven = replace(
        circuit.populations[0],
        size=n_cells,
        v_init_mV=0.0,
        v_init_sd_mV=0.0,
        drive_rate_hz=rate_hz,
        drive_weight=100.0,
        cell=circuit.populations[0].cell.model_copy(update={"v_reset_mV": 0.0, "t_ref_ms": 0.0}),
    )
    alone = replace(circuit, populations=(driven,), projections=())
    spikes = kernel_engine.simulate(alone, duration_ms=1000.0, seed=1)
    expected = n_cells * rate_hz
    assert abs(len(spikes) - expected) < 4 * math.sqrt(expected)


def test_too_much_noise_is_refused() -> None:
    with pytest.raises(
        ValueError, match="at most 20000 spikes a step, got 30000; use smaller steps"
    ):
        poisson.poisson_table(30_000.0)


def test_the_former_thresholds_are_refused_by_name() -> None:
    with pytest.raises(NotImplementedError, match=r"circuit.poisson.poisson_table"):
        kernel_engine.poisson_thresholds(5e-6)


# --------------------------------------------------------------------------------------------------
# theory
@pytest.mark.parametrize("mean_mV", [22.0, 25.0])
def test_rates_of_unconnected_cells_follow_siegert(mean_mV: float) -> None:
    circuit = circuits.resolve(circuits.load("brunel2000_ai"))
    jump_mV, tau_s = 0.02, 20e-3  # jumps so small that the noise is as white as Siegert's
    rate_hz = mean_mV / (jump_mV * tau_s)
    driven = tuple(
        replace(p, drive_rate_hz=rate_hz, drive_weight=jump_mV) for p in circuit.populations
    )
    spikes = kernel_engine.simulate(
        replace(circuit, populations=driven, projections=()), duration_ms=700.0, seed=1
    )
    measured_hz = len(spikes.between(200.0, 700.0)) / circuit.n_units / 0.5
    sigma_mV = jump_mV * math.sqrt(tau_s * rate_hz)
    # a threshold that is looked at once a step is crossed late, as if it stood higher by 0.5826
    # sigma sqrt(dt / tau)
    late_mV = 0.5826 * sigma_mV * math.sqrt(DT / 20.0)
    cell = LIF(
        tau_m_ms=20.0, e_leak_mV=0.0, v_threshold_mV=20.0 + late_mV, v_reset_mV=10.0, t_ref_ms=2.0
    )
    assert measured_hz == pytest.approx(float(siegert_rate(mean_mV, sigma_mV, cell)), rel=0.015)


def test_brunel_network_fires_at_its_mean_field_rate() -> None:
    circuit = circuits.resolve(circuits.load("brunel2000_ai"))
    spikes = kernel_engine.simulate(circuit, duration_ms=500.0, seed=1).between(200.0, 500.0)
    assert len(spikes) / 12_500 / 0.3 == pytest.approx(
        37.95, rel=0.03
    )  # Brunel 2000; simulated elsewhere: 37.1 to 37.8


REFERENCE_HZ = (0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829)  # the authors' run


@pytest.mark.slow
def test_the_full_microcircuit_fires_at_the_reference_rates() -> None:
    circuit = circuits.resolve(circuits.load("potjans2014"))
    rates = []
    for seed in range(1, 6):
        spikes = kernel_engine.simulate(circuit, duration_ms=2200.0, seed=seed).between(
            200.0, 2200.0
        )
        rates.append([len(spikes.population(p.name)) / p.size / 2.0 for p in circuit.populations])
    np.testing.assert_allclose(np.mean(rates, axis=0), REFERENCE_HZ, rtol=0.04)


def test_progress_goes_up_to_the_end() -> None:
    seen: list[float] = []
    kernel_engine.simulate(
        small_net("delta"), duration_ms=60.0, seed=1, progress=lambda done, text: seen.append(done)
    )
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_threads": 0}, "n_threads must be >= 1, got 0"),
        ({"duration_ms": 1.05}, "duration_ms must be a whole multiple of dt_ms=0.1, got 1.05"),
        ({"seed": -1}, "seed must be >= 0, got -1"),
    ],
)
def test_refuses_in_one_sentence(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernel_engine.simulate(small_net("delta"), **{"duration_ms": 10.0, "seed": 1, **arguments})
