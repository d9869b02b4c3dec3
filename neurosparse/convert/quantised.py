"""Networks for few time steps: activations with as many levels as a neuron can give spikes.

Quantisation-clip-floor-shift (Bu et al. 2022, ICLR, arXiv 2303.04347, eq. 11):

    h(z) = lambda clip(floor(L z / lambda + 1/2) / L, 0, 1)

An IF neuron that integrates z for T = L steps from half its threshold lambda, and subtracts lambda
with each spike, gives just that: T h(z) / lambda spikes. So a network that is trained on with these
activations (`convert.tuning`) serves few steps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from neurosparse._internal import checks
from neurosparse.convert import normalisation
from neurosparse.convert.neurons import NeuronSpec
from neurosparse.convert.runs import as_inputs_of
from neurosparse.sparsify import copies

_RELU_FUNCTIONS: tuple[Any, ...] = (torch.relu, torch.relu_, functional.relu, functional.relu_)
_RELU_METHODS = ("relu", "relu_")


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


def quantise(
    model: nn.Module, calibration: object, levels: int, *, percentile: float = 99.9
) -> fx.GraphModule:
    """Return a copy of a model with a `QuantisedReLU` for every rectifier.

    Its ceiling is taken from the activations on calibration inputs.

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
    ValueError
        Where there is no rectifier, or one that is never active on the calibration inputs.
    TypeError
        Where the calibration inputs are no numbers, or `model` is no module.
    """
    checks.whole("levels", levels)
    if not 0 < checks.number("percentile", percentile) <= 100:
        raise ValueError(f"percentile must lie in (0, 100], got {percentile}")
    own = copies.copied(model).eval()
    samples = as_inputs_of(own, calibration, "calibration")
    traced = fx.symbolic_trace(own)
    places = [node for node in traced.graph.nodes if _is_relu(node, traced)]
    if not places:
        raise ValueError(
            f"{type(model).__name__} has no rectifier to quantise: nn.ReLU, torch.relu or"
            " functional.relu"
        )
    tops = _Tops(traced, places, percentile)
    with torch.no_grad():
        tops.run(samples)
    for k, node in enumerate(places):
        if tops.found[node.name] <= 0:
            raise ValueError(
                f"rectifier {node.name!r} is too seldom active on the calibration inputs for a"
                " ceiling: give others, or a higher percentile"
            )
        name = f"quantised{k + 1}"
        traced.add_submodule(name, QuantisedReLU(levels, tops.found[node.name]))
        with traced.graph.inserting_before(node):
            node.replace_all_uses_with(traced.graph.call_module(name, (node.args[0],)))
        traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def _is_relu(node: fx.Node, traced: fx.GraphModule) -> bool:
    if node.op == "call_module":
        return type(traced.get_submodule(str(node.target))) is nn.ReLU
    return (node.op == "call_function" and node.target in _RELU_FUNCTIONS) or (
        node.op == "call_method" and node.target in _RELU_METHODS
    )


class _Tops(fx.Interpreter):
    """Runs a traced model and keeps a percentile of the outputs of some of its nodes."""

    def __init__(self, traced: fx.GraphModule, places: list[fx.Node], percentile: float) -> None:
        super().__init__(traced)
        self.places, self.share = {node.name for node in places}, percentile / 100
        self.found: dict[str, float] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n.name in self.places:
            flat = value.flatten()
            self.found[n.name] = float(
                flat.kthvalue(max(1, round(self.share * flat.numel()))).values
            )
        return value
