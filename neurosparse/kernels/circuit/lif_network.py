"""A network of current-based LIF cells, step by step, as fast as memory lets it.

One step of a partition is `deliver` (the slices that arrive now are added to a row of integers) and
`update` (noise, membranes, spikes). What makes it fast:

- Delivery is postponed. There is no ring buffer of future input. Each step walks back through the
  spikes of the last delays, and takes from each the slice whose delay is due. The slices are added
  to one row that stays in the cache.
- Weights are integers, so sums are exact whatever their order: the spikes are the same for any
  number of threads and partitions.
- Slices lie anywhere in a gigabyte; each is prefetched some slices ahead.
- Additions are written out, eight in a row, which takes half the time of a loop of single ones. A
  processor guesses for each load whether it must wait for an earlier store; it seems to guess badly
  where one instruction makes all the loads.
- Dense projections of one weight and one delay are rows of bits, added as whole words (see
  `bit_rows`).
- Poisson counts come from comparing 16 random bits a cell with a few thresholds, which vectorises
  (see `poisson`). A state of 64 bits serves four cells and belongs to them, so the noise does not
  depend on partitions either.
- Cells that fired in the last steps are put back to their reset; no other cell pays for the
  refractory period.

Floating-point operations are plain float32 in a fixed order (no fastmath): a NumPy program that
writes the same steps gets the same bits. Threads wait only where a delay forces them to: a
partition may run ahead of the others by less than the least delay.

Nothing here checks an index: whoever fills `State` makes its arrays so large that they cannot
overrun (see `kernel_engine`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal.types import Array
from neurosparse.kernels.circuit.bit_rows import BitRows, add_rows
from neurosparse.kernels.circuit.poisson import LANES, poisson
from neurosparse.kernels.circuit.synapses import LINE_WORDS
from neurosparse.kernels.compiled import njit
from neurosparse.kernels.intrinsics import load_acquire, pause, prefetch, store_release, yield_core

BLOCK = 512  # cells updated together: they stay in the first cache level from one pass to the next
AHEAD = 24  # slices between asking for one and using it
TOGETHER = np.uint64(8)  # synapses whose additions are written out one after another
APART = 16  # progress counters that share no cache line
SPINS = 2000  # looks at another thread's progress before giving it the core


class Cells(NamedTuple):
    """Constants of the populations, float32 in mV (relative to the leak potential) or pA.

    b: a population.
    """

    offset: NDArray[np.int64]  # (n_partitions, b + 1) local index of its first cell
    cells: NDArray[np.int64]  # (n_partitions, b) its cells in the partition
    unit: NDArray[np.int64]  # (n_partitions, b) the unit of its first cell in the partition
    exponential: bool
    decay_v: NDArray[np.float32]  # (b,) exp(-dt / tau_m)
    current_to_v: NDArray[np.float32]  # (b,) what 1 pA at the start of a step adds to V at its end
    constant: NDArray[np.float32]  # (b,) what the constant input adds in a step
    threshold: NDArray[np.float32]  # (b,)
    reset: NDArray[np.float32]  # (b,)
    held: NDArray[np.int64]  # (b,) refractory steps
    most_held: int  # the most of them; at most `history`
    decay_current: np.float32  # exp(-dt / tau_syn)
    quantum: np.float32  # the weight of one unit of the rows
    drive: NDArray[np.int32]  # (b,) weight of an external spike, in quanta
    # how external spikes are drawn (see `poisson.PoissonTable`)
    drive_least: NDArray[np.int16]  # (b,)
    drive_used: NDArray[np.int64]  # (b,) how many of the thresholds, a multiple of 12
    drive_thresholds: NDArray[np.int16]  # (b, a multiple of 12)
    drive_again: NDArray[np.int16]  # (b,)
    drive_rest_used: NDArray[np.int64]  # (b,)
    drive_rest: NDArray[np.uint64]  # (b, counts)
    most_drive: NDArray[np.int64]  # (b,) the largest sum in a step, in quanta


class Wires(NamedTuple):
    """The synapses (see `synapses.Synapses`)."""

    first_delay: int
    n_delays: int
    start: NDArray[np.uint32]
    base: NDArray[np.int64]
    words: NDArray[np.uint16]
    word_weights: NDArray[np.int8]  # the same memory, byte by byte
    weight_of_source: NDArray[np.int16]
    own_weights: bool
    bits: BitRows
    ahead: int  # slices


class State(NamedTuple):
    """The state of a simulation, which changes.

    p: a partition, i: a cell of it.
    """

    v: NDArray[np.float32]  # (p, i) mV above the leak potential
    current: NDArray[np.float32]  # (p, i) pA
    # (p, i) what arrives in this step, in quanta; int16 where no sum can leave it, else int32
    row: Array
    noise: NDArray[np.uint64]  # (p, i / 4)
    fired_at: NDArray[np.int64]  # (p, i) the step of the last spike
    # the spikes since `history` steps before this chunk; times in steps of the chunk, the history
    # at negative ones
    spike_unit: NDArray[np.int32]  # (p, capacity)
    spike_cell: NDArray[np.int32]  # (p, capacity) local index
    spike_step: NDArray[np.int32]  # (p, capacity)
    spike_end: NDArray[np.int64]  # (p, history + steps + 1) spikes before each step
    spike_population: NDArray[np.uint8]  # (p, capacity)
    due_begin: NDArray[np.uint32]  # (p, capacity) scratch: the slices that arrive now: first word,
    due_end: NDArray[np.uint32]  # (p, capacity) one past the last,
    # (p, capacity) and weight, where the synapses of a source are alike
    due_weight: NDArray[np.int16]
    # (p, sources of a group and some more) scratch: the bit rows that arrive now
    due_row: NDArray[np.int64]
    planes: NDArray[np.uint64]  # (p, planes of a row) scratch, zero
    # (p * APART,) steps done in this chunk, each on a cache line of its own
    progress: NDArray[np.int64]


@njit(nogil=True)
def deliver(p: int, step: int, history: int, wires: Wires, state: State) -> None:
    """Add to the row of partition p all that arrives in `step`."""
    n_delays, ahead, own_weights = np.uint64(wires.n_delays), wires.ahead, wires.own_weights
    start, row = wires.start[p], state.row[p]
    due_begin, due_end, due_weight = state.due_begin[p], state.due_end[p], state.due_weight[p]
    words, word_weights = wires.words[wires.base[p] :], wires.word_weights[2 * wires.base[p] :]
    n = 0
    due_step = step - wires.first_delay
    for r in range(state.spike_unit.shape[0]):
        units, steps = state.spike_unit[r], state.spike_step[r]
        newest = state.spike_end[r, history + due_step + 1]
        for i in range(state.spike_end[r, history + due_step - wires.n_delays + 1], newest):
            j = min(i + AHEAD, newest - 1)
            prefetch(start, units[j] * wires.n_delays + due_step - steps[j])
            at = np.uint64(units[i]) * n_delays + np.uint64(due_step - steps[i])
            a, b = start[at], start[at + np.uint64(1)]
            due_begin[n], due_end[n] = a, b
            if not own_weights:
                due_weight[n] = wires.weight_of_source[units[i]]
            n += b > a
    for i in range(n):
        if i + ahead < n:
            for word in range(
                np.int64(due_begin[i + ahead]) & -LINE_WORDS,
                np.int64(due_end[i + ahead]),
                LINE_WORDS,
            ):
                prefetch(words, word)
        begin, n_words = np.uint64(due_begin[i]), np.uint64(due_end[i] - due_begin[i])
        if own_weights:
            n_targets = (n_words + n_words) // np.uint64(3)
            weight_at = np.uint64(2) * (begin + n_targets)
            whole = n_targets - n_targets % TOGETHER
            for e in range(np.uint64(0), whole, TOGETHER):
                for k in range(TOGETHER):
                    row[words[begin + e + k]] += word_weights[weight_at + e + k]
            for e in range(whole, n_targets):
                row[words[begin + e]] += word_weights[weight_at + e]
        else:
            weight, whole = due_weight[i], n_words - n_words % TOGETHER
            for e in range(np.uint64(0), whole, TOGETHER):
                for k in range(TOGETHER):
                    row[words[begin + e + k]] += weight
            for e in range(whole, n_words):
                row[words[begin + e]] += weight


@njit(nogil=True)
def deliver_bits(p: int, step: int, history: int, bits: BitRows, state: State) -> None:
    """Add to the row of partition p the bit rows that arrive in `step`."""
    due = state.due_row[p]
    for g in range(bits.weight.size):
        n = 0
        fired_in = history + step - bits.delay[g]
        for r in range(state.spike_unit.shape[0]):
            for i in range(state.spike_end[r, fired_in], state.spike_end[r, fired_in + 1]):
                source = state.spike_unit[r, i] - bits.first_unit[g]
                if 0 <= source < bits.n_units[g]:
                    due[n] = bits.first_row[g] + source
                    n += 1
        add_rows(bits.rows[p], bits.n_words, due, n, state.planes[p], bits.weight[g], state.row[p])


@njit(nogil=True)
def update(
    p: int,
    step: int,
    history: int,
    first_step: int,
    cells: Cells,
    state: State,
    above: NDArray[np.bool],
) -> None:
    """Carry partition p over one step: noise, membranes, spikes.

    `above` is scratch of shape (BLOCK,).
    """
    v, current, row, noise = state.v[p], state.current[p], state.row[p], state.noise[p]
    lanes, above_by_8 = noise.view(np.int16), above.view(np.uint64)
    units, spiking, steps, fired_at = (
        state.spike_unit[p],
        state.spike_cell[p],
        state.spike_step[p],
        state.fired_at[p],
    )
    populations = state.spike_population[p]
    n = state.spike_end[p, history + step]
    now = first_step + step
    quantum, decay_current = cells.quantum, cells.decay_current
    for b in range(cells.cells.shape[1]):
        table = (
            cells.drive_least[b],
            cells.drive_thresholds[b, : cells.drive_used[b]],
            cells.drive_again[b],
            cells.drive_rest[b, : cells.drive_rest_used[b]],
        )
        decay_v, to_v, constant = cells.decay_v[b], cells.current_to_v[b], cells.constant[b]
        threshold, reset, held, drive = (
            cells.threshold[b],
            cells.reset[b],
            cells.held[b],
            cells.drive[b],
        )
        end = cells.offset[p, b] + cells.cells[p, b]
        for low in range(cells.offset[p, b], end, BLOCK):
            high = min(low + BLOCK, end)
            v_, row_ = v[low:high], row[low:high]
            if drive != 0:
                states = noise[low // LANES : (high + LANES - 1) // LANES]
                poisson(states, lanes[low:high], table, drive, row_)
            above_by_8[:] = 0
            if cells.exponential:
                current_ = current[low:high]
                for i in range(high - low):
                    x = decay_v * v_[i] + to_v * current_[i] + constant
                    current_[i] = decay_current * current_[i] + quantum * np.float32(row_[i])
                    row_[i] = 0
                    v_[i] = x
                    above[i] = x >= threshold
            else:
                for i in range(high - low):
                    x = decay_v * v_[i] + constant + quantum * np.float32(row_[i])
                    row_[i] = 0
                    v_[i] = x
                    above[i] = x >= threshold
            some = np.uint64(0)
            for k in range(above_by_8.size):
                some |= above_by_8[k]
            if some != 0:
                for k in range(above_by_8.size):
                    if above_by_8[k] != 0:
                        for i in range(8 * k, 8 * k + 8):
                            if above[i] and now - fired_at[low + i] > held:
                                fired_at[low + i] = now
                                v_[i] = reset
                                units[n] = cells.unit[p, b] + low - cells.offset[p, b] + i
                                spiking[n], steps[n], populations[n] = low + i, step, b
                                n += 1
    for i in range(
        state.spike_end[p, history + step - cells.most_held], state.spike_end[p, history + step]
    ):
        b = populations[i]
        if step - steps[i] <= cells.held[b]:
            v[spiking[i]] = cells.reset[b]
    state.spike_end[p, history + step + 1] = n


@njit(nogil=True)
def run(
    low: int,
    high: int,
    n_steps: int,
    first_step: int,
    history: int,
    cells: Cells,
    wires: Wires,
    state: State,
) -> None:
    """Carry the partitions low to high - 1 over a chunk of steps.

    In step with the threads that carry the others.
    """
    n_partitions = state.v.shape[0]
    above = np.zeros(BLOCK, np.bool_)
    for step in range(n_steps):
        for r in range(n_partitions):
            spins = 0
            while load_acquire(state.progress, r * APART) < step - wires.first_delay + 1:
                pause()
                spins += 1
                if spins == SPINS:
                    yield_core()
                    spins = 0
        for p in range(low, high):
            deliver(p, step, history, wires, state)
            deliver_bits(p, step, history, wires.bits, state)
            update(p, step, history, first_step, cells, state, above)
            store_release(state.progress, p * APART, step + 1)
