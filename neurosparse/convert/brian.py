"""Converted networks in Brian2: one that can be extended, and a fast way to run many inputs.

Brian2 does the neurons by the equations of `convert.neurons`, in double precision. What lies
between two layers of neurons is linear: one matrix of synapses. Layers take their turn within a
step by their `order`, so that spikes reach the next layer in the same step, as in torch.
"""

from __future__ import annotations

import re
from math import prod

import torch
from torch import Tensor

from neurosparse._internal import checks
from neurosparse._internal.types import Fields, Foreign
from neurosparse.convert import running
from neurosparse.convert.brian_groups import TURNS, each_step, neuron_group, simulated, take_turn
from neurosparse.convert.graph import Spike
from neurosparse.convert.linear_stretches import currents_of, matrix_of, neurons_before, value_of
from neurosparse.convert.network import SpikingNetwork
from neurosparse.convert.running import Coding
from neurosparse.convert.runs import SpikingRun, as_inputs, check_network
from neurosparse.progress import Progress, quiet
from neurosparse.spiking.brian import running as engine

OUTPUT = "output"
ROOM = 2**24  # currents that one simulation is given


def to_brian2(
    network: SpikingNetwork, inputs: object, steps: int = 64, *, coding: Coding = "constant"
) -> Foreign:
    """Return a Brian2 `Network` that is shown inputs one after another.

    Each input is shown for a number of steps.

    Run it for `n * steps * network.neuron.dt_ms` milliseconds. Each layer of neurons is a
    `NeuronGroup` with the potential `v` and the current `I` that its next step takes, and has a
    `SpikeMonitor`: "hidden1" and "hidden1_spikes" (`identifier` gives the name). The group "output"
    sums what comes in, bias included, in `total`; over the steps of an input, that is the output.
    With each input the neurons start anew, and `total` too. Before it runs, add what you like:
    synapses on `I_post` act in the next step.

    Parameters
    ----------
    network
        The spiking network.
    inputs : tensor, array or ImageSet, shape (n, *input shape)
        The inputs, in the units of the source network.
    steps
        Steps of `neuron.dt_ms` for which each input is shown.
    coding
        "constant", or "poisson": a group "input" that spikes at random, by Brian2's seed.

    Returns
    -------
    brian2.Network

    Raises
    ------
    ValueError, TypeError
        For inputs that do not fit, and for a network with max pooling.

    Examples
    --------
    >>> from neurosparse.convert import to_spiking
    >>> _ = torch.manual_seed(1)
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> images = torch.rand(10, 2)
    >>> net = to_brian2(to_spiking(model, images), images[:1])
    >>> net["layer_1"].N, net["output"].N
    (3, 1)
    """
    found = objects(network, inputs, steps, coding=coding)
    return engine.brian2().Network(*found)


def objects(
    network: SpikingNetwork, inputs: object, steps: int = 64, *, coding: Coding = "constant"
) -> list[Foreign]:
    """Return the objects of `to_brian2`.

    With its arguments bound, this is a model for `spiking.engine.run`.
    """
    check_network("network", network)
    b2 = engine.brian2()
    graph, neuron = network.graph.to("cpu"), network.neuron
    clock = b2.Clock(neuron.dt_ms * b2.ms, name="step_clock")
    period = checks.whole("steps", steps) * clock.dt
    shown = graph.input(as_inputs(inputs, graph))
    cells: Fields = {}
    others: list[Foreign] = []
    if coding == "poisson":
        cells[graph.input.name] = _poisson(shown, period, clock)
        shown = torch.zeros_like(shown[:1])
    for k, layer in enumerate((*graph.spikes, graph.layers[-1])):
        before = layer.inputs[0] if isinstance(layer, Spike) else layer.name
        sources = neurons_before(graph, before)
        silent = {each.name: shown.new_zeros(len(shown), *each.shape) for each in sources}
        steady = value_of(graph, before, silent | {graph.input.name: shown}).flatten(1)
        # past its end the last value holds
        space = {"drive": b2.TimedArray(steady.double().numpy(), dt=period)}
        space["steps"] = steps
        begin = "I += drive(t, i)"
        # whether another input comes: a clock of its own would cost more
        again = "int(timestep(t, dt) % steps == 0)"
        if isinstance(layer, Spike):
            group = neuron_group(
                steady.shape[1],
                neuron,
                "I : 1",
                "I",
                space,
                clock,
                identifier(layer.name),
                k * TURNS,
            )
            begin += f"\nv += (v_initial - v) * {again}"
            begin += f"\nwaiting *= 1 - {again}" * bool(neuron.t_ref_steps)
            begin += f"\nS *= 1 - {again}" * bool(neuron.synaptic_decay)
            others.append(b2.SpikeMonitor(group, name=f"{group.name}_spikes"))
        else:
            group = b2.NeuronGroup(
                steady.shape[1], "total : 1\nI : 1", namespace=space, clock=clock, name=OUTPUT
            )
            begin += f"\ntotal *= 1 - {again}"
            each_step(group, "total += I\nI = 0", k * TURNS + 2)
        each_step(group, begin, k * TURNS)
        for source in sources:
            if source.name in cells:
                others.append(
                    _synapses(
                        cells[source.name],
                        group,
                        matrix_of(graph, before, source, like=shown),
                        k * TURNS + 1,
                    )
                )
        cells[layer.name] = group
    return [*cells.values(), *others]


def _poisson(shown: Tensor, period: object, clock: object) -> Foreign:
    """Return a group that spikes at random, in each step with the probability shown."""
    if shown.min() < 0 or shown.max() > 1:
        raise ValueError(
            "Poisson input must lie between 0 and the largest of the calibration inputs"
        )
    b2 = engine.brian2()
    space = {"chance": b2.TimedArray(shown.flatten(1).double().numpy(), dt=period)}
    group = b2.NeuronGroup(
        shown[0].numel(),
        "",
        threshold="rand() < chance(t, i)",
        namespace=space,
        clock=clock,
        name="input",
    )
    take_turn(group.thresholder["spike"], -1)
    return group


def _synapses(source: Foreign, target: Foreign, weights: Tensor, order: int) -> Foreign:
    """Return synapses of the weights that are not 0, shape (source units, target units).

    They are in the order of the sources, which is the fast one.
    """
    b2 = engine.brian2()
    name = f"{source.name}_to_{target.name}"
    synapses = b2.Synapses(
        source, target, "w : 1", on_pre="I_post += w", clock=source.clock, name=name
    )
    i, j = weights.nonzero(as_tuple=True)
    synapses.connect(i=i.numpy(), j=j.numpy())
    synapses.w = weights[i, j].double().numpy()
    take_turn(synapses.pre, order)
    return synapses


def run_in_brian2(
    network: SpikingNetwork,
    inputs: object,
    steps: int = 64,
    *,
    coding: Coding = "constant",
    seed: int = 0,
    record_spikes: bool = False,
    target: engine.Target | None = None,
    progress: Progress = quiet,
) -> SpikingRun:
    """Run many inputs, fast: `SpikingNetwork.run` in Brian2, a layer after the other.

    A layer goes through all its steps before the next begins, one group for all inputs; in between,
    torch sums the currents. So the weights are there once, not once an input.

    Parameters
    ----------
    network, inputs, steps, coding, seed, record_spikes
        As in `SpikingNetwork.run`; the spikes are the same.
    target
        As in `spiking.engine.run`: "cpp", "numpy", or None for C++ where there is a compiler.
    progress
        Told the share that is done, and the layer that is run now.

    Raises
    ------
    ValueError, TypeError
        As `SpikingNetwork.run`, and for a network with max pooling.
    RuntimeError
        Where the simulation fails.
    """
    check_network("network", network)
    graph, steps = network.graph.to("cpu"), checks.whole("steps", steps)
    x = as_inputs(inputs, graph)
    how = running.plan(graph, coding)
    shown = list(
        running.encoded(x, graph, 1 if graph.input.name in how.steady else steps, coding, seed)
    )
    size = max(ROOM // (steps * max(prod(spike.shape) for spike in graph.spikes)), 1)
    followed = {
        each.name for spike in graph.spikes for each in neurons_before(graph, spike.inputs[0])
    }
    parts: list[SpikingRun] = []
    for begin in range(0, len(x), size):
        # (1 or steps, n, ...)
        values = {graph.input.name: torch.stack([each[begin : begin + size] for each in shown])}
        sums: dict[str, Tensor] = {}
        for spike in graph.spikes:
            currents = currents_of(graph, spike, values)
            if record_spikes or spike.name in followed:
                values[spike.name] = simulated(currents, steps, network.neuron, target)
            else:  # their numbers are enough
                sums[spike.name] = simulated(currents, steps, network.neuron, target, counts=True)[
                    0
                ]
        sums |= {
            name: values[name].sum(0) * (steps / len(values[name]))
            for name in how.summed
            if name in values
        }
        counts = {spike.name: sums[spike.name] for spike in graph.spikes}
        spikes = (
            {spike.name: values[spike.name] > 0 for spike in graph.spikes} if record_spikes else {}
        )
        parts.append(
            SpikingRun(how.read_out(sums, steps), counts, steps, network.neuron.dt_ms, {}, spikes)
        )
        progress(
            min(begin + size, len(x)) / len(x), f"input {min(begin + size, len(x))} of {len(x)}"
        )
    return SpikingRun(
        torch.cat([part.outputs for part in parts]),
        {
            name: torch.cat([part.spike_counts[name] for part in parts])
            for name in parts[0].spike_counts
        },
        steps,
        network.neuron.dt_ms,
        {},
        {name: torch.cat([part.spikes[name] for part in parts], dim=1) for name in parts[0].spikes},
    )


def identifier(name: str) -> str:
    """Return the name of a layer as Brian2 takes it.

    "hidden1.relu" is "hidden1_relu", and "1" is "layer_1".

    Examples
    --------
    >>> identifier("features.0"), identifier("0")
    ('features_0', 'layer_0')
    """
    name = re.sub(r"\W", "_", name)
    return name if name[0].isalpha() else f"layer_{name}"
