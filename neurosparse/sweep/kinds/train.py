"""Runs that train a network: its weights, its errors, and the sparsity of its layers.

Sparsity is measured on the test images.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurosparse._internal.types import Fields
from neurosparse.progress import Progress
from neurosparse.recipes import Recipe

if TYPE_CHECKING:
    from neurosparse.store import Row, RunLock

WEIGHTS = "weights.safetensors"


def resolve(recipe: Recipe, settings: Fields, seed: int) -> Fields:
    """Return all that is asked for, as plain values.

    ValueError where recipe and settings do not fit together.
    """
    from neurosparse.rectifier import TrainSpec

    if recipe.kind != "network":
        raise ValueError(
            f'recipe {recipe.name!r} is of kind {recipe.kind!r}; one of kind "network" is needed'
        )
    spec = recipe.spec(TrainSpec, **{**settings, "seed": seed}).model_dump(mode="json")
    if spec["data"].endswith(".npz"):  # a file of one's own: its content counts, not its name
        spec["data"] = str(Path(spec["data"]).resolve())
        return {"training": spec, "data_sha256": _sha256(spec["data"])}
    return {"training": spec}


def modules(spec: Fields) -> list[str]:
    """Return the modules that a spec names: the one of its image set."""
    from neurosparse.data.sets import registry

    name = spec["training"]["data"]
    return [] if name.endswith(".npz") else [registry.home(name)]


def run(spec: Fields, lock: RunLock, device: str, progress: Progress) -> list[Row]:
    """Train, going on from the checkpoint of an earlier try, and keep the weights. One row."""
    from neurosparse import rectifier
    from neurosparse.activity import ActiveWhen
    from neurosparse.measurement import measure

    training = rectifier.TrainSpec.model_validate(spec["training"])
    images = splits(training.data)
    _check_checkpoint(lock, training, images)
    result = rectifier.train(
        training, images, device=device, checkpoint=lock.checkpoint, progress=progress
    )
    rectifier.save(result.network, lock.folder / WEIGHTS, training=training)
    active_when = ActiveWhen(threshold=training.active_threshold)
    layers = measure(result.network, images.test.mixed(), active_when=active_when)
    n_units = sum(layer.n_units for layer in layers.values())
    row = {
        "test_error": result.test_error,
        "test_nll": rectifier.evaluate(result.network, images.test).loss,
        "validation_error": result.validation_error,
        "validation_loss": result.best.validation_loss,
        "best_epoch": result.best_epoch,
        "active_fraction": sum(s.active_fraction * s.n_units for s in layers.values()) / n_units,
        "n_units": n_units,
        "n_dead": sum(s.n_silent for s in layers.values()),
        "active_macs": result.best.active_macs,
    }
    for name, stats in layers.items():
        row |= {f"{name}_active_fraction": stats.active_fraction, f"{name}_n_dead": stats.n_silent}
    return [row]


def _check_checkpoint(lock: RunLock, training: Any, images: Any) -> None:
    """Set aside a checkpoint that cannot be gone on from; the training begins anew."""
    from neurosparse.rectifier import checkpoints

    try:
        checkpoints.load_for(lock.checkpoint, training, checkpoints.fingerprint(images))
    except ValueError as error:
        lock.set_checkpoint_aside(str(error))


@lru_cache(maxsize=1)
def splits(name: str) -> Any:
    """Return the image set of a name, read once a process."""
    from neurosparse import data

    return data.load(name)


@lru_cache
def _sha256(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
