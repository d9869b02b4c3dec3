"""A circuit in plain numbers of one unit each, the same for every engine.

What every engine must do with a `Circuit`
    tau_m dV/dt = e_leak - V + dc + R I(t);  a cell that reaches the threshold fires, is put to its
    reset and held there for t_ref. "delta" synapses: an arriving spike moves V by its weight (mV);
    what arrives while the cell is held is lost. "exponential" synapses: an arriving spike adds its
    weight (pA) to a current I that decays with tau_syn, also while V is held.

    A step goes from t to t + dt. V (and I) are integrated exactly. What arrives at t + dt, external
    spikes included, is then added, for delta synapses to V, for exponential ones to I. Then cells
    at or above the threshold fire. So a spike of step k with a delay of d steps arrives in step k +
    d, and a cell that fires in step k is held through step k + t_ref / dt (as in NEST). The time of
    a spike is the start of its step, k dt, as in Brian2; NEST's time stamps are one dt later.

    Random weights are normal, those of the wrong sign drawn anew. Random delays are normal, those
    below dt / 2 drawn anew, rounded to the grid. Self-connections are allowed. External spikes are
    Poisson, independent for each cell and step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from neurosparse import recipes
from neurosparse._internal import checks
from neurosparse.activity import WHOLE
from neurosparse.spiking.circuit_specs import CellSpec, SynapseSpec
from neurosparse.spiking.synaptic_currents import resistance_mV_per_pA


@dataclass(frozen=True, slots=True)
class Population:
    """A population in plain numbers.

    Parameters
    ----------
    name, size, cell
        Its name, how many cells, and the cell.
    v_init_mV, v_init_sd_mV
        Mean and standard deviation of the initial potentials.
    dc_mV
        A constant input, as the depolarisation that it holds at rest.
    drive_rate_hz, drive_weight
        Of the Poisson input of each cell. They are the rate of all its external sources together,
        and the weight of a spike, in mV for delta synapses and in pA for exponential ones.
    mean_rate_hz
        The rate at full scale, which only a circuit that is scaled down needs.
    first
        The index of its first unit; the circuit sets it.
    """

    name: str
    size: int
    cell: CellSpec
    v_init_mV: float
    v_init_sd_mV: float = 0.0
    dc_mV: float = 0.0
    drive_rate_hz: float = 0.0
    drive_weight: float = 0.0
    mean_rate_hz: float | None = None
    first: int = 0

    def __post_init__(self) -> None:
        checks.instance("name", self.name, str)
        if not self.name:
            raise ValueError("name must not be empty: a population is found by it")
        where = f"populations.{self.name}"
        checks.instance(f"{where}.cell", self.cell, CellSpec, "make one: CellSpec(...)")
        checks.whole(f"{where}.size", self.size)
        check = {"v_init_sd_mV": checks.not_negative, "drive_rate_hz": checks.not_negative}
        if self.mean_rate_hz is not None:
            check["mean_rate_hz"] = checks.not_negative
        for name in ("v_init_mV", "v_init_sd_mV", "dc_mV", "drive_rate_hz", "drive_weight"):
            check.setdefault(name, checks.number)
        for name, checked in check.items():
            object.__setattr__(self, name, checked(f"{where}.{name}", getattr(self, name)))

    def drive_mean(self, dt_ms: float) -> float:
        """Return the mean number of external spikes that a cell receives in a step."""
        return self.drive_rate_hz * dt_ms * 1e-3


@dataclass(frozen=True, slots=True)
class Projection:
    """The synapses from one population to one other.

    `pre` and `post` are their places in the circuit's list, from 0. `number` is the in-degree of
    each target for the rule "in_degree", the number of synapses for "total", and the probability of
    each pair for "pairwise". `weight` is in mV for delta synapses, in pA for exponential ones.
    `weight_rel_sd` and `delay_rel_sd` are standard deviations as shares of the means.
    """

    pre: int
    post: int
    rule: Literal["in_degree", "total", "pairwise"]
    number: float
    weight: float
    delay_ms: float
    weight_rel_sd: float = 0.0
    delay_rel_sd: float = 0.0

    def __post_init__(self) -> None:
        if self.rule not in ("in_degree", "total", "pairwise"):
            raise ValueError(f"rule must be in_degree, total or pairwise, got {self.rule!r}")
        for name in ("pre", "post"):
            if isinstance(side := getattr(self, name), str):
                raise TypeError(
                    f"{name} must be the place of a population in the circuit's list, 0 for the"
                    f" first, got the name {side!r}"
                )
            checks.whole(name, side, least=0)
        check = {"delay_ms": checks.positive, "weight": checks.number}
        for name in ("number", "weight_rel_sd", "delay_rel_sd"):
            check[name] = checks.not_negative
        for name, checked in check.items():
            object.__setattr__(self, name, checked(name, getattr(self, name)))
        number = self.number
        if self.rule == "pairwise" and number > 1:
            raise ValueError(f"number must be a probability for rule='pairwise', got {number:g}")
        if self.rule != "pairwise" and not number.is_integer():
            raise ValueError(f"number must be whole for rule={self.rule!r}, got {number:g}")
        for name in ("weight_rel_sd", "delay_rel_sd"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} must be <= 1, got {getattr(self, name):g}")


@dataclass(frozen=True, slots=True)
class Circuit:
    """A circuit in plain numbers, the same for every engine: made by `resolve`, or in Python.

    Parameters
    ----------
    synapse
        "delta": a spike moves the potential by its weight; "exponential": it adds its weight to a
        current that decays with `tau_syn_ms`.
    tau_syn_ms
        Of exponential synapses, else None.
    populations
        Their units are numbered in this order.
    projections
        By the places of populations in the list, from 0.
    scale
        Of what it was made from.

    Raises
    ------
    ValueError, TypeError
        Where its parts do not fit together.

    Examples
    --------
    >>> cell = CellSpec(tau_m_ms=20, e_leak_mV=0, v_threshold_mV=20, v_reset_mV=10, t_ref_ms=2)
    >>> excited = Population("E", 80, cell, v_init_mV=10.0, dc_mV=24.0)
    >>> quiet = Population("I", 20, cell, v_init_mV=10.0)
    >>> synapses = Projection(0, 1, rule="in_degree", number=10, weight=0.5, delay_ms=1.5)
    >>> Circuit("delta", None, (excited, quiet), (synapses,)).ranges
    {'E': (0, 80), 'I': (80, 100)}
    """

    synapse: Literal["delta", "exponential"]
    tau_syn_ms: float | None
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...] = ()
    scale: float = 1.0

    def __post_init__(self) -> None:
        synapse = recipes.build(
            SynapseSpec, {"model": self.synapse, "tau_syn_ms": self.tau_syn_ms}, what="synapse"
        )
        object.__setattr__(self, "tau_syn_ms", synapse.tau_syn_ms)
        object.__setattr__(self, "scale", checks.positive("scale", self.scale))
        for name, kind in (("populations", Population), ("projections", Projection)):
            parts = checks.instances(
                name, getattr(self, name), kind, f"such as [{kind.__name__}(...)]"
            )
            object.__setattr__(self, name, tuple(parts))
        if not self.populations:
            raise ValueError("populations is empty: a circuit has at least one")
        if len({p.name for p in self.populations}) < len(self.populations):
            raise ValueError(
                "each population needs a name of its own, got"
                f" {', '.join(p.name for p in self.populations)}"
            )
        if WHOLE in {p.name for p in self.populations}:
            raise ValueError(
                f"no population may be called {WHOLE!r}, the name of all cells together in every"
                " table: give it another name"
            )
        placed, first = [], 0
        for p in self.populations:
            placed.append(replace(p, first=first))
            first += p.size
            if self.synapse == "exponential":
                resistance_mV_per_pA(p.cell)  # engines need the capacitance
        object.__setattr__(self, "populations", tuple(placed))
        for projection in self.projections:
            for side in (projection.pre, projection.post):
                if side >= len(placed):
                    raise ValueError(
                        f"pre and post must be places of the {len(placed)} populations, from 0,"
                        f" got {side}"
                    )

    @property
    def n_units(self) -> int:
        """The number of cells."""
        return sum(population.size for population in self.populations)

    @property
    def ranges(self) -> dict[str, tuple[int, int]]:
        """Name -> (first unit, one past the last), as SpikeTrains wants it."""
        return {p.name: (p.first, p.first + p.size) for p in self.populations}

    def n_synapses(self, projection: Projection) -> float:
        """Return the synapses of a projection; their expected number for the rule "pairwise"."""
        sizes = self.populations[projection.pre].size, self.populations[projection.post].size
        return (
            projection.number
            * {"in_degree": sizes[1], "total": 1, "pairwise": sizes[0] * sizes[1]}[projection.rule]
        )

    @property
    def n_synapses_total(self) -> float:
        """The number of synapses of the whole circuit."""
        return sum(self.n_synapses(projection) for projection in self.projections)
