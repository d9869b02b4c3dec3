"""The figures of the brain and of the paper, each with its source and how far it can be trusted.

The data stand in the `*.toml` files beside this one; what is marked C there is unverified and keeps
that mark wherever it is shown.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from neurosparse._internal import checks
from neurosparse._internal.types import Fields

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Band:
    """A range of active fractions to compare with.

    Parameters
    ----------
    low, high
        Fractions in [0, 1], low < high.
    caption
        What the range means and what it does not; shown wherever the band is.
    trust
        A, B or C; C is unverified.
    """

    key: str
    label: str
    low: float
    high: float
    caption: str
    source: str
    trust: str = "A"

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            object.__setattr__(self, name, checks.number(name, getattr(self, name)))
        if not 0 <= self.low < self.high <= 1:
            raise ValueError(
                f"band {self.key!r} needs 0 <= low < high <= 1, got {self.low} and {self.high}"
            )

    def __contains__(self, fraction: float) -> bool:
        return self.low <= fraction <= self.high


@cache
def bands() -> dict[str, Band]:
    """Return the bands that come with the package by key.

    glorot2011 (1-4 %), lennie2003 (< 1 %), attwell2001 (<= 15 %).
    """
    return {entry["key"]: Band(**entry) for entry in table("brain")["band"]}


@cache
def paper() -> Fields:
    """Return the figures of Glorot, Bordes & Bengio 2011, each with its trust.

    zeros_percent, table1, figure3.
    """
    return table("glorot2011")


def table(name: str) -> Fields:
    """Return what a TOML file of this folder holds, by its name without suffix."""
    return tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
