"""Jobs that are too large are refused with their estimate before anything is allocated."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from neurosparse import transformer
from neurosparse._internal import checks, sizes
from neurosparse.convert import to_spiking
from neurosparse.data import ImageSet, Splits
from neurosparse.rectifier import NetworkSpec, RectifierNetwork, TrainSpec, train
from neurosparse.spiking import load_population, simulate_population
from neurosparse.spiking import sizes as circuit_sizes
from neurosparse.spiking.circuit import CircuitSpec, load, resolve
from neurosparse.spiking.engines import brian2, kernel, nest
from neurosparse.spiking.simulate import run_circuit
from neurosparse.transformer import TransformerSpec, TransformerTrainSpec

HUGE = 10**9


def brunel(**overrides: object) -> CircuitSpec:
    return load("brunel2000_ai", **overrides)


TOO_LARGE = {
    "a population of 1e9": (
        {"populations.E.size": HUGE},
        {},
        r"a circuit of 1e\+09 cells and .* synapses needs about .* TB of memory, .* are there: take",
    ),
    "an in-degree of 1e9": (
        {"projections.excitatory.in_degree": HUGE},
        {},
        r"1.25e\+13 synapses needs about 25 TB of memory",
    ),
    "1e12 seconds": ({}, {"seconds": 1e12}, r"1e\+16 steps with 12,500 cells takes about .* years"),
    "1e300 seconds": ({}, {"seconds": 1e300}, "takes about .* years or more: take at most"),
    "beyond all numbers": ({}, {"seconds": 1.7e308}, r"must be a number of steps .* got inf"),
    "a seed of 2^63": ({}, {"seed": 2**63}, r"seed must be < 2\*\*63, got 9223372036854775808"),
    "a seed of 2^200": ({}, {"seed": 2**200}, r"seed must be < 2\*\*63"),
    "a negative seed": ({}, {"seed": -1}, "seed must be >= 0, got -1"),
}


@pytest.mark.parametrize("engine", ["kernel", "brian2"])
@pytest.mark.parametrize("name", TOO_LARGE)
def test_circuits_that_are_too_large_are_refused_at_once(name: str, engine: str) -> None:
    overrides, options, message = TOO_LARGE[name]
    if engine == "brian2":
        message = message.replace("25 TB", "200 TB")
    spec = brunel(**overrides)
    begin = time.perf_counter()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message) as caught:
            run_circuit(spec, **{"seconds": 1.0, "seed": 1, "engine": engine, **options})
        assert tracemalloc.get_traced_memory()[1] < 2e7
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert time.perf_counter() - begin < 10


def test_numbers_beyond_any_machine_are_refused_by_the_recipe() -> None:
    with pytest.raises(ValueError, match="size"):
        brunel(**{"populations.E.size": 10**40})
    with pytest.raises(ValueError, match="size"):
        load_population(**{"excitatory.size": 10**40})


def test_populations_that_are_too_large_are_refused_at_once() -> None:
    spec = load_population(**{"excitatory.size": HUGE})
    with pytest.raises(ValueError, match=r"needs about .* of memory"):
        simulate_population(spec, duration_ms=100.0, seed=1)
    with pytest.raises(ValueError, match=r"takes about .* years"):
        simulate_population(load_population(), duration_ms=1e15, seed=1)


def test_the_estimate_lies_below_what_the_engine_takes() -> None:
    circuit = resolve(brunel())
    built = kernel.build(circuit, seed=1, n_threads=1)
    taken = built.synapses.words.nbytes + built.synapses.bits.rows.nbytes
    estimated = sum(
        circuit_sizes._bytes(circuit, p, kernel.COSTS.synapse_bytes) for p in circuit.projections
    )
    assert 0.5 * taken < estimated <= 1.05 * taken


def test_many_cells_without_synapses_are_refused_for_their_tables() -> None:
    circuit = resolve(brunel())
    alone = replace(circuit.populations[0], size=1_500_000_000)
    with pytest.raises(ValueError, match=r"1.5e\+09 cells and 0 synapses needs about .* TB"):
        kernel.simulate(
            replace(circuit, populations=(alone,), projections=()), duration_ms=1.0, seed=1
        )


def test_what_fits_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = resolve(load("potjans2014"))  # 3e8 synapses
    for engine in (kernel, brian2, nest):
        monkeypatch.setattr(sizes, "memory_there", lambda: 16 * 10**9)
        circuit_sizes.check(circuit, engine.COSTS, n_steps=100_000, dt_ms=0.1)
    monkeypatch.setattr(sizes, "memory_there", lambda: 4 * 10**8)
    with pytest.raises(
        ValueError, match=r"needs about .* MB of memory, 400 MB are there: take sca"
    ):
        circuit_sizes.check(circuit, kernel.COSTS, n_steps=10, dt_ms=0.1)
    monkeypatch.setattr(sizes, "memory_there", lambda: None)  # unknown: let the machine decide
    wide = replace(circuit.populations[0], size=10**12)
    circuit_sizes.check(
        replace(circuit, populations=(wide,), projections=()), kernel.COSTS, n_steps=1, dt_ms=0.1
    )


def test_networks_that_are_too_large_are_refused_at_once() -> None:
    with pytest.raises(
        ValueError,
        match=r"a network of 784-100000000-10 units needs about .* are there: take small",
    ):
        RectifierNetwork(NetworkSpec(sizes=(784, 10**8, 10)))
    with pytest.raises(ValueError, match=r"seed must be < 2\*\*63"):
        RectifierNetwork(NetworkSpec(sizes=(4, 3, 2)), seed=2**64)


def test_trainings_that_are_too_large_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    images = ImageSet(np.zeros((12, 4), np.float32), np.arange(12) % 2, 2, (4,))
    splits = Splits("toy", images, images, images)
    spec = TrainSpec(network=NetworkSpec(sizes=(4, 1000, 2)), epochs=1)
    small = 4 * (5 * 1000 + 1001 * 2)  # bytes of its weights
    monkeypatch.setattr(sizes, "memory_there", lambda: 2 * small)
    RectifierNetwork(spec.network)  # fits, and its training does not
    with pytest.raises(ValueError, match=r"a training of 4-1000-2 units needs about .* take sm"):
        train(spec, splits, device="cpu")
    monkeypatch.setattr(sizes, "memory_there", lambda: 6 * small)
    train(spec, splits, device="cpu")
    wide = TransformerTrainSpec(network=TransformerSpec(d_model=10**5, heads=1, d_ff=10**5))
    with pytest.raises(ValueError, match="of 3 layers of 100000 and 100000 units needs about"):
        transformer.train(wide, device="cpu")
    with pytest.raises(ValueError, match=r"a transformer of this size needs .* of memory"):
        transformer.CharacterTransformer(wide.network)


class Wide(nn.Module):
    """A few weights and many units."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = nn.Conv2d(1, channels, 1)
        self.b = nn.Conv2d(channels, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.a(x).relu())


def test_runs_that_are_too_large_are_refused_and_calibration_goes_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    model, x = Wide(8), torch.rand(40, 1, 16, 16)
    expected = to_spiking(model, x).scales
    monkeypatch.setattr("neurosparse.convert.network.MOST_VALUES", 5000)  # one input at a time
    spiking = to_spiking(model, x)
    assert all(torch.equal(spiking.scales[name], scale) for name, scale in expected.items())
    with pytest.raises(
        ValueError, match=r"a run of 40 inputs .* run fewer inputs at a time or rec"
    ):
        spiking.run(x, 2**24, record_spikes=True)
    monkeypatch.setattr(sizes, "memory_there", lambda: 10_000)
    with pytest.raises(ValueError, match=r"needs about .* run fewer inputs at a time$"):
        spiking.run(x, 4)
    with pytest.raises(ValueError, match=r"a pass of one input through .* needs about"):
        to_spiking(model, x)


@pytest.mark.parametrize("value", [0, 1, 2**63 - 1])
def test_seeds_are_taken_up_to_their_bound(value: int) -> None:
    assert checks.seed(value) == value
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(2, 30), nn.ReLU(), nn.Linear(30, 1))
    spiking = to_spiking(model, torch.ones(2, 2))
    spiking.run(torch.ones(2, 2), 4, coding="poisson", seed=value)
    with pytest.raises(ValueError, match=r"seed must be < 2\*\*63"):
        spiking.run(torch.ones(2, 2), 4, coding="poisson", seed=2**63)


@pytest.mark.parametrize(
    ("n", "said"), [(3.2e12, "3.2 TB"), (2.5e9, "2.5 GB"), (4e8, "400 MB"), (10, "0.01 kB")]
)
def test_bytes_in_words(n: float, said: str) -> None:
    assert sizes.in_bytes(n) == said


def test_the_memory_of_a_container_counts(tmp_path, monkeypatch) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 300000\nfile 400000\n")
    monkeypatch.setattr(sizes, "_LIMITS", tmp_path)
    assert sizes.memory_there() == 700_000
    (tmp_path / "memory.max").write_text("max\n")
    assert sizes.memory_there() == sizes._of_machine()
