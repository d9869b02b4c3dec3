"""Layouts of what is taken out of a tensor by indices, masks and slices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from neurosparse.probe import axes as ax
from neurosparse.probe.layout.calls import WEIGHTS, Answer, Call


def indexed(call: Call, outputs: Sequence[Tensor]) -> Answer:
    """Return the axes after x[index]."""
    x, index = call.args[:2]
    tag = call.tags[x]
    axes = tag.axes
    if axes is None:
        axes = tuple(ax.axis(WEIGHTS if not tag.live else ax.POSITIONS, n) for n in x.shape)
        if tag.live:
            return None
    items = list(index) if isinstance(index, tuple) else [index]
    used = sum(i.ndim if _is_mask(i) else i is not None and i is not Ellipsis for i in items)
    if Ellipsis not in [i for i in items if not isinstance(i, Tensor)]:
        items.append(Ellipsis)
    result: list[ax.Axis] = []
    advanced: list[tuple[ax.Axis, Tensor]] = []
    place: int | None = None
    apart, k = False, 0
    for item in items:
        if item is None:
            result.append(())
        elif item is Ellipsis:
            n = len(axes) - used
            result += axes[k : k + n]
            k += n
        elif isinstance(item, slice):
            result.append(ax.chosen(axes[k], item))
            k += 1
        elif isinstance(item, Tensor | list) and not (
            isinstance(item, Tensor) and item.ndim == 0 and not _is_mask(item)
        ):
            tensor = item if isinstance(item, Tensor) else torch.tensor(item)
            if place is None:
                place = len(result)
            apart = apart or place != len(result)
            if _is_mask(tensor):
                whole = tuple(f for each in axes[k : k + tensor.ndim] for f in each)
                advanced.append((whole, tensor.reshape(-1).nonzero()[:, 0]))
                k += tensor.ndim
            else:
                advanced.append((axes[k], tensor))
                k += 1
        else:  # a number
            k += 1
    if advanced:
        result[0 if apart else place : 0 if apart else place] = _gathered(call, advanced)
    return tuple(result)


def _is_mask(item: object) -> bool:
    return isinstance(item, Tensor) and item.dtype in (torch.bool, torch.uint8)


def _gathered(call: Call, parts: Sequence[tuple[ax.Axis, Tensor]]) -> list[ax.Axis]:
    """Return the axes that indices by tensors give, which are broadcast together."""
    shape = torch.broadcast_shapes(*(index.shape for _, index in parts))
    if len(shape) != 1:
        operands = [(tuple(i.shape), a) for _, i in parts if (a := call.axes(i)) is not None]
        found = ax.broadcast(operands, shape) if operands else None
        return list(found or (ax.axis(ax.POSITIONS, n) for n in shape))
    by_data = [
        (each, i.expand(shape))
        for each, i in parts
        if ax.has(each, ax.INPUTS) or ax.has(each, ax.TOKENS) or ax.has(each, ax.ROWS)
    ]
    if any(ax.has(each, ax.INPUTS) or ax.has(each, ax.ROWS) for each, _ in by_data):
        device = by_data[0][1].device
        origin = torch.stack(
            [ax.origins(each, device)[:, i.to(device).long()] for each, i in by_data]
        ).sum(dim=0)
        n_offered = 1
        for each, _ in by_data:
            n_offered *= ax.offered(each)
        return [(ax.Factor(ax.ROWS, shape[0], origin=origin, n_offered=n_offered),)]
    if any(ax.has(each, ax.UNITS) for each, _ in parts):
        return [ax.axis(ax.UNITS, shape[0])]
    index_axes = [a for _, i in parts if (a := call.axes(i)) is not None and len(a) == 1]
    return [index_axes[0][0] if index_axes else ax.axis(ax.POSITIONS, shape[0])]


def selected(call: Call, outputs: Sequence[Tensor]) -> Answer:
    x, dim, index = call.args[0], call.argument(1, "dim"), call.argument(2, "index")
    axes = call.axes(x)
    if axes is None:
        return None
    dim %= x.ndim
    if call.kind == "select":
        return axes[:dim] + axes[dim + 1 :]
    return (*axes[:dim], *_gathered(call, [(axes[dim], index)]), *axes[dim + 1 :])


def unbound(call: Call, outputs: Sequence[Tensor]) -> Answer:
    axes, dim = call.axes(call.first), call.argument(1, "dim", 0)
    if axes is None:
        return None
    if call.kind == "iter":
        dim = 0
    dim %= len(axes)
    return axes[:dim] + axes[dim + 1 :]


def split(call: Call, outputs: Sequence[Tensor]) -> Answer:
    x = call.first
    axes = call.axes(x)
    if axes is None:
        return None
    place = 1 if call.kind == "narrow" else 2
    dim = call.argument(place, "dim", 0) % x.ndim
    start = call.argument(2, "start") if call.kind == "narrow" else 0
    result: list[ax.Axes | None] = []
    for output in outputs:
        stop = int(start) + output.shape[dim]
        part = ax.chosen(axes[dim], slice(int(start), stop))
        result.append((*axes[:dim], part, *axes[dim + 1 :]))
        start = stop
    return result


def where(call: Call, outputs: Sequence[Tensor]) -> Answer:
    if isinstance(outputs[0], Tensor) and len(call.args) + len(call.kwargs) > 1:
        return None
    return [tuple(ax.axis(ax.POSITIONS, n) for n in each.shape) for each in outputs]


def gather(call: Call, outputs: Sequence[Tensor]) -> Answer:
    axes = call.axes(call.first)
    if axes is None:
        return None
    return tuple(ax.resized(old, n) for old, n in zip(axes, outputs[0].shape, strict=True))
