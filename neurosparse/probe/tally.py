"""The record of a layer's output, counted where the tensor is: by a kernel on the CPU, by torch on
an accelerator.

Both give what `sparsity.observe` gives, the plain version.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from neurosparse.activity import Activations, ActiveWhen
from neurosparse.kernels.network.margins import add_margins
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


def tally(output: Tensor, active_when: ActiveWhen, name: str) -> Activations:
    """The record of one batch of a layer's output.

    Parameters
    ----------
    output : tensor of numbers, at least two axes
        The units along `active_when.axis`, inputs and positions along the others.

    Raises
    ------
    ValueError, TypeError
        As `sparsity.observe` does.
    """
    if (
        output.ndim >= 2
        and output.numel()
        and output.is_floating_point()
        and active_when.threshold is not None
    ):
        axis = units_axis(active_when, output.ndim, output.shape)
        margins = on_cpu if output.device.type == "cpu" else by_torch
        units, samples, n_zero = margins(output, axis, active_when.threshold)
        if np.isfinite(samples[1].sum()) and not (
            output.dtype == torch.float64 and _out_of_range(samples)
        ):
            some = _few(output, axis).cpu().double().numpy()
            return from_margins(
                name, active_when, units=units, samples=samples, n_zero=n_zero, some=some
            )
    return observe(
        output.cpu().float().numpy() if output.dtype == torch.bfloat16 else output.cpu().numpy(),
        active_when,
        name,
    )


def _few(output: Tensor, axis: int) -> Tensor:
    """The activations at a few positions, shape (inputs, few, units), without moving the others."""
    if output.ndim == 2:
        return output.movedim(axis, -1)[:, None]
    if axis == 1:
        maps = output.flatten(2)
        return maps[:, :, few_positions(maps.shape[2])].transpose(1, 2)
    rows = output.movedim(axis, -1).flatten(1, -2)
    return rows[:, few_positions(rows.shape[1])]


def _out_of_range(samples: Floats) -> bool:
    """Whether squares vanish or are too large, of which double precision alone is capable."""
    return bool(
        ((samples[1] > 0) & (samples[2] == 0)).any() or np.sqrt(samples[2].max()) >= MOST_MAGNITUDE
    )


def on_cpu(output: Tensor, axis: int, threshold: float) -> Margins:
    """The margins of a tensor on the CPU, in one pass over its memory where that is laid out by
    units or by samples.
    """
    values = (output if output.dtype in (torch.float32, torch.float64) else output.float()).numpy()
    n_units = values.shape[axis]
    units = np.zeros((3, n_units))
    if axis == 1 and values.ndim > 2:  # (inputs, units, positions): rows are units
        maps = np.ascontiguousarray(values.reshape(len(values), n_units, -1))
        samples = np.zeros((len(maps), 3, maps.shape[2]))
        n_zero = sum(
            add_margins(x, threshold, units, sums) for x, sums in zip(maps, samples, strict=True)
        )
        return units, samples.swapaxes(0, 1), n_zero
    rows = np.moveaxis(values, axis, -1)
    samples = np.zeros((3, rows.size // n_units))
    n_zero = add_margins(np.ascontiguousarray(rows.reshape(-1, n_units)), threshold, samples, units)
    return units, samples.reshape(3, len(rows), -1), n_zero


def by_torch(output: Tensor, axis: int, threshold: float) -> Margins:
    """The margins of a tensor on any device, in the device's own double precision where it has
    one.
    """
    dtype = torch.float32 if output.device.type == "mps" else torch.float64
    magnitude = output.movedim(axis, -1).to(dtype).abs()
    parts = ((magnitude > threshold).to(dtype), magnitude, magnitude.square())
    units = torch.stack([part.sum(dim=tuple(range(part.ndim - 1))) for part in parts])
    samples = torch.stack([part.sum(dim=-1) for part in parts])
    n_zero = int((magnitude == 0).sum())
    return (
        units.cpu().double().numpy(),
        samples.cpu().double().reshape(3, len(magnitude), -1).numpy(),
        n_zero,
    )
