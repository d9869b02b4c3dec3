"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Out = Annotated[
    Path,
    typer.Option(
        "--out", "-o", help="Folder for the results; replaced as a whole.", show_default=True
    ),
]


Seed = Annotated[int, typer.Option(help="Seed of everything random.")]


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


def overrides(settings: list[str] | None) -> dict[str, Any]:
    """`--set key=value` as values: TOML where it parses as such, text otherwise."""
    import tomllib

    values: dict[str, Any] = {}
    for setting in settings or []:
        key, sign, text = setting.partition("=")
        if not sign or not key:
            raise ValueError(f"--set takes key=value, got {setting!r}")
        try:
            values[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            values[key] = text
    return values


def is_given(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line, whatever its value."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
