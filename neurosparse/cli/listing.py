"""`neurosparse recipes` and `neurosparse brains`."""

from __future__ import annotations

from typing import Annotated

import typer

from neurosparse.cli.display import say, show, show_json
from neurosparse.cli.examples import examples
from neurosparse.cli.options import Json
from neurosparse.cli.program import app


def _kinds(incomplete: str) -> list[str]:
    from neurosparse import recipes

    return [kind for kind in recipes.COMMANDS if kind.startswith(incomplete)]


@app.command(
    short_help="List the recipes that come along.",
    epilog=examples("neurosparse recipes", "neurosparse recipes circuit --json"),
)
def recipes(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND",
            help="Such as circuit or network.  [default: all]",
            autocompletion=_kinds,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the recipes that come along.

    Each is shown with how long it runs, where its numbers are from, and the command that takes it.
    """
    from neurosparse import recipes as kept
    from neurosparse._internal.names import did_you_mean

    if kind is not None and kind not in kept.COMMANDS:
        meant = did_you_mean(kind, kept.COMMANDS) or f"; there are: {', '.join(kept.COMMANDS)}"
        raise ValueError(f"no recipes of kind {kind!r}{meant}")
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
        sweep = ", a sweep" if "sweep" in kept.COMMANDS[each] else ""
        say(f"{each}{sweep}: {kept.COMMANDS[each]}")
        of_kind = [recipe for recipe in found if recipe.kind == each]
        width = max(len(recipe.name) for recipe in of_kind)
        for recipe in of_kind:
            say(f"  {recipe.name:<{width}}  {recipe.run_time or '-'}")
            say(recipe.title, indent=6)
            say(f"source: {recipe.source}", indent=6)
        say("")


def _sources(incomplete: str) -> list[str]:
    from neurosparse.reference import recordings

    return [key for key in recordings() if key.startswith(incomplete)]


@app.command(
    short_help="List measured brains: how sparse they are.",
    epilog=examples(
        "neurosparse brains", "neurosparse brains tang2018", "neurosparse brains --json"
    ),
)
def brains(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="Such as tang2018: all that is known of it.  [default: a table of all]",
            autocompletion=_sources,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List measured brains: shares of active cells, rates, and how far each source was read."""
    from neurosparse._internal.names import did_you_mean
    from neurosparse.reference import recordings, rows
    from neurosparse.reference.brains import SHARES, window_words

    known = recordings()
    if source is not None and source not in known:
        begun = [repr(key) for key in known if key.startswith(source.casefold())]
        meant = f"; did you mean {' or '.join(begun)}?" if begun else did_you_mean(source, known)
        raise ValueError(
            f"no measured brain {source!r}{meant or '; `neurosparse brains` lists all'}"
        )
    if as_json:
        show_json([known[key].to_dict() for key in ([source] if source else known)])
        return
    if source is None:
        columns = ("source", "measured", "1 % in", "4 % in", "trust")
        show([{name: row[name] for name in columns} for row in rows()])
        say(
            "measured: the share of cells that are active, a rate, Treves-Rolls sparseness, or"
            " the shape of the rates' distribution. 1 % in: the window in which 1 % of cells that"
            " fire so fast have a spike, if Poisson; - where no rate is stated. trust: A read in"
            " the source, B read in another's account, C not read.\n\nWhat is counted differs:"
        )
        width = max(map(len, known)) + 2
        for key, brain in known.items():
            where = ", ".join(dict.fromkeys((brain.species, brain.area)))
            say(f"{key:<{width}}{where}: {brain.counted}", hang=width)
        say(f"\nAll that is known of one: neurosparse brains {next(iter(known))}")
        return
    brain = known[source]
    for name, value in brain.to_dict().items():
        if name not in ("windows_ms", "low", "high", "share") and value not in (None, ""):
            say(f"{name + ':':<14}{value}", hang=14)
    say(f"{'measured:':<14}{brain.measured()}", hang=14)
    for share in SHARES:
        say(f"{f'{100 * share:g} % in:':<14}{window_words(brain.windows_ms(share))}")
