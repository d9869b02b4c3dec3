"""Names of Python in a sentence, as the options of a command."""

from __future__ import annotations

import re
from collections.abc import Mapping

_WITH_OPTION = re.compile(r"\b\w+(=[A-Z]+)? \((--[a-z][a-z-]*)\)")
_VALUE = r"=(\(\.\.\.\)|\.\.\.|lambda [\w, ]*: \.\.\.|\{'[^']*': \.\.\.\}|'[^']*'|[\w.:+-]*\w)"
_BEFORE, _AFTER = r"(?<![\w./'\"=-])", r"(?![\w'\"=]|[./]\w)"
_TIMES = "; check --time-unit, and --duration-s, which is in s"


def in_options(text: str, options: Mapping[str, tuple[str, str]]) -> str:
    """Return a sentence in which the arguments of functions are called as a command calls them.

    Parameters
    ----------
    text
        The sentence.
    options
        Flag and metavar of each option of the command, by the name of the argument.

    Examples
    --------
    >>> options = {"n_units": ("--n-units", "N"), "layers": ("--layers", "NAME,NAME")}
    >>> in_options("38 units have spikes, more than n_units=3", options)
    '38 units have spikes, more than --n-units 3'
    >>> in_options("name modules with layers=(...)", options)
    'name modules with --layers NAME,NAME'
    >>> in_options("give time_unit (--time-unit), one of s, ms", {})
    'give --time-unit, one of s, ms'
    """
    if ": give times and duration in ms" in text:
        from neurosparse.activity.plausibility import REMEDY

        text = text.replace(REMEDY, _TIMES)
    text = _WITH_OPTION.sub(lambda m: m[2] + (m[1] or "").replace("=", " "), text)
    for name, (flag, metavar) in options.items():

        def called(found: re.Match[str], flag: str = flag, metavar: str = metavar) -> str:
            return f"{flag} {_value(found[1], metavar)}"

        text = re.sub(_BEFORE + name + _VALUE, called, text)
        if "_" in name:  # a word of its own in no sentence
            text = re.sub(_BEFORE + name + _AFTER, flag, text)
    return text


def _value(given: str, metavar: str) -> str:
    """Return a value as it stands behind an option; its kind where the sentence leaves it open."""
    if given.startswith("{"):
        return f"{given[2:].partition(chr(39))[0]}={metavar.partition('|')[0]}"
    if given.endswith(("...", "...)")):
        return metavar
    plain = given.strip("'")
    return given if " " in plain else plain
