"""Running a spiking network on the CPU at a cost in proportion to its spikes.

`kernels.spike_rows` runs the graph of `convert.graph`, wired by `convert.wiring`.

The neurons and the order of layers are those of `convert.network`, but a layer goes through all its
steps before the next begins. Each layer takes one of two paths, by how many spikes reach it. By
"events", each spike adds its weights to the neurons that it reaches. Where so many units fire that
this is no less work, torch computes the layer from "values", for all steps at once. So it does
where a layer is no sum of spikes.

A current is summed in another order, so that in float32 a neuron which comes within a rounding of
its threshold may spike a step sooner or later. Where the sums are exact, all spikes are the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from neurosparse._internal.types import Array
from neurosparse.convert.blocks import Block, EventNetwork
from neurosparse.convert.graph import Layer, MaxPool, Shape, Spike
from neurosparse.convert.runs import LayerPath
from neurosparse.kernels.intrinsics import as_type
from neurosparse.kernels.network import spike_pools, spike_rows
from neurosparse.kernels.network.layout import Floats
from neurosparse.kernels.network.spike_rows import Spikes
from neurosparse.progress import Progress, quiet

MOST_AT_ONCE = 128  # images that share a block of weights while it is in the cache
ROOM = 2**24  # values that a layer can have at once: with many steps, fewer images
# additions by events, as a share of the multiplications of the whole layer, from which on torch is
# as fast
BREAK_EVEN = 0.5

Sums = dict[int, dict[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Given:
    """Values of n images that are known before the neurons run.

    That is what stays the same in all steps and, where it does not, what the input gives.
    """

    values: Mapping[str, Tensor]  # of steady layers, shape (n, ...)
    shown: Tensor | None  # (steps, n, ...)

    @property
    def n(self) -> int:
        """Images."""
        return len(next(iter(self.values.values()))) if self.shown is None else self.shown.shape[1]

    def part(self, begin: int, end: int) -> Given:
        """Return what is given of some of the images."""
        return Given(
            {name: value[begin:end] for name, value in self.values.items()},
            None if self.shown is None else self.shown[:, begin:end],
        )


def run(
    network: EventNetwork,
    given: Given,
    steps: int,
    summed: Collection[str],
    *,
    at: Collection[int],
    record_spikes: bool = False,
    progress: Progress = quiet,
) -> tuple[Sums, dict[str, Tensor], tuple[LayerPath, ...]]:
    """Run all layers.

    Parameters
    ----------
    network
        The network, as `blocks.prepared` laid it out.
    given
        Values of the steady layers, and what the input shows in each step.
    steps
        The number of steps.
    summed
        Layers whose sums over the steps are wanted.
    at
        Numbers of steps, up to `steps`.
    record_spikes
        Whether to keep every spike.
    progress
        Told the share of the inputs that is done.

    Returns
    -------
    sums : dict
        Of each of the layers, shape (n, *layer shape), by the number of steps until then and by
        layer.
    spikes : dict
        By layer, shape (steps, n, *layer shape): all spikes, where they were asked for.
    paths
        How each layer that takes spikes was computed.
    """
    size = min(max(ROOM // (steps * _widest(network)), 1), MOST_AT_ONCE)
    sums: dict[int, dict[str, list[Tensor]]] = {t: {name: [] for name in summed} for t in at}
    kept = [spike.name for spike in network.graph.spikes] if record_spikes else []
    spikes: dict[str, list[Tensor]] = {name: [] for name in kept}
    paths: dict[str, LayerPath] = {}
    for begin in range(0, given.n, size):
        end = min(begin + size, given.n)
        part = _Part(network, given.part(begin, end), steps, paths)
        for name in summed:
            for t, total in part.sums(name, at).items():
                sums[t][name].append(total)
        for name in kept:
            spikes[name].append(part.frames(name).unflatten(0, (end - begin, steps)) > 0)
        progress(end / given.n, f"input {end} of {given.n}")
    return (
        {t: {name: torch.cat(found) for name, found in of.items()} for t, of in sums.items()},
        {name: torch.cat(found).transpose(0, 1) for name, found in spikes.items()},
        tuple(paths.values()),
    )


def _widest(network: EventNetwork) -> int:
    """Return the number of values of the largest layer."""
    return max(prod(layer.shape) for layer in network.graph.layers)


class _Part:
    """A few images that have gone through all layers.

    Values are (images * steps, *layer shape): image by image, step by step.
    """

    def __init__(
        self, network: EventNetwork, given: Given, steps: int, paths: dict[str, LayerPath]
    ) -> None:
        self.network, self.given, self.steps, self.n = network, given, steps, given.n
        self.spikes: dict[str, Spikes] = {}
        self.values: dict[str, Tensor] = {}
        if given.shown is not None:
            self._show(given.shown)
        for block in network.blocks:
            self._compute(block, paths)

    def _show(self, shown: Tensor) -> None:
        name, by_image = self.network.graph.input.name, shown.transpose(0, 1)
        if name in self.network.events:
            pixels_last = by_image.flatten(3).permute(0, 1, 3, 2) if by_image.ndim > 3 else None
            fired = by_image[:, :, None] if pixels_last is None else pixels_last
            self.spikes[name] = spike_rows.listed((fired > 0).numpy())
        else:
            self.values[name] = by_image.flatten(0, 1)

    def _compute(self, block: Block, paths: dict[str, LayerPath]) -> None:
        name = block.layer.name
        if name not in paths and not self._settled(block):
            paths[name] = self._chosen(block)
        by_events = name in paths and paths[name].path == "events"
        sources = block.sources if by_events else ()
        current = self._current(block, without_spikes=by_events)
        if not sources and not isinstance(block.layer, Spike):
            self.values[name] = current
            return
        wires = block.wires if by_events else _unwired(block.n_pixels)
        weights = block.weights if by_events else block.weights[:, :0]
        inputs = spike_rows.joined([self._spikes(source) for source in sources])
        rows, width = self._rows(current, block), as_type(block.width)
        if isinstance(block.layer, Spike):
            self.spikes[name] = spike_rows.run_layer(
                weights,
                rows,
                self.network.cell,
                inputs,
                wires,
                self.n,
                self.steps,
                block.layer.shape[0],
                width,
            )
        else:
            sums = spike_rows.run_sums(weights, rows, inputs, wires, self.n, self.steps, width)
            self.values[name] = _pixels_first(sums.reshape(-1, *sums.shape[2:]), block.layer.shape)

    def _settled(self, block: Block) -> bool:
        """Say whether a block takes nothing that differs from step to step."""
        return all(name in self.given.values for name in block.leaves)

    def _chosen(self, block: Block) -> LayerPath:
        """Choose the path of less work, as measured on the spikes of these images."""
        name = block.layer.name
        if not block.sources:
            taken = [x for x in block.leaves if x not in self.network.events]
            why = f"it takes values, of {taken[0]}" if taken else "it is no sum of spikes"
            return LayerPath(name, "values", None, why)
        additions = sum(
            int(self._per_pixel(source) @ reach) for source, reach in block.reach.items()
        )
        work = additions / (self.n * self.steps * max(block.dense_work, 1))
        units = sum(prod(self._shape(source)) for source in block.sources)
        fired = sum(len(self._spikes(source)[0].units) for source in block.sources)
        density = fired / (self.n * self.steps * units)
        said = f"{work:.1%} of the whole layer's work"
        if work <= BREAK_EVEN:
            return LayerPath(name, "events", density, f"{said}, at most {BREAK_EVEN:.0%}")
        return LayerPath(name, "values", density, f"{said}, more than {BREAK_EVEN:.0%}")

    def _shape(self, source: str) -> Shape:
        pool = self.network.pools.get(source)
        if pool is None:
            return self.network.graph[source].shape
        return (self._shape(pool.source)[0], pool.windows.n)

    def _per_pixel(self, source: str) -> Array:
        spikes, n_pixels = self._spikes(source)
        counts: Array = np.diff(spikes.first).reshape(-1, n_pixels).sum(0)
        return counts

    def _spikes(self, source: str) -> tuple[Spikes, int]:
        """Return the spikes of a source, and how many pixels it has."""
        n_pixels = prod(self._shape(source)[1:])
        if source not in self.spikes:
            pool = self.network.pools[source]
            before, _ = self._spikes(pool.source)
            channels = self._shape(source)[0]
            self.spikes[source] = spike_pools.pool(
                before, pool.windows, self.n, self.steps, channels, pool.maximum
            )
        return self.spikes[source], n_pixels

    def frames(self, name: str) -> Tensor:
        """Return the values of a layer in all steps."""
        if name in self.given.values:
            return self.given.values[name].repeat_interleave(self.steps, dim=0)
        if name not in self.values:
            spikes, n_pixels = self._spikes(name)
            shape = self.network.graph[name].shape
            out = np.zeros((self.n * self.steps, prod(shape)), np.float32)
            spike_rows.dense(spikes, n_pixels, out)
            return _pixels_first(out.reshape(len(out), n_pixels, -1), shape)
        return self.values[name]

    def _current(self, block: Block, *, without_spikes: bool) -> Tensor:
        """Return what a block's layers give.

        In all steps or, where that is the same, in one; for all images or, where that is the same,
        for one.
        """
        silent = [x for x in block.leaves if without_spikes and x in self.network.events]
        heard = [x for x in block.leaves if x not in silent]
        stepped = not all(x in self.given.values for x in heard)
        found = {x: self.frames(x) if stepped else self.given.values[x] for x in heard}
        n = self.n * self.steps if stepped else self.n if heard else 1
        graph = self.network.graph
        found |= {x: torch.zeros(1, *graph[x].shape).expand(n, *graph[x].shape) for x in silent}
        for layer in block.inlined:
            inputs = [found[name] for name in layer.inputs]
            found[layer.name] = self._step(layer, inputs) if stepped else layer(*inputs)
        return found[block.inlined[-1].name if block.inlined else block.leaves[0]]

    def _step(self, layer: Layer, inputs: list[Tensor]) -> Tensor:
        if isinstance(layer, MaxPool):  # how much the largest sum has grown
            sums = inputs[0].unflatten(0, (self.n, self.steps)).cumsum(1)
            largest = layer(sums.flatten(0, 1)).unflatten(0, (self.n, self.steps))
            grown: Tensor = largest.diff(dim=1, prepend=torch.zeros_like(largest[:, :1]))
            return grown.flatten(0, 1)
        return layer(*inputs)

    def _rows(self, current: Tensor, block: Block) -> Floats:
        """Return a current as the kernel takes it.

        Shape (images or 1, steps or 1, pixels, filled channels).
        """
        n_channels = block.layer.shape[0]
        steps = self.steps if len(current) == self.n * self.steps and len(current) > self.n else 1
        by_pixel = current.reshape(len(current), n_channels, -1).transpose(1, 2)
        rows = np.zeros((len(current) // steps, steps, block.n_pixels, block.filled), np.float32)
        rows[..., :n_channels] = by_pixel.reshape(*rows.shape[:3], n_channels).numpy()
        return rows

    def sums(self, name: str, at: Collection[int]) -> dict[int, Tensor]:
        """Return the sums of a layer over the first t steps."""
        if name in self.given.values:
            return {t: t * self.given.values[name] for t in at}
        shape = self.network.graph[name].shape
        if name in self.values:
            by_step = self.values[name].unflatten(0, (self.n, self.steps))
            return {t: by_step[:, :t].sum(1) for t in at}
        spikes, n_pixels = self._spikes(name)
        found = {}
        for t in at:
            counts = np.zeros((self.n, prod(shape)), np.float32)
            spike_rows.count(spikes, self.steps * n_pixels, t * n_pixels, counts)
            found[t] = _pixels_first(counts.reshape(self.n, n_pixels, -1), shape)
        return found


def _unwired(n_pixels: int) -> spike_rows.Wiring:
    nothing = np.zeros(0, np.int64)
    return spike_rows.Wiring(np.zeros(n_pixels + 1, np.int64), *[nothing] * 4)


def _pixels_first(values: Floats, shape: Shape) -> Tensor:
    """Return the kernel's (n, pixels, channels or more) as (n, *layer shape)."""
    by_channel = torch.from_numpy(values[:, :, : shape[0]]).transpose(1, 2)
    result: Tensor = (
        by_channel.reshape(len(values), *shape)
        if len(shape) == 1
        else (by_channel.unflatten(2, shape[1:]))
    )
    return result
