"""A rectifier network as a spiking network: converted in one call, and run step by step in torch.

Within a step the layers are done in the order of the graph, and spikes reach the next layer within the same step. What follows
the last neurons does not spike: it is linear but for maxima, and gets the mean of what comes in over the steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from neurosparse import checks
from neurosparse.convert import neurons, tracing
from neurosparse.convert.graph import Graph, Layer, MaxPool, Spike
from neurosparse.convert.neurons import NeuronSpec
from neurosparse.convert.normalisation import Normalisation, ceilings, normalised
from neurosparse.data import ImageSet
from neurosparse.progress import Progress, quiet

if TYPE_CHECKING:
    from neurosparse.convert.events import EventNetwork

BATCH = 500  # calibration inputs at a time

Coding = Literal["constant", "poisson"]
Engine = Literal["auto", "events", "torch"]


@dataclass(frozen=True, slots=True)
class Run:
    """What a spiking network did on n inputs.

    Parameters
    ----------
    outputs : tensor, shape (n, *output shape)
        The read-out's potential over the number of steps: in the units of the source network's output.
    spike_counts : dict of tensors, shape (n, *layer shape)
        Spikes of each neuron, by layer.
    steps, dt_ms
        How many steps, and their length.
    outputs_at : dict of tensors
        The outputs after fewer steps, where they were asked for, by the number of steps.
    spikes : dict of tensors of bool, shape (steps, n, *layer shape)
        Every spike, where they were asked for; else empty.
    """

    outputs: Tensor = field(repr=False)
    spike_counts: dict[str, Tensor] = field(repr=False)
    steps: int
    dt_ms: float
    outputs_at: dict[int, Tensor] = field(default_factory=dict, repr=False)
    spikes: dict[str, Tensor] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class SpikingNetwork:
    """A spiking network, converted from a rectifier network; `to_spiking` makes it.

    Parameters
    ----------
    source
        The rectifier network as traced: BatchNorm folded, in its own units.
    graph
        The same with normalised weights: a `Spike` layer gets the current of its neurons and gives their spikes, 0 or 1.
    neuron
        The neurons of all layers.
    normalisation
        How the scales were chosen.
    """

    source: Graph
    graph: Graph
    neuron: NeuronSpec
    normalisation: Normalisation
    _prepared: dict[str, EventNetwork] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def scales(self) -> dict[str, Tensor]:
        """The activation that one spike a step stands for, by layer; broadcasts against the shape of a sample."""
        return {spike.name: spike.scale for spike in self.graph.spikes}

    def to(self, *where: Any) -> Self:
        """The network on another device or in another kind of number, as `Tensor.to` takes it."""
        return type(self)(self.source.to(*where), self.graph.to(*where), self.neuron, self.normalisation)

    @torch.no_grad()
    def run(
        self,
        inputs: Any,
        steps: int = 64,
        *,
        coding: Coding = "constant",
        seed: int = 0,
        outputs_at: Sequence[int] = (),
        record_spikes: bool = False,
        engine: Engine = "auto",
        progress: Progress = quiet,
    ) -> Run:
        """Run on inputs that are shown for a number of steps.

        Parameters
        ----------
        inputs : tensor, array or ImageSet, shape (n, *input shape)
        steps
            Of `neuron.dt_ms` each.
        coding
            "constant": an input is a current, the same in every step. "poisson": in every step it is 1 or 0 times the largest
            input of the calibration, independently, with the input as its mean (-1 or 0 where it is negative).
        seed
            Of the Poisson input.
        outputs_at
            Numbers of steps after which the outputs are kept as well.
        record_spikes
            Whether to keep every spike.
        engine
            "events": work in proportion to the spikes, for fully connected layers on the CPU (`convert.events`); "torch": any graph,
            any device; "auto": events where it can.

        Raises
        ------
        ValueError, TypeError
            For inputs of another shape, of none, of NaN; for Poisson input that would need more than one spike a step.
        """
        checks.whole("steps", steps)
        keep = {checks.whole("outputs_at", at) for at in outputs_at}
        if max(keep, default=0) > steps:
            raise ValueError(f"outputs_at must be <= steps={steps}, got {max(keep)}")
        x = as_inputs(inputs, self.graph)
        plan = _plan(self.graph, constant=coding == "constant")
        events = self._events(plan, x, coding, engine)
        if events is not None:
            return self._run_events(events, plan, x, steps, coding, seed, keep, record_spikes, progress)
        values: dict[str, Tensor] = {}
        state: dict[str, Any] = {}
        totals: dict[str, Tensor] = {}
        kept: dict[int, Tensor] = {}
        spikes: dict[str, list[Tensor]] = {spike.name: [] for spike in self.graph.spikes}
        for t, shown in enumerate(encoded(x, self.graph, steps, coding, seed), start=1):
            values[self.graph.input.name] = shown
            for layer in (*plan.once, *plan.stepped) if t == 1 else plan.stepped:
                values[layer.name] = self._step(layer, [values[name] for name in layer.inputs], state)
            for name in plan.summed:
                totals[name] = totals[name] + values[name] if name in totals else values[name]
            if record_spikes:
                for name, found in spikes.items():
                    found.append(values[name] > 0)
            if t in keep or t == steps:
                kept[t] = self._read_out(plan, totals, t)
            progress(t / steps, f"step {t} of {steps}")
        return Run(
            kept[steps],
            {spike.name: totals[spike.name] for spike in self.graph.spikes},
            steps,
            self.neuron.dt_ms,
            {t: kept[t] for t in sorted(keep)},
            {name: torch.stack(found) for name, found in spikes.items() if found},
        )

    def _events(self, plan: _Plan, x: Tensor, coding: Coding, engine: Engine) -> EventNetwork | None:
        """The graph laid out for the events engine, once; None where torch is to run it."""
        if engine not in ("auto", "events", "torch"):
            raise ValueError(f"engine must be 'auto', 'events' or 'torch', got {engine!r}")
        if engine == "torch":
            return None
        from neurosparse.convert import events

        steady = [self.graph.input.name, *(layer.name for layer in plan.once)] if coding == "constant" else []
        try:
            if not steady and (x < 0).any():
                raise ValueError("the Poisson input has negative spikes")
            if coding not in self._prepared:
                self._prepared[coding] = events.prepared(self.graph, self.neuron, steady=steady, summed=plan.summed)
        except ValueError as reason:
            if engine == "events":
                raise ValueError(f"the events engine cannot run this network: {reason}; use engine='torch'") from None
            return None
        return self._prepared[coding]

    def _run_events(
        self, network: EventNetwork, plan: _Plan, x: Tensor, steps: int, coding: Coding, seed: int, keep: set[int],
        record_spikes: bool, progress: Progress,
    ) -> Run:  # fmt: skip
        from neurosparse.convert import events

        values, shown = {}, None
        if coding == "constant":
            values[self.graph.input.name] = self.graph.input(x)
            for layer in plan.once:
                values[layer.name] = layer(*(values[name] for name in layer.inputs))
        else:
            shown = torch.stack([step > 0 for step in encoded(x, self.graph, steps, coding, seed)])
        counts, spikes = events.run(
            network, values, shown, steps, at=keep | {steps}, record_spikes=record_spikes, progress=progress
        )
        kept = {}
        for t, totals in counts.items():
            steady = {name: t * values[name] for name in plan.summed if name in values}
            kept[t] = self._read_out(plan, totals | steady, t)
        at = {t: kept[t] for t in sorted(keep)}
        return Run(kept[steps], counts[steps], steps, self.neuron.dt_ms, at, spikes)

    def _step(self, layer: Layer, inputs: list[Tensor], state: dict[str, Any]) -> Tensor:
        if isinstance(layer, Spike):
            v, waiting = state.get(layer.name) or neurons.start(inputs[0], self.neuron)
            spikes, *state[layer.name] = neurons.step(inputs[0], v, waiting, self.neuron)
            return spikes
        if isinstance(layer, MaxPool):
            # the increments of the largest sum so far: spikes stay 0 or 1, and their number is the largest of the inputs' numbers
            total, most = state.get(layer.name, (0.0, 0.0))
            total = total + inputs[0]
            state[layer.name] = total, layer(total)
            return state[layer.name][1] - most
        return layer(*inputs)

    def _read_out(self, plan: _Plan, totals: dict[str, Tensor], steps: int) -> Tensor:
        values = {name: total / steps for name, total in totals.items()}
        for layer in plan.after:
            values[layer.name] = layer(*(values[name] for name in layer.inputs))
        return values[self.graph.layers[-1].name]


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which layers are computed once, in every step, and once on the means over the steps; what is to be summed for these."""

    once: tuple[Layer, ...]
    stepped: tuple[Layer, ...]
    after: tuple[Layer, ...]
    summed: tuple[str, ...]


def _plan(graph: Graph, *, constant: bool) -> _Plan:
    steady = {graph.input.name} if constant else set()
    for layer in graph.layers[1:]:
        if not isinstance(layer, Spike) and steady.issuperset(layer.inputs):
            steady.add(layer.name)
    late: set[str] = set()
    for layer in reversed(graph.layers[1:]):
        if not isinstance(layer, Spike) and late.issuperset(after.name for after in graph.consumers(layer.name)):
            late.add(layer.name)
    once = tuple(layer for layer in graph.layers[1:] if layer.name in steady - late)
    after = tuple(layer for layer in graph.layers[1:] if layer.name in late)
    stepped = tuple(layer for layer in graph.layers[1:] if layer.name not in steady | late)
    wanted = {name for layer in after for name in layer.inputs} - late | {spike.name for spike in graph.spikes}
    return _Plan(once, stepped, after, tuple(sorted(wanted)))


def encoded(inputs: Tensor, graph: Graph, steps: int, coding: Coding, seed: int) -> Iterator[Tensor]:
    """What comes out of the graph's `Input` in each step, shape (n, *input shape): the same for every way of running it.

    Raises
    ------
    ValueError
        For another coding, and for Poisson input of magnitudes above the scale of the `Input`.
    """
    x = graph.input(inputs)
    if coding == "constant":
        for _ in range(steps):
            yield x
        return
    if coding != "poisson":
        raise ValueError(f"coding must be 'constant' or 'poisson', got {coding!r}")
    if x.abs().max() > 1:
        raise ValueError(
            f"Poisson input must lie within {graph.input.scale:g} of 0, the largest of the calibration, got {inputs.abs().max():g}; "
            "convert with a calibration that covers it"
        )
    generator = torch.Generator(x.device).manual_seed(seed)
    for _ in range(steps):
        yield x.sign() * (torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype) < x.abs())


def as_inputs(inputs: Any, graph: Graph, *, name: str = "inputs") -> Tensor:
    """Inputs as a tensor of the kind and on the device of a graph's weights; TypeError or ValueError where they do not fit."""
    x = as_tensor(inputs, name)
    like = next(layer.weight for layer in graph.layers if hasattr(layer, "weight"))
    if tuple(x.shape[1:]) != graph.input.shape:
        wanted = ", ".join(map(str, graph.input.shape))
        raise ValueError(f"{name} must have shape (n, {wanted}), got {tuple(x.shape)}")
    return x.to(like.device, like.dtype)


def as_tensor(inputs: Any, name: str) -> Tensor:
    """A tensor, an array or the images of an ImageSet, at least one sample, all of them finite."""
    if isinstance(inputs, ImageSet):
        inputs = inputs.images
    x = (
        inputs.detach()
        if isinstance(inputs, Tensor)
        else torch.tensor(checks.finite_array(name, inputs, dtype=np.result_type(inputs, np.float32)))
    )
    if x.ndim < 2 or len(x) == 0:
        raise ValueError(
            f"{name} must be at least one sample along axis 0, of at least 1 axis each, got shape {tuple(x.shape)}"
        )
    if x.is_complex() or not bool(x.isfinite().all()):
        raise ValueError(f"{name} must be finite real numbers, got NaN, infinite or complex ones")
    return x


def to_spiking(
    model: nn.Module,
    calibration: Any,
    neuron: NeuronSpec | str = "if",
    *,
    normalisation: Normalisation | str = "percentile",
    progress: Progress = quiet,
) -> SpikingNetwork:
    """A spiking network that computes what a rectifier network computes, as rates.

    Parameters
    ----------
    model
        Any module that torch.fx can trace, of the layers that `convert.tracing` lists; it is left as it is.
    calibration : tensor, array or ImageSet, shape (n, *input shape)
        Inputs like those to come, such as a thousand training images: the scale of each layer is taken from them.
    neuron
        The neurons: "if", "lif", or a `NeuronSpec`.
    normalisation
        How the scales are chosen: "percentile", "maximum", "none", or a `Normalisation`.

    Raises
    ------
    ConversionError
        With a list of every layer that cannot be converted, why, and what to do.
    ValueError, TypeError
        For calibration inputs that are empty, NaN, all zeros or of the wrong shape, and where a layer is never active on them.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    >>> spiking = to_spiking(model, torch.rand(10, 2, generator=torch.Generator().manual_seed(0)))
    >>> spiking.run(torch.ones(3, 2), steps=8).outputs.shape
    torch.Size([3, 1])
    """
    spec = NeuronSpec(kind=neuron) if isinstance(neuron, str) else neuron
    how = Normalisation(method=normalisation) if isinstance(normalisation, str) else normalisation
    samples = as_tensor(calibration, "calibration")
    if not samples.any():
        raise ValueError(
            "calibration is zeros only, so the scales of the layers are unknown: give inputs like those to come"
        )
    source = tracing.trace(model, samples)
    samples = as_inputs(samples, source, name="calibration")
    progress(0.3, "traced")
    levels = ceilings(source, samples.split(BATCH), len(samples), how)
    progress(0.9, "measured")
    scale = 1.0 if how.method == "none" else float(samples.abs().max())
    graph = normalised(source, levels, spec, input_scale=scale)
    progress(1.0, "converted")
    return SpikingNetwork(source, graph, spec, how)
