"""Networks for few time steps: activations with as many levels as a neuron can give spikes.

Quantisation-clip-floor-shift (Bu et al. 2022, ICLR, arXiv 2303.04347, eq. 11):

    h(z) = lambda clip(floor(L z / lambda + 1/2) / L, 0, 1)

An IF neuron that integrates z for T = L steps from half its threshold lambda, and subtracts lambda
with each spike, gives just that: T h(z) / lambda spikes. So a network that is trained on with these
activations (`convert.tuning`) serves few steps.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from math import inf
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from neurosparse._internal import checks
from neurosparse.convert import normalisation, tracing, translation
from neurosparse.convert.neurons import NeuronSpec
from neurosparse.convert.refusals import RefusalError
from neurosparse.convert.runs import as_inputs_of
from neurosparse.sparsify import copies
from neurosparse.sparsify.aside import aside


class QuantisedReLU(nn.Module):
    """A rectifier that is clipped at `ceiling` and takes `levels` steps from 0 to it.

    The ceiling is a parameter to be learned.

    The gradient goes straight through the rounding. Inside of the range it is 1 for the input and
    (h - z) / lambda for the ceiling. Above it is 0 and 1, below it 0 and 0.

    Parameters
    ----------
    levels
        L, the time steps that it is made for.
    ceiling
        The lambda at the start, > 0.

    Examples
    --------
    >>> QuantisedReLU(levels=4, ceiling=2.0)(torch.tensor([-1.0, 0.2, 0.3, 1.1, 9.0])).tolist()
    [0.0, 0.0, 0.5, 1.0, 2.0]
    """

    def __init__(self, levels: int, ceiling: float) -> None:
        super().__init__()
        self.levels = checks.whole("levels", levels)
        self.ceiling = nn.Parameter(torch.tensor(checks.positive("ceiling", ceiling)))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return h of the inputs, any shape."""
        position = (inputs / self.ceiling).clamp(0, 1) * self.levels
        rounded = (position + 0.5).floor()
        return (position + (rounded - position).detach()) * (self.ceiling / self.levels)

    def spike_balance(self, neuron: NeuronSpec) -> tuple[Tensor, float, Tensor]:
        """Return gain, offset and scale of neurons in this place.

        They are those of `LIFRate.spike_balance`, exact for IF without refractory period.
        """
        gain, offset = normalisation.balance(neuron)
        ceiling = self.ceiling.detach()
        return gain / ceiling, offset, ceiling / neuron.max_rate

    def extra_repr(self) -> str:
        """Return what `print` shows."""
        return f"levels={self.levels}, ceiling={self.ceiling.item():.4g}"


class ByMode(nn.Module):
    """A function of torch that takes other arguments in training, as dropout does.

    Parameters
    ----------
    function
        The function.
    in_training
        These arguments, by their names or their places.
    """

    def __init__(self, function: Callable[..., Any], in_training: Mapping[int | str, Any]) -> None:
        super().__init__()
        self.function, self.in_training = function, dict(in_training)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the function gives; the arguments are those of evaluation."""
        others = self.in_training if self.training else {}
        return self.function(
            *[others.get(k, arg) for k, arg in enumerate(args)],
            **{name: others.get(name, arg) for name, arg in kwargs.items()},
        )

    def extra_repr(self) -> str:
        """Return what `print` shows."""
        return (
            f"{getattr(self.function, '__name__', self.function)}, in training {self.in_training}"
        )


def quantise(
    model: nn.Module, calibration: object, levels: int, *, percentile: float = 99.9
) -> fx.GraphModule:
    """Return a copy of a model with a `QuantisedReLU` for every rectifier.

    Rectifiers are ReLU, ReLU6, Hardtanh and `clamp` from 0 on. The ceiling is taken from the
    activations on calibration inputs.

    `to_spiking` takes the copy. Its activations then give the scales, not the calibration inputs.

    Parameters
    ----------
    model
        Any module that torch.fx can trace; it is left as it is.
    calibration : tensor, array or ImageSet, shape (n, ...)
        Inputs.
    levels
        L of every activation: the time steps that the network is to run for.
    percentile
        In (0, 100]: the ceiling at the start is what this part of a layer's activations, zeros
        included, do not exceed.

    Raises
    ------
    ConversionError
        Where the model cannot be traced, or what was traced computes something else.
    ValueError
        Where there is no rectifier, or one that is never active on the calibration inputs, or where
        the model does not run on them.
    TypeError
        Where the calibration inputs are no numbers, or `model` is no module.

    Warns
    -----
    UserWarning
        Where the model runs other layers in training than in evaluation, so that the copy does not.
        Dropout as a function goes on as it is.
    """
    checks.whole("levels", levels)
    if not 0 < checks.number("percentile", percentile) <= 100:
        raise ValueError(f"percentile must lie in (0, 100], got {percentile}")
    own = copies.copied(model).eval()
    samples = as_inputs_of(own, calibration, "calibration")
    with aside(own):
        torch.manual_seed(0)
        expected = tracing.outputs_of(own, samples)
        traced = tracing.traced(own, samples[: tracing.CHECKED])
    found = {node: _ceiling(node, traced) for node in traced.graph.nodes}
    places = {node: ceiling for node, ceiling in found.items() if ceiling is not None}
    if not places:
        raise ValueError(
            f"{type(model).__name__} has no rectifier to quantise: nn.ReLU, torch.relu,"
            " functional.relu, ReLU6, or clamp from 0 on"
        )
    if not _keeps_modes(traced, model, samples[: tracing.CHECKED]):
        warnings.warn(
            f"{type(model).__name__} runs other layers in training than in evaluation"
            " (self.training): the copy runs those of evaluation in both",
            stacklevel=2,
        )
    rectifiers = {
        _put(traced, node, "quantised", nn.ReLU() if ceiling == inf else nn.Hardtanh(0, ceiling)): (
            node.name
        )
        for node, ceiling in places.items()
    }
    traced.delete_all_unused_submodules()
    traced.recompile()
    tops = _Tops(traced.eval(), list(rectifiers), percentile)
    with aside(traced):
        torch.manual_seed(0)
        outputs = tops.run(samples.clone())
    for one, other in zip(*map(pytree.tree_leaves, (expected, outputs)), strict=True):
        if isinstance(one, Tensor) and one.is_floating_point() and one.numel():
            tracing.check_alike(model, one, other)
    for name, node_name in rectifiers.items():
        if tops.found[name] <= 0:
            raise ValueError(
                f"rectifier {node_name!r} is too seldom active on the calibration inputs for a"
                " ceiling: give others, or a higher percentile"
            )
        setattr(traced, name, QuantisedReLU(levels, tops.found[name]))
    return traced.eval()


def _ceiling(node: fx.Node, traced: fx.GraphModule) -> float | None:
    """Return the most that a rectifier puts out, infinite without a ceiling; None for others."""
    if not node.op.startswith("call_") or len(node.all_input_nodes) != 1:
        return None
    target: Any = getattr(node.target, "__name__", str(node.target))
    if node.op == "call_module":
        target = traced.get_submodule(str(node.target))
    rest = [arg for arg in node.args if not isinstance(arg, fx.Node)]
    try:
        return translation.rectified_to(target, rest, node.kwargs)
    except RefusalError:  # a clamp, as others
        return None


def _keeps_modes(traced: fx.GraphModule, model: nn.Module, samples: Tensor) -> bool:
    """Let functions take other arguments in training where the model's do.

    Return whether these are all that is other in training.
    """
    own = copies.copied(model).train()
    try:
        with aside(own):
            in_training = tracing.traced(own, samples).graph.nodes
    except tracing.ConversionError:
        return False
    nodes = list(traced.graph.nodes)
    if len(nodes) != len(in_training):
        return False
    others = dict[fx.Node, dict[int | str, Any]]()
    for node, other in zip(nodes, in_training, strict=True):
        here, there = _given(node), _given(other)
        if (node.op, node.name, here.keys()) != (other.op, other.name, there.keys()):
            return False
        if changed := {key: there[key] for key in here if here[key] != there[key]}:
            others[node] = changed
            values = [*changed.values(), *(here[key] for key in changed)]
            if node.op != "call_function" or pytree.tree_any(_is_output, values):
                return False
    for node, changed in others.items():
        assert callable(node.target)
        _put(traced, node, "by_mode", ByMode(node.target, changed), whole=True)
    return True


@dataclass(frozen=True, slots=True)
class _Output:
    """Output of another call."""

    name: str


def _is_output(value: object) -> bool:
    return isinstance(value, _Output)


def _given(node: fx.Node) -> dict[int | str, Any]:
    """Return the arguments of a call by their places and names."""
    named: Any = lambda other: _Output(other.name)  # noqa: E731
    args: Any = fx.node.map_arg(node.args, named)
    kwargs: Any = fx.node.map_arg(node.kwargs, named)
    return {**dict[int | str, Any](enumerate(args)), **kwargs}


def _put(
    traced: fx.GraphModule, node: fx.Node, kind: str, module: nn.Module, *, whole: bool = False
) -> str:
    """Put a module in the place of a call, and return its name.

    It takes all arguments, or the one tensor.
    """
    name = next(f"{kind}{k}" for k in count(1) if not hasattr(traced, f"{kind}{k}"))
    traced.add_submodule(name, module)
    args, kwargs = (node.args, node.kwargs) if whole else ((node.all_input_nodes[0],), {})
    with traced.graph.inserting_before(node):
        node.replace_all_uses_with(traced.graph.call_module(name, args, kwargs))
    traced.graph.erase_node(node)
    return name


class _Tops(fx.Interpreter):
    """Runs a traced model and keeps a percentile of what some of its modules put out."""

    def __init__(self, traced: fx.GraphModule, places: list[str], percentile: float) -> None:
        super().__init__(traced)
        self.places, self.share = places, percentile / 100
        self.found: dict[str, float] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n.target in self.places:
            flat = value.flatten()
            self.found[str(n.target)] = float(
                flat.kthvalue(max(1, round(self.share * flat.numel()))).values
            )
        return value
