"""Rows of a simulation: numbers for each seed and population."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from neurosparse._internal import cards, checks
from neurosparse._internal.types import Fields
from neurosparse.activity import WHOLE, ActiveWhen, ActivityStats, SpikeTrains
from neurosparse.activity.given import check_active_when, check_spikes
from neurosparse.comparison import BRAIN_FRACTIONS
from neurosparse.measurement import measure
from neurosparse.sparsity import count_correlation, synchrony, windows_over_time

FIELD_CELLS = 1000  # cells of which Potjans & Diesmann 2014 give the synchrony


@dataclass(frozen=True, slots=True)
class BrainWindow:
    """The window in which a given share of the cells fires at least once."""

    fraction: float
    window_ms: float | None  # None where the record never holds so many
    sd_over_time_ms: float  # over ten stretches of the record

    def to_dict(self) -> dict[str, float | None]:
        """Return the columns of the table, such as window_ms_at_2_percent."""
        name = window_column(self.fraction)
        return {name: self.window_ms, f"{name}_sd_over_time": self.sd_over_time_ms}


@dataclass(frozen=True, slots=True)
class PopulationRow(cards.Shown):
    """The numbers of one population with one seed; None where so few spikes have none.

    `row["window_ms_at_2_percent"]` gives any column of the table by its name.
    """

    seed: int
    population: str  # "all" for all cells together
    n_units: int
    rate_hz: float | None
    median_rate_hz: float | None
    isi_cv: float | None
    isi_cv2: float | None
    isi_cv_share: float | None  # of the cells, on which the CVs rest
    synchrony: float | None  # in bins of synchrony_bin_ms: 3 ms, or 2 where a rhythm hides in 3
    synchrony_of_1000: float | None  # that of 1,000 cells; None where there are fewer
    synchrony_bin_ms: float | None
    correlation_in_2_ms: float | None
    correlation_in_10_ms: float | None
    active_fraction: float
    active_fraction_low: float
    active_fraction_high: float
    n_silent: int
    windows: tuple[BrainWindow, ...]  # those of 1, 2 and 4 %

    def to_dict(self) -> Fields:
        """Return the columns of the table: the fields, then those of each window."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        del own["windows"]
        for window in self.windows:
            own |= window.to_dict()
        return own

    def window(self, fraction: float) -> BrainWindow:
        """Return the window of a share of the cells. KeyError where there is none of that share."""
        for window in self.windows:
            if window.fraction == fraction:
                return window
        raise KeyError(fraction)

    def _card(self) -> cards.Card:
        return cards.Card(f"Population {self.population}, seed {self.seed}", self.to_dict())

    def __getitem__(self, column: str) -> Any:
        return self.to_dict()[column]


def window_column(fraction: float) -> str:
    """Return the name of the column with the window that holds a share of the cells.

    Examples
    --------
    >>> window_column(0.02)
    'window_ms_at_2_percent'
    """
    fraction = checks.number("fraction", fraction)
    return f"window_ms_at_{100 * fraction:g}_percent"


def population_rows(
    spikes: SpikeTrains, active_when: ActiveWhen, *, seed: int
) -> list[PopulationRow]:
    """Return a row for all cells together and one for each population."""
    check_spikes(spikes)
    check_active_when(active_when)
    return [row_of(seed, name, *both) for name, both in by_population(spikes, active_when).items()]


def by_population(
    spikes: SpikeTrains, active_when: ActiveWhen
) -> dict[str, tuple[SpikeTrains, ActivityStats]]:
    """Return the spikes and the measures of all cells together and of each population."""
    parts = {WHOLE: spikes, **{name: spikes.population(name) for name in spikes.populations}}
    return {
        name: (part, measure(part, active_when=active_when, name=name))
        for name, part in parts.items()
    }


def row_of(seed: int, name: str, spikes: SpikeTrains, stats: ActivityStats) -> PopulationRow:
    """Return the row of one population."""
    over_time = windows_over_time(spikes, BRAIN_FRACTIONS)
    return PopulationRow(
        seed=seed,
        population=name,
        n_units=stats.n_units,
        rate_hz=stats.mean_rate_hz,
        median_rate_hz=stats.median_rate_hz,
        isi_cv=stats.isi_cv,
        isi_cv2=stats.isi_cv2,
        isi_cv_share=(None if stats.n_isi_cells is None else stats.n_isi_cells / stats.n_units),
        **_synchrony(spikes),
        correlation_in_2_ms=_if_defined(count_correlation, spikes, 2.0),
        correlation_in_10_ms=_if_defined(count_correlation, spikes, 10.0),
        active_fraction=stats.active_fraction,
        active_fraction_low=stats.interval.low,
        active_fraction_high=stats.interval.high,
        n_silent=stats.n_silent,
        windows=tuple(
            BrainWindow(
                fraction=fraction,
                window_ms=None if stats.curve is None else stats.curve.window_ms(fraction),
                sd_over_time_ms=float(over_time[:, k].std(ddof=1)),
            )
            for k, fraction in enumerate(BRAIN_FRACTIONS)
        ),
    )


def _synchrony(spikes: SpikeTrains) -> dict[str, float | None]:
    """Return the synchrony in the field's bins of 3 ms, or in 2 ms where a rhythm hides in them."""
    for bin_ms in (3.0, 2.0):
        found = _if_defined(synchrony, spikes, bin_ms)
        if found is not None:
            few = spikes.n_units < FIELD_CELLS
            of_1000 = None if few else synchrony(spikes, bin_ms, n_cells=FIELD_CELLS)
            break
    else:
        return dict.fromkeys(("synchrony", "synchrony_of_1000", "synchrony_bin_ms"))
    return {"synchrony": found, "synchrony_of_1000": of_1000, "synchrony_bin_ms": bin_ms}


def _if_defined(
    measure_of: Callable[[SpikeTrains, float], float], spikes: SpikeTrains, bin_ms: float
) -> float | None:
    """Return a measure, or None where so few spikes or so short a record have none."""
    try:
        return measure_of(spikes, bin_ms)
    except ValueError:
        return None
