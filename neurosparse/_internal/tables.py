"""Tables in Markdown that also read well in a terminal."""

from __future__ import annotations

from collections.abc import Sequence


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]], *, texts: int = 1) -> str:
    """Format a Markdown table: the first columns to the left, `texts` of them, others to the right.

    Examples
    --------
    >>> print(markdown(["arm", "error %"], [["dense", "9.65"], ["2 %", "9.97"]]))
    | arm   | error % |
    |-------|--------:|
    | dense |    9.65 |
    | 2 %   |    9.97 |
    """
    widths = [max(len(line[k]) for line in (head, *lines)) for k in range(len(head))]
    rule = "|".join(
        ("-" if k < texts else "") + "-" * (w + 1) + ("" if k < texts else ":")
        for k, w in enumerate(widths)
    )
    first, *others = [
        "| "
        + " | ".join(
            f"{cell:{'<' if k < texts else '>'}{w}}"
            for k, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in (head, *lines)
    ]
    return "\n".join([first, f"|{rule}|", *others])
