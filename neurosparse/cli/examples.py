"""Examples at the end of a command's help, in lines that can be copied into a shell."""

from __future__ import annotations

import re

_WIDTH = 56  # of 60 columns, less the margin and what goes on a line that is broken
_WORD = re.compile(r"""(?:'[^']*'|"[^"]*"|\S)+""")
_UNBROKEN = "\b"  # says that a paragraph is not to be filled


def examples(*commands: str) -> str:
    """Return commands as the end of a help, each broken by backslashes where it is long.

    Examples
    --------
    >>> print(examples("neurosparse brains").replace("\\b", ""))
    Example:
    <BLANKLINE>
    <BLANKLINE>
    neurosparse brains
    """
    heading = "Examples:" if len(commands) > 1 else "Example:"
    return "\n\n".join([heading, *(f"{_UNBROKEN}\n{_broken(each)}" for each in commands)])


def _broken(command: str) -> str:
    """Return a command in lines, an option on one line with its value."""
    pieces: list[str] = []
    for word in _WORD.findall(command):
        if pieces and pieces[-1].startswith("-") and " " not in pieces[-1] and word[0] != "-":
            pieces[-1] += f" {word}"
        else:
            pieces.append(word)
    lines = [""]
    for piece in pieces:
        longer = f"{lines[-1]} {piece}" if lines[-1] else piece
        if len(longer) <= _WIDTH:
            lines[-1] = longer
        else:
            lines.append(f"    {piece}")
    return " \\\n".join(lines)
