"""`neurosparse recipes`."""

from __future__ import annotations

from typing import Annotated

import typer

from neurosparse.cli.display import say, show_json
from neurosparse.cli.options import Json
from neurosparse.cli.program import app


def _kinds(incomplete: str) -> list[str]:
    from neurosparse import recipes

    return [kind for kind in recipes.COMMANDS if kind.startswith(incomplete)]


@app.command(
    short_help="List the recipes that come along.",
    epilog="Examples:\n\nneurosparse recipes\n\nneurosparse recipes circuit --json",
)
def recipes(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND]",
            help="Such as circuit or network.  [default: all]",
            autocompletion=_kinds,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the recipes that come along: what each is, how long it runs, where its numbers are from,
    and the command that takes it.
    """
    from neurosparse import recipes as kept
    from neurosparse._internal.names import meant

    if kind is not None and kind not in kept.COMMANDS:
        known = ", ".join(kept.COMMANDS)
        raise ValueError(
            f"no recipes of kind {kind!r}{meant(kind, kept.COMMANDS)}; there are: {known}"
        )
    found = [
        recipe
        for each in ([kind] if kind else kept.COMMANDS)
        for recipe in map(kept.load, kept.available(each))
    ]
    if as_json:
        fields = ("name", "kind", "title", "run_time", "source")
        show_json(
            [
                {field: getattr(recipe, field) for field in fields}
                | {"command": kept.COMMANDS[recipe.kind]}
                for recipe in found
            ]
        )
        return
    for each in dict.fromkeys(recipe.kind for recipe in found):
        say(f"{each}: {kept.COMMANDS[each]}")
        of_kind = [recipe for recipe in found if recipe.kind == each]
        width = max(len(recipe.name) for recipe in of_kind)
        for recipe in of_kind:
            say(f"  {recipe.name:<{width}}  {recipe.run_time or '-'}")
            say(recipe.title, indent=6)
            say(f"source: {recipe.source}", indent=6)
        say("")
