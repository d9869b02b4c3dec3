"""The parts of a circuit as a recipe says them.

Cells, synapses, drive, populations, projections.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from neurosparse.recipes import Spec

ELSEWHERE = (
    "the engines run leaky integrate-and-fire cells without adaptation, with synapses that are"
    " jumps or currents; run others in Brian2 or NEST and pass the monitor to"
    " neurosparse.measure(monitor, active_when=...)"
)
_OTHER_CELLS = {
    *("a", "b", "a_nS", "b_pA", "tau_w", "tau_w_ms", "delta_t", "delta_t_mV", "v_peak_mV"),
    *("g_leak_nS", "e_rev_mV", "e_excitatory_mV", "e_inhibitory_mV", "tau_adaptation_ms"),
}


class CellSpec(Spec):
    """A leaky integrate-and-fire cell.

    The capacitance is needed where weights are currents, and not otherwise.
    """

    elsewhere: ClassVar[str] = ELSEWHERE

    tau_m_ms: float = Field(gt=0)
    e_leak_mV: float
    v_threshold_mV: float
    v_reset_mV: float
    t_ref_ms: float = Field(ge=0)
    capacitance_pF: float | None = Field(default=None, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _not_adaptive(cls, values: object) -> Any:
        if isinstance(values, dict) and (others := sorted(_OTHER_CELLS & set(values))):
            raise ValueError(f"{others[0]} belongs to another kind of cell: {ELSEWHERE}")
        return values

    @model_validator(mode="after")
    def _fires(self) -> CellSpec:
        if self.v_threshold_mV <= self.v_reset_mV:
            raise ValueError(
                f"v_threshold_mV must be > v_reset_mV={self.v_reset_mV:g}, got"
                f" {self.v_threshold_mV:g}"
            )
        return self


class SynapseSpec(Spec):
    """The way in which a spike acts.

    At once on the membrane ("delta"), or through a current that decays with tau_syn_ms
    ("exponential").
    """

    model: Literal["delta", "exponential"]
    tau_syn_ms: float | None = Field(default=None, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _a_current(cls, values: object) -> Any:
        model = values.get("model") if isinstance(values, dict) else None
        if isinstance(model, str) and model not in ("delta", "exponential"):
            raise ValueError(f"model must be 'delta' or 'exponential', got {model!r}: {ELSEWHERE}")
        return values

    @model_validator(mode="after")
    def _complete(self) -> SynapseSpec:
        if self.model == "exponential" and self.tau_syn_ms is None:
            raise ValueError("exponential synapses need tau_syn_ms, how fast their current decays")
        if self.model == "delta" and self.tau_syn_ms is not None:
            raise ValueError(
                f"delta synapses have no tau_syn_ms, got {self.tau_syn_ms:g}: leave it out"
            )
        return self


class Weighted(Spec):
    """A weight.

    The peak of the postsynaptic potential (mV), or of the current (pA; exponential synapses only).
    """

    weight_mV: float | None = None
    weight_pA: float | None = None

    @model_validator(mode="after")
    def _one_weight(self) -> Any:
        if (self.weight_mV is None) == (self.weight_pA is None):
            raise ValueError(
                f"give exactly one of weight_mV and weight_pA, got {self.weight_mV} mV and"
                f" {self.weight_pA} pA"
            )
        return self


class DriveSpec(Weighted):
    """Independent Poisson input of each cell: `in_degree` sources that fire at `rate_hz`."""

    rate_hz: float = Field(ge=0)
    in_degree: int = Field(ge=0)


class CircuitPopulationSpec(Spec):
    """Cells of one kind. `cell` and `drive` replace single values of the circuit's common ones.

    `mean_rate_hz` is the rate expected at full scale; the correction of a scaled circuit needs it.
    `dc_mV` is a constant input as the depolarisation it holds at rest, R I. Initial potentials are
    normal.
    """

    size: int = Field(ge=1, le=10**12)
    v_init_mV: float
    v_init_sd_mV: float = Field(default=0.0, ge=0)
    dc_mV: float = 0.0
    mean_rate_hz: float | None = Field(default=None, ge=0)
    cell: dict[str, float] = Field(default_factory=dict)
    drive: dict[str, float] = Field(default_factory=dict)


Table = list[list[float]]


class ProjectionSpec(Weighted):
    """Synapses from some populations to others, by exactly one rule.

    Parameters
    ----------
    pre, post
        Names of populations, one or a list.
    in_degree
        Each cell of `post` draws so many sources in each of `pre`.
    total
        So many synapses between each pair of populations, each with a random source and a random
        target.
    probability
        With multapses: the probability that a pair is connected at all, turned into a total by eq.
        1 of Potjans & Diesmann
        2014. Without: each pair is connected with this probability, at most once.
    multapses
        Whether a pair may have several synapses. in_degree and total always allow it.
    weight_rel_sd, delay_rel_sd
        Standard deviations as shares of the means.

    Each rule is a number, or a table with a row for each of `post` and a column for each of `pre`;
    0 means none.
    """

    pre: str | list[str]
    post: str | list[str]
    in_degree: int | Table | None = None
    total: int | Table | None = None
    probability: float | Table | None = None
    multapses: bool = True
    weight_rel_sd: float = Field(default=0.0, ge=0, le=1)
    delay_ms: float = Field(gt=0)
    delay_rel_sd: float = Field(default=0.0, ge=0, le=1)

    @property
    def rule(self) -> str:
        """The one rule that is given."""
        return next(
            name
            for name in ("in_degree", "total", "probability")
            if getattr(self, name) is not None
        )

    def numbers(self) -> Table:
        """Return the rule's numbers, a row for each of `post`, a column for each of `pre`."""
        value = getattr(self, self.rule)
        return (
            value
            if isinstance(value, list)
            else [[value] * len(names(self.pre)) for _ in names(self.post)]
        )

    @model_validator(mode="after")
    def _one_rule(self) -> ProjectionSpec:
        given = [
            name
            for name in ("in_degree", "total", "probability")
            if getattr(self, name) is not None
        ]
        if len(given) != 1:
            raise ValueError(
                "give exactly one of in_degree, total and probability, got"
                f" {' and '.join(given) or 'none'}"
            )
        if not self.multapses and self.rule != "probability":
            raise ValueError(
                f"multapses = false goes with the rule probability only, got {self.rule}"
            )
        table, rows, columns = self.numbers(), len(names(self.post)), len(names(self.pre))
        if len(table) != rows or any(len(row) != columns for row in table):
            raise ValueError(
                f"the table {self.rule} must have {rows} rows (post) of {columns} numbers (pre)"
            )
        for number in (n for row in table for n in row):
            if self.rule == "probability":
                if not (0 <= number < 1 or (number == 1 and not self.multapses)):
                    raise ValueError(f"probability must lie in [0, 1), got {number}")
            elif number < 0 or number != int(number):
                raise ValueError(f"{self.rule} must be a whole number >= 0, got {number}")
        return self


def names(names: str | Sequence[str]) -> list[str]:
    """Return one name or several, as a list."""
    return [names] if isinstance(names, str) else list(names)
