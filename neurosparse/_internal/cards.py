"""Results in a notebook: a small table in HTML, every name and value in it escaped.

And the style that all pages share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources


def card(title: str, rows: Mapping[str, object], notes: Sequence[str] = ()) -> str:
    """Return HTML of one thing: its properties below each other, sentences below them."""
    cells = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th><td>{_cell(v)}</td></tr>"
        for name, v in rows.items()
    )
    return f"<div><b>{escape(title)}</b><table>{cells}</table>{_paragraphs(notes)}</div>"


def grid(title: str, rows: Sequence[Mapping[str, object]], notes: Sequence[str] = ()) -> str:
    """Return HTML of several alike: a line each, their columns those of the first."""
    head = "".join(f"<th>{escape(name)}</th>" for name in rows[0]) if rows else ""
    body = "".join(
        f"<tr>{''.join(f'<td>{_cell(v)}</td>' for v in row.values())}</tr>" for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div><b>{escape(title)}</b>{table}{_paragraphs(notes)}</div>"


def look() -> str:
    """Return the style of every page: letters, colours by day and night, tables, figures."""
    return (resources.files(__package__) / "look.css").read_text(encoding="utf-8")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        four = f"{value:.4g}"  # not as a power of ten where it is large
        return f"{float(four):,.0f}" if 1e4 <= abs(value) < float("inf") else four
    return (
        f"{value:,}"
        if isinstance(value, int) and not isinstance(value, bool)
        else escape(str(value))
    )


def _paragraphs(notes: Sequence[str]) -> str:
    return "".join(f"<p>{escape(note)}</p>" for note in notes)
