"""Layouts of tensors in other shapes: viewed, permuted, reduced, joined, repeated, written into."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from neurosparse.probe import axes as ax
from neurosparse.probe.layout.calls import Answer, Call, guessed_axis, of_axis


def viewed(call: Call, outputs: Sequence[Tensor]) -> Answer:
    axes = call.axes(call.first)
    return None if axes is None else ax.viewed(axes, outputs[0].shape)


def permuted(call: Call, outputs: Sequence[Tensor]) -> Answer:
    """Return the axes in their new order, found by permuting a shape of distinct lengths."""
    axes = call.axes(call.first)
    if axes is None:
        return None
    shape = torch.empty(tuple(range(2, 2 + len(axes))), device="meta")
    return tuple(axes[n - 2] for n in call.function(shape, *call.args[1:], **call.kwargs).shape)


def reduced(call: Call, outputs: Sequence[Tensor]) -> Answer:
    x = call.first
    axes, n = call.axes(x), outputs[0].ndim
    others = [t for t in call.tensors if t is not x]
    if axes is None or others or x.shape == outputs[0].shape:
        return None
    if n == x.ndim:
        return tuple(
            each if size == old else ()
            for each, old, size in zip(axes, x.shape, outputs[0].shape, strict=True)
        )
    names = [value for key, value in call.kwargs.items() if key in ("dim", "axis")]
    dims = names[0] if names else next((a for a in call.args[1:] if _is_dims(a)), None)
    if dims is None:
        return () if n == 0 else None
    gone = {d % x.ndim for d in ([dims] if isinstance(dims, int) else dims)}
    return tuple(each for k, each in enumerate(axes) if k not in gone)


def _is_dims(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (
        isinstance(value, list | tuple) and bool(value) and all(isinstance(v, int) for v in value)
    )


def joined(call: Call, outputs: Sequence[Tensor]) -> Answer:
    parts = call.argument(0, "tensors")
    dim = call.argument(1, "dim", call.kwargs.get("axis", 0)) % outputs[0].ndim
    known = [a for t in parts if (a := call.axes(t)) is not None]
    if not known:
        return None
    places = [call.tags[t].place for t in parts]
    if call.kind == "stack":
        first = next((a for a in known if ax.of_units(a)), known[0])
        along = ax.axis(ax.POSITIONS, len(parts))
        if len(known) == len(parts):
            first, along = ax.side_by_side(known, places)
        return (*first[:dim], along, *first[dim:])
    first = next((a for a in known if ax.of_units(a)), known[0])
    pairs = [(t, p) for t, p in zip(parts, places, strict=True) if t.ndim == outputs[0].ndim]
    differ = len({place for t, place in pairs if call.axes(t) is not None}) > 1
    along = ax.joined(
        [
            None if (a := call.axes(t)) is None else ax.placed(a[dim], p) if differ else a[dim]
            for t, p in pairs
        ],
        [t.shape[dim] for t, _ in pairs],
    )
    result = [ax.best_told([axes[k] for axes in (first, *known)]) for k in range(len(first))]
    result[dim] = _moved(call, along)
    return tuple(result)


def _moved(call: Call, along: ax.Axis) -> ax.Axis:
    """Return an axis of tokens that were moved on: those of a mask where they are as many.

    As in a decoder whose inputs are its labels behind a first token, the last one is gone. Where
    all are still there, they are in another order, and each keeps its number.
    """
    if len(along) != 1 or along[0].role != ax.TOKENS:
        return along
    numbers = ax.origins(along)[1].tolist()
    for columns in call.tags.columns:
        if len(columns) == len(numbers) and any(n in columns for n in numbers):
            if sorted(numbers) == list(columns):
                return along
            return (ax.Factor(ax.TOKENS, len(columns), start=columns.start),)
    return along


def padded(call: Call, outputs: Sequence[Tensor]) -> Answer:
    """Return the axes after F.pad(x, (left, right, ...)), the last axis first."""
    axes, output = call.axes(call.first), outputs[0]
    if axes is None:
        return None
    result = [ax.resized(old, n) for old, n in zip(axes, output.shape, strict=True)]
    for k, left in enumerate(call.argument(1, "pad")[::2], start=1):
        if len(axes[-k]) == 1 and axes[-k][0].role == ax.TOKENS and axes[-k][0].origin is None:
            factor = axes[-k][0]
            start = factor.start - int(left) * factor.stride
            result[-k] = _moved(call, (factor._replace(size=output.shape[-k], start=start),))
    return tuple(result)


def pooled(call: Call, outputs: Sequence[Tensor]) -> Answer:
    """Return the axes after a pooling of the last axes."""
    axes, output = call.axes(call.first), outputs[0]
    if axes is None or len(axes) != output.ndim:
        return None
    kernel, stride = call.argument(1, "kernel_size"), call.argument(2, "stride")
    padding, n = call.argument(3, "padding", 0), int(call.kind[call.kind.index("pool") + 4])
    result = list(axes)
    for k in range(n):
        result[k - n] = ax.windowed(
            axes[k - n],
            output.shape[k - n],
            kernel=of_axis(kernel, k),
            stride=of_axis(stride or kernel, k),
            padding=of_axis(padding, k),
        )
    return tuple(result)


def repeated(call: Call, outputs: Sequence[Tensor]) -> Answer:
    x, output = call.first, outputs[0]
    axes = call.axes(x)
    if axes is None:
        return None
    old = (*(() for _ in range(output.ndim - x.ndim)), *axes)
    shape = (*([1] * (output.ndim - x.ndim)), *x.shape)
    result = []
    for each, n, size in zip(old, shape, output.shape, strict=True):
        if n == size:
            result.append(each)
            continue
        if n == 0 or size % n:
            return None
        times = ax.axis(ax.POSITIONS, size // n)
        result.append((*each, *times) if call.kind == "repeatinterleave" else (*times, *each))
    return tuple(result)


def windows(call: Call, outputs: Sequence[Tensor]) -> Answer:
    """Return the axes after windows were cut: x.unfold(dim, size, step), or torch's im2col."""
    axes, output = call.axes(call.first), outputs[0]
    if axes is None:
        return None
    if output.ndim == len(axes) + 1:
        dim = call.argument(1, "dimension") % len(axes)
        result = [ax.resized(old, n) for old, n in zip(axes, output.shape[:-1], strict=True)]
        last = ax.UNITS if ax.has(axes[dim], ax.UNITS) else ax.POSITIONS
        return (*result, ax.axis(last, output.shape[-1]))
    middle = [ax.axis(ax.POSITIONS, n) for n in output.shape[2:]]
    return (axes[0], ax.axis(ax.UNITS, output.shape[1]), *middle)


def written(call: Call, outputs: Sequence[Tensor]) -> Answer:
    """Return the axes of a tensor after others were written into it."""
    target, output = call.args[0], outputs[0]
    if (axes := call.axes(target)) is not None:
        return axes
    parts = [t for t in call.tensors[1:] if call.axes(t) is not None]
    dim = call.argument(1, "dim") if call.kind != "setitem" else None
    result = [guessed_axis(call, k, n) for k, n in enumerate(output.shape)]
    for part in parts:
        axes = call.axes(part)
        if axes is None or part.ndim > output.ndim:
            continue
        for k in range(1, part.ndim + 1):
            if part.shape[-k] == output.shape[-k] and axes[-k]:
                result[-k] = axes[-k]
        if part.ndim == output.ndim and isinstance(dim, int) and ax.has(axes[dim], ax.UNITS):
            result[dim] = ax.axis(ax.UNITS, output.shape[dim])
    if isinstance(dim, int) and call.kind != "scatter":
        result[dim] = guessed_axis(call, dim % output.ndim, output.shape[dim])
    return tuple(result)


def packed(call: Call, outputs: Sequence[Tensor]) -> Answer:
    """Return the axes of packed sequences: a row for each token that is none of padding."""
    x, batch_first = call.args[0], bool(call.argument(2, "batch_first", False))
    axes, sizes = call.axes(x), outputs[1]
    if axes is None:
        return None
    inputs, tokens = (axes[0], axes[1]) if batch_first else (axes[1], axes[0])
    steps = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
    which = torch.cat([torch.arange(int(n)) for n in sizes])
    origin = ax.origins(inputs)[:, which] + ax.origins(tokens)[:, steps]
    rows = (ax.Factor(ax.ROWS, len(which), origin=origin, n_offered=len(which)),)
    return [(rows, *axes[2:]), (ax.axis(ax.POSITIONS, len(sizes)),)]


def unpacked(call: Call, outputs: Sequence[Tensor]) -> Answer:
    """Return the axes of packed sequences laid out side by side: each its input's, in any order."""
    rows, sizes = call.args[0], call.args[1]
    axes, n = call.axes(rows), int(sizes[0])
    if axes is None:
        return None
    inputs = (ax.Factor(ax.ROWS, n, origin=ax.origins(axes[0])[:, :n]),)
    batch_first = bool(call.argument(2, "batch_first", False))
    role = ax.POSITIONS if call.tags.n_tokens is None else ax.TOKENS
    steps = ax.axis(role, outputs[0].shape[1 if batch_first else 0])
    first_two = (inputs, steps) if batch_first else (steps, inputs)
    return [(*first_two, *axes[1:]), (inputs,)]
