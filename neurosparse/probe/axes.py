"""Axes of tensors that flow through a model: inputs, tokens, positions, units.

An axis is a tuple of factors, the slowest first: after `x.view(batch * tokens, features)` the first
axis is (inputs, tokens). So a unit is found again after any view, permutation or product, and each
row of a flattened tensor belongs to the input that it came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

INPUTS, TOKENS, POSITIONS, UNITS, ROWS = "inputs", "tokens", "positions", "units", "rows"
NO_TOKEN = -(2**40)  # the number of what stands among tokens and is none, such as a learned first


class Factor(NamedTuple):
    """A factor of an axis.

    The entry at coordinate c of `inputs` or `tokens` is number `start + c * stride`. `rows` are
    chosen by the data, of `n_offered`: `origin`, shape (2, size), names the input and the token of
    each. So it does for `tokens` that do not lie at equal steps.
    """

    role: str
    size: int
    stride: int = 1
    start: int = 0
    origin: Tensor | None = None
    n_offered: int = 0


class Place(NamedTuple):
    """The number of the input and of the token that a whole tensor is of, None where axes tell."""

    input: int | None = None
    token: int | None = None


NOWHERE = Place()

Axis = tuple[Factor, ...]
Axes = tuple[Axis, ...]


def axis(role: str, size: int) -> Axis:
    """Return an axis of one factor."""
    return (Factor(role, size),)


def has(an_axis: Axis, role: str) -> bool:
    """Return whether an axis holds a role."""
    return any(factor.role == role for factor in an_axis)


def is_told(an_axis: Axis) -> bool:
    """Return whether an axis says which input or token an entry is of."""
    return any(factor.role in (INPUTS, TOKENS, ROWS) for factor in an_axis)


def is_truth(index: Tensor) -> bool:
    """Return whether a tensor chooses entries by truth, not by their numbers."""
    return index.dtype in (torch.bool, torch.uint8)


def best_told(known: Sequence[Axis]) -> Axis:
    """Return an axis as the first of those knows it that say most about inputs and tokens.

    The first one stands if it holds units.
    """
    if has(known[0], UNITS):
        return known[0]
    return max(known, key=lambda each: len({f.role for f in each} & {INPUTS, TOKENS, ROWS}))


def of_units(axes: Axes) -> list[int]:
    """Return the positions of the axes that hold units."""
    return [k for k, each in enumerate(axes) if has(each, UNITS)]


def of_inputs(
    shape: Sequence[int], *, first_token: int | None, is_float: bool, n_token_axes: int = 1
) -> Axes:
    """Return the axes of a batch of inputs.

    Units are axis 1 of an image (4 axes or more) and the last one of other numbers. Whole numbers
    name words or classes and hold no units.

    Parameters
    ----------
    shape
        The shape of the batch.
    first_token
        The number of the first of the tokens, None if it holds none.
    n_token_axes
        How many axes hold tokens, from axis 1 on.
    is_float
        Whether the inputs are real numbers, not whole ones.
    """
    axes = [axis(INPUTS, shape[0]), *(axis(POSITIONS, n) for n in shape[1:])]
    if first_token is not None:
        for k in range(1, n_token_axes + 1):
            stride = prod(shape[k + 1 : n_token_axes + 1])
            axes[k] = (Factor(TOKENS, shape[k], stride, first_token if k == 1 else 0),)
    if is_float and len(shape) > 1:
        k = 1 if len(shape) > 3 else len(shape) - 1
        if not has(axes[k], TOKENS):
            axes[k] = axis(UNITS, shape[k])
    return tuple(axes)


def resized(old: Axis, size: int) -> Axis:
    """Return an axis whose length a pooling, a padding or the like has changed."""
    if prod(factor.size for factor in old) == size:
        return old
    return axis(UNITS if has(old, UNITS) else POSITIONS, size)


def windowed(
    old: Axis, size: int, *, kernel: int, stride: int, padding: int, dilation: int = 1
) -> Axis:
    """Return an axis after each window of it became one entry, as in a convolution.

    A window of tokens stands for its last one, as a frame of a sound that is complete; where the
    ends were padded, for the one in its middle. One that was padded by all but one of its length
    looks at what came before (the rest is cut off later).
    """
    if len(old) != 1 or old[0].role != TOKENS or old[0].origin is not None or old[0].size == size:
        return resized(old, size)
    factor, reach = old[0], dilation * (kernel - 1)
    first = reach - padding if padding in (0, reach) else int(reach / 2 - padding)
    start = factor.start + first * factor.stride
    return (factor._replace(size=size, stride=stride * factor.stride, start=start),)


def viewed(axes: Axes, shape: Sequence[int]) -> Axes | None:
    """Return the axes after the elements were laid out in another shape, None if not known."""
    queue = [factor for each in axes for factor in each if factor.size != 1]
    result = []
    for size in shape:
        need, found = size, []
        while need > 1 and queue:
            factor = queue.pop(0)
            if need % factor.size == 0:
                found.append(factor)
                need //= factor.size
            elif factor.size % need == 0 and factor.origin is None:
                rest = factor.size // need
                found.append(factor._replace(size=need, stride=factor.stride * rest))
                queue.insert(0, factor._replace(size=rest, start=0))
                need = 1
            else:
                return None
        if need != 1 and size != 0:
            return None
        result.append(tuple(found) if size else axis(POSITIONS, 0))
    # a batch of one input, or a text of one token, keeps its number wherever it stands
    single = tuple(
        f for each in axes for f in each if f.size == 1 and f.role in (INPUTS, TOKENS, ROWS)
    )
    k = next((k for k, each in enumerate(result) if not has(each, UNITS)), None)
    if single and k is not None:
        result[k] = (*single, *result[k])
    return tuple(result)


def broadcast(operands: Sequence[tuple[Sequence[int], Axes]], shape: Sequence[int]) -> Axes | None:
    """Return the axes of an element by element result, None if the shapes do not broadcast to it.

    Each axis is that of the first operand which has it at full length; where that one does not say
    whose tokens or inputs they are, of another that does. Units are those of the first operand of
    the whole shape, and otherwise of the first operand that has any.
    """
    shape = tuple(shape)
    n = len(shape)
    if len(operands) == 1 and tuple(operands[0][0]) == shape and all(operands[0][1]):
        return operands[0][1]
    for size, _ in operands:
        if len(size) > n or any(
            a not in (1, b) for a, b in zip(size[::-1], shape[::-1], strict=False)
        ):
            return None
    ordered = sorted(operands, key=lambda each: tuple(each[0]) != shape)
    result: list[Axis] = []
    for k in range(n):
        known = [
            axes[j]
            for size, axes in ordered
            if (j := k - n + len(size)) >= 0 and size[j] == shape[k] and (axes[j] or shape[k] == 1)
        ]
        result.append(best_told(known) if known else axis(POSITIONS, shape[k]))
    units = [k for k, each in enumerate(result) if has(each, UNITS)]
    for size, axes in ordered:
        theirs = [k + n - len(size) for k in of_units(axes)]
        if theirs and not units:
            for k in theirs:
                result[k] = axis(UNITS, shape[k])
            break
    first = ordered[0][1] if ordered and tuple(ordered[0][0]) == shape else ()
    if first and (own := of_units(first)):
        for k in set(units) - set(own):
            result[k] = axis(POSITIONS, shape[k])
    return tuple(result)


def chosen(old: Axis, index: slice | Tensor) -> Axis:
    """Return an axis after some of its entries were taken: by a slice or a tensor of numbers."""
    size = prod(factor.size for factor in old)
    if isinstance(index, slice):
        start, stop, step = index.indices(size)
        n = len(range(start, stop, step))
        if n == size and step == 1:
            return old
        if len(old) == 1 and old[0].origin is None:
            factor = old[0]
            return (
                factor._replace(
                    size=n,
                    stride=factor.stride * step,
                    start=factor.start + start * factor.stride,
                ),
            )
        picked = torch.arange(start, stop, step)
    else:
        picked = index.reshape(-1)
    if has(old, UNITS):
        return axis(UNITS, picked.numel())
    if not is_told(old):
        return axis(POSITIONS, picked.numel())
    return by_origin(origins(old, picked.device)[:, picked.long()], old)


def by_origin(origin: Tensor, *olds: Axis) -> Axis:
    """Return an axis of entries that come from these inputs and tokens, chosen from older axes."""
    if any(has(old, INPUTS) or has(old, ROWS) for old in olds):
        n_offered = prod(offered(old) for old in olds)
        return (Factor(ROWS, origin.shape[1], origin=origin, n_offered=n_offered),)
    return tokens(origin[1])


def flipped(old: Axis) -> Axis:
    """Return an axis in the reverse order of its entries."""
    return tuple(
        f._replace(origin=f.origin.flip(1))
        if f.origin is not None
        else f._replace(stride=-f.stride, start=f.start + (f.size - 1) * f.stride)
        for f in old
    )


def tokens(numbers: Tensor) -> Axis:
    """Return an axis of tokens by their numbers, `NO_TOKEN` for what is none."""
    origin = torch.stack([torch.zeros_like(numbers), numbers])
    return (Factor(TOKENS, len(numbers), origin=origin),)


def offered(an_axis: Axis) -> int:
    """Return from how many entries an axis was chosen: its own where it was not."""
    return prod(f.n_offered or f.size for f in an_axis)


def placed(old: Axis, place: Place) -> Axis:
    """Return an axis that also tells of which input and token the whole tensor is."""
    single = [
        Factor(role, 1, start=number)
        for role, number in ((INPUTS, place.input), (TOKENS, place.token))
        if number is not None
    ]
    return (*single, *old)


def side_by_side(parts: Sequence[Axes], places: Sequence[Place]) -> tuple[Axes, Axis]:
    """Return the axes of tensors of one shape that were stacked, and the axis of the stack.

    This one tells what differs between them: one step from each to the next, or their places.
    Axes whose entries it cannot tell apart hold positions.
    """
    own = [placed((), place) for place in places]
    along = joined(own, [1] * len(parts)) if len(set(places)) > 1 else axis(POSITIONS, len(parts))
    result = list(parts[0])
    for k, first in enumerate(parts[0]):
        told = [origins(each[k]) for each in parts]
        steps = [each - told[0] for each in told]
        if not any(bool(step.any()) for step in steps):
            continue
        even = all(bool((step == step[:, :1]).all()) for step in steps)
        if even and not is_told(along) and not any(has(each[k], ROWS) for each in parts):
            origin = torch.cat([step[:, :1] for step in steps], dim=1)
            role = INPUTS if bool(origin[0].any()) else TOKENS
            along = (Factor(role, len(parts), origin=origin),)
        else:
            result[k] = axis(POSITIONS, length(first))
    return tuple(result), along


def length(an_axis: Axis) -> int:
    """Return how many entries an axis has."""
    return prod(factor.size for factor in an_axis)


def joined(parts: Sequence[Axis | None], sizes: Sequence[int]) -> Axis:
    """Return the axis along which tensors of these lengths were put one after the other."""
    size = sum(sizes)
    known = [part for part in parts if part is not None]
    if any(has(part, UNITS) for part in known):
        return axis(UNITS, size)
    if len(known) == len(parts) and any(has(p, INPUTS) or has(p, ROWS) for p in known):
        origin = torch.cat([origins(p) for p in known], dim=1)
        if not origin[1].any() and torch.equal(origin[0], torch.arange(size)):
            return axis(INPUTS, size)
        return (Factor(ROWS, size, origin=origin, n_offered=size),)
    if any(has(part, TOKENS) for part in known):
        numbers = [
            origins(part)[1]
            if part is not None and has(part, TOKENS)
            else torch.full((n,), NO_TOKEN)
            for part, n in zip(parts, sizes, strict=True)
        ]
        return tokens(torch.cat(numbers))
    return axis(POSITIONS, size)


def origins(an_axis: Axis, device: torch.device | None = None) -> Tensor:
    """Return the numbers of the input and of the token at each entry of an axis, shape (2, n).

    Both are parts of a sum over the axes of a tensor, 0 where an axis does not tell.
    """
    total = torch.zeros(2, 1, dtype=torch.int64, device=device)
    for factor in an_axis:
        part = torch.zeros(2, factor.size, dtype=torch.int64, device=device)
        if factor.origin is not None:
            part = factor.origin.to(total.device)
        elif factor.role in (INPUTS, TOKENS):
            steps = torch.arange(factor.size, device=device) * factor.stride + factor.start
            part[0 if factor.role == INPUTS else 1] = steps
        total = (total[:, :, None] + part[:, None]).reshape(2, -1)
    return total


def rows(
    output: Tensor, axes: Axes, mask: Tensor | None = None, place: Place = NOWHERE
) -> tuple[Tensor, Tensor]:
    """Return a layer's output as rows of its units, and where each row comes from.

    Parameters
    ----------
    output
        Any shape, with axes as in `axes`.
    axes
        The axes of the output.
    mask
        Shape (n_inputs, tokens): rows of tokens that are 0 in it are left out.
    place
        Of which input and token all of the output is.

    Returns
    -------
    rows : tensor, shape (n_rows, n_units)
    origin : tensor of int64, shape (2, n_rows)
        The number of the input and of the token of each row.
    """
    units = of_units(axes)
    rest = [k for k in range(len(axes)) if k not in units]
    moved = output.permute(*rest, *units).flatten(len(rest)) if units else output[..., None]
    moved = moved.reshape(-1, moved.shape[-1] if units else 1)
    origin = torch.tensor([[place.input or 0], [place.token or 0]])
    for k in rest:
        origin = (origin[:, :, None] + origins(axes[k]).cpu()[:, None]).reshape(2, -1)
    if mask is not None:
        keep = _counts(mask, origin)
        moved, origin = moved[keep.to(moved.device)], origin[:, keep]
    return moved, origin


def _counts(mask: Tensor, origin: Tensor) -> Tensor:
    """Return whether each row counts: its token does, or it is none."""
    token, n = origin[1], mask.shape[1]
    result: Tensor = mask[origin[0], token.clamp(0, n - 1)] != 0
    result &= (token >= 0) & (token < n)
    return result | (token < NO_TOKEN // 2)


def of_tokens(axes: Axes) -> bool:
    """Return whether an axis without units says which token each row is of."""
    return any(has(each, TOKENS) or has(each, ROWS) for each in axes if not has(each, UNITS))
