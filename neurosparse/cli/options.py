"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

MOST_SEED = 2**63 - 1  # results are kept as 64-bit integers
MOST_SEEDS = 10_000
MOST_THREADS = 1024


def kinds_of(*kinds: str) -> Any:
    """Return what completes the name of a recipe of some kinds, for a shell."""

    def complete(incomplete: str) -> list[str]:
        from neurosparse import recipes

        return [
            name
            for kind in kinds
            for name in recipes.available(kind)
            if name.startswith(incomplete)
        ]

    return complete


Seed = Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Seed of everything random.")]


Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]


Window = Annotated[float, typer.Option(help="Window in which a spike counts as active, in ms.")]


Threshold = Annotated[
    float, typer.Option(help="A unit of a network is active where abs(a) is above this.")
]


DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder with the files of the image set, if not where they install."),
]


Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Replace a value of the recipe; may be given again."
    ),
]


Json = Annotated[bool, typer.Option("--json", help="Print JSON in place of tables and sentences.")]


Open = Annotated[bool, typer.Option("--open", help="Show the page in the browser at the end.")]


def overrides(settings: list[str] | None) -> dict[str, Any]:
    """Return `--set key=value` as values: TOML where it parses as such, text otherwise."""
    import tomllib

    values: dict[str, Any] = {}
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
