"""The kernel engine beside the other engines, on a circuit in which nothing is random."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from neurosparse import recipes
from neurosparse.spiking import circuit as circuits
from neurosparse.spiking import kernel_engine, nest_engine
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
    from neurosparse.spiking import brian_circuit

    circuit = all_to_all(model)
    ours = kernel_engine.simulate(circuit, duration_ms=300.0, seed=1)
    theirs = brian_circuit.simulate(circuit, duration_ms=300.0, seed=1)
    assert len(ours) > 150
    np.testing.assert_array_equal(ours.ticks, theirs.ticks)
    np.testing.assert_array_equal(ours.units, theirs.units)


def test_says_how_to_install_nest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nest", None)
    with pytest.raises(
        ImportError, match=r"the engine 'nest' needs NEST: install it with `pip install nest-simulator==3.10`"
    ):
        nest_engine.simulate(all_to_all("delta"), duration_ms=10.0, seed=1)
    with pytest.raises(ImportError, match="needs NEST"):
        run_circuit(circuits.load("brunel2000_ai"), seconds=0.01, seed=1, engine="nest")
