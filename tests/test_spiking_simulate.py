"""`ns.simulate`: recipes and circuits made in Python, through one door."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurosparse as ns
from neurosparse.spiking import (
    CellSpec,
    Circuit,
    Population,
    Projection,
    load_population,
    run_circuit,
)
from neurosparse.spiking.circuit import load, resolve

CELL = CellSpec(
    tau_m_ms=20.0, e_leak_mV=0.0, v_threshold_mV=20.0, v_reset_mV=10.0, t_ref_ms=2.0,
    capacitance_pF=250.0,
)  # fmt: skip


def circuit(**changes: Any) -> Circuit:
    driven = Population("E", 60, CELL, v_init_mV=10.0, v_init_sd_mV=3.0, dc_mV=24.0)
    follows = Population("I", 40, CELL, v_init_mV=0.0)
    synapses = Projection(0, 1, rule="in_degree", number=30, weight=1.0, delay_ms=1.5)
    return Circuit(**{
        "synapse": "delta", "tau_syn_ms": None, "populations": (driven, follows),
        "projections": (synapses,), **changes,
    })  # fmt: skip


def same(a: ns.SpikeTrains, b: ns.SpikeTrains) -> bool:
    return np.array_equal(a.ticks, b.ticks) and np.array_equal(a.units, b.units)


def test_a_circuit_made_in_python_fires_as_theory_says() -> None:
    spikes = ns.simulate(circuit(), seconds=0.5, seed=3)
    assert spikes.populations == {"E": (0, 60), "I": (60, 100)}
    rate_hz = len(spikes.population("E")) / 60 / 0.5
    assert rate_hz == pytest.approx(1e3 / (2 + 20 * np.log(14 / 4)), rel=0.02)  # alone, under dc
    assert len(spikes.population("I")) > 100  # driven by the others alone
    stats = ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=10))
    assert 0 < stats.active_fraction < 1
    silent = ns.simulate(circuit(projections=()), seconds=0.5, seed=3)
    assert len(silent.population("I")) == 0


@pytest.mark.parametrize("engine", ["kernel", "brian2"])
def test_engines_take_the_same_circuit(engine: str) -> None:
    spikes = ns.simulate(circuit(), seconds=0.3, seed=3, engine=engine, warm_up_ms=0.0, dt_ms=0.1)
    assert len(spikes.population("E")) / 60 / 0.3 == pytest.approx(37, rel=0.1)


def test_a_recipe_by_its_name_is_the_circuit_that_it_resolves_to(tmp_path) -> None:
    settings = {"populations.E.size": 400, "populations.I.size": 100}
    settings |= {"projections.excitatory.in_degree": 40, "projections.inhibitory.in_degree": 10}
    spec = load("brunel2000_ai", **settings)
    by_name = ns.simulate("brunel2000_ai", seconds=0.1, seed=2, settings=settings)
    assert same(by_name, ns.simulate(spec, seconds=0.1, seed=2))
    assert same(by_name, ns.simulate(resolve(spec), seconds=0.1, seed=2))
    assert same(by_name, run_circuit(spec, seconds=0.1, seed=2))
    assert not same(by_name, ns.simulate(spec, seconds=0.1, seed=3))


def test_populations_go_through_the_same_door(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, dict[str, Any]]] = []
    monkeypatch.setattr(
        "neurosparse.spiking.population.simulate_population",
        lambda spec, **options: asked.append((spec, options)),
    )
    ns.simulate("cortical_population", seconds=2.0, seed=4)
    ns.simulate(load_population(), seconds=2.0, seed=4, engine="brian2")
    assert asked[0][0] == asked[1][0] == load_population()
    assert asked[0][1]["duration_ms"] == 2000.0
    assert asked[0][1]["seed"] == 4


class Monitor:
    """A stand-in for another simulator's object."""


WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "another object": (Monitor(), {}, "got a Monitor: the engines run .* pass the monitor to neuro"),
    "a recipe of a network": ("rectifier_l1", {}, "is of kind 'network'; simulate takes"),
    "no recipe": ("no_such_recipe", {}, "no_such_recipe"),
    "an engine for a population": (
        "cortical_population", {"engine": "kernel"}, "engine='kernel' is for circuits",
    ),
    "an option for a population": (
        "cortical_population", {"scale": 0.5}, "scale is for circuits; a population runs in Brian2",
    ),
    "settings of a circuit": (circuit(), {"settings": {"a": 1}}, "settings replace values of a rec"),
    "no time": (circuit(), {"seconds": 0.0}, "seconds must be > 0"),
    "no engine": (circuit(), {"engine": "neuron"}, "neuron"),
    "a misspelt option": (circuit(), {"threads": 2}, "^simulate takes no 'threads'; did you mean 'n_"),
    "an option of nobody": (circuit(), {"x": 2}, "^simulate takes no 'x'; there are: seconds, seed"),
    "settings in a list": (
        "cortical_population", {"settings": ["a=1"]}, "^settings must be a dict, got a list",
    ),
    "progress as a switch": (circuit(), {"progress": True}, "^progress must be a function of .* True"),
    "no rates to scale by": (circuit(), {"scale": 0.5}, "mean_rate_hz is needed .* at full scale$"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_refuses_in_one_sentence(name: str) -> None:
    what, options, message = WRONG[name]
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=message) as caught:
        ns.simulate(what, **{"seconds": 0.1, "seed": 1, **options})
    assert "\n" not in str(caught.value)


PARTS: dict[str, tuple[Any, str]] = {
    "no population": (lambda: circuit(populations=()), "populations is empty"),
    "twice the same name": (
        lambda: circuit(populations=(Population("E", 1, CELL, v_init_mV=0.0),) * 2),
        "each population needs a name of its own, got E, E",
    ),
    "no such population": (
        lambda: circuit(projections=(Projection(0, 2, "total", 5, weight=1.0, delay_ms=1.0),)),
        "must be places of the 2 populations, from 0, got 2",
    ),
    "a time constant too many": (
        lambda: circuit(tau_syn_ms=2.0), "^synapse: delta synapses have no tau_syn_ms, got 2: leave",
    ),
    "no time constant": (
        lambda: circuit(synapse="exponential"), "^synapse: exponential synapses need tau_syn_ms",
    ),
    "conductances": (
        lambda: circuit(synapse="conductance"), "^synapse: model must .* got 'conductance': the engi",
    ),
    "one population": (
        lambda: circuit(populations=Population("E", 1, CELL, v_init_mV=0.0)),
        "^populations must be a list, each a Population, got a Population",
    ),
    "one projection": (
        lambda: circuit(projections=Projection(0, 1, "total", 5, weight=1.0, delay_ms=1.0)),
        "^projections must be a list, each a Projection, got a Projection",
    ),
    "a dict": (lambda: circuit(populations={"E": 3}), "^populations must be a list, .* got a dict"),
    "names alone": (lambda: circuit(populations=("E",)), r"^populations\[0\] must be a Population"),
    "texts": (lambda: circuit(projections=("x",)), r"^projections\[0\] must be a Projection, got a"),
    "a name for a place": (
        lambda: Projection("E", 1, "total", 5, weight=1.0, delay_ms=1.0),  # type: ignore[arg-type]
        "^pre must be the place of a population in the circuit's list, 0 for .* got the name 'E'",
    ),
    "a number for a name": (
        lambda: Population(3, 1, CELL, v_init_mV=0.0),  # type: ignore[arg-type]
        "^name must be a string, got an int",
    ),
    "no name": (lambda: Population("", 1, CELL, v_init_mV=0.0), "^name must not be empty"),
    "no cell given": (
        lambda: Population("E", 1, None, v_init_mV=0.0),  # type: ignore[arg-type]
        "^populations.E.cell must be a CellSpec, got None: make one",
    ),
    "another key": (
        lambda: CellSpec(**{**CELL.model_dump(), "g_L": 4.0}),
        r"^CellSpec: unknown key 'g_L'; the keys are tau_m_ms, .* neurosparse.measure\(monitor",
    ),
    "a key misspelt": (
        lambda: CellSpec(**{**CELL.model_dump(), "tau_ms": 4.0}),
        r"^CellSpec: unknown key 'tau_ms'; did you mean 'tau_m_ms'\?$",
    ),
    "no capacitance": (
        lambda: circuit(
            synapse="exponential", tau_syn_ms=2.0,
            populations=(Population(
                "E", 1, CELL.model_copy(update={"capacitance_pF": None}), v_init_mV=0.0),),
        ),
        "capacitance_pF is needed",
    ),
    "no cell": (lambda: Population("E", 0, CELL, v_init_mV=0.0), r"populations.E.size must be >= 1"),
    "a rule": (lambda: Projection(0, 1, "all", 1, weight=1.0, delay_ms=1.0), "rule must be in_deg"),
    "half a synapse": (
        lambda: Projection(0, 1, "total", 2.5, weight=1.0, delay_ms=1.0), "number must be whole",
    ),
    "a probability": (
        lambda: Projection(0, 1, "pairwise", 2, weight=1.0, delay_ms=1.0), "must be a probability",
    ),
    "a delay": (lambda: Projection(0, 1, "total", 2, weight=1.0, delay_ms=0.0), "delay_ms must be"),
    "adaptation": (
        lambda: CellSpec(**{**CELL.model_dump(), "tau_w_ms": 100.0}),
        "tau_w_ms belongs to another kind of cell: the engines run .* pass the monitor to",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_parts_that_do_not_fit_are_refused(name: str) -> None:
    make, message = PARTS[name]
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)
