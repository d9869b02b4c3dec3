"""The network of the paper: fully connected, one non-linearity, a linear read-out."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from neurosparse._internal import checks, sizes
from neurosparse.rectifier.specs import NetworkSpec


class _Mirrored(nn.Module):
    """Mixed into an activation: the second half of its units put out minus their activation."""

    sign: Tensor

    def __init__(self, n_units: int, **options: float) -> None:
        super().__init__(**options)
        # known from the spec: not among the weights
        self.register_buffer("sign", mirror(n_units), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the activation of `inputs`, shape (n, units), times 1 or -1."""
        result: Tensor = super().forward(inputs) * self.sign
        return result


class MirroredReLU(_Mirrored, nn.ReLU):
    """A rectifier, mirrored; a class of its own, so that nobody takes it for a plain one."""


class MirroredSoftplus(_Mirrored, nn.Softplus):
    """A softplus, mirrored."""


class MirroredTanh(_Mirrored, nn.Tanh):
    """A tanh, mirrored."""


class MirroredSigmoid(_Mirrored, nn.Sigmoid):
    """A sigmoid, mirrored."""


_MODULES: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {
    "rectifier": (nn.ReLU, MirroredReLU),
    "softplus": (nn.Softplus, MirroredSoftplus),
    "tanh": (nn.Tanh, MirroredTanh),
    "sigmoid": (nn.Sigmoid, MirroredSigmoid),
}


def mirror(n_units: int, device: torch.device | None = None) -> Tensor:
    """Return 1 for the first half of the units of a mirrored layer and -1 for the others.

    Of an odd number, the first half is the larger one.
    """
    second = torch.arange(n_units, device=device) >= (n_units + 1) // 2
    return 1.0 - 2.0 * second  # in arithmetic, which also a CUDA graph can hold


class RectifierNetwork(nn.Sequential):
    """linear1, hidden1, linear2, hidden2, ..., output: modules with stable names.

    It is an `nn.Sequential`.

    The output is linear (scores before the softmax).

    Parameters
    ----------
    spec
        Sizes, activation and initialisation.
    seed
        Of the initial weights: a number, or a torch.Generator (on the CPU) that is drawn from. The
        same on every device.

    Examples
    --------
    >>> network = RectifierNetwork(NetworkSpec(sizes=(784, 64, 32, 10)), seed=1)
    >>> network(torch.zeros(5, 784)).shape, network.layers
    (torch.Size([5, 10]), ('hidden1', 'hidden2'))
    """

    def __init__(self, spec: NetworkSpec | None = None, *, seed: int | torch.Generator = 0) -> None:
        spec = NetworkSpec() if spec is None else spec
        sizes.check_memory(
            f"a network of {'-'.join(map(str, spec.sizes))} units",
            sizes.bytes_of(spec.shapes),
            "take smaller layers",
        )
        generator = (
            seed
            if isinstance(seed, torch.Generator)
            else torch.Generator().manual_seed(checks.seed(seed))
        )
        modules: OrderedDict[str, nn.Module] = OrderedDict()
        for k, (fan_in, fan_out) in enumerate(
            zip(spec.sizes[:-2], spec.sizes[1:-1], strict=True), start=1
        ):
            modules[f"linear{k}"] = linear_map(spec, fan_in, fan_out, generator)
            modules[f"hidden{k}"] = _hidden(spec, fan_out)
        modules["output"] = linear_map(spec, spec.sizes[-2], spec.sizes[-1], generator)
        super().__init__(modules)
        self.spec = spec

    def __getitem__(self, index: Any) -> Any:
        """Return a module by its place.

        A slice is a plain `nn.Sequential`, which need not be a whole network.
        """
        if isinstance(index, slice):
            return nn.Sequential(OrderedDict(list(self.named_children())[index]))
        return super().__getitem__(index)

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the hidden layers, "hidden1" onwards."""
        return self.spec.layers

    def linears(self) -> list[nn.Linear]:
        """Return the linear maps, from the input to the output."""
        return [module for module in self.children() if isinstance(module, nn.Linear)]

    def activations(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return the output of each hidden layer and "output", for inputs (n, features)."""
        found, values = {}, inputs
        for name, module in self.named_children():
            values = module(values)
            if not name.startswith("linear"):
                found[name] = values
        return found


def folded(network: RectifierNetwork) -> RectifierNetwork:
    """Return the same function without mirrored units.

    The signs go into the outgoing weights, exactly.

    Parameters
    ----------
    network
        With `spec.mirrored`; it is left as it is.

    Returns
    -------
    RectifierNetwork
        Whose hidden units put out the magnitudes; for a tanh, the values of before their sign was
        turned.

    Raises
    ------
    ValueError
        For a network that is not mirrored.
    TypeError
        Where an argument is of another kind.

    Examples
    --------
    >>> network = RectifierNetwork(NetworkSpec(sizes=(4, 8, 2), mirrored=True))
    >>> x = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))
    >>> torch.equal(folded(network)(x), network(x))
    True
    """
    check_network(network)
    if not network.spec.mirrored:
        raise ValueError("the network is not mirrored: there is nothing to fold")
    plain = _like(network, network.spec.model_copy(update={"mirrored": False}))
    with torch.no_grad():
        for linear in plain.linears()[1:]:
            linear.weight.mul_(mirror(linear.in_features).to(linear.weight))
    return plain


def rescaled(network: RectifierNetwork, factors: Sequence[float]) -> RectifierNetwork:
    """Return a rectifier network with its layers' scales exchanged.

    Glorot, Bordes & Bengio 2011, section 3.2, property of the rectifier.

    The weights of linear map i are divided by a_i, its biases by a_1 a_2 ... a_i. The output is
    that of the network divided by the product of all factors: where that is 1, the function is the
    same. Zeros stay zeros; the L1 norm of the activations changes.

    Parameters
    ----------
    network
        Of rectifiers, mirrored or not; it is left as it is.
    factors
        a_i > 0, one for each linear map from the input to the output.

    Raises
    ------
    ValueError
        For another activation, and for factors that are not positive or of another number.
    TypeError
        Where an argument is of another kind.
    """
    check_network(network)
    checks.instance("factors", factors, Iterable)
    factors = list(factors)
    linears = network.linears()
    if network.spec.activation != "rectifier":
        raise ValueError(
            "only rectifiers can be rescaled, max(0, a z) = a max(0, z), got"
            f" {network.spec.activation!r}"
        )
    if len(factors) != len(linears):
        raise ValueError(
            f"factors must be one for each of {len(linears)} linear maps, got {len(factors)}"
        )
    other, product = _like(network, network.spec), 1.0
    with torch.no_grad():
        for k, (linear, factor) in enumerate(zip(other.linears(), factors, strict=True)):
            product *= checks.positive(f"factors[{k}]", factor)
            linear.weight.div_(factor)
            linear.bias.div_(product)
    return other


def check_network(network: object) -> None:
    """Refuse what is no RectifierNetwork with a TypeError."""
    checks.instance(
        "network",
        network,
        RectifierNetwork,
        "neurosparse.rectifier.train makes one, neurosparse.rectifier.load reads one",
    )


def _like(network: RectifierNetwork, spec: NetworkSpec) -> RectifierNetwork:
    """Return a network of `spec` with the weights, dtype and device of `network`."""
    other = RectifierNetwork(spec).to(next(network.parameters()))
    other.load_state_dict(network.state_dict())
    return other.train(network.training)


def _hidden(spec: NetworkSpec, n_units: int) -> nn.Module:
    plain, mirrored = _MODULES[spec.activation]
    options = {"beta": spec.sharpness} if spec.activation == "softplus" else {}
    return mirrored(n_units, **options) if spec.mirrored else plain(**options)


def linear_map(
    spec: NetworkSpec, fan_in: int, fan_out: int, generator: torch.Generator
) -> nn.Linear:
    """Make a linear map as `spec` initialises it, from `generator` alone.

    nn.Linear would draw from torch's global one.
    """
    linear = skip_init(nn.Linear, fan_in, fan_out)
    with torch.no_grad():
        bound = _bound(spec, fan_in, fan_out)
        linear.weight.uniform_(-bound, bound, generator=generator)  # (fan_out, fan_in)
        linear.bias.zero_()
    result: nn.Linear = linear
    return result


def _bound(spec: NetworkSpec, fan_in: int, fan_out: int) -> float:
    if spec.initialisation == "he2015":
        return math.sqrt(6 / fan_in)
    if spec.initialisation == "lecun1998":
        return math.sqrt(3 / fan_in)
    gain = 4.0 if spec.activation == "sigmoid" else 1.0
    return gain * math.sqrt(6 / (fan_in + fan_out))
