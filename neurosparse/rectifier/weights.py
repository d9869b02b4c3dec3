"""Weights on disk: safetensors, with the specs in the file's metadata; no pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from neurosparse import recipes
from neurosparse._internal import checks
from neurosparse._internal import whole_files as files
from neurosparse._internal.foreign_safetensors import check_format, opened
from neurosparse.rectifier.network import RectifierNetwork, check_network
from neurosparse.rectifier.specs import NetworkSpec, TrainSpec

FORMAT = "neurosparse.rectifier/1"


def save(network: RectifierNetwork, path: str | Path, *, training: TrainSpec | None = None) -> None:
    """Write the weights of `network`, and its spec, to a safetensors file.

    The file appears whole or not at all.

    Parameters
    ----------
    network
        The network.
    path
        Of the file.
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
    metadata = {"format": FORMAT, "network": network.spec.model_dump_json()}
    if training is not None:
        metadata["training"] = training.model_dump_json()
    weights = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    with files.new_file(checks.path("path", path)) as temporary:
        save_file(weights, temporary, metadata=metadata)


def load(path: str | Path) -> RectifierNetwork:
    """Read a network that `save` wrote, on the CPU and in evaluation mode.

    Raises
    ------
    FileNotFoundError, ValueError
        Where the file is missing, truncated, not one of these networks, or holds NaN; one sentence.
    """
    path = checks.path("path", path)
    with opened(path) as file:
        spec = _spec(path, file.metadata() or {})
        names = list(file.keys())
        if {name: tuple(file.get_slice(name).get_shape()) for name in names} != spec.shapes:
            raise ValueError(
                f"{path} does not hold the weights of the network that its metadata describes"
            )
        weights = {name: file.get_tensor(name) for name in names}
    network = RectifierNetwork(spec)
    if any(value.dtype != weights[name].dtype for name, value in network.state_dict().items()):
        raise ValueError(
            f"{path} does not hold the weights of the network that its metadata describes"
        )
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise ValueError(f"{path} holds weights that are NaN or infinite")
    network.load_state_dict(weights)
    return network.eval()


def load_training_spec(path: str | Path) -> TrainSpec | None:
    """Return the spec that the network in a file was trained by.

    None where `save` was not given one. Raises as `load` does.
    """
    with opened(checks.path("path", path)) as file:
        text = (file.metadata() or {}).get("training")
    return (
        None
        if text is None
        else recipes.build(TrainSpec, _json(text, path), what=f"the spec in {path}")
    )


def _spec(path: Path, metadata: dict[str, str]) -> NetworkSpec:
    check_format(metadata, FORMAT, path)
    return recipes.build(
        NetworkSpec, _json(metadata.get("network", ""), path), what=f"the spec in {path}"
    )


def _json(text: str, path: str | Path) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise ValueError(
            f"{path} was not written by neurosparse.rectifier.save: its spec is not JSON"
        ) from None
