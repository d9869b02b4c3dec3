"""Graphs of spiking neurons, run in torch step by step or on the CPU by spikes.

Both give the same sums over steps.

Within a step the layers are done in the order of the graph, and spikes reach the next layer within
the same step. What has the same value in every step is computed once. So is what follows the last
neurons: it is linear but for maxima, and is given the means over the steps.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from neurosparse._internal.types import Fields
from neurosparse.convert import neurons
from neurosparse.convert.graph import Graph, Layer, MaxPool, Spike
from neurosparse.convert.neurons import NeuronSpec
from neurosparse.progress import Progress

if TYPE_CHECKING:
    from neurosparse.convert.blocks import EventNetwork
    from neurosparse.convert.runs import LayerPath

Coding = Literal["constant", "poisson"]
# sums over the first t steps, by t and by the name of the layer
Sums = dict[int, dict[str, Tensor]]
Spikes = dict[str, Tensor]  # bool, shape (steps, n, *layer shape), by the name of the layer


@dataclass(frozen=True, slots=True)
class Plan:
    """Layers by when they are computed: once, in every step, or once on means over steps.

    Also what is summed for these means.
    """

    once: tuple[Layer, ...]
    stepped: tuple[Layer, ...]
    after: tuple[Layer, ...]
    summed: tuple[str, ...]
    steady: tuple[str, ...]  # what has the same value in every step and is not among `after`

    def read_out(self, sums: dict[str, Tensor], steps: int) -> Tensor:
        """Return the output, from sums over so many steps."""
        values = {name: total / steps for name, total in sums.items()}
        for layer in self.after:
            values[layer.name] = layer(*(values[name] for name in layer.inputs))
        return values[self.after[-1].name]


def plan(graph: Graph, coding: Coding) -> Plan:
    """Return the plan for a graph whose last layer is not one of neurons."""
    steady = {graph.input.name} if coding == "constant" else set()
    for layer in graph.layers[1:]:
        if not isinstance(layer, Spike) and steady.issuperset(layer.inputs):
            steady.add(layer.name)
    late: set[str] = set()
    for layer in reversed(graph.layers[1:]):
        if not isinstance(layer, Spike) and late.issuperset(
            after.name for after in graph.consumers(layer.name)
        ):
            late.add(layer.name)
    after = tuple(layer for layer in graph.layers[1:] if layer.name in late)
    early = [layer for layer in graph.layers[1:] if layer.name not in late]
    summed = {name for layer in after for name in layer.inputs} - late | {
        spike.name for spike in graph.spikes
    }
    return Plan(
        once=tuple(layer for layer in early if layer.name in steady),
        stepped=tuple(layer for layer in early if layer.name not in steady),
        after=after,
        summed=tuple(sorted(summed)),
        steady=tuple(sorted(steady - late)),
    )


def encoded(
    inputs: Tensor, graph: Graph, steps: int, coding: Coding, seed: int
) -> Iterator[Tensor]:
    """Yield what the graph's `Input` gives in each step, shape (n, *input shape).

    It is the same for every way of running the graph.

    Raises
    ------
    ValueError
        For Poisson input of magnitudes above the scale of the `Input`.
    """
    x = graph.input(inputs)
    if coding == "constant":
        for _ in range(steps):
            yield x
        return
    if x.abs().max() > 1:
        raise ValueError(
            f"Poisson input must be at most {graph.input.scale:g}, the largest of the calibration,"
            f" got {inputs.abs().max():g}: convert with calibration inputs as large"
        )
    generator = torch.Generator(x.device).manual_seed(seed)
    for _ in range(steps):
        yield x.sign() * (
            torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype) < x.abs()
        )


def in_steps(
    graph: Graph,
    neuron: NeuronSpec,
    how: Plan,
    shown: Iterator[Tensor],
    at: Collection[int],
    record_spikes: bool,
    progress: Progress,
) -> tuple[Sums, Spikes]:
    """Run in torch, all inputs at once.

    `shown` is what the `Input` gives in each of max(at) steps.
    """
    values: dict[str, Tensor] = {}
    state: Fields = {}
    totals: dict[str, Tensor] = {}
    sums: Sums = {}
    spikes: dict[str, list[Tensor]] = (
        {spike.name: [] for spike in graph.spikes} if record_spikes else {}
    )
    for t, first in enumerate(shown, start=1):
        values[graph.input.name] = first
        for layer in how.once + how.stepped if t == 1 else how.stepped:
            values[layer.name] = _step(
                layer, [values[name] for name in layer.inputs], state, neuron
            )
        totals = {
            name: totals[name] + values[name] if totals else values[name] for name in how.summed
        }
        for name, found in spikes.items():
            found.append(values[name] > 0)
        if t in at:
            sums[t] = totals
        progress(t / max(at), f"step {t} of {max(at)}")
    return sums, {name: torch.stack(found) for name, found in spikes.items()}


def _step(layer: Layer, inputs: list[Tensor], state: Fields, neuron: NeuronSpec) -> Tensor:
    if isinstance(layer, Spike):
        before = state.get(layer.name) or neurons.start(inputs[0], neuron)
        spikes, state[layer.name] = neurons.step(inputs[0], before, neuron)
        return spikes
    if isinstance(layer, MaxPool):
        # how much the largest sum has grown: of spikes that is 0 or 1, and in all as many as of the
        # unit with the most
        total, largest = state.get(layer.name, (0.0, 0.0))
        total = total + inputs[0]
        state[layer.name] = total, layer(total)
        result: Tensor = state[layer.name][1] - largest
        return result
    return layer(*inputs)


def by_events(
    network: EventNetwork,
    how: Plan,
    shown: Iterator[Tensor],
    at: Collection[int],
    record_spikes: bool,
    progress: Progress,
) -> tuple[Sums, Spikes, tuple[LayerPath, ...]]:
    """Run by the spikes on the CPU, some inputs at a time.

    `network` is what `blocks.prepared` makes of the graph.
    """
    from neurosparse.convert import events

    values: dict[str, Tensor] = {}
    frames = None
    if (name := network.graph.input.name) in how.steady:
        values[name] = next(shown)
        for layer in how.once:
            values[layer.name] = layer(*(values[before] for before in layer.inputs))
    else:
        frames = torch.stack(list(shown))
    given = events.Given(values, frames)
    return events.run(
        network, given, max(at), how.summed, at=at, record_spikes=record_spikes, progress=progress
    )
