"""Settings of a simulation, checked before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from neurosparse import recipes
from neurosparse._internal import checks
from neurosparse._internal import whole_files as files
from neurosparse._internal.sizes import MOST_SEEDS
from neurosparse._internal.types import Fields
from neurosparse.activity import SpikeTrains
from neurosparse.progress import Progress
from neurosparse.recipes import Seed, Spec
from neurosparse.spiking import engines

MARKER = "comparison.json"

Runner = Callable[[int, Progress], SpikeTrains]  # the spikes of a seed


class SimulationSpec(Spec):
    """Settings of a simulation.

    Parameters
    ----------
    recipe
        Name or path of a recipe of kind "circuit" or "population".
    seconds
        Biological time to record, after a warm-up.
    seeds
        One run each; the first is the one that is drawn and kept.
    engine
        "kernel", "brian2", "nest" or one that was registered; "auto" is the kernel for circuits and
        Brian2 for populations.
    scale
        Below 1: a smaller circuit, which is another circuit, and says so.
    n_threads
        Of engines that take it (kernel, nest); as many as there are cores where not given.
    exact_weights
        Refuse a circuit whose weights the kernel would round.
    window_ms
        The window in which a neuron must fire to be active, where one number is wanted.
    settings
        Values of the recipe to replace, by their dotted names.
    """

    recipe: str
    seconds: Annotated[float, Field(gt=0)] = 2.0
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=MOST_SEEDS)] = (1,)
    engine: str = "auto"
    scale: Annotated[float, Field(gt=0, le=1)] = 1.0
    n_threads: Annotated[int, Field(ge=1)] | None = None
    exact_weights: bool = False
    window_ms: Annotated[float, Field(gt=0)] = 10.0
    settings: Fields = Field(default_factory=dict)

    @field_validator("engine")
    @classmethod
    def _is_an_engine(cls, value: str) -> str:
        engines.resolve(value)
        return value


def check(spec: SimulationSpec, directory: Path, spikes_format: str = "npz") -> Runner:
    """Refuse what cannot run or be written before any work, and return what simulates a seed."""
    from neurosparse.spiking import CircuitSpec, PopulationSpec, run_circuit, simulate_population

    checks.instance("spec", spec, SimulationSpec)
    if spikes_format not in ("npz", "nwb"):
        raise ValueError(f'spikes_format must be "npz" or "nwb", got {spikes_format!r}')
    if spec.window_ms > 1e3 * spec.seconds:
        recorded_ms = 1e3 * spec.seconds
        raise ValueError(
            f"window_ms must be at most the {recorded_ms:g} ms that are recorded, got"
            f" {spec.window_ms:g}"
        )
    recipe = recipes.load(spec.recipe)
    if recipe.kind == "circuit":
        circuit = recipe.spec(CircuitSpec, **spec.settings)
        engines.ready(spec.engine)

        def simulate_circuit(seed: int, progress: Progress) -> SpikeTrains:
            return run_circuit(
                circuit,
                seconds=spec.seconds,
                seed=seed,
                engine=spec.engine,
                scale=spec.scale,
                n_threads=spec.n_threads,
                exact_weights=spec.exact_weights,
                progress=progress,
            )

        result: Runner = simulate_circuit
    elif recipe.kind == "population":
        if (
            spec.engine not in ("auto", "brian2")
            or spec.scale != 1
            or spec.n_threads not in (None, 1)
        ):
            raise ValueError(
                f"recipe {recipe.name!r} is a population: it runs on engine brian2 at scale 1 on"
                " one thread; set its sizes instead"
            )
        population = recipe.spec(PopulationSpec, **spec.settings)

        def simulate(seed: int, progress: Progress) -> SpikeTrains:
            return simulate_population(
                population, duration_ms=1e3 * spec.seconds, seed=seed, progress=progress
            )

        result = simulate
    else:
        raise ValueError(
            f'recipe {recipe.name!r} is of kind {recipe.kind!r}; one of kind "circuit" or'
            ' "population" is needed'
        )
    files.check_writable(directory, marker=MARKER)
    return result
