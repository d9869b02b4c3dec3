"""The record of a layer's output, counted where the tensor is.

A kernel counts on the CPU, torch on an accelerator.

Both give what `sparsity.observe` gives, the plain version.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurosparse.activity import Activations, ActiveWhen
from neurosparse.kernels.network.margins import add_margins, add_margins_of_maps
from neurosparse.sparsity import (
    MOST_MAGNITUDE,
    Floats,
    few_positions,
    from_margins,
    observe,
    units_axis,
)

# (3, units), (3, inputs, positions), how many are 0; see `from_margins`
Margins = tuple[Floats, Floats, int]
Whole = NDArray[np.int64]


class Counted(NamedTuple):
    """The record of an output, with the active units and the samples of each input in it."""

    record: Activations
    counts: Whole
    sizes: Whole


def tally(output: Tensor, active_when: ActiveWhen, name: str) -> Activations:
    """Return the record of one batch of a layer's output.

    Parameters
    ----------
    output : tensor of numbers, at least two axes
        The units along `active_when.axis`, inputs and positions along the others.
    active_when
        The definition of "active", with a threshold.
    name
        How the record is called.

    Raises
    ------
    ValueError, TypeError
        As `sparsity.observe` does.
    """
    return counted(output, active_when, name).record


def counted(
    output: Tensor,
    active_when: ActiveWhen,
    name: str,
    *,
    inputs: Whole | None = None,
    n_inputs: int = 0,
    first: int | None = None,
) -> Counted:
    """Return the record of an output and what each input adds to it.

    Parameters
    ----------
    output : tensor of numbers, at least two axes
        As for `tally`.
    active_when
        The definition of "active", as for `tally`.
    name
        How the record is called.
    inputs : array of int, shape (len(output),)
        The input of each entry along the first axis, where they are not the inputs in their order.
        Then units lie along the last of two axes.
    n_inputs
        How many inputs there are.
    first
        The number of the first input among those of all batches: the key of what is kept.
    """
    if output.is_quantized:
        output = output.dequantize()
    n = len(output) if inputs is None else n_inputs
    if (
        output.ndim >= 2
        and output.numel()
        and output.is_floating_point()
        and active_when.threshold is not None
    ):
        axis = units_axis(active_when, output.ndim, output.shape)
        if output.device.type == "cpu" and not active_when.relative:
            units, samples, n_zero = on_cpu(output, axis, active_when.threshold)
        else:
            units, samples, n_zero = by_torch(
                output, axis, active_when.threshold, active_when.relative
            )
        if np.isfinite(samples[1].sum()) and not (
            output.dtype == torch.float64 and _out_of_range(samples)
        ):
            few = _few(output, axis) if inputs is None else _few_rows(output, inputs)
            some = few.cpu().double().numpy()
            per_row = samples[0].sum(axis=1).astype(np.int64)
            firsts, keys = _kept(some, output, inputs, first)
            record = from_margins(
                name,
                active_when,
                units=units,
                samples=samples,
                n_zero=n_zero,
                some=some,
                firsts=firsts,
                keys=keys,
            )
            return _by_input(record, per_row, samples.shape[2], inputs, n)
    values = output.cpu()
    values = values.float() if values.dtype == torch.bfloat16 else values
    if values.ndim < 2:
        values = values.reshape(-1, 1)
    record = observe(values.numpy(), active_when, name)
    axis = units_axis(active_when, values.ndim, values.shape)
    rows = values.movedim(axis, -1).reshape(len(values), -1, values.shape[axis])
    active = _is_active(rows.double().abs(), active_when.threshold or 0.0, active_when.relative)
    return _by_input(record, active.sum(dim=(1, 2)).numpy(), rows.shape[1], inputs, n)


def _by_input(
    record: Activations, per_row: Whole, n_positions: int, inputs: Whole | None, n: int
) -> Counted:
    if inputs is None:
        return Counted(record, per_row, np.full(n, n_positions))
    counts = np.bincount(inputs, weights=per_row, minlength=n).astype(np.int64)
    return Counted(record, counts, np.bincount(inputs, minlength=n) * n_positions)


def _kept(
    some: Floats, output: Tensor, inputs: Whole | None, first: int | None
) -> tuple[Floats | None, NDArray[np.uint64] | None]:
    """Return a row of each input and its key, from the number of the input in all the data."""
    if first is None:
        return None, None
    if inputs is None:
        return some[:, 0], np.arange(first, first + len(some), dtype=np.uint64)
    which, rows = np.unique(inputs, return_index=True)
    firsts = output[torch.from_numpy(rows).to(output.device)].cpu().double().numpy()
    return firsts, (which + first).astype(np.uint64)


def _few(output: Tensor, axis: int) -> Tensor:
    """Return the activations at a few positions, shape (inputs, few, units).

    The others are not moved.
    """
    if output.ndim == 2:
        return output.movedim(axis, -1)[:, None]
    if axis == 1:
        maps = output.flatten(2)
        return maps[:, :, few_positions(maps.shape[2])].transpose(1, 2)
    rows = output.movedim(axis, -1).flatten(1, -2)
    return rows[:, few_positions(rows.shape[1])]


def _few_rows(output: Tensor, inputs: Whole) -> Tensor:
    """Return the activations in a few of the rows of each input, shape (n, 1, units)."""
    order = np.argsort(inputs, kind="stable")
    sizes = np.bincount(inputs)
    starts = np.cumsum(sizes) - sizes
    chosen = [
        order[start + position]
        for start, size in zip(starts, sizes, strict=True)
        for position in few_positions(int(size))
    ]
    return output[torch.tensor(chosen, device=output.device)][:, None]


def _out_of_range(samples: Floats) -> bool:
    """Return whether squares vanish or are too large.

    Double precision alone is capable of that.
    """
    return bool(
        ((samples[1] > 0) & (samples[2] == 0)).any() or np.sqrt(samples[2].max()) >= MOST_MAGNITUDE
    )


def on_cpu(output: Tensor, axis: int, threshold: float) -> Margins:
    """Return the margins of a tensor on the CPU.

    It is one pass over its memory where that is laid out by units or by samples.
    """
    values = (output if output.dtype in (torch.float32, torch.float64) else output.float()).numpy()
    n_units = values.shape[axis]
    units = np.zeros((3, n_units))
    if axis == 1 and values.ndim > 2:  # (inputs, units, positions): rows are units
        maps = np.ascontiguousarray(values.reshape(len(values), n_units, -1))
        samples = np.zeros((len(maps), 3, maps.shape[2]))
        n_zero = add_margins_of_maps(maps, threshold, units, samples)
        return units, samples.swapaxes(0, 1), n_zero
    rows = np.moveaxis(values, axis, -1)
    samples = np.zeros((3, rows.size // n_units))
    n_zero = add_margins(np.ascontiguousarray(rows.reshape(-1, n_units)), threshold, samples, units)
    return units, samples.reshape(3, len(rows), -1), n_zero


def by_torch(output: Tensor, axis: int, threshold: float, relative: bool = False) -> Margins:
    """Return the margins of a tensor on any device.

    They are in the device's own double precision where it has one.
    """
    dtype = torch.float32 if output.device.type == "mps" else torch.float64
    magnitude = output.movedim(axis, -1).to(dtype).abs()
    active = _is_active(magnitude, threshold, relative)
    parts = (active.to(dtype), magnitude, magnitude.square())
    units = torch.stack([part.sum(dim=tuple(range(part.ndim - 1))) for part in parts])
    samples = torch.stack([part.sum(dim=-1) for part in parts])
    n_zero = int((magnitude == 0).sum())
    return (
        units.cpu().double().numpy(),
        samples.cpu().double().reshape(3, len(magnitude), -1).numpy(),
        n_zero,
    )


def _is_active(magnitude: Tensor, threshold: float, relative: bool) -> Tensor:
    """Return where a magnitude is above the threshold, units along the last axis."""
    if not relative:
        return magnitude > threshold
    return magnitude > threshold * magnitude.square().mean(dim=-1, keepdim=True).sqrt()
