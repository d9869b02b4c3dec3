"""`neurosparse claims`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neurosparse.cli.boundary import keeps, results_are_written
from neurosparse.cli.display import bars, finish, say, show_json
from neurosparse.cli.examples import examples
from neurosparse.cli.options import MOST_THREADS, Json
from neurosparse.cli.program import app


@app.command(
    short_help="Test the claims of Glorot et al. 2011.",
    epilog=examples(
        "neurosparse claims",
        "neurosparse claims --only 8 --only 15",
        "neurosparse claims --full -o results/claims_full",
    ),
)
def claims(
    only: Annotated[
        list[int] | None, typer.Option(metavar="N", help="Number of a claim; may be given again.")
    ] = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full/--quick", help="Fashion-MNIST and 1,000 units a layer, or 5,000 digits and 300."
        ),
    ] = False,
    threads: Annotated[
        int, typer.Option(min=1, max=MOST_THREADS, metavar="N", help="Networks trained at once.")
    ] = 2,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            help="Folder for the results; trained networks in it are used again.",
        ),
    ] = Path("results/claims"),
    as_json: Json = False,
) -> None:
    """Put the claims of Glorot, Bordes & Bengio 2011 to the test.

    Each is judged by a criterion that was written down beforehand.

    Quick takes minutes, full hours. Writes claims.json, claims.parquet, claims.md and a figure for
    each claim. With --only, what a folder holds of the other claims stays. A folder is of one kind,
    quick or full.
    """
    from neurosparse import claims as paper

    for number in only or ():
        paper.load(number)  # before a bar is drawn
    keeps(f"networks that are trained are in {out}: the same command goes on from there")
    with bars({"claims": "claims"}) as show:
        findings = paper.run(
            out,
            only or (),
            spec=paper.FULL if full else paper.QUICK,
            threads=threads,
            progress=lambda done, text: show("claims", done, text),
        )
    results_are_written()
    if as_json:
        import json

        chosen = {finding.number for finding in findings}
        content = json.loads((out / "claims.json").read_text(encoding="utf-8"))
        show_json([each for each in content["findings"] if each["number"] in chosen])
        finish(quiet=True)
        return
    _show_claims(findings)
    measured = {finding.number for finding in findings}
    if kept := [
        str(finding.number) for finding in paper.read(out) if finding.number not in measured
    ]:
        say(f"Kept from before: claim{'s' * (len(kept) > 1)} {', '.join(kept)}.")
    finish(f"Numbers and figures: {out}", then=f"neurosparse compare --claims {out}")


def _show_claims(findings: Any) -> None:
    """Print each claim with its verdict, and below it a line for each criterion.

    The line says what was found, and the range in which the claim holds.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("claim, and what is measured: mean [95 % interval] over seeds")
    table.add_column("verdict", overflow="fold", max_width=13)
    for finding in findings:
        table.add_row(str(finding.number), Text(finding.claim.text), Text(finding.verdict))
        for effect in finding.effects:
            found = f"- {effect.criterion.text}: {effect.describe()}; holds if"
            table.add_row("", Text(f"{found} {effect.criterion.range()}"))
    say(table)
