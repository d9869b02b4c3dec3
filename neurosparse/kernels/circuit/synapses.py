"""Synapses laid out for delivery.

All synapses of one (partition, source, delay) lie together in a *slice*. It has their targets as
uint16. Then, where the weights of a source differ, it has their weights as int8, in units of a
common quantum. A spike is delivered by walking one slice for each delay. Projections that are
dense, and have one delay and one weight, are kept as bits instead (`bit_rows`).

Nothing is stored twice. Where all draws are the sources', each is made once (`single_pass`); else
every draw is made twice, first to count, then to fill (`synapse_draws`).
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVarTuple, Unpack

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal.types import Array
from neurosparse.kernels.circuit import bit_rows, single_pass, synapse_draws
from neurosparse.kernels.circuit.bit_rows import BitRows
from neurosparse.kernels.circuit.partitions import MOST_LOCAL, Layout
from neurosparse.kernels.circuit.synapse_draws import IN_DEGREE, PAIRWISE, TOTAL, Bundle

Rest = TypeVarTuple("Rest")

MOST_WORDS = 1 << 32  # 2-byte words of a partition
MOST_INPUT = 1 << 30  # quanta that a cell can receive in a step
LINE_WORDS = 32  # 2-byte words of a cache line
# of all pairs connected: from here on a row of bits is shorter than a list of 16-bit targets
DENSE = 1 / 16


@dataclass(frozen=True, slots=True)
class Synapses:
    """All synapses.

    The slice of (partition p, unit s, delay `first_delay` + c) begins at word base[p] + start[p, s
    * n_delays + c] of `words`, and ends where the next begins.
    """

    first_delay: int
    n_delays: int
    start: NDArray[np.uint32]  # (n_partitions, n_units * n_delays + 1)
    base: NDArray[np.int64]  # (n_partitions + 1,)
    words: NDArray[np.uint16]
    # (n_units,), or empty: then every synapse has its own weight in `words`
    weight_of_source: NDArray[np.int16]
    most_input: int  # quanta that no cell can exceed in one step
    bits: BitRows  # the synapses that are not in `words`

    @property
    def n_synapses(self) -> int:
        """The number of synapses."""
        return int(
            self.slice_sizes().sum()
            + sum(np.unpackbits(rows.view(np.uint8)).sum() for rows in self.bits.rows)
        )

    def slice_sizes(self) -> NDArray[np.int64]:
        """Return the synapses of each slice, shape (n_partitions, n_units, n_delays)."""
        words = np.diff(self.start.astype(np.int64), axis=1).reshape(
            self.start.shape[0], -1, self.n_delays
        )
        return words if self.weight_of_source.size else 2 * words // 3


def build(
    cells: Layout,
    bundles: Sequence[Bundle],
    *,
    seed: int,
    n_threads: int = 1,
    progress: Callable[[float], None],
) -> Synapses:
    """Draw all synapses.

    Parameters
    ----------
    cells
        The layout of the cells.
    bundles
        What is to be drawn.
    seed
        Of every draw.
    n_threads
        Threads that draw; the synapses do not depend on it.
    progress
        Called with the share done.

    Raises
    ------
    ValueError
        Delays below one step, weights beyond 8 bits where synapses of one source differ, too many
        synapses in a partition.
    """
    least, most = 1, 1
    if bundles:
        least = min(int(b.delays.min()) for b in bundles)
        most = max(int(b.delays.max()) for b in bundles)
    n_delays, n_units, n_partitions = most - least + 1, cells.n_units, cells.n_partitions
    if least < 1:
        raise ValueError(f"delays must be at least one step, got {least}")
    weight_of_source = _weight_of_source(cells, bundles)
    own_weights = weight_of_source.size == 0
    if own_weights and max(int(np.abs(b.weights).max()) for b in bundles) > 127:
        raise ValueError(
            "weights must be at most 127 quanta where they differ between the synapses of a source"
        )
    most_input = _most_input(cells, bundles)

    bits, bundles = _in_bits(cells, bundles, least, n_delays)
    plan = synapse_draws.plan
    by_source = plan(
        cells, [b for b in bundles if b.rule != IN_DEGREE], seed, least, by_target=False
    )
    by_target = plan(
        cells, [b for b in bundles if b.rule == IN_DEGREE], seed, least, by_target=True
    )
    if by_source is not None and by_target is None:
        once = _drawn_once(
            cells, bundles, by_source, bits, n_delays, own_weights, n_threads, progress
        )
        if once is not None:
            return Synapses(least, n_delays, *once, weight_of_source, most_input, bits)
    # Threads must not share a row of counts: by source they take units, by target whole partitions.
    dealt = np.argsort(cells.partition_of, kind="stable")
    edges = np.searchsorted(cells.partition_of[dealt], np.arange(n_partitions + 1))
    work: list[tuple[synapse_draws.Plan, NDArray[np.int64], list[int]]] = []
    if by_source is not None:
        cuts = [n_units * i // n_threads for i in range(n_threads + 1)]
        work.append((by_source, np.arange(n_units), cuts))
    if by_target is not None:
        work.append((by_target, dealt, [int(edge) for edge in edges]))

    places: synapse_draws.Places = (cells.partition_of, cells.population_of, cells.local_of)
    counts = np.zeros((n_partitions, n_units, n_delays), np.uint32)
    for drawn, order, cuts in work:
        in_threads(synapse_draws.count, cuts, order, drawn, places, bits, counts)
    progress(0.4)
    start = np.zeros((n_partitions, n_units * n_delays + 1), np.uint32)
    base = np.zeros(n_partitions + 1, np.int64)
    for p in range(n_partitions):
        n = counts[p].ravel().astype(np.int64)
        ends = np.cumsum((3 * n + 1) // 2 if own_weights else n)
        if ends[-1] >= MOST_WORDS:
            raise ValueError(
                f"{n.sum():,} synapses in one partition are too many; use more threads"
            )
        start[p, 1:] = ends
        base[p + 1] = base[p] + -(-ends[-1] // LINE_WORDS) * LINE_WORDS
    words = _aligned_words(int(base[-1]))
    counts[:] = 0  # from here on: how much of each slice is filled
    bits.rows[:] = 0
    progress(0.5)
    for drawn, order, cuts in work:
        slices = (own_weights, start, base, words, words.view(np.int8), counts)
        in_threads(synapse_draws.fill, cuts, order, drawn, places, bits, *slices)
    progress(1.0)
    return Synapses(least, n_delays, start, base, words, weight_of_source, most_input, bits)


def _drawn_once(
    cells: Layout,
    bundles: Sequence[Bundle],
    plan: synapse_draws.Plan,
    bits: BitRows,
    n_delays: int,
    own_weights: bool,
    n_threads: int,
    progress: Callable[[float], None],
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.uint16]] | None:
    """Return `start`, `base` and `words` of synapses that are all drawn by their sources.

    None where they do not fit the room that their mean number is given.
    """
    cuts = [cells.n_units * i // n_threads for i in range(n_threads + 1)]
    room = single_pass.stretches(
        cells,
        bundles,
        cuts,
        n_delays=n_delays,
        own_weights=own_weights,
        line_words=LINE_WORDS,
    )
    base = np.append(room.begin[0], room.limit[-1, -1])
    if np.diff(base).max() >= MOST_WORDS:
        return None
    start = np.zeros((cells.n_partitions, cells.n_units * n_delays + 1), np.uint32)
    words = _aligned_words(int(base[-1]))
    places = (cells.population_of, cells.partition_of, cells.local_of)
    slices = (start, words)
    in_threads(
        single_pass.fill, range(n_threads + 1), plan, *places, bits, own_weights, room, *slices
    )
    if room.end.min() < 0:
        bits.rows[:] = 0
        return None
    progress(0.9)
    in_threads(single_pass.close_gaps, range(cells.n_partitions + 1), n_delays, room, *slices)
    progress(1.0)
    return start, base, words


def _in_bits(
    cells: Layout, bundles: Sequence[Bundle], first_delay: int, n_delays: int
) -> tuple[BitRows, list[Bundle]]:
    """Make empty rows of bits for the bundles that are dense enough; return them and the bundles.

    The delay of those of group g becomes first_delay + n_delays + g: by that their draws are known.
    """
    sharing: dict[tuple[int, int, int], list[int]] = {}
    for j, x in enumerate(bundles):
        if x.delays.size == x.weights.size == 1:
            sharing.setdefault((x.pre, int(x.delays[0]), int(x.weights[0])), []).append(j)
    chosen = {
        key: members
        for key, members in sharing.items()
        if sum(bundles[j].n_synapses(cells) for j in members)
        >= DENSE * cells.sizes[key[0]] * cells.n_units
    }
    if n_delays + len(chosen) > 1 << 16:  # the draws have 16 bits for a delay
        chosen = {}
    coded = list(bundles)
    for g, members in enumerate(chosen.values()):
        for j in members:
            coded[j] = replace(bundles[j], delays=np.array([first_delay + n_delays + g], np.uint32))
    pre, delay, weight = np.array(list(chosen), np.int64).reshape(-1, 3).T
    n_units = cells.sizes[pre]
    n_words = -(-cells.n_local // bit_rows.CELLS) * bit_rows.WORDS
    bits = BitRows(
        rows=np.zeros((cells.n_partitions, (int(n_units.sum()) + 1) * n_words), np.uint64),
        n_words=n_words,
        first_unit=cells.first[pre],
        n_units=n_units,
        first_row=np.cumsum(n_units) - n_units,
        delay=delay,
        column=delay - first_delay,
        weight=weight,
    )
    return bits, coded


def in_threads(
    function: Callable[[int, int, Unpack[Rest]], None], cuts: Sequence[int], *args: *Rest
) -> None:
    """Call function(low, high, *args) for each stretch between cuts, at once.

    Functions that release the GIL run side by side.
    """
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
    """Return what a cell can receive at most in one step, in quanta.

    That is if all its sources fired together.
    """
    most = np.zeros(cells.sizes.size)
    for x in bundles:
        # a random total never (p < 1e-100) gives one cell twice its share and 1,000 more
        share = min(x.number, 2 * x.number / float(cells.sizes[x.post]) + 1000)
        in_degree = {TOTAL: share, PAIRWISE: float(cells.sizes[x.pre]), IN_DEGREE: x.number}[x.rule]
        most[x.post] += in_degree * int(np.abs(x.weights).max())
    if most.max() >= MOST_INPUT:
        a = int(np.argmax(most))
        raise ValueError(
            f"a cell of population {a} could receive {most[a]:.3g} quanta at once, more than"
            f" {MOST_INPUT:,}"
        )
    return int(most.max())


def _aligned_words(n: int) -> NDArray[np.uint16]:
    """Return n words that begin with a cache line.

    A slice then touches as few lines as it can.
    """
    raw = np.empty(n + LINE_WORDS, np.uint16)
    skip = -raw.ctypes.data % (2 * LINE_WORDS) // 2
    return raw[skip : skip + n]


def _weight_of_source(cells: Layout, bundles: Sequence[Bundle]) -> NDArray[np.int16]:
    """Return one weight for each source where all its synapses have the same, else nothing."""
    weights = np.zeros(cells.sizes.size, np.int16)
    for b in range(cells.sizes.size):
        values = np.unique(np.concatenate([[], *(x.weights for x in bundles if x.pre == b)]))
        if values.size > 1:
            return np.empty(0, np.int16)
        weights[b] = values[0] if values.size else 0
    return np.repeat(weights, cells.sizes)


def listed(cells: Layout, synapses: Synapses) -> tuple[NDArray[np.int64], ...]:
    """List every synapse, for those who want to look.

    Source, target, delay (steps) and weight (quanta), each of shape (n_synapses,).
    """
    unit_of = np.zeros((cells.n_partitions, MOST_LOCAL), np.int64)
    unit_of[cells.partition_of, cells.local_of] = np.arange(cells.n_units)
    sizes = synapses.slice_sizes()
    columns: list[list[Array]] = [[], [], [], []]
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
        for values, more in zip(columns, _listed_bits(synapses.bits, p), strict=True):
            values.append(more)
        columns[1][-1] = unit_of[p, columns[1][-1]]
    return tuple(np.concatenate(column).astype(np.int64) for column in columns)


def _listed_bits(bits: BitRows, p: int) -> tuple[NDArray[np.int64], ...]:
    """Return the synapses in the bits of partition p, with local targets."""
    octets = bits.rows[p].reshape(-1, bits.n_words // bit_rows.WORDS, bit_rows.WORDS).view(np.uint8)
    # row, block, bit, byte
    is_set = np.unpackbits(octets[..., None], axis=-1, bitorder="little").swapaxes(-1, -2)
    row, cell = np.nonzero(is_set.reshape(len(octets), -1))
    g = np.searchsorted(bits.first_row, row, side="right") - 1
    return bits.first_unit[g] + row - bits.first_row[g], cell, bits.delay[g], bits.weight[g]
