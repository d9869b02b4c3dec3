"""What a file says of its units, and what was taken from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import cards
from neurosparse.activity import SpikeTrains

UPPER_BOUND = (
    "Sorted spikes miss the cells that were silent or fired too rarely to be told apart, so the"
    " active fraction is an upper bound."
)


@dataclass(frozen=True, slots=True)
class UnitTable:
    """What a file says of its units, before any selection. Times are seconds in the file's own
    time.

    Parameters
    ----------
    times_s, units : arrays, shape (n_spikes,)
        Spike times, and the unit of each.
    columns
        name -> a value a unit, shape (n_units,).
    observed_s : array of float, shape (n_intervals, 2), or None
        When each unit was observed; None where the file does not say.
    observed_units : array of int, shape (n_intervals,)
        The unit of each interval.
    resolution_s
        The grid on which the times lie, where the file names one.
    all_units
        Whether silent units are in the table too, as in a simulation.
    """

    path: Path
    format: str
    n_units: int
    times_s: NDArray[np.float64]
    units: NDArray[np.int64]
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    observed_s: NDArray[np.float64] | None = None
    observed_units: NDArray[np.int64] | None = None
    resolution_s: float | None = None
    all_units: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Spikes of a file over one unbroken stretch in which every unit was observed. Made by
    `recordings.read`.

    Attributes
    ----------
    spikes
        The spikes, with time counted from `start_s`, the units ordered by population.
    rows : array of int, shape (n_units,)
        The row of each unit in the file.
    n_units_in_file
        Units in the file, before `where`.
    start_s, stop_s
        The stretch, in the file's own time.
    observed_s
        All stretches that the units share, of which this is one or a part; empty where the file
        states none.
    n_outside
        Spikes of these units outside the stretch, which were dropped.
    columns
        What the file says of its units: column -> its values or their range, in words, over all
        units of the file.
    where
        The conditions that the units meet.
    population_column
        The column that named the populations, or None.
    all_units
        Whether silent units are among them, as in a simulation; otherwise the active fraction is an
        upper bound (`note`).
    """

    spikes: SpikeTrains
    path: Path
    format: str
    rows: NDArray[np.int64]
    n_units_in_file: int
    start_s: float
    stop_s: float
    observed_s: tuple[tuple[float, float], ...] = ()
    n_outside: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)
    where: tuple[str, ...] = ()
    population_column: str | None = None
    all_units: bool = False

    @property
    def note(self) -> str:
        """What the active fraction of this recording is not; empty where all units are in it."""
        return "" if self.all_units else UPPER_BOUND

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the spikes come from, as plain JSON types."""
        return {
            "file": self.path.name,
            "format": self.format,
            "units": self.spikes.n_units,
            "units_in_file": self.n_units_in_file,
            "where": list(self.where),
            "columns": dict(self.columns),
            "population_column": self.population_column,
            "start_s": self.start_s,
            "stop_s": self.stop_s,
            "observation": [list(stretch) for stretch in self.observed_s] or "given by the user",
            "spikes_outside": self.n_outside,
            "note": self.note,
        }

    def _repr_html_(self) -> str:
        return cards.card(
            self.path.name,
            {"format": self.format, "units": self.spikes.n_units, "spikes": len(self.spikes)},
            self.lines(),
        )

    def lines(self) -> list[str]:
        """The same in a few lines, for the terminal."""
        chosen = f" that meet {', '.join(self.where)}" if self.where else ""
        of = f" of {self.n_units_in_file:,}" if self.where else ""
        gaps = (
            f", the longest of {len(self.observed_s)} stretches" if len(self.observed_s) > 1 else ""
        )
        said = "" if self.observed_s else " (not stated in the file)"
        lines = [
            f"{self.path.name} ({self.format}): {self.spikes.n_units:,}{of} units{chosen},"
            f" {len(self.spikes):,} spikes, observed from {self.start_s:g} to {self.stop_s:g}"
            f" s{gaps or said}."
        ]
        if self.n_outside:
            lines.append(f"{self.n_outside:,} spikes outside that time were left out.")
        if self.columns:
            lines.append(
                "Columns: "
                + "; ".join(f"{name}: {values}" for name, values in self.columns.items())
                + "."
            )
        return [*lines, *filter(None, [self.note])]
