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
    return isinstance(item, Tensor) and ax.is_truth(item)


def _gathered(call: Call, parts: Sequence[tuple[ax.Axis, Tensor]]) -> list[ax.Axis]:
    """Return the axes that indices by tensors give, which are broadcast together."""
    shape = torch.broadcast_shapes(*(index.shape for _, index in parts))
    told = [(each, i.expand(shape)) for each, i in parts if ax.is_told(each)]
    if told:
        device = told[0][1].device
        origin = torch.stack(
            [ax.origins(each, device)[:, i.to(device).long()] for each, i in told]
        ).sum(dim=0)
        if len(shape) == 1:
            return [ax.by_origin(origin, *(each for each, _ in told))]
        return _laid_out(origin)
    if len(shape) != 1:
        operands = [(tuple(i.shape), a) for _, i in parts if (a := call.axes(i)) is not None]
        found = ax.broadcast(operands, shape) if operands else None
        return list(found or (ax.axis(ax.POSITIONS, n) for n in shape))
    if any(ax.has(each, ax.UNITS) for each, _ in parts):
        return [ax.axis(ax.UNITS, shape[0])]
    index_axes = [a for _, i in parts if (a := call.axes(i)) is not None and len(a) == 1]
    return [index_axes[0][0] if index_axes else ax.axis(ax.POSITIONS, shape[0])]


def _laid_out(origin: Tensor) -> list[ax.Axis]:
    """Return axes that hold these inputs and tokens, where each varies along one of them alone.

    Otherwise they hold positions: nothing tells which token an entry is.
    """
    shape = origin.shape[1:]
    result = [ax.axis(ax.POSITIONS, n) for n in shape]
    for numbers, role in zip(origin, (ax.INPUTS, ax.TOKENS), strict=True):
        varies = [k for k in range(len(shape)) if bool((numbers != numbers.narrow(k, 0, 1)).any())]
        k = varies[0] if varies else 0
        if len(varies) > 1 or ax.is_told(result[k]):
            return [ax.axis(ax.POSITIONS, n) for n in shape]
        own = numbers.movedim(k, 0).reshape(shape[k], -1)[:, 0]
        both = torch.zeros(2, shape[k], dtype=torch.int64, device=own.device)
        both[0 if role == ax.INPUTS else 1] = own
        result[k] = (ax.Factor(role, shape[k], origin=both),)
    return result


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
    """Return the axes of what was gathered along one: of tokens where the index is one of all."""
    axes = call.axes(call.first)
    dim, index = call.argument(1, "dim"), call.argument(2, "index")
    if call.kind == "takealongdim":
        dim, index = call.argument(2, "dim"), call.argument(1, "indices")
    if axes is None or not isinstance(dim, int):
        return None
    result = [ax.resized(old, n) for old, n in zip(axes, outputs[0].shape, strict=True)]
    if ax.is_told(axes[dim]):
        moved = index.movedim(dim, 0).reshape(index.shape[dim], -1)
        one = bool((moved == moved[:, :1]).all())
        lost = ax.axis(ax.POSITIONS, outputs[0].shape[dim])
        result[dim] = ax.chosen(axes[dim], moved[:, 0]) if one else lost
    return tuple(result)


def flipped(call: Call, outputs: Sequence[Tensor]) -> Answer:
    """Return the axes in the reverse order along some of them."""
    x = call.first
    axes, dims = call.axes(x), call.args[1:] or tuple(call.kwargs.values())
    if axes is None:
        return None
    fixed = {"fliplr": [1], "flipud": [0]}.get(call.kind)
    if fixed is None:
        fixed = list(dims[0]) if isinstance(dims[0], list | tuple) else [int(d) for d in dims]
    turned = {d % x.ndim for d in fixed}
    return tuple(ax.flipped(each) if k in turned else each for k, each in enumerate(axes))


def rolled(call: Call, outputs: Sequence[Tensor]) -> Answer:
    """Return the axes whose entries were moved on, the last of them to the front."""
    x, shifts, dims = call.first, call.argument(1, "shifts"), call.argument(2, "dims")
    axes = call.axes(x)
    if axes is None:
        return None
    result = list(axes)
    if dims is None or dims == ():  # of all elements as one row
        return tuple(ax.axis(ax.POSITIONS, n) if ax.is_told(a) else a for a, n in _sized(axes, x))
    shifts = [shifts] if isinstance(shifts, int) else list(shifts)
    for shift, dim in zip(shifts, [dims] if isinstance(dims, int) else dims, strict=True):
        n = x.shape[dim]
        if ax.is_told(result[dim]) and shift % n:
            result[dim] = ax.chosen(result[dim], (torch.arange(n) - shift) % n)
    return tuple(result)


def ordered(call: Call, outputs: Sequence[Tensor]) -> Answer:
    """Return the axes after a sort, of which each column has an order of its own."""
    axes, dim = call.axes(call.first), call.argument(1, "dim", -1)
    if axes is None or not isinstance(dim, int):
        return None
    dim %= len(axes)
    return tuple(
        ax.axis(ax.POSITIONS, n) if k == dim and ax.is_told(each) else each
        for k, (each, n) in enumerate(_sized(axes, outputs[0]))
    )


def _sized(axes: ax.Axes, x: Tensor) -> list[tuple[ax.Axis, int]]:
    return list(zip(axes, x.shape, strict=True))
