"""`neurosparse claims`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosparse.cli.display import bars, say
from neurosparse.cli.program import app

if TYPE_CHECKING:
    from rich.table import Table


@app.command(
    epilog=(
        "Examples:\n\nneurosparse claims\n\nneurosparse claims --only 8 --only 15\n\n"
        "neurosparse claims --full -o results/claims_full"
    )
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
    threads: Annotated[int, typer.Option(help="Networks trained at once.")] = 2,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="Folder for the results; trained networks in it are used again."
        ),
    ] = Path("results/claims"),
) -> None:
    """Put the claims of Glorot, Bordes & Bengio 2011 to the test, each against a criterion
    written down beforehand.

    Quick takes minutes, full hours. Writes claims.json, claims.parquet, claims.md and a figure for
    each claim. With --only, what a folder holds of the other claims stays. A folder is of one kind,
    quick or full.
    """
    from neurosparse import claims as paper

    with bars({"claims": "claims"}) as show:
        findings = paper.run(
            out,
            only or (),
            spec=paper.FULL if full else paper.QUICK,
            threads=threads,
            progress=lambda done, text: show("claims", done, text),
        )
    say(_claims_table(findings))
    measured = {finding.number for finding in findings}
    if kept := [
        str(finding.number) for finding in paper.read(out) if finding.number not in measured
    ]:
        say(f"Kept from before: claim{'s' * (len(kept) > 1)} {', '.join(kept)}.")
    say(f"Numbers and figures: {out}")


def _claims_table(findings: Any) -> Table:
    """A line a claim with its verdict, and below it one for each criterion: what was found, and the
    range in which it holds.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "claim, and what is measured: mean [95 % interval] over seeds", "verdict"):
        table.add_column(
            heading, no_wrap=heading == "verdict", justify="left" if heading else "right"
        )
    for finding in findings:
        table.add_row(str(finding.number), finding.claim.text, finding.verdict)
        for effect in finding.effects:
            table.add_row(
                "",
                f"- {effect.criterion.text}: {effect.describe()}; holds if"
                f" {effect.criterion.range()}",
            )
    return table
