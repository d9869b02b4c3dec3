"""The network of the paper: fully connected, one non-linearity, a linear read-out."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from neurosparse.rectifier.specs import NetworkSpec

_MODULES: dict[str, type[nn.Module]] = {
    "rectifier": nn.ReLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


class RectifierNetwork(nn.Sequential):
    """linear1, hidden1, linear2, hidden2, ..., output: an `nn.Sequential` whose modules have stable names.

    The output is linear (scores before the softmax).

    Parameters
    ----------
    spec
        Sizes, activation and initialisation.
    seed
        Of the initial weights: a number, or a torch.Generator (on the CPU) that is drawn from. The same on every device.

    Examples
    --------
    >>> network = RectifierNetwork(NetworkSpec(sizes=(784, 64, 32, 10)), seed=1)
    >>> network(torch.zeros(5, 784)).shape, network.layers
    (torch.Size([5, 10]), ('hidden1', 'hidden2'))
    """

    def __init__(self, spec: NetworkSpec | None = None, *, seed: int | torch.Generator = 0) -> None:
        spec = NetworkSpec() if spec is None else spec
        generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
        modules: OrderedDict[str, nn.Module] = OrderedDict()
        for k, (fan_in, fan_out) in enumerate(zip(spec.sizes[:-2], spec.sizes[1:-1], strict=True), start=1):
            modules[f"linear{k}"] = _linear(spec, fan_in, fan_out, generator)
            modules[f"hidden{k}"] = _MODULES[spec.activation]()
        modules["output"] = _linear(spec, spec.sizes[-2], spec.sizes[-1], generator)
        super().__init__(modules)
        self.spec = spec

    def __getitem__(self, index: Any) -> Any:
        """A module by its place; a slice is a plain `nn.Sequential`, which need not be a whole network."""
        if isinstance(index, slice):
            return nn.Sequential(OrderedDict(list(self.named_children())[index]))
        return super().__getitem__(index)

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the hidden layers, "hidden1" onwards."""
        return self.spec.layers

    def linears(self) -> list[nn.Linear]:
        """The linear maps, from the input to the output."""
        return [module for module in self.children() if isinstance(module, nn.Linear)]

    def activations(self, inputs: Tensor) -> dict[str, Tensor]:
        """What each hidden layer puts out, and "output", for inputs of shape (n, features)."""
        found, values = {}, inputs
        for name, module in self.named_children():
            values = module(values)
            if not name.startswith("linear"):
                found[name] = values
        return found


def _linear(spec: NetworkSpec, fan_in: int, fan_out: int, generator: torch.Generator) -> nn.Linear:
    """A linear map whose initial weights come from `generator` alone; nn.Linear would draw from torch's global one."""
    linear = skip_init(nn.Linear, fan_in, fan_out)
    with torch.no_grad():
        bound = _bound(spec, fan_in, fan_out)
        linear.weight.uniform_(-bound, bound, generator=generator)  # (fan_out, fan_in)
        linear.bias.zero_()
    return linear


def _bound(spec: NetworkSpec, fan_in: int, fan_out: int) -> float:
    if spec.initialisation == "he2015":
        return math.sqrt(6 / fan_in)
    gain = 4.0 if spec.activation == "sigmoid" else 1.0
    return gain * math.sqrt(6 / (fan_in + fan_out))
