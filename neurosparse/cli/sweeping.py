"""`neurosparse sweep`, and `neurosparse runs` for what it has run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurosparse._internal.names import one_line
from neurosparse.cli.boundary import keeps
from neurosparse.cli.display import bars, finish, say, show_json
from neurosparse.cli.examples import examples
from neurosparse.cli.options import MOST_THREADS, Json, kinds_of_sweeps
from neurosparse.cli.program import app


@app.command(
    short_help="Run many networks or simulations.",
    epilog=examples(
        "neurosparse sweep figure3_quick",
        "neurosparse sweep mine.toml --workers 4 --retry-failed",
        "neurosparse sweep mine.toml --scheduler tcp://10.0.0.1:8786",
    ),
)
def sweep(
    spec: Annotated[
        str,
        typer.Argument(
            metavar="SPEC",
            autocompletion=kinds_of_sweeps(),
            help=(
                "What to run, a .toml file: kind, recipe, grid, random, seeds; or the name of one"
                " that comes along (figure3, figure3_quick)."
            ),
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            help="Folder of the runs; what is complete stays.  [default: results/NAME]",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=MOST_THREADS,
            metavar="N",
            help="Processes, of one thread each; 0: this one.  [default: the cores]",
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Address of a Dask scheduler, to use its workers."),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what failed before.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run many networks or simulations; run it again to go on after whatever happened.

    Writes runs/KEY/ for each run, table.parquet and table.csv. Exit code 1 where runs failed.
    """
    from neurosparse import recipes
    from neurosparse.sweep import kinds

    recipes.load(spec, kind=kinds.names())
    from neurosparse import sweep as sweeps

    name = Path(spec).stem
    place = out or Path("results") / name
    loaded = sweeps.load(spec)
    sweeps.plan(loaded, place)  # what cannot run is refused before a bar is drawn
    keeps(f"runs that are complete are in {place}: the same command goes on from there")
    with bars({"sweep": name}, own_estimate=True) as show:
        result = sweeps.run(
            loaded,
            place,
            workers=workers,
            scheduler=scheduler,
            retry_failed=retry_failed,
            progress=lambda done, text: show("sweep", done, text),
        )
    if as_json:
        show_json({"rows": result.rows, "failures": [f.model_dump() for f in result.failures]})
    else:
        for line in result.lines():
            say(line)
    then = f"neurosparse runs {'list' if result.failures else 'verify'} {place}"
    finish(f"Table: {place / sweeps.TABLE}", then=then, quiet=as_json)
    if result.failures:
        raise typer.Exit(1)


runs_app = typer.Typer(
    help="List, show, verify or export what a sweep has run.",
    epilog=examples(
        "neurosparse runs list results/figure3",
        "neurosparse runs show results/figure3 79bc65",
        "neurosparse runs export results/figure3 figure3.csv",
    ),
    short_help="See what a sweep has run.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


app.add_typer(runs_app, name="runs")


Runs = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of a sweep.")]


@runs_app.command(
    "list", short_help="List the runs.", epilog=examples("neurosparse runs list results/figure3")
)
def runs_list(folder: Runs, as_json: Json = False) -> None:
    """List the runs: key, kind, time, size, and what sets each apart.

    Then come the runs that failed and those that are damaged.
    """
    from neurosparse import store

    if as_json:
        found = dict(store.runs(store.existing(folder)))
        whole = [run for run in found.values() if isinstance(run, store.Run)]
        broken = {key: str(run) for key, run in found.items() if not isinstance(run, store.Run)}
        failures = [failure.model_dump() for failure in store.failures(folder).values()]
        show_json({"runs": [r.model_dump() for r in whole], "failed": failures, "damaged": broken})
        return
    n_complete, damaged = 0, []
    for name, run in store.runs(store.existing(folder)):
        if isinstance(run, store.DamageError):
            damaged.append(f"{name[:8]:<8}  damaged: {run}")
            continue
        n_complete += 1
        label = ", ".join(f"{name}={value}" for name, value in run.label.items())
        print(
            f"{name[:8]}  {run.kind:<8} {run.seconds:>8.1f} s {run.n_bytes / 1e6:>8.1f} MB"
            f"  {one_line(label)}"
        )
    failed = store.failures(folder)
    for line in (
        *(f"{key[:8]}  failed: {failure.error}" for key, failure in failed.items()),
        *damaged,
    ):
        print(one_line(line))
    print(f"{n_complete} complete, {len(failed)} failed, {len(damaged)} damaged")


@runs_app.command(
    "show",
    short_help="Show all that is known of a run.",
    epilog=examples("neurosparse runs show results/figure3 79bc65"),
)
def runs_show(
    folder: Runs,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key of a run, or the start of it.")],
) -> None:
    """Show all that is known of a run.

    That is what was asked for, what came out, and its files; or why it failed.
    """
    from neurosparse import store

    found = store.find(store.existing(folder), key)
    run = store.read(folder, found)
    if run is not None:
        print(run.model_dump_json(indent=1))
        print(f"Files: {(folder / 'runs' / found).resolve()}")
    else:
        failure = store.failures(folder)[found]
        print(f"{found}: {failure.label}\n{failure.error}\n\n{failure.details}")


@runs_app.command(
    "verify",
    short_help="Read every byte of every run.",
    epilog=examples("neurosparse runs verify results/figure3"),
)
def runs_verify(folder: Runs) -> None:
    """Read every byte of every run and put damaged or foreign runs into quarantine.

    Each is kept there with the reason. The exit code is 1 then.
    """
    from neurosparse import store

    damaged = store.verify(store.open_directory(store.existing(folder)))
    for name, reason in damaged.items():
        print(f"{name}: {reason}")
    n = sum(1 for _ in store.runs(folder))
    print(f"{n} runs are whole; {len(damaged)} went into {folder / 'quarantine'}")
    if damaged:
        raise typer.Exit(1)


@runs_app.command(
    "export",
    short_help="Write one table of all runs.",
    epilog=examples("neurosparse runs export results/figure3 figure3.csv"),
)
def runs_export(
    folder: Runs,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Table to write: .parquet or .csv.")],
) -> None:
    """Write the rows of every complete run, of all sweeps in the folder, as one table."""
    from neurosparse import store
    from neurosparse._internal import whole_files as files

    found = [run for _, run in store.runs(store.existing(folder)) if isinstance(run, store.Run)]
    if not found:
        raise ValueError(f"{folder} holds no complete run")
    with files.new_file(file) as temporary:
        store.export([row for run in found for row in run.table()], temporary)
    print(f"{len(found)} runs: {file.resolve()}")
