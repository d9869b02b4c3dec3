"""Synapses laid out for delivery, built without sorting.

Neurons are dealt out to partitions, each with its share of every population, so that a target within a partition fits 16 bits. All
synapses of one (partition, source, delay) lie together in a *slice*: their targets as uint16, then, where the weights of a source
differ, their weights as int8, in units of a common quantum. A spike is delivered by walking one slice for each delay.

Nothing is stored twice and nothing is sorted: each cell has a random stream of its own that is replayed, first to count, then to
fill. The stream belongs to the *source* for projections with a given number of synapses or a probability, to the *target* for
given in-degrees. So the circuit depends on the seed alone, neither on the number of partitions nor on that of threads.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

ALIGN = 16  # cells: shares of populations are cut and padded to whole groups of so many
MOST_LOCAL = 1 << 16  # cells of a partition, its padding included
MOST_WORDS = 1 << 32  # 2-byte words of a partition
MOST_INPUT = 1 << 30  # quanta that a cell can receive in a step
LINE_WORDS = 32  # 2-byte words of a cache line
N_QUANTILES = 1 << 16  # entries of a table of delays or weights

TOTAL, PAIRWISE, IN_DEGREE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Layout:
    """Which partition each neuron lives in, and where. Units are numbered through the populations, in order."""

    sizes: NDArray[np.int64]  # (n_populations,)
    first: NDArray[np.int64]  # (n_populations + 1,) the first unit of each population
    bounds: NDArray[
        np.int64
    ]  # (n_populations, n_partitions + 1) cells of population b in partition p: bounds[b, p : p + 2]
    offset: NDArray[np.int64]  # (n_partitions, n_populations + 1) local index of each population's first cell
    partition_of: NDArray[np.uint8]  # (n_units,)
    local_of: NDArray[np.uint16]  # (n_units,)
    population_of: NDArray[np.uint8]  # (n_units,)

    @property
    def n_partitions(self) -> int:
        """The number of partitions."""
        return int(self.offset.shape[0])

    @property
    def n_units(self) -> int:
        """The number of neurons."""
        return int(self.first[-1])

    @property
    def n_local(self) -> int:
        """The largest number of cells of a partition, padding included."""
        return int(self.offset[:, -1].max())


def listed(cells: Layout, synapses: Synapses) -> tuple[NDArray[np.int64], ...]:
    """Every synapse, for those who want to look: source, target, delay (steps) and weight (quanta), each of shape (n_synapses,)."""
    unit_of = np.zeros((cells.n_partitions, MOST_LOCAL), np.int64)
    unit_of[cells.partition_of, cells.local_of] = np.arange(cells.n_units)
    sizes = synapses.slice_sizes()
    columns: list[list[NDArray[Any]]] = [[], [], [], []]
    for p in range(cells.n_partitions):
        n = sizes[p].ravel()
        begin = synapses.base[p] + synapses.start[p, :-1].astype(np.int64)
        slice_of = np.repeat(np.arange(n.size), n)
        rank = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
        source, column = np.divmod(slice_of, synapses.n_delays)
        columns[0].append(source)
        columns[1].append(unit_of[p, synapses.words[begin[slice_of] + rank]])
        columns[2].append(column + synapses.first_delay)
        if synapses.weight_of_source.size:
            columns[3].append(synapses.weight_of_source[source])
        else:
            columns[3].append(synapses.words.view(np.int8)[2 * (begin + n)[slice_of] + rank])
    return tuple(np.concatenate(column).astype(np.int64) for column in columns)


def layout(sizes: Sequence[int], n_partitions: int = 1) -> Layout:
    """Deal the cells of all populations out to at least `n_partitions` partitions, more where targets would not fit 16 bits.

    Parameters
    ----------
    sizes
        Cells of each population.
    n_partitions
        The least number of partitions: as many as threads.

    Raises
    ------
    ValueError
        More than 255 populations or partitions.
    """
    n_cells = np.asarray(sizes, np.int64)
    room = MOST_LOCAL - 2 * ALIGN * n_cells.size
    n = max(n_partitions, math.ceil(n_cells.sum() / max(room, 1)))
    if n_cells.size > 255 or n > 255 or room <= 0:
        raise ValueError(
            f"at most 255 populations and 255 partitions of {MOST_LOCAL:,} cells, got {n_cells.size} populations of "
            f"{n_cells.sum():,} cells"
        )
    first = np.concatenate([[0], np.cumsum(n_cells)])
    bounds = n_cells[:, None] * np.arange(n + 1) // n // ALIGN * ALIGN
    bounds[:, -1] = n_cells
    share = np.diff(bounds, axis=1)  # (n_populations, n)
    padded = -(-share // ALIGN) * ALIGN
    offset = np.zeros((n, n_cells.size + 1), np.int64)
    offset[:, 1:] = np.cumsum(padded, axis=0).T
    partition_of, local_of = np.empty(first[-1], np.uint8), np.empty(first[-1], np.uint16)
    for b in range(n_cells.size):
        for p in range(n):
            cells = slice(first[b] + bounds[b, p], first[b] + bounds[b, p + 1])
            partition_of[cells] = p
            local_of[cells] = np.arange(offset[p, b], offset[p, b] + share[b, p])
    return Layout(
        sizes=n_cells,
        first=first,
        bounds=bounds,
        offset=offset,
        partition_of=partition_of,
        local_of=local_of,
        population_of=np.repeat(np.arange(n_cells.size, dtype=np.uint8), n_cells),
    )


@dataclass(frozen=True, slots=True)
class Bundle:
    """The synapses from one population to one other, in the kernel's units.

    `delays` (steps) and `weights` (quanta) are quantile tables, of N_QUANTILES equally likely values or of a single one.
    """

    pre: int
    post: int
    rule: int  # TOTAL, PAIRWISE or IN_DEGREE
    number: float  # synapses; probability; sources of each target
    delays: NDArray[np.uint16]
    weights: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Synapses:
    """All synapses. The slice of (partition p, unit s, delay `first_delay` + c) begins at word
    base[p] + start[p, s * n_delays + c] of `words`, and ends where the next begins."""

    first_delay: int
    n_delays: int
    start: NDArray[np.uint32]  # (n_partitions, n_units * n_delays + 1)
    base: NDArray[np.int64]  # (n_partitions + 1,)
    words: NDArray[np.uint16]
    weight_of_source: NDArray[np.int16]  # (n_units,), or empty: then every synapse has its own weight in `words`
    most_input: int  # quanta that no cell can exceed in one step

    @property
    def n_synapses(self) -> int:
        """The number of synapses."""
        return int(self.slice_sizes().sum())

    def slice_sizes(self) -> NDArray[np.int64]:
        """The number of synapses of each slice, shape (n_partitions, n_units, n_delays)."""
        words = np.diff(self.start.astype(np.int64), axis=1).reshape(self.start.shape[0], -1, self.n_delays)
        return words if self.weight_of_source.size else 2 * words // 3


def build(
    cells: Layout, bundles: Sequence[Bundle], *, seed: int, n_threads: int = 1, progress: Callable[[float], None]
) -> Synapses:
    """Draw all synapses.

    Parameters
    ----------
    progress
        Called with the share done.

    Raises
    ------
    ValueError
        Delays below one step, weights beyond 8 bits where synapses of one source differ, too many synapses in a partition.
    """
    least, most = 1, 1
    if bundles:
        least, most = (int(f(f(b.delays) for b in bundles)) for f in (min, max))
    n_delays, n_units, n_partitions = most - least + 1, cells.n_units, cells.n_partitions
    if least < 1:
        raise ValueError(f"delays must be at least one step, got {least}")
    weight_of_source = _weight_of_source(cells, bundles)
    own_weights = weight_of_source.size == 0
    if own_weights and max(int(np.abs(b.weights).max()) for b in bundles) > 127:
        raise ValueError("weights must be at most 127 quanta where they differ between the synapses of a source")
    most_input = _most_input(cells, bundles)

    by_source = _plan(cells, [b for b in bundles if b.rule != IN_DEGREE], seed, least, by_target=False)
    by_target = _plan(cells, [b for b in bundles if b.rule == IN_DEGREE], seed, least, by_target=True)
    # Threads must not share a row of counts: by source they take units, by target whole partitions.
    dealt = np.argsort(cells.partition_of, kind="stable")
    edges = np.searchsorted(cells.partition_of[dealt], np.arange(n_partitions + 1))
    work = [
        (by_source, np.arange(n_units), [n_units * i // n_threads for i in range(n_threads + 1)]),
        (by_target, dealt, [int(edge) for edge in edges]),
    ]
    work = [(plan, order, cuts) for plan, order, cuts in work if plan is not None]

    counts = np.zeros((n_partitions, n_units, n_delays), np.uint32)
    for plan, order, cuts in work:
        in_threads(_count, cuts, order, plan, cells.partition_of, cells.population_of, counts)
    progress(0.4)
    start = np.zeros((n_partitions, n_units * n_delays + 1), np.uint32)
    base = np.zeros(n_partitions + 1, np.int64)
    for p in range(n_partitions):
        n = counts[p].ravel().astype(np.int64)
        ends = np.cumsum((3 * n + 1) // 2 if own_weights else n)
        if ends[-1] >= MOST_WORDS:
            raise ValueError(f"{n.sum():,} synapses in one partition are too many; use more threads")
        start[p, 1:] = ends
        base[p + 1] = base[p] + -(-ends[-1] // LINE_WORDS) * LINE_WORDS
    words = _aligned_words(int(base[-1]))
    counts[:] = 0  # from here on: how much of each slice is filled
    progress(0.5)
    for plan, order, cuts in work:
        places = (cells.partition_of, cells.population_of, cells.local_of, own_weights)
        in_threads(_fill, cuts, order, plan, *places, start, base, words, words.view(np.int8), counts)
    progress(1.0)
    return Synapses(least, n_delays, start, base, words, weight_of_source, most_input)


def in_threads(function: Callable[..., Any], cuts: Sequence[int], *args: Any) -> None:
    """function(low, high, *args) for each stretch between cuts, at once; functions that release the GIL run side by side."""
    ranges = list(itertools.pairwise(cuts))
    if len(ranges) == 1:
        function(*ranges[0], *args)
        return
    threads = [threading.Thread(target=function, args=(*r, *args)) for r in ranges]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _most_input(cells: Layout, bundles: Sequence[Bundle]) -> int:
    """What a cell can receive at most in one step, if all its sources fired together, in quanta."""
    most = np.zeros(cells.sizes.size)
    for x in bundles:
        # a random total never (p < 1e-100) gives one cell twice its share and 1,000 more
        share = min(x.number, 2 * x.number / float(cells.sizes[x.post]) + 1000)
        in_degree = {TOTAL: share, PAIRWISE: float(cells.sizes[x.pre]), IN_DEGREE: x.number}[x.rule]
        most[x.post] += in_degree * int(np.abs(x.weights).max())
    if most.max() >= MOST_INPUT:
        a = int(np.argmax(most))
        raise ValueError(
            f"a cell of population {a} could receive {most[a]:.3g} quanta at once, more than {MOST_INPUT:,}"
        )
    return int(most.max())


def _aligned_words(n: int) -> NDArray[np.uint16]:
    """n words that begin with a cache line, so that a slice touches as few lines as it can."""
    raw = np.empty(n + LINE_WORDS, np.uint16)
    skip = -raw.ctypes.data % (2 * LINE_WORDS) // 2
    return raw[skip : skip + n]


def _weight_of_source(cells: Layout, bundles: Sequence[Bundle]) -> NDArray[np.int16]:
    """One weight for each source where all its synapses have the same, else nothing."""
    weights = np.zeros(cells.sizes.size, np.int16)
    for b in range(cells.sizes.size):
        values = np.unique(np.concatenate([[], *(x.weights for x in bundles if x.pre == b)]))
        if values.size > 1:
            return np.empty(0, np.int16)
        weights[b] = values[0] if values.size else 0
    return np.repeat(weights, cells.sizes)


class _Plan(NamedTuple):
    """What each cell draws, from the source's side or from the target's."""

    seed: int
    by_target: bool
    bundles: NDArray[
        np.int64
    ]  # (n_populations, most + 1): the bundles that a cell of population b draws; -1 behind the last
    numbers: NDArray[np.int32]  # (n_units, most): how many synapses in each
    first: NDArray[np.int64]  # (n_bundles, 2): the units among which partners are drawn, first and one past the last
    log_miss: NDArray[np.float64]  # (n_bundles,): log(1 - probability) for PAIRWISE, else 0
    delays: NDArray[Any]  # tables side by side, in steps beyond the least delay
    delay_at: NDArray[np.int64]  # (n_bundles, 2): where a bundle's table begins, and the mask of its index
    weights: NDArray[Any]
    weight_at: NDArray[np.int64]
    most: int  # synapses that one cell can draw


def _plan(cells: Layout, bundles: list[Bundle], seed: int, least: int, *, by_target: bool) -> _Plan | None:
    if not bundles:
        return None
    mine = [
        [j for j, x in enumerate(bundles) if (x.post if by_target else x.pre) == b] for b in range(cells.sizes.size)
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
        return _Plan(
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


def _side_by_side(tables: list[NDArray[Any]]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Tables in one array, equal ones once, with the place of each: first entry, and 0 or N_QUANTILES - 1 as a mask."""
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
        np.min_scalar_type(-int(np.abs(joined).max()) - 1) if joined.min() < 0 else np.min_scalar_type(joined.max())
    )
    return joined.astype(narrow), np.array(at)  # small tables stay in the cache


# ------------------------------------------------------------------------------------------------ random streams
@njit(nogil=True, cache=True)
def stream(seed: Any, which: Any) -> Any:
    """The start of stream `which`, never 0: two rounds of splitmix64 (Steele, Lea & Flood 2014)."""
    z = np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.uint64(which) * np.uint64(0x9E3779B97F4A7C15)
    for _ in range(2):
        z += np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return z | np.uint64(1)


@njit(nogil=True, cache=True)
def advance(state: Any) -> Any:
    """The next state of a stream: xorshift64 (Marsaglia 2003)."""
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    return state ^ (state << np.uint64(17))


@njit(nogil=True, cache=True)
def _gap(state: Any, log_miss: Any) -> Any:
    """Cells to skip until the next that is connected: geometric, by inversion."""
    uniform = (np.float64(state >> np.uint64(11)) + 0.5) / 9007199254740992.0
    return np.int64(math.log(uniform) / log_miss)


@njit(nogil=True, cache=True)
def _draw(cell: Any, population: Any, plan: Any, partner: Any, delay: Any, weight: Any) -> Any:
    """All synapses of a cell, always the same ones, into the last three arrays; their number.

    A draw is 64 bits: the upper 32 choose the partner, the lowest 16 the delay, the next 16 the weight.
    """
    delays, weights = plan.delays, plan.weights  # taken out of the loops: numba counts references inside them
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


@njit(nogil=True, cache=True)
def _count(low: Any, high: Any, order: Any, plan: Any, partition_of: Any, population_of: Any, counts: Any) -> None:
    """Count the synapses of each (partition, source, delay) that the cells order[low:high] draw."""
    partner, delay, weight = (
        np.empty(plan.most, np.uint32),
        np.empty(plan.most, np.uint16),
        np.empty(plan.most, np.int16),
    )
    for k in range(low, high):
        cell = order[k]
        n = _draw(cell, population_of[cell], plan, partner, delay, weight)
        if plan.by_target:
            of_target = counts[partition_of[cell]]
            for i in range(n):
                of_target[partner[i], delay[i]] += np.uint32(1)
        else:
            of_source = counts[:, cell]
            for i in range(n):
                of_source[partition_of[partner[i]], delay[i]] += np.uint32(1)


@njit(nogil=True, cache=True)
def _fill(
    low: Any,
    high: Any,
    order: Any,
    plan: Any,
    partition_of: Any,
    population_of: Any,
    local_of: Any,
    own_weights: Any,
    start: Any,
    base: Any,
    words: Any,
    word_weights: Any,
    filled: Any,
) -> None:
    """Draw the same synapses again, each into its slice; `filled` says how much of each slice is."""
    partner, delay, weight = (
        np.empty(plan.most, np.uint32),
        np.empty(plan.most, np.uint16),
        np.empty(plan.most, np.int16),
    )
    n_partitions, n_delays = filled.shape[0], filled.shape[2]
    target_at = np.empty((n_partitions, n_delays), np.uint64)  # the word of the next target of each slice of a source
    weight_at = np.empty((n_partitions, n_delays), np.uint64)  # the byte of its weight
    for k in range(low, high):
        cell = order[k]
        n = _draw(cell, population_of[cell], plan, partner, delay, weight)
        if plan.by_target:
            p = partition_of[cell]
            for i in range(n):
                s, d = partner[i], delay[i]
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
                t, d = partner[i], delay[i]
                q = partition_of[t]
                words[target_at[q, d]] = local_of[t]
                target_at[q, d] += np.uint64(1)
                if own_weights:
                    word_weights[weight_at[q, d]] = weight[i]
                    weight_at[q, d] += np.uint64(1)
            for p in range(n_partitions):
                for d in range(n_delays):
                    begin, end = _slice(start[p], base[p], cell, d, n_delays)
                    filled[p, cell, d] = np.uint32(target_at[p, d] - begin)


@njit(nogil=True, cache=True)
def _slice(start: Any, base: Any, source: Any, delay: Any, n_delays: Any) -> Any:
    """The first word of a slice, and one past its last."""
    at = np.uint64(source) * np.uint64(n_delays) + np.uint64(delay)
    return np.uint64(base) + np.uint64(start[at]), np.uint64(base) + np.uint64(start[at + np.uint64(1)])


@njit(nogil=True, cache=True)
def _first_weight(begin: Any, end: Any) -> Any:
    """The byte at which the weights of a slice begin: behind its n targets, where the slice has (3 n + 1) // 2 words."""
    return np.uint64(2) * (begin + np.uint64(2) * (end - begin) // np.uint64(3))
