"""Passes in training since the last penalty, and which of them it is to be of.

A pass belongs to the penalty if a loss can still go through it. Two things say that none can.
`backward()` has gone through it, and its graph is freed: a step for something else, such as that of
a generator, or an adversarial example. Or nobody holds what it put out, and another pass came
after it: it was run to be logged, or was skipped.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from neurosparse.probe.tensors import tensors_in


class _Held:
    """A thing that lives as long as the graph that it hangs on."""


class Pass:
    """A pass in training.

    Attributes
    ----------
    used
        `backward()` has gone through it, and has freed its graph.
    """

    def __init__(self) -> None:
        self.used = False
        self._held: weakref.ref[_Held] | None = None

    def put_out(self, output: object) -> None:
        """Note the outputs of the model, of which the graph of a loss holds on to one at least."""
        nodes = [t.grad_fn for t in tensors_in(output) if t.grad_fn is not None]
        held = _Held()
        self._held = weakref.ref(held) if nodes else None

        def noted(_gradients: Any, _held: _Held = held) -> None:
            self.used = self.used or not torch._C._autograd._get_current_graph_task_keep_graph()

        for node in nodes:
            node.register_prehook(noted)

    @property
    def is_held(self) -> bool:
        """True where anybody holds an output or a loss made of it, or where that is not known."""
        return self._held is None or self._held() is not None


Term = tuple[Pass, Tensor]  # the pass, and the mean magnitude that a call in it put out


def belonging(terms: Iterable[Term]) -> list[Pass]:
    """Return the passes to which the next penalty belongs, the oldest first.

    The newest that `backward()` has not gone through is one in any case. Those before it are if
    their outputs are held and their terms finite.
    """
    of_pass: dict[Pass, list[Tensor]] = {}
    for each, mean in terms:
        of_pass.setdefault(each, []).append(mean)
    unused = [each for each in of_pass if not each.used]
    return [
        each
        for each in unused
        if each is unused[-1] or (each.is_held and _are_finite(of_pass[each]))
    ]


def _are_finite(means: Sequence[Tensor]) -> bool:
    return all(bool(torch.isfinite(mean.detach())) for mean in means)
