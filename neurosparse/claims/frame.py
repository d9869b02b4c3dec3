"""Claims and their criteria, and one rule by which all of them are judged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import cards, checks
from neurosparse.sparsity.paired import Mean, crossed, mean

Verdict = Literal["holds", "does not hold here", "undecided"]
# of a seed: a number, or of an error what each test image adds: 1 where it is misclassified, or the
# difference of two networks, shape (n_images,)
Quantity = float | NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Criterion:
    """A range in which a measured quantity lies if the claim is true.

    Parameters
    ----------
    quantity
        Its name in what the claim's `measure` returns.
    text
        What is measured, in a few words; of a difference, which is taken from which.
    low, high
        The range, both ends included; without an end it is open on that side.
    unit
        Of the quantity; empty for a bare number.

    Raises
    ------
    ValueError
        Where low is above high, or both are open: nothing could fail it.
    """

    quantity: str
    text: str
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""

    def __post_init__(self) -> None:
        if not self.low <= self.high or (math.isinf(self.low) and math.isinf(self.high)):
            raise ValueError(
                f"criterion {self.quantity!r} needs low <= high, one of them finite, got"
                f" {self.low}, {self.high}"
            )

    def judge(self, effect: Mean) -> Verdict:
        """Judge an effect by its interval.

        The interval is inside the range, apart from it, or across one of its ends.

        Examples
        --------
        >>> more = Criterion("difference", "a minus b", low=0.0)
        >>> more.judge(Mean(0.5, 0.1, 0.9, n=5)), more.judge(Mean(0.5, -0.1, 1.1, n=5)), more.judge(Mean(-1.0, -1.5, -0.5, n=5))
        ('holds', 'undecided', 'does not hold here')
        """  # noqa: E501
        if self.low <= effect.low and effect.high <= self.high:
            return "holds"
        return (
            "does not hold here"
            if effect.high < self.low or self.high < effect.low
            else "undecided"
        )

    def range(self) -> str:
        """Return the range in words: "at least 0 points"."""
        unit = f" {self.unit}" if self.unit else ""
        if math.isinf(self.high):
            return f"at least {self.low:g}{unit}"
        return (
            f"at most {self.high:g}{unit}"
            if math.isinf(self.low)
            else f"{self.low:g} to {self.high:g}{unit}"
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim, and what is asked of measurements before it is said to hold.

    Parameters
    ----------
    text
        The claim in one sentence.
    source
        Where it stands.
    criteria
        All must hold for the claim to hold; one that does not is enough for it not to.
    arms
        The trained networks that it needs, of `lab.ARMS`; one of each for every seed.
    limits
        What the experiment does not show.
    """

    text: str
    source: str
    criteria: tuple[Criterion, ...]
    arms: tuple[str, ...] = ()
    limits: str = ""


@dataclass(frozen=True, slots=True)
class Effect:
    """Outcome of one criterion.

    It has a value for each seed, their mean with its 95 % interval, and the verdict. The interval
    is over seeds (Student's t); that of an error is over seeds and test images (crossed).
    """

    criterion: Criterion
    values: tuple[float, ...]
    mean: Mean
    verdict: Verdict

    def describe(self) -> str:
        """Return the mean and its interval: "0.52 [0.31, 0.73] points"."""
        low, high = self.mean.low, self.mean.high
        interval = "[?]" if math.isnan(low) else f"[{low:.3g}, {high:.3g}]"
        return f"{self.mean.mean:.3g} {interval} {self.criterion.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Finding(cards.Shown):
    """Outcome of a claim."""

    number: int
    claim: Claim
    effects: tuple[Effect, ...]  # one for each criterion
    verdict: Verdict
    also: Mapping[str, Mean]  # what else was measured, and no criterion asks for
    left_out: tuple[str, ...] = ()  # seeds that are missing, and why

    def _card(self) -> cards.Card:
        rows = [
            {"measured": e.criterion.text, "effect": e.describe(), "holds if": e.criterion.range()}
            for e in self.effects
        ]
        return cards.Card(
            f"Claim {self.number}: {self.verdict}", rows, [self.claim.text, *self.left_out]
        )


def examine(
    number: int, claim: Claim, rows: Sequence[Mapping[str, Quantity]], left_out: Sequence[str] = ()
) -> Finding:
    """Judge a claim by what was measured.

    Parameters
    ----------
    number
        The claim's.
    claim
        The claim, with its criteria.
    rows
        The quantities of each seed, by name.
    left_out
        Which seeds are missing, and why.

    Raises
    ------
    ValueError
        Where a quantity that a criterion asks for is missing or not finite, or there are no rows.
    TypeError
        Where an argument is of another kind.

    Examples
    --------
    >>> claim = Claim("b is less", "here", (Criterion("difference", "a minus b", low=0.0),))
    >>> examine(1, claim, [{"difference": 0.4}, {"difference": 0.5}, {"difference": 0.6}]).verdict
    'holds'
    """
    checks.instance("claim", claim, Claim)
    for row in checks.instances("rows", rows, object):
        checks.instance("each of rows", row, Mapping)
    if not rows:
        raise ValueError(f"claim {number}: nothing was measured")
    means = {}
    for name in rows[0]:
        try:
            means[name] = _mean([row[name] for row in rows])
        except (KeyError, ValueError):
            values = [row.get(name) for row in rows]
            raise ValueError(
                f"claim {number}: {name!r} must be a finite number for every seed, got {values}"
            ) from None
    if missing := [c.quantity for c in claim.criteria if c.quantity not in means]:
        raise ValueError(
            f"claim {number}: {missing[0]!r} was not measured, there are: {', '.join(means)}"
        )
    effects = tuple(
        Effect(
            c,
            tuple(in_points(row[c.quantity]) for row in rows),
            means[c.quantity],
            c.judge(means[c.quantity]),
        )
        for c in claim.criteria
    )
    judged = {effect.criterion.quantity for effect in effects}
    also = {name: value for name, value in means.items() if name not in judged}
    return Finding(
        number,
        claim,
        effects,
        _verdict([effect.verdict for effect in effects]),
        also,
        tuple(left_out),
    )


def in_points(quantity: Quantity) -> float:
    """Return a quantity as a number; of an error in points, in % of the test images."""
    return 100 * float(quantity.mean()) if isinstance(quantity, np.ndarray) else float(quantity)


def _mean(quantities: Sequence[Quantity]) -> Mean:
    """Return the mean over seeds, with an interval over test images as well where they are told."""
    by_image = [100.0 * each for each in quantities if isinstance(each, np.ndarray)]
    if 1 < len(quantities) == len(by_image):
        return crossed(np.stack(by_image))
    return mean([in_points(each) for each in quantities])


def _verdict(verdicts: Sequence[Verdict]) -> Verdict:
    if "does not hold here" in verdicts:
        return "does not hold here"
    return "undecided" if "undecided" in verdicts else "holds"
