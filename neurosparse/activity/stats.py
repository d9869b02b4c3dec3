"""Sparsity of something: every figure of one measurement, with its definition."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import cards, checks, names
from neurosparse._internal.digits import counted
from neurosparse._internal.imports import need
from neurosparse._internal.types import Fields, FieldsView
from neurosparse.activity import frozen
from neurosparse.activity.active_when import ActiveWhen
from neurosparse.activity.curve import ActivityCurve

if TYPE_CHECKING:
    import pandas

_INTERVALS = ("_interval", "_over_cells", "interval_with_missed")


@dataclass(frozen=True, slots=True)
class Sparseness:
    """Four measures of one kind, population or lifetime.

    Treves-Rolls falls as activity gets sparser; the other three rise. None where a measure is
    undefined or cannot be had from a stream.
    """

    treves_rolls: float | None
    vinje_gallant: float | None
    hoyer: float | None
    gini: float | None
    n_averaged: (
        # windows or samples (population), units (lifetime) with any activity; the others have no
        # sparseness
        int
    )


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """A confidence interval, with what it generalises over and what it took as independent.

    Attributes
    ----------
    low, high
        Its ends; NaN where the data are too few for an interval: `method` says what is needed.
    over
        What it generalises over: "these cells, over time", "cells and time", "these units, over
        inputs" or "over training seeds". Empty where an older file does not say.
    """

    low: float
    high: float
    level: float
    method: str
    over: str = ""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Interval):
            return NotImplemented
        return self._alike() == other._alike()

    def __hash__(self) -> int:
        return hash(self._alike())

    def _alike(self) -> tuple[object, ...]:
        """Return what is compared: an end that is NaN equals another one."""
        ends = (None if math.isnan(end) else end for end in (self.low, self.high))
        return (*ends, self.level, self.method, self.over)

    @property
    def is_known(self) -> bool:
        """True where there is an interval."""
        return not (math.isnan(self.low) or math.isnan(self.high))


@dataclass(frozen=True, slots=True, eq=False)
class ActivityStats(cards.Shown):
    """Sparsity of something, and the definition it rests on.

    `active_fraction` is the mean share of units that are active at once: per window for spikes, per
    sample for activations. Fields that do not exist for a kind are None, never 0.
    """

    name: str
    kind: str  # "spikes" or "activations"
    active_when: ActiveWhen
    active_fraction: float
    interval: Interval
    n_units: int
    n_samples: int  # positions of the window, or samples
    n_silent: int  # units that were never active: silent cells, dead units
    population: Sparseness  # over units, within a window or a sample
    lifetime: Sparseness  # over windows or samples, within a unit
    unit_active_fraction: NDArray[np.float64]  # (n_units,)
    # of spikes: for other cells of the same kind as well; `interval` is for these cells
    interval_over_cells: Interval | None = None
    # of spikes, where asked: the share of cells that fire too rarely to be in the record, and the
    # active fraction with them; see sparsity.with_missed
    missed_share: float | None = None
    active_fraction_with_missed: float | None = None
    interval_with_missed: Interval | None = None
    # of the covariance between units; see sparsity.effective_dimension
    effective_dimension: float | None = None
    effective_dimension_interval: Interval | None = None
    n_spikes: int | None = None
    duration_ms: float | None = None  # the time observed, without gaps
    mean_rate_hz: float | None = None
    median_rate_hz: float | None = None
    # of inter-spike intervals, right for records of any length; None where not precise to 0.03
    isi_cv: float | None = None
    isi_cv_interval: Interval | None = None
    isi_cv2: float | None = None  # of neighbouring intervals (Holt et al. 1996)
    isi_lv: float | None = None  # local variation (Shinomoto et al. 2003)
    n_isi_cells: int | None = None  # cells with two intervals, on which these rest
    unit_rates_hz: NDArray[np.float64] | None = None  # (n_units,)
    curve: ActivityCurve | None = None
    # (sample, unit) pairs that are exactly 0, whatever the threshold
    zero_fraction: float | None = None
    mean_magnitude: float | None = None
    unit_mean_magnitude: NDArray[np.float64] | None = None  # (n_units,)
    # share of the units that hold 95 % of a sample's magnitude, averaged over samples
    magnitude_95_fraction: float | None = None
    # share of all samples that the network sent to this layer, such as an expert; None: all
    routed_fraction: float | None = None
    # of spikes: what is unusual about them, such as each twice; a sentence each
    notes: tuple[str, ...] = ()
    provenance: FieldsView = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks.instance("name", self.name, str)
        object.__setattr__(self, "name", names.storable(self.name))
        object.__setattr__(self, "provenance", dict(self.provenance))
        object.__setattr__(self, "notes", tuple(self.notes))
        frozen.freeze(self)

    __eq__ = frozen.equal

    @property
    def n_alive(self) -> int:
        """Units that were active at least once."""
        return self.n_units - self.n_silent

    @property
    def active_fraction_alive(self) -> float | None:
        """The active fraction among the units that were active at least once; None if none was.

        Dead units are not sparsity: a network may look sparse because many units never fire.
        """
        return self.active_fraction * self.n_units / self.n_alive if self.n_alive else None

    @property
    def effective_units(self) -> float | None:
        """Effective number of active units, averaged over samples.

        For a sample it is the participation ratio (sum abs(a))^2 / sum a^2.

        k where k units are equally active and the rest silent; needs no threshold. It is n_units
        times Treves-Rolls sparseness.
        """
        return (
            None
            if self.population.treves_rolls is None
            else self.n_units * self.population.treves_rolls
        )

    @property
    def active_fraction_of_all(self) -> float:
        """The active fraction over all samples.

        Units of an expert that a sample did not reach are inactive for it.
        """
        share = 1.0 if self.routed_fraction is None else self.routed_fraction
        return 0.0 if share == 0 else self.active_fraction * share

    def _shown(self) -> dict[str, object]:
        """Return what a card and a table say, by its label."""
        interval = self.interval
        shown: dict[str, object] = {
            "active (%)": 100 * self.active_fraction,
            f"{100 * interval.level:g} % interval": (
                f"{_percents(interval)}{f' ({interval.over})' if interval.over else ''}"
                if interval.is_known
                else "none"
            ),
            "with missed (%)": self._with_missed(),
            "active means": self.active_when.describe(),
            "units": self.n_units,
            "never active": self.n_silent,
            "of those alive (%)": (
                None
                if not self.n_silent or self.active_fraction_alive is None
                else 100 * self.active_fraction_alive
            ),
            "exactly 0 (%)": None if self.zero_fraction is None else 100 * self.zero_fraction,
            "effective units": self.effective_units,
            "dimension": self.effective_dimension,
            "Treves-Rolls": self._treves_rolls(),
            "mean rate (Hz)": self.mean_rate_hz,
            "CV of intervals": self._regularity(),
            "mean magnitude": self.mean_magnitude,
        }
        return {name: value for name, value in shown.items() if value is not None}

    def _with_missed(self) -> str | None:
        """Return what a card says of cells that fire too rarely to be in the record."""
        interval, fraction = self.interval_with_missed, self.active_fraction_with_missed
        if interval is None or fraction is None:
            return None if interval is None else f"none: {interval.method}"
        return f"{100 * fraction:.4g} ({_percents(interval)}), {interval.method}"

    def _treves_rolls(self) -> str | None:
        """Return what a card says of Treves-Rolls sparseness, of both kinds."""
        kinds = {"population": self.population, "lifetime": self.lifetime}
        found = [
            f"{of.treves_rolls:.4g} {kind}"
            for kind, of in kinds.items()
            if of.treves_rolls is not None
        ]
        return ", ".join(found) or None

    def _regularity(self) -> str | None:
        """Return what a card says of inter-spike intervals.

        The CV, or its interval, and its cells.
        """
        if self.isi_cv_interval is None:
            return None if self.isi_cv is None else f"{self.isi_cv:.4g}"
        return f"{self.isi_cv_in_words()}, of {counted(self.n_isi_cells or 0, 'cell')}"

    def isi_cv_in_words(self) -> str:
        """Return the CV of the inter-spike intervals, its interval, or why there is none."""
        if self.isi_cv is not None:
            return f"{self.isi_cv:.2f}"
        if self.isi_cv_interval is None:
            return "-"
        if not self.isi_cv_interval.is_known:
            return self.isi_cv_interval.method
        return f"{self.isi_cv_interval.low:.2f} to {self.isi_cv_interval.high:.2f}"

    def _card(self) -> cards.Card:
        notes = [f"Note: {note}" for note in self.notes]
        if self.is_smooth:
            notes.append(
                "Note: no output is exactly 0, so every unit counts: give another threshold"
            )
        notes.append(f"interval: {self.interval.method}")
        return cards.Card(self.name, self._shown(), notes, more=".notes, .interval, .to_dict()")

    def __repr__(self) -> str:
        """Return a line: with its arrays an entry for each unit would be a thousand of them."""
        return (
            f"<ActivityStats {self.name!r}: {100 * self.active_fraction:.3g} % of"
            f" {self.n_units:,} units active ({self.active_when.describe()})>"
        )

    @property
    def is_smooth(self) -> bool:
        """True where no output is exactly 0 and every unit counts, as of GELU at threshold 0."""
        return self.zero_fraction == 0 and self.active_fraction == 1

    def to_pandas(self, *, units: bool = False) -> pandas.DataFrame:
        """Return the statistics as a frame of one row, or with `units` as a row a unit.

        The columns of the one row are those of `to_dict`, parts joined by an underscore, such as
        `interval_low`; rows of several statistics can be stacked (`Comparison.to_pandas`). The
        columns of units are `name`, `unit` and what is known of each: `active_fraction`, `rate_hz`,
        `mean_magnitude`.

        Raises
        ------
        MissingPackageError
            Where pandas is not installed.

        Examples
        --------
        >>> import neurosparse as ns
        >>> spikes = ns.SpikeTrains([1.0], [0], n_units=2, duration_ms=10.0, dt_ms=1.0)
        >>> stats = ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=10.0))
        >>> stats.to_pandas()["active_fraction"].tolist()
        [0.5]
        """
        frames = need("pandas", "a frame of statistics", "interop")
        if not units:
            return frames.DataFrame([self.row()])
        columns = {
            "active_fraction": self.unit_active_fraction,
            "rate_hz": self.unit_rates_hz,
            "mean_magnitude": self.unit_mean_magnitude,
        }
        known = {name: np.array(values) for name, values in columns.items() if values is not None}
        return frames.DataFrame({"name": self.name, "unit": np.arange(self.n_units), **known})

    def row(self) -> Fields:
        """Return `to_dict` without nesting, parts joined by an underscore, without provenance."""
        row: Fields = {}
        for key, value in self.to_dict().items():
            if isinstance(value, dict) and key != "provenance":
                row |= {f"{key}_{part}": number for part, number in value.items()}
            elif key not in ("provenance", "notes") and not key.endswith(_INTERVALS):
                row[key] = value
        return row

    def to_dict(self) -> Fields:
        """Return the statistics as plain JSON types, without the arrays per unit and the curve."""
        skip = {"unit_active_fraction", "unit_rates_hz", "unit_mean_magnitude", "curve"}
        result = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in skip}
        for name, value in result.items():
            if isinstance(value, ActiveWhen | Interval | Sparseness):
                result[name] = asdict(value)
            if isinstance(value, Interval) and not value.is_known:
                result[name] |= {"low": None, "high": None}  # JSON has no NaN
        return {
            **result,
            "active_fraction_alive": self.active_fraction_alive,
            "effective_units": self.effective_units,
            "notes": list(self.notes),
            "provenance": dict(self.provenance),
            "definition": self.active_when.describe(),
        }


def _percents(interval: Interval) -> str:
    return f"{100 * interval.low:.4g} to {100 * interval.high:.4g}"
