"""Names and texts of anyone's, made safe for a terminal, a page and a figure.

Also the name that was meant by a misspelt one.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

import numpy as np

from neurosparse._internal.types import Array

# line and paragraph separators, unassigned and private code points, halves of pairs, controls
# (among them ESC and NUL), and marks that turn the direction of the text around
_UNSAFE = {"Cc", "Cs", "Cn", "Co", "Zl", "Zp"}
_TURNING = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]")
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])?")


def clean(name: object) -> str:
    """Return a name without what a terminal, XML or a font stumbles over.

    Control characters, halves of surrogate pairs and marks of direction become "?"; commands to a
    terminal go as a whole. Letters of every script stay.

    Parameters
    ----------
    name
        Text, or bytes, which are read as UTF-8.

    Examples
    --------
    >>> clean("L2/3\\x1b[31m e\\x00")
    'L2/3 e?'
    >>> clean(b"caf\\xc3\\xa9")
    'café'
    """
    return printable(name.decode(errors="replace") if isinstance(name, bytes) else str(name))


def clean_array(values: Array) -> Array:
    """Return an array of texts with each of them clean; numbers and truth values as they are."""
    if values.dtype.kind in "biuf":
        return values
    distinct, code = np.unique(values.astype("O"), return_inverse=True)
    return np.array([clean(value) for value in distinct], dtype=str)[code.reshape(values.shape)]


def one_line(text: str) -> str:
    """Return a text as one line that a terminal can show, whatever its length.

    Examples
    --------
    >>> one_line("no such\\nfile")
    'no such file'
    """
    return printable(" ".join(_SEQUENCE.sub("", text).split()))


def in_words(error: BaseException, *, most: int = 500) -> str:
    """Return the kind of an error of anyone's and what it says, on one line.

    Examples
    --------
    >>> in_words(RuntimeError("shapes\\ndiffer"))
    'RuntimeError: shapes differ'
    """
    kind, message = type(error).__name__, one_line(str(error))
    return f"{kind}: {message[:most]}{'…' if len(message) > most else ''}" if message else kind


def printable(line: str) -> str:
    """Return a line with its spaces as they are, and nothing in it that commands a terminal.

    Examples
    --------
    >>> printable("  a\\x1b[2J  b")
    '  a  b'
    """
    text = _TURNING.sub("?", _SEQUENCE.sub("", line))
    return "".join("?" if unicodedata.category(c) in _UNSAFE else c for c in text)


def storable(name: str) -> str:
    r"""Return a name that every file can hold: halves of surrogate pairs become "?".

    Examples
    --------
    >>> storable("caf\u00e9\udcff")
    'café?'
    """
    return name.encode("utf-8", "replace").decode()


def for_figure(name: object, *, most: int = 40) -> str:
    r"""Return a name as matplotlib is to draw it.

    It is on one line, never read as mathematics, and short enough to leave room for the figure. Of
    a long name both ends stay, for layers of a network differ in the last letters.

    Examples
    --------
    >>> print(for_figure("$\\foo$"))
    \$\foo\$
    >>> for_figure("encoder_layers.37.1", most=12)
    'enc…ers.37.1'
    """
    line = one_line(str(name))
    if len(line) > most:
        first = (most - 1) // 3
        line = f"{line[:first].rstrip()}…{line[first + 1 - most :].lstrip()}"
    line = line.replace("$", r"\$")
    return f" {line}" if line.startswith("_") else line  # which would hide it from a legend


def from_figure(label: str) -> str:
    """Return what `for_figure` was given, but for what it took away."""
    return label.replace(r"\$", "$").removeprefix(" ")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that a misspelt name most likely means; None where none is near.

    Examples
    --------
    >>> nearest("rectifer_l1", ["rectifier", "rectifier_l1", "tanh"])
    'rectifier_l1'
    """
    by_letters = {each.casefold().replace("-", "_"): each for each in known}
    wanted = name.casefold().replace("-", "_")
    found = difflib.get_close_matches(wanted, by_letters, n=1, cutoff=0.6)
    return by_letters[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the words that name the nearest one, to put after an error; empty where none is near.

    Examples
    --------
    >>> did_you_mean("lerning_rate", ["l1", "learning_rate"])
    "; did you mean 'learning_rate'?"
    """
    found = nearest(name, known)
    return "" if found is None else f"; did you mean {found!r}?"
