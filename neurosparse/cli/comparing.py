"""`neurosparse compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neurosparse._internal.types import Fields
from neurosparse.cli.boundary import results_are_written
from neurosparse.cli.display import bars, finish, say, show_activity, show_beyond, show_json
from neurosparse.cli.examples import examples
from neurosparse.cli.options import (
    READING,
    DataDir,
    Device,
    Duration,
    Json,
    Layout,
    NUnits,
    Open,
    Populations,
    Seed,
    Start,
    Threshold,
    Times,
    TimeUnit,
    Units,
    Where,
    Window,
    is_given,
    reading,
)
from neurosparse.cli.program import app
from neurosparse.cli.spikes import notes_on_files


@app.command(
    short_help="Compare circuits, networks and recordings.",
    epilog=examples(
        "neurosparse compare",
        "neurosparse compare --seconds 2 --epochs 3 --network rectifier_l1 -o results/quick",
        "neurosparse compare results/potjans2014 session.nwb"
        " results/rectifier_l1.safetensors --only all",
        "neurosparse compare a.csv b.csv --duration-s 60 --time-unit ms",
        "neurosparse compare results/a results/b --band 'mine=0.02-0.05' -o results/a_and_b",
    ),
)
def compare(
    context: typer.Context,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="A B C",
            help=(
                "Folders of results, spike files, recordings, weights that `train` wrote. "
                " [default: run the main job]"
            ),
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            help=(
                "Folder for the results; replaced as a whole.  [default: results/compare; none for"
                " A B C]"
            ),
        ),
    ] = None,
    window_ms: Window = 10.0,
    threshold: Threshold = 0.0,
    band: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LOW-HIGH",
            help="For A B C: a band of your own, in fractions; may be given again.",
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=(
                "For A B C: keep what has this name in the table; `all`: each of A B C as a whole,"
                " without its populations; may be given again."
            ),
        ),
    ] = None,
    mixed: Annotated[
        bool,
        typer.Option(
            "--mixed", help="For A B C: allow unlike definitions of active, each with its own."
        ),
    ] = False,
    where: Where = None,
    populations: Populations = None,
    start_s: Start = None,
    duration_s: Duration = None,
    n_units: NUnits = None,
    time_unit: TimeUnit = None,
    times: Times = None,
    units: Units = None,
    layout: Layout = None,
    circuit: Annotated[
        str, typer.Option(metavar="RECIPE", help="Recipe of the spiking population.")
    ] = "cortical_population",
    column: Annotated[
        str,
        typer.Option(metavar="RECIPE", help="Recipe of a circuit to run at full scale, or none."),
    ] = "potjans2014",
    network: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RECIPE",
            help="Recipe of a network to train; may be given again.  [default: four of them]",
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(metavar="S", help="Biological time of the circuit, in s.")
    ] = 10.0,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help="Training epochs, in place of the recipes' own.")
    ] = None,
    device: Device = "auto",
    data_dir: DataDir = None,
    claims: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Folder of `neurosparse claims`: the page shows its verdicts."
        ),
    ] = Path("results/claims"),
    seed: Seed = 1,
    as_json: Json = False,
    open_page: Open = False,
) -> None:
    """Relate circuits, networks and recordings to each other and to what is said of the brain.

    Without A B C it is the main job: a circuit and networks are run side by side. Writes
    comparison.json, activity.parquet, spikes, weights, figures and report.html, a page that opens
    offline. With A B C those are compared, and nothing is run.
    """
    main_job = {
        "circuit",
        "column",
        "network",
        "seconds",
        "epochs",
        "device",
        "data_dir",
        "claims",
        "seed",
    }
    others = main_job if sources else {"threshold", "band", "only", "mixed", *READING}
    if given := [name for name in context.params if name in others and is_given(context, name)]:
        remedy = "leave A B C out" if sources else "name what to compare"
        raise ValueError(
            f"--{given[0].replace('_', '-')} does nothing here: {remedy}, or leave the option out"
        )
    if sources:
        chosen = _compare_sources(
            sources, out, window_ms, threshold, band or [], only or [], mixed, reading(context)
        )
        if out is not None:
            results_are_written()
        _show_sources(chosen, out, as_json=as_json, open_page=open_page)
        return
    out = out or Path("results/compare")
    from neurosparse import recipes, sidebyside
    from neurosparse.comparison.differences import unlike
    from neurosparse.report import PAGE

    values: Fields = {
        "circuit": circuit,
        "column": column,
        "seconds": seconds,
        "window_ms": window_ms,
        "epochs": epochs,
        "device": device,
        "data_dir": data_dir,
        "claims": claims,
        "seed": seed,
    }
    if network:
        values["networks"] = tuple(network)
    spec = recipes.build(sidebyside.SideBySideSpec, values, what="compare")
    sidebyside.check(spec, out)
    with bars({sidebyside.CIRCUIT: "circuit", sidebyside.NETWORKS: "networks"}) as show:
        comparison = sidebyside.run(spec, out, show)
    results_are_written()
    if as_json:
        show_json(comparison.to_dict())
        finish(page=out / PAGE, open_page=open_page, quiet=True)
        return
    show_activity(comparison.stats)
    _say_errors(comparison)
    for sentence in comparison.answer():
        say(sentence)
    needed = " --mixed" if unlike(comparison.stats) else ""
    finish(
        f"Numbers and figures: {out}",
        page=out / PAGE,
        then=f"neurosparse compare {out} YOUR_FILE_OR_FOLDER{needed}",
        open_page=open_page,
    )


def _say_errors(comparison: Any) -> None:
    """Print the errors of networks, and of which data they are."""
    from neurosparse.comparison.words import quoted
    from neurosparse.report.answer import ERROR, tested_on

    by_data: dict[str, list[str]] = {}
    for n in comparison.networks:
        if (error := n.provenance.get(ERROR)) is not None:
            found = f"{quoted(n.name)} {100 * error:.1f} %"
            by_data.setdefault(tested_on(n), []).append(found)
    for data, found_on in by_data.items():
        say(f"Wrong class, of {data}: {', '.join(found_on)}.")


def _compare_sources(
    sources: list[str],
    out: Path | None,
    window_ms: float,
    threshold: float,
    bands: list[str],
    only: list[str],
    mixed: bool,
    how: Fields,
) -> Any:
    """Compare what was measured, or is measured now; write it where `out` is given."""
    from neurosparse import reference, report
    from neurosparse import sources as anything
    from neurosparse._internal import whole_files as files
    from neurosparse.comparison import compare as compare_stats
    from neurosparse.comparison import own_band

    known = [*map(own_band, bands), *reference.bands().values()]
    if out is not None:
        files.check_writable(out, marker="comparison.json")
    stats = anything.read_all(sources, window_ms=window_ms, threshold=threshold, only=only, how=how)
    try:
        provenance = {"sources": sources, **report.environment()}
        comparison = compare_stats(
            *stats, reference=known, mixed_definitions=mixed, provenance=provenance
        )
    except ValueError as error:
        raise ValueError(str(error).replace("mixed_definitions=True", "--mixed")) from None
    if out is not None:
        anything.write(comparison, out)
    return comparison


def _show_sources(comparison: Any, out: Path | None, *, as_json: bool, open_page: bool) -> None:
    from neurosparse.report import PAGE

    if as_json:
        show_json(comparison.to_dict())
    else:
        show_activity(comparison.stats, comparison.equivalent_window_ms)
        show_beyond(comparison.stats)
        for line in (
            *notes_on_files(comparison.stats),
            "",
            *comparison.in_bands(),
            "",
            *(d.sentence() for d in comparison.differences()),
            "",
            *comparison.answer(),
        ):
            say(line)
    if out is not None:
        finish(f"Numbers and figures: {out}", page=out / PAGE, open_page=open_page, quiet=as_json)
