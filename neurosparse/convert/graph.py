"""A converted network: layers in the order in which they are computed.

Each layer has the names of its inputs.

A layer is plain data and can be called; weights are torch tensors of its own. Nothing here knows of
time: a graph computes the rectifier network, and `convert.network` runs the same layers step by
step with neurons in the place of each `Spike`.

Shapes are those of one sample, without the batch: (features,), (channels, length) or (channels,
height, width).
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurosparse._internal.types import Fields, FieldsView

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A step of the computation.

    It has a name, the names of what it takes, and the shape of what it gives for one sample.
    """

    name: str
    inputs: tuple[str, ...]
    shape: Shape

    def __call__(self, *values: Tensor) -> Tensor:
        """Return the output, shape (n, *shape), for inputs of shape (n, ...)."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Input(Layer):
    """The images, divided by `scale` so that they lie in [-1, 1]."""

    scale: float = 1.0

    def __call__(self, *values: Tensor) -> Tensor:
        return values[0] / self.scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(Layer):
    """W x + b, with weight (out, in) and bias (out,)."""

    weight: Tensor = field(repr=False)
    bias: Tensor = field(repr=False)

    def __call__(self, *values: Tensor) -> Tensor:
        return functional.linear(values[0], self.weight, self.bias)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv(Layer):
    """A convolution in one or two dimensions, zeros around it.

    The weight has shape (out, in / groups, *kernel), the bias (out,).
    """

    weight: Tensor = field(repr=False)
    bias: Tensor = field(repr=False)
    stride: Shape
    padding: Shape | str  # a string: "same" or "valid", as in torch
    dilation: Shape
    groups: int = 1

    def __call__(self, *values: Tensor) -> Tensor:
        convolve: Any = (functional.conv1d, functional.conv2d)[len(self.shape) - 2]
        result: Tensor = convolve(
            values[0], self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Layer):
    """The sum of w_i x_i, plus b: one-to-one connections.

    The weights broadcast against the shape of a sample.
    """

    weights: tuple[Tensor, ...] = field(repr=False)
    bias: Tensor = field(repr=False)

    def __call__(self, *values: Tensor) -> Tensor:
        total = self.bias
        for weight, value in zip(self.weights, values, strict=True):
            total = total + weight * value
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragePool(Layer):
    """The mean over windows.

    `options` are those of torch's function of that name (kernel_size, stride, ...).
    """

    options: FieldsView

    def __call__(self, *values: Tensor) -> Tensor:
        pool: Any = (functional.avg_pool1d, functional.avg_pool2d)[len(self.shape) - 2]
        result: Tensor = pool(values[0], **self.options)
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool(Layer):
    """The maximum over windows.

    `options` are those of torch's function of that name (kernel_size, stride, ...).
    """

    options: FieldsView

    def __call__(self, *values: Tensor) -> Tensor:
        pool: Any = (functional.max_pool1d, functional.max_pool2d)[len(self.shape) - 2]
        result: Tensor = pool(values[0], **self.options)
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Reshape(Layer):
    """The values of a sample in another shape, such as in a row."""

    def __call__(self, *values: Tensor) -> Tensor:
        return values[0].reshape(-1, *self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place(Layer):
    """Pixels at other places of an image of zeros: padding, cropping, pixels spread apart.

    Along an axis of pixels, number k comes to `first + k * step`, or is left out where that is
    outside.
    """

    first: Shape
    step: Shape

    def __call__(self, *values: Tensor) -> Tensor:
        (value,) = values
        out = value.new_zeros(len(value), *self.shape)
        taken, put = [slice(None)] * 2, [slice(None)] * 2
        axes = zip(self.first, self.step, value.shape[2:], self.shape[1:], strict=True)
        for first, step, size, room in axes:
            begin = max(0, -(first // step))
            end = max(begin, min(size, (room - 1 - first) // step + 1))
            start = first + begin * step
            taken.append(slice(begin, end))
            put.append(slice(start, start + (end - begin) * step, step))
        out[tuple(put)] = value[tuple(taken)]
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsample(Layer):
    """A larger image; `options` are those of torch's `interpolate` (scale_factor, mode, ...)."""

    options: FieldsView

    def __call__(self, *values: Tensor) -> Tensor:
        result: Tensor = functional.interpolate(values[0], **self.options)
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(Layer):
    """Some of the features or channels, from `start` on."""

    start: int

    def __call__(self, *values: Tensor) -> Tensor:
        return values[0][:, self.start : self.start + self.shape[0]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Concatenate(Layer):
    """The inputs one after the other along the first axis of a sample: features, or channels."""

    def __call__(self, *values: Tensor) -> Tensor:
        return torch.cat(values, dim=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spike(Layer):
    """A non-linearity, and the neurons that take its place.

    A neuron gets the current I = gain z + offset for the pre-activation z of its unit, and its
    spikes a step are to follow the unit's activation: a = scale * rate. Called, the layer gives the
    rate that this asks for, activation((I - offset) / gain) / scale; with the values by default,
    that is the rectifier.

    Parameters
    ----------
    gain, offset, scale
        Broadcast against the shape of a sample. The layer before holds gain and offset in its
        weights and biases; the layers after hold the scale in theirs.
    activation
        The non-linearity if it is not max(0, z): a module with `spike_balance(neuron) -> (gain,
        offset, scale)`.
    ceiling
        The largest activation of a rectifier that has one, such as 6.
    """

    gain: Tensor = field(default_factory=lambda: torch.tensor(1.0), repr=False)
    offset: Tensor = field(default_factory=lambda: torch.tensor(0.0), repr=False)
    scale: Tensor = field(default_factory=lambda: torch.tensor(1.0), repr=False)
    activation: nn.Module | None = None
    ceiling: float = math.inf

    def __call__(self, *values: Tensor) -> Tensor:
        z = (values[0] - self.offset) / self.gain
        rectified = z.clamp(0, self.ceiling) if self.activation is None else self.activation(z)
        return rectified / self.scale


@dataclass(frozen=True, slots=True)
class Graph:
    """Layers in the order of computation: the first is the `Input`, the last the output.

    Calling it computes the rectifier network: a tensor of shape (n, *input_shape) in, (n, *output
    shape) out.
    """

    layers: tuple[Layer, ...]

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the output for inputs of shape (n, *input_shape), without gradients."""
        return self.values(inputs)[self.layers[-1].name]

    @torch.no_grad()
    def values(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return the output of every layer for inputs of shape (n, *input_shape)."""
        found: dict[str, Tensor] = {}
        for layer in self.layers:
            found[layer.name] = (
                layer(*(found[name] for name in layer.inputs)) if layer.inputs else layer(inputs)
            )
        return found

    def __getitem__(self, name: str) -> Layer:
        """Return the layer of that name."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(
            f"no layer {name!r}; there are: {', '.join(layer.name for layer in self.layers)}"
        )

    @property
    def input(self) -> Input:
        """The first layer."""
        first = self.layers[0]
        if not isinstance(first, Input):
            raise TypeError(f"the first layer must be the Input, got {type(first).__name__}")
        return first

    @property
    def spikes(self) -> tuple[Spike, ...]:
        """The layers of neurons, in order."""
        return tuple(layer for layer in self.layers if isinstance(layer, Spike))

    def consumers(self, name: str) -> tuple[Layer, ...]:
        """Return the layers that take the output of layer `name`."""
        return tuple(layer for layer in self.layers if name in layer.inputs)

    def to(self, *where: object) -> Self:
        """Return a graph whose tensors are on another device or of another kind of number.

        Arguments are as for `Tensor.to`.
        """
        return type(self)(tuple(_moved(layer, where) for layer in self.layers))


def _moved(layer: Layer, where: tuple[Any, ...]) -> Layer:
    changed: Fields = {}
    for f in fields(layer):
        value = getattr(layer, f.name)
        if isinstance(value, Tensor):
            changed[f.name] = value.to(*where)
        elif f.name == "weights":
            changed[f.name] = tuple(weight.to(*where) for weight in value)
        elif isinstance(value, nn.Module):
            changed[f.name] = copy.deepcopy(value).to(*where)
    return replace(layer, **changed)
