"""A noisy cortical population with log-normal rates.

Excitatory and inhibitory cells, recurrent and sparse.

Random connections with a fixed in-degree and delta synapses, as in Brunel's network (2000), in its
asynchronous irregular state at low rates. The input from outside is white noise around a mean. Each
cell has an excitability of its own: its mean input is drawn once from a normal distribution. Where
cells fire from fluctuations the rate rises steeply with the mean input. So normal excitabilities
make rates close to log-normal (Roxin et al. 2011, J Neurosci 31:16217), as they are in cortex
(Buzsaki & Mizuseki 2014, Nat Rev Neurosci 15:264).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field, model_validator

from neurosparse import recipes
from neurosparse._internal import checks
from neurosparse._internal.grid import on_grid
from neurosparse.activity import SpikeTrains
from neurosparse.lif import LIF
from neurosparse.meanfield import MeanField
from neurosparse.progress import Progress, quiet
from neurosparse.recipes import check_spec
from neurosparse.spiking import sizes
from neurosparse.spiking.brian import running as engine
from neurosparse.spiking.circuit_specs import CellSpec
from neurosparse.spiking.engines import brian2 as brian_circuit
from neurosparse.spiking.plain_circuit import Circuit, Population, Projection


class CellsSpec(recipes.Spec):
    """One of the two kinds of cells.

    Parameters
    ----------
    input_mean_mV
        The mean input from outside, as the depolarisation it holds at rest.
    input_noise_mV
        White noise from outside, as the standard deviation of the potential that it makes far from
        the threshold.
    excitability_sd_mV
        Standard deviation over cells of the mean input.
    """

    size: int = Field(ge=1, le=10**12)
    cell: CellSpec
    input_mean_mV: float
    input_noise_mV: float = Field(ge=0)
    excitability_sd_mV: float = Field(ge=0)


class PopulationSpec(recipes.Spec):
    """The population of a recipe of kind "population".

    Weights are the jump of the potential that a spike makes. `in_degree_excitatory` and
    `in_degree_inhibitory` are the synapses that each cell receives from either kind, from random
    sources; `warm_up_ms` is simulated first and discarded.
    """

    excitatory: CellsSpec
    inhibitory: CellsSpec
    in_degree_excitatory: int = Field(ge=0)
    in_degree_inhibitory: int = Field(ge=0)
    weight_excitatory_mV: float = Field(ge=0)
    weight_inhibitory_mV: float = Field(le=0)
    delay_ms: float = Field(gt=0)
    dt_ms: float = Field(default=0.1, gt=0)
    warm_up_ms: float = Field(default=500.0, ge=0)

    @model_validator(mode="after")
    def _on_the_grid(self) -> PopulationSpec:
        if self.delay_ms < self.dt_ms:
            raise ValueError(f"delay_ms must be >= dt_ms={self.dt_ms:g}, got {self.delay_ms:g}")
        return self

    def circuit(self) -> Circuit:
        """Return the circuit in plain numbers, without excitabilities and noise."""
        e, i = self.excitatory, self.inhibitory
        populations = tuple(
            Population(
                name=name,
                size=cells.size,
                first=first,
                cell=cells.cell,
                # start with the potentials spread between reset and threshold: no volley at the
                # beginning
                v_init_mV=(cells.cell.v_reset_mV + cells.cell.v_threshold_mV) / 2,
                v_init_sd_mV=(cells.cell.v_threshold_mV - cells.cell.v_reset_mV) / 4,
                dc_mV=cells.input_mean_mV,
                drive_rate_hz=0.0,
                drive_weight=0.0,
                mean_rate_hz=None,
            )
            for name, cells, first in (("E", e, 0), ("I", i, e.size))
        )
        sources = (
            (self.in_degree_excitatory, self.weight_excitatory_mV),
            (self.in_degree_inhibitory, self.weight_inhibitory_mV),
        )
        projections = tuple(
            Projection(
                pre=pre,
                post=post,
                rule="in_degree",
                number=in_degree,
                weight=weight,
                weight_rel_sd=0.0,
                delay_ms=self.delay_ms,
                delay_rel_sd=0.0,
            )
            for pre, (in_degree, weight) in enumerate(sources)
            for post in (0, 1)
            if in_degree and weight
        )
        return Circuit("delta", None, populations, projections)


def mean_field(spec: PopulationSpec) -> MeanField:
    """Return what theory needs of a population.

    `meanfield.solve` gives the rates of "E" and "I", in this order.
    """
    kinds = (spec.excitatory, spec.inhibitory)
    return MeanField(
        cells=[LIF(**kind.cell.model_dump(exclude={"capacitance_pF"})) for kind in kinds],
        in_degrees=np.tile(
            [float(spec.in_degree_excitatory), float(spec.in_degree_inhibitory)], (2, 1)
        ),
        weights_mV=np.tile([spec.weight_excitatory_mV, spec.weight_inhibitory_mV], (2, 1)),
        input_mean_mV=np.array([kind.input_mean_mV for kind in kinds]),
        input_sigma_mV=np.sqrt(2) * np.array([kind.input_noise_mV for kind in kinds]),
        excitability_sd_mV=np.array([kind.excitability_sd_mV for kind in kinds]),
        dt_ms=spec.dt_ms,
    )


def load_population(
    name_or_path: str | Path = "cortical_population", **overrides: object
) -> PopulationSpec:
    """Load the population of a recipe, `overrides` replacing values by their dotted names."""
    return recipes.load(name_or_path, kind="population").spec(PopulationSpec, **overrides)


def simulate_population(
    spec: PopulationSpec,
    *,
    duration_ms: float,
    seed: int,
    target: engine.Target | None = None,
    progress: Progress = quiet,
) -> SpikeTrains:
    """Simulate the population in Brian2 and return its spikes after the warm-up.

    It has the populations "E" and "I".

    Parameters
    ----------
    spec
        The population.
    duration_ms
        Time to record, a whole multiple of the step.
    seed
        Of connections, excitabilities, initial potentials and the drive.
    target
        "cpp" or "numpy"; see `brian.running.run`.
    progress
        Told how far the simulation is.

    Examples
    --------
    >>> population = load_population()
    >>> spikes = simulate_population(population, duration_ms=100.0, seed=1)  # doctest: +SKIP
    """
    check_spec(spec, PopulationSpec)
    duration_ms = checks.positive("duration_ms", duration_ms)
    seed = checks.seed(seed)
    circuit = spec.circuit()
    n_steps = on_grid("duration_ms", spec.warm_up_ms + duration_ms, spec.dt_ms)
    sizes.check(circuit, brian_circuit.COSTS, n_steps=n_steps, dt_ms=spec.dt_ms, n_threads=1)
    kinds, n_cells = (spec.excitatory, spec.inhibitory), [p.size for p in circuit.populations]
    spread_mV, noise_mV = (
        np.repeat([getattr(kind, name) for kind in kinds], n_cells)
        for name in ("excitability_sd_mV", "input_noise_mV")
    )
    excitability_mV = spread_mV * np.random.default_rng([seed, 2]).standard_normal(circuit.n_units)
    spikes = brian_circuit.simulate(
        circuit,
        duration_ms=spec.warm_up_ms + duration_ms,
        seed=seed,
        dt_ms=spec.dt_ms,
        dc_mV=excitability_mV,
        noise_mV=noise_mV,
        target=target,
        progress=progress,
    )
    return (
        spikes.between(spec.warm_up_ms, spec.warm_up_ms + duration_ms)
        if spec.warm_up_ms
        else spikes
    )
