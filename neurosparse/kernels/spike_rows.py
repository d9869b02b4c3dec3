"""A layer of spiking neurons over all time steps, at a cost in proportion to the spikes that it gets.

In a network without loops a layer can run through all its steps before the next one begins. So the neurons are taken in blocks
of `WIDTH`, and a block through all images and steps: its weights stay in the second level of the cache, those from the inputs
that fire in one image in the first, and the state of its neurons in registers or close by.

Spikes are lists of units. Nothing here checks an index: `convert.events` makes the arrays.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.cpython.unsafe import numbers
from numpy.typing import NDArray

from neurosparse.kernels.intrinsics import ROW as WIDTH
from neurosparse.kernels.intrinsics import prefetch, sum_rows
from neurosparse.kernels.layout import LINE, Floats, aligned_zeros, multiple
from neurosparse.kernels.sparse_rows import Ints

# without liberties in the order of operations: a spike more or less hangs on a rounding
_njit: Any = njit
_options: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}
jit: Any = _njit(**_options)
inner: Any = _njit(**_options, no_cpython_wrapper=True, no_cfunc_wrapper=True)

trailing_zeros: Any = numbers.trailing_zeros

WORD = 8  # neurons whose spikes are looked at together


class Cell(NamedTuple):
    """The neurons of a layer: v -> I + (v - leak I) decay, and at a spike v -> keep v + jump."""

    threshold: np.float32
    leak: np.float32  # 1 for a neuron that leaks; else 0, with decay 1
    decay: np.float32
    keep: np.float32  # 1 and minus the threshold to subtract it; 0 and the value to which it resets
    jump: np.float32
    t_ref_steps: int
    v_initial: np.float32


class Spikes(NamedTuple):
    """The spikes of some images: in step t the units `units[image, first[image, t] : first[image, t + 1]]` fire, ascending."""

    units: Ints  # (images, steps * units)
    first: Ints  # (images, steps + 1)


def no_spikes(n_images: int, n_steps: int, n_units: int) -> Spikes:
    """Room for all the spikes that n units can fire, with none in it."""
    return Spikes(np.empty((n_images, n_steps * n_units), np.int32), np.zeros((n_images, n_steps + 1), np.int32))


def n_blocks(n: int) -> int:
    """The blocks of n neurons; the last one may be filled up."""
    return multiple(n, WIDTH) // WIDTH


def laid_out(weight: NDArray[Any]) -> Floats:
    """Weights (outputs, inputs), as torch has them, in blocks of outputs: (blocks, inputs, WIDTH), filled up with zeros."""
    n_out, n_in = weight.shape
    blocks = aligned_zeros(n_blocks(n_out), n_in, WIDTH)
    for k, block in enumerate(blocks):
        part = weight[k * WIDTH : (k + 1) * WIDTH]
        block[:, : len(part)] = part.T
    return blocks


@jit
def run_layer(
    weights: Floats, current: Floats, cell: Cell, spikes_in: Spikes, n_out: int, spikes: Spikes, work: Spikes
) -> None:
    """Run n_out neurons through all steps of some images.

    Parameters
    ----------
    weights : (blocks, inputs, WIDTH)
    current : (images or 1, blocks * WIDTH)
        What each neuron gets at every step; the weights of the units that fire come on top.
    spikes_in
        What the inputs fire.
    spikes
        Written: what the neurons fire.
    work
        Room as for `spikes`.
    """
    n_images, n_steps = spikes.first.shape[0], spikes.first.shape[1] - 1
    n_in, room = weights.shape[1], spikes_in.units.shape[1]
    rows, units, currents = weights.ravel(), spikes_in.units.ravel(), current.ravel()
    z, v, waiting = np.empty(WIDTH, np.float32), np.empty(WIDTH, np.float32), np.empty(WIDTH, np.float32)
    fired = np.zeros((n_steps, WIDTH), np.uint8)
    events, n_events = work.units, np.zeros(n_images, np.int64)
    spikes.first[:] = 0
    for block in range(weights.shape[0]):
        # all at once: one by one, as the spikes ask for them, the rows take far longer to come
        for k in range(0, n_in * WIDTH, LINE):
            prefetch(rows, block * n_in * WIDTH + k)
        for image in range(n_images):
            at = image % current.shape[0] * current.shape[1] + block * WIDTH
            v[:] = cell.v_initial
            waiting[:] = 0
            for t in range(n_steps):
                begin, end = spikes_in.first[image, t], spikes_in.first[image, t + 1]
                sum_rows(z, currents, at, rows, block * n_in, units, image * room + begin, end - begin)
                if cell.t_ref_steps:
                    step_refractory(cell, z, v, waiting, fired, t)
                else:
                    step(cell, z, v, fired, t)
            n_events[image] = list_spikes(
                fired.view(np.uint64), block * WIDTH, n_out, events, image, n_events[image], spikes.first
            )
    for image in range(n_images):
        sort_by_step(events, image, n_events[image], n_out, spikes)


@jit
def list_step(shown: Any, t: int, spikes: Spikes) -> None:
    """List what fires in step t: `shown`, (images, units), is not 0 there. The steps before are listed already."""
    for image in range(shown.shape[0]):
        n = spikes.first[image, t]
        for unit in range(shown.shape[1]):
            spikes.units[image, n] = unit
            n += shown[image, unit] != 0
        spikes.first[image, t + 1] = n


@jit
def count(spikes: Spikes, steps: int, counts: Floats) -> None:
    """Add how often each unit fires in the first so many steps to `counts`, (images, units)."""
    for image in range(counts.shape[0]):
        for k in range(spikes.first[image, steps]):
            counts[image, spikes.units[image, k]] += 1


@inner
def step(cell: Cell, z: Floats, v: Floats, fired: Any, t: int) -> None:
    """A step of a block of neurons under the currents z, in the order of operations of `convert.neurons.step`."""
    for j in range(WIDTH):
        u = z[j] + (v[j] - cell.leak * z[j]) * cell.decay
        spike = u >= cell.threshold
        v[j] = cell.keep * u + cell.jump if spike else u
        fired[t, j] = spike


@inner
def step_refractory(cell: Cell, z: Floats, v: Floats, waiting: Floats, fired: Any, t: int) -> None:
    """The same with a refractory period: a neuron that waits holds its potential. In a form that the compiler can vectorise."""
    for j in range(WIDTH):
        held, w = v[j], waiting[j]
        u = z[j] + (held - cell.leak * z[j]) * cell.decay
        u = u if w <= 0 else held
        spike = (u if w <= 0 else np.float32(-np.inf)) >= cell.threshold
        after = cell.keep * u + cell.jump
        v[j] = after if spike else u
        w -= np.float32(1)
        waiting[j] = np.float32(cell.t_ref_steps) if spike else w
        fired[t, j] = spike


@inner
def list_spikes(words: Any, begin: int, n_out: int, events: Ints, image: int, n: int, per_step: Ints) -> int:
    """Append step * n_out + unit for each spike of the block that begins at a neuron to the n events of an image."""
    for t in range(words.shape[0]):
        for k in range(WIDTH // WORD):
            word = words[t, k]
            while word:
                unit = begin + k * WORD + trailing_zeros(word) // 8
                word &= word - np.uint64(1)
                if unit < n_out:
                    events[image, n] = t * n_out + unit
                    per_step[image, t + 1] += 1
                    n += 1
    return n


@inner
def sort_by_step(events: Ints, image: int, n: int, n_out: int, spikes: Spikes) -> None:
    """Sort the events of an image, which are in the order of blocks, by steps; `spikes.first` holds their numbers, to be summed."""
    first = spikes.first
    for t in range(1, first.shape[1]):
        first[image, t] += first[image, t - 1]
    place = first[image].copy()
    for k in range(n):
        t = events[image, k] // n_out
        spikes.units[image, place[t]] = events[image, k] - t * n_out
        place[t] += 1
