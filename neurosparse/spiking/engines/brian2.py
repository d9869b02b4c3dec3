"""A circuit recipe in Brian2.

All cells are one group and all synapses with one delay one object, sorted by their source, so that
a spike walks through memory in order. Where every synapse of a cell has one weight, the weight is
the cell's. The drive comes from a table (`drive`). Everything but the shape of the circuit is data,
so a circuit is compiled once for all its parameters and seeds.

The order of a step is that of `circuit`: integrate, add what arrives, test the threshold. Brian2's
own would test first, and hold a cell for one step less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import checks
from neurosparse._internal.grid import on_grid
from neurosparse._internal.types import Fields, Foreign
from neurosparse.activity import SpikeTrains
from neurosparse.progress import Progress, quiet
from neurosparse.spiking import sizes
from neurosparse.spiking.brian import running as engine
from neurosparse.spiking.brian.drive import table_poisson, white_noise
from neurosparse.spiking.plain_circuit import Circuit, Projection
from neurosparse.spiking.synaptic_currents import resistance_mV_per_pA

Floats = NDArray[np.float64]
COSTS = sizes.Costs(synapse_bytes=16.0, cell_bytes=100.0, step_s=1e-6, cell_step_s=2e-9)


def simulate(
    circuit: Circuit,
    *,
    duration_ms: float,
    seed: int,
    dt_ms: float = 0.1,
    dc_mV: Floats | None = None,
    noise_mV: Floats | None = None,
    target: engine.Target | None = None,
    progress: Progress = quiet,
) -> SpikeTrains:
    """Simulate a circuit in Brian2.

    Parameters
    ----------
    circuit
        From `circuit.resolve`.
    duration_ms, dt_ms
        Simulated time and step; delays, refractory periods and the duration must lie on the grid of
        steps.
    seed
        Of connections, weights, delays, initial potentials and the drive.
    dc_mV : array of float, shape (n_units,), optional
        A constant input of each cell as the depolarisation it holds, on top of its population's.
    noise_mV : array of float, shape (n_units,), optional
        White noise of each cell as the standard deviation of the potential that it makes far from
        the threshold.
    target
        "cpp" or "numpy"; see `brian.running.run`.
    progress
        Told how far the simulation is.

    Returns
    -------
    SpikeTrains
        On the grid, with the circuit's populations.
    """
    dt_ms = checks.positive("dt_ms", dt_ms)
    seed = checks.seed(seed)
    n_steps = on_grid("duration_ms", checks.positive("duration_ms", duration_ms), dt_ms)
    sizes.check(circuit, COSTS, n_steps=n_steps, dt_ms=dt_ms, n_threads=1)
    constants = _cells(circuit, dt_ms, dc_mV, noise_mV)
    generator = np.random.default_rng([seed, 1])
    v_init = np.concatenate(
        [generator.normal(p.v_init_mV, p.v_init_sd_mV, p.size) for p in circuit.populations]
    )
    progress(0.0, "drawing synapses")
    bundles = list(_bundles(circuit, dt_ms, generator))
    constants |= {
        f"weight_{k}": bundle.weight for k, bundle in enumerate(bundles) if bundle.weight_of_source
    }
    means = list(dict.fromkeys(p.drive_mean(dt_ms) for p in circuit.populations))
    driven = max(means) > 0
    constants["table"] = _per_cell(
        circuit, [means.index(p.drive_mean(dt_ms)) for p in circuit.populations]
    ).astype(int)

    def model() -> Foreign:
        b2 = engine.brian2()
        equations, step = _code(circuit, constants, driven)
        cells = b2.NeuronGroup(
            circuit.n_units,
            equations,
            threshold="v >= v_threshold and t_in_timesteps >= free_at",
            reset="v = v_reset; free_at = t_in_timesteps + hold",
            namespace={"table_poisson": table_poisson(means), "white_noise": white_noise()},
            name="cells",
        )
        cells.thresholder["spike"].when = "after_synapses"
        cells.run_regularly(step, when="groups", name="step")
        for name, values in constants.items():
            if f"{name} :" in equations:
                setattr(cells, name, values[0] if _is_shared(name, values) else values)
        cells.v = v_init
        cells.free_at = -1  # at 0 the first step would still put cells at their reset
        objects = [cells, b2.SpikeMonitor(cells, name="spikes")]
        arrives = "v_post" if circuit.synapse == "delta" else "current_post"
        return [
            *objects,
            *(bundle.in_brian(cells, arrives, k, dt_ms) for k, bundle in enumerate(bundles)),
        ]

    result = engine.run(
        model, duration_ms=duration_ms, dt_ms=dt_ms, seed=seed, target=target, progress=progress
    )
    return result.spike_trains("spikes", n_units=circuit.n_units, populations=circuit.ranges)


# ---- Cells
# --------------------------------------------------------------------------------------------------


def _cells(circuit: Circuit, dt_ms: float, dc_mV: Floats | None, noise_mV: Floats | None) -> Fields:
    """Return the constants of each cell, in mV (and pA), by the name of the variable.

    Each has the shape (n_units,).
    """
    populations = circuit.populations

    def each(value: Foreign) -> Foreign:
        return _per_cell(circuit, [value(p) for p in populations])

    constants = {
        "v_inf": each(lambda p: p.cell.e_leak_mV + p.dc_mV),
        "v_threshold": each(lambda p: p.cell.v_threshold_mV),
        "v_reset": each(lambda p: p.cell.v_reset_mV),
        "relax": each(lambda p: -np.expm1(-dt_ms / p.cell.tau_m_ms)),
        "hold": each(lambda p: on_grid("t_ref_ms", p.cell.t_ref_ms, dt_ms) + 1).astype(int),
        "drive_weight": each(lambda p: p.drive_weight),
    }
    if dc_mV is not None:
        constants["v_inf"] = constants["v_inf"] + _of_each_cell("dc_mV", dc_mV, circuit)
    if noise_mV is not None:
        # of the variance that a step brings
        share = each(lambda p: np.sqrt(-np.expm1(-2 * dt_ms / p.cell.tau_m_ms)))
        constants["noise"] = share * _of_each_cell("noise_mV", noise_mV, circuit)
    if circuit.synapse == "exponential":
        constants["decay"] = each(lambda p: np.exp(-dt_ms / (circuit.tau_syn_ms or 1.0)))
        constants["charge"] = each(lambda p: _charge(p, circuit.tau_syn_ms or 0.0, dt_ms))
    return constants


def _of_each_cell(name: str, values: Floats, circuit: Circuit) -> Floats:
    array = checks.finite_array(name, values)
    if array.shape != (circuit.n_units,):
        raise ValueError(
            f"{name} must hold a value for each of {circuit.n_units} cells, got shape {array.shape}"
        )
    return array


def _charge(population: Foreign, tau_s: float, dt_ms: float) -> float:
    """Return what a current of 1 pA that decays with tau_s adds to the potential in a step, in mV.

    Rotter & Diesmann 1999, eq. 12.
    """
    tau_m = population.cell.tau_m_ms
    if np.isclose(tau_m, tau_s, rtol=1e-6):
        return float(resistance_mV_per_pA(population.cell) * dt_ms / tau_m * np.exp(-dt_ms / tau_m))
    share = tau_s / (tau_s - tau_m) * (np.exp(-dt_ms / tau_s) - np.exp(-dt_ms / tau_m))
    return float(resistance_mV_per_pA(population.cell) * share)


def _code(circuit: Circuit, constants: Fields, driven: bool) -> tuple[str, str]:
    """Write Brian2's equations and the code of a step.

    Constants that all cells share are scalars to the compiler.

    A held cell is put back at its reset at each step through the first after its hold, so that what
    arrived meanwhile is lost and synapses need not ask.
    """
    exponential = circuit.synapse == "exponential"
    if not driven:
        constants = {
            name: values
            for name, values in constants.items()
            if name not in ("drive_weight", "table")
        }
    lines = ["v : 1", "free_at : integer", *(["current : 1"] if exponential else [])]
    for name, values in constants.items():
        kind = "integer" if values.dtype.kind == "i" else "1"
        lines.append(f"{name} : {kind} ({'shared, ' if _is_shared(name, values) else ''}constant)")
    drive = "drive_weight * table_poisson(table)" if driven else "0"
    step = "held = int(t_in_timesteps <= free_at)\nv = v + held * (v_reset - v)\n"
    gain = "(v_inf - v) * relax"
    gain += " + charge * current" if exponential else f" + {drive}" if driven else ""
    gain += " + noise * white_noise()" if "noise" in constants else ""
    step += f"v = v + int(t_in_timesteps >= free_at) * ({gain})\n"
    if exponential:
        step += f"current = decay * current + {drive}\n"
    return "\n".join(lines), step


def _per_cell(circuit: Circuit, values: list[Foreign]) -> Foreign:
    return np.repeat(np.array(values, dtype=float), [p.size for p in circuit.populations])


def _is_shared(name: str, values: Foreign) -> bool:
    """Return whether a constant is one number for all cells.

    Weights stay with their sources.
    """
    return not name.startswith("weight_") and bool((values == values[0]).all())


# ---- Synapses
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Bundle:
    """Synapses of one delay, or with one each; sorted by source."""

    pre: NDArray[np.int32]
    post: NDArray[np.int32]
    weight: Floats  # (n_synapses,), or (n_units,) where it is the source's
    delay_steps: NDArray[np.int32]  # (n_synapses,), or (1,)

    @property
    def weight_of_source(self) -> bool:
        return self.weight.size != self.pre.size

    def in_brian(self, cells: object, arrives: str, number: int, dt_ms: float) -> Foreign:
        b2 = engine.brian2()
        weight = f"weight_{number}_pre" if self.weight_of_source else "w"
        # the synapses of a step see the spikes of the step before: one step of the delay has passed
        # by then
        delay = (self.delay_steps - 1) * dt_ms * b2.ms
        made = b2.Synapses(
            cells,
            cells,
            model="" if self.weight_of_source else "w : 1",
            on_pre=f"{arrives} += {weight}",
            delay=delay[0] if delay.size == 1 else None,
            name=f"synapses_{number}",
        )
        made.connect(i=self.pre, j=self.post)
        if not self.weight_of_source:
            made.w = self.weight
        if delay.size > 1:
            made.delay = delay
        return made


def _bundles(circuit: Circuit, dt_ms: float, generator: np.random.Generator) -> Iterator[_Bundle]:
    """Draw all synapses of a circuit anew; yield them in bundles."""
    by_delay: dict[int, list[Projection]] = {}
    for projection in circuit.projections:
        random = projection.delay_rel_sd > 0
        by_delay.setdefault(
            0 if random else on_grid("delay_ms", projection.delay_ms, dt_ms), []
        ).append(projection)
    for delay, projections in by_delay.items():
        drawn = [_draw(circuit, projection, dt_ms, generator) for projection in projections]
        pre, post = (np.concatenate([d[part] for d in drawn]) for part in (0, 1))
        if not pre.size:
            continue
        # numpy sorts 16-bit keys by radix, ten times faster than longer ones
        order = np.argsort(
            pre.astype(np.uint16) if circuit.n_units <= 65536 else pre, kind="stable"
        )
        weight = _source_weights(circuit, projections)
        if weight is None:
            weight = np.concatenate([d[2] for d in drawn])[order]
        delays = np.array([delay]) if delay else np.concatenate([d[3] for d in drawn])[order]
        yield _Bundle(pre[order], post[order], weight, delays)


def _source_weights(circuit: Circuit, projections: list[Projection]) -> Floats | None:
    """Return the weight of each cell's synapses, shape (n_units,).

    None where they differ among themselves.
    """
    found: dict[int, float] = {}
    for projection in projections:
        if (
            projection.weight_rel_sd
            or found.setdefault(projection.pre, projection.weight) != projection.weight
        ):
            return None
    result: Floats | None = _per_cell(
        circuit, [found.get(number, 0.0) for number in range(len(circuit.populations))]
    )
    return result


def _draw(
    circuit: Circuit, projection: Projection, dt_ms: float, generator: np.random.Generator
) -> tuple[NDArray[np.int32], NDArray[np.int32], Floats, NDArray[np.int32]]:
    """Draw sources, targets, weights and delays in steps of one projection's synapses.

    Each has the shape (n_synapses,).
    """
    source, target = circuit.populations[projection.pre], circuit.populations[projection.post]
    if projection.rule == "pairwise":
        rows = [
            np.flatnonzero(generator.random(target.size) < projection.number)
            for _ in range(source.size)
        ]
        pre = np.repeat(np.arange(source.size, dtype=np.int32), [row.size for row in rows])
        post = np.concatenate(rows).astype(np.int32)
    elif projection.rule == "in_degree":
        post = np.repeat(np.arange(target.size, dtype=np.int32), int(projection.number))
        pre = generator.integers(source.size, size=post.size, dtype=np.int32)
    else:
        n = int(projection.number)
        pre, post = (
            generator.integers(size, size=n, dtype=np.int32) for size in (source.size, target.size)
        )
    sign = np.sign(projection.weight)
    weight = _redrawn(
        generator, projection.weight, projection.weight_rel_sd, pre.size, lambda w: w * sign < 0
    )
    delay = _redrawn(
        generator, projection.delay_ms, projection.delay_rel_sd, pre.size, lambda d: d < dt_ms / 2
    )
    delay_steps = (
        np.maximum(np.rint(delay / dt_ms), 1).astype(np.int32)
        if projection.delay_rel_sd
        else np.zeros(0, np.int32)
    )
    return pre + np.int32(source.first), post + np.int32(target.first), weight, delay_steps


def _redrawn(
    generator: np.random.Generator,
    mean: float,
    rel_sd: float,
    n: int,
    wrong: Callable[[Floats], NDArray[np.bool_]],
) -> Floats:
    """Draw normal numbers, those that are `wrong` anew.

    Without spread it is one number, seen n times.
    """
    if not rel_sd:
        return np.broadcast_to(mean, n)
    values = generator.normal(mean, rel_sd * abs(mean), n)
    while (again := np.flatnonzero(wrong(values))).size:
        values[again] = generator.normal(mean, rel_sd * abs(mean), again.size)
    return values
