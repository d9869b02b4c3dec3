"""The axis of a layer's output that holds its units."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from torch import Tensor

from neurosparse.probe import axes as ax
from neurosparse.probe.flow import Key
from neurosparse.probe.layout import WEIGHTS

NO_KEY = Key("", None, None)


class LayerOutput(NamedTuple):
    """The output of a layer, under the layer's name.

    Where inputs and units lie along one axis, as in a flattened tensor, each has one here.
    `axis` is None where units lie along several axes, or the whole layer is one unit. `key` is what
    tells layers of one name apart.
    """

    name: str
    output: Tensor
    axis: int | None
    axes: ax.Axes | None
    place: ax.Place = ax.NOWHERE
    key: Key = NO_KEY

    @property
    def shown_axis(self) -> int:
        """The axis of the units; the last where it is not known, or the last of several."""
        units = [] if self.axes is None else ax.of_units(self.axes)
        return self.axis if self.axis is not None else units[-1] if units else -1


def inputs_are_told(layer: LayerOutput, n_inputs: int) -> bool:
    """Return whether it is known which input each sample of a layer is of."""
    rest = _of_samples(layer)
    alone = any(ax.has(each, ax.INPUTS) or ax.has(each, ax.ROWS) for each in rest)
    return alone or layer.place.input is not None or n_inputs == 1


def samples_are_tokens(layer: LayerOutput, n_inputs: int) -> bool | None:
    """Return whether the samples of a layer are known tokens; None where they may be others."""
    rest = _of_samples(layer)
    of_tokens = ax.of_tokens(rest) or layer.place.token is not None
    if of_tokens and inputs_are_told(layer, n_inputs):
        return True
    roles = {f.role for each in rest for f in each if f.size > 1}
    return None if of_tokens or ax.POSITIONS in roles else False


def _of_samples(layer: LayerOutput) -> ax.Axes:
    """Return the axes of a layer's output that hold no units."""
    axes = layer.axes or ()
    units = ax.of_units(axes)
    return tuple(each for k, each in enumerate(axes) if k not in units)


def with_unit_axis(
    name: str,
    output: Tensor,
    axes: ax.Axes | None,
    *,
    n_inputs: int,
    asked: int | None = None,
    must_be_known: bool = True,
) -> LayerOutput:
    """Return the output of a layer with the axis of its units.

    Parameters
    ----------
    name
        The layer's.
    output
        Of any shape.
    axes
        What the axes of the output hold, None where that is not known.
    n_inputs
        How many inputs the model was given.
    asked
        The axis of the units, where a user names it.
    must_be_known
        Otherwise an axis that is not known is the last.

    Raises
    ------
    ValueError
        Where the axis that was asked for does not exist, or the axis is not known but must be.
    """
    n = output.ndim
    if axes is not None and len(axes) != n:
        axes = None
    if asked is not None:
        if not -n <= asked < n:
            raise ValueError(
                f"axis {asked} does not exist in layer {name!r} of shape {tuple(output.shape)}"
            )
        rest = axes or _by_length(output.shape, n_inputs)
        return LayerOutput(name, output, asked, _units_along(rest, asked % n, output.shape))
    if axes is None:
        if n > 2 and must_be_known:
            raise ValueError(
                f"which axis of layer {name!r}, shape {tuple(output.shape)}, holds its units is"
                f" not known: pass units_axis={{{name!r}: ...}}"
            )
        axes = _by_length(output.shape, n_inputs)
        if n >= 2:
            axes = (*axes[:-1], ax.axis(ax.UNITS, output.shape[-1]))
    output, axes = _unfolded(output, axes)
    n = output.ndim
    if not ax.of_units(axes):
        axes = tuple(
            tuple(f._replace(role=ax.UNITS) if f.role == WEIGHTS else f for f in each)
            for each in axes
        )
    units = ax.of_units(axes)
    axis = None if len(units) != 1 else -1 if units[0] == n - 1 else units[0]
    return LayerOutput(name, output, axis, axes)


def _unfolded(output: Tensor, axes: ax.Axes) -> tuple[Tensor, ax.Axes]:
    """Return a tensor in which units and inputs share no axis, as they do in a flattened one."""
    apart: list[ax.Axis] = []
    for each in axes:
        if ax.has(each, ax.UNITS) and ax.has(each, ax.INPUTS):
            kinds = groupby(each, lambda factor: factor.role == ax.UNITS)
            apart += [tuple(factors) for _, factors in kinds]
        else:
            apart.append(each)
    if len(apart) == len(axes):
        return output, axes
    return output.reshape([ax.length(each) for each in apart]), tuple(apart)


def _units_along(axes: ax.Axes, axis: int, shape: Sequence[int]) -> ax.Axes:
    """Return axes with the units along one of them alone."""
    return tuple(
        ax.axis(ax.UNITS, shape[k]) if k == axis else tuple(f for f in each if f.role != ax.UNITS)
        for k, each in enumerate(axes)
    )


def _by_length(shape: Sequence[int], n_inputs: int) -> ax.Axes:
    """Return axes of which the first holds the inputs if its length says so."""
    if not shape:
        return ()
    first: ax.Axis = ax.axis(ax.POSITIONS, shape[0])
    if n_inputs and shape[0] % n_inputs == 0:
        first = (ax.Factor(ax.INPUTS, n_inputs), ax.Factor(ax.POSITIONS, shape[0] // n_inputs))
    return (first, *(ax.axis(ax.POSITIONS, size) for size in shape[1:]))
