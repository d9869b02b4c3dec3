"""One call of a torch module or function as layers of a graph.

These can be converted:

- Linear, Conv1d and Conv2d (padded with zeros), transposed convolution, BatchNorm1d and 2d;
- ReLU, ReLU6 and `clamp` from 0 on, as modules, functions or methods;
- average and maximum pooling, adaptive average pooling to a divisor of the size, the mean over all
  of an image;
- flatten, view and reshape, sums and differences, factors, concatenation of features or channels,
  and splitting into parts of them; tensors of the model itself as factors and addends;
- padding with zeros; upsampling to the nearest pixel or linearly;
- Dropout and Identity, which do nothing;
- any module with a method `spike_balance` (see `graph.Spike`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from neurosparse._internal.types import Fields, FieldsView
from neurosparse.convert.graph import (
    Add,
    AveragePool,
    Concatenate,
    Conv,
    Layer,
    Linear,
    MaxPool,
    Reshape,
    Shape,
    Spike,
)
from neurosparse.convert.rearranging import (
    INTERPOLATE,
    PAD,
    padded,
    spread_and_convolved,
    upsampled,
)
from neurosparse.convert.refusals import RefusalError
from neurosparse.probe.record import NON_LINEARITIES
from neurosparse.rectifier.network import MirroredReLU

AVERAGE = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
MAXIMUM = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
REPLACE = "build the model of layers that neurosparse.convert.translation lists"


def layers(
    name: str,
    target: nn.Module | str,
    args: Sequence[Any],
    options: FieldsView,
    shape: Shape,
) -> list[Layer]:
    """Return the layers that compute a call, the last of them its output.

    There are none where it gives what it takes.

    Parameters
    ----------
    name
        Of the last layer.
    target
        The module, or the name of the function or method.
    args, options
        What it is called with: a `Layer` in the place of each tensor.
    shape
        Of the output for one sample.

    Raises
    ------
    RefusalError
        Where there is no such layer.
    """
    if not isinstance(target, nn.Module):
        first = [value for key, value in options.items() if key == "input"]
        options = {key: value for key, value in options.items() if key != "input"}
        return _of_function(name, target, (*first, *args), options, shape)
    for before in (*args, *options.values()):
        if isinstance(before, Layer):
            return _of_module(name, target, before, shape)
    raise RefusalError(f"it makes a tensor with {type(target).__name__}", REPLACE)


def rectified_to(target: nn.Module | str, rest: Sequence[Any], options: FieldsView) -> float | None:
    """Return the most that a rectifier puts out, infinite without a ceiling; None for others.

    Parameters
    ----------
    target
        The module, or the name of the function or method.
    rest, options
        What it is called with, but for the tensor.

    Raises
    ------
    RefusalError
        For a clamp to another range than from 0 on.
    """
    if isinstance(target, nn.Module):
        if isinstance(target, nn.Hardtanh) and target.min_val == 0:  # ReLU6 is one
            return float(target.max_val)
        return math.inf if type(target) is nn.ReLU else None
    match target.rstrip("_"):
        case "relu":
            return math.inf
        case "relu6":
            return 6.0
        case "clamp" | "clip" | "clamp_min" | "hardtanh" as function:
            names = ("min_val", "max_val") if function == "hardtanh" else ("min", "max")
            given = dict(zip(names, rest, strict=False)) | _known(options, names)
            low, high = (given.get(name) for name in names)
            if low != 0 or (high is not None and not high > 0):
                raise RefusalError(
                    f"it clamps to {low} at least and {high} at most", "clamp with min=0"
                )
            return math.inf if high is None else float(high)
    return None


def _of_module(name: str, module: nn.Module, before: Layer, shape: Shape) -> list[Layer]:
    here: Fields = {"name": name, "inputs": (before.name,), "shape": shape}
    for parameter in (*module.parameters(), *module.buffers()):
        if parameter.is_floating_point() and not bool(parameter.isfinite().all()):
            raise RefusalError("its weights are NaN or infinite", "train or load the model again")
    match module:
        case _ if hasattr(module, "spike_balance"):
            return [Spike(**here, activation=module)]
        case MirroredReLU():
            spike = Spike(name=f"{name}.rectified", inputs=(before.name,), shape=shape)
            return [spike, _one_to_one(name, (spike,), shape, (module.sign,))]
        case _ if (ceiling := rectified_to(module, (), {})) is not None:
            return [Spike(**here, ceiling=ceiling)]
        case nn.Linear():
            if len(before.shape) != 1:
                raise RefusalError(
                    f"its inputs have shape {before.shape} for one sample", "flatten them first"
                )
            return [Linear(**here, weight=_own(module.weight), bias=_bias(module))]
        case nn.Conv1d() | nn.Conv2d():
            if module.padding_mode != "zeros":
                raise RefusalError(
                    f"it pads with padding_mode={module.padding_mode!r}", 'use padding_mode="zeros"'
                )
            for option in ("stride", "padding", "dilation", "groups"):
                here[option] = getattr(module, option)
            return [Conv(**here, weight=_own(module.weight), bias=_bias(module))]
        case nn.ConvTranspose1d() | nn.ConvTranspose2d():
            return [*spread_and_convolved(name, module, before, shape, _bias(module))]
        case nn.ConstantPad1d() | nn.ConstantPad2d():
            return [padded(here, before, {"pad": module.padding, "value": module.value})]
        case nn.Upsample():
            return [upsampled(here, {key: getattr(module, key) for key in INTERPOLATE})]
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            return [_batch_norm(name, module, before, shape)]
        case nn.AvgPool1d() | nn.AvgPool2d():
            return [AveragePool(**here, options={key: getattr(module, key) for key in AVERAGE})]
        case nn.MaxPool1d() | nn.MaxPool2d():
            return [_maximum(here, {key: getattr(module, key) for key in MAXIMUM})]
        case nn.AdaptiveAvgPool1d() | nn.AdaptiveAvgPool2d():
            return [_adaptive(name, before, shape)]
        case nn.Flatten() | nn.Unflatten():
            return [Reshape(**here)]
        case nn.Identity() | nn.Dropout() | nn.Dropout1d() | nn.Dropout2d() | nn.AlphaDropout():
            return []
    raise _refusal_of(module)


def _of_function(
    name: str, function: str, args: Sequence[Any], options: FieldsView, shape: Shape
) -> list[Layer]:
    tensors = [arg for arg in (*args, *options.values()) if isinstance(arg, Layer)]
    before = tensors[0] if tensors else None
    rest = [arg for arg in args if not isinstance(arg, Layer)]
    function = function.rstrip("_")
    if function in ("cat", "concat", "concatenate"):
        return [_concatenation(name, args, options, shape)]
    if before is None:
        raise RefusalError(f"it makes a tensor with {function}", REPLACE)
    here: Fields = {"name": name, "inputs": (before.name,), "shape": shape}
    if (ceiling := rectified_to(function, rest, options)) is not None:
        return [Spike(**here, ceiling=ceiling)]
    match function:
        case "pad":
            return [padded(here, before, dict(zip(PAD, rest, strict=False)) | _known(options, PAD))]
        case "interpolate" | "upsample":
            given = dict(zip(INTERPOLATE, rest, strict=False)) | _known(options, INTERPOLATE)
            return [upsampled(here, given)]
        case "dropout" | "contiguous":
            return []
        case "flatten" | "view" | "reshape" | "squeeze" | "unsqueeze" | "unflatten":
            return [] if shape == before.shape else [Reshape(**here)]
        case "avg_pool1d" | "avg_pool2d":
            return [
                AveragePool(
                    **here,
                    options=dict(zip(AVERAGE, rest, strict=False)) | _known(options, AVERAGE),
                )
            ]
        case "max_pool1d" | "max_pool2d":
            return [
                _maximum(here, dict(zip(MAXIMUM, rest, strict=False)) | _known(options, MAXIMUM))
            ]
        case "adaptive_avg_pool1d" | "adaptive_avg_pool2d":
            return [_adaptive(name, before, shape)]
        case "mean" if len(before.shape) > 1 and math.prod(shape) == shape[0] == before.shape[0]:
            pool = _adaptive(f"{name}.pool", before, (shape[0], *[1] * (len(before.shape) - 1)))
            return [pool, Reshape(name=name, inputs=(pool.name,), shape=shape)]
        case "add" | "iadd" | "sub" | "isub" | "mul" | "imul" | "truediv" | "itruediv" | "div":
            return [_arithmetic(name, function.removeprefix("i"), args, options, shape)]
    if function.replace("_", "") in {kind.__name__.lower() for kind in NON_LINEARITIES}:
        raise RefusalError(
            f"{function} is not a rectifier", "train the model with ReLU in its place"
        )
    raise RefusalError(f"the function {function} cannot be converted", REPLACE)


def scaled(layer: Linear | Conv, add: Add) -> Layer:
    """Return a layer with weights and the one-to-one map that follows it, as one."""
    each = (layer.shape[0], *[1] * (len(layer.shape) - 1))  # one a channel
    weight, bias = (values.expand(each).flatten() for values in (add.weights[0], add.bias))
    rows = weight.reshape(-1, *[1] * (layer.weight.ndim - 1))
    return replace(layer, weight=layer.weight * rows, bias=layer.bias * weight + bias)


def channelwise(layer: Layer, add: Add) -> bool:
    """Say whether a one-to-one map has one factor and one addend for each channel of a layer."""
    each = (layer.shape[0], *[1] * (len(layer.shape) - 1))
    maps = (add.weights[0], add.bias)
    return all(torch.broadcast_shapes(values.shape, each) == each for values in maps)


def _own(parameter: Tensor) -> Tensor:
    return parameter.detach().clone()


def _bias(
    module: nn.Linear | nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d,
) -> Tensor:
    n = module.out_features if isinstance(module, nn.Linear) else module.out_channels
    return module.weight.new_zeros(n) if module.bias is None else _own(module.bias)


def _known(options: FieldsView, names: Sequence[str]) -> Fields:
    return {key: value for key, value in options.items() if key in names}


def _one_to_one(
    name: str, before: Sequence[Layer], shape: Shape, weights: Sequence[Any], bias: object = 0.0
) -> Add:
    if any(layer.shape != shape for layer in before):
        shapes = " and ".join(str(layer.shape) for layer in before)
        raise RefusalError(
            f"it adds values of shapes {shapes} for one sample",
            "let all of them have the shape of the sum",
        )
    factors = tuple(_exact(weight) for weight in weights)
    return Add(
        name=name,
        inputs=tuple(layer.name for layer in before),
        shape=shape,
        weights=factors,
        bias=_exact(bias),
    )


def _exact(value: object) -> Tensor:
    """Return a tensor; a number in float64, for nobody knows yet what the model computes in."""
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)


def _batch_norm(
    name: str, module: nn.BatchNorm1d | nn.BatchNorm2d, before: Layer, shape: Shape
) -> Add:
    """Return gamma (x - mean) / sqrt(var + eps) + beta as w x + b.

    Ioffe & Szegedy 2015, arXiv 1502.03167, algorithm 2.
    """
    mean, var = module.running_mean, module.running_var
    if mean is None or var is None:
        raise RefusalError(
            "it has no running statistics, so it depends on the rest of the batch",
            "use track_running_stats=True",
        )
    weight = (var + module.eps).rsqrt()
    weight = weight if module.weight is None else weight * module.weight.detach()
    bias = -mean * weight if module.bias is None else module.bias.detach() - mean * weight
    each = (-1, *[1] * (len(shape) - 1))
    return _one_to_one(name, (before,), shape, (weight.reshape(each),), bias.reshape(each))


def _maximum(here: Fields, options: Fields) -> MaxPool:
    if options.pop("return_indices", False):
        raise RefusalError("it returns the indices of the maxima", "use return_indices=False")
    return MaxPool(**here, options=options)


def _adaptive(name: str, before: Layer, shape: Shape) -> AveragePool:
    sizes = list(zip(before.shape[1:], shape[1:], strict=True))
    if any(size % out for size, out in sizes):
        raise RefusalError(
            f"it averages {before.shape[1:]} to {shape[1:]} in windows of unlike sizes",
            "use a divisor of the size",
        )
    kernel = tuple(size // out for size, out in sizes)
    return AveragePool(
        name=name, inputs=(before.name,), shape=shape, options={"kernel_size": kernel}
    )


def _concatenation(
    name: str, args: Sequence[Any], options: FieldsView, shape: Shape
) -> Concatenate:
    parts = args[0] if args else options["tensors"]
    axis = args[1] if len(args) > 1 else options.get("dim", options.get("axis", 0))
    if axis not in (1, -len(shape)):
        raise RefusalError(
            f"it concatenates along axis {axis}", "concatenate features or channels, axis 1"
        )
    return Concatenate(name=name, inputs=tuple(part.name for part in parts), shape=shape)


def _arithmetic(
    name: str, function: str, args: Sequence[Any], options: FieldsView, shape: Shape
) -> Add:
    left, right = (*args, options.get("other"))[:2]
    factor = float(options.get("alpha", 1.0))
    if isinstance(left, Layer) and isinstance(right, Layer):
        if function not in ("add", "sub"):
            raise RefusalError(
                "it multiplies or divides two of the network's values",
                "only sums of them can be converted",
            )
        return _one_to_one(
            name, (left, right), shape, (1.0, factor if function == "add" else -factor)
        )
    before, number = (left, right) if isinstance(left, Layer) else (right, left)
    if isinstance(number, Tensor):
        number = _constant(number, shape)
    match function:
        case "add":
            return _one_to_one(name, (before,), shape, (1.0,), factor * number)
        case "sub" if before is left:
            return _one_to_one(name, (before,), shape, (1.0,), -factor * number)
        case "sub":
            return _one_to_one(name, (before,), shape, (-factor,), number)
        case "mul":
            return _one_to_one(name, (before,), shape, (number,))
        case _ if before is left:
            return _one_to_one(name, (before,), shape, (1 / number,))
    raise RefusalError(
        "it divides by a value of the network", "only sums of values can be converted"
    )


def _constant(value: Tensor, shape: Shape) -> Tensor:
    """Return a tensor of the model as it broadcasts against one sample."""
    if value.ndim > len(shape) and value.shape[0] == 1:
        value = value[0]
    if value.ndim > len(shape) or torch.broadcast_shapes(value.shape, shape) != shape:
        raise RefusalError(
            f"it takes a tensor of shape {tuple(value.shape)} for samples of shape {shape}",
            "let it broadcast against one sample",
        )
    if not bool(value.isfinite().all()):
        raise RefusalError("it takes values that are NaN or infinite", "train or load it again")
    return _own(value)


def _refusal_of(module: nn.Module) -> RefusalError:
    kind = type(module).__name__
    if isinstance(module, nn.RNNBase | nn.RNNCellBase):
        return RefusalError(
            f"{kind} is recurrent, with a state of its own",
            "convert the layers before and after it alone",
        )
    if isinstance(module, NON_LINEARITIES):
        return RefusalError(
            f"{kind} is not a rectifier", "train the model with nn.ReLU in its place"
        )
    if isinstance(module, nn.Softmax | nn.LogSoftmax):
        return RefusalError(
            f"{kind} is no layer of rectifiers",
            "leave it out: the largest output stays the largest",
        )
    if isinstance(module, nn.LayerNorm | nn.GroupNorm | nn.InstanceNorm1d | nn.InstanceNorm2d):
        return RefusalError(
            f"{kind} normalises each sample by itself",
            "train the model with batch normalisation in its place",
        )
    return RefusalError(f"{kind} cannot be converted", REPLACE)
