"""A spiking network run beside its source: what `ConversionReport` reports."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from neurosparse._internal import checks
from neurosparse.activity import Activations, ActiveWhen, ActivityStats, SpikeTrains
from neurosparse.convert import costs
from neurosparse.convert.costs import Operations
from neurosparse.convert.normalisation import bend
from neurosparse.convert.rate import LIFRate, StepRate
from neurosparse.convert.report import AtSteps, ConversionReport, LayerReport
from neurosparse.convert.running import Coding
from neurosparse.convert.runs import SpikingRun, as_inputs, as_labels, check_network
from neurosparse.data import ImageSet
from neurosparse.progress import Progress, quiet
from neurosparse.sparsity import describe_activations, describe_spikes, observe

if TYPE_CHECKING:
    from neurosparse.convert.network import SpikingNetwork

BATCH = 250  # inputs at a time
N_RECORDED = 25  # inputs whose every spike is kept, for the curve over the window


def verify(
    spiking: SpikingNetwork,
    inputs: object,
    labels: object = None,
    *,
    steps: int = 64,
    coding: Coding = "constant",
    seed: int = 0,
    name: str = "spiking network",
    devices: Sequence[costs.Device] | None = None,
    progress: Progress = quiet,
) -> ConversionReport:
    """Run a spiking network along with its source and report how they compare.

    Parameters
    ----------
    spiking
        The spiking network, with its source.
    inputs : tensor, array or ImageSet, shape (n, *input shape)
        Inputs that were not used to convert; an ImageSet brings its labels.
    labels : tensor or array of int, shape (n,)
        The classes; without them, agreement alone is reported.
    steps, coding, seed
        As in `SpikingNetwork.run`.
    name
        How the network is called in tables and comparisons.
    devices
        For the energy; by default all of `costs.devices()`.
    progress
        Told the share of the inputs that is done.

    Raises
    ------
    ValueError, TypeError
        For inputs that do not fit, labels of another number, and where nothing ever spikes.
    """
    check_network("spiking", spiking)
    if labels is None and isinstance(inputs, ImageSet):
        labels = inputs.labels
    x = as_inputs(inputs, spiking.graph)
    y = None if labels is None else as_labels(labels, len(x), x.device)
    looks = sorted({2**k for k in range(checks.whole("steps", steps).bit_length())} | {steps})
    tally = _Tally(spiking, steps, coding)
    right, same = torch.zeros(2, len(looks), dtype=torch.float64)
    source_right = 0
    for first in range(0, len(x), BATCH):
        shown = x[first : first + BATCH]
        run = spiking.run(shown, steps, coding=coding, seed=seed + first, outputs_at=looks)
        values = spiking.source.values(shown)
        classes = values[spiking.source.layers[-1].name].flatten(1).argmax(1)
        found = torch.stack([run.outputs_at[t].flatten(1).argmax(1) for t in looks])  # (looks, n)
        same += (found == classes).sum(1).cpu()
        if y is not None:
            right += (found == y[first : first + BATCH]).sum(1).cpu()
            source_right += int((classes == y[first : first + BATCH]).sum())
        tally.add(shown, values, run)
        progress(
            min(1.0, (first + BATCH) / len(x)), f"{min(first + BATCH, len(x))} of {len(x)} inputs"
        )
    accuracies = [None] * len(looks) if y is None else (right / len(x)).tolist()
    operations = tally.operations()
    chosen = costs.devices().values() if devices is None else devices
    recorded = x[:N_RECORDED]
    run = spiking.run(recorded, steps, coding=coding, seed=seed, record_spikes=True)
    return ConversionReport(
        name=name,
        neuron=spiking.neuron.model_dump(),
        normalisation=spiking.normalisation.model_dump(),
        coding=coding,
        n_inputs=len(x),
        steps=steps,
        dt_ms=spiking.neuron.dt_ms,
        bend=(
            0.0
            if any(
                isinstance(spike.activation, LIFRate | StepRate) for spike in spiking.source.spikes
            )
            else bend(spiking.neuron)
        ),
        source_accuracy=None if y is None else source_right / len(x),
        curve=tuple(
            AtSteps(*at) for at in zip(looks, (same / len(x)).tolist(), accuracies, strict=True)
        ),
        layers=tuple(tally.layer(spike.name) for spike in spiking.graph.spikes),
        operations=operations,
        energies=tuple(costs.energy(operations, device) for device in chosen),
        spiking=describe_spikes(
            spike_trains(run), ActiveWhen(window_ms=spiking.neuron.dt_ms), name=name
        ),
        source=tally.source(f"{name}, source"),
    )


def spike_trains(run: SpikingRun) -> SpikeTrains:
    """Return the spikes of a run that recorded them; layers are populations.

    Its inputs are shown one after another.

    Raises
    ------
    ValueError
        Where they were not recorded.
    """
    if not run.spikes:
        raise ValueError("the run has no spikes: pass record_spikes=True to SpikingNetwork.run")
    layers = {
        name: spikes.flatten(2).transpose(0, 1).flatten(0, 1).cpu()
        for name, spikes in run.spikes.items()
    }
    # (n * steps, units) each
    ends = np.cumsum([0, *(spikes.shape[1] for spikes in layers.values())]).tolist()
    ticks, units = torch.cat(list(layers.values()), dim=1).nonzero(as_tuple=True)
    return SpikeTrains(
        ticks.numpy() * run.dt_ms,
        units.numpy(),
        n_units=ends[-1],
        duration_ms=len(next(iter(layers.values()))) * run.dt_ms,
        dt_ms=run.dt_ms,
        populations=dict(zip(layers, pairwise(ends), strict=True)),
    )


class _Tally:
    """Sums over the batches of inputs."""

    def __init__(self, spiking: SpikingNetwork, steps: int, coding: Coding) -> None:
        self.spiking, self.steps, self.coding = spiking, steps, coding
        self.n = 0
        self.sums: dict[str, dict[str, Tensor]] = {spike.name: {} for spike in spiking.graph.spikes}
        self.counted = torch.zeros(3, dtype=torch.float64)  # active, input, synaptic
        self.record: Activations | None = None

    def add(self, shown: Tensor, values: dict[str, Tensor], run: SpikingRun) -> None:
        self.n += len(shown)
        for spike in self.spiking.graph.spikes:
            counts, activations = run.spike_counts[spike.name], values[spike.name]
            found = {
                "difference": (spike.scale * counts / self.steps - activations).abs(),
                "magnitude": activations,
                "active": activations != 0,
                "spikes": counts,
                "ever": counts > 0,
            }
            sums = self.sums[spike.name]
            for key, value in found.items():
                sums[key] = sums.get(key, 0) + value.sum(0, dtype=torch.float64)
        names = list(self.sums)
        side_by_side = torch.cat([values[name].flatten(1) for name in names], dim=1).cpu().numpy()
        batch = observe(side_by_side, ActiveWhen(threshold=0), "source")
        self.record = batch if self.record is None else self.record + batch

        graph, given = self.spiking.graph, self.spiking.graph.input.name
        silent = {name: torch.zeros_like(run.spike_counts[name]) for name in names}
        arrives = shown != 0
        from_source = costs.traffic(
            graph, {given: arrives, **{name: values[name] != 0 for name in names}}
        )
        from_input = costs.traffic(graph, {given: arrives, **silent})
        if self.coding == "poisson":  # spikes of the input, as many as are to be expected
            arrives, from_input = self.steps * graph.input(shown).abs(), 0 * from_input
        else:
            arrives = torch.zeros_like(shown)
        from_spikes = costs.traffic(graph, {given: arrives, **run.spike_counts})
        self.counted += torch.stack([from_source.sum(), from_input.sum(), from_spikes.sum()]).cpu()

    def operations(self) -> Operations:
        graph = self.spiking.graph
        ones = {layer.name: torch.ones(1, *layer.shape) for layer in (graph.input, *graph.spikes)}
        dense = float(costs.traffic(graph.to("cpu"), ones).sum())
        updates = float(self.steps * sum(sums["spikes"].numel() for sums in self.sums.values()))
        active, from_input, synaptic = (self.counted / self.n).tolist()
        return Operations(dense, active, from_input, synaptic, updates, self.steps)

    def layer(self, name: str) -> LayerReport:
        sums = {key: value / self.n for key, value in self.sums[name].items()}
        worst = int(sums["difference"].argmax())
        spikes = float(sums["spikes"].mean())
        magnitude = float(sums["magnitude"].sum())
        return LayerReport(
            name=name,
            n_units=sums["spikes"].numel(),
            source_active=float(sums["active"].mean()),
            active_per_step=spikes / self.steps,
            active_per_inference=float(sums["ever"].mean()),
            spikes=float(sums["spikes"].sum()),
            rate_hz=spikes / (self.steps * self.spiking.neuron.dt_ms * 1e-3),
            error=float(sums["difference"].sum()) / magnitude if magnitude else 0.0,
            worst_unit=tuple(
                int(i) for i in np.unravel_index(worst, tuple(sums["difference"].shape))
            ),
            worst_error=float(sums["difference"].flatten()[worst]),
        )

    def source(self, name: str) -> ActivityStats:
        if self.record is None:
            raise ValueError("there are no inputs: nothing to measure")
        return describe_activations(self.record, name=name)
