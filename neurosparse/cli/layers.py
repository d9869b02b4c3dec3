"""Layers of a network in the words of the terminal: how sparse they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from neurosparse.cli.display import say, say_of_intervals, show

if TYPE_CHECKING:
    from neurosparse.activity import ActivityStats


def show_layers(stats: Sequence[ActivityStats]) -> None:
    """Print a line a layer of any network."""
    from neurosparse.comparison import percent, percents

    show(
        [
            {
                "layer": s.name,
                "units": f"{s.n_units:,}",
                "axis": str(s.active_when.axis),
                "samples": f"{s.n_samples:,}",
                "active": percent(s.active_fraction),
                "95 % interval": percents(s.interval.low, s.interval.high),
                "exact 0": "-" if s.zero_fraction is None else percent(s.zero_fraction),
                "hold 95 %": (
                    "-" if s.magnitude_95_fraction is None else percent(s.magnitude_95_fraction)
                ),
                "effective": "-" if s.effective_units is None else f"{s.effective_units:.3g}",
                "dead": f"{s.n_silent:,}",
                "of alive": "-" if (a := s.active_fraction_alive) is None else percent(a),
            }
            for s in stats
        ]
    )
    say(
        f"active: {stats[0].active_when.describe()}; axis: that of the units, every other holds"
        " samples; exact 0: outputs that are exactly 0; hold 95 %: share of the units that hold"
        " 95 % of a sample's activity; effective: units that share the activity of a sample; dead:"
        " units that are never active; of alive: active among the others."
    )
    say_of_intervals(stats)


def say_answer(stats: Sequence[ActivityStats]) -> None:
    """Print the share over the units of all layers, and which layers no threshold of 0 suits."""
    from neurosparse.comparison import percent

    n_units = sum(s.n_units for s in stats)
    share = sum(s.active_fraction * s.n_units for s in stats) / n_units
    where = f"{len(stats)} layers" if len(stats) > 1 else f"layer {stats[0].name}"
    say(f"Answer: {percent(share)} of the {n_units:,} units of {where} are active at once.")
    if smooth := [s.name for s in stats if s.is_smooth]:
        say(
            f"Note: no output of {', '.join(smooth)} is exactly 0, so that every unit counts."
            " Give another --threshold, such as 0.5 for sigmoid, or .1 with --relative for GELU."
        )


def of_experts(stats: Iterable[ActivityStats]) -> Iterator[str]:
    """Yield what is to be said of layers that saw a part of the samples."""
    routed = [s for s in stats if s.routed_fraction is not None]
    if routed:
        over_all = sum(s.n_units * s.active_fraction_of_all for s in routed)
        n_units = sum(s.n_units for s in routed)
        yield (
            f"Experts: {len(routed)} layers saw the samples that were sent to them. Units of an"
            " expert that was not chosen are inactive; counted so, over all samples,"
            f" {100 * over_all / n_units:.3g} % of their {n_units:,} units are active."
        )
    if never := [s.name for s in routed if not s.n_samples]:
        yield f"No sample reached {', '.join(never)} (n = 0)."
