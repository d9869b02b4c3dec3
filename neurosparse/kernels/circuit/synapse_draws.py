"""The drawing of synapses.

Each cell has a random stream of its own. It can be replayed: first to count, then to fill.

The stream belongs to the *source* for projections with a given number of synapses or a probability,
to the *target* for given in-degrees. So the circuit depends on the seed alone, neither on the
number of partitions nor on that of threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal.types import Array
from neurosparse.kernels.circuit.bit_rows import BitRows, Index, claim
from neurosparse.kernels.circuit.partitions import Layout
from neurosparse.kernels.compiled import njit

N_QUANTILES = 1 << 16  # entries of a table of delays or weights

TOTAL, PAIRWISE, IN_DEGREE = 0, 1, 2

# partition, population and local index of each unit
Places = tuple[NDArray[np.integer], NDArray[np.integer], NDArray[np.integer]]


@dataclass(frozen=True, slots=True)
class Bundle:
    """The synapses from one population to one other, in the kernel's units.

    `delays` (steps) and `weights` (quanta) are quantile tables, of N_QUANTILES equally likely
    values or of a single one.
    """

    pre: int
    post: int
    rule: int  # TOTAL, PAIRWISE or IN_DEGREE
    number: float  # synapses; probability; sources of each target
    delays: Array
    weights: NDArray[np.int16]

    def n_synapses(self, cells: Layout) -> float:
        """Return the number of synapses; the expected one for PAIRWISE."""
        n_pre, n_post = float(cells.sizes[self.pre]), float(cells.sizes[self.post])
        return self.number * {TOTAL: 1.0, PAIRWISE: n_pre * n_post, IN_DEGREE: n_post}[self.rule]


class Plan(NamedTuple):
    """Draws of each cell, from the source's side or from the target's."""

    seed: int
    by_target: bool
    # (n_populations, most + 1): those that a cell of population b draws; -1 behind the last
    bundles: NDArray[np.int64]
    numbers: NDArray[np.int32]  # (n_units, most): how many synapses in each
    # (n_bundles, 2): the units among which partners are drawn, first and one past the last
    first: NDArray[np.int64]
    log_miss: NDArray[np.float64]  # (n_bundles,): log(1 - probability) for PAIRWISE, else 0
    delays: Array  # tables side by side, in steps beyond the least delay
    # (n_bundles, 2): where a bundle's table begins, and the mask of its index
    delay_at: NDArray[np.int64]
    weights: Array
    weight_at: NDArray[np.int64]
    most: int  # synapses that one cell can draw


def plan(
    cells: Layout, bundles: list[Bundle], seed: int, least: int, *, by_target: bool
) -> Plan | None:
    """Return what each cell draws: synapses onto itself (`by_target`) or from itself.

    None where there are no bundles.
    """
    if not bundles:
        return None
    mine = [
        [j for j, x in enumerate(bundles) if (x.post if by_target else x.pre) == b]
        for b in range(cells.sizes.size)
    ]
    table = np.full((len(mine), max(map(len, mine)) + 1), -1, np.int64)
    numbers = np.zeros((cells.n_units, table.shape[1]), np.int32)
    most = np.zeros(cells.n_units, np.int64)
    for b, of_population in enumerate(mine):
        units, n = slice(cells.first[b], cells.first[b + 1]), int(cells.sizes[b])
        for slot, j in enumerate(of_population):
            x = bundles[j]
            table[b, slot] = j
            if x.rule == IN_DEGREE:
                numbers[units, slot] = x.number
            elif x.rule == TOTAL:  # random sources: their shares are multinomial
                rng = np.random.default_rng([seed, x.pre, x.post, slot])
                numbers[units, slot] = rng.multinomial(int(x.number), np.full(n, 1 / n))
            most[units] += cells.sizes[x.post] if x.rule == PAIRWISE else numbers[units, slot]
    partner = np.array([x.pre if by_target else x.post for x in bundles])
    miss = np.array([1 - x.number if x.rule == PAIRWISE else 1.0 for x in bundles])
    delays, delay_at = _side_by_side([x.delays - least for x in bundles])
    weights, weight_at = _side_by_side([x.weights for x in bundles])
    with np.errstate(divide="ignore"):
        return Plan(
            seed=seed,
            by_target=by_target,
            bundles=table,
            numbers=numbers,
            first=np.stack([cells.first[partner], cells.first[partner + 1]], axis=1),
            log_miss=np.log(miss),
            delays=delays,
            delay_at=delay_at,
            weights=weights,
            weight_at=weight_at,
            most=int(most.max()),
        )


def _side_by_side(tables: list[Array]) -> tuple[Array, NDArray[np.int64]]:
    """Put tables into one array, equal ones once, with the place of each.

    A place is its first entry, and 0 or N_QUANTILES - 1 as a mask.
    """
    at, known, length = [], {}, 0
    for table in tables:
        if table.size not in (1, N_QUANTILES):
            raise ValueError(f"a table has 1 or {N_QUANTILES} values, got {table.size}")
        key = table.tobytes()
        if key not in known:
            known[key] = (length, table)
            length += table.size
        at.append((known[key][0], table.size - 1))
    joined = np.concatenate([table for _, table in known.values()])
    narrow = (
        np.min_scalar_type(-int(np.abs(joined).max()) - 1)
        if joined.min() < 0
        else np.min_scalar_type(joined.max())
    )
    return joined.astype(narrow), np.array(at)  # small tables stay in the cache


# --------------------------------------------------------------------------------------------------
# random streams
@njit(nogil=True)
def stream(seed: Index, which: Index) -> np.uint64:
    """Return the start of stream `which`, never 0.

    Two rounds of splitmix64 (Steele, Lea & Flood 2014).
    """
    z = np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.uint64(which) * np.uint64(
        0x9E3779B97F4A7C15
    )
    for _ in range(2):
        z += np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return z | np.uint64(1)


@njit(nogil=True)
def advance(state: np.uint64) -> np.uint64:
    """Return the next state of a stream: xorshift64 (Marsaglia 2003)."""
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    return state ^ (state << np.uint64(17))


@njit(nogil=True)
def _gap(state: np.uint64, log_miss: float) -> np.int64:
    """Draw how many cells to skip until the next that is connected.

    Geometric, by inversion.
    """
    uniform = (np.float64(state >> np.uint64(11)) + 0.5) / 9007199254740992.0
    return np.int64(math.log(uniform) / log_miss)


@njit(nogil=True)
def room_for(plan: Plan) -> tuple[NDArray[np.uint32], NDArray[np.uint16], NDArray[np.int16]]:
    """Return the arrays that `draw` fills: partners, delays and weights of one cell."""
    return (
        np.empty(plan.most, np.uint32),
        np.empty(plan.most, np.uint16),
        np.empty(plan.most, np.int16),
    )


@njit(nogil=True)
def draw(
    cell: int,
    population: int,
    plan: Plan,
    partner: NDArray[np.uint32],
    delay: NDArray[np.uint16],
    weight: NDArray[np.int16],
) -> int:
    """Draw all synapses of a cell, always the same ones; return their number.

    They go into the last three arrays.

    A draw is 64 bits: the upper 32 choose the partner, the lowest 16 the delay, the next 16 the
    weight.
    """
    # taken out of the loops: numba counts references inside them
    delays, weights = plan.delays, plan.weights
    state = stream(plan.seed, 2 * cell + np.int64(plan.by_target))
    n = 0
    for slot in range(plan.numbers.shape[1]):
        j = plan.bundles[population, slot]
        if j < 0:
            break
        low, high = plan.first[j]
        first_delay, delay_mask = plan.delay_at[j]
        first_weight, weight_mask = plan.weight_at[j]
        begin = n
        if plan.log_miss[j] < 0:
            state = advance(state)
            at = low + _gap(state, plan.log_miss[j])
            while at < high:
                partner[n] = at
                n += 1
                state = advance(state)
                at += 1 + _gap(state, plan.log_miss[j])
            for i in range(begin, n):
                state = advance(state)
                delay[i] = delays[first_delay + (np.int64(state) & delay_mask)]
                weight[i] = weights[first_weight + (np.int64(state >> np.uint64(16)) & weight_mask)]
        else:
            n += plan.numbers[cell, slot]
            size = np.uint64(high - low)
            for i in range(begin, n):
                state = advance(state)
                partner[i] = low + np.int64(((state >> np.uint64(32)) * size) >> np.uint64(32))
                delay[i] = delays[first_delay + (np.int64(state) & delay_mask)]
                weight[i] = weights[first_weight + (np.int64(state >> np.uint64(16)) & weight_mask)]
    return n


@njit(nogil=True)
def count(
    low: int,
    high: int,
    order: NDArray[np.int64],
    plan: Plan,
    places: Places,
    bits: BitRows,
    counts: NDArray[np.uint32],
) -> None:
    """Count the synapses of each (partition, source, delay) that cells order[low:high] draw.

    Those of `bits` are left out.
    """
    partition_of, population_of, local_of = places
    n_delays = counts.shape[2]
    partner, delay, weight = room_for(plan)
    for k in range(low, high):
        cell = order[k]
        n = draw(cell, population_of[cell], plan, partner, delay, weight)
        if plan.by_target:
            p = partition_of[cell]
            of_target = counts[p]
            for i in range(n):
                d = delay[i]
                if d >= n_delays:
                    if claim(bits, p, d - n_delays, partner[i], local_of[cell]):
                        continue
                    d = np.uint16(bits.column[d - n_delays])
                of_target[partner[i], d] += np.uint32(1)
        else:
            of_source = counts[:, cell]
            for i in range(n):
                q = partition_of[partner[i]]
                d = delay[i]
                if d >= n_delays:
                    if claim(bits, q, d - n_delays, cell, local_of[partner[i]]):
                        continue
                    d = np.uint16(bits.column[d - n_delays])
                of_source[q, d] += np.uint32(1)


@njit(nogil=True)
def fill(
    low: int,
    high: int,
    order: NDArray[np.int64],
    plan: Plan,
    places: Places,
    bits: BitRows,
    own_weights: bool,
    start: NDArray[np.uint32],
    base: NDArray[np.int64],
    words: NDArray[np.uint16],
    word_weights: NDArray[np.int8],
    filled: NDArray[np.uint32],
) -> None:
    """Draw the same synapses again, each into its slice or its bit.

    `filled` says how much of each slice is.
    """
    partition_of, population_of, local_of = places
    partner, delay, weight = room_for(plan)
    n_partitions, n_delays = filled.shape[0], filled.shape[2]
    # the word of the next target of each slice of a source
    target_at = np.empty((n_partitions, n_delays), np.uint64)
    weight_at = np.empty((n_partitions, n_delays), np.uint64)  # the byte of its weight
    for k in range(low, high):
        cell = order[k]
        n = draw(cell, population_of[cell], plan, partner, delay, weight)
        if plan.by_target:
            p = partition_of[cell]
            for i in range(n):
                s = partner[i]
                d = delay[i]
                if d >= n_delays:
                    if claim(bits, p, d - n_delays, s, local_of[cell]):
                        continue
                    d = np.uint16(bits.column[d - n_delays])
                begin, end = _slice(start[p], base[p], s, d, n_delays)
                words[begin + filled[p, s, d]] = local_of[cell]
                if own_weights:
                    word_weights[_first_weight(begin, end) + filled[p, s, d]] = weight[i]
                filled[p, s, d] += np.uint32(1)
        else:
            for p in range(n_partitions):
                for d in range(n_delays):
                    begin, end = _slice(start[p], base[p], cell, d, n_delays)
                    target_at[p, d] = begin + filled[p, cell, d]
                    weight_at[p, d] = _first_weight(begin, end) + filled[p, cell, d]
            for i in range(n):
                t = partner[i]
                q = partition_of[t]
                d = delay[i]
                if d >= n_delays:
                    if claim(bits, q, d - n_delays, cell, local_of[t]):
                        continue
                    d = np.uint16(bits.column[d - n_delays])
                words[target_at[q, d]] = local_of[t]
                target_at[q, d] += np.uint64(1)
                if own_weights:
                    word_weights[weight_at[q, d]] = weight[i]
                    weight_at[q, d] += np.uint64(1)
            for p in range(n_partitions):
                for d in range(n_delays):
                    begin, end = _slice(start[p], base[p], cell, d, n_delays)
                    filled[p, cell, d] = np.uint32(target_at[p, d] - begin)


@njit(nogil=True)
def _slice(
    start: NDArray[np.uint32], base: Index, source: Index, delay: Index, n_delays: Index
) -> tuple[np.uint64, np.uint64]:
    """Return the first word of a slice, and one past its last."""
    at = np.uint64(source) * np.uint64(n_delays) + np.uint64(delay)
    return np.uint64(base) + np.uint64(start[at]), np.uint64(base) + np.uint64(
        start[at + np.uint64(1)]
    )


@njit(nogil=True)
def _first_weight(begin: np.uint64, end: np.uint64) -> np.uint64:
    """Return the byte at which the weights of a slice begin.

    Behind its n targets, where the slice has (3 n + 1) // 2 words.
    """
    return np.uint64(2) * (begin + np.uint64(2) * (end - begin) // np.uint64(3))
