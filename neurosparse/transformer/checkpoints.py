"""A training as it stands after a look, in one safetensors file: what it takes to go on from there.

`train(spec, checkpoint=PATH)` writes the file at every look and goes on from it where it exists. On
the CPU it comes to the same numbers, bit for bit, as if it had never stopped. The file appears
whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from neurosparse import recipes
from neurosparse._internal import checks
from neurosparse._internal import whole_files as files
from neurosparse._internal.foreign_safetensors import check_format, opened
from neurosparse.data.texts import TextSplits
from neurosparse.transformer.history import Look, TransformerScores
from neurosparse.transformer.specs import TransformerTrainSpec
from neurosparse.transformer.weights import check_weights, plain

FORMAT = "neurosparse.transformer.training/1"
_GROUPS = ("weights", "first", "second", "counts", "idle")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A training after a look.

    Attributes
    ----------
    text
        `fingerprint` of the text that it was trained on.
    history
        The looks so far, that of step 0 first.
    seconds, cpu_s
        So far.
    weights
        The network's.
    first, second
        AdamW's running means of each weight's gradient and of its square.
    steering
        What `Sparsifier.state_dict` gave; None where nothing is steered.
    """

    spec: TransformerTrainSpec
    text: str
    history: tuple[Look, ...] = field(repr=False)
    seconds: float
    cpu_s: float
    weights: Mapping[str, Tensor] = field(repr=False)
    first: Mapping[str, Tensor] = field(repr=False)
    second: Mapping[str, Tensor] = field(repr=False)
    steering: Mapping[str, Any] | None = field(repr=False)

    @property
    def step(self) -> int:
        """Steps that are over."""
        return self.history[-1].step


def save_checkpoint(checkpoint: Checkpoint, path: str | Path) -> None:
    """Write a checkpoint; the file that stands there is replaced as a whole.

    Raises
    ------
    OSError
        Where the file cannot be written.
    """
    steering = checkpoint.steering
    numbers: dict[str, Any] = {
        "text": checkpoint.text,
        "history": [asdict(look) for look in checkpoint.history],
        "seconds": checkpoint.seconds,
        "cpu_s": checkpoint.cpu_s,
        "steering": steering and {k: v for k, v in steering.items() if k not in ("counts", "idle")},
    }
    groups = {name: getattr(checkpoint, name) for name in ("weights", "first", "second")}
    groups |= {name: steering[name] for name in ("counts", "idle")} if steering else {}
    tensors = {
        f"{group}.{name}": value
        for group, of_group in groups.items()
        for name, value in plain(dict(of_group)).items()
    }
    metadata = {
        "format": FORMAT,
        "training": checkpoint.spec.model_dump_json(),
        "numbers": json.dumps(numbers),
    }
    metadata["sha256"] = _sum(tensors, metadata)
    with files.new_file(checks.path("path", path)) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint that `save_checkpoint` wrote, its tensors on the CPU.

    Raises
    ------
    FileNotFoundError, ValueError
        Where the file is missing, truncated, not a checkpoint, or not as it was written.
    """
    path = checks.path("path", path)
    with opened(path, "checkpoint") as file:
        metadata = file.metadata() or {}
        check_format(metadata, FORMAT, path)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    # a flipped bit would train on, unseen, to other numbers
    if metadata.pop("sha256", None) != _sum(tensors, metadata):
        raise ValueError(f"{path} is a damaged checkpoint: it is not as it was written")
    try:
        return _checkpoint(path, metadata, tensors)
    except (KeyError, TypeError, AttributeError, IndexError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is a damaged checkpoint: {error}") from None


def load_for(path: str | Path, spec: TransformerTrainSpec, text: str) -> Checkpoint | None:
    """Read the checkpoint from which the training of a spec goes on.

    Returns
    -------
    Checkpoint, or None
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
    if checkpoint.text != text:
        raise ValueError(f"{path} is of a training on another text; {remedy}")
    return checkpoint


def fingerprint(text: TextSplits) -> str:
    """Return the SHA-256 of the alphabet and of the parts for training and validation."""
    digest = hashlib.sha256(text.alphabet.encode("utf-8", "surrogatepass"))
    for part in (text.train, text.validation):
        digest.update(f"{part.shape}{part.dtype}".encode())
        digest.update(part.data)
    return digest.hexdigest()


def _sum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _checkpoint(
    path: Path, metadata: Mapping[str, str], tensors: Mapping[str, Tensor]
) -> Checkpoint:
    numbers: dict[str, Any] = json.loads(metadata["numbers"])
    spec = recipes.build(
        TransformerTrainSpec, json.loads(metadata["training"]), what=f"the spec in {path}"
    )
    groups: dict[str, dict[str, Tensor]] = {group: {} for group in _GROUPS}
    for key, value in tensors.items():
        group, _, name = key.partition(".")
        groups[group][name] = value
    counts, idle = groups.pop("counts"), groups.pop("idle")
    if numbers["steering"] is not None:
        numbers["steering"] |= {"counts": counts, "idle": idle}
    for of_group in groups.values():
        check_weights(of_group, spec.network, path)
    numbers["history"] = tuple(_look(values) for values in numbers["history"])
    numbers |= groups
    checkpoint = Checkpoint(spec=spec, **numbers)
    if not 0 <= checkpoint.step <= spec.steps:
        raise ValueError(f"{path} is a damaged checkpoint: it is of step {checkpoint.step}")
    return checkpoint


def _look(values: dict[str, Any]) -> Look:
    scores: dict[str, Any] = values.pop("scores")
    scores |= {key: tuple(scores[key]) for key in ("active", "alive")}
    return Look(**{**values, "l1": tuple(values["l1"])}, scores=TransformerScores(**scores))
