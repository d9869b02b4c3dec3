"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from neurosparse._internal.sizes import MOST_SEED
from neurosparse._internal.types import Fields

MOST_THREADS = 1024


def kinds_of(*kinds: str) -> Any:
    """Return what completes the name of a recipe of some kinds, for a shell."""
    return _recipes_of(lambda: kinds)


def kinds_of_sweeps() -> Any:
    """Return what completes the name of a recipe of any kind that a sweep can be of."""

    def names() -> Sequence[str]:
        from neurosparse.sweep import kinds

        return kinds.names()

    return _recipes_of(names)


def _recipes_of(kinds: Callable[[], Sequence[str]]) -> Any:

    def complete(incomplete: str) -> list[str]:
        from neurosparse import recipes

        return [
            name
            for kind in kinds()
            for name in recipes.available(kind)
            if name.startswith(incomplete)
        ]

    return complete


def _seed(value: int) -> int:
    """Return a seed; a range of typer would fill the help with the digits of the largest."""
    if not 0 <= value <= MOST_SEED:
        raise typer.BadParameter(f"it is not in the range 0 to {MOST_SEED}")
    return value


Seed = Annotated[int, typer.Option(metavar="N", callback=_seed, help="Seed of everything random.")]


Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or mps.")]


Window = Annotated[
    float,
    typer.Option(metavar="MS", help="Window in which a neuron must fire to be active, in ms."),
]


Threshold = Annotated[
    float,
    typer.Option(metavar="X", help="A unit of a network is active where abs(a) is above this."),
]


DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Folder with the files of the image set, if not where they install."
    ),
]


# ---- How spike files are read
# --------------------------------------------------------------------------------------------------

Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN=VALUE",
        help="Only units that meet this (also !=, <, <=, >, >=); may be given again.",
    ),
]


Populations = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Column that names the populations.")
]


Start = Annotated[
    float | None,
    typer.Option(metavar="S", help="Start of the part to read, in the file's own time."),
]


Duration = Annotated[
    float | None,
    typer.Option(
        metavar="S", help="Length of the part to read; needed where the file does not state one."
    ),
]


NUnits = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="All units that were observed, where the file holds only those that fired.",
    ),
]


TimeUnit = Annotated[
    str | None,
    typer.Option(metavar="UNIT", help="Unit of times that do not state it: s, ms, us, ns or min."),
]


Times = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Column or MATLAB variable with the spike times."),
]


Units = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Column or MATLAB variable with the unit of each spike."),
]


Layout = Annotated[
    str | None,
    typer.Option(
        metavar="WORDS",
        help="Text without a header: 'times,units', 'units,times' or 'trains' (a line a unit).",
    ),
]


READING = (
    "where", "populations", "start_s", "duration_s", "n_units", "time_unit", "times", "units",
    "layout",
)  # fmt: skip


def reading(context: typer.Context) -> Fields:
    """Return what a command was told of how spike files are read, without what was left out."""
    return {name: context.params[name] for name in READING if context.params[name] is not None}


Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Replace a value of the recipe; may be given again."
    ),
]


Json = Annotated[bool, typer.Option("--json", help="Print JSON in place of tables and sentences.")]


Open = Annotated[bool, typer.Option("--open", help="Show the page in the browser at the end.")]


def overrides(settings: list[str] | None) -> Fields:
    """Return `--set key=value` as values: TOML where it parses as such, text otherwise."""
    import tomllib

    values: Fields = {}
    for setting in settings or []:
        key, sign, text = setting.partition("=")
        if not sign or not key:
            raise ValueError(f"--set takes key=value, got {setting!r}")
        try:
            values[key] = tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):  # a word; or digits, brackets without end
            values[key] = text
    return values


def is_given(context: typer.Context, name: str) -> bool:
    """Say whether an option stands on the command line, whatever its value."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
