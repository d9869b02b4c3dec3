"""Small valid files that our own users write or keep: recipes, images, networks, findings."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

NETWORK = """kind = "network"
title = "Small"
data = { value = "images.npz", source = "here" }
epochs = 2
learning_rate = 0.1
network.sizes = [36, 12, 8, 3]
[sources]
here = "measured"
"""


def read_network(path: Path) -> Any:
    from neurosparse import recipes
    from neurosparse.rectifier import TrainSpec

    return recipes.load(str(path)).spec(TrainSpec)


def shipped(name: str) -> Callable[[Path], bytes]:
    """A recipe that comes with the package."""

    def valid(folder: Path) -> bytes:
        from neurosparse._internal import share

        return (share.folder("models") / name).read_bytes()

    return valid


def read_circuit(path: Path) -> Any:
    from neurosparse.spiking import circuit

    return circuit.resolve(circuit.load(str(path))).n_units


def read_population(path: Path) -> Any:
    from neurosparse.spiking import population

    return population.load_population(str(path))


def read_cell(path: Path) -> Any:
    from neurosparse.spiking import cells

    return cells.load_lif(path)


def valid_findings(folder: Path) -> bytes:
    from neurosparse import claims

    criterion = {"quantity": "q", "text": "t", "low": 0.0, "high": None, "unit": "%"}
    claim = {
        "text": "t",
        "source": "s",
        "limits": "",
        "arms": ["rectifier"],
        "criteria": [criterion],
    }
    seeds = {"1": {"q": 1.0}, "2": {"q": 2.0}}
    finding = {"number": 1, "claim": claim, "seeds": seeds, "left_out": []}
    lab = claims.QUICK.model_dump(mode="json")
    content = {
        "format": "neurosparse claims 1",
        "lab": lab,
        "images": "x",
        "findings": [finding],
    }
    return json.dumps(content).encode()


def read_findings(path: Path) -> Any:
    from neurosparse import claims

    return claims.read(path.parent)


def valid_idx(folder: Path) -> bytes:
    header = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (5, 3, 3))
    return gzip.compress(header + bytes(range(45)), mtime=0)


def read_idx(path: Path) -> Any:
    from neurosparse.data import idx

    return idx.read_idx(path, 3)


def valid_matrix(folder: Path) -> bytes:
    numbers = np.array([0x1E3D4C55, 3, 2, 3, 4], "<i4")
    return numbers.tobytes() + bytes(range(24))


def read_matrix(path: Path) -> Any:
    from neurosparse.data import matrix

    return matrix.read_matrix(path)


def training() -> Any:
    from neurosparse.transformer import TransformerSpec, TransformerTrainSpec

    network = TransformerSpec(alphabet=3, d_model=8, layers=1, heads=2, d_ff=6, context=4)
    return TransformerTrainSpec(network=network, steps=2, batch_size=2)


def valid_transformer(folder: Path) -> bytes:
    from neurosparse import transformer

    spec, path = training(), folder / "valid.safetensors"
    transformer.save(transformer.CharacterTransformer(spec.network), path, training=spec)
    return path.read_bytes()


def read_transformer(path: Path) -> Any:
    from neurosparse.transformer import weights

    return weights.load(path), weights.load_training_spec(path)


def valid_transformer_checkpoint(folder: Path) -> bytes:
    from neurosparse import transformer
    from neurosparse.data import texts

    path = folder / "valid.safetensors"
    (folder / "text.txt").write_text("abcabcaabbcc" * 100)
    transformer.train(training(), texts.load(folder / "text.txt"), checkpoint=path, device="cpu")
    return path.read_bytes()


def read_transformer_checkpoint(path: Path) -> Any:
    from neurosparse.transformer import checkpoints

    return checkpoints.load_checkpoint(path)


@cache
def steered() -> Any:
    """A small model whose training is steered, and has begun."""
    import torch

    from neurosparse.sparsify import sparsify

    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    steering = sparsify(model, target=0.1, steps=10)
    model(torch.randn(5, 4)).sum().backward()
    return steering


def valid_steering(folder: Path) -> bytes:
    from neurosparse.sparsify import hugging_face

    return hugging_face.as_text(steered().state_dict()).encode()


def read_steering(path: Path) -> Any:
    from neurosparse.sparsify import hugging_face

    steered().load_state_dict(hugging_face.from_text(path.read_text(errors="replace")))
