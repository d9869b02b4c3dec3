"""Layers of a graph, laid out for the kernels of `kernels.spike_rows`; `events` runs them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np
import torch

from neurosparse._internal.types import Array
from neurosparse.convert.graph import Add, Conv, Graph, Layer, Linear
from neurosparse.convert.neurons import NeuronSpec
from neurosparse.convert.windows import Pair, grid
from neurosparse.convert.wiring import Connection, Pool, Wiring
from neurosparse.kernels.network import spike_rows
from neurosparse.kernels.network.layout import Floats
from neurosparse.kernels.network.spike_rows import Cell


@dataclass(frozen=True, slots=True)
class Block:
    """A layer that is computed by itself: neurons, or values that others take."""

    layer: Layer
    inlined: tuple[Layer, ...]  # the last gives its values or, of neurons, their current
    leaves: tuple[str, ...]  # whose values these take
    sources: tuple[str, ...]  # whose spikes it takes by events; none where there are only values
    weights: Floats = field(repr=False)  # (blocks, inputs, width), as the kernel takes them
    wires: spike_rows.Wiring = field(repr=False)
    reach: Mapping[str, Array] = field(repr=False)  # weights that a spike of each pixel adds
    dense_work: int  # multiplications of an image in a step where all units are computed

    @property
    def width(self) -> int:
        """Channels of a row of the kernel."""
        return int(self.weights.shape[2])

    @property
    def n_pixels(self) -> int:
        """Pixels of the layer."""
        return len(self.wires.start) - 1

    @property
    def filled(self) -> int:
        """Channels of the layer, filled up to whole rows."""
        return int(self.weights.shape[0]) * self.width


@dataclass(frozen=True, slots=True)
class EventNetwork:
    """A graph with its weights laid out for the kernels; `prepared` makes it."""

    graph: Graph
    blocks: tuple[Block, ...]
    pools: Mapping[str, Pool]
    cell: Cell
    events: frozenset[str]  # layers whose values are spikes, 0 or 1


def prepared(
    graph: Graph,
    neuron: NeuronSpec,
    *,
    steady: Collection[str],
    summed: Collection[str],
    signed: bool = False,
) -> EventNetwork:
    """Lay a graph out.

    Layers named in `steady` have the same values in every step; `summed` are wanted as sums. The
    input's spikes are values where they are `signed`.

    Raises
    ------
    ValueError
        With the reason, for a graph that has to be run in torch.
    """
    if neuron.tau_syn_ms is not None:
        raise ValueError(f"its synapses filter what comes in (tau_syn_ms={neuron.tau_syn_ms:g})")
    for layer in graph.layers:
        weight = getattr(layer, "weight", None)
        if weight is not None and (weight.dtype != torch.float32 or weight.device.type != "cpu"):
            raise ValueError(f"the weights of {layer.name} are not float32 on the CPU")
    drivers = {spike.name: spike.inputs[0] for spike in graph.spikes}
    separate = set(summed) - set(steady) - drivers.keys() - {graph.input.name}
    wiring = Wiring(graph, steady=steady, separate=separate, signed=signed)
    found: dict[str, tuple[Connection, ...]] = {}
    while True:
        # wiring one layer may show that another has to be computed by itself
        before = len(wiring.separate)
        for name in {**drivers, **dict.fromkeys(wiring.separate)}:
            found[name] = wiring.of(drivers.get(name, name), taken=name in drivers)
        if len(wiring.separate) == before:
            break
    kept = wiring.separate | {*steady, *drivers, graph.input.name}
    blocks = tuple(
        _block(graph, layer, drivers.get(layer.name), found[layer.name], kept)
        for layer in graph.layers
        if layer.name in found
    )
    events = set(drivers) if signed or graph.input.name in steady else {*drivers, graph.input.name}
    return EventNetwork(graph, blocks, wiring.pools, _cell(neuron), frozenset(events))


def _cell(neuron: NeuronSpec) -> Cell:
    return Cell(
        threshold=np.float32(neuron.threshold),
        leak=np.float32(neuron.kind == "lif"),
        decay=np.float32(neuron.decay),
        keep=np.float32(neuron.reset == "subtract"),
        jump=np.float32(-neuron.threshold if neuron.reset == "subtract" else neuron.v_reset),
        t_ref_steps=neuron.t_ref_steps,
        v_initial=np.float32(neuron.v_initial * neuron.threshold),
    )


def _block(
    graph: Graph,
    layer: Layer,
    driver: str | None,
    connections: tuple[Connection, ...],
    kept: Collection[str],
) -> Block:
    last = layer.name if driver is None else driver
    inlined, leaves = _between(graph, last, kept, inside=driver is None)
    size, channels = grid(layer.shape), layer.shape[0]
    width = spike_rows.width_for(channels)
    rows = [_rows(connection, channels) for connection in connections]
    weight = np.concatenate([np.zeros((0, channels), np.float32), *rows])
    offsets = np.cumsum([0, *map(len, rows)])
    sources = tuple(dict.fromkeys(connection.source for connection in connections))
    wires = joined(
        (
            stretches(connection, size, sources.index(connection.source), int(offset))
            for connection, offset in zip(connections, offsets, strict=False)
        ),
        prod(size),
    )
    weights = spike_rows.laid_out(weight, width)
    each = weights.shape[0] * width
    reach = {
        source: each * _reached(wires, k, prod(c.grid))
        for k, source in enumerate(sources)
        for c in connections
        if c.source == source
    }
    return Block(layer, inlined, leaves, sources, weights, wires, reach, _work(inlined))


def _between(
    graph: Graph, last: str, kept: Collection[str], *, inside: bool
) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """Return the layers up to the last one whose values nothing keeps, and what these take.

    Both in order; the last one is among the former if `inside`.
    """
    inlined: dict[str, Layer] = {}
    leaves: dict[str, None] = {}
    wanted = {last}
    for layer in reversed(graph.layers):
        if layer.name not in wanted:
            continue
        if layer.name in kept and not (inside and layer.name == last):
            leaves[layer.name] = None
        else:
            inlined[layer.name] = layer
            wanted.update(layer.inputs)
    return tuple(reversed(inlined.values())), tuple(leaves)


def _work(layers: Iterable[Layer]) -> int:
    total = 0
    for layer in layers:
        if isinstance(layer, Conv | Linear):
            total += prod(layer.shape) * layer.weight[0].numel()
        elif isinstance(layer, Add):
            total += prod(layer.shape) * len(layer.inputs)
    return total


def _rows(connection: Connection, channels: int) -> Floats:
    """Return the weights that a spike of each channel adds, by place in the kernel.

    Shape (rows * columns * channels of the source, channels).
    """
    by_place = connection.weight.detach().permute(2, 3, 1, 0)
    whole = by_place.new_zeros(by_place[..., 0].numel(), channels)
    end = connection.offset + by_place.shape[3]
    whole[:, connection.offset : end] = by_place.flatten(0, 2)
    rows: Floats = whole.float().numpy()
    return rows


def stretches(
    connection: Connection, size: Pair, source: int, offset: int
) -> tuple[Array, spike_rows.Wiring]:
    """Return the stretches that a connection takes (without `start`), and the pixel of each.

    Its weights are the rows from `offset` on.
    """
    _, n_in, n_rows, n_columns = connection.weight.shape
    rows, columns = connection.grid
    # neighbouring pixels are one stretch where their weights are neighbours too
    long = connection.dilation[1] == 1
    n_parts, length = (1, n_columns) if long else (n_columns, 1)
    y, x, ky, kx = np.meshgrid(
        np.arange(size[0]), np.arange(size[1]), np.arange(n_rows), np.arange(n_parts), indexing="ij"
    )
    at_y = y * connection.stride[0] - connection.padding[0] + ky * connection.dilation[0]
    at_x = x * connection.stride[1] - connection.padding[1] + kx * connection.dilation[1]
    low, high = at_x.clip(0, columns), (at_x + length).clip(0, columns)
    row = offset + (ky * n_columns + kx - at_y * columns - at_x) * n_in
    there = (at_y >= 0) & (at_y < rows) & (high > low)
    wires = spike_rows.Wiring(
        np.empty(0, np.int64),
        np.full(there.sum(), source),
        (at_y * columns + low)[there],
        (at_y * columns + high)[there],
        row[there],
    )
    return (y * size[1] + x)[there], wires


def joined(parts: Iterable[tuple[Array, spike_rows.Wiring]], n_pixels: int) -> spike_rows.Wiring:
    """Put the stretches of several connections in the order of pixels."""
    found = [(pixel, *wires[1:]) for pixel, wires in parts]
    nothing = np.zeros(0, np.int64)
    pixel, *fields = (np.concatenate([nothing, *(part[k] for part in found)]) for k in range(5))
    order = np.argsort(pixel, kind="stable")
    start = np.cumsum([0, *np.bincount(pixel, minlength=n_pixels)])
    return spike_rows.Wiring(start, *(values[order] for values in fields))


def _reached(wires: spike_rows.Wiring, source: int, n_pixels: int) -> Array:
    """Count the pixels of the layer that each pixel of a source reaches."""
    of = wires.source == source
    ends = np.zeros(n_pixels + 1, np.int64)
    np.add.at(ends, wires.low[of], 1)
    np.add.at(ends, wires.high[of], -1)
    return ends.cumsum()[:-1]
