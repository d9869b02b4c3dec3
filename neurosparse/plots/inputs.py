"""Inputs of plots: what `measure`, `compare` and `watch` return, without further nesting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from neurosparse._internal import checks
from neurosparse._internal.types import FieldsView
from neurosparse.activity import ActivityStats
from neurosparse.comparison import Comparison, compare

Stats = ActivityStats | Comparison | Iterable[ActivityStats] | FieldsView


def statistics(what: Stats) -> list[ActivityStats]:
    """Return the statistics in what `measure` or `compare` returned, or in several of them."""
    if isinstance(what, ActivityStats):
        return [what]
    if isinstance(what, Comparison):
        return list(what.stats)
    if isinstance(what, Mapping):
        return [s for each in what.values() for s in statistics(each)]
    if isinstance(what, list | tuple):
        return [s for each in what for s in statistics(each)]
    raise TypeError(
        "plots take what neurosparse.measure or neurosparse.compare returned, got"
        f" {checks.kind_of(what)}: measure it first"
    )


def circuits(what: Stats, plot: str) -> list[ActivityStats]:
    """Return the statistics of spikes, or refuse what has none."""
    found = [s for s in statistics(what) if s.unit_rates_hz is not None]
    if not found:
        raise ValueError(f"{plot} draws firing rates, and nothing here has spikes")
    return found


def networks(what: Stats, plot: str) -> list[ActivityStats]:
    """Return the statistics of activations, or refuse what has none."""
    found = [s for s in statistics(what) if s.curve is None]
    if not found:
        raise ValueError(f"{plot} draws the units of networks, and all here are spikes")
    return found


def comparison(what: Stats) -> Comparison:
    """Return a comparison as it is, and compare whatever else was measured.

    Definitions may differ: a figure names each.
    """
    if isinstance(what, Comparison):
        return what
    return compare(*statistics(what), mixed_definitions=True)
