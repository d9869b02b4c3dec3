"""Weights in which a rate of spikes stands for an activation.

Weights are normalised, and the neurons balanced.

A layer whose activations lie in [0, lambda] is to spike at the rate r_max a / lambda. With the
scale s = lambda / r_max of the layer before, and the gain g and offset c of the neurons
(`balance`), that is

    W' = g W s_before / lambda,    b' = g b / lambda + c

(Rueckauer et al. 2017, Front Neurosci 11:682, eq. 6, where g = 1, c = 0 and r_max = 1). Every path
into a layer is brought to that layer's scale, so branches and residual additions stay consistent;
what no neurons follow is in the source's own units.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import minimize_scalar
from torch import Tensor

from neurosparse import lif
from neurosparse._internal.units import plain
from neurosparse.convert.graph import (
    Add,
    AveragePool,
    Concatenate,
    Conv,
    Graph,
    Input,
    Layer,
    Linear,
    MaxPool,
    Part,
    Reshape,
    Spike,
)
from neurosparse.convert.neurons import NeuronSpec
from neurosparse.recipes import Spec

N_LEVELS = 200  # activations between 0 and 1 that the balance of a neuron is fitted to


class Normalisation(Spec):
    """Rule by which the scale lambda of each layer is chosen.

    It is chosen from the layer's activations on the calibration inputs.

    Parameters
    ----------
    method
        "maximum": the largest activation. "percentile": the one that `percentile` of all
        activations, zeros included, do not exceed; those above saturate. "none": 1, for networks
        whose activations are at most 1.
    percentile
        In (0, 100].
    per
        Whether the activations are those of a "layer" or of a "channel" (a unit of a fully
        connected layer). A channel whose percentile is 0 gets the largest scale of its layer.
        "auto": of a channel where a layer rectifies what several layers gave, concatenated, as in a
        DenseNet, and of a layer elsewhere.
    """

    method: Literal["percentile", "maximum", "none"] = "percentile"
    percentile: Annotated[float, Field(gt=0, le=100)] = 99.9
    per: Literal["auto", "layer", "channel"] = "auto"


def ceilings(
    graph: Graph, batches: Iterable[Tensor], n_samples: int, how: Normalisation
) -> dict[str, Tensor]:
    """Return the scale lambda of each layer of rectifiers, from a source graph.

    Parameters
    ----------
    graph
        As traced.
    batches
        Inputs, `n_samples` in all.
    n_samples
        The number of inputs.
    how
        The rule by which the scales are chosen.

    Returns
    -------
    dict
        By the layer's name: a tensor that broadcasts against the shape of a sample.

    Raises
    ------
    ValueError
        For a layer that is never active.
    """
    measured = [spike for spike in graph.spikes if spike.activation is None]
    if how.method == "none":
        return {spike.name: torch.tensor(1.0, dtype=torch.float64) for spike in measured}
    share = 0.0 if how.method == "maximum" else 1 - how.percentile / 100
    top: dict[str, Tensor] = {}
    for batch in batches:
        values = graph.values(batch)
        for spike in measured:
            channels = how.per == "channel" or (
                how.per == "auto" and _rectifies_parts(graph, spike)
            )
            rows = _rows(values[spike.name], "channel" if channels else "layer")
            n = rows.shape[1] * n_samples // len(batch)
            k = min(n, 1 + math.floor(share * (n - 1)))  # the k-th largest of all is the percentile
            found = rows if spike.name not in top else torch.cat([top[spike.name], rows], dim=1)
            top[spike.name] = found.topk(min(k, found.shape[1]), dim=1).values
    return {spike.name: _ceiling(spike, top[spike.name]) for spike in measured}


def _rectifies_parts(graph: Graph, layer: Layer) -> bool:
    """Say whether a layer takes concatenated values, but for factors and pools of each channel."""
    before = [graph[name] for name in layer.inputs]
    return len(before) == 1 and (
        isinstance(before[0], Concatenate)
        or (
            isinstance(before[0], Add | AveragePool | MaxPool)
            and _rectifies_parts(graph, before[0])
        )
    )


def _rows(values: Tensor, per: str) -> Tensor:
    """Lay out activations (n, channels, ...) as (rows, values).

    There is a row for each channel, or one for all.
    """
    return values.flatten()[None] if per == "layer" else values.transpose(0, 1).flatten(1)


def _ceiling(spike: Spike, top: Tensor) -> Tensor:
    largest = top.max()
    if largest <= 0:
        raise ValueError(
            f"layer {spike.name!r} is never active on the calibration inputs, so its scale is"
            " unknown: give others"
        )
    kth = top[:, -1]
    kth = torch.where(kth > 0, kth, kth.max() if bool(kth.max() > 0) else largest)
    return kth[0] if len(kth) == 1 else kth.reshape(-1, *[1] * (len(spike.shape) - 1))


def balance(neuron: NeuronSpec) -> tuple[float, float]:
    """Return gain g and offset c of the current under which a neuron stands for a.

    Under the current I = g a + c it spikes at the rate r_max a, for a in [0, 1].

    For a neuron without a leak or refractory period that is exact, with c = 0. Other f-I curves are
    bent, and a sum of spikes can be scaled and shifted but not bent: a line takes the place of the
    inverse f-I curve. It meets the curve at a = 1. Its offset is at most the rheobase, so that a
    unit at 0 is silent. It minimises the mean over a of (rate_per_step(g a + c) - r_max a)^2.

    Examples
    --------
    >>> balance(NeuronSpec(threshold=2.0))
    (2.0, 0.0)
    """
    if neuron.kind == "if" and not neuron.t_ref_steps:
        return neuron.span * neuron.max_rate, 0.0
    rheobase = neuron.threshold if neuron.kind == "lif" else 0.0
    top = float(current_for(neuron.max_rate, neuron))
    a = np.arange(1, N_LEVELS + 1) / N_LEVELS

    def error(offset: float) -> float:
        return float(
            ((rate_per_step((top - offset) * a + offset, neuron) - neuron.max_rate * a) ** 2).mean()
        )

    bounds, precision = (rheobase - top / 2, rheobase), {"xatol": 1e-6 * top}
    offset = float(minimize_scalar(error, bounds=bounds, method="bounded", options=precision).x)
    return top - offset, offset


def bend(neuron: NeuronSpec) -> float:
    """Return how far the f-I curve is from the line of `balance`.

    It is the root mean square over a in [0, 1], as a part of the highest rate.

    Refractory periods bend it by r_max t_ref, leaks near the rheobase by 1 / (r_max tau). It is
    about 0.12 r_max t_ref for IF neurons. For LIF neurons it is at least 0.16 sqrt(t_ref / tau), at
    r_max = 0.8 / sqrt(tau t_ref).

    Examples
    --------
    >>> round(bend(NeuronSpec(kind="lif", t_ref_ms=2.0)), 3)
    0.056
    """
    gain, offset = balance(neuron)
    a = np.arange(1, N_LEVELS + 1) / N_LEVELS
    return float(
        np.sqrt(((rate_per_step(gain * a + offset, neuron) / neuron.max_rate - a) ** 2).mean())
    )


def rate_per_step(current: object, neuron: NeuronSpec) -> NDArray[np.float64]:
    """Return the spikes a step under a constant current: the f-I curve as if time had no steps.

    At most 1 / (1 + t_ref). A LIF neuron in steps is slower by up to a share dt / (2 tau) of its
    rate: 2.5 % with the values by default.
    """
    drive = np.asarray(plain("current", current), dtype=np.float64)
    if neuron.kind == "lif":
        free = lif.rate(drive, neuron.lif) * 1e-3 * neuron.dt_ms
    else:
        free = 1 / (neuron.t_ref_steps + neuron.span / np.maximum(drive, 1e-300))
    spikes: NDArray[np.float64] = np.minimum(free, 1 / (1 + neuron.t_ref_steps))
    return spikes


def current_for(rate: object, neuron: NeuronSpec) -> NDArray[np.float64]:
    """Return the constant current for a rate of spikes a step, in (0, 1 / (1 + t_ref)].

    The inverse of `rate_per_step`.
    """
    f = np.asarray(plain("rate", rate), dtype=np.float64)
    if neuron.kind == "lif":
        drive: NDArray[np.float64] = lif.current(f * 1e3 / neuron.dt_ms, neuron.lif)
        return drive
    return neuron.span / (1 / f - neuron.t_ref_steps)


def normalised(
    graph: Graph, ceilings: dict[str, Tensor], neuron: NeuronSpec, *, input_scale: float = 1.0
) -> Graph:
    """Return the graph whose `Spike` layers get currents and give spikes.

    Its function is the same, layer by layer up to a scale.

    Parameters
    ----------
    graph
        As traced; it is left as it is.
    ceilings
        The scale lambda of each layer of rectifiers.
    neuron
        The neuron that all `Spike` layers have.
    input_scale
        What the inputs are divided by.

    Returns
    -------
    Graph
        Its output is that of `graph`.
    """
    neurons = {spike.name: _balanced(spike, ceilings, neuron) for spike in graph.spikes}
    driven = _driven(graph)
    layers: list[Layer] = []
    # what 1 in the output of a layer stands for, in the source's units
    worth: dict[str, Tensor] = {}
    for layer in graph.layers:
        before = [worth[name] for name in layer.inputs]
        if isinstance(layer, Input):
            layers.append(replace(layer, scale=input_scale))
            worth[layer.name] = torch.tensor(input_scale, dtype=torch.float64)
        elif isinstance(layer, Spike):
            spike = neurons[layer.name]
            # nobody else may want what comes in at this scale
            if layer.name not in driven.values():
                drive = Add(
                    name=f"{layer.name}.drive",
                    inputs=layer.inputs,
                    shape=layer.shape,
                    weights=(before[0] * spike.gain,),
                    bias=spike.offset,
                )
                layers.append(drive)
                spike = replace(spike, inputs=(drive.name,))
            layers.append(spike)
            worth[layer.name] = spike.scale
        elif isinstance(layer, Linear | Conv | Add):
            layers.append(_scaled(layer, before, neurons.get(driven.get(layer.name, ""))))
            worth[layer.name] = torch.tensor(1.0)
        else:
            layers.append(layer)
            worth[layer.name] = _passed(layer, before, graph)
    last = graph.layers[-1]
    if not isinstance(last, Linear | Conv | Add):
        unit = worth[last.name]
        layers.append(
            Add(
                name=f"{last.name}.units",
                inputs=(last.name,),
                shape=last.shape,
                weights=(unit,),
                bias=torch.zeros_like(unit),
            )
        )
    return Graph(tuple(layers))


def _balanced(spike: Spike, ceilings: dict[str, Tensor], neuron: NeuronSpec) -> Spike:
    """Return the layer with the gain, offset and scale of its neurons."""
    if spike.activation is not None:
        values: Any = spike.activation.spike_balance(neuron)  # type: ignore[operator]
        gain, offset, scale = (torch.as_tensor(value, dtype=torch.float64) for value in values)
        return replace(spike, gain=gain, offset=offset, scale=scale)
    level = ceilings[spike.name]
    if math.isfinite(spike.ceiling):  # the highest rate there is stands for the highest activation
        highest = 1e3 / (neuron.dt_ms + neuron.t_ref_ms)
        neuron = neuron.model_copy(update={"max_rate_hz": highest})
    slope, shift = balance(neuron)
    return replace(
        spike,
        gain=slope / level,
        offset=torch.full_like(level, shift),
        scale=level / neuron.max_rate,
    )


def _driven(graph: Graph) -> dict[str, str]:
    """Return the layers with weights whose output goes to one layer of neurons alone.

    The value is the name of that layer of neurons.
    """
    sole = {
        layer.name: graph.consumers(layer.name)
        for layer in graph.layers
        if isinstance(layer, Linear | Conv | Add)
    }
    return {
        name: after[0].name
        for name, after in sole.items()
        if len(after) == 1 and isinstance(after[0], Spike)
    }


def _scaled(layer: Linear | Conv | Add, before: list[Tensor], spike: Spike | None) -> Layer:
    """Return the layer with the scales of its inputs in its weights.

    The gain and offset of the neurons that it drives are in them, too.
    """
    gain, offset = (
        (torch.tensor(1.0), torch.tensor(0.0)) if spike is None else (spike.gain, spike.offset)
    )
    if isinstance(layer, Add):
        weights = tuple(
            weight * scale * gain for weight, scale in zip(layer.weights, before, strict=True)
        )
        return replace(layer, weights=weights, bias=layer.bias * gain + offset)
    (scale,) = before
    weight, kernel = layer.weight, [1] * (layer.weight.ndim - 2)
    # one for each input channel: (out, in / groups, 1...), for a group of outputs sees its inputs
    # alone
    if scale.ndim:
        groups = layer.groups if isinstance(layer, Conv) else 1
        scale = scale.reshape(groups, 1, -1, *kernel)
        weight = (weight.reshape(groups, -1, *weight.shape[1:]) * scale).reshape(weight.shape)
    else:
        weight = weight * scale
    rows = gain.reshape(-1, 1, *kernel) if gain.ndim else gain
    return replace(layer, weight=weight * rows, bias=layer.bias * gain.flatten() + offset.flatten())


def _passed(layer: Layer, before: list[Tensor], graph: Graph) -> Tensor:
    """Return the scale of what pooling, reshaping or concatenation gives."""
    shapes = [graph[name].shape for name in layer.inputs]
    if isinstance(layer, Reshape) and before[0].ndim:
        if len(layer.shape) > 1:
            raise ValueError(
                f"layer {layer.name!r} gives units another shape, so channels mix: normalise"
                ' per="layer"'
            )
        return before[0].expand(shapes[0]).flatten()
    if isinstance(layer, Part) and before[0].ndim:
        return before[0][layer.start : layer.start + layer.shape[0]]
    if isinstance(layer, Concatenate):
        ones = [1] * (len(layer.shape) - 1)
        return torch.cat(
            [scale.expand(shape[0], *ones) for scale, shape in zip(before, shapes, strict=True)]
        )
    return before[0]
