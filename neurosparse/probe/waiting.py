"""A module that calls non-linearities and may be one itself: which it is, its output tells."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from neurosparse.probe.flow import NORMS, WEIGHTED, Flow, Key, Tag
from neurosparse.probe.layout import JOINS, KEEP_ELEMENTS, Call
from neurosparse.probe.tensors import tensors_in

# each element of their outputs is made of several
_MIX = frozenset({"softmax", "logsoftmax", "cumsum", "cumprod", "logcumsumexp", "sort", "topk"})


class Called(NamedTuple):
    """A non-linearity that was called: its name, its output, what is known of that, its key."""

    name: str
    output: Tensor
    tag: Tag
    key: Key


class Waiting:
    """The non-linearities that a module has called, until its own output is there.

    Where that is made of one of them element by element, as in a GELU by hand, the module is the
    layer. Otherwise, as where a product with weights follows, they are layers of their own.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self.called: list[Called] = []

    def add(self, called: Called, flow: Flow) -> None:
        """Keep a non-linearity, and mark its output."""
        flow[called.output] = called.tag.counted_as(called.key)._replace(within=self.place)
        self.called.append(called)

    def is_made_of_it(self, output: object, flow: Flow) -> bool:
        """Return whether a tensor is made of a non-linearity's output element by element."""
        if not isinstance(output, Tensor):
            return False
        tag = flow[output]
        if tag.axes is not None:
            return tag.within == self.place
        # of no function of torch, which nobody has followed
        return any(output.shape == called.output.shape for called in self.called)

    def keeps(self, call: Call, output: object, flow: Flow) -> bool:
        """Return whether a function's output is made of such an output element by element."""
        kind, made = call.kind, [t for t in call.tensors if self.is_made_of_it(t, flow)]
        if kind in JOINS:
            return all(any(t is m for m in made) or not flow[t].live for t in call.tensors)
        if kind in KEEP_ELEMENTS:
            return bool(made)
        mixes = kind in WEIGHTED or kind in NORMS or kind in _MIX or "pool" in kind
        first = next(iter(tensors_in(output)), None)
        return not mixes and any(first is not None and t.shape == first.shape for t in made)

    def save(self, target: object) -> None:
        """Copy the outputs that a function in place is about to change."""
        if isinstance(target, Tensor):
            at = target.untyped_storage().data_ptr()
            self.called = [
                each._replace(output=each.output.clone())
                if each.output.untyped_storage().data_ptr() == at
                else each
                for each in self.called
            ]
