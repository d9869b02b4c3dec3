"""The kernel engine: a circuit of any populations, weights and delays, on the numba kernels.

Weights are kept as integers of 8 bits (16 where all synapses of a source are alike), in units of a
common quantum. Where the weights of a circuit are multiples of one, nothing is rounded. Random
weights are rounded to the quantum, which adds quantum^2 / 12 to their variance. In the microcircuit
the mean excitatory weight is 22 quanta, and 10 % of spread become 10.1 %. A mean that would move by
more than 1 % is refused; `exact_weights=True` refuses all rounding. Random delays and weights are
drawn from 65,536 quantiles, so neither lies more than 4.2 standard deviations from its mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import checks
from neurosparse._internal.grid import on_grid
from neurosparse._internal.threads import cores
from neurosparse._internal.types import Array
from neurosparse.activity import SpikeTrains
from neurosparse.kernels.circuit import lif_network as network
from neurosparse.kernels.circuit import partitions, synapse_draws
from neurosparse.kernels.circuit import synapses as wiring
from neurosparse.progress import Progress, quiet
from neurosparse.spiking import sizes
from neurosparse.spiking.kernel import arrays
from neurosparse.spiking.kernel.arrays import Built
from neurosparse.spiking.kernel.tables import delay_table, weight_quantum, weight_table
from neurosparse.spiking.plain_circuit import Circuit

COSTS = sizes.Costs(synapse_bytes=2.0, cell_bytes=40.0, step_s=1e-6, cell_step_s=2e-10)
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
    circuit
        From `circuit.resolve`.
    duration_ms
        Simulated time, a whole multiple of the step.
    seed
        Of everything that is drawn.
    dt_ms
        The step.
    n_threads
        As many as there are cores where not given. The spikes do not depend on it.
    exact_weights
        Refuse a circuit whose weights are not multiples of a quantum.
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
    """Return the least bytes of the table of where synapses lie.

    It has an entry for each partition, source and delay.
    """
    delays = [p.delay_ms / dt_ms for p in circuit.projections] or [1.0]
    n_partitions = -(-circuit.n_units // partitions.MOST_LOCAL)
    return 8.0 * n_partitions * circuit.n_units * (max(delays) - min(delays) + 1)


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
        arrays.cells(circuit, layout, dt_ms, quantum),
        arrays.wires(drawn),
    )


def run(built: Built, *, n_steps: int, seed: int, progress: Progress = quiet) -> SpikeTrains:
    """Run a built circuit from new initial potentials.

    The seed is that of the potentials and the Poisson input.
    """
    layout, cells, wires, circuit = built.layout, built.cells, built.wires, built.circuit
    history = max(wires.first_delay + wires.n_delays - 1, cells.most_held)
    state = arrays.state(built, history, seed)
    n_threads = min(built.n_threads, layout.n_partitions)
    cuts = [layout.n_partitions * i // n_threads for i in range(n_threads + 1)]
    steps: list[Array] = []
    units: list[Array] = []
    for first_step in range(0, n_steps, arrays.CHUNK_STEPS):
        chunk = min(arrays.CHUNK_STEPS, n_steps - first_step)
        state.progress[:] = 0
        wiring.in_threads(network.run, cuts, chunk, first_step, history, cells, wires, state)
        new_steps, new_units = arrays.collect(state, history, chunk)
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
