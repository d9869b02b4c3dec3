"""Layouts of the outputs of layers with weights: their last axis or their channels are units."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from neurosparse.probe import axes as ax
from neurosparse.probe.layout.calls import Answer, Call, by_shape, length, without_units


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
            without_units(ax.resized(old, n)) for old, n in zip(axes, output.shape, strict=True)
        ]
    result[units] = ax.axis(ax.UNITS, output.shape[units])
    return tuple(result)


def normalised(call: Call, outputs: Sequence[Tensor]) -> Answer:
    axes = by_shape(call, outputs[0])
    if axes is None or ax.of_units(axes) or call.kind not in ("batchnorm", "groupnorm"):
        return axes
    return tuple(
        ax.axis(ax.UNITS, outputs[0].shape[1]) if k == 1 else each for k, each in enumerate(axes)
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
            if packed or state.ndim < 3 or length(batch) != state.shape[-2]
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
