"""Tables for print: few lines, within the width of the terminal, in plain text."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from textwrap import wrap

from neurosparse._internal.digits import counted
from neurosparse._internal.names import one_line

LINES = 15  # of a result
_WIDEST, _NARROWEST = 80, 40
_BETWEEN = "  "
_LEAST_NAME = 12  # columns of a name that is cut


def columns() -> int:
    """Return how wide a line may be: the terminal, or what COLUMNS says, and at most 80."""
    return max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size().columns))


def wrapped(text: str, width: int, *, hang: int = 0, most: int | None = None) -> list[str]:
    """Return a text as lines, further ones after `hang` spaces, cut after the first `most`.

    Examples
    --------
    >>> wrapped("one two three", 8, hang=2)
    ['one two', '  three']
    """
    lines = wrap(one_line(text), width, subsequent_indent=" " * hang, break_on_hyphens=False)
    if most is not None and len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1][: width - 1].rstrip()}…"]
    return lines


def pairs(said: Mapping[str, str], width: int) -> list[str]:
    """Return a line for each label and its value; a long value goes on below itself.

    Examples
    --------
    >>> pairs({"units": "50", "rate": "4.2 Hz"}, 80)
    ['units  50', 'rate   4.2 Hz']
    """
    left = min(max(map(len, said), default=0), width // 2)
    lines = []
    for label, value in said.items():
        names = wrapped(label, left)
        values = wrapped(value, width - left - len(_BETWEEN)) or [""]
        for k in range(max(len(names), len(values))):
            name, line = (each[k] if k < len(each) else "" for each in (names, values))
            lines.append(f"{name:<{left}}{_BETWEEN}{line}".rstrip())
    return lines


def table(
    cells: Sequence[Sequence[str]],
    width: int,
    *,
    most: int = LINES,
    keep: Sequence[int] = (),
    more: str = "",
) -> list[str]:
    """Return a table as lines: the head, then a line each, with the first column to the left.

    Parameters
    ----------
    cells
        The head, then the lines.
    width
        Of the terminal. Heads wrap; then names wrap, or are cut where there are too many; then the
        last columns are left out.
    most
        Lines of the whole, at least the head and two.
    keep
        Indices of lines, of which the first is 0, that are shown rather than others; so are the
        first and the last.
    more
        Where the rest is.

    Examples
    --------
    >>> print("\\n".join(table([["layer", "active (%)"], ["fc1", "4"], ["fc2", "12"]], 14)))
           active
    layer     (%)
    fc1         4
    fc2        12
    """
    cells = [[one_line(cell) for cell in line] for line in cells]
    by_column = [*zip(*cells, strict=True)]
    widths = [max(map(len, column)) for column in by_column]
    if _total(widths) > width:  # heads wrap
        widths = [
            max(max(map(len, lines)), *map(len, head.split() or [""])) for head, *lines in by_column
        ]
    whole, widths[0] = widths[0], min(widths[0], _LEAST_NAME)
    while _total(widths) > width and len(widths) > 1:
        widths.pop()
    widths[0] = min(whole, widths[0] + width - _total(widths))  # names get what is left
    head, *lines = [line[: len(widths)] for line in cells]
    parts = [wrapped(name, w) or [""] for name, w in zip(head, widths, strict=True)]
    height = max(map(len, parts))
    heads = [[""] * (height - len(part)) + part for part in parts]
    shown = _chosen(len(lines), max(2, most - height), keep)
    names = [wrapped(lines[k][0], widths[0]) or [""] for k in shown]
    if len(shown) < len(lines) or sum(map(len, names)) > most - height:  # no room to wrap them
        names = [wrapped(lines[k][0], widths[0], most=1) or [""] for k in shown]
    found = [_row(row, widths) for row in zip(*heads, strict=True)]
    for k, (*above, name) in zip(shown, names, strict=True):
        found += [*above, _row([name, *lines[k][1:]], widths)]
    left = [
        counted(n, f"more {what}")
        for n, what in ((len(lines) - len(shown), "row"), (len(cells[0]) - len(widths), "column"))
        if n
    ]
    return [*found, f"... {' and '.join(left)}{f': {more}' if more else ''}"] if left else found


def cut(lines: Sequence[str], more: str = "") -> list[str]:
    """Return at most `LINES` lines; the last one then says how many more there are, and where.

    Examples
    --------
    >>> cut(["line"] * 20, ".notes")[-2:]
    ['line', '... 6 more lines: .notes']
    """
    if len(lines) <= LINES:
        return [*lines]
    left = len(lines) - LINES + 1
    return [*lines[: LINES - 1], f"... {left:,} more lines{f': {more}' if more else ''}"]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_BETWEEN) * (len(widths) - 1)


def _chosen(n: int, room: int, keep: Sequence[int]) -> list[int]:
    """Return the indices of n lines that are shown, where a line is needed to say what is not."""
    if n <= room:
        return [*range(n)]
    first = [k for k in (n - 1, *keep) if 0 <= k < n]
    return sorted([*dict.fromkeys([0, *first, *range(n)])][: room - 1])


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *others = cells
    right = [f"{cell:>{w}}" for cell, w in zip(others, widths[1:], strict=True)]
    return _BETWEEN.join([f"{name:<{widths[0]}}", *right]).rstrip()
