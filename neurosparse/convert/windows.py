"""Windows of pixels, and options of torch: shared by what pools, moves and convolves spikes."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import torch

from neurosparse._internal.types import Array, FieldsView
from neurosparse.convert.graph import Place, Shape, Upsample
from neurosparse.kernels.network.spike_pools import Windows

Pair = tuple[int, int]


def grid(shape: Shape) -> Pair:
    """Return the rows and columns of pixels of a layer."""
    return (shape[1], shape[2]) if len(shape) == 3 else (1, prod(shape[1:]))


class UnlikeError(Exception):
    """A layer has no form: it is not the same sum of spikes everywhere."""


def pair(value: Any, empty: int, shape: Shape) -> Pair:
    """Return an option of torch, a number or one an axis, as (rows, columns)."""
    axes = len(shape) - 1
    values = tuple(value) if isinstance(value, tuple | list) else (value,) * axes
    rows, columns = (empty, *values)[-2:]
    return rows, columns


def places(layer: Place | Upsample, before: Shape) -> Windows:
    """Return the pixels that each pixel comes to; its number shows where it went."""
    n_pixels = prod(before[1:])
    numbers = torch.arange(1.0, n_pixels + 1, dtype=torch.float64).reshape(1, 1, *before[1:])
    if isinstance(layer, Place):
        layer = replace(layer, shape=(1, *layer.shape[1:]))
    elif layer.options.get("mode", "nearest") not in ("nearest", "nearest-exact"):
        raise UnlikeError
    came = layer(numbers).flatten().numpy().astype(np.int64) - 1
    there = (came >= 0).nonzero()[0]
    order = np.argsort(came[there], kind="stable")
    counts = np.bincount(came[there], minlength=n_pixels)
    return Windows(np.cumsum([0, *counts]), there[order], len(came))


def alike(options: FieldsView, kernel: Pair, before: Shape, after: Shape) -> bool:
    """Say whether averages over windows all divide by the size of the kernel."""
    stride = pair(options.get("stride") or kernel[-(len(before) - 1) :], 1, before)
    padding = pair(options.get("padding", 0), 0, before)
    within = all(
        (n - 1) * s + k <= size + 2 * p
        for n, s, k, size, p in zip(grid(after), stride, kernel, grid(before), padding, strict=True)
    )
    return within and (options.get("count_include_pad", True) or not any(padding))


def windows(options: FieldsView, kernel: Pair, before: Shape, after: Shape) -> Windows:
    stride = pair(options.get("stride") or kernel[-(len(before) - 1) :], 1, before)
    padding = pair(options.get("padding", 0), 0, before)
    dilation = pair(options.get("dilation", 1), 1, before)
    (rows, columns), out = grid(before), grid(after)

    def along(axis: int, size: int) -> tuple[Array, Array]:
        """Return the pixels of the windows along an axis, (windows, kernel); which are there."""
        first = np.arange(out[axis])[:, None] * stride[axis] - padding[axis]
        at = first + np.arange(kernel[axis]) * dilation[axis]
        return at, (at >= 0) & (at < size)

    (y, y_there), (x, x_there) = along(0, rows), along(1, columns)
    pixel = y[:, None, :, None] * columns + x[None, :, None, :]
    there = y_there[:, None, :, None] & x_there[None, :, None, :]
    window = np.broadcast_to(np.arange(prod(out)).reshape(*out, 1, 1), pixel.shape)[there]
    order = np.argsort(pixel[there], kind="stable")
    counts = np.bincount(pixel[there], minlength=rows * columns)
    return Windows(np.cumsum([0, *counts]), window[order], prod(out))
