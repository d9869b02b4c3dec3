"""Measured brains: how many neurons are active, or how fast they fire.

The data stand in `recordings.toml`, each with its source and how far it was read. A rate is
turned into a share by one law, that of Poisson firing: a cell of rate r has a spike in a window w
with probability 1 - exp(-r w). Where cells differ in rate, as they do, their mean rate gives an
upper bound of the share, so that the true window is longer than the one given. Where a source
states a share and no rate, there is no window to give.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Literal

from neurosparse._internal import cards, checks
from neurosparse.reference.tables import table

Kind = Literal["fraction", "rate", "sparseness", "shape"]
KINDS = ("fraction", "rate", "sparseness", "shape")
SHARES = (0.01, 0.02, 0.04)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredBrain(cards.Shown):
    """Statement of one source on how sparse a brain is.

    Parameters
    ----------
    species, area, state, method
        What was recorded, and how.
    counted
        Which cells count as active, or what has the rate.
    window
        In which time, as the source says it; "not stated" where it does not.
    kind
        "fraction", "rate" (Hz), "sparseness" (Treves-Rolls) or "shape" (no number is stated).
    trust
        A: read in the source's own text. B: read in another's account of it. C: not read.
    read
        What was read of the source.
    low, high
        The range stated; None where it is open on that side.
    share
        Of a rate: the share of cells that fire so fast.
    distribution
        The shape of the rates' distribution, if stated.
    n
        How many cells, if stated.
    """

    key: str
    species: str
    area: str
    state: str
    method: str
    counted: str
    window: str
    kind: Kind
    source: str
    doi: str
    trust: str
    read: str
    low: float | None = None
    high: float | None = None
    share: float = 1.0
    distribution: str = ""
    n: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.key}: kind must be one of {KINDS}, got {self.kind!r}")
        if self.trust not in ("A", "B", "C"):
            raise ValueError(f"{self.key}: trust must be A, B or C, got {self.trust!r}")
        ends = [end for end in (self.low, self.high) if end is not None]
        most = math.inf if self.kind == "rate" else 1.0
        if (
            (self.kind == "shape") != (not ends)
            or ends != sorted(ends)
            or not all(0 < end <= most for end in ends)
        ):
            raise ValueError(
                f"{self.key}: a {self.kind} cannot range from {self.low} to {self.high}"
            )
        if not 0 < self.share <= 1:
            raise ValueError(f"{self.key}: share must lie in (0, 1], got {self.share}")

    def windows_ms(self, fraction: float) -> tuple[float | None, float | None] | None:
        """Return the shortest and the longest window in which a share of the cells fires.

        By the law of Poisson firing, with all cells of the row at the rates stated.

        Parameters
        ----------
        fraction
            The share of all cells, in (0, 1).

        Returns
        -------
        tuple or None
            In ms; an end is None where the source leaves it open, all is None where no rate is
            stated.

        Raises
        ------
        ValueError
            Where `fraction` does not lie in (0, 1).

        Examples
        --------
        >>> rest = recordings()["waters2002"]     # 1 Hz
        >>> [round(end) for end in rest.windows_ms(0.01)]
        [10, 10]
        """
        fraction = checks.number("fraction", fraction)
        if not 0 < fraction < 1:
            raise ValueError(f"fraction must lie in (0, 1), got {fraction}")
        if self.kind != "rate":
            return None

        def window(rate_hz: float | None, of: float) -> float | None:
            if rate_hz is None or fraction >= of:
                return None
            return -math.log1p(-fraction / of) / rate_hz * 1e3

        # at the highest rates the window is shortest; what the other cells do is not known, so that
        # a share of them has no shortest window
        return window(self.high, 1.0) if self.share == 1 else None, window(self.low, self.share)

    def measured(self) -> str:
        """Return what was measured in a few characters: "< 5 %", "1.5-4 Hz", "log-normal".

        Examples
        --------
        >>> recordings()["hromadka2008"].measured(), recordings()["vijayan2010_cue"].measured()
        ('< 5 %', '27.4 % > 10 Hz')
        """
        if self.kind == "shape":
            return self.distribution
        if self.kind == "fraction":
            return f"{_range(self.low, self.high, scale=100)} %"
        if self.kind == "sparseness":
            return f"Treves-Rolls {_range(self.low, self.high)}"
        some = f"{100 * self.share:g} % " if self.share < 1 else ""
        return f"{some}{_range(self.low, self.high)} Hz"

    def _card(self) -> cards.Card:
        shown = {"measured": self.measured(), "counted": self.counted, "window": self.window}
        return cards.Card(f"{self.species}, {self.area}", shown, [f"{self.source} ({self.trust})"])

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, and the windows in ms for 1, 2 and 4 %."""
        return asdict(self) | {
            "windows_ms": {f"{share:g}": self.windows_ms(share) for share in SHARES}
        }


@cache
def _recordings() -> tuple[MeasuredBrain, ...]:
    return tuple(MeasuredBrain(**entry) for entry in table("recordings")["recording"])


def recordings() -> dict[str, MeasuredBrain]:
    """Return the measured brains that come with the package by key.

    Examples
    --------
    >>> recordings()["tang2018"].area
    'V1, layer 2'
    """
    return {brain.key: brain for brain in _recordings()}


def rows(brains: Sequence[MeasuredBrain] | None = None) -> list[dict[str, str]]:
    """Return a table of measured brains as text, a row a source, for a terminal or a page.

    Parameters
    ----------
    brains
        Those to show; all that come with the package if None.

    Examples
    --------
    >>> rows()[0]["measured"]
    '< 5 %'
    """
    return [
        {
            "source": brain.key,
            "species": brain.species,
            "area": brain.area,
            "measured": brain.measured(),
            "1 % in": window_words(brain.windows_ms(0.01)),
            "4 % in": window_words(brain.windows_ms(0.04)),
            "trust": brain.trust,
        }
        for brain in (recordings().values() if brains is None else brains)
    ]


def window_words(ends: tuple[float | None, float | None] | None) -> str:
    """Return a window with its ends in words: "> 100 ms", "2.5-6.7 ms", "-" where there is none.

    Examples
    --------
    >>> window_words((2.51, 6.7)), window_words((100.5, None)), window_words((None, 1.5e3))
    ('2.5-6.7 ms', '> 100 ms', '< 1.5 s')
    """
    low, high = ends or (None, None)
    ends_ms = [end for end in (low, high) if end is not None]
    if not ends_ms:
        return "-"
    scale, unit = (1e-3, "s") if max(ends_ms) >= 1000 else (1.0, "ms")
    # a rate that is bounded above bounds the window below
    return f"{_range(high=high, low=low, scale=scale, digits=2)} {unit}"


def _range(low: float | None, high: float | None, scale: float = 1.0, digits: int = 3) -> str:
    def short(value: float) -> str:
        # two digits of 1,234 are 1200, not 1.2e+03
        return f"{float(f'{scale * value:.{digits}g}'):,.10g}"

    if low is None or high is None:
        return f"< {short(high)}" if low is None and high is not None else f"> {short(low or 0)}"
    first, last = short(low), short(high)
    return first if first == last else f"{first}-{last}"
