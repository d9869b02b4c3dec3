"""Layers as nodes of NIR, and nodes as layers; `nir_files` says what the two mean to each other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from neurosparse import recipes
from neurosparse.convert.graph import AveragePool, Conv, Layer, Linear, Reshape, Spike
from neurosparse.convert.neurons import NeuronSpec

FILE_DT_S = 1e-4  # a step, in the time of a file: what snnTorch takes for granted, and SpikingJelly by default


# ---- Layers as nodes ------------------------------------------------------------------------------------------------


def node_of(layer: Layer, before: tuple[int, ...], neuron: NeuronSpec) -> Any:
    """The node of a layer, whose inputs have the shape `before`; ValueError where NIR has none."""
    import nir

    match layer:
        case Linear():
            return nir.Affine(layer.weight.numpy(), layer.bias.numpy())
        case Conv() if not isinstance(layer.padding, str):
            one = len(layer.shape) == 2
            size = before[1] if one else before[1:]
            make: Any = nir.Conv1d if one else nir.Conv2d
            options = (values[0] if one else values for values in (layer.stride, layer.padding, layer.dilation))
            return make(size, _ungrouped(layer).numpy(), *options, 1, layer.bias.numpy())
        case AveragePool() if len(layer.shape) == 3 and not layer.options.get("ceil_mode"):
            kernel, padding = (_pair(layer.options.get(name, 0)) for name in ("kernel_size", "padding"))
            if padding.any() and not layer.options.get("count_include_pad", True):
                raise ValueError(f"layer {layer.name!r} leaves its padding out of the mean, which NIR has no node for")
            return nir.AvgPool2d(kernel, _pair(layer.options.get("stride") or kernel), padding)
        case Reshape() if len(layer.shape) == 1:
            return nir.Flatten({"input": np.array(before)}, 0, -1)
        case Spike():
            full = np.full(layer.shape, 1.0, dtype=np.float32)
            if neuron.kind == "if":
                return nir.IF(full / FILE_DT_S, full * neuron.threshold, full * neuron.v_reset)
            return nir.LIF(
                full * (FILE_DT_S / (1 - neuron.decay)), full, 0 * full, full * neuron.threshold, full * neuron.v_reset
            )
    raise ValueError(f"layer {layer.name!r} ({type(layer).__name__}) has no node in NIR")


def _ungrouped(layer: Conv) -> torch.Tensor:
    """The weights of a convolution of one group, with zeros between those of several: the types of NIR know of one alone."""
    blocks = layer.weight.chunk(layer.groups)  # (out / groups, in / groups, *kernel) each
    rows = [
        torch.cat([block if k == j else 0 * block for j in range(layer.groups)], dim=1)
        for k, block in enumerate(blocks)
    ]
    return torch.cat(rows)


def _pair(value: Any) -> Any:
    return np.broadcast_to(np.asarray(value, dtype=np.int64), 2).copy()


# ---- Nodes as layers ------------------------------------------------------------------------------------------------


def neuron_of(neurons: list[Any], dt_s: float) -> NeuronSpec:
    """The one kind of neuron that all of a file's neurons are, thresholds and resistances aside."""
    import nir

    leaky = isinstance(neurons[0], nir.LIF) if neurons else False
    if not neurons or any(isinstance(node, nir.LIF) != leaky for node in neurons):
        raise ValueError("it must hold neurons of one kind, IF or LIF")
    if not all((np.asarray(node.v_threshold) > 0).all() for node in neurons):
        raise ValueError("thresholds must be > 0")
    resets = _one([node.v_reset / node.v_threshold for node in neurons], "v_reset / v_threshold")
    kept = 1 - dt_s / _one([node.tau for node in neurons], "tau") if leaky else 1.0
    if not 0 < kept <= 1:
        raise ValueError(f"its tau must be > dt_s={dt_s:g}: Euler's rule has no leak like it")
    leak = {"kind": "lif", "tau_m_ms": -1e3 * dt_s / math.log(kept)} if leaky else {}
    values = {**leak, "reset": "value", "v_reset": resets, "dt_ms": 1e3 * dt_s, "v_initial": 0.0}
    return recipes.build(NeuronSpec, values, what="its neurons")


def _one(arrays: list[Any], name: str) -> float:
    values = np.concatenate([np.ravel(array) for array in arrays]).astype(np.float64)
    if not np.allclose(values, values[:1], rtol=1e-5, atol=1e-8):
        raise ValueError(f"{name} must be one for all neurons, got {values.min():g} to {values.max():g}")
    return float(values[0])


def gain_of(node: Any, spec: NeuronSpec, dt_s: float) -> tuple[Any, Any]:
    """What the currents of neurons are to be multiplied by and added for the threshold of `spec` and a resistance of 1."""
    import nir

    per_threshold = spec.threshold / np.asarray(node.v_threshold, dtype=np.float64)
    if isinstance(node, nir.IF) != (spec.kind == "if"):
        raise ValueError("its neurons are not those of its metadata")
    if isinstance(node, nir.IF):
        return np.asarray(node.r) * dt_s * per_threshold, 0.0
    if not math.isclose(1 - dt_s / _one([node.tau], "tau"), spec.decay, rel_tol=1e-5):
        raise ValueError("its tau is not that of its metadata")
    return np.asarray(node.r) * per_threshold, np.asarray(node.v_leak) * per_threshold


def layer_of(node: Any, name: str, before: Layer, gain: Any, offset: Any) -> Layer:
    """The layer of a node; the currents of neurons that follow are scaled and shifted."""
    import nir

    here: dict[str, Any] = {"name": name, "inputs": (before.name,)}
    shape = shape_of(node.output_type["output"]) if node.output_type else before.shape
    if isinstance(node, nir.Affine | nir.Linear):
        weight, bias = _scaled(
            node.weight, getattr(node, "bias", None), _per_unit(gain, shape), _per_unit(offset, shape)
        )
        return Linear(**here, shape=shape, weight=weight, bias=bias)
    if isinstance(node, nir.Conv1d | nir.Conv2d):
        n = len(node.weight.shape) - 2
        weight, bias = _scaled(node.weight, node.bias, _per_unit(gain, shape), _per_unit(offset, shape))
        stride, padding, dilation = (_dims(value, n) for value in (node.stride, node.padding, node.dilation))
        return Conv(
            **here, shape=shape, weight=weight, bias=bias,
            stride=stride, padding=padding, dilation=dilation, groups=int(node.groups),
        )  # fmt: skip
    if isinstance(node, nir.AvgPool2d):
        options: dict[str, Any] = {key: _dims(getattr(node, key), 2) for key in ("kernel_size", "stride", "padding")}
        with torch.no_grad():
            pooled = torch.nn.functional.avg_pool2d(torch.zeros(1, *before.shape), **options)
        return AveragePool(**here, shape=tuple(pooled.shape[1:]), options=options)
    if isinstance(node, nir.Flatten):
        return Reshape(**here, shape=(math.prod(before.shape),))
    if isinstance(node, nir.IF | nir.LIF):
        return Spike(**here, shape=before.shape)
    raise ValueError(
        f"node {name!r} is a {type(node).__name__}; Affine, Linear, Conv1d, Conv2d, AvgPool2d, Flatten, IF and LIF are read"
    )


def _scaled(weight: Any, bias: Any, gain: Any, offset: Any) -> tuple[torch.Tensor, torch.Tensor]:
    weight = np.asarray(weight, dtype=np.float64)
    bias = np.zeros(len(weight)) if bias is None else np.asarray(bias, dtype=np.float64)
    scaled = weight * gain.reshape(-1, *[1] * (weight.ndim - 1)), bias * gain + offset
    if not all(np.isfinite(array).all() for array in scaled):
        raise ValueError("its weights or parameters are NaN or infinite")
    first, second = (torch.tensor(array, dtype=torch.float32) for array in scaled)
    return first, second


def _per_unit(values: Any, shape: tuple[int, ...]) -> Any:
    """Values for each unit or channel of a layer, from those of its neurons, which must not differ within a channel."""
    full = np.broadcast_to(np.asarray(values, dtype=np.float64), shape).reshape(shape[0], -1)
    if not (full == full[:, :1]).all():
        raise ValueError("thresholds and resistances must not differ within a channel")
    return full[:, 0]


def _dims(value: Any, n: int) -> tuple[int, ...]:
    return tuple(int(v) for v in np.broadcast_to(np.asarray(value), n))


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape that a node's type says."""
    return tuple(int(v) for v in np.ravel(value))
