"""A pass of which all is known: its layers are counted by plain hooks on modules.

To follow every function of a model costs more than to count its layers. Where a pass that was
followed has shown that each layer is what one module puts out in one call, hooks on these modules
count the same. What the pass computes is read off the graph of its output, function by function.
So a pass that does anything else is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from torch import Tensor, nn
from torch.autograd.graph import Node

from neurosparse.probe.flow import tensors_in
from neurosparse.probe.originals import plain_name


class KnownLayer(NamedTuple):
    """A layer as it was heard: the axis of its units, how many axes there are and how many units.

    `axis` counts from the end where it is negative.
    """

    name: str
    axis: int
    n_axes: int
    n_units: int

    @classmethod
    def of(cls, name: str, output: Tensor, axis: int) -> KnownLayer:
        """Return what is known of a layer from one of its outputs."""
        return cls(name, axis, output.ndim, output.shape[axis] if output.ndim else 1)


class KnownPass(NamedTuple):
    """The layers of a pass, in their order, the modules that put them out, and its functions."""

    layers: tuple[KnownLayer, ...]
    modules: tuple[nn.Module, ...]
    functions: tuple[str, ...]

    @classmethod
    def of(cls, model: nn.Module, layers: Sequence[KnownLayer], output: object) -> KnownPass | None:
        """Return what a pass that was followed has shown; None where hooks would not count it.

        Parameters
        ----------
        model
            The model that was followed.
        layers
            Those that were heard.
        output
            What the model put out, with its graph.
        """
        modules = {plain_name(name): module for name, module in model.named_modules()}
        names = [layer.name for layer in layers]
        functions = functions_of(output)
        if not functions or len(set(names)) < len(names) or not modules.keys() >= set(names):
            return None
        return cls(tuple(layers), tuple(modules[name] for name in names), functions)


class PlainLook:
    """A pass that is counted by hooks on the modules of a known one.

    Attributes
    ----------
    fired : list of KnownLayer
        The layers that were put out so far.
    """

    def __init__(self, known: KnownPass, count: Callable[[str, Tensor, int], object]) -> None:
        self.known, self.fired = known, list[KnownLayer]()
        self._count = count

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Hand each layer's name, output and axis of units to `count` in this block."""
        handles = [
            module.register_forward_hook(self._hook(layer))
            for layer, module in zip(self.known.layers, self.known.modules, strict=True)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, layer: KnownLayer) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _args: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim == layer.n_axes:
                self.fired.append(KnownLayer.of(layer.name, output, layer.axis))
                self._count(layer.name, output, layer.axis)

        return hook

    def agrees(self, output: object) -> bool:
        """Return whether the pass, whose output this is, did what is known of it."""
        known = self.known
        return tuple(self.fired) == known.layers and functions_of(output) == known.functions


def functions_of(output: object) -> tuple[str, ...]:
    """Return the names of all functions in the graph of what a model puts out.

    Examples
    --------
    >>> import torch
    >>> functions_of(torch.ones(2, requires_grad=True).relu())
    ('ReluBackward0', 'torch::autograd::AccumulateGrad')
    """
    ahead = [tensor.grad_fn for tensor in tensors_in(output)]
    seen, names = set[Node](), list[str]()
    while ahead:
        node = ahead.pop()
        if node is not None and node not in seen:
            seen.add(node)
            names.append(node.name())
            ahead.extend(before for before, _ in node.next_functions)
    return tuple(names)
