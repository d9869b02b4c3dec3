"""The difference of two active fractions that mean the same by active."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from neurosparse._internal import cards
from neurosparse.activity import ActivityStats
from neurosparse.activity.given import check_stats
from neurosparse.comparison.words import quoted


@dataclass(frozen=True, slots=True)
class Difference(cards.Shown):
    """The difference between two active fractions, with a confidence interval.

    The interval takes the two as independent.
    """

    name: str
    other: str
    difference: float  # of active fractions: that of `name` less that of `other`
    low: float
    high: float
    level: float

    def sentence(self) -> str:
        """Return the difference in plain words, in percentage points."""
        both = f"{quoted(self.name)} less {quoted(self.other)}"
        if math.isnan(self.low):
            return (
                f"{both}: {100 * self.difference:+.2f} points, without an"
                " interval, since one of them has none."
            )
        found, low, high = (
            f"{100 * value:+.2f}" for value in (self.difference, self.low, self.high)
        )
        return f"{both}: {found} points ({100 * self.level:g} % interval {low} to {high})."

    def _card(self) -> cards.Card:
        return cards.Card("Difference", {}, [self.sentence()])


def difference(stats: ActivityStats, other: ActivityStats) -> Difference:
    """Return the difference of two active fractions, with an interval.

    Newcombe's method 10 (1998, Statistics in Medicine 17:873): the distances of both fractions to
    the ends of their own intervals are added as squares. Networks that saw the same inputs differ
    less by chance than this says.

    Raises
    ------
    ValueError
        Where the two mean different things by active.
    TypeError
        Where an argument is of another kind.
    """
    check_stats("stats", stats)
    check_stats("other", other)
    refuse_mixed((stats, other))
    if stats.kind != other.kind:
        raise ValueError(
            f"{stats.name!r} is of {stats.kind} and {other.name!r} of {other.kind}: their fractions"
            " have no difference; compare gives the window in which they are alike"
        )
    p, q, mine, theirs = (
        stats.active_fraction,
        other.active_fraction,
        stats.interval,
        other.interval,
    )
    below, above = (
        math.hypot(p - mine.low, theirs.high - q),
        math.hypot(mine.high - p, q - theirs.low),
    )
    return Difference(stats.name, other.name, p - q, p - q - below, p - q + above, mine.level)


def unlike(stats: Sequence[ActivityStats]) -> tuple[ActivityStats, ActivityStats] | None:
    """Return two of one kind that mean different things by active, or None."""
    for kind in ("spikes", "activations"):
        alike = [s for s in stats if s.kind == kind]
        other = next((s for s in alike if not s.active_when.is_like(alike[0].active_when)), None)
        if other is not None:
            return alike[0], other
    return None


def refuse_mixed(stats: Sequence[ActivityStats]) -> None:
    """Refuse statistics of one kind that mean different things by active. ValueError then."""
    if found := unlike(stats):
        one, other = found
        raise ValueError(
            f"{one.name!r} ({one.active_when.describe()}) and {other.name!r}"
            f" ({other.active_when.describe()}) mean different things by active: measure both"
            " alike, or pass mixed_definitions=True to show each with its own"
        )
