"""How sparse something is: every figure of one measurement, with the definition it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import cards
from neurosparse.activity import frozen
from neurosparse.activity.active_when import ActiveWhen
from neurosparse.activity.curve import ActivityCurve


@dataclass(frozen=True, slots=True)
class Sparseness:
    """The four measures of one kind, population or lifetime; None where one is undefined or cannot
    be had from a stream.

    Treves-Rolls falls as activity gets sparser; the other three rise.
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


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, with what it took as independent."""

    low: float
    high: float
    level: float
    method: str


@dataclass(frozen=True, slots=True, eq=False)
class ActivityStats:
    """How sparse something is, and by which definition.

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
    # of the covariance between units; see sparsity.effective_dimension
    effective_dimension: float | None = None
    effective_dimension_interval: Interval | None = None
    n_spikes: int | None = None
    duration_ms: float | None = None  # the time observed, without gaps
    mean_rate_hz: float | None = None
    median_rate_hz: float | None = None
    isi_cv: float | None = None
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
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "provenance", dict(self.provenance))
        frozen.freeze(self)

    __eq__ = frozen.equal

    @property
    def n_alive(self) -> int:
        """Units that were active at least once."""
        return self.n_units - self.n_silent

    @property
    def effective_units(self) -> float | None:
        """Effective number of active units: the participation ratio (sum |a|)^2 / sum a^2 of a
        sample, averaged over samples.

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
        """The active fraction over all samples: units of an expert that a sample did not reach are
        inactive for it.
        """
        share = 1.0 if self.routed_fraction is None else self.routed_fraction
        return 0.0 if share == 0 else self.active_fraction * share

    def _repr_html_(self) -> str:
        interval = self.interval
        shown: dict[str, object] = {
            "active means": self.active_when.describe(),
            "active (%)": 100 * self.active_fraction,
            f"{100 * interval.level:g} % interval": (
                f"{100 * interval.low:.4g} to {100 * interval.high:.4g}"
            ),
            "units": self.n_units,
            "never active": self.n_silent,
            "exactly 0 (%)": None if self.zero_fraction is None else 100 * self.zero_fraction,
            "effective units": self.effective_units,
            "effective dimension": self.effective_dimension,
            "Treves-Rolls, population": self.population.treves_rolls,
            "Treves-Rolls, lifetime": self.lifetime.treves_rolls,
            "mean rate (Hz)": self.mean_rate_hz,
            "CV of intervals": self.isi_cv,
            "mean magnitude": self.mean_magnitude,
        }
        return cards.card(
            self.name,
            {name: value for name, value in shown.items() if value is not None},
            [interval.method],
        )

    def to_dict(self) -> dict[str, Any]:
        """The statistics as plain JSON types, without the per-unit arrays and the curve."""
        skip = {"unit_active_fraction", "unit_rates_hz", "unit_mean_magnitude", "curve"}
        result = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in skip}
        for name, value in result.items():
            if isinstance(value, ActiveWhen | Interval | Sparseness):
                result[name] = asdict(value)
        return {
            **result,
            "effective_units": self.effective_units,
            "provenance": dict(self.provenance),
            "definition": self.active_when.describe(),
        }
