"""Weights on disk: safetensors, with spec and alphabet in the file's metadata; no pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from neurosparse import recipes
from neurosparse._internal import checks
from neurosparse._internal import whole_files as files
from neurosparse._internal.foreign_safetensors import check_format, opened
from neurosparse.transformer.network import CharacterTransformer, check_network
from neurosparse.transformer.specs import TransformerSpec, TransformerTrainSpec

FORMAT = "neurosparse.transformer/1"


def save(
    network: CharacterTransformer,
    path: str | Path,
    *,
    training: TransformerTrainSpec | None = None,
) -> None:
    """Write a network's weights, spec and alphabet to a safetensors file.

    The file appears whole or not at all.

    Parameters
    ----------
    network
        The network.
    path
        The file; one that stands there is replaced.
    training
        The spec that the network was trained by, kept in the metadata.

    Raises
    ------
    OSError
        Where the file cannot be written.
    TypeError
        Where an argument is of another kind.
    """
    check_network(network)
    metadata = {
        "format": FORMAT,
        "network": network.spec.model_dump_json(),
        "alphabet": json.dumps(network.alphabet),
    }
    if training is not None:
        metadata["training"] = training.model_dump_json()
    with files.new_file(checks.path("path", path)) as temporary:
        save_file(plain(network.state_dict()), temporary, metadata=metadata)


def load(path: str | Path) -> CharacterTransformer:
    """Read a network that `save` wrote, on the CPU and in evaluation mode.

    Raises
    ------
    FileNotFoundError, ValueError
        Where the file is missing, truncated, not one of these networks, or holds NaN; one sentence.
    """
    path = checks.path("path", path)
    with opened(path) as file:
        metadata = file.metadata() or {}
        check_format(metadata, FORMAT, path)
        spec = recipes.build(
            TransformerSpec, _json(metadata, "network", path), what=f"the spec in {path}"
        )
        alphabet = _json(metadata, "alphabet", path)
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        _check(shapes, spec, alphabet, path)
        weights = {name: file.get_tensor(name) for name in shapes}
    check_weights(weights, spec, path)
    network = CharacterTransformer(spec)
    network.load_state_dict(weights)
    network.alphabet = alphabet
    return network.eval()


def load_training_spec(path: str | Path) -> TransformerTrainSpec | None:
    """Return the spec that the network in a file was trained by; None where `save` got none.

    Raises
    ------
    FileNotFoundError, ValueError
        As `load` does.
    """
    with opened(checks.path("path", path)) as file:
        metadata = file.metadata() or {}
    if "training" not in metadata:
        return None
    values = _json(metadata, "training", path)
    return recipes.build(TransformerTrainSpec, values, what=f"the spec in {path}")


def plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors as files hold them: on the CPU, row by row, sharing nothing."""
    return {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in tensors.items()
    }


def check_weights(weights: dict[str, Tensor], spec: TransformerSpec, path: str | Path) -> None:
    """Refuse tensors that are not the weights of a spec's network, or not finite."""
    found = {name: (tuple(value.shape), value.dtype) for name, value in weights.items()}
    if found != {name: (shape, torch.float32) for name, shape in spec.shapes.items()}:
        raise _others(path)
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise ValueError(f"{path} holds weights that are NaN or infinite")


def _check(
    shapes: dict[str, tuple[int, ...]], spec: TransformerSpec, alphabet: Any, path: Path
) -> None:
    """Compare a file's head with its spec, before anything of the spec's size is made."""
    if shapes != spec.shapes:
        raise _others(path)
    if not isinstance(alphabet, str) or len(alphabet) not in (0, spec.alphabet):
        raise ValueError(
            f"{path} has an alphabet that is not of {spec.alphabet} characters as its spec says"
        )


def _others(path: str | Path) -> ValueError:
    return ValueError(
        f"{path} does not hold the weights of the network that its metadata describes"
    )


def _json(metadata: dict[str, str], key: str, path: str | Path) -> Any:
    try:
        return json.loads(metadata.get(key, ""))
    except (json.JSONDecodeError, RecursionError):
        raise ValueError(
            f"{path} was not written by neurosparse.transformer.save: its {key} is not JSON"
        ) from None
