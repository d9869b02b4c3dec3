"""Units of a file or object as it states them, and what was taken from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import cards, names
from neurosparse._internal.digits import to_a_microsecond
from neurosparse._internal.types import Array, Fields
from neurosparse.activity import SpikeTrains

UPPER_BOUND = (
    "Sorted spikes miss the cells that were silent or fired too rarely to be told apart, so the"
    " active fraction is an upper bound."
)


class NoRecordingError(ValueError):
    """A folder holds nothing that is known; its text, if any, is the end of the sentence."""


OWN = "another for each unit"  # values of a column such as the units' names


# how an interval of observation is meant: NEST's holds its stop and not its start
Ends = Literal["[)", "[]", "(]"]


# cells of a simulation: the name and the id of what they are part of, and their numbers in it
Cells: TypeAlias = "tuple[tuple[tuple[str, str], NDArray[np.int64]], ...]"


@dataclass(frozen=True, slots=True)
class UnitTable:
    """Units of a file or object as it states them, before any selection.

    Times are seconds on its own clock. Names of columns, and texts in them, are cleaned here,
    whoever read them.

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
    ends
        Whether a spike at the very start or stop of an interval belongs to it.
    cells
        Which cells of a simulation the units are, where two objects may hold the same.
    path
        The file; None for an object in memory.
    said
        What else is worth knowing, a sentence each.
    """

    format: str
    n_units: int
    times_s: NDArray[np.float64]
    units: NDArray[np.int64]
    columns: Mapping[str, Array] = field(default_factory=dict)
    observed_s: NDArray[np.float64] | None = None
    observed_units: NDArray[np.int64] | None = None
    resolution_s: float | None = None
    all_units: bool = False
    ends: Ends = "[)"
    cells: Cells = ()
    path: Path | None = None
    said: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        cleaned = {
            names.clean(name): names.clean_array(values) for name, values in self.columns.items()
        }
        object.__setattr__(self, "columns", cleaned)


def names_of_units(populations: Mapping[str, tuple[int, int]], n_units: int) -> NDArray[np.str_]:
    """Return the population of each unit, "" for those of none.

    Raises
    ------
    ValueError
        Where a unit is in two of them, of which a column of names would lose one.
    """
    found = np.full(n_units, "", dtype=object)
    for name, (first, stop) in populations.items():
        if others := sorted(filter(None, set(found[first:stop]))):
            raise ValueError(
                f"populations {others[0]!r} and {name!r} overlap, and each unit has one name there:"
                " keep one of them, with dataclasses.replace(spikes, populations=...)"
            )
        found[first:stop] = name
    return found.astype(str)


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Spikes of a file over the time in which every unit was observed, made by `read`.

    Attributes
    ----------
    spikes
        The spikes, with time counted from `start_s`, the units ordered by population. Trials and
        what lies between gaps are its `intervals`.
    rows : array of int, shape (n_units,)
        The row of each unit in the file.
    n_units_in_file
        Units in the file, before `where`.
    start_s, stop_s
        The first and the last moment of what was read, in the file's own time.
    observed_s
        All stretches that the units share, of which these are all or a part; empty where the file
        states none.
    n_outside
        Spikes of these units outside the time that was read, which were dropped.
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
    said
        What else is worth knowing: intervals that were merged, times that look like samples.
    """

    spikes: SpikeTrains
    path: Path | None
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
    said: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the file, or of the kind of object."""
        return names.clean(self.format if self.path is None else self.path.name)

    @property
    def note(self) -> str:
        """Caution that the active fraction is an upper bound; empty where all units are there."""
        return "" if self.all_units else UPPER_BOUND

    @property
    def left_out(self) -> str:
        """The number of spikes that were left out, as a sentence; empty where there are none."""
        spikes = "spike" if self.n_outside == 1 else "spikes"
        sentence = f"Left out: {self.n_outside:,} {spikes} outside the time that was read."
        return sentence if self.n_outside else ""

    @property
    def provenance(self) -> Fields:
        """Source of the spikes, as plain JSON types."""
        return {
            "file": self.name,
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
            "said": [*filter(None, [self.left_out]), *self.said],
        }

    def __str__(self) -> str:
        """Return `lines`, one below the other."""
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        return cards.card(
            self.name,
            {"format": self.format, "units": self.spikes.n_units, "spikes": len(self.spikes)},
            self.lines(),
        )

    def lines(self) -> list[str]:
        """Return where the spikes come from in a few lines, for the terminal."""
        chosen = f" that meet {', '.join(self.where)}" if self.where else ""
        of = f" of {self.n_units_in_file:,}" if self.where else ""
        pieces = len(self.spikes.intervals)
        gaps = f", {self.spikes.observed_ms * 1e-3:g} s in {pieces:,} pieces" if pieces > 1 else ""
        source = "" if self.observed_s else " (not stated in the file)"
        lines = [
            f"{self.name} ({self.format}): {self.spikes.n_units:,}{of} units{chosen},"
            f" {len(self.spikes):,} spikes, observed from"
            f" {to_a_microsecond(self.start_s)} to {to_a_microsecond(self.stop_s)} s{gaps}{source}."
        ]
        told = [f"{name}: {values}" for name, values in self.columns.items() if values != OWN]
        columns = f"Columns: {'; '.join(told)}." if told else ""
        return [*filter(None, [*lines, self.left_out, columns, *self.said, self.note])]
