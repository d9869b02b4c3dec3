"""A converted network by events, compared with four frameworks.

The network is 784-1000x3-10 on Fashion-MNIST, 64 steps, in batches of 100, one thread each.

    python benchmarks/convert.py [--pairs N]

Two networks, trained here once by the sparsity controller (minutes each) and kept: about 90 and 97
% of their hidden units are silent. The frameworks get the same normalised weights, the same start
at half the threshold, reset by subtraction, and the read-out of mean spikes, once. The current of
the first layer is the same in every step, and is computed once for them too. Times are CPU seconds
of the process, in turn, for 500 images. Accuracies of the first 1,000 test images are compared, and
ours of all 10,000 with that of the source network.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from pairs import ms_per_image, row, rows_of_converted, show

from neurosparse import data
from neurosparse.convert import SpikingNetwork, to_spiking
from neurosparse.rectifier import RectifierNetwork, TrainSpec, load, save, train

KEPT = Path("results/bench/networks")
TRAINING = {
    "data": "fashion_mnist",
    "learning_rate": 0.1,
    "learning_rate_end": 0.002,
    "target_start": 0.2,
    "target_reached": 0.3,
    "average_last": 0.25,
    "seed": 1,
}
NETWORKS = {90: {"target_active": 0.1, "target_falloff": 0.8}, 97: {"target_active": 0.03}}
GOALS = {90: ">= 8x", 97: ">= 15x"}
STEPS, BATCH, TIMED, COMPARED = 64, 100, 500, 1000

PEER = """
import sys, time, numpy as np, torch
name, path, steps, batch, timed = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
torch.set_num_threads(1)
torch.set_grad_enabled(False)
z = np.load(path)
x, labels = torch.tensor(z["images"]), torch.tensor(z["labels"])
W, b = ([torch.tensor(z[f"{kind}{k}"]) for k in range(4)] for kind in "Wb")
linear = torch.nn.functional.linear

if name == "spikingjelly":
    from spikingjelly.activation_based import functional, neuron
    cells = [neuron.IFNode(v_threshold=1.0, v_reset=None) for _ in range(3)]
    def start(n):
        for cell in cells:
            functional.reset_net(cell)
            cell.v = torch.full((n, 1000), 0.5)
    def fire(k, current):
        return cells[k](current)
elif name == "snntorch":
    import snntorch
    cells = [snntorch.Leaky(beta=1.0, reset_mechanism="subtract") for _ in range(3)]
    potential = [None] * 3
    def start(n):
        potential[:] = [torch.full((n, 1000), 0.5) for _ in cells]
    def fire(k, current):
        spikes, potential[k] = cells[k](current, potential[k])
        return spikes
elif name == "norse":
    from norse.torch import LIFBoxCell, LIFBoxParameters
    from norse.torch.functional.lif_box import LIFBoxFeedForwardState
    from norse.torch.functional.reset import reset_subtract
    # an integrator without a leak is not there with this reset: one that leaks a millionth a step, with weights to match
    W, b = [w * 1e6 for w in W[:3]] + W[3:], [v * 1e6 for v in b[:3]] + b[3:]
    cells = [LIFBoxCell(LIFBoxParameters(tau_mem_inv=torch.tensor(1e-3), reset_method=reset_subtract)) for _ in range(3)]
    potential = [None] * 3
    def start(n):
        potential[:] = [LIFBoxFeedForwardState(v=torch.full((n, 1000), 0.5)) for _ in cells]
    def fire(k, current):
        spikes, potential[k] = cells[k](current, potential[k])
        return spikes
elif name == "sinabs":
    import sinabs.activation as sa, sinabs.layers as sl
    cells = [sl.IAF(spike_fn=sa.SingleSpike) for _ in range(3)]
    def start(n):
        for cell in cells:
            cell.reset_states()
            cell.v_mem = torch.full((n, 1000), 0.5)

def by_steps(x):
    start(len(x))
    current, total = linear(x, W[0], b[0]), 0
    for _ in range(steps):
        spikes = fire(0, current)
        for k in (1, 2):
            spikes = fire(k, linear(spikes, W[k], b[k]))
        total = total + spikes
    return linear(total / steps, W[3], b[3])

def by_layers(x):  # sinabs takes all steps of a layer at once
    start(len(x))
    spikes = cells[0](linear(x, W[0], b[0]).unsqueeze(1).expand(-1, steps, -1))
    for k in (1, 2):
        spikes = cells[k](linear(spikes, W[k], b[k]))
    return linear(spikes.mean(1), W[3], b[3])

run = by_layers if name == "sinabs" else by_steps
run(x[:batch])
begin = time.process_time()
right = [(run(part).argmax(1) == y).float().mean() for part, y in zip(x[:timed].split(batch), labels.split(batch))]
took = time.process_time() - begin
right += [(run(part).argmax(1) == y).float().mean() for part, y in zip(x[timed:].split(batch), labels[timed:].split(batch))]
print("RESULT", took / timed * 1e3, 100 * float(sum(right) / len(right)))
"""


def network(zeros: int) -> RectifierNetwork:
    """Return the network with that many per cent of zeros: kept, or trained now."""
    path = KEPT / f"fashion_{zeros}_zeros.safetensors"
    if not path.exists():
        spec = TrainSpec(**TRAINING, **NETWORKS[zeros])  # type: ignore[arg-type]
        print(f"training {path.stem}, a few minutes, once", file=sys.stderr)
        save(train(spec, device="cpu").network, path, training=spec)
    return load(path)


def export(spiking: SpikingNetwork, images: torch.Tensor, labels: torch.Tensor, path: Path) -> None:
    """Write what the peers need: normalised weights, images and labels."""
    arrays = {"images": spiking.graph.input(images).numpy(), "labels": labels.numpy()}
    linears = [layer for layer in spiking.graph.layers if hasattr(layer, "weight")]
    for k, layer in enumerate(linears):
        arrays |= {f"W{k}": layer.weight.numpy(), f"b{k}": layer.bias.numpy()}
    np.savez(path, **arrays)


def accuracy(outputs: torch.Tensor, labels: torch.Tensor) -> float:
    return 100 * float((outputs.argmax(1) == labels).double().mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int)
    options = parser.parse_args()
    torch.set_num_threads(1)
    splits = data.load("fashion_mnist")
    images, labels = torch.tensor(splits.test.images), torch.tensor(splits.test.labels)
    rows = []
    for zeros, goal in GOALS.items():
        source = network(zeros)
        spiking = to_spiking(source, splits.train.images[:1000])
        path = KEPT / f"fashion_{zeros}_zeros.npz"
        export(spiking, images[:COMPARED], labels[:COMPARED], path)
        ms_per_image(spiking, images[:BATCH], STEPS, BATCH)
        job = f"convert_{zeros}"
        run = spiking.run(images, STEPS, outputs_at=(16,))
        ours = accuracy(run.outputs[:COMPARED], labels[:COMPARED])
        rows += rows_of_converted(
            job,
            spiking,
            images[:TIMED],
            ours,
            PEER,
            path,
            steps=STEPS,
            batch=BATCH,
            peers=("spikingjelly", "snntorch", "sinabs", "norse"),
            pairs=options.pairs,
            goal=goal,
            images=f"{COMPARED:,}",
        )
        with torch.no_grad():
            base = accuracy(source(images), labels)
        for steps, outputs, most in ((STEPS, run.outputs, 0.1), (16, run.outputs_at[16], 0.5)):
            found = accuracy(outputs, labels)
            unit = f"% of 10,000 images, {steps} steps"
            rows.append(
                row(job, "the source network", unit, [found], [base], f"loss <= {most} points")
            )
    show(rows)


if __name__ == "__main__":
    main()
