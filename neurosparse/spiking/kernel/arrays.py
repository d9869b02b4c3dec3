"""A circuit as the arrays of the kernels: cells, synapses, and the state of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal.grid import on_grid
from neurosparse._internal.types import Array
from neurosparse.kernels.circuit import bit_rows, partitions, poisson
from neurosparse.kernels.circuit import lif_network as network
from neurosparse.kernels.circuit import synapses as wiring
from neurosparse.kernels.circuit.lif_network import Cells, State, Wires
from neurosparse.spiking.plain_circuit import Circuit

CHUNK_STEPS = 250  # between two reports of progress
LINE_BYTES = 64  # of a cache
FETCHED_BYTES = 8192  # how much to prefetch at most


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


# --------------------------------------------------------------------------------------------------
# arrays of the kernel
def cells(circuit: Circuit, layout: partitions.Layout, dt_ms: float, quantum: float) -> Cells:
    """Return what the kernels need of the cells and their Poisson drive, weights in quanta."""
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


def wires(drawn: wiring.Synapses) -> Wires:
    """Return what the kernels need of the synapses."""
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


def state(built: Built, history: int, seed: int) -> State:
    """Return the state of a run before its first step.

    Parameters
    ----------
    built
        The circuit.
    history
        Steps for which spikes are kept: those that delays and refractory periods need.
    seed
        Of the initial potentials and the Poisson input.
    """
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


def collect(state: State, history: int, chunk: int) -> tuple[Array, Array]:
    """Return the steps and units of the spikes of a chunk, in order.

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
