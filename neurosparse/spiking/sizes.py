"""Memory and time that a circuit takes in each engine, said before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass

from neurosparse._internal import sizes
from neurosparse._internal.threads import cores
from neurosparse.spiking.plain_circuit import Circuit, Projection


@dataclass(frozen=True, slots=True)
class Costs:
    """The least that an engine needs.

    Bytes of a synapse and of a cell, seconds of a step and of a cell in a step.
    """

    synapse_bytes: float
    cell_bytes: float
    step_s: float
    cell_step_s: float


def check(
    circuit: Circuit,
    costs: Costs,
    *,
    n_steps: int,
    dt_ms: float,
    n_threads: int | None = None,
    table_bytes: float = 0.0,
) -> None:
    """Refuse a circuit that does not fit the memory, or a run that takes more than a month.

    Parameters
    ----------
    circuit
        The circuit.
    costs
        Of the engine: measured values less a third or more, so that the estimate lies below.
    n_steps
        Steps to run.
    dt_ms
        The step.
    n_threads
        As many as there are cores where not given.
    table_bytes
        What the engine needs besides cells and synapses.

    Raises
    ------
    ValueError
        With the estimate and the remedy.
    """
    needed = (
        table_bytes
        + circuit.n_units * costs.cell_bytes
        + sum(
            _bytes(circuit, projection, costs.synapse_bytes) for projection in circuit.projections
        )
    )
    there = sizes.memory_there() or 0
    share = 0.5 * there / max(needed, 1.0)
    remedy = f"take scale={share:.1g}" if 1e-4 < share < 1 else "take fewer cells or synapses"
    sizes.check_memory(
        f"a circuit of {_number(circuit.n_units)} cells and"
        f" {_number(circuit.n_synapses_total)} synapses",
        needed,
        remedy,
    )
    threads = n_threads or cores()
    step_s = costs.step_s + circuit.n_units * costs.cell_step_s / threads
    sizes.check_time(
        f"a run of {_number(n_steps)} steps with {_number(circuit.n_units)} cells",
        n_steps * step_s,
        f"take at most {sizes.LONGEST_S / step_s * dt_ms * 1e-3:.1g} s of biological time",
    )


def _bytes(circuit: Circuit, projection: Projection, synapse_bytes: float) -> float:
    """Return the least bytes of a projection.

    Dense ones may be kept as a bit for each pair.
    """
    n = float(circuit.n_synapses(projection))
    pairs = (
        float(circuit.populations[projection.pre].size) * circuit.populations[projection.post].size
    )
    return min(n * synapse_bytes, pairs / 8 + max(n - pairs, 0.0) * synapse_bytes)


def _number(n: float) -> str:
    return f"{n:,.0f}" if n < 1e9 else f"{n:.3g}"
