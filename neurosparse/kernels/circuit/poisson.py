"""Poisson counts from 16 random bits a cell, exact at every rate.

16 bits are 65,536 lanes. Each count gets as many whole lanes as its probability fills, so a few
comparisons of small integers give the count, for many cells at once. The lanes that are left over,
a few in 65,536, are the lowest. A cell that draws one of them draws again, with 64 more bits, from
what the whole lanes leave of each probability. The two steps together have the probabilities of the
Poisson distribution, to the precision of float64.

The 64 bits are a hash of the state that the lane came from, so they cost no state of their own and
belong to the cell. Counts depend on neither threads nor partitions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy

from neurosparse._internal import checks
from neurosparse._internal.types import Array
from neurosparse.kernels.circuit.bit_rows import Index
from neurosparse.kernels.circuit.synapse_draws import advance
from neurosparse.kernels.compiled import njit

MOST_MEAN = 20_000.0  # counts are 16 bits
LANES = 4  # cells that share a state of the noise: 16 bits for each
AT_ONCE = 12  # thresholds that a pass compares with
NEVER = np.int16(32767)  # a threshold that no random lane exceeds
N_LANES = 65536
Number = TypeVar("Number", bound=np.integer)
# least count, thresholds, lanes drawn again, and their distribution
Tables = tuple[np.int16, NDArray[np.int16], np.int16, NDArray[np.uint64]]

_LOWEST = -32768  # lanes are signed: processors compare signed numbers


@dataclass(frozen=True, slots=True)
class PoissonTable:
    """The tables of one mean.

    Attributes
    ----------
    least
        The count of a lane that exceeds no threshold.
    thresholds : int16, increasing
        A lane adds 1 to `least` for each threshold that it exceeds.
    again : int
        Lanes below this are drawn again; -32768 where there are none.
    rest : uint64, shape (n_counts,)
        2^64 times the cumulative distribution of the counts that are drawn again. A draw of 64 bits
        has the first count whose entry exceeds it, or n_counts.
    """

    least: int
    thresholds: NDArray[np.int16]
    again: int
    rest: NDArray[np.uint64]

    @property
    def most(self) -> int:
        """The largest count that can be drawn."""
        return max(self.least + self.thresholds.size, self.rest.size)

    @property
    def arrays(self) -> Tables:
        """The table as `poisson` takes it."""
        return np.int16(self.least), self.padded, np.int16(self.again), self.rest

    @property
    def padded(self) -> NDArray[np.int16]:
        """The thresholds and as many that no lane exceeds as fill the last pass."""
        missing = -self.thresholds.size % AT_ONCE
        return np.append(self.thresholds, np.full(missing, NEVER))

    def probabilities(self) -> NDArray[np.float64]:
        """Return the probability of each count from 0 to `most`, as the tables hold them."""
        p = np.zeros(self.most + 1)
        edges = np.concatenate([[self.again - 1], self.thresholds, [32767]]).astype(np.int64)
        p[self.least : self.least + edges.size - 1] += np.diff(edges) / N_LANES
        cumulative = np.append(self.rest.astype(np.float64) / 2.0**64, 1.0)
        drawn_again = (self.again - _LOWEST) / N_LANES
        p[: cumulative.size] += drawn_again * np.diff(cumulative, prepend=0.0)
        return p


def poisson_table(mean: float) -> PoissonTable:
    """Return the tables from which Poisson counts of a mean are drawn.

    Raises
    ------
    ValueError
        For a mean below 0 or above 20,000.

    Examples
    --------
    >>> poisson_table(0.001).probabilities()[:2].round(6).tolist()
    [0.999, 0.000999]
    """
    mean = checks.not_negative("mean", mean)
    if mean > MOST_MEAN:
        raise ValueError(
            f"the external input must bring at most {MOST_MEAN:g} spikes a step, got {mean:g}; use"
            " smaller steps"
        )
    k = np.arange(int(mean + 12 * math.sqrt(mean) + 30))  # beyond: less than 1e-20
    lanes = np.exp(xlogy(k, mean) - mean - gammaln(k + 1)) * N_LANES
    lanes *= N_LANES / lanes.sum()  # makes good what the logarithms were rounded by
    whole = np.floor(lanes)
    again = N_LANES - int(whole.sum())
    rest = lanes - whole
    filled = np.flatnonzero(whole)
    least, last = int(filled[0]), int(filled[-1])
    thresholds = _LOWEST + again + np.cumsum(whole[least:last]) - 1
    return PoissonTable(
        least=least,
        thresholds=thresholds.astype(np.int16),
        again=_LOWEST + again,
        rest=_cumulative(rest, again),
    )


def side_by_side(rows: Sequence[NDArray[Number]], fill: Number) -> NDArray[Number]:
    """Return arrays of any lengths as the rows of one, filled up with `fill`."""
    joined = np.full((len(rows), max(row.size for row in rows)), fill)
    for into, row in zip(joined, rows, strict=True):
        into[: row.size] = row
    return joined


def _cumulative(rest: NDArray[np.float64], total: int) -> NDArray[np.uint64]:
    """Return 2^64 times the cumulative distribution.

    Counts that 64 bits do not reach are left out.
    """
    if not total:
        return np.zeros(0, np.uint64)
    # from the top, where a sum from below would lose the small ones
    above = np.append(np.cumsum(rest[::-1])[::-1][1:], 0.0) / total
    reached = np.minimum(above[above >= 2.0**-64], 1.0)
    return np.array([2**64 - int(a * 2.0**64) for a in reached], np.uint64)


@njit(nogil=True)
def poisson(
    states: NDArray[np.uint64], lanes: NDArray[np.int16], table: Tables, weight: Index, row: Array
) -> None:
    """Draw a Poisson count for each cell and add it, times the weight, to the row.

    It is drawn from the cell's lane of the noise. `table` is what `PoissonTable.arrays` gives.
    """
    least, thresholds, again, rest = table
    for g in range(states.size):
        states[g] = advance(states[g])
    for k in range(0, thresholds.size, AT_ONCE):
        t0, t1, t2, t3 = thresholds[k], thresholds[k + 1], thresholds[k + 2], thresholds[k + 3]
        t4, t5, t6, t7 = thresholds[k + 4], thresholds[k + 5], thresholds[k + 6], thresholds[k + 7]
        t8, t9, ta, tb = (
            thresholds[k + 8],
            thresholds[k + 9],
            thresholds[k + 10],
            thresholds[k + 11],
        )
        sure = least if k == 0 else np.int16(0)
        for i in range(lanes.size):
            x = lanes[i]
            count = np.int16(
                sure
                + np.int16(x > t0)
                + np.int16(x > t1)
                + np.int16(x > t2)
                + np.int16(x > t3)
                + np.int16(x > t4)
                + np.int16(x > t5)
                + np.int16(x > t6)
                + np.int16(x > t7)
                + np.int16(x > t8)
                + np.int16(x > t9)
                + np.int16(x > ta)
                + np.int16(x > tb)
            )
            row[i] += weight * count
    lowest = np.int16(32767)
    for i in range(lanes.size):
        lowest = min(lowest, lanes[i])
    if lowest < again:
        for i in range(lanes.size):
            if lanes[i] < again:
                draw = _hashed(states[i // LANES], i % LANES)
                low, high = 0, rest.size
                while low < high:
                    middle = (low + high) // 2
                    if draw >= rest[middle]:
                        low = middle + 1
                    else:
                        high = middle
                # as a lane below all thresholds it was given `least`
                row[i] += weight * np.int16(low - least)


@njit(nogil=True)
def _hashed(state: np.uint64, which: int) -> np.uint64:
    """Return 64 bits for one of the cells of a state.

    The finaliser of splitmix64 (Steele, Lea & Flood 2014).
    """
    z = state + np.uint64(which + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
