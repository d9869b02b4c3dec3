"""Groups of neurons in Brian2, by the equations of `convert.neurons`, in double precision."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from neurosparse._internal.types import Fields, Foreign
from neurosparse.convert.neurons import NeuronSpec
from neurosparse.spiking.brian import running as engine

SYNAPSES = "\nS : 1"  # their current
TURNS = 8  # what a layer does in a step comes in this range of `order`


def neuron_group(
    n: int,
    neuron: NeuronSpec,
    equations: str,
    current: str,
    space: Fields,
    clock: object,
    name: str,
    turn: int = 0,
) -> Foreign:
    """Return neurons at the start, under a current in the terms of `equations` and `space`."""
    waits = neuron.t_ref_steps > 0
    after, space = _dynamics(neuron, current, space)
    cells = engine.brian2().NeuronGroup(
        n,
        f"v : 1\nwaiting : integer\n{equations}" + SYNAPSES * bool(neuron.synaptic_decay),
        threshold="v >= v_threshold" + " and waiting == 0" * waits,
        reset=("v -= v_threshold" if neuron.reset == "subtract" else "v = v_reset")
        + "\nwaiting = t_ref_steps + 1" * waits,
        namespace=space,
        clock=clock,
        name=name,
    )
    each_step(cells, after + "\nI = 0" * (current == "I"), turn + 2)
    take_turn(cells.thresholder["spike"], turn + 3)
    take_turn(cells.resetter["spike"], turn + 4)
    if waits:
        each_step(cells, "waiting -= int(waiting > 0)", turn + 5)
    cells.v = neuron.v_initial * neuron.threshold
    return cells


def _counting_group(
    n: int,
    neuron: NeuronSpec,
    equations: str,
    current: str,
    space: Fields,
    clock: object,
    name: str,
) -> Foreign:
    """Return the same neurons, of which only the number of spikes is kept, in `total`.

    That is one pass over them, and no list of spikes.
    """
    after, space = _dynamics(neuron, current, space)
    equations = f"v : 1\nwaiting : 1\ntotal : 1\n{equations}"
    equations += SYNAPSES * bool(neuron.synaptic_decay)
    cells = engine.brian2().NeuronGroup(n, equations, namespace=space, clock=clock, name=name)
    code = f"{after}\nfires = int(v >= v_threshold)"
    if neuron.t_ref_steps:
        code += " * int(waiting == 0)\nwaiting += t_ref_steps * fires - int(waiting > 0)"
    kept = (
        "v - v_threshold * fires"
        if neuron.reset == "subtract"
        else "v * (1 - fires) + v_reset * fires"
    )
    each_step(cells, f"{code}\nv = {kept}\ntotal += fires", 0)
    cells.v = neuron.v_initial * neuron.threshold
    return cells


def _dynamics(neuron: NeuronSpec, current: str, space: Fields) -> tuple[str, Fields]:
    """Return the code that takes the potential through a step under an input, before any spike.

    With it comes `space`, to which all is added that the equations refer to.
    """
    filtered = ""
    if neuron.synaptic_decay:
        filtered = f"S = {current} + (S - {current}) * synaptic_decay\n"
        current = "S"
    after = f"v + {current}" if neuron.kind == "if" else f"{current} + (v - {current}) * decay"
    if neuron.t_ref_steps:
        after = f"({after}) * int(waiting == 0) + v * int(waiting > 0)"
    return f"{filtered}v = {after}", space | {
        "synaptic_decay": neuron.synaptic_decay,
        "decay": neuron.decay,
        "v_threshold": neuron.threshold,
        "v_reset": neuron.v_reset,
        "v_initial": neuron.v_initial * neuron.threshold,
        "t_ref_steps": neuron.t_ref_steps,
    }


def each_step(group: Foreign, code: str, order: int) -> None:
    """Let a group run a line of code in each step, at its turn within the step."""
    group.run_regularly(code, clock=group.clock, when="groups", order=order)


def take_turn(what: Foreign, order: int) -> None:
    """Give an object of Brian2 its turn within a step."""
    what.when, what.order = "groups", order


def simulated(
    currents: Tensor,
    steps: int,
    neuron: NeuronSpec,
    target: engine.Target | None,
    *,
    counts: bool = False,
) -> Tensor:
    """Return the spikes of a layer, shape (steps, n, *shape), under given currents.

    With `counts` only their numbers, shape (1, n, *shape). The currents are of shape (steps, n,
    *shape), or (1, n, *shape) where they are steady.
    """

    def model() -> list[Foreign]:
        b2 = engine.brian2()
        values, clock = (
            currents.flatten(1).double().numpy(),
            b2.Clock(neuron.dt_ms * b2.ms, name="step_clock"),
        )
        steady = len(values) == 1
        equations, drive = ("drive : 1 (constant)", "drive") if steady else ("", "drive(t, i)")
        space = {} if steady else {"drive": b2.TimedArray(values, dt=clock.dt)}
        cells = (_counting_group if counts else neuron_group)(
            values.shape[1], neuron, equations, drive, space, clock, "cells"
        )
        if steady:
            cells.drive = values[0]
        if not counts:
            return [cells, b2.SpikeMonitor(cells, name="spikes")]
        # the first step and the last
        last = b2.Clock(max(steps - 1, 1) * clock.dt, name="last_clock")
        return [
            cells,
            b2.StateMonitor(cells, "total", record=True, clock=last, when="end", name="counts"),
        ]

    result = engine.run(
        model, duration_ms=steps * neuron.dt_ms, dt_ms=neuron.dt_ms, seed=0, target=target
    )
    if counts:
        found = result["counts"]["total"][-1:]
    else:
        found = np.zeros((steps, currents[0].numel()), np.float32)
        found[
            np.rint(result["spikes"]["t"] * 1e3 / neuron.dt_ms).astype(int), result["spikes"]["i"]
        ] = 1
    value: Tensor = torch.from_numpy(found).unflatten(1, currents.shape[1:]).to(currents.dtype)
    return value
