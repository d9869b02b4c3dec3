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
from neurosparse.kernels.intrinsics import prefetch, step_row, sum_rows
from neurosparse.kernels.layout import LINE, Floats, aligned_zeros, multiple
from neurosparse.kernels.sparse_rows import Ints

# without liberties in the order of operations: a spike more or less hangs on a rounding
_njit: Any = njit
_options: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}
jit: Any = _njit(**_options)
inner: Any = _njit(**_options, no_cpython_wrapper=True, no_cfunc_wrapper=True)

trailing_zeros: Any = numbers.trailing_zeros
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
def run_layer(weights: Floats, current: Floats, cell: Cell, spikes_in: Spikes, n_out: int, spikes: Spikes) -> None:
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
    """
    n_images, n_steps = spikes.first.shape[0], spikes.first.shape[1] - 1
    n_in, room = weights.shape[1], spikes_in.units.shape[1]
    rows, units, currents = weights.ravel(), spikes_in.units.ravel(), current.ravel()
    z, v, held = np.empty(WIDTH, np.float32), np.empty(WIDTH, np.float32), np.empty(WIDTH, np.float32)
    until = np.empty(WIDTH, np.int64)
    fired = np.empty((weights.shape[0], n_images, n_steps), np.uint64)  # a bit for each neuron of a block
    for block in range(weights.shape[0]):
        # all at once: one by one, as the spikes ask for them, the rows take far longer to come
        for k in range(0, n_in * WIDTH, LINE):
            prefetch(rows, block * n_in * WIDTH + k)
        for image in range(n_images):
            at = image % current.shape[0] * current.shape[1] + block * WIDTH
            v[:] = cell.v_initial
            waiting = np.uint64(0)  # a bit for each neuron that is refractory
            for t in range(n_steps):
                begin, end = spikes_in.first[image, t], spikes_in.first[image, t + 1]
                sum_rows(z, currents, at, rows, block * n_in, units, image * room + begin, end - begin)
                fires = step_row(v, z, cell)  # in the order of operations of `convert.neurons.step`
                if cell.t_ref_steps:
                    fires, waiting = hold(v, fires, waiting, held, until, t, cell.t_ref_steps)
                fired[block, image, t] = fires
    list_spikes(fired, n_out, spikes)


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
def hold(v: Floats, fires: Any, waiting: Any, held: Floats, until: Any, t: int, t_ref_steps: int) -> Any:
    """Undo step t where neurons wait and hold their potential. Returns bits: which fire, and which wait in the next step."""
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
def lowest(bits: Any) -> Any:
    """The place of the lowest bit of an uint64 that is not 0, and the other bits."""
    return trailing_zeros(bits), bits & (bits - ONE)


@inner
def list_spikes(fired: Any, n_out: int, spikes: Spikes) -> None:
    """List the spikes of n_out neurons that are bits of `fired`, (blocks, images, steps)."""
    for image in range(fired.shape[1]):
        n = spikes.first[image, 0] = 0
        for t in range(fired.shape[2]):
            for block in range(fired.shape[0]):
                bits = fired[block, image, t]
                while bits:
                    j, bits = lowest(bits)
                    if block * WIDTH + j < n_out:
                        spikes.units[image, n] = block * WIDTH + j
                        n += 1
            spikes.first[image, t + 1] = n
