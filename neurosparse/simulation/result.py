"""Result of a simulation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from neurosparse._internal import cards
from neurosparse.comparison import BRAIN_FRACTIONS, Comparison
from neurosparse.simulation.rows import PopulationRow, window_column


@dataclass(frozen=True, slots=True)
class Simulation(cards.Shown):
    """Result of `run`: a comparison with the brain, and rows of numbers.

    The comparison is that of the first seed. There is a row for each seed and population.
    """

    comparison: Comparison
    rows: tuple[PopulationRow, ...] = field(repr=False)
    # what must be said with the numbers, such as that a scaled circuit is another one
    notes: tuple[str, ...] = ()

    @property
    def n_seeds(self) -> int:
        """Number of seeds that were run."""
        return len({row["seed"] for row in self.rows})

    @property
    def populations(self) -> tuple[str, ...]:
        """All units together, then the populations in the recipe's order."""
        return tuple(dict.fromkeys(row["population"] for row in self.rows))

    def _card(self) -> cards.Card:
        quantities = (
            "rate_hz",
            "isi_cv",
            "active_fraction",
            *map(window_column, BRAIN_FRACTIONS),
        )
        means = [
            {"population": p, **{q: self.over_seeds(p, q)[0] for q in quantities}}
            for p in self.populations
        ]
        return cards.Card(
            "Simulation: means over seeds", means, [*self.comparison.answer()[:1], *self.notes]
        )

    def over_seeds(self, population: str, quantity: str) -> tuple[float, float]:
        """Return mean and standard deviation of a quantity over the seeds.

        The latter is NaN for one seed.
        """
        values = np.array(
            [row[quantity] for row in self.rows if row["population"] == population], dtype=float
        )
        return float(values.mean()), float(values.std(ddof=1)) if values.size > 1 else float("nan")
