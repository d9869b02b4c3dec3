"""Synapses drawn once: where each draw is a source's, its slices are written as soon as it is made.

Each thread draws a *stretch* of the sources. How many words a stretch takes is known when it is
drawn, so each begins where it has room enough, and the gaps are closed in the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosparse.kernels.circuit.bit_rows import BitRows, Index, claim
from neurosparse.kernels.circuit.partitions import Layout
from neurosparse.kernels.circuit.synapse_draws import Bundle, Plan, draw, room_for
from neurosparse.kernels.compiled import njit

DEVIATIONS = 10.0  # room for so many standard deviations of a number of synapses


class Stretches(NamedTuple):
    """The sources that each thread draws, and its words.

    k: a stretch, p: a partition.
    """

    cuts: NDArray[np.int64]  # (k + 1,) the first source of each
    begin: NDArray[np.int64]  # (k, p) its first word
    limit: NDArray[np.int64]  # (k, p) one past the last for which there is room
    end: NDArray[np.int64]  # (k, p) one past the last that was written; -1 where room ran out


def stretches(
    cells: Layout,
    bundles: Sequence[Bundle],
    cuts: Sequence[int],
    *,
    n_delays: int,
    own_weights: bool,
    line_words: int,
) -> Stretches:
    """Deal out room for the synapses of each stretch, those of a partition side by side.

    Parameters
    ----------
    cells
        The layout of the cells.
    bundles
        What is drawn, all of it by sources.
    cuts
        The first source of each stretch, then the number of sources.
    n_delays
        Slices of a source in a partition.
    own_weights
        Whether each synapse has a weight of its own.
    line_words
        Words of which the room of a partition is a whole multiple.
    """
    edges = np.asarray(cuts, np.int64)
    number = np.zeros((edges.size - 1, cells.n_partitions))
    for x in bundles:
        sources = np.diff(np.clip(edges, cells.first[x.pre], cells.first[x.pre + 1]))
        share = np.diff(cells.bounds[x.post]) / max(1, cells.sizes[x.post])
        per_source = x.n_synapses(cells) / max(1, cells.sizes[x.pre])
        number += per_source * np.outer(sources, share)
    room = np.ceil(number + DEVIATIONS * (np.sqrt(number) + 1)).astype(np.int64)
    if own_weights:  # a slice of n synapses has (3 n + 1) // 2 words
        room = (3 * room + np.diff(edges)[:, None] * n_delays) // 2 + 1
    room[-1] += -room.sum(axis=0) % line_words
    limit = np.cumsum(room.T).reshape(room.T.shape).T
    return Stretches(edges, limit - room, limit, np.full_like(limit, -1))


@njit(nogil=True)
def fill(
    low: int,
    high: int,
    plan: Plan,
    population_of: NDArray[np.uint8],
    partition_of: NDArray[np.uint8],
    local_of: NDArray[np.uint16],
    bits: BitRows,
    own_weights: bool,
    room: Stretches,
    start: NDArray[np.uint32],
    words: NDArray[np.uint16],
) -> None:
    """Draw the stretches low to high - 1, each synapse into its slice or its bit.

    `start` counts from the first word of a partition, with the gaps.
    """
    n_partitions = start.shape[0]
    n_delays = (start.shape[1] - 1) // population_of.size
    partner, delay, weight = room_for(plan)
    slice_of = np.empty(plan.most, np.uint32)  # of the source, over partitions and delays
    counts = np.zeros(n_partitions * n_delays, np.int64)
    next_target = np.zeros(n_partitions * n_delays, np.uint64)  # the word of it
    # how far the byte of a weight lies beyond that number
    to_weight = np.zeros(n_partitions * n_delays, np.uint64)
    staged = np.zeros(2 * plan.most + n_partitions * n_delays, np.uint16)
    staged_weights = staged.view(np.int8)
    first = np.zeros(n_partitions + 1, np.int64)  # the word of each partition in `staged`
    for k in range(low, high):
        at = room.begin[k].copy()
        for cell in range(room.cuts[k], room.cuts[k + 1]):
            drawn = draw(cell, population_of[cell], plan, partner, delay, weight)
            n = 0
            for i in range(drawn):
                t, d = partner[i], np.uint64(delay[i])
                q, local = np.uint64(partition_of[t]), local_of[t]
                if d >= n_delays:
                    group = np.int64(d) - n_delays
                    if claim(bits, np.int64(q), group, cell, local):
                        continue
                    d = np.uint64(bits.column[group])
                slice_of[n] = q * np.uint64(n_delays) + d
                partner[n], weight[n] = local, weight[i]
                n += 1
            whole = n - n % 8  # written out, as in `lif_network.deliver`
            for i in range(0, whole, 8):
                for e in range(8):
                    counts[slice_of[i + e]] += 1
            for i in range(whole, n):
                counts[slice_of[i]] += 1
            here = 0  # words: a source is put together in the cache, then copied
            for p in range(n_partitions):
                begin = here
                for column in range(n_delays):
                    j = p * n_delays + column
                    start[p, cell * n_delays + column] = at[p] + here - begin - room.begin[0, p]
                    next_target[j], to_weight[j] = here, here + 2 * counts[j]
                    here += (3 * counts[j] + 1) // 2 if own_weights else counts[j]
                    counts[j] = 0
                first[p + 1] = here
                if at[p] + here - begin > room.limit[k, p]:
                    return
            for i in range(n):
                s = slice_of[i]
                word = next_target[s]
                staged[word] = partner[i]
                if own_weights:
                    staged_weights[word + to_weight[s]] = weight[i]
                next_target[s] = word + np.uint64(1)
            for p in range(n_partitions):
                length = first[p + 1] - first[p]
                words[at[p] : at[p] + length] = staged[first[p] : first[p + 1]]
                at[p] += length
        room.end[k] = at


@njit(nogil=True)
def close_gaps(
    low: Index,
    high: Index,
    n_delays: int,
    room: Stretches,
    start: NDArray[np.uint32],
    words: NDArray[np.uint16],
) -> None:
    """Move the stretches of partitions low to high - 1 together."""
    for p in range(low, high):
        at = room.begin[0, p]
        for k in range(room.cuts.size - 1):
            gap = room.begin[k, p] - at
            if gap > 0:
                for word in range(room.begin[k, p], room.end[k, p]):
                    words[word - gap] = words[word]
                for i in range(room.cuts[k] * n_delays, room.cuts[k + 1] * n_delays):
                    start[p, i] -= np.uint32(gap)
            at = room.end[k, p] - gap
        start[p, -1] = at - room.begin[0, p]
