"""A circuit recipe, simulated with one or more seeds and measured population by population, into
one folder.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from neurosparse import recipes
from neurosparse._internal import cards
from neurosparse._internal import whole_files as files
from neurosparse.activity import ActiveWhen, ActivityStats, SpikeTrains
from neurosparse.comparison import BRAIN_FRACTIONS, Comparison, compare
from neurosparse.measurement import measure
from neurosparse.progress import Progress, part_of, quiet
from neurosparse.recipes import Recipe, Spec
from neurosparse.report import environment
from neurosparse.sparsity import count_correlation, synchrony, windows_over_time

if TYPE_CHECKING:
    from neurosparse.report import Panel

MARKER = "comparison.json"
WHOLE = "all"
CORRELATION_BINS_MS = (2.0, 10.0)


class SimulationSpec(Spec):
    """What is simulated.

    Parameters
    ----------
    recipe
        Name or path of a recipe of kind "circuit" or "population".
    seconds
        Biological time to record, after a warm-up.
    seeds
        One run each; the first is the one that is drawn and kept.
    engine
        "kernel", "brian2" or "nest"; "auto" is the kernel for circuits and Brian2 for populations.
    scale
        Below 1: a smaller circuit, which is another circuit, and says so.
    n_threads
        Of the engines kernel and nest; as many as there are cores where not given.
    exact_weights
        Refuse a circuit whose weights the kernel would round.
    window_ms
        The window in which a spike counts as active, where one number is wanted.
    settings
        Values of the recipe to replace, by their dotted names.
    """

    recipe: str
    seconds: Annotated[float, Field(gt=0)] = 2.0
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (1,)
    engine: Literal["auto", "kernel", "brian2", "nest"] = "auto"
    scale: Annotated[float, Field(gt=0, le=1)] = 1.0
    n_threads: Annotated[int, Field(ge=1)] | None = None
    exact_weights: bool = False
    window_ms: Annotated[float, Field(gt=0)] = 10.0
    settings: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Simulation:
    """What `run` returns: the comparison with the brain of the first seed, and a row for each seed
    and population.
    """

    comparison: Comparison
    rows: tuple[dict[str, Any], ...] = field(repr=False)
    # what must be said with the numbers, such as that a scaled circuit is another one
    notes: tuple[str, ...] = ()

    @property
    def populations(self) -> tuple[str, ...]:
        """All units together, then the populations in the recipe's order."""
        return tuple(dict.fromkeys(row["population"] for row in self.rows))

    def _repr_html_(self) -> str:
        quantities = (
            "rate_hz",
            "isi_cv",
            "active_fraction",
            *(f"window_ms_at_{100 * f:g}_percent" for f in BRAIN_FRACTIONS),
        )
        means = [
            {"population": p, **{q: self.over_seeds(p, q)[0] for q in quantities}}
            for p in self.populations
        ]
        return cards.grid(
            "Simulation: means over seeds", means, [*self.comparison.answer()[:1], *self.notes]
        )

    def over_seeds(self, population: str, quantity: str) -> tuple[float, float]:
        """Mean and standard deviation of a quantity over the seeds; the latter NaN for one seed."""
        values = np.array(
            [row[quantity] for row in self.rows if row["population"] == population], dtype=float
        )
        return float(values.mean()), float(values.std(ddof=1)) if values.size > 1 else float("nan")


def run(
    spec: SimulationSpec,
    directory: str | Path,
    *,
    spikes_format: str = "npz",
    progress: Progress = quiet,
) -> Simulation:
    """Simulate, measure, and write numbers, spikes, figures and a page into `directory`, which
    appears whole or not at all.

    Parameters
    ----------
    spikes_format
        "npz" or "nwb".

    Raises
    ------
    ValueError, OSError
        On a recipe that is missing, wrong or of another kind, an engine that cannot run it, a
        directory that cannot be written.
    """
    directory = Path(directory)
    simulate_one = check(spec, directory, spikes_format)
    recipe, clock = recipes.load(spec.recipe), time.monotonic()
    active_when = ActiveWhen(window_ms=spec.window_ms)
    rows: list[dict[str, Any]] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        warnings.simplefilter("ignore", DeprecationWarning)  # of the libraries
        for k, seed in enumerate(spec.seeds):
            n = len(spec.seeds)
            spikes = simulate_one(
                seed, part_of(progress, k / n, (k + 1) / n, f"seed {k + 1}/{n}" if n > 1 else "")
            )
            stats = _by_population(spikes, active_when)
            rows += [_row(seed, name, *both) for name, both in stats.items()]
            if k == 0:
                first, first_stats = spikes, {name: s for name, (_, s) in stats.items()}
    notes = tuple(
        dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, UserWarning))
    )
    provenance = {
        **spec.model_dump(mode="json"),
        "title": recipe.title,
        "seconds to run": round(time.monotonic() - clock, 1),
        **environment(),
    }
    comparison = compare(
        *first_stats.values(), provenance=provenance | ({"notes": list(notes)} if notes else {})
    )
    simulation = Simulation(comparison, tuple(rows), notes)
    with files.new_folder(directory) as folder:
        _write(simulation, first, recipe, folder, spikes_format)
    return simulation


def check(spec: SimulationSpec, directory: Path, spikes_format: str = "npz") -> Any:
    """Refuse what cannot run or be written before any work; return the function (seed, progress) ->
    SpikeTrains.
    """
    from neurosparse.spiking import CircuitSpec, PopulationSpec, run_circuit, simulate_population
    from neurosparse.spiking.engines import nest as nest_engine

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
        engine = "kernel" if spec.engine == "auto" else spec.engine
        if engine == "nest":
            nest_engine.load()

        def simulate_circuit(seed: int, progress: Progress) -> SpikeTrains:
            return run_circuit(
                circuit,
                seconds=spec.seconds,
                seed=seed,
                engine=engine,
                scale=spec.scale,
                n_threads=spec.n_threads,
                exact_weights=spec.exact_weights,
                progress=progress,
            )

        result: Any = simulate_circuit
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


def population_rows(
    spikes: SpikeTrains, active_when: ActiveWhen, *, seed: int
) -> list[dict[str, Any]]:
    """What `run` says of one seed: a row of numbers for all units together and one for each
    population.
    """
    return [_row(seed, name, *both) for name, both in _by_population(spikes, active_when).items()]


def _by_population(
    spikes: SpikeTrains, active_when: ActiveWhen
) -> dict[str, tuple[SpikeTrains, ActivityStats]]:
    parts = {WHOLE: spikes, **{name: spikes.population(name) for name in spikes.populations}}
    return {
        name: (part, measure(part, active_when=active_when, name=name))
        for name, part in parts.items()
    }


def _row(seed: int, name: str, spikes: SpikeTrains, stats: ActivityStats) -> dict[str, Any]:
    over_time = windows_over_time(spikes, BRAIN_FRACTIONS)
    windows = {
        f"window_ms_at_{100 * f:g}_percent": stats.curve and stats.curve.window_ms(f)
        for f in BRAIN_FRACTIONS
    }
    spread = {
        f"window_ms_at_{100 * f:g}_percent_sd_over_time": float(over_time[:, k].std(ddof=1))
        for k, f in enumerate(BRAIN_FRACTIONS)
    }
    return {
        "seed": seed,
        "population": name,
        "n_units": stats.n_units,
        "rate_hz": stats.mean_rate_hz,
        "median_rate_hz": stats.median_rate_hz,
        "isi_cv": stats.isi_cv,
        "synchrony": _if_defined(synchrony, spikes, 3.0),
        **{
            f"correlation_in_{b:g}_ms": _if_defined(count_correlation, spikes, b)
            for b in CORRELATION_BINS_MS
        },
        "active_fraction": stats.active_fraction,
        "active_fraction_low": stats.interval.low,
        "active_fraction_high": stats.interval.high,
        "n_silent": stats.n_silent,
        **windows,
        **spread,
    }


def _if_defined(
    measure_of: Callable[[SpikeTrains, float], float], spikes: SpikeTrains, bin_ms: float
) -> float | None:
    """A measure, or None where so few spikes or so short a record have none."""
    try:
        return measure_of(spikes, bin_ms)
    except ValueError:
        return None


# ---- The folder
# --------------------------------------------------------------------------------------------------


def _write(
    simulation: Simulation, spikes: SpikeTrains, recipe: Recipe, folder: Path, spikes_format: str
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from neurosparse import report
    from neurosparse.recordings import save_spikes

    save_spikes(spikes, folder / f"spikes.{spikes_format}")
    with files.new_file(folder / "populations.parquet") as file:
        pq.write_table(pa.Table.from_pylist(list(simulation.rows)), file)
    report.write(
        simulation.comparison, folder, _panels(simulation, spikes, _published_rates(recipe))
    )


def _published_rates(recipe: Recipe) -> dict[str, float]:
    """The rates that a recipe states for its populations, to draw beside those found."""
    populations: Mapping[str, Any] = recipe.values.get("populations", {})
    return {
        name: p["mean_rate_hz"]
        for name, p in populations.items()
        if p.get("mean_rate_hz") is not None
    }


def _panels(
    simulation: Simulation, spikes: SpikeTrains, published: Mapping[str, float]
) -> Sequence[Panel]:
    from neurosparse import plots
    from neurosparse.report import Panel

    by_population = simulation.comparison.stats[1:] or simulation.comparison.stats
    n_seeds = len({row["seed"] for row in simulation.rows})
    reached = any(
        row[f"window_ms_at_{100 * f:g}_percent"] for row in simulation.rows for f in BRAIN_FRACTIONS
    )
    windows = [
        Panel(
            "windows",
            "The windows that hold 1, 2 and 4 %",
            "For each population, the window in which the given share of its cells fires at least"
            " once. Bars: one standard deviation, "
            + ("over seeds." if n_seeds > 1 else "over ten stretches of the record."),
            lambda ax: plots.windows_by_population(simulation.rows, BRAIN_FRACTIONS, ax),
        )
    ]
    return [
        *(windows if reached else []),
        Panel(
            "rates",
            "Rates by population",
            "Boxes: the middle half of the cells and their median; whiskers: 5 to 95 %. Dots:"
            " means; crosses: the means that the recipe states, where it does.",
            lambda ax: plots.rates_by_population(by_population, published, ax),
            table=[_table_row(simulation, name, published) for name in simulation.populations],
        ),
        Panel(
            "raster",
            "Spikes",
            "Every dot is a spike; each population in proportion to its size. In print: the first"
            " part of the record for a sample of the cells.",
            lambda ax: plots.raster(
                spikes,
                ax,
                n_units=1000,
                duration_ms=500.0,
                colours=plots.colours(simulation.comparison),
            ),
            spikes=spikes,
        ),
    ]


def _table_row(simulation: Simulation, name: str, published: Mapping[str, float]) -> dict[str, Any]:
    """A population's means over the seeds; where there is one seed, without their spread."""

    def mean(quantity: str) -> float:
        return simulation.over_seeds(name, quantity)[0]

    rate_hz, spread_hz = simulation.over_seeds(name, "rate_hz")
    return {
        "population": name,
        "rate (Hz)": rate_hz,
        "sd over seeds (Hz)": spread_hz,
        "as published (Hz)": published.get(name),
        "CV of intervals": mean("isi_cv"),
        "synchrony": mean("synchrony"),
        **{
            f"correlation in {b:g} ms": mean(f"correlation_in_{b:g}_ms")
            for b in CORRELATION_BINS_MS
        },
    }
