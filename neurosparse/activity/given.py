"""Checks of the observations that a caller hands over: spikes, statistics, what is active."""

from __future__ import annotations

from neurosparse._internal import checks
from neurosparse.activity.activations import Activations
from neurosparse.activity.active_when import ActiveWhen
from neurosparse.activity.spike_trains import SpikeTrains
from neurosparse.activity.stats import ActivityStats

_MEASURED = "neurosparse.measure returns them"


def check_spikes(spikes: object, name: str = "spikes") -> None:
    """Refuse what is no SpikeTrains with a TypeError."""
    checks.instance(name, spikes, SpikeTrains, "make them by neurosparse.as_spikes")


def check_activations(activations: object) -> None:
    """Refuse what is no Activations with a TypeError."""
    checks.instance(
        "activations", activations, Activations, "make them by neurosparse.sparsity.observe"
    )


def check_stats(name: str, stats: object) -> None:
    """Refuse what is no ActivityStats with a TypeError."""
    checks.instance(name, stats, ActivityStats, _MEASURED)


def all_stats(name: str, stats: object) -> list[ActivityStats]:
    """Return several ActivityStats as a list; a TypeError where they are none."""
    return checks.instances(name, stats, ActivityStats, _MEASURED)


def check_active_when(active_when: object) -> None:
    """Refuse what is no ActiveWhen with a TypeError."""
    checks.instance(
        "active_when",
        active_when,
        ActiveWhen,
        "give ActiveWhen(window_ms=...) for spikes, ActiveWhen(threshold=...) for a network",
    )
