"""A training as it stands after an epoch, in one safetensors file.

It holds what it takes to go on as if the training had never stopped.

`train(spec, checkpoint=PATH)` writes the file after every epoch and goes on from it where it
exists. The file appears whole or not at all, so a training that is interrupted or killed has that
of its last whole epoch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from neurosparse import recipes
from neurosparse._internal import checks
from neurosparse._internal import whole_files as files
from neurosparse._internal.foreign_safetensors import check_format, opened
from neurosparse._internal.types import Fields
from neurosparse.data import Splits
from neurosparse.rectifier.history import Epoch, LayerActivity
from neurosparse.rectifier.network import RectifierNetwork
from neurosparse.rectifier.specs import TrainSpec

FORMAT = "neurosparse.training/1"
_GROUPS = ("weights", "best", "mean")

Weights = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A training after its last whole epoch."""

    spec: TrainSpec
    inputs: str  # `fingerprint` of what it was trained on and started from
    history: tuple[Epoch, ...] = field(repr=False)  # epoch 0 first
    best_epoch: int
    seconds: float  # so far
    l1: tuple[float, ...]  # the weight of the penalty of each hidden layer
    n_averaged: int  # of how many weights `mean` is the mean
    generator: Tensor = field(repr=False)  # the state of the generator of the order of the images
    weights: Weights = field(repr=False)  # as they stand
    best: Weights = field(repr=False)  # of the best epoch
    mean: Weights = field(repr=False)  # averaged so far; empty where there is none yet

    @property
    def epoch(self) -> int:
        """The last whole epoch."""
        return self.history[-1].epoch

    def network(self) -> RectifierNetwork:
        """Return the network of the best epoch so far, in evaluation mode.

        It is what `train` would return if this had been its last.
        """
        network = RectifierNetwork(self.spec.network)
        network.load_state_dict(dict(self.best))
        return network.eval()


def save_checkpoint(checkpoint: Checkpoint, path: str | Path) -> None:
    """Write a checkpoint; the file that stands there is replaced as a whole.

    Raises
    ------
    OSError
        Where the file cannot be written.
    """
    numbers = {
        "inputs": checkpoint.inputs,
        "history": [asdict(epoch) for epoch in checkpoint.history],
        "best_epoch": checkpoint.best_epoch,
        "seconds": checkpoint.seconds,
        "l1": checkpoint.l1,
        "n_averaged": checkpoint.n_averaged,
    }
    tensors = {
        f"{group}.{name}": value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for group in _GROUPS
        for name, value in getattr(checkpoint, group).items()
    }
    metadata = {
        "format": FORMAT,
        "training": checkpoint.spec.model_dump_json(),
        "numbers": json.dumps(numbers, allow_nan=False),
    }
    tensors["generator"] = checkpoint.generator
    metadata["sha256"] = _sum(tensors, metadata)
    with files.new_file(checks.path("path", path)) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint that `save_checkpoint` wrote, its tensors on the CPU.

    Raises
    ------
    FileNotFoundError, ValueError
        Where the file is missing, truncated, not a checkpoint, or does not hold the weights of the
        network that it names.
    """
    path = checks.path("path", path)
    with opened(path, "checkpoint") as file:
        metadata = file.metadata() or {}
        check_format(metadata, FORMAT, path)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    whole = metadata.pop("sha256", None) == _sum(tensors, metadata)
    try:
        spec_values, numbers = json.loads(metadata["training"]), json.loads(metadata["numbers"])
        spec = recipes.build(TrainSpec, spec_values, what=f"the spec in {path}")
        groups: dict[str, dict[str, Tensor]] = {group: {} for group in _GROUPS}
        generator = tensors.pop("generator")
        for key, value in tensors.items():
            group, _, name = key.partition(".")
            groups[group][name] = value
        history = tuple(_epoch(values) for values in numbers.pop("history"))
        numbers["l1"] = tuple(numbers["l1"])
        values: Fields = {**numbers, **groups}
        checkpoint = Checkpoint(spec=spec, history=history, generator=generator, **values)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is a damaged checkpoint: {error}") from None
    _check(checkpoint, path)
    if not whole:
        raise ValueError(f"{path} is a damaged checkpoint: it is not as it was written")
    return checkpoint


def load_for(path: str | Path, spec: TrainSpec, inputs: str) -> Checkpoint | None:
    """Load the checkpoint from which the training of `spec` goes on.

    None where there is no file yet.

    Raises
    ------
    ValueError, OSError
        Where the file is that of another training, or cannot be read, or cannot be written later.
    """
    path = checks.path("path", path)
    files.check_file(path)
    if not path.exists():
        return None
    checkpoint = load_checkpoint(path)
    remedy = "remove it, or name another file"
    theirs, ours = checkpoint.spec.model_dump(), spec.model_dump()
    if different := [key for key, value in ours.items() if theirs[key] != value]:
        key = different[0]
        raise ValueError(
            f"{path} is of another training: its {key} is {theirs[key]}, not {ours[key]}; {remedy}"
        )
    if checkpoint.inputs != inputs:
        raise ValueError(
            f"{path} is of a training on other images, or from another network; {remedy}"
        )
    return checkpoint


def fingerprint(splits: Splits, start: RectifierNetwork | None = None) -> str:
    """Return the SHA-256 of the images and labels for training and validation.

    Also of the network that the training starts from, if given.
    """
    digest = hashlib.sha256()
    for part in (splits.train, splits.validation):
        for array in (part.images, part.labels):
            digest.update(f"{array.shape}{array.dtype}".encode())
            digest.update(array.data)
    for name, value in {} if start is None else start.state_dict().items():
        digest.update(f"{name}{tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy())
    return digest.hexdigest()


def _sum(tensors: Weights, metadata: Mapping[str, str]) -> str:
    """Return the SHA-256 of everything in a checkpoint.

    A flipped bit would train on, unseen, to other numbers.
    """
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].numpy().data)
    return digest.hexdigest()


def _epoch(values: Fields) -> Epoch:
    layers = {name: LayerActivity(**layer) for name, layer in values.pop("layers").items()}
    return Epoch(**{**values, "l1": tuple(values["l1"])}, layers=layers)


def _check(checkpoint: Checkpoint, path: Path) -> None:
    """Refuse what no training can go on from."""
    expected = {
        name: (shape, torch.float32) for name, shape in checkpoint.spec.network.shapes.items()
    }
    for group in _GROUPS:
        weights = getattr(checkpoint, group)
        if group == "mean" and not weights:
            continue
        if {name: (value.shape, value.dtype) for name, value in weights.items()} != expected:
            raise ValueError(
                f"{path} does not hold the weights of the network that its metadata describes"
            )
        if not all(bool(value.isfinite().all()) for value in weights.values()):
            raise ValueError(f"{path} holds weights that are NaN or infinite")
    epochs = [epoch.epoch for epoch in checkpoint.history]
    if (
        epochs != list(range(len(epochs)))
        or not epochs
        or not 0 <= checkpoint.best_epoch < len(epochs)
    ):
        raise ValueError(f"{path} is a damaged checkpoint: its history is of the epochs {epochs}")
    if (
        checkpoint.generator.dtype != torch.uint8
        or checkpoint.generator.shape != torch.Generator().get_state().shape
    ):
        raise ValueError(f"{path} is a damaged checkpoint: it holds no state of a generator")
