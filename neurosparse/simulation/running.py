"""A circuit recipe, simulated with one or more seeds and measured, into one folder.

It is measured population by population.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path

from neurosparse import recipes
from neurosparse._internal import checks
from neurosparse._internal import whole_files as files
from neurosparse.activity import ActiveWhen, SpikeTrains
from neurosparse.comparison import compare
from neurosparse.progress import Progress, part_of, quiet
from neurosparse.recipes import Recipe
from neurosparse.report import environment
from neurosparse.simulation.result import Simulation
from neurosparse.simulation.rows import PopulationRow, by_population, row_of
from neurosparse.simulation.spec import SimulationSpec, check


def run(
    spec: SimulationSpec,
    directory: str | Path,
    *,
    spikes_format: str = "npz",
    progress: Progress = quiet,
) -> Simulation:
    """Simulate, measure, and write numbers, spikes, figures and a page.

    `directory` appears whole or not at all.

    Parameters
    ----------
    spec
        What is simulated, with which seeds and engine.
    directory
        The folder for the results; a folder of earlier ones is replaced as a whole.
    spikes_format
        "npz" or "nwb".
    progress
        Told the share that is done, and what is done now.

    Raises
    ------
    ValueError, OSError
        On a recipe that is missing, wrong or of another kind, an engine that cannot run it, a
        directory that cannot be written.
    """
    directory = checks.path("directory", directory)
    simulate_one = check(spec, directory, spikes_format)
    recipe, clock = recipes.load(spec.recipe), time.monotonic()
    active_when = ActiveWhen(window_ms=spec.window_ms)
    rows: list[PopulationRow] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        warnings.simplefilter("ignore", DeprecationWarning)  # of the libraries
        for k, seed in enumerate(spec.seeds):
            n = len(spec.seeds)
            spikes = simulate_one(
                seed, part_of(progress, k / n, (k + 1) / n, f"seed {k + 1}/{n}" if n > 1 else "")
            )
            stats = by_population(spikes, active_when)
            rows += [row_of(seed, name, *both) for name, both in stats.items()]
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


def _write(
    simulation: Simulation, spikes: SpikeTrains, recipe: Recipe, folder: Path, spikes_format: str
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from neurosparse import report
    from neurosparse.recordings import save_spikes
    from neurosparse.simulation.panels import panels, published_rates

    save_spikes(spikes, folder / f"spikes.{spikes_format}")
    with files.new_file(folder / "populations.parquet") as file:
        pq.write_table(pa.Table.from_pylist([row.to_dict() for row in simulation.rows]), file)
    report.write(simulation.comparison, folder, panels(simulation, spikes, published_rates(recipe)))
