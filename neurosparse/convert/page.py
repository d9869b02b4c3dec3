"""A conversion as a page: all that was found, on one file that opens offline."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from neurosparse._internal import cards
from neurosparse.convert.report import ConversionReport

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;"
    "padding:0 1rem}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem}tr{border-bottom:1px solid #ddd}"
    "td,th{padding:.2rem .8rem;text-align:right}td:first-child,th:first-child{text-align:left}"
    "img{max-width:100%}"
)


def conversion_page(report: ConversionReport, figure: Path) -> str:
    """Return the page of a conversion, as HTML.

    Parameters
    ----------
    report
        The report of the conversion.
    figure
        The PNG file of its figure, which goes into the page.
    """
    title = f"{report.name}, converted to spikes"
    steps = [
        {
            "steps": at.steps,
            "agreement (%)": 100 * at.agreement,
            "accuracy (%)": None if at.accuracy is None else 100 * at.accuracy,
        }
        for at in report.curve
    ]
    layers = [
        {
            "layer": layer.name,
            "active, source (%)": 100 * layer.source_active,
            "spiking, a step (%)": 100 * layer.active_per_step,
            "spiking, in all (%)": 100 * layer.active_per_inference,
            "spikes": layer.spikes,
            "rate (Hz)": layer.rate_hz,
            "error (%)": 100 * layer.error,
            "worst unit": ", ".join(map(str, layer.worst_unit)),
        }
        for layer in report.layers
    ]
    energies = [
        {
            "nJ an inference": found.device.label,
            "dense": found.dense_nJ,
            "active": found.active_nJ,
            "spiking": found.spiking_nJ,
            "break-even with dense, steps": found.break_even_steps,
            "break-even with active, steps": found.break_even_active_steps,
        }
        for found in report.energies
    ]
    picture = base64.b64encode(figure.read_bytes()).decode()
    parts = [
        *(f"<p>{escape(sentence)}</p>" for sentence in report.sentences()),
        f"<img alt='Agreement and activity of {escape(report.name)}'"
        f" src='data:image/png;base64,{picture}'>",
        cards.grid("How many steps it takes", steps),
        cards.grid("Its layers", layers),
        cards.grid("What an inference costs", energies),
    ]
    head = (
        f"<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    )
    body = "\n".join(parts)
    return (
        f"<!doctype html>\n<html lang='en'><head>{head}</head>\n"
        f"<body><main><h1>{escape(title)}</h1>\n{body}\n</main></body></html>\n"
    )
