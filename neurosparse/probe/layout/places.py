"""Inputs and tokens that a tensor is of without an axis of them, as x[:, 3] is of one token."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from neurosparse.probe import axes as ax
from neurosparse.probe.axes import NOWHERE, Place
from neurosparse.probe.layout.calls import JOINS, Call


def places_of_output(call: Call, outputs: Sequence[Tensor], known: set[Place]) -> list[Place]:
    """Return of which input and token each output is, where its axes do not tell.

    `known` are the places of what went in.
    """
    try:
        return _found(call, outputs, known)
    except (IndexError, StopIteration, TypeError, KeyError):
        return [NOWHERE] * len(outputs)


def _found(call: Call, outputs: Sequence[Tensor], known: set[Place]) -> list[Place]:
    if len(known) == 1:
        (found,) = known
    else:
        found = NOWHERE if _axes_tell(call, outputs[0]) else _merged(known, call.tags.last_taken)
    if call.kind in ("getitem", "select"):
        before, found = found, _taken(call, found)
        if found.token is not None and found != before:
            call.tags.last_taken = found.token
    elif call.kind in ("unbind", "iter"):
        axes = call.axes(call.first)
        if axes is not None:
            call.tags.last_taken = None
            gone = axes[call.argument(1, "dim", 0) if call.kind == "unbind" else 0]
            return [_at(gone, k, found) for k in range(len(outputs))]
    return [found] * len(outputs)


def _axes_tell(call: Call, output: Tensor) -> bool:
    """Return whether tensors were put side by side along an axis that tells which is which."""
    if call.kind not in JOINS:
        return False
    dim = call.argument(1, "dim", call.kwargs.get("axis", 0)) % output.ndim
    parts = [axes for t in call.tensors if (axes := call.axes(t)) is not None]
    return call.kind == "stack" or not any(ax.has(axes[dim], ax.UNITS) for axes in parts)


def _merged(known: set[Place], last: int | None) -> Place:
    """Return the place of what is made of several, none where they are of different inputs.

    A step of a recurrent layer is made of its token, the one taken last, and of a state, which is
    of a token taken before.
    """
    inputs = {place.input for place in known if place.input is not None}
    tokens = {place.token for place in known if place.token is not None}
    token = last if last in tokens else max(tokens, default=None)
    return Place(inputs.pop() if len(inputs) == 1 else None, token)


def _taken(call: Call, found: Place) -> Place:
    """Return the place of what numbers take out of a tensor."""
    axes = call.axes(call.args[0])
    if axes is None:
        return found
    if call.kind == "select":
        return _at(axes[call.argument(1, "dim")], int(call.argument(2, "index")), found)
    index = call.args[1]
    items = list(index) if isinstance(index, tuple) else [index]
    k = 0
    for n, item in enumerate(items):
        if item is Ellipsis:
            k = len(axes) - sum(_width(each) for each in items[n + 1 :])
        elif _is_number(item):
            found = _at(axes[k], int(item), found)
            k += 1
        else:
            k += _width(item)
    return found


def _is_number(item: object) -> bool:
    if isinstance(item, Tensor):
        return item.ndim == 0 and not item.is_floating_point() and not ax.is_truth(item)
    return isinstance(item, int) and not isinstance(item, bool)


def _width(item: object) -> int:
    """Return how many axes an entry of an index takes up."""
    if isinstance(item, Tensor) and ax.is_truth(item):
        return item.ndim
    return 0 if item is None else 1


def _at(an_axis: ax.Axis, k: int, found: Place) -> Place:
    """Return the place of the entry k of an axis."""
    if not ax.is_told(an_axis):
        return found
    number, token = ax.origins(an_axis)[:, k].tolist()
    has_rows = ax.has(an_axis, ax.ROWS)
    return Place(
        number if has_rows or ax.has(an_axis, ax.INPUTS) else found.input,
        token if has_rows or ax.has(an_axis, ax.TOKENS) else found.token,
    )
