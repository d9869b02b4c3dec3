"""A layer of spiking neurons over all time steps, at a cost in proportion to its spikes.

The spikes are those that it gets.

In a network without loops a layer can run through all its steps before the next one begins. So the
neurons are taken in blocks of `WIDTH`, and a block through all images and steps: its weights stay
in the second level of the cache, those from the inputs that fire in one image in the first, and the
state of its neurons in registers or close by.

Spikes are lists of units. Nothing here checks an index: `convert.events` makes the arrays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba.cpython.unsafe import numbers
from numpy.typing import NDArray

from neurosparse._internal.types import Array, Foreign
from neurosparse.kernels.compiled import njit
from neurosparse.kernels.intrinsics import ROW as WIDTH
from neurosparse.kernels.intrinsics import popcount, prefetch, step_row, sum_rows
from neurosparse.kernels.network.layout import LINE, Floats, aligned_zeros, multiple
from neurosparse.kernels.network.sparse_rows import Ints

# without liberties in the order of operations: a spike more or less hangs on a rounding
_options = {"nogil": True, "error_model": "numpy"}
jit = njit(**_options)
inner = njit(**_options, no_cpython_wrapper=True, no_cfunc_wrapper=True)

trailing_zeros: Foreign = numbers.trailing_zeros
ONE = np.uint64(1)


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
    """The spikes of some images.

    In step t the units `units[first[image, t] : first[image, t + 1]]` fire, ascending.
    """

    units: Ints  # (spikes,)
    first: Ints  # (images, steps + 1)


def no_spikes(n_images: int, n_steps: int) -> Spikes:
    """Return what a layer gets whose current is steady."""
    return Spikes(np.empty(0, np.int32), np.zeros((n_images, n_steps + 1), np.int32))


def listed(shown: NDArray[np.bool_]) -> Spikes:
    """List the spikes that are True in an array (steps, images, units)."""
    by_image = shown.swapaxes(0, 1)
    first = np.zeros((by_image.shape[0], by_image.shape[1] + 1), np.int32)
    first[:, 1:] = by_image.sum(2).cumsum().reshape(by_image.shape[:2])
    first[1:, 0] = first[:-1, -1]
    return Spikes(by_image.nonzero()[2].astype(np.int32), first)


def dense(spikes: Spikes, n_units: int) -> NDArray[np.bool_]:
    """Return the array of which `listed` makes the spikes."""
    per_step = np.diff(spikes.first)
    shown = np.zeros((per_step.size, n_units), bool)
    shown[np.repeat(np.arange(per_step.size), per_step.ravel()), spikes.units] = True
    return shown.reshape(*per_step.shape, n_units).swapaxes(0, 1)


def n_blocks(n: int) -> int:
    """Return the number of blocks of n neurons; the last one may be filled up."""
    return multiple(n, WIDTH) // WIDTH


def laid_out(weight: Array) -> Floats:
    """Lay weights (outputs, inputs), as torch has them, out in blocks of outputs.

    Shape (blocks, inputs, WIDTH), filled up with zeros.
    """
    n_out, n_in = weight.shape
    blocks = aligned_zeros(n_blocks(n_out), n_in, WIDTH)
    for k, block in enumerate(blocks):
        part = weight[k * WIDTH : (k + 1) * WIDTH]
        block[:, : len(part)] = part.T
    return blocks


@jit
def run_layer(
    weights: Floats, current: Floats, cell: Cell, spikes_in: Spikes, n_out: int
) -> Spikes:
    """Return what n_out neurons fire in all steps of some images.

    Parameters
    ----------
    weights : (blocks, inputs, WIDTH)
        As `laid_out` gives them.
    current : (images or 1, blocks * WIDTH)
        What each neuron gets at every step; the weights of the units that fire come on top.
    spikes_in
        What the inputs fire.
    n_out
        Neurons of the layer.
    cell
        Constants of the neuron.
    """
    units, first = spikes_in
    n_images, n_steps, n_in = first.shape[0], first.shape[1] - 1, weights.shape[1]
    rows, currents = weights.ravel(), current.ravel()
    z, v, held = (
        np.empty(WIDTH, np.float32),
        np.empty(WIDTH, np.float32),
        np.empty(WIDTH, np.float32),
    )
    until = np.empty(WIDTH, np.int64)
    # a bit for each neuron of a block
    fired = np.empty((weights.shape[0], n_images, n_steps), np.uint64)
    n_spikes = 0
    for block in range(weights.shape[0]):
        # all at once: one by one, as the spikes ask for them, the rows take far longer to come
        for k in range(0, n_in * WIDTH, LINE):
            prefetch(rows, block * n_in * WIDTH + k)
        for image in range(n_images):
            at = image % current.shape[0] * current.shape[1] + block * WIDTH
            v[:] = cell.v_initial
            waiting = np.uint64(0)  # a bit for each neuron that is refractory
            for t in range(n_steps):
                sum_rows(
                    z,
                    currents,
                    at,
                    rows,
                    block * n_in,
                    units,
                    first[image, t],
                    first[image, t + 1] - first[image, t],
                )
                fires = step_row(v, z, cell)  # in the order of operations of `convert.neurons.step`
                if cell.t_ref_steps:
                    fires, waiting = hold(v, fires, waiting, held, until, t, cell.t_ref_steps)
                fired[block, image, t] = fires
                n_spikes += popcount(fires)
    return list_spikes(fired, n_spikes, n_out)


@jit
def count(spikes: Spikes, steps: int, counts: Floats) -> None:
    """Add how often each unit fires in the first so many steps to `counts`, (images, units)."""
    for image in range(counts.shape[0]):
        for k in range(spikes.first[image, 0], spikes.first[image, steps]):
            counts[image, spikes.units[k]] += 1


@inner
def hold(
    v: Floats,
    fires: np.uint64,
    waiting: np.uint64,
    held: Floats,
    until: NDArray[np.int64],
    t: int,
    t_ref_steps: int,
) -> tuple[np.uint64, np.uint64]:
    """Undo step t where neurons wait and hold their potential.

    Returns bits: which fire, and which wait in the next step.
    """
    fires &= ~waiting
    bits = waiting
    while bits:
        j, bits = lowest(bits)
        v[j] = held[j]
        if until[j] == t:
            waiting &= ~(ONE << j)
    bits = fires
    while bits:
        j, bits = lowest(bits)
        held[j], until[j] = v[j], t + t_ref_steps
    return fires, waiting | fires


@inner
def lowest(bits: np.uint64) -> tuple[int, np.uint64]:
    """Return the place of the lowest bit of an uint64 that is not 0, and the other bits."""
    return trailing_zeros(bits), bits & (bits - ONE)


@inner
def list_spikes(fired: NDArray[np.uint64], n_spikes: int, n_out: int) -> Spikes:
    """List the spikes of n_out neurons that are bits of `fired`, (blocks, images, steps).

    `n_spikes` bits are set.
    """
    units, first = (
        np.empty(n_spikes, np.int32),
        np.zeros((fired.shape[1], fired.shape[2] + 1), np.int32),
    )
    n = 0
    for image in range(fired.shape[1]):
        first[image, 0] = n
        for t in range(fired.shape[2]):
            for block in range(fired.shape[0]):
                bits = fired[block, image, t]
                while bits:
                    j, bits = lowest(bits)
                    if block * WIDTH + j < n_out:
                        units[n] = block * WIDTH + j
                        n += 1
            first[image, t + 1] = n
    return Spikes(units[:n], first)
