"""The kernel engine beside the other engines, on a circuit in which nothing is random."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from neurosparse import recipes, simulation
from neurosparse.activity import SpikeTrains
from neurosparse.recordings import MissingPackageError
from neurosparse.spiking import brian_circuit, kernel_engine, nest_engine
from neurosparse.spiking import circuit as circuits
from neurosparse.spiking.circuit import Circuit, CircuitSpec
from neurosparse.spiking.simulate import run_circuit


def all_to_all(model: str) -> Circuit:
    """Eight populations of three cells, each from its own potential, all connected with all: the same in every engine.

    `benchmarks/nest_agreement.py` runs it in NEST, spike for spike.
    """

    def weight(jumps: float) -> dict[str, float]:
        return {"weight_mV": 0.25 * jumps} if model == "delta" else {"weight_pA": 30.0 * jumps}

    names = [f"p{i}" for i in range(8)]
    pairs = {"post": names, "probability": 1.0, "multapses": False}
    values = {
        "cell": {
            "tau_m_ms": 10.0,
            "e_leak_mV": -65.0,
            "v_threshold_mV": -50.0,
            "v_reset_mV": -60.0,
            "t_ref_ms": 2.0,
            "capacitance_pF": 250.0,
        },
        "synapse": {"model": model} | ({"tau_syn_ms": 0.5} if model == "exponential" else {}),
        "populations": {
            name: {"size": 3, "v_init_mV": -64.0 + i, "dc_mV": 14.5 + 0.7 * i, "cell": {"t_ref_ms": (0.5, 2.0)[i % 2]}}
            for i, name in enumerate(names)
        },
        "projections": {
            "excitatory": {"pre": names[:5], "delay_ms": 1.5, **pairs, **weight(1)},
            "inhibitory": {"pre": names[5:], "delay_ms": 0.2, **pairs, **weight(-2)},
        },
    }
    return circuits.resolve(recipes.build(CircuitSpec, values, what="circuit"))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["delta", "exponential"])
def test_equals_brian2_spike_for_spike(model: str) -> None:
    circuit = all_to_all(model)
    ours = kernel_engine.simulate(circuit, duration_ms=300.0, seed=1)
    theirs = brian_circuit.simulate(circuit, duration_ms=300.0, seed=1)
    assert len(ours) > 150
    np.testing.assert_array_equal(ours.ticks, theirs.ticks)
    np.testing.assert_array_equal(ours.units, theirs.units)


def test_says_how_to_install_nest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "nest", None)
    says = r"the engine 'nest' needs nest, which is not installed: pip install 'neurosparse\[nest\]'"
    with pytest.raises(MissingPackageError, match=says):
        nest_engine.simulate(all_to_all("delta"), duration_ms=10.0, seed=1)
    with pytest.raises(ValueError, match=says):
        simulation.check(simulation.SimulationSpec(recipe="brunel2000_ai", engine="nest"), tmp_path / "out")


def test_processes_of_an_mpi_run_share_their_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ranks that hold three and no events; NEST itself is not needed for it."""
    ranks = [np.array([2, 5, 11]), np.array([], dtype=np.int64)]

    class World:
        def allgather(self, size: int) -> list[int]:
            assert size == ranks[0].size
            return [events.size for events in ranks]

        def Allgatherv(self, events: np.ndarray, into: list[object]) -> None:
            whole, sizes = into
            assert sizes == [3, 0]
            np.concatenate([events, ranks[1]], out=whole)

    monkeypatch.setitem(sys.modules, "mpi4py", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", SimpleNamespace(COMM_WORLD=World()))
    for n, expected in ((1, ranks[0]), (2, np.concatenate(ranks))):
        nest = SimpleNamespace(NumProcesses=lambda n=n: n)
        np.testing.assert_array_equal(nest_engine._of_all_processes(nest, ranks[0]), expected)


def test_threads_and_exact_weights_reach_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the two engines that take threads, and for the one that rounds; Brian2 refuses threads, and rounds nothing."""
    spec, asked = circuits.load("brunel2000_ai"), {}

    def simulate(circuit: Circuit, **options: object) -> SpikeTrains:
        asked.update(options)
        return SpikeTrains([], [], n_units=circuit.n_units, duration_ms=10.0, dt_ms=0.1)

    for engine in (kernel_engine, nest_engine, brian_circuit):
        monkeypatch.setattr(engine, "simulate", simulate)
    for engine, expected in (
        ("kernel", {"n_threads": 2, "exact_weights": True}),
        ("nest", {"n_threads": 2}),
        ("brian2", {}),
    ):
        asked.clear()
        n_threads = expected.get("n_threads")
        run_circuit(spec, seconds=0.01, seed=1, warm_up_ms=0.0, engine=engine, n_threads=n_threads, exact_weights=True)
        assert {key: asked[key] for key in asked if key in ("n_threads", "exact_weights")} == expected
    with pytest.raises(ValueError, match="n_threads is for the engines kernel and nest, got 2 for brian2"):
        run_circuit(spec, seconds=0.01, seed=1, engine="brian2", n_threads=2)
    with pytest.raises(ValueError, match="n_threads must be >= 1, got 0"):
        run_circuit(spec, seconds=0.01, seed=1, n_threads=0)
