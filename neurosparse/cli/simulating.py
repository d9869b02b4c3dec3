"""`neurosparse simulate`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosparse.cli.display import bars, say
from neurosparse.cli.options import Seed, Settings, Window, overrides
from neurosparse.cli.program import app
from neurosparse.spiking import engines

if TYPE_CHECKING:
    from rich.table import Table

    from neurosparse.simulation import Simulation


@app.command(
    epilog=(
        "Examples:\n\nneurosparse simulate cortical_population\n\nneurosparse simulate potjans2014"
        " --seconds 1\n\nneurosparse simulate potjans2014 --scale 0.1 --engine brian2 --seeds"
        " 3\n\nneurosparse simulate brunel2000_ai --set projections.inhibitory.weight_mV=-0.6"
        " --spikes nwb"
    )
)
def simulate(
    recipe: Annotated[
        str, typer.Argument(help="Name or path of the recipe of a circuit or population.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for the results; replaced as a whole.  [default: results/RECIPE]",
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="Biological time to record, after the warm-up.")
    ] = 2.0,
    engine: Annotated[str, typer.Option(help=f"{', '.join(engines.names())}, or auto.")] = "auto",
    scale: Annotated[
        float, typer.Option(help="Below 1: a smaller circuit, which is another one.")
    ] = 1.0,
    threads: Annotated[
        int | None,
        typer.Option(help="Threads of the engines kernel and nest.  [default: one a core]"),
    ] = None,
    exact_weights: Annotated[
        bool,
        typer.Option(
            "--exact-weights", help="Refuse a circuit whose weights the kernel would round."
        ),
    ] = False,
    window_ms: Window = 10.0,
    seed: Seed = 1,
    seeds: Annotated[int, typer.Option(help="How many seeds to run, from --seed on.")] = 1,
    spikes: Annotated[str, typer.Option(help="Format of the spikes: npz or nwb.")] = "npz",
    settings: Settings = None,
) -> None:
    """Simulate a spiking circuit and say how many of its neurons are active at once, population by
    population.

    Writes comparison.json, populations.parquet, activity.parquet, the spikes, figures and
    report.html.
    """
    from neurosparse import recipes, simulation
    from neurosparse.report import PAGE

    values: dict[str, Any] = {
        "recipe": recipe, "seconds": seconds, "seeds": range(seed, seed + seeds), "engine": engine,
        "scale": scale, "n_threads": threads, "exact_weights": exact_weights, "window_ms": window_ms,  # noqa: E501
        "settings": overrides(settings),
    }  # fmt: skip
    spec = recipes.build(simulation.SimulationSpec, values, what="simulate")
    name = recipes.load(recipe).name
    out = out or Path("results") / name
    simulation.check(spec, out, spikes)
    with bars({recipe: name}) as show:
        result = simulation.run(
            spec, out, spikes_format=spikes, progress=lambda done, text: show(recipe, done, text)
        )
    say(_population_table(result, window_ms))
    for line in (*result.comparison.answer()[:1], *result.notes):
        say(line)
    say(f"\nNumbers, spikes and figures: {out}\nPage: {(out / PAGE).resolve()}")


def _population_table(result: Simulation, window_ms: float) -> Table:
    """A line a population; the windows with their spread over seeds, or over time where there is
    one seed.
    """
    from rich import box
    from rich.table import Table

    from neurosparse.comparison import BRAIN_FRACTIONS, percent
    from neurosparse.simulation import window_column

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))  # eight columns in 80
    for heading in ("population", "Hz", "CV", "sync.", f"in {window_ms:g} ms"):
        table.add_column(heading, justify="left" if heading == "population" else "right")
    for fraction in BRAIN_FRACTIONS:
        table.add_column(f"{100 * fraction:g} % (ms)", justify="right")
    for name in result.populations:
        row = next(row for row in result.rows if row["population"] == name)
        cells = [f"{result.over_seeds(name, 'rate_hz')[0]:.2f}"]
        cells += ["-" if row[key] is None else f"{row[key]:.2f}" for key in ("isi_cv", "synchrony")]
        cells.append(percent(result.over_seeds(name, "active_fraction")[0]))
        for fraction in BRAIN_FRACTIONS:
            key = window_column(fraction)
            mean, spread = result.over_seeds(name, key)
            cells.append(
                _plus_minus(mean, row[f"{key}_sd_over_time"] if math.isnan(spread) else spread)
            )
        table.add_row(name, *cells)
    return table


def _plus_minus(mean: float, spread: float) -> str:
    """'3.7±0.1', '22±6': the spread to one digit, the mean as far as that; the mean alone where the
    spread is not known.
    """
    if math.isnan(mean):
        return "none"
    if math.isnan(spread) or spread == 0:
        return f"{mean:.3g}"
    decimals = min(max(-math.floor(math.log10(spread)), 0), 3)
    return f"{mean:.{decimals}f}±{spread:.{decimals}f}"
