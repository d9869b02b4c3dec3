"""Circuits in NEST: an independent check, and the way past one machine.

NEST scales out over machines.

NEST is no dependency: `pip install 'neurosparse[nest]'` brings a build with threads, on one
machine. For many machines take a build with MPI (conda-forge has one, with mpi4py) and start as
many processes as they have sockets, say:

    mpirun -n 4 neurosparse simulate potjans2014 --engine nest --threads 8

Each process then simulates its share of the cells and gets the spikes of all; what it writes is the
same from each, and appears whole.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import checks
from neurosparse._internal.grid import on_grid
from neurosparse._internal.imports import need
from neurosparse._internal.threads import cores
from neurosparse._internal.types import Foreign
from neurosparse.activity import SpikeTrains
from neurosparse.progress import Progress, quiet
from neurosparse.spiking import sizes
from neurosparse.spiking.plain_circuit import Circuit, Population, Projection

ANY_CAPACITANCE_pF = 250.0  # delta synapses move the potential whatever the capacitance
COSTS = sizes.Costs(synapse_bytes=24.0, cell_bytes=500.0, step_s=1e-6, cell_step_s=5e-9)
CHUNKS = 20  # reports of progress
LONGEST = 1e6  # no weight or delay is ever cut off above


def simulate(
    circuit: Circuit,
    *,
    duration_ms: float,
    seed: int,
    dt_ms: float = 0.1,
    n_threads: int | None = None,
    progress: Progress = quiet,
) -> SpikeTrains:
    """Run a circuit in NEST.

    Its kernel is reset before; whatever was built in this process is lost.

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
        Of each process; as many as there are cores where not given. NEST's spikes depend on it and
        on the number of processes.
    progress
        Told how far the simulation is.

    Returns
    -------
    SpikeTrains
        Times are those of NEST less dt_ms, so that a spike has the start of its step, as in every
        engine.

    Raises
    ------
    MissingPackageError
        Where NEST is not installed, or mpi4py under MPI.
    """
    dt_ms = checks.positive("dt_ms", dt_ms)
    n_steps = on_grid("duration_ms", checks.positive("duration_ms", duration_ms), dt_ms)
    sizes.check(circuit, COSTS, n_steps=n_steps, dt_ms=dt_ms, n_threads=n_threads)
    nest = load()
    nest.ResetKernel()
    nest.set(
        resolution=dt_ms,
        local_num_threads=checks.whole(
            "n_threads", n_threads if n_threads is not None else cores()
        ),
        rng_seed=1 + checks.seed(seed) % (2**31 - 1),
    )
    groups = [
        _create(nest, circuit, population) for population in circuit.populations
    ]  # nothing else between: ids run on
    for group, population in zip(groups, circuit.populations, strict=True):
        if population.drive_rate_hz:
            drive = nest.Create("poisson_generator", params={"rate": population.drive_rate_hz})
            nest.Connect(drive, group, syn_spec={"weight": population.drive_weight, "delay": dt_ms})
    for done, projection in enumerate(circuit.projections):
        progress(0.3 * done / len(circuit.projections), "connecting")
        _connect(nest, groups[projection.pre], groups[projection.post], projection, dt_ms)
    recorder = nest.Create("spike_recorder")
    for group in groups:
        nest.Connect(group, recorder)

    nest.Prepare()
    edges = [n_steps * i // CHUNKS for i in range(CHUNKS + 1)]
    for low, high in itertools.pairwise(edges):
        if high > low:
            nest.Run((high - low) * dt_ms)
            progress(0.3 + 0.7 * high / n_steps, "simulating")
    nest.Cleanup()
    events = recorder.events
    steps = np.rint(np.asarray(events["times"]) / dt_ms).astype(np.int64) - 1
    units = np.asarray(events["senders"], np.int64) - int(groups[0].tolist()[0])
    steps, units = np.divmod(
        _of_all_processes(nest, np.sort(steps * circuit.n_units + units)), circuit.n_units
    )
    return SpikeTrains(
        steps * dt_ms,
        units,
        n_units=circuit.n_units,
        duration_ms=n_steps * dt_ms,
        dt_ms=dt_ms,
        populations=circuit.ranges,
    )


def load() -> Foreign:
    """Import NEST, or raise one sentence that says how to install it."""
    nest = need("nest", "the engine 'nest'", extra="nest")
    if hasattr(nest, "VerbosityLevel"):  # from 3.10 on
        nest.verbosity = nest.VerbosityLevel.ERROR
    else:
        nest.set_verbosity("M_ERROR")
    return nest


def _of_all_processes(nest: Foreign, events: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the events of all processes of an MPI run, in each of them.

    A recorder of NEST has those of its own process's cells.
    """
    if nest.NumProcesses() == 1:
        return events
    processes = need("mpi4py.MPI", "NEST under MPI", extra="nest").COMM_WORLD
    sizes = processes.allgather(events.size)
    gathered = np.empty(sum(sizes), np.int64)
    processes.Allgatherv(events, [gathered, sizes])
    return gathered


def _create(nest: Foreign, circuit: Circuit, population: Population) -> Foreign:
    """Create a population with its initial potentials."""
    cell = population.cell
    capacitance_pF = cell.capacitance_pF or ANY_CAPACITANCE_pF
    parameters: dict[str, float | None] = {
        "C_m": capacitance_pF,
        "tau_m": cell.tau_m_ms,
        "E_L": cell.e_leak_mV,
        "V_th": cell.v_threshold_mV,
        "V_reset": cell.v_reset_mV,
        "t_ref": cell.t_ref_ms,
        "I_e": population.dc_mV * capacitance_pF / cell.tau_m_ms,
    }
    if circuit.synapse == "exponential":
        parameters |= {"tau_syn_ex": circuit.tau_syn_ms, "tau_syn_in": circuit.tau_syn_ms}
    model = "iaf_psc_exp" if circuit.synapse == "exponential" else "iaf_psc_delta"
    group = nest.Create(model, population.size, params=parameters)
    group.V_m = (
        nest.random.normal(mean=population.v_init_mV, std=population.v_init_sd_mV)
        if population.v_init_sd_mV > 0
        else population.v_init_mV
    )
    return group


def _connect(
    nest: Foreign, pre: Foreign, post: Foreign, projection: Projection, dt_ms: float
) -> None:
    rules = {
        "in_degree": {"rule": "fixed_indegree", "indegree": int(projection.number)},
        "total": {"rule": "fixed_total_number", "N": int(projection.number)},
        "pairwise": {"rule": "pairwise_bernoulli", "p": projection.number},
    }
    weight: Foreign = projection.weight
    delay: Foreign = projection.delay_ms
    if projection.weight_rel_sd:
        low, high = (0.0, LONGEST) if weight > 0 else (-LONGEST, 0.0)
        normal = nest.random.normal(mean=weight, std=abs(weight) * projection.weight_rel_sd)
        weight = nest.math.redraw(normal, min=low, max=high)
    if projection.delay_rel_sd:
        normal = nest.random.normal(mean=delay, std=delay * projection.delay_rel_sd)
        delay = nest.math.redraw(normal, min=dt_ms / 2, max=LONGEST)  # NEST rounds to its grid
    conn = {
        **rules[projection.rule],
        "allow_autapses": True,
        "allow_multapses": projection.rule != "pairwise",
    }
    nest.Connect(
        pre, post, conn, {"synapse_model": "static_synapse", "weight": weight, "delay": delay}
    )
