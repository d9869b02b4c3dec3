"""Calls of functions of torch, and what a rule about their outputs may ask of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

from torch import Tensor

from neurosparse._internal.types import Fields, Foreign
from neurosparse.probe import axes as ax
from neurosparse.probe.tensors import tensors_in

# functions that put tensors side by side
JOINS = frozenset({"cat", "concat", "concatenate", "stack"})
WEIGHTS = "weights"  # the role of axes of weights that the data looked up, a set for each row

Answer: TypeAlias = "ax.Axes | list[ax.Axes | None] | None"  # None: unknown


class Tags(Protocol):
    """Facts that a rule may ask for."""

    n_inputs: int
    n_tokens: int | None
    columns: tuple[range, ...]
    trainable: set[int]
    last_taken: int | None

    def __getitem__(self, tensor: Tensor) -> Any: ...


class Call:
    """A call of a function of torch; `tensors` are those among its arguments, in their order."""

    def __init__(
        self, kind: str, function: Foreign, args: Sequence[Foreign], kwargs: Fields, tags: Tags
    ) -> None:
        self.kind, self.function, self.args, self.kwargs = kind, function, args, kwargs
        self.tensors = tensors_in((args, kwargs.values()))
        self.tags = tags

    def argument(self, k: int, name: str, default: Any = None) -> Any:
        """Return the argument at a position or under a name."""
        return self.args[k] if len(self.args) > k else self.kwargs.get(name, default)

    @property
    def first(self) -> Tensor:
        """The first tensor among the arguments."""
        head = self.args[0] if self.args else next(iter(self.kwargs.values()))
        return head if isinstance(head, Tensor) else self.tensors[0]

    def axes(self, tensor: object) -> ax.Axes | None:
        """Return what the axes of a tensor hold, if it depends on the inputs."""
        if not isinstance(tensor, Tensor):
            return None
        tag = self.tags[tensor]
        return tag.axes if tag.live or tag.axes else None


Rule: TypeAlias = Callable[[Call, Sequence[Tensor]], Answer]


def by_shape(call: Call, output: Tensor) -> ax.Axes | None:
    """Return the axes of an output from shapes alone, None where they do not tell."""
    shape = tuple(output.shape)
    operands = [(tuple(t.shape), a) for t in call.tensors if (a := call.axes(t)) is not None]
    if not operands:
        return None
    if (found := ax.broadcast(operands, shape)) is not None:
        return found
    for size, axes in operands:
        if len(size) == len(shape):
            return tuple(
                old if n == m else ax.resized(old, n)
                for old, m, n in zip(axes, size, shape, strict=True)
            )
    return None


def of_axis(value: int | Sequence[int], k: int) -> int:
    """Return a setting of a window for one of its axes, where one number is that of all."""
    return value if isinstance(value, int) else value[k % len(value)]


def without_units(an_axis: ax.Axis) -> ax.Axis:
    """Return an axis whose units are no longer those of the output: they are positions."""
    if not ax.has(an_axis, ax.UNITS):
        return an_axis
    return tuple(f._replace(role=ax.POSITIONS) if f.role == ax.UNITS else f for f in an_axis)


def guessed_axis(call: Call, k: int, size: int) -> ax.Axis:
    """Return what an axis of a new tensor holds: the first one inputs, if its length says so."""
    n = call.tags.n_inputs
    if k or not n or size % n:
        return ax.axis(ax.POSITIONS, size)
    rest = size // n
    role = ax.TOKENS if rest == call.tags.n_tokens else ax.POSITIONS
    return (ax.Factor(ax.INPUTS, n), *([ax.Factor(role, rest)] if rest > 1 else []))
