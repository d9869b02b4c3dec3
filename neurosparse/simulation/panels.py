"""The parts of the page of a simulation."""

from __future__ import annotations

from collections.abc import Mapping

from neurosparse import plots
from neurosparse._internal.types import Fields, FieldsView
from neurosparse.activity import SpikeTrains
from neurosparse.comparison import BRAIN_FRACTIONS
from neurosparse.recipes import Recipe
from neurosparse.report import Panel
from neurosparse.simulation.result import Simulation
from neurosparse.simulation.rows import window_column


def published_rates(recipe: Recipe) -> dict[str, float]:
    """Return the rates in Hz that a recipe states for its populations.

    They are drawn next to those found.
    """
    populations: FieldsView = recipe.values.get("populations", {})
    return {
        name: p["mean_rate_hz"]
        for name, p in populations.items()
        if p.get("mean_rate_hz") is not None
    }


def panels(
    simulation: Simulation, spikes: SpikeTrains, published: Mapping[str, float]
) -> list[Panel]:
    by_population = simulation.comparison.stats[1:] or simulation.comparison.stats
    n_seeds = simulation.n_seeds
    reached = any(row[window_column(f)] for row in simulation.rows for f in BRAIN_FRACTIONS)
    windows = [
        Panel(
            "windows",
            "The windows that hold 1, 2 and 4 %",
            "For each population, the window in which the given share of its cells fires at least"
            " once. Bars: one standard deviation, "
            + ("over seeds." if n_seeds > 1 else "over ten stretches of the record."),
            lambda ax: plots.windows_by_population(simulation.rows, BRAIN_FRACTIONS, ax),
            section="window",
        )
    ]
    return [
        *(windows if reached else []),
        Panel(
            "rates",
            "Rates by population",
            "Boxes: the middle half of the cells and their median; whiskers: 5 to 95 %. Dots:"
            " means; crosses: the means that the recipe states, where it does.",
            lambda ax: plots.rates_by_population(by_population, published, ax),
            table=[_table_row(simulation, name, published) for name in simulation.populations],
        ),
        Panel(
            "raster",
            "Spikes",
            "Every dot is a spike; each population in proportion to its size. In print: the first"
            " part of the record for a sample of the cells.",
            lambda ax: plots.raster(
                spikes,
                ax,
                n_units=1000,
                duration_ms=500.0,
                colours=plots.colours(simulation.comparison),
            ),
            spikes=spikes,
        ),
    ]


def _table_row(simulation: Simulation, name: str, published: Mapping[str, float]) -> Fields:
    """Return a population's means over the seeds.

    Where there is one seed, they come without their spread.
    """

    def mean(quantity: str) -> float:
        return simulation.over_seeds(name, quantity)[0]

    rate_hz, spread_hz = simulation.over_seeds(name, "rate_hz")
    return {
        "population": name,
        "rate (Hz)": rate_hz,
        "sd over seeds (Hz)": spread_hz,
        "as published (Hz)": published.get(name),
        "CV of intervals": mean("isi_cv"),
        "synchrony": mean("synchrony"),
        "correlation in 2 ms": mean("correlation_in_2_ms"),
        "correlation in 10 ms": mean("correlation_in_10_ms"),
    }
