"""From a torch module to the graph of its layers, by torch.fx.

What cannot be converted is refused with a list.

`convert.translation` says what can be. Batch normalisation goes into the weights before it.
"""

from __future__ import annotations

import operator
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import Any

import torch
from torch import Tensor, fx, nn

from neurosparse._internal.names import in_words
from neurosparse.convert import translation
from neurosparse.convert.graph import Add, Conv, Graph, Input, Layer, Linear, Part, Shape
from neurosparse.convert.refusals import RefusalError
from neurosparse.probe.record import NON_LINEARITIES
from neurosparse.rectifier.network import RectifierNetwork, folded
from neurosparse.sparsify import copies

# functions and methods that give a tensor in parts
SPLITTING = (torch.chunk, torch.split, torch.tensor_split, "chunk", "split", "tensor_split")
CHECKED = 8  # inputs on which the graph must agree with the model
TOLERANCE = 1e-3  # of the largest output; rounding in float32 stays far below that


@dataclass(frozen=True, slots=True)
class Problem:
    """A layer that cannot be converted, why, and what to do."""

    layer: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.layer}: {self.reason}; {self.remedy}"


class ConversionError(ValueError):
    """A model cannot be converted; `problems` lists the layers, the reasons and what to do."""

    def __init__(self, model: nn.Module, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in problems]
        text = lines[0] if len(lines) == 1 else "".join(f"\n  {line}" for line in lines)
        super().__init__(f"cannot convert {type(model).__name__}: {text}")


def trace(model: nn.Module, samples: Tensor) -> Graph:
    """Return the graph that computes what `model` computes in evaluation mode.

    Parameters
    ----------
    model
        It is left as it is: its parameters, its buffers, the mode of each of its modules.
    samples : tensor, shape (n, *input shape)
        Inputs, for the shapes; on the first few, the graph is compared with the model.

    Raises
    ------
    ConversionError
        With every layer that cannot be converted.
    ValueError
        Where the model does not run on the samples.

    Examples
    --------
    >>> graph = trace(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2)), torch.rand(5, 4))
    >>> [layer.name for layer in graph.layers]
    ['input', '0', '2', '3']
    """  # noqa: E501
    if isinstance(model, RectifierNetwork) and model.spec.mirrored:
        model = folded(model)
    own = copies.in_single_precision(copies.copied(model)).eval()
    few = copies.in_single_precision(samples)
    few = few[:CHECKED].to(next(own.parameters(), samples))
    few = (
        few.repeat(2, *[1] * (few.ndim - 1)) if len(few) == 1 else few
    )  # so that the batch is not taken for an axis of 1
    expected = outputs_of(own, few)
    layers, problems = _translated(_nodes(own, few), tuple(few.shape))
    if problems:
        raise ConversionError(model, problems)
    if not isinstance(expected, Tensor):
        raise ConversionError(
            model,
            [
                Problem(
                    "the output",
                    f"it is a {type(expected).__name__}",
                    "let the model return one tensor",
                )
            ],
        )
    graph = fused(layers).to(few.device, few.dtype)
    if not graph.spikes:
        raise ConversionError(
            model,
            [Problem("the whole", "it has no rectifier", "there is nothing that could spike")],
        )
    check_alike(model, expected, graph(few))
    return graph


def check_alike(model: nn.Module, expected: Tensor, found: Tensor) -> None:
    """Refuse a model that gives other outputs than what was traced with a ConversionError."""
    difference = float((found - expected).abs().max())
    if not difference <= TOLERANCE * max(1e-3, float(expected.abs().max())):
        reason = f"what was traced gives other outputs, by up to {difference:.3g}"
        remedy = (
            "change no value in place that is used again, and let no output depend on chance or on"
            " the rest of the batch"
        )
        raise ConversionError(model, [Problem("the whole", reason, remedy)])


def outputs_of(own: nn.Module, few: Tensor) -> Any:
    """Return what a model puts out; a ValueError in one sentence where it does not run."""
    with running_on(own, few), torch.no_grad():
        return own(few.clone())  # a rectifier may work in place


@contextmanager
def running_on(own: nn.Module, inputs: Tensor) -> Iterator[None]:
    """Make a ValueError in one sentence of whatever a model raises in this block."""
    try:
        yield
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        name, shape = type(own).__name__, ", ".join(["n", *map(str, inputs.shape[1:])])
        raise ValueError(
            f"{name} does not run on inputs of shape ({shape}): with n = {len(inputs)},"
            f" {in_words(error)}"
        ) from error


_CALL, _GETATTR = nn.Module.__call__, nn.Module.__getattr__


@contextmanager
def _untraced() -> Iterator[None]:
    """Let modules compute while a model is traced, when their calls would be traced too."""
    patched = nn.Module.__call__, nn.Module.__getattr__
    nn.Module.__call__, nn.Module.__getattr__ = _CALL, _GETATTR  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.__call__, nn.Module.__getattr__ = patched  # type: ignore[method-assign]


class _Tracer(fx.Tracer):
    """A tracer that enters every module but torch's own, some kinds, and what has own neurons."""

    def __init__(self, few: Tensor, kinds: tuple[type[nn.Module], ...]) -> None:
        super().__init__()
        self.few, self.kinds = few, kinds

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Say what a condition on shapes is for these inputs; others cannot be traced."""
        if not _of_shapes(obj.node):
            return super().to_bool(obj)
        graph, copied = fx.Graph(), dict[fx.Node, fx.Node]()
        graph.graph_copy(self.graph, copied)
        graph.output(copied[obj.node])
        with _untraced(), torch.no_grad():
            return bool(fx.GraphModule(self.root, graph)(self.few.clone()))

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        special = isinstance(m, self.kinds) or hasattr(m, "spike_balance")
        return special or super().is_leaf_module(m, module_qualified_name)


def _of_shapes(node: fx.Node) -> bool:
    """Say whether a value depends on the shapes of tensors, not on what is in them."""
    if node.op == "call_method" and node.target in ("size", "dim", "numel", "ndimension"):
        return True
    if node.target is getattr and node.args[1] in ("shape", "ndim", "dtype"):
        return True
    return bool(node.all_input_nodes) and all(map(_of_shapes, node.all_input_nodes))


def _along_channels(node: fx.Node) -> bool:
    """Say whether a call has split a tensor into parts along its axis of channels."""
    whole, parts = node.all_input_nodes[0].meta["shape"], node.meta["parts"]
    others = {(part[0], *part[2:]) for part in parts} == {(whole[0], *whole[2:])}
    return others and sum(part[1] for part in parts) == whole[1]


class _Interpreter(fx.Interpreter):
    """Runs the traced model; notes the shape of each tensor, and each value that is none."""

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        several = isinstance(result, tuple | list) and any(
            isinstance(part, Tensor) for part in result
        )
        inputs = n.all_input_nodes
        if isinstance(result, Tensor):
            n.meta["shape"] = tuple(result.shape)
            known = all("constant" in i.meta or "value" in i.meta for i in inputs)
            if n.op == "get_attr" or (inputs and known):
                n.meta["constant"] = result
        elif several and n.target in SPLITTING:
            n.meta["parts"] = [tuple(part.shape) for part in result]
        elif not several:
            n.meta["value"] = result
        return result


def traced(own: nn.Module, few: Tensor, kinds: tuple[type[nn.Module], ...] = ()) -> fx.GraphModule:
    """Return a module as torch.fx traces it.

    Parameters
    ----------
    own
        The module, in its mode.
    few
        Inputs, for the conditions on shapes.
    kinds
        Modules that are not entered, besides torch's own and those that bring their own neurons.

    Raises
    ------
    ConversionError
        Where it cannot be traced.
    """
    tracer = _Tracer(few, kinds)
    root = nn.Sequential(own) if tracer.is_leaf_module(own, "") else own
    with _refusing(own):
        return fx.GraphModule(root, tracer.trace(root), type(own).__name__)


@contextmanager
def _refusing(own: nn.Module) -> Iterator[None]:
    """Make a ConversionError of what a model's own code raises on proxies: it may be anything."""
    try:
        yield
    except Exception as error:
        message = (str(error) or type(error).__name__).splitlines()[0]
        remedy = "let no branch, loop or number in it depend on the values of a tensor"
        raise ConversionError(
            own, [Problem("its forward pass", f"torch.fx cannot trace it ({message})", remedy)]
        ) from None


def _nodes(own: nn.Module, few: Tensor) -> list[fx.Node]:
    """Return the calls of a model as torch.fx finds them.

    Each has its module, if it is one, and what the interpreter notes.
    """
    module = traced(own, few, NON_LINEARITIES)
    with _refusing(own), torch.no_grad():
        _Interpreter(module).run(few.clone())
    for node in module.graph.nodes:
        node.meta["module"] = (
            module.get_submodule(node.target) if node.op == "call_module" else None
        )
    return list(module.graph.nodes)


def _translated(nodes: list[fx.Node], shape: Shape) -> tuple[list[Layer], list[Problem]]:
    """Return the layers of traced calls, for inputs of a shape.

    Also what cannot be translated, less what only depends on that.
    """
    layers: dict[str, Layer] = {"input": Input(name="input", inputs=(), shape=shape[1:])}
    problems: list[Problem] = []
    # what gives each tensor; None: it was refused
    results: dict[fx.Node, Layer | None] = {nodes[0]: layers["input"]}
    for node in nodes[1:]:
        tensors = [n for n in node.all_input_nodes if not n.meta.keys() & {"value", "constant"}]
        if node.op == "output":
            last = results.get(node.args[0])  # type: ignore[arg-type]
            return _reached(layers, last) if last else [], problems
        if node.meta.keys() & {"value", "constant"}:
            continue
        if "parts" in node.meta and len(tensors) == 1 and _along_channels(node):
            results[node] = results[tensors[0]]  # what takes one of the parts is a layer
            continue
        results[node] = None
        if None in (before := [results[n] for n in tensors]):
            continue
        name = _unused(str(node.target) if node.op == "call_module" else node.name, layers)
        try:
            found = _layers_of(node, name, results, shape[0])
        except RefusalError as refusal:
            problems.append(Problem(name, refusal.reason, refusal.remedy))
            # go on, so that whatever else cannot be converted is listed too
            if "shape" in node.meta:
                layers[name] = results[node] = Layer(
                    name=name, inputs=(), shape=node.meta["shape"][1:]
                )
        else:
            layers.update((layer.name, layer) for layer in found)
            results[node] = found[-1] if found else before[0]
    raise RuntimeError("torch.fx gave a graph without an output")


def _layers_of(
    node: fx.Node, name: str, results: dict[fx.Node, Layer | None], n_samples: int
) -> Sequence[Layer]:
    """Return the layers that stand for a call."""

    def value(n: fx.Node) -> Any:
        known = n.meta.keys() & {"value", "constant"}
        return n.meta[known.pop()] if known else results[n]

    if node.op == "placeholder":
        raise RefusalError("it is a second input", "let the model take one tensor")
    shape = node.meta.get("shape", ())
    if node.target is operator.getitem and "parts" in (whole := node.all_input_nodes[0]).meta:
        before, (_, number) = results[whole], node.args
        channels = [part[1] for part in whole.meta["parts"]]
        if before is not None and isinstance(number, int):
            start = sum(channels[: number % len(channels)])
            return [Part(name=name, inputs=(before.name,), shape=shape[1:], start=start)]
    module = node.meta["module"]
    target = module if module is not None else getattr(node.target, "__name__", str(node.target))
    found = translation.layers(
        name,
        target,
        fx.node.map_arg(node.args, value),
        fx.node.map_arg(node.kwargs, value),
        shape[1:],
    )
    if shape[:1] != (n_samples,):
        raise RefusalError("it mixes the samples of a batch", "keep the first axis for the samples")
    return found


def _unused(name: str, taken: Container[str]) -> str:
    """Return the name, or name#2, name#3 ... for a module that is called again."""
    return next(n for n in chain([name], (f"{name}#{k}" for k in count(2))) if n not in taken)


def _reached(layers: dict[str, Layer], last: Layer) -> list[Layer]:
    """Return the layers that the last one needs, in their order."""
    needed = {last.name, "input"}
    for layer in reversed(layers.values()):
        if layer.name in needed:
            needed.update(layer.inputs)
    kept = [layer for layer in layers.values() if layer.name in needed and layer is not last]
    return [*kept, last]


def fused(layers: Sequence[Layer]) -> Graph:
    """Return the graph with one-to-one maps put into the layers before them.

    A layer with weights that only such a map follows holds it: batch normalisation, a factor.
    """
    graph = Graph(tuple(layers))
    for name in [layer.name for layer in layers]:
        add = graph[name]
        if isinstance(add, Add) and len(add.inputs) == 1:
            before = graph[add.inputs[0]]
            alone = len(graph.consumers(before.name)) == 1
            if isinstance(before, Linear | Conv) and alone and translation.channelwise(before, add):
                graph = _without(graph, add, translation.scaled(before, add))
    return graph


def _without(graph: Graph, add: Add, fused: Layer) -> Graph:
    """Return the graph without `add`, whose output `fused` now gives.

    `fused` is in the place of its namesake.
    """

    def renamed(layer: Layer) -> Layer:
        return replace(
            layer, inputs=tuple(fused.name if name == add.name else name for name in layer.inputs)
        )

    kept = (
        fused if layer.name == fused.name else layer
        for layer in graph.layers
        if layer.name != add.name
    )
    return Graph(tuple(renamed(layer) for layer in kept))
