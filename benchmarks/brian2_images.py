"""A converted network of 784-500-10 in Brian2: 500 images of 64 steps, in two ways.

One has the neurons of all images in one group, the other synapses in blocks.

    python benchmarks/brian2_images.py [--pairs N]

Ours is `run_in_brian2`, which puts the hidden neurons of all images into one group and applies the
linear read-out to their numbers of spikes. The other way, as one would write it, copies the
synapses to the read-out for every image. Both in C++ by the same engine, one core: CPU time of the
compiled programs with their start, in turn.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from pairs import in_turn, row, show
from torch import nn

from neurosparse import data
from neurosparse.convert import run_in_brian2, to_spiking
from neurosparse.rectifier import NetworkSpec, TrainSpec, train
from neurosparse.spiking.brian import running as engine

IMAGES, STEPS = 500, 64


def in_blocks(current: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> list:
    """Build the model of all images, with synapses in blocks.

    Currents have shape (images, hidden).
    """
    b2 = engine.brian2()
    n_images, n_hidden = current.shape
    n_out = len(weight)
    clock = b2.Clock(1 * b2.ms, name="step_clock")
    hidden = b2.NeuronGroup(
        n_images * n_hidden,
        "v : 1\ndrive : 1 (constant)",
        threshold="v >= 1",
        reset="v -= 1",
        clock=clock,
        name="hidden",
    )
    hidden.run_regularly("v += drive", clock=clock)
    hidden.v, hidden.drive = 0.5, current.ravel()
    output = b2.NeuronGroup(
        n_images * n_out, "total : 1\nbias : 1 (constant)", clock=clock, name="output"
    )
    output.run_regularly("total += bias", clock=clock)
    output.bias = np.tile(bias, n_images)
    synapses = b2.Synapses(
        hidden, output, "w : 1 (constant)", on_pre="total_post += w", clock=clock, name="synapses"
    )
    i = np.repeat(np.arange(n_images * n_hidden), n_out)
    synapses.connect(i=i, j=i // n_hidden * n_out + np.tile(np.arange(n_out), n_images * n_hidden))
    synapses.w = np.tile(weight.T.ravel(), n_images)
    return [
        hidden,
        output,
        synapses,
        b2.StateMonitor(output, "total", record=True, clock=clock, when="end", name="totals"),
    ]


def program_ms(what: Callable[[], object]) -> float:
    """Return the CPU milliseconds an image of the programs that one call runs."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    what()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) / IMAGES * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int)
    options = parser.parse_args()
    torch.set_num_threads(1)
    splits = data.load("mnist5k")
    source = train(
        TrainSpec(network=NetworkSpec(sizes=(784, 500, 10)), epochs=10), splits, device="cpu"
    ).network
    spiking = to_spiking(source, splits.train.images)
    images = torch.tensor(splits.test.mixed().images[:IMAGES])
    first, last = (layer for layer in spiking.graph.layers if hasattr(layer, "weight"))
    current = (
        nn.functional.linear(spiking.graph.input(images), first.weight, first.bias).double().numpy()
    )
    model = partial(in_blocks, current, last.weight.double().numpy(), last.bias.double().numpy())

    outputs = run_in_brian2(spiking, images, STEPS).outputs.numpy()
    result = engine.run(model, duration_ms=STEPS, dt_ms=1.0, seed=0)
    np.testing.assert_allclose(
        result["totals"]["total"][-1].reshape(outputs.shape) / STEPS, outputs, atol=1e-3
    )
    mine, others = in_turn(
        lambda: program_ms(lambda: run_in_brian2(spiking, images, STEPS)),
        lambda: program_ms(lambda: engine.run(model, duration_ms=STEPS, dt_ms=1.0, seed=0)),
        options.pairs,
    )
    show(
        [
            row(
                "brian2_images",
                "Brian2, synapses in blocks",
                "ms CPU an image",
                mine,
                others,
                ">= 8x",
            )
        ]
    )


if __name__ == "__main__":
    main()
