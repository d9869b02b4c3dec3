"""Run a circuit recipe on an engine: one function, the same spikes' form from each."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurosparse import recipes
from neurosparse._internal import checks
from neurosparse._internal.grid import on_grid
from neurosparse._internal.names import did_you_mean
from neurosparse._internal.types import Fields
from neurosparse.activity import SpikeTrains
from neurosparse.progress import Progress, check_progress, quiet
from neurosparse.spiking import circuit as circuits
from neurosparse.spiking import engines
from neurosparse.spiking.circuit import CircuitSpec
from neurosparse.spiking.circuit_specs import ELSEWHERE
from neurosparse.spiking.plain_circuit import Circuit
from neurosparse.spiking.scaling import scaled


def simulate(
    what: Any,
    *,
    seconds: float,
    seed: int = 1,
    engine: str = "auto",
    settings: Mapping[str, object] | None = None,
    progress: Progress = quiet,
    **options: Any,
) -> SpikeTrains:
    """Simulate a circuit or a population and return the spikes of all its cells.

    Parameters
    ----------
    what : str, Path, CircuitSpec, PopulationSpec or Circuit
        A recipe of kind "circuit" or "population" by its name or path, one that was loaded, or a
        circuit made in Python.
    seconds
        Biological time to record, after the warm-up.
    seed
        Of everything that is drawn. Same seed, same engine: same spikes.
    engine
        As for `run_circuit`; "auto" is the kernel for circuits and Brian2, the only one, for
        populations.
    settings
        Values of the recipe to replace, by their dotted names.
    progress
        Told how far the simulation is.
    **options
        Of circuits: `scale`, `dt_ms`, `warm_up_ms`, `n_threads`, `exact_weights`, as for
        `run_circuit`.

    Returns
    -------
    SpikeTrains
        With the populations under their names.

    Raises
    ------
    ValueError, TypeError
        For what is none of these, options that it does not take, and what does not fit the memory.

    Examples
    --------
    >>> spikes = simulate("brunel2000_ai", seconds=0.1, seed=1, scale=0.2)  # doctest: +SKIP
    """
    from neurosparse.spiking.population import PopulationSpec, simulate_population

    known = [*inspect.signature(run_circuit).parameters][1:]
    for name in options:
        if name not in known:
            hint = did_you_mean(name, known) or f"; there are: {', '.join(known)}"
            raise TypeError(f"simulate takes no {name!r}{hint}")
    check_progress(progress)
    if settings is not None:
        checks.instance("settings", settings, Mapping, 'such as {"dt_ms": 0.2}')
    if isinstance(what, str | Path):
        recipe = recipes.load(what)
        kinds: Fields = {"circuit": CircuitSpec, "population": PopulationSpec}
        if recipe.kind not in kinds:
            raise ValueError(
                f"recipe {recipe.name!r} is of kind {recipe.kind!r}; simulate takes circuits and"
                " populations"
            )
        what = recipe.spec(kinds[recipe.kind], **(settings or {}))
    elif settings:
        raise ValueError("settings replace values of a recipe that is given by its name or path")
    if isinstance(what, CircuitSpec | Circuit):
        return run_circuit(
            what, seconds=seconds, seed=seed, engine=engine, progress=progress, **options
        )
    if not isinstance(what, PopulationSpec):
        raise TypeError(
            f"simulate takes a recipe or a circuit, got {checks.kind_of(what)}: {ELSEWHERE}"
        )
    if engine not in ("auto", "brian2") or options:
        asked = f"engine={engine!r}" if engine not in ("auto", "brian2") else next(iter(options))
        raise ValueError(
            f"{asked} is for circuits; a population runs in Brian2, with the values of its recipe"
        )
    return simulate_population(
        what,
        duration_ms=checks.positive("seconds", seconds) * 1e3,
        seed=seed,
        progress=progress,
    )


def run_circuit(
    spec: CircuitSpec | Circuit,
    *,
    seconds: float,
    seed: int,
    engine: str = "kernel",
    scale: float = 1.0,
    dt_ms: float = 0.1,
    warm_up_ms: float = 200.0,
    n_threads: int | None = None,
    exact_weights: bool = False,
    progress: Progress = quiet,
) -> SpikeTrains:
    """Simulate a circuit and return the spikes of all its cells.

    Parameters
    ----------
    spec
        A circuit as a recipe says it, or in plain numbers.
    seconds
        Biological time to record.
    seed
        Of connections, weights, delays, initial potentials and Poisson input. Same seed, same
        engine: same spikes.
    engine
        "kernel" (numba; the full microcircuit on one machine), "brian2", "nest", or one that was
        registered (`neurosparse.spiking.engines`); "auto" is the kernel.
    scale
        Below 1 the circuit is scaled down, with a warning: see `scaling.scaled`.
    dt_ms
        The step.
    warm_up_ms
        Simulated first and discarded.
    n_threads
        Of engines that take it (kernel, nest); as many as there are cores where not given.
    exact_weights
        Refuse a circuit whose weights the kernel would round (see `engines.kernel`); the other
        engines round none.
    progress
        Told how far the simulation is.

    Returns
    -------
    SpikeTrains
        Times on the grid of dt_ms, counted from the end of the warm-up; populations under their
        names, in recipe order.

    Raises
    ------
    ValueError, TypeError
        On an unknown engine, times that are not positive or not on the grid, and threads for
        Brian2, which runs on one.
    MissingPackageError
        Where the engine is not installed.

    Examples
    --------
    >>> spikes = run_circuit(load("brunel2000_ai"), seconds=0.1, seed=1)  # doctest: +SKIP
    """
    remedy = "neurosparse.spiking.circuit.load(name) gives one, and simulate takes the name"
    checks.instance("spec", spec, (CircuitSpec, Circuit), remedy)
    check_progress(progress)
    engine = engines.resolve(engine)
    dt_ms, seconds = checks.positive("dt_ms", dt_ms), checks.positive("seconds", seconds)
    duration_ms = seconds * 1e3
    steps = on_grid("seconds * 1e3", duration_ms, dt_ms)
    warm_up_steps = on_grid("warm_up_ms", checks.not_negative("warm_up_ms", warm_up_ms), dt_ms)
    if steps < 1:
        raise ValueError(f"seconds must be at least one step of dt_ms={dt_ms:g}, got {seconds:g}")
    seed = checks.seed(seed)
    options: Fields = {}
    if exact_weights and engines.takes(engine, "exact_weights"):
        options["exact_weights"] = True
    if n_threads is not None:
        if not engines.takes(engine, "n_threads"):
            raise ValueError(
                f"n_threads is for engines such as kernel and nest, got {n_threads} for {engine},"
                " which runs on one"
            )
        options["n_threads"] = checks.whole("n_threads", n_threads)
    plain = spec if isinstance(spec, Circuit) else circuits.resolve(spec)
    circuit = scaled(plain, scale)
    spikes = engines.registry.get(engine).simulate(
        circuit,
        duration_ms=(warm_up_steps + steps) * dt_ms,
        seed=seed,
        dt_ms=dt_ms,
        progress=progress,
        **options,
    )
    return (
        spikes.between(warm_up_steps * dt_ms, (warm_up_steps + steps) * dt_ms)
        if warm_up_steps
        else spikes
    )
