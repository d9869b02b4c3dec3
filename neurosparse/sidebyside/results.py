"""Results that the two processes of the main job hand back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from neurosparse._internal.types import Fields
from neurosparse.activity import ActivityStats, SpikeTrains

if TYPE_CHECKING:
    from neurosparse.spiking import FICurve

TWIN_STEPS = 64  # of 1 ms, for each image


@dataclass(frozen=True, slots=True)
class CircuitRun:
    """The results of the circuit's process."""

    spikes: dict[str, SpikeTrains]  # by recipe: the population, then the column if there is one
    fi: FICurve


@dataclass(frozen=True, slots=True)
class NetworkRun:
    """The results of the networks' process for one of them."""

    title: str
    # all hidden units as one layer: trained, and as initialised where that matters
    wholes: tuple[ActivityStats, ...]
    layers: dict[str, ActivityStats]
    history: list[Fields] = field(repr=False)  # a row an epoch and layer
    device: str
    seconds: float
    best_epoch: int  # the one whose weights were kept
    steered_to: float | None  # the share of active units, None where it was left free
    twin: SpikeTrains | None = None  # of the network as a spiking one
