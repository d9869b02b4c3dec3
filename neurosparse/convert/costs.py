"""Cost of an inference of a rectifier network and of its spiking twin.

Operations are counted, and turned into energy by named tables.

An operation is a connection that something travels over: a multiply-accumulate for a value, a
synaptic operation (an addition) for a spike. The rectifier network is counted twice: dense, all
connections, and active, those from values that are not 0, which is what an implementation that uses
the zeros has to do. Biases, pooling and comparisons are left out on both sides.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurosparse import reference
from neurosparse._internal import checks
from neurosparse._internal.digits import three_digits
from neurosparse.convert.graph import Add, AveragePool, Conv, Graph, Linear

_DATA = Path(reference.__file__).with_name("operations.toml")


@dataclass(frozen=True, slots=True)
class Device:
    """Cost of operations on a device, in pJ.

    Parameters
    ----------
    accumulate_pJ
        Of a synaptic operation.
    update_pJ
        Of a neuron, each step.
    trust
        A, B or C; C is unverified.
    multiply_accumulate_pJ
        None where the device multiplies no values: it is then compared with the dense network on
        "float32_45nm".
    """

    key: str
    label: str
    source: str
    accumulate_pJ: float
    update_pJ: float
    trust: str
    note: str
    multiply_accumulate_pJ: float | None = None

    def __post_init__(self) -> None:
        checks.positive("accumulate_pJ", self.accumulate_pJ)
        checks.not_negative("update_pJ", self.update_pJ)
        if self.multiply_accumulate_pJ is not None:
            checks.positive("multiply_accumulate_pJ", self.multiply_accumulate_pJ)


@cache
def devices() -> dict[str, Device]:
    """Return the devices that come with the package by key.

    They are float32_45nm, int8_45nm, loihi and spinnaker2.
    """
    entries = tomllib.loads(_DATA.read_text(encoding="utf-8"))["device"]
    return {entry["key"]: Device(**entry) for entry in entries}


@dataclass(frozen=True, slots=True)
class Operations:
    """Operations of one inference, as means over inputs.

    Attributes
    ----------
    dense, active
        Multiply-accumulates of the source network: all, and those from values that are not 0.
    input
        Multiply-accumulates of the spiking network: those from the inputs that are not 0, once,
        where the coding is constant.
    synaptic
        Additions of the spiking network: connections that spikes travel over.
    updates
        Neurons times steps.
    steps
        How long the spiking network ran.
    """

    dense: float
    active: float
    input: float
    synaptic: float
    updates: float
    steps: int


@dataclass(frozen=True, slots=True)
class Energy:
    """Cost of one inference on a device, in nJ; made by `energy`.

    Attributes
    ----------
    dense_nJ, active_nJ
        The source network, on "float32_45nm" where the device has no multiplication.
    break_even_steps, break_even_active_steps
        The steps at which the spiking network costs as much as the dense one, and as the active
        one: with fewer it costs less. Its rates are taken as they are.
    """

    device: Device
    dense_nJ: float
    active_nJ: float
    spiking_nJ: float
    break_even_steps: float
    break_even_active_steps: float

    def sentence(self) -> str:
        """Return the comparison in words."""
        parts = [f"{self.device.label}: an inference takes {three_digits(self.spiking_nJ)} nJ."]
        for other, whose, until in (
            (self.dense_nJ, "the dense network", self.break_even_steps),
            (self.active_nJ, "the network without its zeros", self.break_even_active_steps),
        ):
            costs = (
                f"less up to {last:,} step{'s' * (last > 1)}"
                if (last := last_below(until))
                else "more at any number of steps"
            )
            times = three_digits(self.spiking_nJ / other)
            parts.append(f"That is {times} times the energy of {whose}; it costs {costs}.")
        return " ".join(parts)


def last_below(break_even: float) -> int:
    """Return the most steps that cost less than those at the break-even; 0 where none do.

    Examples
    --------
    >>> last_below(24.52), last_below(24.0), last_below(0.7)
    (24, 23, 0)
    """
    return max(0, math.ceil(break_even) - 1)


def energy(operations: Operations, device: Device) -> Energy:
    """Return what one inference costs on a device.

    Examples
    --------
    >>> found = energy(Operations(1000, 400, 100, 2000, 100, steps=10), devices()["float32_45nm"])
    >>> round(found.dense_nJ, 2), round(found.spiking_nJ, 2), round(found.break_even_steps)
    (4.6, 2.35, 22)
    """
    multiply = (
        device.multiply_accumulate_pJ or devices()["float32_45nm"].multiply_accumulate_pJ or 0.0
    )
    once = operations.input * (device.multiply_accumulate_pJ or device.accumulate_pJ)
    stepped = operations.synaptic * device.accumulate_pJ + operations.updates * device.update_pJ
    dense, active = operations.dense * multiply, operations.active * multiply
    until = [operations.steps * max(0.0, rival - once) / stepped for rival in (dense, active)]
    return Energy(device, dense * 1e-3, active * 1e-3, (once + stepped) * 1e-3, *until)


@torch.no_grad()
def traffic(graph: Graph, events: Mapping[str, Tensor]) -> Tensor:
    """Count the connections that events travel over.

    Parameters
    ----------
    graph
        The layers; the weights themselves do not matter.
    events
        How many events each unit of some layers sends, shape (n, *layer shape): the input and the
        `Spike` layers. A pooled unit sends on what comes in; a unit that adds up currents without
        spiking sends one value if anything comes in.

    Returns
    -------
    tensor, shape (n,)
        For each sample, over all linear maps and convolutions.
    """
    flow: dict[str, Tensor] = {}
    total: Any = 0.0
    for layer in graph.layers:
        if layer.name in events:
            flow[layer.name] = events[layer.name].double()
            continue
        before = [flow[name] for name in layer.inputs]
        if isinstance(layer, Linear | Conv):
            ones = replace(
                layer,
                weight=torch.ones_like(layer.weight).double(),
                bias=torch.zeros_like(layer.bias).double(),
            )
            reached = ones(*before)
            total = total + reached.flatten(1).sum(1)
            flow[layer.name] = (reached > 0).double()
        elif isinstance(layer, AveragePool):
            window = np.broadcast_to(layer.options["kernel_size"], len(layer.shape) - 1)
            flow[layer.name] = layer(*before) * int(window.prod())
        elif isinstance(layer, Add):
            flow[layer.name] = torch.stack(before).sum(0)
        else:
            flow[layer.name] = layer(*before)
    result: Tensor = total
    return result
