"""Sparsity of the layers of a network, as one result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from neurosparse._internal import cards
from neurosparse._internal.digits import counted
from neurosparse.activity.stats import ActivityStats


class LayerStats(cards.Shown, dict[str, ActivityStats]):
    """The statistics of a network by layer: a dict, which prints as a table.

    Of many layers the table shows the first, the last, and the least and the most active.
    """

    def _card(self) -> cards.Card:
        names = list(self)
        by_activity = sorted(range(len(self)), key=lambda k: self[names[k]].active_fraction)
        means = {of.active_when.describe() for of in self.values()}
        rows = [
            {
                "layer": name,
                "active (%)": 100 * of.active_fraction,
                "interval": (
                    f"{100 * of.interval.low:.4g} to {100 * of.interval.high:.4g}"
                    if of.interval.is_known
                    else "none"
                ),
                "never active": of.n_silent,
                "units": of.n_units,
            }
            for name, of in self.items()
        ]
        return cards.Card(
            f"{counted(len(self), 'layer')}; active means {' or '.join(sorted(means))}",
            rows,
            more="print one of them",
            keep=[*by_activity[-1:], *by_activity[:1]],
        )

    def copy(self) -> Self:
        """Return a copy, as of a dict."""
        return type(self)(self)

    def __or__(self, other: Mapping[str, ActivityStats]) -> Self:  # type: ignore[override]
        return type(self)({**self, **other}) if isinstance(other, Mapping) else NotImplemented
