"""Networks that `neurosparse train` wrote, of either kind, with inputs to measure them on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from neurosparse import rectifier, transformer
from neurosparse._internal import checks
from neurosparse._internal.foreign_safetensors import opened
from neurosparse.data import texts
from neurosparse.probe import loading
from neurosparse.rectifier import weights as of_rectifiers
from neurosparse.transformer import weights as of_transformers
from neurosparse.transformer.evaluation import pieces
from neurosparse.transformer.results import numbers_of

PIECES = 500  # of a text, at most


@dataclass(frozen=True, slots=True)
class Trained:
    """A network, inputs for it, the name of these, and how the network came to be sparse."""

    network: nn.Module
    inputs: Any
    data: str
    sparsity: Mapping[str, float | None]


def is_transformer(path: str | Path) -> bool:
    """Return whether a file holds a transformer that `neurosparse train` wrote.

    Raises
    ------
    FileNotFoundError, ValueError
        Where there is no such file, or it is no safetensors file; one sentence.
    """
    with opened(checks.path("path", path)) as file:
        return (file.metadata() or {}).get("format") == of_transformers.FORMAT


def check_own(path: Path) -> None:
    """Refuse weights that this package did not write with the way out.

    Raises
    ------
    ValueError
        Where the metadata name no format of ours; one sentence.
    """
    with opened(path) as file:
        kind = (file.metadata() or {}).get("format", "")
    if not kind.startswith("neurosparse."):
        raise ValueError(
            f"{path} holds weights that neurosparse did not write, and not their network: write a"
            " function that returns it, and give MODULE:FUNCTION with --weights"
            f" {path.name} and --data"
        )


def read(
    path: str | Path, *, data: str | None = None, shape: tuple[int, ...] | None = None
) -> Trained:
    """Read a network that `neurosparse train` wrote, with the test data of its training.

    A transformer reads test text in pieces as long as its context, at most `PIECES` of them, evenly
    from the whole.

    Parameters
    ----------
    path
        The file, .safetensors.
    data
        Other inputs: what `probe.loading.inputs` takes; for transformers "plays", a text file, a
        folder of such files, or a file of arrays.
    shape
        The shape of one input, for inputs that are stored flat.

    Raises
    ------
    FileNotFoundError, ValueError
        Where it is no such network, or there are no inputs; one sentence.
    """
    path = checks.path("path", path)
    if is_transformer(path):
        return _transformer(path, data, shape)
    check_own(path)
    training = of_rectifiers.load_training_spec(path)
    data = data or (None if training is None else training.data)
    if data is None:
        raise _without_data(path)
    sparsity = {} if training is None else training.sparsity
    return Trained(rectifier.load(path), loading.inputs(data, shape), data, sparsity)


def _transformer(path: Path, data: str | None, shape: tuple[int, ...] | None) -> Trained:
    training = transformer.load_training_spec(path)
    network = transformer.load(path)
    data = data or (None if training is None else training.data)
    if data is None:
        raise _without_data(path)
    sparsity = {} if training is None else training.sparsity
    if data.endswith((".npy", ".npz")):
        return Trained(network, loading.inputs(data, shape), data, sparsity)
    if shape is not None:
        raise ValueError(f"--input-shape is for arrays, and {data} is a text: leave it out")
    text = texts.load(data)
    numbers = numbers_of(text.text(text.test), network.alphabet)
    return Trained(network, pieces(numbers, network.spec, PIECES)[:, :-1], data, sparsity)


def _without_data(path: Path) -> ValueError:
    return ValueError(
        f"{path} does not say what it was trained on: give --data, an image set, a text or a .npy"
        " file"
    )
