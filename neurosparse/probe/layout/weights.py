"""Layouts of the outputs of layers with weights: their last axis or their channels are units."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from neurosparse.probe import axes as ax
from neurosparse.probe.layout.calls import Answer, Call, by_shape, of_axis, without_units


def linear(call: Call, outputs: Sequence[Tensor]) -> Answer:
    axes = call.axes(call.args[0] if call.args else call.kwargs.get("input"))
    if axes is None:
        return None
    kept = [without_units(each) for each in axes[:-1]]
    return (*kept, ax.axis(ax.UNITS, outputs[0].shape[-1]))


def conv(call: Call, outputs: Sequence[Tensor]) -> Answer:
    output, weight = outputs[0], call.argument(1, "weight")
    axes = call.axes(call.argument(0, "input"))
    units = 0 if isinstance(weight, Tensor) and output.ndim < weight.ndim else 1
    result = [ax.axis(ax.POSITIONS, n) for n in output.shape]
    if axes is not None and len(axes) == output.ndim:
        result = [
            without_units(_window(call, weight, k, old, n))
            for k, (old, n) in enumerate(zip(axes, output.shape, strict=True))
        ]
    n = output.shape[units]
    result[units] = ax.axis(ax.UNITS, n)
    if axes is not None and len(axes) == output.ndim:  # inputs side by side, a group each
        data = tuple(f for f in axes[units] if f.role != ax.UNITS)
        if ax.is_told(data) and call.argument(6, "groups", 1) % ax.length(data) == 0:
            result[units] = (*data, ax.Factor(ax.UNITS, n // ax.length(data)))
    return tuple(result)


def _window(call: Call, weight: object, k: int, old: ax.Axis, size: int) -> ax.Axis:
    """Return what an axis of a convolution's output holds."""
    n = call.kind[4]  # of conv1d, conv2d, conv3d
    k -= call.first.ndim - int(n) if n.isdigit() else k + 1
    padding = call.argument(4, "padding", 0)
    if k < 0 or not isinstance(weight, Tensor) or padding == "same":
        return ax.resized(old, size)
    return ax.windowed(
        old,
        size,
        kernel=weight.shape[2 + k],
        stride=of_axis(call.argument(3, "stride", 1), k),
        padding=0 if padding == "valid" else of_axis(padding, k),
        dilation=of_axis(call.argument(5, "dilation", 1), k),
    )


def normalised(call: Call, outputs: Sequence[Tensor]) -> Answer:
    """Return the axes after a norm; one of channels says that they lie along axis 1.

    So it does of inputs, whose units are a guess. Where weights have made them, these tell.
    """
    axes = by_shape(call, outputs[0])
    if axes is None or call.kind not in ("batchnorm", "groupnorm", "instancenorm"):
        return axes
    is_known = ax.of_units(axes) and call.tags[call.first].source
    if is_known or ax.is_told(axes[1]):
        return axes
    return tuple(
        ax.axis(ax.UNITS, outputs[0].shape[1]) if k == 1 else without_units(each)
        for k, each in enumerate(axes)
    )


def embedding(call: Call, outputs: Sequence[Tensor]) -> Answer:
    axes = call.axes(call.argument(0, "input"))
    if call.kind == "embeddingbag" and axes is not None:
        axes = axes[:1]
    return None if axes is None else (*axes, ax.axis(ax.UNITS, outputs[0].shape[-1]))


def one_hot(call: Call, outputs: Sequence[Tensor]) -> Answer:
    axes = call.axes(call.first)
    return None if axes is None else (*axes, ax.axis(ax.UNITS, outputs[0].shape[-1]))


def recurrent(call: Call, outputs: Sequence[Tensor]) -> Answer:
    first = call.axes(call.args[0])
    if first is None:
        return None
    packed = isinstance(call.args[1], Tensor) and outputs[0].ndim == 2 and outputs[1].ndim == 3
    n = outputs[0].ndim
    batch = next((a for a in first if ax.has(a, ax.INPUTS) or ax.has(a, ax.ROWS)), ())
    result: list[ax.Axes | None] = [
        (*first[: n - 1], ax.axis(ax.UNITS, outputs[0].shape[-1])) if len(first) == n else None
    ]
    for state in outputs[1:]:
        inside = (
            ax.axis(ax.POSITIONS, state.shape[-2])
            if packed or state.ndim < 3 or ax.length(batch) != state.shape[-2]
            else batch
        )
        axes = [ax.axis(ax.POSITIONS, size) for size in state.shape]
        axes[-2:] = [inside, ax.axis(ax.UNITS, state.shape[-1])]
        result.append(tuple(axes))
    return result


def cell(call: Call, outputs: Sequence[Tensor]) -> Answer:
    axes = call.axes(call.args[0])
    if axes is None:
        return None
    return [(*axes[:-1], ax.axis(ax.UNITS, each.shape[-1])) for each in outputs]


def attention(call: Call, outputs: Sequence[Tensor]) -> Answer:
    query, value = call.argument(0, "query"), call.argument(2, "value")
    q, v = call.axes(query), call.axes(value)
    if q is None:
        return None
    last = v[-1] if v is not None else ax.axis(ax.UNITS, outputs[0].shape[-1])
    if call.kind == "multiheadattentionforward":
        last = ax.axis(ax.UNITS, outputs[0].shape[-1])
    result: list[ax.Axes | None] = [(*q[:-1], last)]
    return result + [by_shape(call, each) for each in outputs[1:]]
