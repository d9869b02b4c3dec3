"""Converted convolutional networks compared with three frameworks.

A VGG-like and a ResNet-18-like network on the 5,000 digits, 32 steps, batches of 50, one thread
each.

    python benchmarks/convert_images.py [--pairs N]

Each network twice: trained as usual, and steered to 5 % active units in each layer, so that 95 % of
what its rectifiers give are zeros. Both are then trained on with rectifiers of few levels, as one
does for few steps (Bu et al. 2022). They are trained once and kept. The frameworks get the same normalised weights, the same start at half
the threshold, reset by subtraction and the read-out of mean spikes. Each gets the fastest way that
it has. SpikingJelly and sinabs take all steps of a layer at once. Of snnTorch, which takes a step
at a time, the convolutions are done for all steps at once too. What is the same in every step is
computed once for them as well. Pools are averages, for no framework has a maximum of rates. Times
are CPU seconds of the process, in turn; accuracies are those of 500 images that were not trained
on.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from pairs import rows_of_converted, show
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

import neurosparse as ns
from neurosparse import data
from neurosparse.convert import SpikingNetwork, quantise, to_spiking
from neurosparse.convert.graph import Add, AveragePool, Conv, Linear, Reshape, Spike

KEPT = Path("results/bench/networks")
STEPS, BATCH, TIMED, TESTED = 32, 50, 100, 500
# of the rectifiers, fewer than steps: spikes of deep layers come unevenly
LEVELS = 4
EPOCHS, TUNED = 4, {"": 4, "_95": 14}  # as usual, and with levels
GOALS = {"": ">= 4x", "_95": ">= 8x"}
PEERS = ("spikingjelly", "sinabs", "snntorch")

PEER = """
import json, sys, time, numpy as np, torch
from torch.nn import functional as F
name, path, steps, batch, timed = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
torch.set_num_threads(1)
torch.set_grad_enabled(False)
z = np.load(path)
x, labels = torch.tensor(z["images"]), torch.tensor(z["labels"])
layers = json.loads(str(z["layers"]), object_hook=lambda o: torch.tensor(z[o["array"]]) if "array" in o else o)

if name == "spikingjelly":
    from spikingjelly.activation_based import functional, neuron
    cells = {l["name"]: neuron.IFNode(v_threshold=1.0, v_reset=None, step_mode="m") for l in layers if l["kind"] == "Spike"}
    def fire(cell, current):
        functional.reset_net(cell)
        cell.v = torch.full_like(current[0], 0.5)
        return cell(current)
elif name == "snntorch":
    import snntorch
    cells = {l["name"]: snntorch.Leaky(beta=1.0, reset_mechanism="subtract") for l in layers if l["kind"] == "Spike"}
    def fire(cell, current):
        v, found = torch.full_like(current[0], 0.5), []
        for step in current:
            spikes, v = cell(step, v)
            found.append(spikes)
        return torch.stack(found)
elif name == "sinabs":
    import sinabs.activation as sa, sinabs.layers as sl
    cells = {l["name"]: sl.IAF(spike_fn=sa.SingleSpike) for l in layers if l["kind"] == "Spike"}
    def fire(cell, current):
        cell.reset_states()
        cell.v_mem = torch.full_like(current[0], 0.5)
        return cell(current.transpose(0, 1)).transpose(0, 1)

def compute(l, values):
    kind, v = l["kind"], values[0]
    if kind == "Conv":
        return F.conv2d(v, l["weight"], l["bias"], l["stride"], l["padding"])
    if kind == "Linear":
        return F.linear(v, l["weight"], l["bias"])
    if kind == "Add":
        return sum((w * v for w, v in zip(l["weights"], values)), l["bias"])
    if kind == "AveragePool":
        return F.avg_pool2d(v, **l["options"])
    return v.reshape(len(v), *l["shape"])

def run(x):
    n, values, last = len(x), {layers[0]["name"]: x}, max(k for k, l in enumerate(layers) if l["kind"] == "Spike")
    steady = {layers[0]["name"]}
    for k, l in enumerate(layers[1:], 1):
        if l["kind"] == "Spike":
            current = values[l["inputs"][0]]
            if l["inputs"][0] in steady:
                current = current.unsqueeze(0).expand(steps, *current.shape)
            else:
                current = current.unflatten(0, (steps, n))
            spikes = fire(cells[l["name"]], current)
            values[l["name"]] = spikes.mean(0) if k == last else spikes.flatten(0, 1)
            continue
        same = [i in steady for i in l["inputs"]]
        taken = [values[i] if s == all(same) else values[i].repeat(steps, *[1] * (values[i].ndim - 1)) for i, s in zip(l["inputs"], same)]
        values[l["name"]] = compute(l, taken)
        if all(same):
            steady.add(l["name"])
    return values[layers[-1]["name"]]

run(x[:batch])
begin = time.process_time()
right = [(run(part).argmax(1) == y).float().sum() for part, y in zip(x[:timed].split(batch), labels.split(batch))]
took = time.process_time() - begin
right += [(run(x[k:k + batch]).argmax(1) == labels[k:k + batch]).float().sum() for k in range(timed, len(x), batch)]
print("RESULT", took / timed * 1e3, 100 * float(sum(right)) / len(x))
"""


class Block(nn.Module):
    """Two convolutions and a shortcut, as in ResNet-18 (He et al. 2016, arXiv 1512.03385)."""

    def __init__(self, n: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(convolution(n, out, stride), nn.ReLU())
        self.second = convolution(out, out)
        one = nn.Sequential(nn.Conv2d(n, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        self.aside = nn.Identity() if n == out else one
        self.rectified = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.rectified(self.second(self.first(x)) + self.aside(x))
        return result


def convolution(n: int, out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(n, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out))


def vgg() -> nn.Module:
    """Return three pairs of convolutions with 32, 64 and 128 channels, and two layers on them."""
    layers: list[nn.Module] = []
    n = 1
    for out in (32, 64, 128):
        layers += [convolution(n, out), nn.ReLU(), convolution(out, out), nn.ReLU()]
        layers.append(nn.AvgPool2d(2))
        n = out
    end = (nn.Flatten(), nn.Linear(128 * 9, 256), nn.ReLU(), nn.Linear(256, 10))
    return nn.Sequential(*layers, *end)


def resnet() -> nn.Module:
    """Return ResNet-18's four pairs of blocks, a quarter as wide."""
    layers: list[nn.Module] = [convolution(1, 16), nn.ReLU()]
    n = 16
    for out, stride in ((16, 1), (32, 2), (64, 2), (128, 2)):
        layers += [Block(n, out, stride), Block(out, out, 1)]
        n = out
    end = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))
    return nn.Sequential(*layers, *end)


NETWORKS = {"vgg": vgg, "resnet18": resnet}


def trained(name: str, kind: str, images: Tensor, labels: Tensor) -> nn.Module:
    """Return the network as it was kept, or trained."""
    torch.manual_seed(1)
    model, some = NETWORKS[name](), images[:500]
    path = KEPT / f"digits_{name}{kind}_{LEVELS}_levels.safetensors"
    if path.exists():
        quantised = quantise(model, some, LEVELS)
        quantised.load_state_dict(load_file(path))
        return quantised.eval()
    print(f"training {path.stem}, some minutes, once", file=sys.stderr)
    learn(model, images, labels, EPOCHS)
    quantised = quantise(model, some, LEVELS)
    learn(quantised, images, labels, TUNED[kind], target=0.05 if kind else None)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(quantised.state_dict(), path)
    return quantised.eval()


def learn(
    model: nn.Module, images: Tensor, labels: Tensor, epochs: int, *, target: float | None = None
) -> None:
    """Train by Adam, whose steps get smaller, with `target` as the share of active units."""
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    steps = epochs * -(-len(images) // BATCH)
    sparse = ns.sparsify(model, target, steps=steps, reached=0.7) if target else None
    model.train()
    for _ in range(epochs):
        for part in torch.randperm(len(images)).split(BATCH):
            loss = functional.cross_entropy(model(images[part]), labels[part])
            if sparse is not None:
                loss = loss + sparse.penalty()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if sparse is not None:
                sparse.step()
        schedule.step()
    if sparse is not None:
        sparse.remove()


def export(spiking: SpikingNetwork, images: Tensor, labels: Tensor, path: Path) -> None:
    """Write what the peers need: images, labels, and the layers as JSON, their tensors apart."""
    layers = []
    for layer in spiking.graph.layers:
        kept = {"kind": type(layer).__name__, "name": layer.name, "inputs": layer.inputs}
        kept |= {"shape": layer.shape}
        names: tuple[str, ...] = ()
        if isinstance(layer, Conv):
            names = ("weight", "bias", "stride", "padding")
        elif isinstance(layer, Linear):
            names = ("weight", "bias")
        elif isinstance(layer, Add):
            names = ("weights", "bias")
        elif isinstance(layer, AveragePool):
            names = ("options",)
        elif layer.inputs and not isinstance(layer, Spike | Reshape):
            raise TypeError(f"the peers are not told of {type(layer).__name__}")
        layers.append(kept | {key: getattr(layer, key) for key in names})
    arrays = {"images": spiking.graph.input(images).numpy(), "labels": labels.numpy()}

    def aside(tensor: Tensor) -> dict[str, str]:
        key = f"tensor {len(arrays)}"
        arrays[key] = tensor.numpy()
        return {"array": key}

    text = json.dumps(layers, default=aside)
    np.savez(path, layers=text, **arrays)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--peers", nargs="*", default=PEERS)
    parser.add_argument("--networks", nargs="*", default=tuple(NETWORKS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    digits = data.load("mnist5k")
    mixed = digits.train.mixed(), digits.test.mixed()  # the digits stand class after class
    images, x = (torch.tensor(split.images).reshape(-1, 1, 28, 28) for split in mixed)
    labels, y = (torch.tensor(split.labels) for split in mixed)
    x, y = x[:TESTED], y[:TESTED]
    rows = []
    for name in options.networks:
        for kind, goal in GOALS.items():
            model = trained(name, kind, images, labels)
            spiking = to_spiking(model, images[:500])
            path = KEPT / f"digits_{name}{kind}.peers.npz"
            timed_path = path.with_suffix(".timed.npz")
            export(spiking, x, y, path)
            export(spiking, x[:TIMED], y[:TIMED], timed_path)
            found = spiking.run(x, STEPS)
            ours = 100 * float((found.outputs.argmax(1) == y).double().mean())
            for layer in found.paths:
                print(f"{layer.layer}: {layer.path}, {layer.why}", file=sys.stderr)
            job = f"convert_{name}{kind}"
            rows += rows_of_converted(
                job,
                spiking,
                x[:TIMED],
                ours,
                PEER,
                path,
                steps=STEPS,
                batch=BATCH,
                peers=options.peers,
                pairs=options.pairs,
                goal=goal,
                images=f"{TESTED:,}",
                timed_path=timed_path,
            )
    show(rows)


if __name__ == "__main__":
    main()
