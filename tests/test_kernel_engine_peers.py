"""The kernel engine beside the other engines: spike for spike where nothing is random, in
distribution where all is.
"""

from __future__ import annotations

import functools
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from neurosparse import recipes, simulation
from neurosparse.activity import SpikeTrains
from neurosparse.recordings import MissingPackageError
from neurosparse.sparsity import count_correlation, firing_rates_hz, isi_cv
from neurosparse.spiking import circuit as circuits
from neurosparse.spiking.circuit import Circuit, CircuitSpec
from neurosparse.spiking.engines import brian2 as brian_circuit
from neurosparse.spiking.engines import kernel as kernel_engine
from neurosparse.spiking.engines import nest as nest_engine
from neurosparse.spiking.engines import registry, takes
from neurosparse.spiking.scaling import ScaledCircuitWarning
from neurosparse.spiking.simulate import run_circuit


def all_to_all(model: str) -> Circuit:
    """Eight populations of three cells, each from its own potential, all connected with all: the
    same in every engine.
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
            name: {
                "size": 3,
                "v_init_mV": -64.0 + i,
                "dc_mV": 14.5 + 0.7 * i,
                "cell": {"t_ref_ms": (0.5, 2.0)[i % 2]},
            }
            for i, name in enumerate(names)
        },
        "projections": {
            "excitatory": {"pre": names[:5], "delay_ms": 1.5, **pairs, **weight(1)},
            "inhibitory": {"pre": names[5:], "delay_ms": 0.2, **pairs, **weight(-2)},
        },
    }
    return circuits.resolve(recipes.build(CircuitSpec, values, what="circuit"))


@pytest.fixture(params=[name for name in registry.names() if name != "kernel"])
def peer(request: pytest.FixtureRequest) -> str:
    """The name of another engine: each that there is."""
    if request.param == "nest" and find_spec("nest") is None:
        pytest.skip("NEST is not installed: pip install 'neurosparse[nest]'")
    return request.param


@pytest.mark.slow
@pytest.mark.parametrize("model", ["delta", "exponential"])
def test_equals_another_engine_spike_for_spike(model: str, peer: str) -> None:
    circuit = all_to_all(model)
    ours = kernel_engine.simulate(circuit, duration_ms=300.0, seed=1)
    theirs = registry.get(peer).simulate(circuit, duration_ms=300.0, seed=1)
    assert len(ours) > 150
    np.testing.assert_array_equal(ours.ticks, theirs.ticks)
    np.testing.assert_array_equal(ours.units, theirs.units)


# ---- The microcircuit at a tenth: equal in distribution
# --------------------------------------------------------------------------------------------------

QUANTITIES = ("rate Hz", "CV", "correlation, 2 ms", "correlation, 10 ms")


def measures(spikes: SpikeTrains) -> NDArray[np.float64]:
    """The mean rate in Hz, mean CV of the intervals and mean spike-count correlations of each
    population.

    Returns
    -------
    array of float, shape (4, n_populations)
        In the order of QUANTITIES.
    """
    parts = [spikes.population(name) for name in spikes.populations]
    return np.array(
        [
            [firing_rates_hz(part).mean() for part in parts],
            [np.nanmean(isi_cv(part)) for part in parts],
            *([count_correlation(part, bin_ms) for part in parts] for bin_ms in (2.0, 10.0)),
        ]
    )


def over_seeds(engine: str, *, scale: float, seconds: float, seeds: int) -> NDArray[np.float64]:
    """The measures of the microcircuit on an engine, shape (n_seeds, 4, n_populations)."""
    spec, n_threads = circuits.load("potjans2014"), 1 if takes(engine, "n_threads") else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScaledCircuitWarning)
        return np.array(
            [
                measures(
                    run_circuit(
                        spec,
                        seconds=seconds,
                        seed=s,
                        engine=engine,
                        scale=scale,
                        n_threads=n_threads,
                    )
                )
                for s in range(1, seeds + 1)
            ]
        )


def differences(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Student's t of each measure and population between two engines, from the spread over the
    seeds of both.
    """
    n = len(one)
    spread = np.sqrt((one.var(axis=0, ddof=1) + other.var(axis=0, ddof=1)) / n)
    return (one.mean(axis=0) - other.mean(axis=0)) / spread


@pytest.fixture(scope="module")
def kernel_over_seeds() -> NDArray[np.float64]:
    return over_seeds("kernel", scale=0.1, seconds=2.0, seeds=5)


@pytest.mark.slow
def test_rates_cvs_and_correlations_are_those_of_another_engine(
    peer: str, kernel_over_seeds: NDArray[np.float64]
) -> None:
    theirs = over_seeds(peer, scale=0.1, seconds=2.0, seeds=5)
    t = differences(kernel_over_seeds, theirs)
    assert t.shape == (len(QUANTITIES), 8)
    assert np.abs(t).max() < 5
    assert np.sqrt(np.mean(t**2, axis=1)).max() < 2.5  # 1.15 for independent populations
    kernel, other = (x[:, 0].mean(axis=0) for x in (kernel_over_seeds, theirs))
    np.testing.assert_allclose(kernel, other, rtol=0.1)  # and so that a wide spread hides nothing


# ---- The engines' options
# --------------------------------------------------------------------------------------------------


def test_says_how_to_install_nest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "nest", None)
    says = (
        r"the engine 'nest' needs nest, which is not installed: pip install 'neurosparse\[nest\]'"
    )
    with pytest.raises(MissingPackageError, match=says):
        nest_engine.simulate(all_to_all("delta"), duration_ms=10.0, seed=1)
    with pytest.raises(ValueError, match=says):
        simulation.check(
            simulation.SimulationSpec(recipe="brunel2000_ai", engine="nest"), tmp_path / "out"
        )


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
    """On the two engines that take threads, and for the one that rounds; Brian2 refuses threads,
    and rounds nothing.
    """
    spec, asked = circuits.load("brunel2000_ai"), {}

    def simulate(circuit: Circuit, **options: object) -> SpikeTrains:
        asked.update(options)
        return SpikeTrains([], [], n_units=circuit.n_units, duration_ms=10.0, dt_ms=0.1)

    for engine in (kernel_engine, nest_engine, brian_circuit):  # with the options of each
        asking = functools.wraps(engine.simulate)(
            lambda circuit, **given: simulate(circuit, **given)
        )
        monkeypatch.setattr(engine, "simulate", asking)
    for engine, expected in (
        ("kernel", {"n_threads": 2, "exact_weights": True}),
        ("nest", {"n_threads": 2}),
        ("brian2", {}),
    ):
        asked.clear()
        n_threads = expected.get("n_threads")
        run_circuit(
            spec,
            seconds=0.01,
            seed=1,
            warm_up_ms=0.0,
            engine=engine,
            n_threads=n_threads,
            exact_weights=True,
        )
        assert {
            key: asked[key] for key in asked if key in ("n_threads", "exact_weights")
        } == expected
    with pytest.raises(
        ValueError, match="n_threads is for engines such as kernel and nest, got 2 for brian2"
    ):
        run_circuit(spec, seconds=0.01, seed=1, engine="brian2", n_threads=2)
    with pytest.raises(ValueError, match="n_threads must be >= 1, got 0"):
        run_circuit(spec, seconds=0.01, seed=1, n_threads=0)
