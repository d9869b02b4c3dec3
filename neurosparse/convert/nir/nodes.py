"""Layers as nodes of NIR, and nodes as layers; `nir_files` says what the two mean to each other."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from neurosparse import recipes
from neurosparse._internal.types import Array, Fields, Foreign
from neurosparse.convert.graph import Add, AveragePool, Conv, Layer, Linear, Reshape, Shape, Spike
from neurosparse.convert.neurons import NeuronSpec

# a step, in the time of a file: what snnTorch takes for granted, and SpikingJelly by default
FILE_DT_S = 1e-4


# ---- Layers as nodes
# --------------------------------------------------------------------------------------------------


def node_of(layer: Layer, before: Shape, neuron: NeuronSpec) -> Foreign:
    """Return the node of a layer; ValueError where NIR has none.

    The inputs of the layer have the shape `before`.
    """
    import nir

    match layer:
        case Linear():
            return nir.Affine(layer.weight.numpy(), layer.bias.numpy())
        case Conv():
            options = (layer.stride, _padding(layer), layer.dilation)
            return _convolution(before, _ungrouped(layer).numpy(), layer.bias.numpy(), *options)
        case AveragePool() if not layer.options.get("ceil_mode"):
            one = (1,) * (len(before) - 1)
            kernel, padding = (
                _dims(layer.options.get(name, 0), len(one)) for name in ("kernel_size", "padding")
            )
            if any(padding) and not layer.options.get("count_include_pad", True):
                raise ValueError(
                    f"layer {layer.name!r} leaves its padding out of the mean, which NIR has no"
                    " node for"
                )
            weight = np.full((before[0], *kernel), 1 / math.prod(kernel))
            stride = _dims(layer.options.get("stride") or kernel, len(one))
            return _convolution(
                before, _each_channel(weight), np.zeros(before[0]), stride, padding, one
            )
        case Reshape() if len(layer.shape) == 1:
            # counted from the end: of the readers some count the batch as an axis, and some do not
            return nir.Flatten({"input": np.array(before)}, -len(before), -1)
        case Spike():
            full = np.full(layer.shape, 1.0, dtype=np.float32)
            if neuron.kind == "if":
                return nir.IF(full / FILE_DT_S, full * neuron.threshold, full * neuron.v_reset)
            tau = full * (FILE_DT_S / (1 - neuron.decay))
            rest = (full, 0 * full, full * neuron.threshold, full * neuron.v_reset)
            if neuron.synaptic_decay:
                tau_syn = full * (FILE_DT_S / (1 - neuron.synaptic_decay))
                return nir.CubaLIF(tau_syn, tau, *rest, w_in=full)
            return nir.LIF(tau, *rest)
    raise ValueError(f"layer {layer.name!r} ({type(layer).__name__}) has no node in NIR")


def terms_of(layer: Add) -> list[Foreign]:
    """Return a node for each input of a sum, w x, the first with the bias.

    Whatever node they lead to adds them up.

    A matrix, for of the readers none has the node for factors, `nir.Scale`.
    """
    import nir

    terms = []
    for k, weight in enumerate(layer.weights):
        own, bias = (
            _by_channel(values, layer)
            for values in (weight, layer.bias if k == 0 else 0 * layer.bias)
        )
        if len(layer.shape) == 1:
            terms.append(nir.Affine(np.diag(own), bias))
        else:
            one = (1,) * (len(layer.shape) - 1)
            terms.append(
                _convolution(
                    layer.shape,
                    _each_channel(own.reshape(-1, *one)),
                    bias,
                    one,
                    (0,) * len(one),
                    one,
                )
            )
    return terms


def _convolution(
    before: Shape,
    weight: Array,
    bias: Array,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
) -> Foreign:
    import nir

    options: Foreign = (weight.astype(np.float32), stride, padding, dilation)
    if len(before) == 2:
        return nir.Conv1d(
            before[1],
            options[0],
            *(values[0] for values in options[1:]),
            1,
            bias.astype(np.float32),
        )
    return nir.Conv2d(before[1:], *options, 1, bias.astype(np.float32))


def _padding(layer: Conv) -> Shape:
    """Return the zeros on each side, where the layer says "same" or "valid"."""
    if not isinstance(layer.padding, str):
        return layer.padding
    spread = [d * (k - 1) for d, k in zip(layer.dilation, layer.weight.shape[2:], strict=True)]
    if layer.padding == "same" and any(n % 2 for n in spread):
        raise ValueError(
            f"layer {layer.name!r} pads one side more than the other, which NIR has no node for"
        )
    return tuple(n // 2 if layer.padding == "same" else 0 for n in spread)


def _ungrouped(layer: Conv) -> torch.Tensor:
    """Return the weights of a convolution of one group, with zeros between several groups.

    The types of NIR know of one group alone.
    """
    blocks = layer.weight.chunk(layer.groups)  # (out / groups, in / groups, *kernel) each
    rows = [
        torch.cat([block if k == j else 0 * block for j in range(layer.groups)], dim=1)
        for k, block in enumerate(blocks)
    ]
    return torch.cat(rows)


def _each_channel(weight: Array) -> Array:
    """Return the weights of a convolution that leaves channels apart.

    Their shape is (channels, channels, *kernel), made from (channels, *kernel).
    """
    full = np.zeros((len(weight), *weight.shape))
    full[range(len(weight)), range(len(weight))] = weight
    return full


def _by_channel(values: torch.Tensor, layer: Add) -> Array:
    full = values.expand(layer.shape).reshape(layer.shape[0], -1)
    if not bool((full == full[:, :1]).all()):
        raise ValueError(
            f"layer {layer.name!r} has weights that differ within a channel, which NIR has no"
            " node for"
        )
    return full[:, 0].numpy()


# ---- Nodes as layers
# --------------------------------------------------------------------------------------------------


def neuron_of(neurons: list[Foreign], dt_s: float) -> NeuronSpec:
    """Return the one kind of neuron of a file, thresholds and resistances aside."""
    import nir

    if len({type(node) for node in neurons}) != 1:
        raise ValueError("it must hold neurons of one kind, IF, LIF or CubaLIF")
    if not all((np.asarray(node.v_threshold) > 0).all() for node in neurons):
        raise ValueError("thresholds must be > 0")
    resets = _one([node.v_reset / node.v_threshold for node in neurons], "v_reset / v_threshold")
    leak: Fields = {}
    if not isinstance(neurons[0], nir.IF):
        leak = {
            "kind": "lif",
            "tau_m_ms": _exact_ms([tau_of(node) for node in neurons], "tau", dt_s),
        }
    if isinstance(neurons[0], nir.CubaLIF):
        leak["tau_syn_ms"] = _exact_ms([node.tau_syn for node in neurons], "tau_syn", dt_s)
    values = {**leak, "reset": "value", "v_reset": resets, "dt_ms": 1e3 * dt_s, "v_initial": 0.0}
    return recipes.build(NeuronSpec, values, what="its neurons")


def tau_of(node: Foreign) -> Foreign:
    """Return the time constants of the membranes of a node of leaky neurons."""
    import nir

    return node.tau_mem if isinstance(node, nir.CubaLIF) else node.tau


def _exact_ms(taus: list[Foreign], name: str, dt_s: float) -> float:
    """Return the time constant, in ms, whose exact step keeps as much as Euler's rule does."""
    kept = 1 - dt_s / _one(taus, name)
    if not 0 < kept <= 1:
        raise ValueError(f"its {name} must be > dt_s={dt_s:g}: Euler's rule has no leak like it")
    return -1e3 * dt_s / math.log(kept)


def _one(arrays: list[Foreign], name: str) -> float:
    values = np.concatenate([np.ravel(array) for array in arrays]).astype(np.float64)
    if not np.allclose(values, values[:1], rtol=1e-5, atol=1e-8):
        raise ValueError(
            f"{name} must be one for all neurons, got {values.min():g} to {values.max():g}"
        )
    return float(values[0])


def gain_of(node: Foreign, spec: NeuronSpec, dt_s: float) -> tuple[Foreign, Foreign]:
    """Return the factor and the summand of the currents of a file's neurons.

    They make up for the threshold of `spec` and a resistance of 1.
    """
    import nir

    per_threshold = spec.threshold / np.asarray(node.v_threshold, dtype=np.float64)
    filters = isinstance(node, nir.CubaLIF)
    if isinstance(node, nir.IF) != (spec.kind == "if") or filters != bool(spec.synaptic_decay):
        raise ValueError("its neurons are not those of its metadata")
    if isinstance(node, nir.IF):
        return np.asarray(node.r) * dt_s * per_threshold, 0.0
    taus = [(tau_of(node), spec.decay)]
    if filters:
        taus.append((node.tau_syn, spec.synaptic_decay))
    if not all(
        math.isclose(1 - dt_s / _one([tau], "tau"), kept, rel_tol=1e-5) for tau, kept in taus
    ):
        raise ValueError("its tau is not that of its metadata")
    if not filters:
        return np.asarray(node.r) * per_threshold, np.asarray(node.v_leak) * per_threshold
    if np.any(node.v_leak):
        raise ValueError("v_leak of a CubaLIF must be 0: its synapses would have to filter it")
    return np.asarray(node.w_in) * np.asarray(node.r) * per_threshold, 0.0


def layers_of(node: object, name: str, before: Layer, spec: NeuronSpec, dt_s: float) -> list[Layer]:
    """Return the layers of a node that takes what `before` gives.

    Neurons come with the map from the file's currents to theirs.
    """
    import nir

    here: Fields = {"name": name, "inputs": (before.name,), "shape": before.shape}
    match node:
        case nir.Affine() | nir.Linear():
            weight = _finite(node.weight)
            bias = _finite(getattr(node, "bias", np.zeros(len(weight))))
            if np.array_equal(weight, np.diag(np.diag(weight))):
                return [Add(**here, weights=(weight.diagonal(),), bias=bias)]
            return [Linear(**here | {"shape": (len(weight),)}, weight=weight, bias=bias)]
        case nir.Conv1d() | nir.Conv2d():
            return [_convolved(node, here)]
        case nir.Scale():
            return [Add(**here, weights=(_finite(node.scale),), bias=torch.tensor(0.0))]
        case nir.AvgPool2d():
            options = {
                key: _dims(getattr(node, key), 2) for key in ("kernel_size", "stride", "padding")
            }
            return [_shaped(AveragePool(**here, options=options))]
        case nir.SumPool2d():
            options = {
                key: _dims(getattr(node, key), 2) for key in ("kernel_size", "stride", "padding")
            }
            mean = _shaped(AveragePool(**here | {"name": f"{name}.mean"}, options=options))
            size = torch.tensor(float(math.prod(options["kernel_size"])), dtype=torch.float64)
            total: Fields = {"name": name, "inputs": (mean.name,), "shape": mean.shape}
            return [mean, Add(**total, weights=(size,), bias=torch.tensor(0.0))]
        case nir.Flatten():
            return [Reshape(**here | {"shape": (math.prod(before.shape),)})]
        case nir.IF() | nir.LIF() | nir.CubaLIF():
            gain, offset = (
                _per_channel(values, before.shape) for values in gain_of(node, spec, dt_s)
            )
            drive = Add(**here | {"name": f"{name}.drive"}, weights=(gain,), bias=offset)
            return [drive, Spike(**here | {"inputs": (drive.name,)})]
    raise ValueError(
        f"node {name!r} is a {type(node).__name__}; "
        "Affine, Linear, Scale, Conv1d, Conv2d, AvgPool2d, SumPool2d, Flatten, IF, LIF and"
        " CubaLIF are read"
    )


def _convolved(node: Foreign, here: Fields) -> Layer:
    """Return a convolution, or what it computes where it leaves channels apart.

    That is factors or means.
    """
    weight, bias, n = _finite(node.weight), _finite(node.bias), len(here["shape"]) - 1
    stride, dilation = _dims(node.stride, n), _dims(node.dilation, n)
    padding = node.padding if isinstance(node.padding, str) else _dims(node.padding, n)
    kernel, own = tuple(weight.shape[2:]), weight.diagonal().movedim(-1, 0)  # (channels, *kernel)
    if int(node.groups) == 1 and np.array_equal(weight, _each_channel(own.numpy())):
        if {*kernel, *stride} == {1} and padding == (0,) * n:
            return Add(**here, weights=(own,), bias=bias.reshape(-1, *[1] * n))
        mean = bool((own.float() == torch.tensor(1 / math.prod(kernel))).all())
        if mean and not bias.any() and set(dilation) == {1} and not isinstance(padding, str):
            return _shaped(
                AveragePool(
                    **here, options={"kernel_size": kernel, "stride": stride, "padding": padding}
                )
            )
    options: Fields = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": int(node.groups),
    }
    return _shaped(Conv(**here, weight=weight, bias=bias, **options))


def _shaped(layer: Layer) -> Layer:
    """Give a layer, whose shape is that of what it takes, the shape of what it gives."""
    with torch.no_grad():
        return replace(
            layer, shape=tuple(layer(torch.zeros(1, *layer.shape, dtype=torch.float64)).shape[1:])
        )


def _finite(values: object) -> torch.Tensor:
    found = torch.tensor(np.asarray(values, dtype=np.float64))
    if not bool(found.isfinite().all()):
        raise ValueError("its weights or parameters are NaN or infinite")
    return found


def _per_channel(values: object, shape: Shape) -> torch.Tensor:
    """Return values for each unit or channel of a layer, from those of its neurons.

    The values must not differ within a channel.
    """
    full = _finite(np.broadcast_to(np.asarray(values, dtype=np.float64), shape)).reshape(
        shape[0], -1
    )
    if not bool((full == full[:, :1]).all()):
        raise ValueError("thresholds and resistances must not differ within a channel")
    return full[:, 0].reshape(-1, *[1] * (len(shape) - 1))


def _dims(value: object, n: int) -> Shape:
    return tuple(int(v) for v in np.broadcast_to(np.asarray(value), n))


def shape_of(value: Foreign) -> tuple[int, ...]:
    """Return the shape that a node's type says."""
    return tuple(int(v) for v in np.ravel(value))
