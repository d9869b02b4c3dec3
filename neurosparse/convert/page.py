"""A conversion as a page: all that was found, on one file that opens offline."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from neurosparse._internal import cards, checks
from neurosparse._internal.digits import three_digits
from neurosparse.convert.costs import last_below
from neurosparse.convert.report import ConversionReport

_HEADLINE = 3  # sentences, as on the terminal
_PRINTED = "@media print { @page { margin: 15mm; } body { max-width: none; padding: 0; } }"


def conversion_page(report: ConversionReport, figure: Path) -> str:
    """Return the page of a conversion, as HTML.

    Parameters
    ----------
    report
        The report of the conversion.
    figure
        The PNG file of its figure, which goes into the page.
    """
    checks.instance("report", report, ConversionReport, "neurosparse.convert.verify returns one")
    figure = checks.path("figure", figure)
    title = f"{report.name}, converted to spikes"
    labelled = report.source_accuracy is not None
    steps = [
        {
            "steps": f"{at.steps:,}",
            "agreement (%)": f"{100 * at.agreement:.2f}",
            **({"accuracy (%)": f"{100 * (at.accuracy or 0.0):.2f}"} if labelled else {}),
        }
        for at in report.curve
    ]
    layers = [
        {
            "layer": layer.name,
            "active, source (%)": f"{100 * layer.source_active:.1f}",
            "spiking, a step (%)": f"{100 * layer.active_per_step:.2f}",
            "spiking, in all (%)": f"{100 * layer.active_per_inference:.1f}",
            "spikes": f"{layer.spikes:,.0f}",
            "rate (Hz)": f"{layer.rate_hz:.1f}",
            "error (%)": f"{100 * layer.error:.1f}",
            "worst unit": ", ".join(map(str, layer.worst_unit)),
        }
        for layer in report.layers
    ]
    energies = [
        {
            "device": found.device.label,
            "dense (nJ)": three_digits(found.dense_nJ),
            "without zeros (nJ)": three_digits(found.active_nJ),
            "spiking (nJ)": three_digits(found.spiking_nJ),
            "less than dense up to (steps)": _last(found.break_even_steps),
            "less than without zeros up to (steps)": _last(found.break_even_active_steps),
        }
        for found in report.energies
    ]
    picture = base64.b64encode(figure.read_bytes()).decode()
    said = [f"<p>{escape(sentence)}</p>" for sentence in report.sentences()]
    parts = [
        "<div class='headline'>",
        *said[:_HEADLINE],
        "</div>",
        *said[_HEADLINE:],
        f"<figure><img class='paper' alt='Agreement and activity of {escape(report.name)}'"
        f" src='data:image/png;base64,{picture}'></figure>",
        _table("How many steps it takes", steps),
        _table("Its layers", layers),
        _table("What an inference costs", energies),
    ]
    head = (
        "<meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{cards.look()}{_PRINTED}</style>"
    )
    body = "\n".join(parts)
    return (
        f"<!doctype html>\n<html lang='en'><head>{head}</head>\n"
        f"<body><main><h1>{escape(title)}</h1>\n{body}\n</main></body></html>\n"
    )


def _last(break_even: float) -> str:
    return f"{last_below(break_even):,}" if last_below(break_even) else "never"


def _table(title: str, rows: Sequence[Mapping[str, str]]) -> str:
    """Return a heading, and a table that scrolls on its own where it is wide."""
    head = "".join(f"<th scope='col'>{escape(column)}</th>" for column in rows[0])
    body = []
    for row in rows:
        name, *others = map(escape, row.values())
        cells = "".join(f"<td>{cell}</td>" for cell in others)
        body.append(f"<tr><th scope='row'>{name}</th>{cells}</tr>")
    return (
        f"<h2>{escape(title)}</h2>\n"
        f"<div class='scroll' tabindex='0' role='region' aria-label='{escape(title)}'>\n"
        f"<table><thead><tr>{head}</tr></thead><tbody>\n" + "\n".join(body) + "</tbody></table>"
        "</div>"
    )
