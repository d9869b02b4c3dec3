"""Brian2, built once and run often.

A model is a function without arguments that makes Brian2 objects and returns them:

    def model():
        equations = "dv/dt = (drive - v) / (20*ms) : 1\n drive : 1 (constant)"
        cells = NeuronGroup(
            1000, equations, threshold="v > 1", reset="v = 0", method="exact", name="cells"
        )
        cells.drive = drives  # data: other values, the same build
        return cells, SpikeMonitor(cells, name="spikes")

    result = run(model, duration_ms=1000.0, seed=1)
    result["spikes"]["t"], result["spikes"]["i"]

`run` lets Brian2 write C++ for it and hashes that code: where the same code was compiled before, by
any process, its executable runs at once. The duration, the step, the seed, and every number or
array that the model sets on a group's variables are handed to the executable. None of them needs a
new build. Equations, sizes and what stands in a `namespace` are part of the code. What expressions
refer to belongs into a group's `namespace`. Without a compiler Brian2's NumPy target runs the same
model.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from neurosparse._internal import checks
from neurosparse._internal.grid import on_grid
from neurosparse._internal.types import Array, Foreign
from neurosparse.activity import SpikeTrains
from neurosparse.progress import Progress, quiet
from neurosparse.spiking.brian import builds
from neurosparse.spiking.brian.standalone import run_cpp
from neurosparse.spiking.brian.state import (
    NETWORK,
    PREFERENCES,
    Model,
    brian2,
    objects_of,
    recorded_by,
    working_on,
)

__all__ = ["Model", "Result", "Target", "brian2", "run"]

Target = Literal["cpp", "numpy"]


@dataclass(frozen=True, slots=True)
class Result:
    """Recordings of the monitors of a model.

    `result["name of monitor"]["variable"]` is an array in SI units without Brian2's dimensions: 1-D
    for spike monitors, (times, cells) for the variables of state monitors.
    """

    monitors: Mapping[str, Mapping[str, Array]] = field(repr=False)
    duration_ms: float
    dt_ms: float
    seed: int
    target: Target

    def __getitem__(self, monitor: str) -> Mapping[str, Array]:
        if monitor not in self.monitors:
            raise KeyError(
                f"no monitor {monitor!r}; there are: {', '.join(self.monitors) or 'none'}"
            )
        return self.monitors[monitor]

    def spike_trains(
        self,
        monitor: str,
        *,
        n_units: int,
        populations: Mapping[str, tuple[int, int]] | None = None,
    ) -> SpikeTrains:
        """Return the spikes of a monitor, on the grid of the simulation."""
        recorded = self[monitor]
        ticks = np.rint(recorded["t"] * (1e3 / self.dt_ms))
        return SpikeTrains(
            ticks * self.dt_ms,
            recorded["i"],
            n_units=n_units,
            duration_ms=self.duration_ms,
            dt_ms=self.dt_ms,
            populations=populations or {},
        )


def run(
    model: Model,
    *,
    duration_ms: float,
    seed: int,
    dt_ms: float = 0.1,
    target: Target | None = None,
    progress: Progress = quiet,
) -> Result:
    """Simulate a model.

    Parameters
    ----------
    model
        A function without arguments that makes Brian2 objects and returns them; see the head of
        this module.
    duration_ms, dt_ms
        Simulated time, and the step; the first a whole multiple of the second.
    seed
        Of Brian2's random numbers, whole and >= 0. The same seed, model and machine give the same
        spikes.
    target
        "cpp" compiles, "numpy" does not; None compiles where there is a compiler and says so in a
        warning where there is none.
    progress
        Told how far the simulation is.

    Raises
    ------
    ValueError, TypeError
        On arguments that make no sense.
    RuntimeError
        Where the simulation fails; builds.CompilationError where the compiler does.
    """
    dt_ms = checks.positive("dt_ms", dt_ms)
    duration_ms = checks.positive("duration_ms", duration_ms)
    steps = on_grid("duration_ms", duration_ms, dt_ms)
    if steps < 1:
        raise ValueError(f"duration_ms must be at least dt_ms={dt_ms:g}, got {duration_ms!r}")
    seed = checks.seed(seed)
    if target not in ("cpp", "numpy", None):
        raise ValueError(f'target must be "cpp", "numpy" or None, got {target!r}')
    if target is None:
        target = "cpp" if builds.compiler() else "numpy"
        if target == "numpy":
            warnings.warn(
                "no C++ compiler (g++ or $CXX, with make): Brian2 runs its NumPy target, many times"
                " slower",
                stacklevel=2,
            )
    simulate = run_cpp if target == "cpp" else _run_numpy
    monitors = simulate(model, steps, _brian_seed(seed), dt_ms, progress)
    return Result(monitors, steps * dt_ms, dt_ms, seed, target)


def _brian_seed(seed: int) -> int:
    """Return 32 well-mixed bits of a seed.

    The generators take no more, and neighbouring seeds must not give neighbouring states.
    """
    return int(np.random.SeedSequence(seed).generate_state(1)[0])


def _run_numpy(
    model: Model, steps: int, seed: int, dt_ms: float, progress: Progress
) -> dict[str, dict[str, Array]]:
    def make_device(b2: object) -> Foreign:
        from brian2.devices.device import RuntimeDevice

        return RuntimeDevice()

    with working_on(make_device, {**PREFERENCES, "codegen.target": "numpy"}, dt_ms) as device:
        b2 = brian2()
        device.seed(seed)
        objects = objects_of(model)
        network = b2.Network(*objects, name=NETWORK)

        def report(elapsed: object, completed: float, start: object, duration: object) -> None:
            progress(float(completed), "simulating (NumPy)")

        network.run(
            steps * dt_ms * b2.ms, report=report, report_period=0.2 * b2.second, namespace={}
        )
        return {
            name: {
                variable: np.array(monitor.variables[variable].get_value())
                for variable in variables
            }
            for name, (monitor, variables) in recorded_by(objects).items()
        }
