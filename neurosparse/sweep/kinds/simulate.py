"""Runs that simulate a circuit or a population: its spikes, and how sparse each population is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurosparse import recipes
from neurosparse._internal.types import Fields
from neurosparse.activity import ActiveWhen
from neurosparse.progress import Progress
from neurosparse.recipes import Recipe

if TYPE_CHECKING:
    from neurosparse.store import Row, RunLock

SPIKES = "spikes.npz"
# settings of the simulation; all others are of the recipe
_OURS = ("seconds", "engine", "scale", "window_ms")


def resolve(recipe: Recipe, settings: Fields, seed: int) -> Fields:
    """Return all that is asked for, as plain values.

    ValueError where recipe and settings do not fit together.
    """
    from neurosparse.simulation.spec import SimulationSpec
    from neurosparse.spiking import CircuitSpec, PopulationSpec, engines

    if recipe.kind not in ("circuit", "population"):
        raise ValueError(
            f'recipe {recipe.name!r} is of kind {recipe.kind!r}; one of kind "circuit" or'
            ' "population" is needed'
        )
    ours = {name: value for name, value in settings.items() if name in _OURS}
    theirs = {name: value for name, value in settings.items() if name not in _OURS}
    simulation = recipes.build(
        SimulationSpec, {"recipe": recipe.name, "seeds": (seed,), **ours}, what="simulate"
    )
    if recipe.kind == "population" and (
        simulation.engine not in ("auto", "brian2") or simulation.scale != 1
    ):
        raise ValueError(
            f"recipe {recipe.name!r} is a population: it runs on engine brian2 at scale 1"
        )
    spec = recipe.spec(CircuitSpec if recipe.kind == "circuit" else PopulationSpec, **theirs)
    return {
        recipe.kind: spec.model_dump(mode="json"),
        "seconds": simulation.seconds,
        "window_ms": simulation.window_ms,
        "seed": seed,
        **(
            {"engine": engines.resolve(simulation.engine), "scale": simulation.scale}
            if recipe.kind == "circuit"
            else {}
        ),
    }


def modules(spec: Fields) -> list[str]:
    """Return the modules that a spec names: the one of its engine."""
    from neurosparse.spiking import engines

    return [engines.registry.home(spec["engine"])] if "engine" in spec else []


def run(spec: Fields, lock: RunLock, device: str, progress: Progress) -> list[Row]:
    """Simulate and keep the spikes. A row for all cells and one for each population."""
    from neurosparse.recordings.npz import write_npz
    from neurosparse.simulation.rows import population_rows
    from neurosparse.spiking import (
        CircuitSpec,
        PopulationSpec,
        engines,
        run_circuit,
        simulate_population,
    )

    if "circuit" in spec:
        # the other cores have other runs
        n_threads = 1 if engines.takes(spec["engine"], "n_threads") else None
        spikes = run_circuit(
            CircuitSpec.model_validate(spec["circuit"]),
            seconds=spec["seconds"],
            seed=spec["seed"],
            engine=spec["engine"],
            n_threads=n_threads,
            scale=spec["scale"],
            progress=progress,
        )
    else:
        population = PopulationSpec.model_validate(spec["population"])
        spikes = simulate_population(
            population, duration_ms=1e3 * spec["seconds"], seed=spec["seed"], progress=progress
        )
    write_npz(spikes, lock.folder / SPIKES)
    rows = population_rows(spikes, ActiveWhen(window_ms=spec["window_ms"]), seed=spec["seed"])
    return [{k: v for k, v in row.to_dict().items() if k != "seed"} for row in rows]
