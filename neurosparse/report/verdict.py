"""A claim on the page: its verdict, and each interval against its criterion."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from neurosparse._internal import checks

_KINDS = {"holds": "holds", "undecided": "undecided", "does not hold here": "fails"}
_ROOM = 0.15  # of the axis, on either side of what is drawn


@dataclass(frozen=True, slots=True)
class Measured:
    """One interval against the range in which the claim holds.

    Parameters
    ----------
    text, effect, holds_if
        What was measured, what came out and what was asked, in words.
    mean, low, high
        The mean and the ends of its interval; NaN where there is none.
    least, most
        The ends of the range; infinite where it is open.

    Examples
    --------
    >>> strip(Measured("a - b", "1 [0, 2]", "at least 0", 1.0, 0.0, 2.0, 0.0, math.inf)).mean
    50.0
    """

    text: str
    effect: str
    holds_if: str
    mean: float
    low: float
    high: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim with what came of it.

    Parameters
    ----------
    number, claim
        Which, and what it says.
    verdict
        "holds", "undecided" or "does not hold here".
    measured
        One entry for each criterion.
    limits
        What the experiment does not show.

    Raises
    ------
    ValueError
        Where the verdict is none of the three.
    """

    number: int | str
    claim: str
    verdict: str
    measured: tuple[Measured, ...] = ()
    limits: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        checks.instance("verdict", self.verdict, str)
        if self.verdict not in _KINDS:
            raise ValueError(
                f"verdict of claim {self.number} must be one of {', '.join(_KINDS)}, got"
                f" {self.verdict!r}"
            )

    @property
    def kind(self) -> str:
        """Its name in the style of the page."""
        return _KINDS[self.verdict]


@dataclass(frozen=True, slots=True)
class Strip:
    """Places along an axis from 0 to 100: the range that holds, the interval, the mean."""

    least: float
    most: float
    low: float
    high: float
    mean: float


def strip(measured: Measured) -> Strip:
    """Return where an interval and its criterion lie on a common axis."""
    known = [
        value
        for value in (measured.mean, measured.low, measured.high, measured.least, measured.most)
        if math.isfinite(value)
    ]
    low, high = min(known), max(known)
    room = _ROOM * (high - low) or 0.5 * abs(low) or 0.5
    first, length = low - room, high - low + 2 * room

    def place(value: float, otherwise: float) -> float:
        inside = value if math.isfinite(value) else otherwise
        return round(100 * (inside - first) / length, 2)

    mean = place(measured.mean, low)
    return Strip(
        place(measured.least, first),
        place(measured.most, first + length),
        place(measured.low, measured.mean),
        place(measured.high, measured.mean),
        mean,
    )


def by_verdict(verdicts: Iterable[Verdict]) -> list[tuple[str, Sequence[Verdict]]]:
    """Return the claims in groups, what does not hold first: it is what a reader looks for."""
    found = list(verdicts)
    order = ("does not hold here", "undecided", "holds")
    groups = [(name, [v for v in found if v.verdict == name]) for name in order]
    return [(name, group) for name, group in groups if group]
