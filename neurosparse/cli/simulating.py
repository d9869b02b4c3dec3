"""`neurosparse simulate`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neurosparse._internal.sizes import MOST_SEED, MOST_SEEDS
from neurosparse._internal.types import Fields
from neurosparse.cli.boundary import results_are_written
from neurosparse.cli.display import bars, finish, say, show, show_json
from neurosparse.cli.examples import examples
from neurosparse.cli.options import (
    MOST_THREADS,
    Json,
    Open,
    Seed,
    Settings,
    Window,
    kinds_of,
    overrides,
)
from neurosparse.cli.program import app
from neurosparse.spiking import engines

if TYPE_CHECKING:
    from neurosparse.simulation import Simulation
    from neurosparse.simulation.rows import PopulationRow


@app.command(
    short_help="Run a spiking circuit and measure it.",
    epilog=examples(
        "neurosparse simulate cortical_population",
        "neurosparse simulate potjans2014 --seconds 1",
        "neurosparse simulate potjans2014 --scale 0.1 --engine brian2 --seeds 3",
        "neurosparse simulate brunel2000_ai --set projections.inhibitory.weight_mV=-0.6"
        " --spikes nwb",
    ),
)
def simulate(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="Name or path of the recipe of a circuit or population.",
            autocompletion=kinds_of("circuit", "population"),
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            help="Folder for the results; replaced as a whole.  [default: results/RECIPE]",
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help=(
                "Biological time to record, in s, after the warm-up.  [default: 10 for"
                " populations, 2 for circuits]"
            ),
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option(metavar="NAME", help=f"{', '.join(engines.names())}, or auto.")
    ] = "auto",
    scale: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Below 1: a smaller circuit, which is another one."),
    ] = 1.0,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST_THREADS,
            metavar="N",
            help="Threads, for engines that take them.  [default: one a core]",
        ),
    ] = None,
    exact_weights: Annotated[
        bool,
        typer.Option(
            "--exact-weights", help="Refuse a circuit whose weights the kernel would round."
        ),
    ] = False,
    window_ms: Window = 10.0,
    seed: Seed = 1,
    seeds: Annotated[
        int,
        typer.Option(
            min=1, max=MOST_SEEDS, metavar="N", help="How many seeds to run, from --seed on."
        ),
    ] = 1,
    spikes: Annotated[
        str, typer.Option(metavar="FORMAT", help="Format of the spikes: npz or nwb.")
    ] = "npz",
    settings: Settings = None,
    as_json: Json = False,
    open_page: Open = False,
) -> None:
    """Simulate a spiking circuit and say how many of its neurons are active at once.

    The answer is given for each population.

    Writes comparison.json, populations.parquet, activity.parquet, the spikes, figures and
    report.html.
    """
    from neurosparse import recipes, simulation
    from neurosparse.report import PAGE

    if seed + seeds - 1 > MOST_SEED:
        raise ValueError(f"the last of --seeds must be at most {MOST_SEED}, got {seed + seeds - 1}")
    loaded = recipes.load(recipe, kind=("circuit", "population"))
    if seconds is None:  # a population costs little, and slow changes need time
        seconds = 10.0 if loaded.kind == "population" else 2.0
    values: Fields = {
        "recipe": recipe, "seconds": seconds, "seeds": range(seed, seed + seeds), "engine": engine,
        "scale": scale, "n_threads": threads, "exact_weights": exact_weights, "window_ms": window_ms,  # noqa: E501
        "settings": overrides(settings),
    }  # fmt: skip
    spec = recipes.build(simulation.SimulationSpec, values, what="simulate")
    name = loaded.name
    out = out or Path("results") / name
    simulation.check(spec, out, spikes)
    with bars({recipe: name}) as show:
        result = simulation.run(
            spec, out, spikes_format=spikes, progress=lambda done, text: show(recipe, done, text)
        )
    results_are_written()
    if as_json:
        show_json(
            {
                "populations": result.rows,
                "answer": result.comparison.answer(),
                "notes": result.notes,
                "folder": out,
            }
        )
    else:
        _show_populations(result, window_ms)
        for line in (*(f"Note: {note}" for note in result.notes), *result.comparison.answer()[:1]):
            say(line)
    finish(
        f"Numbers, spikes and figures: {out}",
        page=out / PAGE,
        then=f"neurosparse compare {out} ANOTHER_FOLDER_OR_FILE",
        open_page=open_page,
        quiet=as_json,
    )


def _show_populations(result: Simulation, window_ms: float) -> None:
    """Print a line for each population, with the windows and their spread.

    The spread is over seeds, or over time where there is one seed.
    """
    from neurosparse.comparison import BRAIN_FRACTIONS, percent
    from neurosparse.simulation import window_column

    rows = []
    for name in result.populations:
        row = next(row for row in result.rows if row["population"] == name)
        cells = {"population": name, "Hz": f"{result.over_seeds(name, 'rate_hz')[0]:.2f}"}
        cells["CV"] = "-" if row["isi_cv"] is None else f"{row['isi_cv']:.2f}"
        cells["sync."] = _synchrony(row)
        active = percent(result.over_seeds(name, "active_fraction")[0])
        cells[f"in {window_ms:g} ms"] = active
        for fraction in BRAIN_FRACTIONS:
            key = window_column(fraction)
            mean, spread = result.over_seeds(name, key)
            cells[f"{100 * fraction:g} % (ms)"] = _plus_minus(
                mean, row[f"{key}_sd_over_time"] if math.isnan(spread) else spread
            )
        rows.append(cells)
    show(rows)
    over = f"{result.n_seeds} seeds" if result.n_seeds > 1 else "ten stretches of the record"
    say(
        f"±: standard deviation over {over}. "
        "CV: of the intervals between spikes, 1 for a Poisson process, - where not known to 0.03."
        " sync.: synchrony of 1,000 neurons, or of all of fewer, 1 for independent ones."
        f" in {window_ms:g} ms: share of the neurons that fire. 1 % (ms): the window in which 1 %"
        " do."
    )
    for row in result.rows[: len(result.populations)]:
        if row["synchrony_bin_ms"] == 2.0:
            say(
                f"{row['population']}: synchrony in bins of 2 ms, since a rhythm fits into 3 ms and"
                " hides there."
            )


def _synchrony(row: PopulationRow) -> str:
    """Return the synchrony of 1,000 cells where there are so many, else of all."""
    of_1000 = row["synchrony_of_1000"]
    found = row["synchrony"] if of_1000 is None else of_1000
    return "-" if found is None else f"{found:.2f}"


def _plus_minus(mean: float, spread: float) -> str:
    """Format a mean and its spread, such as '3.7±0.1' or '22±6'.

    The spread has one digit, and the mean as many decimals. The mean stands alone where the spread
    is not known.
    """
    if math.isnan(mean):
        return "none"
    if math.isnan(spread) or spread == 0:
        return f"{mean:.3g}"
    decimals = min(max(-math.floor(math.log10(spread)), 0), 3)
    return f"{mean:.{decimals}f}±{spread:.{decimals}f}"
