"""Energy budgets: what a neuron costs at rest and per spike, with the sources of each figure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from neurosparse._internal import checks
from neurosparse._internal.types import Fields, FieldsView

_DATA = Path(__file__).parents[1] / "reference" / "energy.toml"
Covers = Literal["all", "spikes"]


@dataclass(frozen=True, slots=True)
class Budget:
    """Cost of a neuron at rest and per spike.

    Parameters
    ----------
    caption
        What the budget counts and how.
    spike_ATP
        Molecules of ATP per neuron and spike, with the synapses that it drives.
    resting_ATP_per_s
        Molecules of ATP per neuron and second without spikes, glia included; None where the
        source's figure is not at hand.
    mean_rate_hz
        The mean rate that goes with the budget: assumed by Attwell & Laughlin, afforded according
        to Lennie.
    trust
        figure -> A, B or C; C is unverified.
    """

    key: str
    label: str
    source: str
    caption: str
    spike_ATP: float
    resting_ATP_per_s: float | None
    mean_rate_hz: float
    trust: Mapping[str, str]

    def __post_init__(self) -> None:
        check = {"spike_ATP": checks.positive, "mean_rate_hz": checks.positive}
        if self.resting_ATP_per_s is not None:
            check["resting_ATP_per_s"] = checks.not_negative
        for name, checked in check.items():
            object.__setattr__(self, name, checked(name, getattr(self, name)))

    @property
    def authors(self) -> str:
        """The authors and the year of the source, such as 'Lennie 2003'."""
        found = re.match(r".*?\d{4}", self.source)
        return found[0] if found else self.source


@cache
def figures() -> dict[str, Fields]:
    """Return the figures of the budgets as the sources have them.

    Budget -> figure -> value, trust and note.
    """
    return {
        entry["key"]: entry for entry in tomllib.loads(_DATA.read_text(encoding="utf-8"))["budget"]
    }


@cache
def budgets() -> dict[str, Budget]:
    """Return the budgets that come with the package by key: attwell2001, lennie2003, howarth2012.

    Levy & Calvert 2021 is among the `figures` alone: what was read of it states no cost of a spike.
    """
    return {key: _budget(entry) for key, entry in figures().items() if "spike_ATP" in entry}


def _budget(entry: FieldsView) -> Budget:
    named = {name: figure for name, figure in entry.items() if isinstance(figure, dict)}
    resting = [
        named[name]["value"]
        for name in ("resting_neuron_ATP_per_s", "resting_glia_ATP_per_s")
        if name in named
    ]
    return Budget(
        key=entry["key"],
        label=entry["label"],
        source=entry["source"],
        caption=entry["caption"],
        spike_ATP=named["spike_ATP"]["value"],
        resting_ATP_per_s=sum(resting) if resting else None,
        mean_rate_hz=named["mean_rate_hz"]["value"],
        trust={name: figure["trust"] for name, figure in named.items()},
    )


def named(budget: str | Budget) -> Budget:
    """Return a budget by its key, or the budget itself. ValueError where there is none."""
    if isinstance(budget, Budget):
        return budget
    checks.instance("budget", budget, (str, Budget))
    if budget not in budgets():
        if budget in figures():
            with_cost = ", ".join(budgets())
            raise ValueError(f"budget {budget!r} states no cost of a spike; these do: {with_cost}")
        raise ValueError(f"unknown budget {budget!r}; there are: {', '.join(budgets())}")
    return budgets()[budget]


def resting_ATP_per_s(budget: Budget, covers: Covers) -> float:
    """Return what rest costs a neuron, 0 where it is not covered.

    Raises
    ------
    ValueError
        Where the budget does not say what rest costs.
    """
    if covers not in ("all", "spikes"):
        raise ValueError(f"covers must be 'all' or 'spikes', got {covers!r}")
    if covers == "spikes":
        return 0.0
    if budget.resting_ATP_per_s is None:
        raise ValueError(
            f"budget {budget.key!r} does not say what rest costs: pass covers='spikes' for the"
            " spikes alone"
        )
    return budget.resting_ATP_per_s
