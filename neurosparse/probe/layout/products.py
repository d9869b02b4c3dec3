"""Layouts of products of matrices: sums over the letters that two operands share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from neurosparse.probe import axes as ax
from neurosparse.probe.layout.calls import WEIGHTS, Answer, Call, without_units


def matmul(call: Call, outputs: Sequence[Tensor]) -> Answer:
    a, b = [t for t in call.tensors if t.ndim][-2:]
    if call.kind == "rmatmul":
        a, b = b, a
    n_batch = max(a.ndim, b.ndim, 2) - 2
    batch = list(range(n_batch))
    left = [*batch[n_batch - max(a.ndim - 2, 0) :], *(["m"] if a.ndim > 1 else []), "k"]
    right = [*batch[n_batch - max(b.ndim - 2, 0) :], "k", *(["n"] if b.ndim > 1 else [])]
    out = [*batch, *(["m"] if a.ndim > 1 else []), *(["n"] if b.ndim > 1 else [])]
    return _contracted(call, [(left, a), (right, b)], out, outputs[0])


def einsum(call: Call, outputs: Sequence[Tensor]) -> Answer:
    equation = call.args[0]
    operands = call.args[1] if isinstance(call.args[1], list | tuple) else call.args[1:]
    if not isinstance(equation, str):
        return None
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow:
        letters = sorted(set(left.replace(",", "").replace(".", "")))
        right = ("..." if "..." in left else "") + "".join(c for c in letters if left.count(c) == 1)
    n_dots = max(t.ndim - len(s.replace("...", "")) for s, t in zip(terms, operands, strict=True))
    result = []
    for term, tensor in zip(terms, operands, strict=True):
        dots = tensor.ndim - len(term.replace("...", ""))
        result.append((_spelled(term, n_dots, dots), tensor))
    return _contracted(call, result, _spelled(right, n_dots, n_dots), outputs[0])


def _spelled(term: str, n_dots: int, dots: int) -> list[Any]:
    before, ellipsis, after = term.partition("...")
    return [*before, *(range(n_dots - dots, n_dots) if ellipsis else []), *after]


def _contracted(
    call: Call, terms: Sequence[tuple[list[Any], Tensor]], out: list[Any], output: Tensor
) -> ax.Axes | None:
    """Return the axes of a sum of products over the letters that the output lacks."""
    flowing: list[tuple[list[Any], ax.Axes]] = []
    weights: list[tuple[list[Any], Tensor]] = []
    for letters, tensor in terms:
        axes = call.axes(tensor) if call.tags[tensor].live else None
        if axes is None or any(ax.has(each, WEIGHTS) for each in axes):
            weights.append((letters, tensor))
        if axes is not None:
            flowing.append((letters, axes))
    if not flowing or len(out) != output.ndim:
        return None
    of_letter: dict[Any, ax.Axis] = {}
    for letters, axes in flowing:
        for letter, each in zip(letters, axes, strict=True):
            if not of_letter.get(letter):
                of_letter[letter] = each
    result = [
        of_letter.get(letter) or ax.axis(ax.POSITIONS, n)
        for letter, n in zip(out, output.shape, strict=True)
    ]
    data = [pair for pair in flowing if not any(ax.has(each, WEIGHTS) for each in pair[1])]
    own = {letter for letters, _ in data for letter in letters}
    new = [k for k, c in enumerate(out) if c not in own and any(c in w for w, _ in weights)]
    lost = any(
        ax.has(each, ax.UNITS)
        for letters, axes in data
        for letter, each in zip(letters, axes, strict=True)
        if letter not in out
    )
    kept = any(ax.has(each, ax.UNITS) for each in result)
    if lost and kept and not new:  # weights that the data made
        return tuple(result)
    if not data or lost or not kept:
        units = new or [len(out) - 1]
    elif new and new[-1] == len(out) - 1 and any(_is_trained(call, t) for _, t in weights):
        units = new
    else:
        return tuple(result)
    grouped = lost and bool(new)  # features in groups, each with weights of its own
    for k, each in enumerate(result):
        shared = any(out[k] in letters for letters, _ in weights)
        own_weights = shared and all(f.role == ax.POSITIONS for f in each)
        trained = any(out[k] in letters and _is_trained(call, t) for letters, t in weights)
        if k in units or (new and own_weights and trained and output.shape[k] > 1):
            result[k] = ax.axis(ax.UNITS, output.shape[k])
        elif not (grouped and shared):
            result[k] = without_units(each)
    return tuple(result)


def _is_trained(call: Call, tensor: Tensor) -> bool:
    base = tensor._base if tensor._base is not None else tensor
    return (
        id(tensor) in call.tags.trainable
        or id(base) in call.tags.trainable
        or (call.tags[tensor].source is not None)
    )
