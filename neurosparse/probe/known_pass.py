"""A pass of which all is known: its layers are counted by plain hooks on modules.

To follow every function of a model costs more than to count its layers. Where a pass that was
followed has shown that each layer is what one module puts out in one call, hooks on these modules
count the same. What the pass computes is read off the graph of its output, function by function.
So a pass that does anything else is seen.

A block that tells what its rectifier put out is asked instead of hooked, so that it stays on its
fast path. Whichever path it takes, it computes the same: in the graph it is one function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

from torch import Tensor, nn
from torch.autograd.graph import Node

from neurosparse.probe.flow import Key
from neurosparse.probe.originals import plain_name
from neurosparse.probe.recurrent import rows_of
from neurosparse.probe.telling import Listed, is_teller, tellers, telling
from neurosparse.probe.tensors import tensors_in

# of blocks that tell: what is last in the graph of each, and what its input came from
Blocks: TypeAlias = dict[Node, Node | None]


class KnownLayer(NamedTuple):
    """A layer as it was heard: the axis of its units, how many axes there are and how many units.

    `axis` counts from the end where it is negative.
    """

    key: Key
    axis: int
    n_axes: int
    n_units: int

    @classmethod
    def of(cls, key: Key, output: Tensor, axis: int) -> KnownLayer:
        """Return what is known of a layer from one of its outputs."""
        return cls(key, axis, output.ndim, output.shape[axis] if output.ndim else 1)


class KnownPass(NamedTuple):
    """The layers of a pass, in their order, the modules that put them out, and its functions.

    Where a block tells what its rectifier puts out, the block stands for the rectifier.
    `weights` has the names of the model's parameters, by their ids.
    """

    layers: tuple[KnownLayer, ...]
    modules: tuple[nn.Module, ...]
    functions: tuple[str, ...]
    weights: dict[int, str]

    @classmethod
    def of(
        cls, model: nn.Module, layers: Sequence[KnownLayer], output: object, blocks: Blocks
    ) -> KnownPass | None:
        """Return what a pass that was followed has shown; None where hooks would not count it.

        Parameters
        ----------
        model
            The model that was followed.
        layers
            Those that were heard.
        output
            What the model put out, with its graph.
        blocks
            As `blocks_noted` gives them.
        """
        modules = {plain_name(name): module for name, module in model.named_modules() if name}
        names = [layer.key.name for layer in layers]
        weights = {id(parameter): name for name, parameter in model.named_parameters()}
        functions = functions_of(output, blocks, weights)
        if not functions or len(set(names)) < len(names) or not modules.keys() >= set(names):
            return None
        blocks_of, places = tellers(model), (modules[name] for name in names)
        told = tuple(blocks_of.get(each, each) for each in places)
        return None if model in told else cls(tuple(layers), told, functions, weights)

    def is_like(self, other: KnownPass | None) -> bool:
        """Return whether another pass did the same, wherever in the code it was written."""
        return other is not None and self._anywhere == other._anywhere

    @property
    def _anywhere(self) -> KnownPass:
        layers = (layer._replace(key=layer.key.anywhere) for layer in self.layers)
        return self._replace(layers=tuple(layers))


class PlainLook:
    """A pass that is counted by hooks on the modules of a known one.

    Attributes
    ----------
    fired : list of KnownLayer
        The layers that were put out so far.
    """

    def __init__(
        self,
        known: KnownPass,
        count: Callable[[Key, Tensor, int], object],
        count_list: Callable[[Key, Listed, int], object],
    ) -> None:
        self.known, self.fired = known, list[KnownLayer]()
        self._count, self._count_list = count, count_list

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Hand each layer's key, output and axis of units to `count` in this block.

        What is a list goes to `count_list`, with the number of inputs.
        """
        handles = [
            module.register_forward_hook(self._hook(layer))
            for layer, module in zip(self.known.layers, self.known.modules, strict=True)
        ]
        try:
            with telling(self.known.modules):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, layer: KnownLayer) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, _args: object, output: object) -> None:
            output = rows_of(output)
            if not isinstance(output, Tensor) or output.ndim != layer.n_axes:
                return
            hidden: Tensor | Listed | None = output
            if is_teller(module):
                hidden = module.hidden
            if isinstance(hidden, Tensor):
                hidden = hidden.view(*output.shape[:-1], -1) if hidden is not output else output
                self.fired.append(KnownLayer.of(layer.key, hidden, layer.axis))
                self._count(layer.key, hidden, layer.axis)
            elif hidden is not None:
                self.fired.append(layer._replace(n_units=hidden.n_units))
                self._count_list(layer.key, hidden, len(output))

        return hook

    def agrees(self, output: object, blocks: Blocks) -> bool:
        """Return whether the pass, whose output this is, did what is known of it."""
        known = self.known
        if tuple(self.fired) != known.layers:
            return False
        return functions_of(output, blocks, known.weights) == known.functions


@contextmanager
def blocks_noted(model: nn.Module) -> Iterator[Blocks]:
    """Note where the blocks that tell begin and end in the graphs of the passes in this block."""
    found: Blocks = {}

    def note(_block: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        if output.grad_fn is not None:
            found[output.grad_fn] = args[0].grad_fn

    told = [block for block in tellers(model).values() if block is not model]
    handles = [block.register_forward_hook(note) for block in told]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def functions_of(
    output: object,
    blocks: Mapping[Node, Node | None] | None = None,
    weights: Mapping[int, str] | None = None,
) -> tuple[str, ...]:
    """Return the names of all functions in the graph of what a model puts out.

    A block that tells is one function. Where the names of weights are given by their ids, each
    stands for itself, so that a pass through others of the same kind is another.

    Examples
    --------
    >>> import torch
    >>> functions_of(torch.ones(2, requires_grad=True).relu())
    ('ReluBackward0', 'torch::autograd::AccumulateGrad')
    """
    ahead = [tensor.grad_fn for tensor in tensors_in(output)]
    seen, names = set[Node](), list[str]()
    blocks, weights = blocks or {}, weights or {}
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        weight = getattr(node, "variable", None)
        names.append(weights.get(id(weight)) or ("block" if node in blocks else node.name()))
        if node in blocks:
            ahead.append(blocks[node])
        else:
            ahead.extend(before for before, _ in node.next_functions)
    return tuple(names)
