"""Running a spiking network on the CPU at a cost in proportion to its spikes: `kernels.spike_rows`
on the graph of `convert.graph`.

The neurons and the order of layers are those of `convert.network`, but a layer goes through all its
steps before the next begins. A current is summed in another order, so that in float32 a neuron
which comes within a rounding of its threshold may spike a step sooner or later. Where the sums are
exact, all spikes are the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np
import torch
from torch import Tensor

from neurosparse.convert.graph import Graph, Input, Linear, Reshape, Spike
from neurosparse.convert.neurons import NeuronSpec
from neurosparse.kernels.intrinsics import ROW as WIDTH
from neurosparse.kernels.network import spike_rows
from neurosparse.kernels.network.layout import Floats
from neurosparse.kernels.network.spike_rows import Cell, Spikes
from neurosparse.progress import Progress, quiet

MOST_AT_ONCE = 128  # images that share a block of weights while it is in the cache
ROOM = 2**24  # spikes that a layer can fire at once: with many steps, fewer images


@dataclass(frozen=True, slots=True)
class Neurons:
    """A layer of neurons and what drives them."""

    spike: Spike
    source: str  # whose spikes, or the steady layer that is their current
    weights: Floats = field(
        repr=False
    )  # (blocks, inputs, WIDTH), as the kernel takes them; no inputs where the current is steady
    bias: Floats = field(repr=False)  # (1, blocks * WIDTH)


@dataclass(frozen=True, slots=True)
class EventNetwork:
    """A graph with its weights laid out for the kernel; `prepared` makes it."""

    graph: Graph
    layers: tuple[Neurons, ...]
    cell: Cell


def prepared(
    graph: Graph, neuron: NeuronSpec, *, steady: Collection[str], summed: Collection[str]
) -> EventNetwork:
    """Lay a graph out, in which the layers named in `steady` have the same values in every step;
    `summed` are wanted as sums.

    Raises
    ------
    ValueError
        With the reason, for a graph that has to be run in torch.
    """
    spikes = {spike.name for spike in graph.spikes}
    if others := set(summed) - spikes - set(steady):
        raise ValueError(f"the output depends on {min(others)} in other ways than through spikes")
    cell = Cell(
        threshold=np.float32(neuron.threshold),
        leak=np.float32(neuron.kind == "lif"),
        decay=np.float32(neuron.decay),
        keep=np.float32(neuron.reset == "subtract"),
        jump=np.float32(-neuron.threshold if neuron.reset == "subtract" else neuron.v_reset),
        t_ref_steps=neuron.t_ref_steps,
        v_initial=np.float32(neuron.v_initial * neuron.threshold),
    )
    return EventNetwork(
        graph, tuple(_neurons(graph, spike, steady) for spike in graph.spikes), cell
    )


def _neurons(graph: Graph, spike: Spike, steady: Collection[str]) -> Neurons:
    (name,) = spike.inputs
    n = prod(spike.shape)
    if name in steady:
        return Neurons(
            spike,
            name,
            spike_rows.laid_out(np.zeros((n, 0), np.float32)),
            _filled(np.zeros((1, n), np.float32)),
        )
    linear = graph[name]
    if not isinstance(linear, Linear):
        raise ValueError(
            f"{spike.name} is driven by {name}, which is {type(linear).__name__}, not Linear"
        )
    if linear.weight.dtype != torch.float32 or linear.weight.device.type != "cpu":
        raise ValueError(f"the weights of {name} are not float32 on the CPU")
    source = graph[linear.inputs[0]]
    while isinstance(source, Reshape):
        source = graph[source.inputs[0]]
    if not isinstance(source, Spike | Input) or len(linear.shape) > 1:
        raise ValueError(
            f"{name} takes {source.name}, which is {type(source).__name__}, not a row of spikes"
        )
    weights = spike_rows.laid_out(linear.weight.detach().numpy())
    return Neurons(spike, source.name, weights, _filled(linear.bias.detach().numpy()[None]))


def _filled(values: Floats) -> Floats:
    """(k, n) with zeros up to whole blocks of neurons."""
    filled = np.zeros((len(values), spike_rows.n_blocks(values.shape[1]) * WIDTH), np.float32)
    filled[:, : values.shape[1]] = values
    return filled


def run(
    network: EventNetwork,
    values: Mapping[str, Tensor],
    shown: Tensor | None,
    steps: int,
    *,
    at: Collection[int],
    record_spikes: bool = False,
    progress: Progress = quiet,
) -> tuple[dict[int, dict[str, Tensor]], dict[str, Tensor]]:
    """Run all layers of neurons.

    Parameters
    ----------
    values
        Of the steady layers, shape (n, ...).
    shown : tensor of bool, shape (steps, n, ...), or None
        What the input fires, where it is not steady.
    at
        Numbers of steps, up to `steps`.

    Returns
    -------
    counts : dict
        The spikes of each neuron, shape (n, *layer shape), by the number of steps until then and by
        layer.
    spikes : dict
        By layer, shape (steps, n, *layer shape): all spikes, where they were asked for.
    """
    shapes = {layer.spike.name: layer.spike.shape for layer in network.layers}
    n = len(next(iter(values.values()))) if shown is None else shown.shape[1]
    size = min(max(ROOM // (steps * max(map(prod, shapes.values()))), 1), MOST_AT_ONCE)
    counts: dict[int, dict[str, list[Tensor]]] = {t: {name: [] for name in shapes} for t in at}
    spikes: dict[str, list[Tensor]] = {name: [] for name in shapes} if record_spikes else {}
    for begin in range(0, n, size):
        part = slice(begin, begin + size)
        fired = _run_part(
            network,
            {name: value[part] for name, value in values.items()},
            None if shown is None else shown[:, part],
            steps,
        )
        for name, shape in shapes.items():
            for t, by_layer in counts.items():
                by_layer[name].append(_counts(fired[name], t, shape))
            if record_spikes:
                dense = torch.from_numpy(spike_rows.dense(fired[name], prod(shape)))
                spikes[name].append(dense.unflatten(2, shape))
        progress(min(begin + size, n) / n, f"input {min(begin + size, n)} of {n}")
    return (
        {
            t: {name: torch.cat(found) for name, found in by_layer.items()}
            for t, by_layer in counts.items()
        },
        {name: torch.cat(found, dim=1) for name, found in spikes.items()},
    )


def _run_part(
    network: EventNetwork, values: Mapping[str, Tensor], shown: Tensor | None, steps: int
) -> dict[str, Spikes]:
    """The spikes of each layer for a few images."""
    fired = (
        {}
        if shown is None
        else {network.graph.input.name: spike_rows.listed(shown.flatten(2).numpy())}
    )
    n = len(next(iter(values.values()))) if shown is None else shown.shape[1]
    nothing = spike_rows.no_spikes(n, steps)
    for layer in network.layers:
        steady = layer.source in values
        current = _filled(values[layer.source].flatten(1).numpy()) if steady else layer.bias
        spikes_in = nothing if steady else fired[layer.source]
        fired[layer.spike.name] = spike_rows.run_layer(
            layer.weights, current, network.cell, spikes_in, prod(layer.spike.shape)
        )
    return fired


def _counts(spikes: Spikes, steps: int, shape: tuple[int, ...]) -> Tensor:
    counts = np.zeros((len(spikes.first), prod(shape)), np.float32)
    spike_rows.count(spikes, steps, counts)
    result: Tensor = torch.from_numpy(counts).unflatten(1, shape)
    return result
