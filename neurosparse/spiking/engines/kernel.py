"""The kernel engine: a circuit of any populations, weights and delays, on the numba kernels.

Weights are kept as integers of 8 bits (16 where all synapses of a source are alike), in units of a
common quantum. Where the weights of a circuit are multiples of one, nothing is rounded. Random
weights are rounded to the quantum, which adds quantum^2 / 12 to their variance (in the microcircuit
the mean excitatory weight is 22 quanta, and 10 % of spread become 10.1 %). A mean that would move
by more than 1 % is refused; `exact_weights=True` refuses all rounding. Random delays and weights
are drawn from 65,536 quantiles, so neither lies more than 4.2 standard deviations from its mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from neurosparse._internal import checks
from neurosparse._internal.grid import on_grid
from neurosparse._internal.threads import cores
from neurosparse._internal.types import Array
from neurosparse.activity import SpikeTrains
from neurosparse.kernels.circuit import bit_rows, partitions, poisson, synapse_draws
from neurosparse.kernels.circuit import lif_network as network
from neurosparse.kernels.circuit import synapses as wiring
from neurosparse.kernels.circuit.lif_network import Cells, State, Wires
from neurosparse.progress import Progress, quiet
from neurosparse.spiking import sizes
from neurosparse.spiking.plain_circuit import Circuit

COSTS = sizes.Costs(synapse_bytes=2.0, cell_bytes=40.0, step_s=1e-6, cell_step_s=2e-10)
CHUNK_STEPS = 250  # between two reports of progress
MOST_MEAN_ERROR = 0.01  # of a mean weight, by rounding
LINE_BYTES, FETCHED_BYTES = 64, 8192  # how much to prefetch at most
_RULES = {
    "total": synapse_draws.TOTAL,
    "pairwise": synapse_draws.PAIRWISE,
    "in_degree": synapse_draws.IN_DEGREE,
}


def simulate(
    circuit: Circuit,
    *,
    duration_ms: float,
    seed: int,
    dt_ms: float = 0.1,
    n_threads: int | None = None,
    exact_weights: bool = False,
    progress: Progress = quiet,
) -> SpikeTrains:
    """Build a circuit and run it.

    Parameters
    ----------
    n_threads
        As many as there are cores where not given. The spikes do not depend on it.
    exact_weights
        Refuse a circuit whose weights are not multiples of a quantum.
    circuit
        From `circuit.resolve`.
    duration_ms
        Simulated time, a whole multiple of the step.
    seed
        Of everything that is drawn.
    dt_ms
        The step.
    progress
        Told how far the build and the run are.

    Returns
    -------
    SpikeTrains
        Times on the grid of dt_ms, populations under their names.

    Raises
    ------
    ValueError
        Times off the grid, weights that the quantum cannot hold, a circuit too large for the
        layout.
    """
    dt_ms = checks.positive("dt_ms", dt_ms)
    n_steps = on_grid("duration_ms", checks.positive("duration_ms", duration_ms), dt_ms)
    sizes.check(
        circuit,
        COSTS,
        n_steps=n_steps,
        dt_ms=dt_ms,
        n_threads=n_threads,
        table_bytes=_table_bytes(circuit, dt_ms),
    )
    built = build(
        circuit,
        seed=seed,
        dt_ms=dt_ms,
        n_threads=n_threads,
        exact_weights=exact_weights,
        progress=progress,
    )
    return run(built, n_steps=n_steps, seed=seed, progress=progress)


def _table_bytes(circuit: Circuit, dt_ms: float) -> float:
    """At least, of what says where the synapses of each partition, source and delay lie."""
    delays = [p.delay_ms / dt_ms for p in circuit.projections] or [1.0]
    n_partitions = -(-circuit.n_units // partitions.MOST_LOCAL)
    return 8.0 * n_partitions * circuit.n_units * (max(delays) - min(delays) + 1)


@dataclass(frozen=True, slots=True)
class Built:
    """A circuit, wired and ready to run any number of times."""

    circuit: Circuit
    dt_ms: float
    n_threads: int
    layout: partitions.Layout
    synapses: wiring.Synapses
    cells: Cells
    wires: Wires


def build(
    circuit: Circuit,
    *,
    seed: int,
    dt_ms: float = 0.1,
    n_threads: int | None = None,
    exact_weights: bool = False,
    progress: Progress = quiet,
) -> Built:
    """Draw the synapses of a circuit; the parameters are those of `simulate`."""
    seed = checks.seed(seed)
    n_threads = checks.whole("n_threads", n_threads if n_threads is not None else cores())
    quantum = weight_quantum(circuit, exact=exact_weights)
    layout = partitions.layout([p.size for p in circuit.populations], n_threads)
    bundles = [
        synapse_draws.Bundle(
            pre=p.pre,
            post=p.post,
            rule=_RULES[p.rule],
            number=p.number,
            delays=delay_table(p.delay_ms, p.delay_rel_sd, dt_ms),
            weights=weight_table(p.weight, p.weight_rel_sd, quantum),
        )
        for p in circuit.projections
    ]
    drawn = wiring.build(
        layout,
        bundles,
        seed=seed,
        n_threads=n_threads,
        progress=lambda done: progress(0.2 * done, "connecting"),
    )
    return Built(
        circuit,
        dt_ms,
        n_threads,
        layout,
        drawn,
        _cells(circuit, layout, dt_ms, quantum),
        _wires(drawn),
    )


def run(built: Built, *, n_steps: int, seed: int, progress: Progress = quiet) -> SpikeTrains:
    """Run a built circuit from new initial potentials.

    The seed is that of the potentials and the Poisson input.
    """
    layout, cells, wires, circuit = built.layout, built.cells, built.wires, built.circuit
    history = max(wires.first_delay + wires.n_delays - 1, cells.most_held)
    state = _state(built, history, seed)
    n_threads = min(built.n_threads, layout.n_partitions)
    cuts = [layout.n_partitions * i // n_threads for i in range(n_threads + 1)]
    steps: list[Array] = []
    units: list[Array] = []
    for first_step in range(0, n_steps, CHUNK_STEPS):
        chunk = min(CHUNK_STEPS, n_steps - first_step)
        state.progress[:] = 0
        wiring.in_threads(network.run, cuts, chunk, first_step, history, cells, wires, state)
        new_steps, new_units = _collect(state, history, chunk)
        steps.append(new_steps + first_step)
        units.append(new_units)
        progress(0.2 + 0.8 * (first_step + chunk) / n_steps, "simulating")
    return SpikeTrains(
        np.concatenate(steps) * built.dt_ms,
        np.concatenate(units),
        n_units=circuit.n_units,
        duration_ms=n_steps * built.dt_ms,
        dt_ms=built.dt_ms,
        populations=circuit.ranges,
    )


# --------------------------------------------------------------------------------------------------
# weights and tables
def weight_quantum(circuit: Circuit, *, exact: bool = False) -> float:
    """Return the unit in which weights are whole numbers, in mV (delta) or pA (exponential).

    The smallest mean weight, external ones included, is a whole number n of quanta. Without random
    weights, n is the least with which every mean is whole; with them, the largest that fits 8 bits,
    if possible one with which every mean is whole.

    Raises
    ------
    ValueError
        Where a mean would move by more than 1 %, or with `exact` at all, and where weights are
        random with `exact`.
    """
    synaptic = [(abs(p.weight), p.weight_rel_sd) for p in circuit.projections]
    external = [
        abs(p.drive_weight) for p in circuit.populations if p.drive_rate_hz and p.drive_weight
    ]
    if not synaptic and not external:
        return 1.0
    means = np.array([weight for weight, _ in synaptic] + external)
    spread = np.array([sd for _, sd in synaptic] + [0.0] * len(external))
    per_source: dict[int, set[float]] = {}
    for p in circuit.projections:
        per_source.setdefault(p.pre, set()).add(p.weight)
    random = bool(spread.any())
    own = random or any(len(weights) > 1 for weights in per_source.values())
    furthest = means * (1 + spread * float(ndtri(1 - 0.5 / synapse_draws.N_QUANTILES)))
    limit = np.array([127 if own else 32767] * len(synaptic) + [32767] * len(external))
    ratio = means / means.min()
    most = int((limit * means.min() / furthest).min() + 1e-9)

    def error(n: int) -> float:
        return float(np.max(np.abs(np.rint(ratio * n) / (ratio * n) - 1)))

    candidates = range(most, 0, -1) if random else range(1, most + 1)
    n = next((n for n in candidates if error(n) < 1e-9), most)
    if n < 1 or error(n) > MOST_MEAN_ERROR:
        raise ValueError(
            f"weights from {means.min():g} to {means.max():g} cannot be whole multiples of one"
            f" quantum within {MOST_MEAN_ERROR:.0%} in {8 if own else 16} bits; use another engine"
            " for this circuit"
        )
    if exact and (random or error(n) >= 1e-9):
        raise ValueError(
            "exact_weights: the weights of this circuit are "
            + (
                "random"
                if random
                else f"not multiples of one quantum (off by up to {error(n):.2g})"
            )
            + "; leave exact_weights out to round them"
        )
    return float(means.min() / n)


def weight_table(weight: float, rel_sd: float, quantum: float) -> NDArray[np.int16]:
    """Tabulate the quantiles of a normal distribution cut off at 0, in whole quanta.

    One value where there is no spread.
    """
    if rel_sd == 0:
        return np.array([round(weight / quantum)], np.int16)
    relative = _normal_quantiles(1.0, rel_sd, 0.0)
    return np.rint(weight / quantum * relative).astype(np.int16)


def delay_table(delay_ms: float, rel_sd: float, dt_ms: float) -> NDArray[np.uint16]:
    """Tabulate the quantiles of a normal distribution cut off at dt / 2, in whole steps.

    One value where there is no spread.
    """
    if rel_sd == 0:
        steps = np.array([on_grid("delay_ms", delay_ms, dt_ms)])
    else:
        steps = np.rint(_normal_quantiles(delay_ms, delay_ms * rel_sd, dt_ms / 2) / dt_ms)
    if steps.max() >= 1 << 16:
        raise ValueError(f"delay_ms must be less than {(1 << 16) * dt_ms:g} ms, got {delay_ms:g}")
    result: NDArray[np.uint16] = np.maximum(steps, 1).astype(np.uint16)
    return result


def _normal_quantiles(mean: float, sd: float, least: float) -> NDArray[np.float64]:
    """Return the middles of N_QUANTILES equally likely parts of a normal distribution.

    What lies below `least` is left out.
    """
    middles = (np.arange(synapse_draws.N_QUANTILES) + 0.5) / synapse_draws.N_QUANTILES
    below = ndtr((least - mean) / sd)
    result: NDArray[np.float64] = mean + sd * ndtri(below + middles * (1 - below))
    return result


def poisson_thresholds(mean: float) -> tuple[int, NDArray[np.int16]]:
    """Refuse, and name what took this function's place.

    It gave the cumulative probabilities of Poisson counts rounded to 2^-16, which is wrong at low
    rates.

    Raises
    ------
    NotImplementedError
        Always.
    """
    raise NotImplementedError(
        f"thresholds of 16 bits cannot hold the Poisson counts of mean {mean:g} exactly, and the"
        " engine no longer draws from them alone: use"
        " neurosparse.kernels.circuit.poisson.poisson_table"
    )


# --------------------------------------------------------------------------------------------------
# arrays of the kernel
def _cells(circuit: Circuit, layout: partitions.Layout, dt_ms: float, quantum: float) -> Cells:
    populations = circuit.populations
    drives = [poisson.poisson_table(p.drive_mean(dt_ms)) for p in populations]
    weights = np.array(
        [round(p.drive_weight / quantum) if p.drive_rate_hz else 0 for p in populations], np.int32
    )
    thresholds = poisson.side_by_side([drive.padded for drive in drives], poisson.NEVER)
    exponential = circuit.synapse == "exponential"
    tau_s = circuit.tau_syn_ms if circuit.tau_syn_ms is not None else math.inf
    decay_v = np.array([math.exp(-dt_ms / p.cell.tau_m_ms) for p in populations])

    def floats(values: Any) -> NDArray[np.float32]:
        return np.array(list(values), np.float32)

    held = np.array([on_grid("t_ref_ms", p.cell.t_ref_ms, dt_ms) for p in populations])
    return Cells(
        offset=layout.offset,
        cells=np.ascontiguousarray(np.diff(layout.bounds, axis=1).T),
        unit=np.ascontiguousarray((layout.first[:-1, None] + layout.bounds[:, :-1]).T),
        exponential=exponential,
        decay_v=floats(decay_v),
        current_to_v=floats(
            (
                _current_to_v(p.cell.tau_m_ms, tau_s, p.cell.capacitance_pF or 1.0, dt_ms)
                if exponential
                else 0.0
            )
            for p in populations
        ),
        constant=floats(p.dc_mV * (1 - d) for p, d in zip(populations, decay_v, strict=True)),
        threshold=floats(p.cell.v_threshold_mV - p.cell.e_leak_mV for p in populations),
        reset=floats(p.cell.v_reset_mV - p.cell.e_leak_mV for p in populations),
        held=held,
        most_held=int(held.max()),
        decay_current=np.float32(math.exp(-dt_ms / tau_s)),
        quantum=np.float32(quantum),
        drive=weights,
        drive_least=np.array([drive.least for drive in drives], np.int16),
        drive_used=np.array([drive.padded.size for drive in drives]),
        drive_thresholds=thresholds,
        drive_again=np.array([drive.again for drive in drives], np.int16),
        drive_rest_used=np.array([drive.rest.size for drive in drives]),
        drive_rest=poisson.side_by_side([drive.rest for drive in drives], np.uint64(0)),
        most_drive=np.array([drive.most for drive in drives]) * np.abs(weights.astype(np.int64)),
    )


def _current_to_v(tau_m: float, tau_s: float, capacitance_pF: float, dt: float) -> float:
    """Return what 1 pA at the start of a step, decaying with tau_s, adds to V at its end.

    Rotter & Diesmann 1999.
    """
    if math.isclose(tau_m, tau_s, rel_tol=1e-6):
        return dt / capacitance_pF * math.exp(-dt / tau_m)
    return (
        tau_m
        * tau_s
        / (capacitance_pF * (tau_m - tau_s))
        * (math.exp(-dt / tau_m) - math.exp(-dt / tau_s))
    )


def _wires(drawn: wiring.Synapses) -> Wires:
    n_slices = max(int(np.count_nonzero(drawn.start[:, 1:] != drawn.start[:, :-1])), 1)
    mean_bytes = 2 * drawn.words.size / n_slices + LINE_BYTES
    return Wires(
        first_delay=drawn.first_delay,
        n_delays=drawn.n_delays,
        start=drawn.start,
        base=drawn.base,
        words=drawn.words,
        word_weights=drawn.words.view(np.int8),
        weight_of_source=drawn.weight_of_source,
        own_weights=drawn.weight_of_source.size == 0,
        bits=drawn.bits,
        ahead=int(np.clip(FETCHED_BYTES / mean_bytes, 1, network.AHEAD)),
    )


def _state(built: Built, history: int, seed: int) -> State:
    layout, cells, wires, circuit = built.layout, built.cells, built.wires, built.circuit
    n_partitions = layout.n_partitions
    width = layout.n_local + network.BLOCK
    rng = np.random.default_rng([seed, 1])
    v = np.zeros((n_partitions, width), np.float32)
    noise = np.zeros((n_partitions, width // poisson.LANES), np.uint64)
    for b, p in enumerate(circuit.populations):
        v_init = rng.normal(p.v_init_mV - p.cell.e_leak_mV, p.v_init_sd_mV, p.size)
        groups = rng.integers(1, 1 << 63, -(-p.size // poisson.LANES), dtype=np.uint64)
        for q in range(n_partitions):
            low, high = layout.bounds[b, q], layout.bounds[b, q + 1]
            at = layout.offset[q, b]
            v[q, at : at + high - low] = v_init[low:high]
            mine = groups[low // poisson.LANES : -(-high // poisson.LANES)]
            noise[q, at // poisson.LANES : at // poisson.LANES + mine.size] = mine
    most_input = built.synapses.most_input + int(cells.most_drive.max())
    # No cell fires twice within its refractory period, so none of these can overrun.
    per_cell = (history + CHUNK_STEPS - 1) // (cells.held + 1) + 1
    capacity = int((cells.cells * per_cell).sum(axis=1).max())
    due = int((layout.sizes * ((wires.n_delays - 1) // (cells.held + 1) + 1)).sum())
    return State(
        v=v,
        current=np.zeros((n_partitions, width), np.float32),
        row=np.zeros((n_partitions, width), np.int16 if most_input < 1 << 15 else np.int32),
        noise=noise,
        fired_at=np.full((n_partitions, width), -(1 << 62)),
        spike_unit=np.empty((n_partitions, capacity), np.int32),
        spike_cell=np.empty((n_partitions, capacity), np.int32),
        spike_step=np.empty((n_partitions, capacity), np.int32),
        spike_end=np.zeros((n_partitions, history + CHUNK_STEPS + 1), np.int64),
        spike_population=np.empty((n_partitions, capacity), np.uint8),
        due_begin=np.empty((n_partitions, due + 1), np.uint32),
        due_end=np.empty((n_partitions, due + 1), np.uint32),
        due_weight=np.empty((n_partitions, due + 1), np.int16),
        due_row=np.empty(
            (n_partitions, int(wires.bits.n_units.max(initial=0)) + bit_rows.AT_ONCE), np.int64
        ),
        planes=np.zeros((n_partitions, bit_rows.PLANES * wires.bits.n_words), np.uint64),
        progress=np.zeros(n_partitions * network.APART, np.int64),
    )


def _collect(state: State, history: int, chunk: int) -> tuple[Array, Array]:
    """Collect the spikes of a chunk, in order.

    Those that delays and refractory periods still need move to the front.
    """
    steps, units = [], []
    for p in range(state.v.shape[0]):
        first, stop = state.spike_end[p, history], state.spike_end[p, history + chunk]
        steps.append(state.spike_step[p, first:stop].copy())
        units.append(state.spike_unit[p, first:stop].copy())
        keep = state.spike_end[p, chunk]
        for array in (state.spike_unit, state.spike_cell, state.spike_step, state.spike_population):
            array[p, : stop - keep] = array[p, keep:stop].copy()
        state.spike_step[p, : stop - keep] -= chunk
        state.spike_end[p, : history + 1] = state.spike_end[p, chunk : history + chunk + 1] - keep
    step, unit = np.concatenate(steps), np.concatenate(units)
    order = np.lexsort((unit, step))
    return step[order], unit[order]
