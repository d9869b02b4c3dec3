"""Weights on disk: safetensors, with the specs in the file's metadata; no pickle."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from neurosparse import files, recipes
from neurosparse.rectifier.network import RectifierNetwork
from neurosparse.rectifier.specs import NetworkSpec, TrainSpec

FORMAT = "neurosparse.rectifier/1"


def save(network: RectifierNetwork, path: str | Path, *, training: TrainSpec | None = None) -> None:
    """Write the weights of `network`, and its spec, to a safetensors file that appears whole or not at all.

    Parameters
    ----------
    training
        The spec that the network was trained by, kept in the metadata.

    Raises
    ------
    OSError
        Where the file cannot be written.
    """
    metadata = {"format": FORMAT, "network": network.spec.model_dump_json()}
    if training is not None:
        metadata["training"] = training.model_dump_json()
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    with files.new_file(Path(path)) as temporary:
        save_file(weights, temporary, metadata=metadata)


def load(path: str | Path) -> RectifierNetwork:
    """Read a network that `save` wrote, on the CPU and in evaluation mode.

    Raises
    ------
    FileNotFoundError, ValueError
        Where the file is missing, truncated, not one of these networks, or holds NaN; one sentence.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is truncated or not a safetensors file: {error}") from None
    network = RectifierNetwork(_spec(path, metadata))
    expected = {name: (value.shape, value.dtype) for name, value in network.state_dict().items()}
    if expected != {name: (value.shape, value.dtype) for name, value in weights.items()}:
        raise ValueError(f"{path} does not hold the weights of the network that its metadata describes")
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise ValueError(f"{path} holds weights that are NaN or infinite")
    network.load_state_dict(weights)
    return network.eval()


def load_training_spec(path: str | Path) -> TrainSpec | None:
    """The spec that the network in a file was trained by; None where `save` was not given one."""
    with safe_open(Path(path), framework="pt") as file:
        text = (file.metadata() or {}).get("training")
    return None if text is None else recipes.build(TrainSpec, json.loads(text), what=str(path))


def _spec(path: Path, metadata: dict[str, str]) -> NetworkSpec:
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path} was not written by neurosparse.rectifier.save: its metadata lacks format={FORMAT!r}")
    try:
        values = json.loads(metadata.get("network", ""))
    except json.JSONDecodeError:
        raise ValueError(f"{path} was not written by neurosparse.rectifier.save: its spec is not JSON") from None
    return recipes.build(NetworkSpec, values, what=f"the spec in {path}")
