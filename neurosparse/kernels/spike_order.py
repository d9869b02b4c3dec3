"""Spikes by their ticks: a radix sort of which all but the first pass stays in the cache.

Its plain twin is NumPy's stable `argsort` of the ticks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurosparse.kernels.compiled import njit

Times = NDArray[np.float64]
Whole = NDArray[np.int64]
Rests = NDArray[np.uint32]

_BUCKET_BITS = 11  # a first pass writes to 2,048 places at once
_REST_BITS = 32  # of a tick, without those that say its bucket
_DIGIT_BITS = 13  # of a pass in the cache


def by_tick(times: Times, ticks: Whole, units: Whole) -> tuple[Times, Whole, Whole]:
    """Return times, ticks and units by tick; those of one tick keep their order.

    Parameters
    ----------
    times, ticks, units : arrays, shape (n_spikes,)
        At least one spike. Ticks are sorted in place, times and units are not changed.
    """
    first = int(ticks.min())
    bits = (int(ticks.max()) - first).bit_length()
    n_rest = min(max(bits - _BUCKET_BITS, 0), _REST_BITS)
    starts = np.zeros((1 << bits >> n_rest) + 1, dtype=np.int64)
    count(ticks, first, n_rest, starts[1:])
    np.cumsum(starts, out=starts)
    in_buckets = _empty(times.size)
    distribute(times, ticks, units, first, n_rest, starts[:-1].copy(), *in_buckets)
    n_pairs = -(-n_rest // (2 * _DIGIT_BITS))  # of passes: there and back
    width = -(-n_rest // max(2 * n_pairs, 1))
    spare = _empty(int(np.diff(starts).max()))
    sort_buckets(*in_buckets, *spare, starts, width, n_pairs)
    in_time, rests, their_units = in_buckets
    join(rests, starts, first, n_rest, ticks)
    return in_time, ticks, their_units


def _empty(n: int) -> tuple[Times, Rests, Whole]:
    return np.empty(n), np.empty(n, dtype=np.uint32), np.empty(n, dtype=np.int64)


@njit(nogil=True)
def count(ticks: Whole, first: int, n_rest: int, counts: Whole) -> None:
    """Count the spikes of each bucket: of all ticks with the same leading bits."""
    for k in range(ticks.size):
        counts[(ticks[k] - first) >> n_rest] += 1


@njit(nogil=True)
def distribute(
    times: Times,
    ticks: Whole,
    units: Whole,
    first: int,
    n_rest: int,
    places: Whole,
    to_times: Times,
    to_rests: Rests,
    to_units: Whole,
) -> None:
    """Copy each spike to the next place of its bucket, with the rest of its tick."""
    rest = (1 << n_rest) - 1
    for k in range(ticks.size):
        tick = ticks[k] - first
        place = places[tick >> n_rest]
        places[tick >> n_rest] = place + 1
        to_times[place], to_rests[place], to_units[place] = times[k], tick & rest, units[k]


@njit(nogil=True)
def sort_buckets(
    times: Times,
    rests: Rests,
    units: Whole,
    spare_times: Times,
    spare_rests: Rests,
    spare_units: Whole,
    starts: Whole,
    width: int,
    n_pairs: int,
) -> None:
    """Sort each bucket in place by the rest of its ticks, the last digit first."""
    counts = np.empty(1 << width, np.int64)
    for bucket in range(starts.size - 1):
        own = slice(starts[bucket], starts[bucket + 1])
        n = own.stop - own.start
        if n < 2:
            continue
        t, r, u = times[own], rests[own], units[own]
        for pair in range(n_pairs):
            digit = 2 * pair * width
            by_digit(t, r, u, spare_times, spare_rests, spare_units, n, digit, counts)
            digit += width
            by_digit(spare_times, spare_rests, spare_units, t, r, u, n, digit, counts)


@njit(nogil=True)
def by_digit(
    times: Times,
    rests: Rests,
    units: Whole,
    to_times: Times,
    to_rests: Rests,
    to_units: Whole,
    n: int,
    digit: int,
    counts: Whole,
) -> None:
    """Copy n spikes in the order of one digit of the rest of their ticks."""
    last = counts.size - 1
    counts[:] = 0
    for k in range(n):
        counts[rests[k] >> digit & last] += 1
    place = 0
    for value in range(counts.size):
        place, counts[value] = place + counts[value], place
    for k in range(n):
        value = rests[k] >> digit & last
        place = counts[value]
        to_times[place], to_rests[place], to_units[place] = times[k], rests[k], units[k]
        counts[value] = place + 1


@njit(nogil=True)
def join(rests: Rests, starts: Whole, first: int, n_rest: int, ticks: Whole) -> None:
    """Write the ticks of all spikes, each of its bucket and its rest."""
    for bucket in range(starts.size - 1):
        for k in range(starts[bucket], starts[bucket + 1]):
            ticks[k] = first + (bucket << n_rest) + rests[k]
