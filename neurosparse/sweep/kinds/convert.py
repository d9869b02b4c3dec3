"""Runs that train a network and convert it to a spiking one.

They tell how well the two agree on the test images, step by step.

The training is a run of its own in the same store, shared by all conversions of the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from neurosparse import recipes, store
from neurosparse._internal.types import Fields
from neurosparse.convert import NeuronSpec, Normalisation
from neurosparse.progress import Progress, part_of
from neurosparse.recipes import Recipe
from neurosparse.sweep.kinds import train

if TYPE_CHECKING:
    from neurosparse.store import Row, RunLock


class ConversionSpec(recipes.Spec):
    """Settings of a conversion in a sweep: `steps`, `neuron.*` and `normalisation.*`.

    All other settings are of the network's recipe.
    """

    steps: Annotated[int, Field(ge=1)] = 64
    neuron: NeuronSpec = NeuronSpec()
    normalisation: Normalisation = Normalisation()


def resolve(recipe: Recipe, settings: Fields, seed: int) -> Fields:
    """Return all that is asked for, as plain values.

    ValueError where recipe and settings do not fit together.
    """
    ours: Fields = {"neuron": {}, "normalisation": {}}
    theirs = {}
    for name, value in settings.items():
        table, _, key = name.partition(".")
        if name == "steps":
            ours[name] = value
        elif table in ours and key:
            ours[table][key] = value
        else:
            theirs[name] = value
    spec = recipes.build(ConversionSpec, ours, what="convert")
    return {
        "network": train.resolve(recipe, theirs, seed),
        "conversion": spec.model_dump(mode="json"),
    }


def modules(spec: Fields) -> list[str]:
    """Return the modules that a spec names: the one of its image set."""
    return train.modules(spec["network"])


def run(spec: Fields, lock: RunLock, device: str, progress: Progress) -> list[Row]:
    """Train or find the network, convert it, and compare the two.

    Returns a row for each number of steps that was looked at.
    """
    from neurosparse import rectifier
    from neurosparse.convert import to_spiking, verify

    conversion = ConversionSpec.model_validate(spec["conversion"])
    weights = _trained(spec["network"], lock, device, part_of(progress, 0.0, 0.8))
    splits = train.splits(spec["network"]["training"]["data"])
    spiking = to_spiking(
        rectifier.load(weights),
        splits.train,
        conversion.neuron,
        normalisation=conversion.normalisation,
    )
    report = verify(spiking, splits.test, steps=conversion.steps)
    return [
        {
            "after_steps": at.steps,
            "accuracy": at.accuracy,
            "agreement": at.agreement,
            "source_accuracy": report.source_accuracy,
            "spikes": report.spikes,
            "active_per_inference": report.active_per_inference,
        }
        for at in report.curve
    ]


def _trained(spec: Fields, lock: RunLock, device: str, progress: Progress) -> Any:
    """Return the path of a network's weights, in the run that trained it.

    That run is done now where nobody has.
    """
    from neurosparse.sweep import runs

    task = runs.Task.of(
        str(lock.directory), "train", {"seed": spec["training"]["seed"]}, spec, device
    )
    while (outcome := runs.perform(task, progress)) == "taken":
        progress(0.0, "waits for the network's training")
    if outcome == "failed":
        raise ValueError(
            f"the network cannot be trained: {store.failures(lock.directory)[task.key].error}"
        )
    return lock.directory / "runs" / task.key / train.WEIGHTS
