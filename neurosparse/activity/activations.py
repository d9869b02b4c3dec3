"""The record of a stream of activations of one layer."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import cards, checks
from neurosparse._internal.units import plain
from neurosparse.activity import frozen
from neurosparse.activity.active_when import ActiveWhen

# inputs whose activations a record keeps, for what sums over units one by one do not tell
KEPT = 128
MOST_RUNS = 4096  # of inputs that are kept apart; of more, neighbours are joined


def joined(runs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return at most MOST_RUNS runs of inputs, neighbours summed until there are so few."""
    while runs.shape[1] > MOST_RUNS:
        runs = np.add.reduceat(runs, np.arange(0, runs.shape[1], 2), axis=1)
    return runs


@dataclass(frozen=True, slots=True, eq=False)
class Activations(cards.Shown):
    """Record of a stream of activations of one layer.

    It holds counts and moments per unit, and a sample of at most KEPT inputs.

    Two records of one layer add up (`a + b`): counts exactly, sums to rounding; `b` follows `a`.
    Sizes do not depend on the number of samples.
    """

    name: str
    active_when: ActiveWhen
    n_samples: int
    active_count: NDArray[np.int64]  # (n_units,) samples in which the unit is active
    magnitude_sum: NDArray[np.float64]  # (n_units,) sum over samples of abs(a)
    square_sum: NDArray[np.float64]  # (n_units,) sum over samples of a^2
    # what is independent: inputs, of which a convolution makes one sample a position
    n_repeats: int
    # (3, n_runs) inputs in a row, in their order: how many, active units in all their samples, and
    # their samples
    runs: NDArray[np.int64]
    # (4,) sums over samples of Treves-Rolls, Vinje-Gallant, Hoyer, Gini
    population_sums: NDArray[np.float64]
    n_population: int  # samples with any activity, over which population_sums run
    # those of them over which the sum of Gini runs: a few positions of each input, since it takes a
    # sort
    n_ranked: int
    n_zero: int  # (sample, unit) pairs that are exactly 0
    sample_keys: NDArray[np.uint64]  # (n_kept,) ascending
    # (n_kept, n_units) activations of at most KEPT inputs, those of the lowest keys
    sample: NDArray[np.float64]
    # sum, over the samples of the Gini, of the share of units that hold 95 % of the magnitude
    holders_sum: float = float("nan")
    # samples of which the network chose those that reached this layer, such as an expert; 0: all
    n_offered: int = 0

    def __post_init__(self) -> None:
        # none only where no input reached the layer, as an expert that was never chosen
        checks.whole("n_repeats", self.n_repeats, least=0)
        checks.whole("n_samples", self.n_samples, least=min(1, self.n_repeats))
        object.__setattr__(
            self, "active_count", np.array(plain("active_count", self.active_count), dtype=np.int64)
        )
        runs = np.array(plain("runs", self.runs), dtype=np.int64)
        if runs.ndim != 2 or len(runs) != 3:
            raise ValueError(f"runs must be of shape (3, n_runs), got {runs.shape}")
        object.__setattr__(self, "runs", joined(runs))
        object.__setattr__(self, "sample_keys", np.array(plain("sample_keys", self.sample_keys)))
        object.__setattr__(self, "holders_sum", float(plain("holders_sum", self.holders_sum)))
        for name in ("magnitude_sum", "square_sum", "population_sums", "sample"):
            values = plain(name, getattr(self, name))
            object.__setattr__(self, name, np.array(values, dtype=np.float64))
        shapes = {
            name: getattr(self, name).shape
            for name in ("active_count", "magnitude_sum", "square_sum")
        }
        if (
            len(set(shapes.values())) > 1
            or self.active_count.ndim != 1
            or self.active_count.size == 0
        ):
            raise ValueError(
                f"the counts and sums of {self.name!r} must be of one shape (n_units,), got"
                f" {shapes}"
            )
        frozen.freeze(self)

    @property
    def n_units(self) -> int:
        """The width of the layer."""
        return int(self.active_count.size)

    __eq__ = frozen.equal
    __repr__ = frozen.brief

    def _card(self) -> cards.Card:
        shown = {
            "active means": self.active_when.describe(),
            "units": self.n_units,
            "samples": self.n_samples,
        }
        return cards.Card(self.name, shown)

    def __add__(self, other: Activations) -> Activations:
        if not isinstance(other, Activations):
            return NotImplemented
        if (self.name, self.active_when, self.n_units) != (
            other.name,
            other.active_when,
            other.n_units,
        ):
            raise ValueError(
                f"only records of one layer, definition and width add up, got {self.name!r}"
                f" ({self.n_units} units, {self.active_when.describe()}) and {other.name!r}"
                f" ({other.n_units} units, {other.active_when.describe()})"
            )
        sums = {
            name: getattr(self, name) + getattr(other, name)
            for name in _SUMS
            if name != "holders_sum" or (self.n_ranked and other.n_ranked)
        }
        keys, sample = _lowest(
            np.concatenate([self.sample_keys, other.sample_keys]),
            np.concatenate([self.sample, other.sample]),
        )
        sums.setdefault("holders_sum", (self if self.n_ranked else other).holders_sum)
        runs = np.concatenate([self.runs, other.runs], axis=1)
        return Activations(
            self.name, self.active_when, runs=runs, sample_keys=keys, sample=sample, **sums
        )


_SUMS = tuple(
    field.name
    for field in fields(Activations)
    if field.name not in ("name", "active_when", "runs", "sample_keys", "sample")
)


def _lowest(
    keys: NDArray[np.uint64], rows: NDArray[np.float64]
) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
    """Return the rows of the KEPT lowest keys.

    They are the same whatever order they come in, so that records add up in any.
    """
    order = np.argsort(keys, kind="stable")[:KEPT]
    return keys[order], rows[order]
