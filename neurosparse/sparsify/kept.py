"""State of a steered training that a checkpoint keeps, checked before the training goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import ConfigDict, Field, NonNegativeInt
from torch import Tensor

from neurosparse import recipes
from neurosparse._internal.types import FieldsView


class Kept(recipes.Spec):
    """State of a steering, as `Sparsifier.state_dict` gives it."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    n_steps: NonNegativeInt
    l1: dict[str, Annotated[float, Field(ge=0)]]
    start: dict[str, Annotated[float, Field(ge=0, le=1)]]
    error: dict[str, Annotated[float, Field(ge=-1, le=1)]]
    counts: dict[str, Tensor]
    samples: dict[str, Annotated[int, Field(ge=0, lt=2**63)]]
    idle: dict[str, Tensor]
    history: list[dict[str, int | float]]


def checked(state: FieldsView, units: Mapping[str, int]) -> Kept:
    """Return a state as one that fits these layers.

    Parameters
    ----------
    state
        What `Sparsifier.state_dict` gave.
    units
        The number of units of each layer that is steered.

    Raises
    ------
    ValueError
        Where it is of other layers, or damaged; one sentence.
    """
    if not isinstance(state, Mapping):
        raise ValueError(
            f"a state of a steering is a dict, as state_dict() gives it, got {state!r}"
        )
    kept = recipes.build(Kept, dict(state), what="the state of the steering")
    if set(kept.counts) != set(units):
        raise ValueError(
            f"this state is of the layers {list(kept.counts)}, and those steered are {list(units)}"
        )
    for name, of_layers in (("l1", kept.l1), ("samples", kept.samples), ("idle", kept.idle)):
        if missing := units.keys() - of_layers.keys():
            raise ValueError(
                f"the state of the steering is damaged: its {name} lacks the layer {min(missing)!r}"
            )
    for tensors in (kept.counts, kept.idle):
        for name, n_units in units.items():
            if tuple(tensors[name].shape) != (n_units,):
                raise ValueError(
                    f"this state has {tuple(tensors[name].shape)} units in layer {name!r}, which"
                    f" has {n_units}"
                )
    return kept
