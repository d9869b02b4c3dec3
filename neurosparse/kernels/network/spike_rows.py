"""A layer of spiking neurons over all time steps, at a cost in proportion to the spikes it gets.

In a network without loops a layer can run through all its steps before the next one begins. So the
neurons are taken in rows of up to `intrinsics.ROW` channels at one place, and a row through all
steps. The weights of a block of channels stay in the second level of the cache, those from the
inputs that fire in the first. The state of the neurons stays in registers or close by.

Spikes are lists of units, ordered by pixel and then by channel: unit = pixel * channels + channel.
So the spikes of neighbouring pixels are one stretch of the list, a row of a convolution's kernel
takes one stretch, and a fully connected layer is a convolution of one pixel. Nothing here checks an
index: `convert.events` makes the arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np
from numba.cpython.unsafe import numbers
from numpy.typing import NDArray

from neurosparse._internal.types import Array, Foreign
from neurosparse.kernels.compiled import njit
from neurosparse.kernels.intrinsics import ROW, UNIT, popcount, prefetch, step_row, sum_rows
from neurosparse.kernels.network.layout import LINE, Floats, aligned_zeros, multiple
from neurosparse.kernels.network.sparse_rows import Ints

# without liberties in the order of operations: a spike more or less hangs on a rounding
_options = {"nogil": True, "error_model": "numpy"}
jit = njit(**_options)
inner = njit(**_options, no_cpython_wrapper=True, no_cfunc_wrapper=True)

trailing_zeros: Foreign = numbers.trailing_zeros
ONE = np.uint64(1)

Width = tuple[None, ...]  # of a row, as `intrinsics.as_type` says it


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
    """The spikes of some images in all steps.

    With k = (image * steps + step) * pixels + pixel, the units `units[first[k] : first[k + 1]]` are
    those of a pixel in a step.
    """

    units: Ints  # (spikes,)
    first: Ints  # (images * steps * pixels + 1,)


class Inputs(NamedTuple):
    """The spikes of all sources of a layer, one source after the other."""

    units: Ints
    first: Ints
    base: NDArray[np.int64]  # where each source starts in `first`
    pixels: NDArray[np.int64]  # pixels of each source


class Wiring(NamedTuple):
    """The stretches of its sources' spikes that a pixel of a layer gets, and their weights.

    Pixel p has the stretches from start[p] to start[p + 1]: from pixel low to pixel high of a
    source, where unit u adds row `row + u` of the weights.
    """

    start: NDArray[np.int64]  # (pixels + 1,)
    source: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    row: NDArray[np.int64]


def listed(shown: NDArray[np.bool_]) -> Spikes:
    """List the spikes that are True in an array (images, steps, pixels, channels)."""
    first = np.zeros(prod(shown.shape[:-1]) + 1, np.int32)
    shown.sum(-1).ravel().cumsum(out=first[1:])
    n_units = shown.shape[-2] * shown.shape[-1]
    return Spikes((shown.ravel().nonzero()[0] % max(n_units, 1)).astype(np.int32), first)


@jit
def dense(spikes: Spikes, n_pixels: int, out: NDArray[np.generic]) -> None:
    """Add 1 for each spike to `out`, (images * steps, units)."""
    for k in range(out.shape[0]):
        for s in range(spikes.first[k * n_pixels], spikes.first[(k + 1) * n_pixels]):
            out[k, spikes.units[s]] += 1


def joined(sources: Sequence[tuple[Spikes, int]]) -> Inputs:
    """Join the spikes of sources of so many pixels each; there may be none."""
    pixels = np.array([n for _, n in sources], np.int64)
    if not sources:
        return Inputs(np.zeros(1, np.int32), np.zeros(1, np.int32), pixels, pixels)
    spikes = [of for of, _ in sources]
    base = np.cumsum([0, *(len(of.first) for of in spikes)])[:-1]
    if len(spikes) == 1:
        return Inputs(*spikes[0], base, pixels)
    before = np.cumsum([0, *(len(of.units) for of in spikes)], dtype=np.int32)
    return Inputs(
        np.concatenate([of.units for of in spikes]),
        np.concatenate([of.first + b for of, b in zip(spikes, before, strict=False)]),
        base,
        pixels,
    )


def width_for(channels: int) -> int:
    """Return the width of the rows of a layer of so many channels."""
    widths = (UNIT, 2 * UNIT, ROW)
    return next((width for width in widths if channels <= width), ROW)


def laid_out(weight: Array, width: int) -> Floats:
    """Lay weights (inputs, channels) out in blocks of channels.

    Shape (blocks, inputs, width), filled up with zeros.
    """
    n_in, n_out = weight.shape
    blocks = aligned_zeros(multiple(n_out, width) // width, n_in, width)
    for k, block in enumerate(blocks):
        part = weight[:, k * width : (k + 1) * width]
        block[:, : part.shape[1]] = part
    return blocks


@jit
def run_layer(
    weights: Floats,
    current: Floats,
    cell: Cell,
    inputs: Inputs,
    wiring: Wiring,
    n_images: int,
    n_steps: int,
    n_channels: int,
    width: Width,
) -> Spikes:
    """Return what the neurons of a layer fire in all steps of some images.

    Parameters
    ----------
    weights : (blocks, inputs, width)
        As `laid_out` gives them.
    current : (images or 1, steps or 1, pixels or 1, blocks * width)
        What each neuron gets in a step; the weights of the units that fire come on top.
    cell
        Constants of the neuron.
    inputs, wiring
        What the sources fire, and where it goes.
    n_images, n_steps, n_channels
        Of what is run.
    width
        Of a row of weights, as `intrinsics.as_type` says it.
    """
    n, n_blocks, n_pixels = UNIT * len(width), weights.shape[0], len(wiring.start) - 1
    rows, currents, strides = weights.ravel(), current.ravel(), steps_of(current)
    z, v, held = np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.float32)
    until = np.empty(n, np.int64)
    # a bit for each neuron of a row
    fired = np.empty((n_images, n_steps, n_pixels, n_blocks), np.uint64)
    n_spikes = 0
    for block in range(n_blocks):
        first_row = block * weights.shape[1]
        fetch(rows, first_row * n, weights.shape[1] * n)
        for image in range(n_images):
            for pixel in range(n_pixels):
                at = image * strides[0] + pixel * strides[2] + block * n
                v[:] = cell.v_initial
                waiting = np.uint64(0)  # a bit for each neuron that is refractory
                for t in range(n_steps):
                    frame = image * n_steps + t
                    add_up(
                        z, currents, at + t * strides[1], rows, first_row, inputs, wiring, pixel,
                        frame, width,
                    )  # fmt: skip
                    # in the order of operations of `convert.neurons.step`
                    fires = step_row(v, z, cell, width)
                    if cell.t_ref_steps:
                        fires, waiting = hold(v, fires, waiting, held, until, t, cell.t_ref_steps)
                    fired[image, t, pixel, block] = fires
                    n_spikes += popcount(fires)
    return list_spikes(fired, n_spikes, n_channels, n)


@jit
def run_sums(
    weights: Floats,
    current: Floats,
    inputs: Inputs,
    wiring: Wiring,
    n_images: int,
    n_steps: int,
    width: Width,
) -> Floats:
    """Return the currents that `run_layer` gives its neurons.

    Shape (images, steps, pixels, blocks * width).
    """
    n, n_blocks, n_pixels = UNIT * len(width), weights.shape[0], len(wiring.start) - 1
    rows, currents, strides = weights.ravel(), current.ravel(), steps_of(current)
    out = np.empty((n_images, n_steps, n_pixels, n_blocks * n), np.float32)
    z = np.empty(n, np.float32)
    for block in range(n_blocks):
        first_row = block * weights.shape[1]
        fetch(rows, first_row * n, weights.shape[1] * n)
        for image in range(n_images):
            for t in range(n_steps):
                frame = image * n_steps + t
                for pixel in range(n_pixels):
                    at = image * strides[0] + t * strides[1] + pixel * strides[2] + block * n
                    add_up(z, currents, at, rows, first_row, inputs, wiring, pixel, frame, width)
                    for j in range(n):
                        out[image, t, pixel, block * n + j] = z[j]
    return out


@jit
def count(spikes: Spikes, n_frames: int, of: int, counts: Floats) -> None:
    """Add how often each unit fires in the first `of` of `n_frames` lists an image.

    `counts` has shape (images, units); a list is that of a pixel in a step.
    """
    for image in range(counts.shape[0]):
        begin = image * n_frames
        for k in range(spikes.first[begin], spikes.first[begin + of]):
            counts[image, spikes.units[k]] += 1


@inner
def steps_of(current: Floats) -> tuple[int, int, int]:
    """Return how far it is in `current` to the next image, step and pixel: 0 along axes of 1."""
    images, steps, pixels, channels = current.shape
    return (
        steps * pixels * channels if images > 1 else 0,
        pixels * channels if steps > 1 else 0,
        channels if pixels > 1 else 0,
    )


@inner
def fetch(rows: Floats, begin: int, n: int) -> None:
    """Ask for weights all at once.

    One by one, as the spikes ask for them, they take far longer to come.
    """
    for k in range(0, n, LINE):
        prefetch(rows, begin + k)


@inner
def add_up(
    z: Floats,
    currents: Floats,
    at: int,
    rows: Floats,
    first_row: int,
    inputs: Inputs,
    wiring: Wiring,
    pixel: int,
    frame: int,
    width: Width,
) -> None:
    """Set z to currents[at:] plus the rows of the spikes that reach a pixel in a step."""
    sum_rows(z, currents, at, rows, 0, inputs.units, 0, 0, width)
    for s in range(wiring.start[pixel], wiring.start[pixel + 1]):
        source = wiring.source[s]
        place = inputs.base[source] + frame * inputs.pixels[source]
        begin = inputs.first[place + wiring.low[s]]
        n = inputs.first[place + wiring.high[s]] - begin
        if n:
            sum_rows(z, z, 0, rows, first_row + wiring.row[s], inputs.units, begin, n, width)


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
def list_spikes(fired: NDArray[np.uint64], n_spikes: int, n_channels: int, width: int) -> Spikes:
    """List the spikes that are bits of `fired`, (images, steps, pixels, blocks), `n_spikes` in all.

    What a block has above `n_channels` only fills it up.
    """
    n_images, n_steps, n_pixels, n_blocks = fired.shape
    units = np.empty(n_spikes, np.int32)
    first = np.zeros(n_images * n_steps * n_pixels + 1, np.int32)
    n = k = 0
    for image in range(n_images):
        for t in range(n_steps):
            for pixel in range(n_pixels):
                for block in range(n_blocks):
                    bits = fired[image, t, pixel, block]
                    while bits:
                        j, bits = lowest(bits)
                        channel = block * width + j
                        if channel < n_channels:
                            units[n] = pixel * n_channels + channel
                            n += 1
                k += 1
                first[k] = n
    return Spikes(units[:n], first)
