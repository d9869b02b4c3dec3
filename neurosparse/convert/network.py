"""A rectifier network as a spiking network: converted in one call, and run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import torch
from torch import Tensor, nn

from neurosparse._internal import cards, checks, sizes
from neurosparse.convert import running, tracing
from neurosparse.convert.graph import Graph
from neurosparse.convert.neurons import NeuronSpec
from neurosparse.convert.normalisation import Normalisation, ceilings, normalised
from neurosparse.convert.running import Coding, Plan
from neurosparse.convert.runs import LayerPath, SpikingRun, as_inputs, as_tensor
from neurosparse.probe.originals import check_module
from neurosparse.progress import Progress, quiet
from neurosparse.sparsify import copies

if TYPE_CHECKING:
    from neurosparse.convert.blocks import EventNetwork
    from neurosparse.convert.report import ConversionReport

BATCH = 500  # calibration inputs at a time, fewer where a layer is large
MOST_VALUES = 2**27  # of all layers at a time
MOST_STEPS = 2**24  # float32 counts no further

NetworkEngine = Literal["auto", "events", "torch"]


@dataclass(frozen=True, slots=True)
class SpikingNetwork(cards.Shown):
    """A spiking network, converted from a rectifier network; `to_spiking` makes it.

    Parameters
    ----------
    source
        The rectifier network as traced: BatchNorm folded, in its own units.
    graph
        The same with normalised weights: a `Spike` layer gets the current of its neurons and gives
        their spikes, 0 or 1.
    neuron
        The neurons of all layers.
    normalisation
        How the scales were chosen.
    """

    source: Graph
    graph: Graph
    neuron: NeuronSpec
    normalisation: Normalisation
    _prepared: dict[str, EventNetwork] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def scales(self) -> dict[str, Tensor]:
        """The activation that one spike a step stands for, by layer.

        It broadcasts against the shape of a sample.
        """
        return {spike.name: spike.scale for spike in self.graph.spikes}

    def _card(self) -> cards.Card:
        rows = [
            {"layer": spike.name, "largest scale": float(spike.scale.max())}
            for spike in self.graph.spikes
        ]
        return cards.Card(
            f"Spiking network: {self.neuron.kind} neurons, weights by {self.normalisation.method}",
            rows,
        )

    def to(self, *where: object) -> Self:
        """Return the network on another device or in another kind of number.

        Arguments are as for `Tensor.to`.

        Raises
        ------
        ValueError
            For half precision: sums over steps need more.
        """
        moved = self.graph.to(*where)
        kind = moved.spikes[0].scale.dtype
        if torch.finfo(kind).bits < 32:
            raise ValueError(
                f"a spiking network sums spikes and potentials over steps, for which {kind} is too"
                " coarse: use torch.float32 or torch.float64"
            )
        return type(self)(self.source.to(*where), moved, self.neuron, self.normalisation)

    @torch.no_grad()
    def run(
        self,
        inputs: object,
        steps: int = 64,
        *,
        coding: Coding = "constant",
        seed: int = 0,
        outputs_at: Sequence[int] = (),
        record_spikes: bool = False,
        engine: NetworkEngine = "auto",
        progress: Progress = quiet,
    ) -> SpikingRun:
        """Run on inputs that are shown for a number of steps.

        Parameters
        ----------
        inputs : tensor, array or ImageSet, shape (n, *input shape)
            The inputs, in the units of the source network.
        steps
            Of `neuron.dt_ms` each, at most 2^24: further float32 cannot count.
        coding
            "constant": an input is a current, the same in every step. "poisson": in every step it
            is 1 or 0 times the largest input of the calibration, independently, with the input as
            its mean (-1 or 0 where it is negative).
        seed
            Of the Poisson input.
        outputs_at
            Numbers of steps after which the outputs are kept as well.
        record_spikes
            Whether to keep every spike.
        engine
            "events": on the CPU in float32, each layer by its spikes or, where that is no less
            work, in torch for all steps at once (`convert.events`); the run's `paths` say which and
            why. "torch": step by step, on any device. "auto": events where it can.
        progress
            Told the share that is done.

        Raises
        ------
        ValueError, TypeError
            For inputs of another shape, of none, of NaN; for Poisson input that would need more
            than one spike a step.
        """
        checks.whole("steps", steps)
        if steps > MOST_STEPS:
            raise ValueError(f"steps must be <= {MOST_STEPS:,}, got {steps:,}: use a larger dt_ms")
        at = {checks.whole("outputs_at", t) for t in outputs_at}
        if max(at, default=0) > steps:
            raise ValueError(f"outputs_at must be <= steps={steps}, got {max(at)}")
        seed = checks.seed(seed)
        _one_of("coding", coding, Coding)
        _one_of("engine", engine, NetworkEngine)
        x = as_inputs(inputs, self.graph)
        self._check_memory(len(x), steps, len(at), record_spikes)
        how = running.plan(self.graph, coding)
        shown = running.encoded(x, self.graph, steps, coding, seed)
        prepared = (
            None
            if engine == "torch"
            else self._for_events(how, x, coding, needed=engine == "events")
        )
        paths: tuple[LayerPath, ...] = ()
        if prepared is None:
            sums, spikes = running.in_steps(
                self.graph, self.neuron, how, shown, at | {steps}, record_spikes, progress
            )
        else:
            sums, spikes, paths = running.by_events(
                prepared, how, shown, at | {steps}, record_spikes, progress
            )
        return SpikingRun(
            outputs=how.read_out(sums[steps], steps),
            spike_counts={spike.name: sums[steps][spike.name] for spike in self.graph.spikes},
            steps=steps,
            dt_ms=self.neuron.dt_ms,
            outputs_at={t: how.read_out(sums[t], t) for t in sorted(at)},
            spikes=spikes,
            paths=paths,
        )

    def report(self, inputs: Any, labels: Any = None, **options: Any) -> ConversionReport:
        """Run along with the source and say how well they agree.

        Options and errors are those of `verification.verify`.
        """
        from neurosparse.convert.verification import verify

        return verify(self, inputs, labels, **options)

    def _check_memory(self, n: int, steps: int, n_looks: int, record_spikes: bool) -> None:
        units = sum(prod(spike.shape) for spike in self.graph.spikes)
        each = self.graph.spikes[0].scale.element_size() * (1 + n_looks)
        sizes.check_memory(
            f"a run of {n:,} inputs through {units:,} neurons for {steps:,} steps",
            float(n) * units * (each + (steps if record_spikes else 0)),
            "run fewer inputs at a time" + (" or record no spikes" if record_spikes else ""),
        )

    def _for_events(
        self, how: Plan, x: Tensor, coding: Coding, *, needed: bool
    ) -> EventNetwork | None:
        """Return the graph laid out for the events engine, once; None where torch is to run it."""
        from neurosparse.convert import blocks

        try:
            if x.dtype != torch.float32 or x.device.type != "cpu":
                raise ValueError("its weights are not float32 on the CPU")
            signed = coding == "poisson" and bool((x < 0).any())
            key = "signed" if signed else coding
            if key not in self._prepared:
                self._prepared[key] = blocks.prepared(
                    self.graph, self.neuron, steady=how.steady, summed=how.summed, signed=signed
                )
        except ValueError as reason:
            if needed:
                raise ValueError(
                    f"the events engine cannot run this network: {reason}; use engine='torch'"
                ) from None
            return None
        return self._prepared[key]


def _one_of(name: str, value: str, options: object) -> None:
    if value not in get_args(options):
        raise ValueError(f"{name} must be one of {', '.join(get_args(options))}, got {value!r}")


def to_spiking(
    model: nn.Module,
    calibration: object,
    neuron: NeuronSpec | str = "if",
    *,
    normalisation: Normalisation | str = "percentile",
    progress: Progress = quiet,
) -> SpikingNetwork:
    """Return a spiking network that computes, as rates, what a rectifier network computes.

    Parameters
    ----------
    model
        Any module that torch.fx can trace, of the layers that `convert.translation` lists; it is
        left as it is. Weights in half precision are taken as they are and computed with in float32.
    calibration : tensor, array or ImageSet, shape (n, *input shape)
        Inputs like those to come, such as a thousand training images: the scale of each layer is
        taken from them.
    neuron
        The neurons: "if", "lif", or a `NeuronSpec`.
    normalisation
        How the scales are chosen: "percentile", "maximum", "none", or a `Normalisation`.
    progress
        Told the share that is done, and what is done now.

    Raises
    ------
    ConversionError
        With a list of every layer that cannot be converted, why, and what to do.
    ValueError, TypeError
        For calibration inputs that are empty, NaN, all zeros or of the wrong shape, and where a
        layer is never active on them.

    Examples
    --------
    >>> _ = torch.manual_seed(1)
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    >>> spiking = to_spiking(model, torch.rand(10, 2))
    >>> spiking.run(torch.ones(3, 2), steps=8).outputs.shape
    torch.Size([3, 1])
    """
    check_module(model)
    spec = NeuronSpec(kind=neuron) if isinstance(neuron, str) else neuron
    how = Normalisation(method=normalisation) if isinstance(normalisation, str) else normalisation
    checks.instance("neuron", spec, NeuronSpec, 'or "if" or "lif"')
    checks.instance("normalisation", how, Normalisation, "or the name of a method")
    samples = as_tensor(calibration, "calibration")
    if not samples.any():
        raise ValueError(
            "calibration is zeros only, so the scales of the layers are unknown: give inputs like"
            " those to come"
        )
    samples = copies.in_single_precision(samples)
    source = tracing.trace(model, samples)
    samples = as_inputs(samples, source, name="calibration")
    progress(0.3, "traced")
    values = sum(prod(layer.shape) for layer in source.layers)
    sizes.check_memory(
        f"a pass of one input through {len(source.layers)} layers",
        4.0 * values,
        "take a smaller model",
    )
    batch = max(1, min(BATCH, MOST_VALUES // values))
    levels = ceilings(source, samples.split(batch), len(samples), how)
    progress(0.9, "measured")
    scale = 1.0 if how.method == "none" else float(samples.abs().max())
    graph = normalised(source, levels, spec, input_scale=scale).to(samples.device, samples.dtype)
    progress(1.0, "converted")
    return SpikingNetwork(source, graph, spec, how)
