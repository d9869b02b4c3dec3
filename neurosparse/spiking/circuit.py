"""Circuits as recipes: populations of current-based LIF cells, their synapses and their Poisson drive, for any engine.

`CircuitSpec` is what a recipe of kind "circuit" says. `resolve` turns it into a `Circuit`: the same circuit in plain numbers of one
unit each, from which every engine starts, so that no engine derives its own. `scaled` makes a smaller circuit of it.

What every engine must do with a `Circuit`
    tau_m dV/dt = e_leak - V + dc + R I(t);  a cell that reaches the threshold fires, is put to its reset and held there for
    t_ref. "delta" synapses: an arriving spike moves V by its weight (mV); what arrives while the cell is held is lost.
    "exponential" synapses: an arriving spike adds its weight (pA) to a current I that decays with tau_syn, also while V is held.

    A step goes from t to t + dt: V (and I) are integrated exactly; what arrives at t + dt, external spikes included, is then
    added, for delta synapses to V, for exponential ones to I; then cells at or above the threshold fire. So a spike of step k with
    a delay of d steps arrives in step k + d, and a cell that fires in step k is held through step k + t_ref / dt (as in NEST).
    The time of a spike is the start of its step, k dt, as in Brian2; NEST's time stamps are one dt later.

    Random weights are normal, those of the wrong sign drawn anew. Random delays are normal, those below dt / 2 drawn anew,
    rounded to the grid. Self-connections are allowed. External spikes are Poisson, independent for each cell and step.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from neurosparse import checks, recipes
from neurosparse.recipes import Spec

GRID_TOLERANCE = 1e-6  # of a step


class ScaledCircuitWarning(UserWarning):
    """A scaled-down circuit is another circuit."""


# ------------------------------------------------------------------------------------------------ what a recipe says
class CellSpec(Spec):
    """A leaky integrate-and-fire cell. The capacitance is needed where weights are currents, and not otherwise."""

    tau_m_ms: float = Field(gt=0)
    e_leak_mV: float
    v_threshold_mV: float
    v_reset_mV: float
    t_ref_ms: float = Field(ge=0)
    capacitance_pF: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _fires(self) -> CellSpec:
        if self.v_threshold_mV <= self.v_reset_mV:
            raise ValueError(f"v_threshold_mV must be > v_reset_mV={self.v_reset_mV:g}, got {self.v_threshold_mV:g}")
        return self


class SynapseSpec(Spec):
    """How a spike acts: at once on the membrane ("delta"), or through a current that decays with tau_syn_ms ("exponential")."""

    model: Literal["delta", "exponential"]
    tau_syn_ms: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _complete(self) -> SynapseSpec:
        if (self.model == "exponential") != (self.tau_syn_ms is not None):
            raise ValueError(f"tau_syn_ms belongs to exponential synapses and to no others, got {self.tau_syn_ms}")
        return self


class _Weighted(Spec):
    """A weight: the peak of the postsynaptic potential (mV), or of the current (pA; exponential synapses only)."""

    weight_mV: float | None = None
    weight_pA: float | None = None

    @model_validator(mode="after")
    def _one_weight(self) -> Any:
        if (self.weight_mV is None) == (self.weight_pA is None):
            raise ValueError(
                f"give exactly one of weight_mV and weight_pA, got {self.weight_mV} mV and {self.weight_pA} pA"
            )
        return self


class DriveSpec(_Weighted):
    """Independent Poisson input of each cell: `in_degree` sources that fire at `rate_hz`."""

    rate_hz: float = Field(ge=0)
    in_degree: int = Field(ge=0)


class PopulationSpec(Spec):
    """Cells of one kind. `cell` and `drive` replace single values of the circuit's common ones.

    `mean_rate_hz` is the rate expected at full scale; the correction of a scaled circuit needs it. `dc_mV` is a constant input
    as the depolarisation it holds at rest, R I. Initial potentials are normal.
    """

    size: int = Field(ge=1)
    v_init_mV: float
    v_init_sd_mV: float = Field(default=0.0, ge=0)
    dc_mV: float = 0.0
    mean_rate_hz: float | None = Field(default=None, ge=0)
    cell: dict[str, float] = Field(default_factory=dict)
    drive: dict[str, float] = Field(default_factory=dict)


Table = list[list[float]]


class ProjectionSpec(_Weighted):
    """Synapses from some populations to others, by exactly one rule.

    Parameters
    ----------
    pre, post
        Names of populations, one or a list.
    in_degree
        Each cell of `post` draws so many sources in each of `pre`.
    total
        So many synapses between each pair of populations, each with a random source and a random target.
    probability
        With multapses: the probability that a pair is connected at all, turned into a total by eq. 1 of Potjans & Diesmann
        2014. Without: each pair is connected with this probability, at most once.
    multapses
        Whether a pair may have several synapses. in_degree and total always allow it.
    weight_rel_sd, delay_rel_sd
        Standard deviations as shares of the means.

    Each rule is a number, or a table with a row for each of `post` and a column for each of `pre`; 0 means none.
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
        return next(name for name in ("in_degree", "total", "probability") if getattr(self, name) is not None)

    def numbers(self) -> Table:
        """The rule's numbers, a row for each of `post`, a column for each of `pre`."""
        value = getattr(self, self.rule)
        return value if isinstance(value, list) else [[value] * len(_names(self.pre)) for _ in _names(self.post)]

    @model_validator(mode="after")
    def _one_rule(self) -> ProjectionSpec:
        given = [name for name in ("in_degree", "total", "probability") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of in_degree, total and probability, got {' and '.join(given) or 'none'}"
            )
        if not self.multapses and self.rule != "probability":
            raise ValueError(f"multapses = false goes with the rule probability only, got {self.rule}")
        table, rows, columns = self.numbers(), len(_names(self.post)), len(_names(self.pre))
        if len(table) != rows or any(len(row) != columns for row in table):
            raise ValueError(f"the table {self.rule} must have {rows} rows (post) of {columns} numbers (pre)")
        for number in (n for row in table for n in row):
            if self.rule == "probability":
                if not (0 <= number < 1 or (number == 1 and not self.multapses)):
                    raise ValueError(f"probability must lie in [0, 1), got {number}")
            elif number < 0 or number != int(number):
                raise ValueError(f"{self.rule} must be a whole number >= 0, got {number}")
        return self


class CircuitSpec(Spec):
    """A network of current-based LIF cells, as a recipe of kind "circuit" says it.

    `cell` and `drive` hold what the populations have in common; a population replaces single values. Populations keep their order:
    units are numbered through them.

    Examples
    --------
    >>> from neurosparse import recipes
    >>> spec = recipes.load("brunel2000_ai").spec(CircuitSpec)
    >>> resolve(spec).n_units
    12500
    """

    cell: CellSpec
    synapse: SynapseSpec
    drive: DriveSpec | None = None
    populations: dict[str, PopulationSpec] = Field(min_length=1)
    projections: dict[str, ProjectionSpec] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _resolves(self) -> CircuitSpec:
        resolve(self)  # every later error is found where the recipe is read
        return self


# ------------------------------------------------------------------------------------------------ what engines read
@dataclass(frozen=True, slots=True)
class Population:
    """A population in plain numbers. `drive_rate_hz` is that of all its external sources together."""

    name: str
    size: int
    first: int  # the index of its first unit
    cell: CellSpec
    v_init_mV: float
    v_init_sd_mV: float
    dc_mV: float
    drive_rate_hz: float
    drive_weight: float  # mV for delta synapses, pA for exponential ones
    mean_rate_hz: float | None

    def drive_mean(self, dt_ms: float) -> float:
        """The mean number of external spikes that a cell receives in a step."""
        return self.drive_rate_hz * dt_ms * 1e-3


@dataclass(frozen=True, slots=True)
class Projection:
    """The synapses from one population to one other, by index.

    `number` is the in-degree of each target for the rule "in_degree", the number of synapses for "total", and the probability
    of each pair for "pairwise". `weight` is in mV for delta synapses, in pA for exponential ones.
    """

    pre: int
    post: int
    rule: Literal["in_degree", "total", "pairwise"]
    number: float
    weight: float
    weight_rel_sd: float
    delay_ms: float
    delay_rel_sd: float


@dataclass(frozen=True, slots=True)
class Circuit:
    """A circuit in plain numbers, the same for every engine. Made by `resolve`."""

    synapse: Literal["delta", "exponential"]
    tau_syn_ms: float | None
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    scale: float = 1.0

    @property
    def n_units(self) -> int:
        """The number of cells."""
        return sum(population.size for population in self.populations)

    @property
    def ranges(self) -> dict[str, tuple[int, int]]:
        """Name -> (first unit, one past the last), as SpikeTrains wants it."""
        return {p.name: (p.first, p.first + p.size) for p in self.populations}

    def n_synapses(self, projection: Projection) -> float:
        """The number of synapses of a projection; the expected one for the rule "pairwise"."""
        sizes = self.populations[projection.pre].size, self.populations[projection.post].size
        return projection.number * {"in_degree": sizes[1], "total": 1, "pairwise": sizes[0] * sizes[1]}[projection.rule]

    @property
    def n_synapses_total(self) -> float:
        """The number of synapses of the whole circuit."""
        return sum(self.n_synapses(projection) for projection in self.projections)


def resolve(spec: CircuitSpec) -> Circuit:
    """The circuit of a spec in plain numbers.

    Raises
    ------
    ValueError
        Where the spec names populations that do not exist, or lacks a capacitance that its currents need.
    """
    populations: list[Population] = []
    first = 0
    for name, p in spec.populations.items():
        where = f"populations.{name}"
        cell = recipes.build(CellSpec, {**spec.cell.model_dump(), **p.cell}, what=f"{where}.cell")
        drive = _drive(spec, p, where)
        populations.append(
            Population(
                name=name,
                size=p.size,
                first=first,
                cell=cell,
                v_init_mV=p.v_init_mV,
                v_init_sd_mV=p.v_init_sd_mV,
                dc_mV=p.dc_mV,
                drive_rate_hz=drive.rate_hz * drive.in_degree if drive else 0.0,
                drive_weight=_weight(drive, spec.synapse, cell, where) if drive else 0.0,
                mean_rate_hz=p.mean_rate_hz,
            )
        )
        first += p.size
    index = {p.name: i for i, p in enumerate(populations)}
    projections: list[Projection] = []
    for name, projection in spec.projections.items():
        where = f"projections.{name}"
        pre, post = ([_index(index, n, where) for n in _names(side)] for side in (projection.pre, projection.post))
        for row, a in zip(projection.numbers(), post, strict=True):
            weight = _weight(projection, spec.synapse, populations[a].cell, where)
            for number, b in zip(row, pre, strict=True):
                if number and weight:
                    rule, count = _rule(projection, number, populations[b].size, populations[a].size)
                    projections.append(
                        Projection(
                            pre=b,
                            post=a,
                            rule=rule,
                            number=count,
                            weight=weight,
                            weight_rel_sd=projection.weight_rel_sd,
                            delay_ms=projection.delay_ms,
                            delay_rel_sd=projection.delay_rel_sd,
                        )
                    )
    return Circuit(spec.synapse.model, spec.synapse.tau_syn_ms, tuple(populations), tuple(projections))


def load(name_or_path: str, **overrides: Any) -> CircuitSpec:
    """The spec of a circuit recipe, `overrides` replacing values by their dotted names."""
    recipe = recipes.load(name_or_path)
    if recipe.kind != "circuit":
        raise ValueError(f'recipe {recipe.name!r} is of kind {recipe.kind!r}, not "circuit"')
    return recipe.spec(CircuitSpec, **overrides)


def psc_per_psp(cell: CellSpec, tau_syn_ms: float) -> float:
    """The peak of an exponential postsynaptic current, in pA, that makes a postsynaptic potential with a peak of 1 mV.

    The potential after a current exp(-t/tau_s) is R tau_s / (tau_s - tau_m) (exp(-t/tau_s) - exp(-t/tau_m)); it peaks at
    t = tau_m tau_s / (tau_m - tau_s) ln(tau_m / tau_s) (Potjans & Diesmann 2014, table 4; van Albada et al. 2018, eq. 4).

    Examples
    --------
    >>> cell = CellSpec(tau_m_ms=10, e_leak_mV=-65, v_threshold_mV=-50, v_reset_mV=-65, t_ref_ms=2, capacitance_pF=250)
    >>> round(0.15 * psc_per_psp(cell, 0.5), 2)
    87.81
    """
    tau_m, tau_s = cell.tau_m_ms, tau_syn_ms
    if cell.capacitance_pF is None:
        raise ValueError("capacitance_pF is needed where synapses are currents; add it to the cell")
    if math.isclose(tau_m, tau_s, rel_tol=1e-6):
        return math.e * cell.capacitance_pF / tau_m
    peak_ms = tau_m * tau_s / (tau_m - tau_s) * math.log(tau_m / tau_s)
    rise = tau_m * tau_s / (tau_s - tau_m) * (math.exp(-peak_ms / tau_s) - math.exp(-peak_ms / tau_m))
    return cell.capacitance_pF / rise


def resistance_mV_per_pA(cell: CellSpec) -> float:
    """R = tau_m / C: the depolarisation that a steady current of 1 pA holds."""
    if cell.capacitance_pF is None:
        raise ValueError("capacitance_pF is needed where synapses are currents; add it to the cell")
    return cell.tau_m_ms / cell.capacitance_pF


def to_steps(name: str, value_ms: float, dt_ms: float) -> int:
    """A time as whole steps of dt; refused where it does not lie on the grid."""
    steps = round(value_ms / dt_ms)
    if abs(value_ms / dt_ms - steps) > max(GRID_TOLERANCE, 1e-9 * steps):
        raise ValueError(f"{name} must be a whole multiple of dt_ms={dt_ms:g}, got {value_ms:g}")
    return steps


# ------------------------------------------------------------------------------------------------ a smaller circuit
def scaled(circuit: Circuit, scale: float) -> Circuit:
    """A smaller circuit with, to first order, the mean and the variance of the full one's input; warns that it is another circuit.

    Sizes and in-degrees, external ones included, are multiplied by `scale`, weights divided by its root, and the mean input that
    this loses at the full circuit's rates is given back as a constant (van Albada, Helias & Diesmann 2015, PLoS Comput Biol
    11:e1004490; as in the authors' implementation of Potjans & Diesmann 2014).

    Raises
    ------
    ValueError
        Where scale is not in (0, 1], a population would vanish, or one that projects has no `mean_rate_hz`.
    """
    scale = checks.positive("scale", scale)
    if scale > 1:
        raise ValueError(f"scale must lie in (0, 1], got {scale:g}")
    if scale == 1:
        return circuit
    warnings.warn(
        f"a circuit scaled to {scale:g} is not the full one: its rates, correlations and synchrony differ; compare it only with "
        "another simulator at the same scale",
        ScaledCircuitWarning,
        stacklevel=2,
    )
    root = math.sqrt(scale)
    populations, first = [], 0
    for p in circuit.populations:
        size = round(p.size * scale)
        if size < 1:
            raise ValueError(f"scale={scale:g} leaves no cell of population {p.name!r} ({p.size} cells)")
        rate_hz, weight = p.drive_rate_hz * scale, p.drive_weight / root
        populations.append(replace(p, size=size, first=first, drive_rate_hz=rate_hz, drive_weight=weight))
        first += size
    factor = {"in_degree": scale, "total": scale**2, "pairwise": 1.0}
    projections = []
    for projection in circuit.projections:
        number = projection.number * factor[projection.rule]
        number = number if projection.rule == "pairwise" else round(number)
        if number:
            projections.append(replace(projection, number=number, weight=projection.weight / root))
    small = replace(
        circuit, populations=tuple(populations), projections=tuple(projections), scale=circuit.scale * scale
    )
    lost = mean_input_mV(circuit) - mean_input_mV(small)  # (1 - sqrt(scale)) of it, and what whole numbers lose
    given_back = [replace(p, dc_mV=p.dc_mV + float(mV)) for p, mV in zip(populations, lost, strict=True)]
    return replace(small, populations=tuple(given_back))


def mean_input_mV(circuit: Circuit) -> np.ndarray:
    """The mean synaptic input of a cell of each population at the `mean_rate_hz`, as the depolarisation it holds, R I, in mV.

    Returns
    -------
    array of float, shape (n_populations,)
        Recurrent and external input together, the constant one not counted.
    """
    per_rate = [
        p.cell.tau_m_ms * 1e-3  # a jump of 1 mV at 1 Hz
        if circuit.synapse == "delta"
        else (circuit.tau_syn_ms or 0.0) * 1e-3 * resistance_mV_per_pA(p.cell)  # a current of 1 pA peak at 1 Hz
        for p in circuit.populations
    ]
    total = np.array(
        [p.drive_rate_hz * p.drive_weight * unit for p, unit in zip(circuit.populations, per_rate, strict=True)]
    )
    for projection in circuit.projections:
        pre = circuit.populations[projection.pre]
        if pre.mean_rate_hz is None:
            raise ValueError(
                f"populations.{pre.name}.mean_rate_hz is needed to scale the circuit; add it to the recipe"
            )
        in_degree = circuit.n_synapses(projection) / circuit.populations[projection.post].size
        total[projection.post] += in_degree * projection.weight * pre.mean_rate_hz * per_rate[projection.post]
    return total


# ------------------------------------------------------------------------------------------------ helpers
def _names(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _index(index: dict[str, int], name: str, where: str) -> int:
    if name not in index:
        raise ValueError(f"{where} names no population {name!r}; there are: {', '.join(index)}")
    return index[name]


def _drive(spec: CircuitSpec, population: PopulationSpec, where: str) -> DriveSpec | None:
    if spec.drive is None and not population.drive:
        return None
    common = spec.drive.model_dump() if spec.drive else {}
    if {"weight_mV", "weight_pA"} & set(population.drive):
        common.update(weight_mV=None, weight_pA=None)
    return recipes.build(DriveSpec, {**common, **population.drive}, what=f"{where}.drive")


def _weight(weighted: _Weighted, synapse: SynapseSpec, cell: CellSpec, where: str) -> float:
    """A weight in the unit of the synapse model: mV for delta, pA for exponential."""
    if synapse.model == "delta":
        if weighted.weight_mV is None:
            raise ValueError(f"{where}: delta synapses take weight_mV, got weight_pA={weighted.weight_pA:g}")
        return weighted.weight_mV
    if weighted.weight_pA is not None:
        resistance_mV_per_pA(cell)  # engines need the capacitance
        return weighted.weight_pA
    return (weighted.weight_mV or 0.0) * psc_per_psp(cell, synapse.tau_syn_ms or 0.0)


def _rule(
    projection: ProjectionSpec, number: float, n_pre: int, n_post: int
) -> tuple[Literal["in_degree", "total", "pairwise"], float]:
    if projection.rule == "in_degree":
        return "in_degree", int(number)
    if projection.rule == "total":
        return "total", int(number)
    if not projection.multapses:
        return "pairwise", number
    # log1p keeps the precision of 1 - 1/(N N'); Potjans & Diesmann 2014, eq. 1
    return "total", round(math.log1p(-number) / math.log1p(-1 / (n_pre * n_post))) if n_pre * n_post > 1 else 0
