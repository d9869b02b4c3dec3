"""Circuits as recipes, for any engine.

`CircuitSpec` is what a recipe of kind "circuit" says: populations of current-based LIF cells, their
synapses and their Poisson drive. `resolve` turns it into a `Circuit`, in plain numbers of one unit
each, from which every engine starts.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from neurosparse import recipes
from neurosparse._internal.grid import on_grid
from neurosparse.recipes import Spec
from neurosparse.spiking.circuit_specs import (
    CellSpec,
    CircuitPopulationSpec,
    DriveSpec,
    ProjectionSpec,
    SynapseSpec,
    Weighted,
    names,
)
from neurosparse.spiking.plain_circuit import Circuit, Population, Projection
from neurosparse.spiking.synaptic_currents import psc_per_psp, resistance_mV_per_pA

__all__ = [
    "Circuit",
    "CircuitSpec",
    "Population",
    "Projection",
    "load",
    "psc_per_psp",
    "resistance_mV_per_pA",
    "resolve",
    "to_steps",
]

to_steps = on_grid  # its name in version 0.1


class CircuitSpec(Spec):
    """A network of current-based LIF cells, as a recipe of kind "circuit" says it.

    `cell` and `drive` hold what the populations have in common; a population replaces single
    values. Populations keep their order: units are numbered through them.

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
    populations: dict[str, CircuitPopulationSpec] = Field(min_length=1)
    projections: dict[str, ProjectionSpec] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _resolves(self) -> CircuitSpec:
        resolve(self)  # every later error is found where the recipe is read
        return self


def resolve(spec: CircuitSpec) -> Circuit:
    """Return the circuit of a spec in plain numbers.

    Raises
    ------
    ValueError
        Where the spec names populations that do not exist, or lacks a capacitance that its currents
        need.
    """
    populations: list[Population] = []
    for name, p in spec.populations.items():
        where = f"populations.{name}"
        cell = recipes.build(CellSpec, {**spec.cell.model_dump(), **p.cell}, what=f"{where}.cell")
        drive = _drive(spec, p, where)
        populations.append(
            Population(
                name=name,
                size=p.size,
                cell=cell,
                v_init_mV=p.v_init_mV,
                v_init_sd_mV=p.v_init_sd_mV,
                dc_mV=p.dc_mV,
                drive_rate_hz=drive.rate_hz * drive.in_degree if drive else 0.0,
                drive_weight=_weight(drive, spec.synapse, cell, where) if drive else 0.0,
                mean_rate_hz=p.mean_rate_hz,
            )
        )
    index = {p.name: i for i, p in enumerate(populations)}
    projections: list[Projection] = []
    for name, projection in spec.projections.items():
        where = f"projections.{name}"
        pre, post = (
            [_index(index, n, where) for n in names(side)]
            for side in (projection.pre, projection.post)
        )
        for row, a in zip(projection.numbers(), post, strict=True):
            weight = _weight(projection, spec.synapse, populations[a].cell, where)
            for number, b in zip(row, pre, strict=True):
                if number and weight:
                    rule, count = _rule(
                        projection, number, populations[b].size, populations[a].size
                    )
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
    return Circuit(
        spec.synapse.model, spec.synapse.tau_syn_ms, tuple(populations), tuple(projections)
    )


def load(name_or_path: str, **overrides: object) -> CircuitSpec:
    """Load the spec of a circuit recipe, `overrides` replacing values by their dotted names."""
    return recipes.load(name_or_path, kind="circuit").spec(CircuitSpec, **overrides)


def _index(index: dict[str, int], name: str, where: str) -> int:
    if name not in index:
        raise ValueError(f"{where} names no population {name!r}; there are: {', '.join(index)}")
    return index[name]


def _drive(spec: CircuitSpec, population: CircuitPopulationSpec, where: str) -> DriveSpec | None:
    if spec.drive is None and not population.drive:
        return None
    common = spec.drive.model_dump() if spec.drive else {}
    if {"weight_mV", "weight_pA"} & set(population.drive):
        common.update(weight_mV=None, weight_pA=None)
    return recipes.build(DriveSpec, {**common, **population.drive}, what=f"{where}.drive")


def _weight(weighted: Weighted, synapse: SynapseSpec, cell: CellSpec, where: str) -> float:
    """Return a weight in the unit of the synapse model: mV for delta, pA for exponential."""
    if synapse.model == "delta":
        if weighted.weight_mV is None:
            raise ValueError(
                f"{where}: delta synapses take weight_mV, got weight_pA={weighted.weight_pA:g}"
            )
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
    return "total", (
        round(math.log1p(-number) / math.log1p(-1 / (n_pre * n_post))) if n_pre * n_post > 1 else 0
    )
