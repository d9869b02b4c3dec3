"""The look of results: HTML in a notebook, a table of few lines in print.

Names and values of anyone's are escaped in the one, and made safe for a terminal in the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources

from neurosparse._internal import printed


@dataclass(frozen=True, slots=True)
class Card:
    """The content that a result shows: its properties, or those of several alike.

    Attributes
    ----------
    title
        Its name; may be empty.
    rows
        Properties by their labels; or a line each of several alike, their columns those of the
        first.
    notes
        Sentences below them.
    more
        Where the rest is, of what print has no room for.
    keep
        Indices of lines that print shows rather than others.
    """

    title: str
    rows: Mapping[str, object] | Sequence[Mapping[str, object]]
    notes: Sequence[str] = ()
    more: str = ""
    keep: Sequence[int] = ()

    def html(self) -> str:
        """Return the card for a notebook."""
        show = card if isinstance(self.rows, Mapping) else grid
        return show(self.title, self.rows, self.notes)  # type: ignore[arg-type]

    def text(self) -> str:
        """Return the card for a terminal: at most `printed.LINES` lines that fit it."""
        width = printed.columns()
        lines = printed.wrapped(self.title, width, most=2)
        notes = [line for note in self.notes for line in printed.wrapped(note, width, hang=2)]
        if isinstance(self.rows, Mapping):
            said = {name: _said(v) for name, v in self.rows.items() if v is not None}
            lines += printed.pairs(said, width)
        elif self.rows:
            names = [*self.rows[0]]
            cells = [names, *([_said(row.get(name)) for name in names] for row in self.rows)]
            room = printed.LINES - len(lines) - min(len(notes), printed.LINES // 3)
            lines += printed.table(cells, width, most=room, keep=self.keep, more=self.more)
        return "\n".join(printed.cut(lines + notes, self.more))


class Shown:
    """A result: a card in a notebook, the same as a table in print."""

    __slots__ = ()

    def _card(self) -> Card:
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return self._card().html()

    def __str__(self) -> str:
        """Return a table of at most 15 lines that fits the terminal."""
        return self._card().text()


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
    return escape(_said(value))


def _said(value: object) -> str:
    """Return a value in words: four digits of a number, and never a power of ten of a large one."""
    if value is None:
        return "-"
    if isinstance(value, float):
        four = f"{value:.4g}"
        return f"{float(four):,.0f}" if 1e4 <= abs(value) < float("inf") else four
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _paragraphs(notes: Sequence[str]) -> str:
    return "".join(f"<p>{escape(note)}</p>" for note in notes)
