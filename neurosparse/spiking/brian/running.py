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
array that the model sets on a group's variables are handed to the executable, so that none of them
needs a new build; equations, sizes and what stands in a `namespace` are part of the code. What
expressions refer to belongs into a group's `namespace`. Without a compiler Brian2's NumPy target
runs the same model.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np

from neurosparse._internal import checks, scratch
from neurosparse._internal.grid import on_grid
from neurosparse._internal.imports import need
from neurosparse._internal.types import Array, Fields, Foreign
from neurosparse.activity import SpikeTrains
from neurosparse.progress import Progress, quiet
from neurosparse.spiking.brian import builds, process

Model = Callable[[], Foreign]  # () -> a Brian2 object, or a sequence of them
Target = Literal["cpp", "numpy"]

_NETWORK = "neurosparse_network"
_PREFERENCES: Fields = {  # set while the engine works, then put back
    "core.default_float_dtype": np.float64,
    # an executable that gets Ctrl-C ends, rather than writing what it has
    "core.stop_on_keyboard_interrupt": False,
    "devices.cpp_standalone.openmp_threads": 0,
    # generated code needs none, and Brian2 itself adds to them along the way: they would make
    # another build of the same code
    **{
        f"codegen.cpp.{name}": []
        for name in ("include_dirs", "library_dirs", "runtime_library_dirs", "libraries", "headers")
    },
}


@dataclass(frozen=True, slots=True)
class Result:
    """What the monitors of a model recorded.

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
    simulate = _run_cpp if target == "cpp" else _run_numpy
    monitors = simulate(model, steps, _brian_seed(seed), dt_ms, progress)
    return Result(monitors, steps * dt_ms, dt_ms, seed, target)


def brian2() -> Foreign:
    """Brian2, without the exception hook that its import installs for the whole process."""
    if "brian2" in sys.modules:
        return sys.modules["brian2"]
    hook, place = sys.excepthook, tempfile.tempdir
    # it keeps a log, and a copy of the script that runs, among the temporary files
    tempfile.tempdir = str(scratch.for_children())
    try:
        found = need("brian2", "the engine 'brian2'")
    finally:
        sys.excepthook, tempfile.tempdir = hook, place
    # it need not remove them: their folder goes with this process
    logger = sys.modules["brian2.utils.logger"].BrianLogger
    logger.tmp_log = logger.tmp_script = None
    return found


def _brian_seed(seed: int) -> int:
    """Return 32 well-mixed bits of a seed.

    The generators take no more, and neighbouring seeds must not give neighbouring states.
    """
    return int(np.random.SeedSequence(seed).generate_state(1)[0])


# ---- Brian2's global state
# --------------------------------------------------------------------------------------------------


@contextmanager
def _working_on(
    make_device: Callable[[Foreign], Foreign], preferences: Mapping[str, object], dt_ms: float
) -> Iterator[Foreign]:
    """Give Brian2 a device of its own, and preferences, while the block lasts.

    A user's script finds its own as they were.

    Yields the device. The active device is swapped by hand: `set_device` would carry the step over
    from device to device.
    """
    b2 = brian2()
    devices = vars(
        sys.modules["brian2.devices.device"]
    )  # as an attribute of brian2.devices the name is the current device
    kept_device, kept_preferences = (
        devices["active_device"],
        {key: b2.prefs[key] for key in preferences},
    )
    numpy_random = np.random.get_state()  # noqa: NPY002
    # Brian2 numbers its names by the objects alive: this model's must not depend on others, so it
    # sees none
    alive = sys.modules["brian2.core.tracking"].Trackable.__instancefollower__
    alive.instance_sets = defaultdict(sys.modules["brian2.core.tracking"].InstanceTrackerSet)
    try:
        for key, value in preferences.items():
            b2.prefs[key] = value
        devices["active_device"] = device = make_device(b2)
        device.activate(build_on_run=False)
        device.defaultclock.dt = dt_ms * b2.ms
        yield device
    finally:
        del alive.instance_sets  # the class has the one of before
        devices["active_device"] = kept_device
        for key, value in kept_preferences.items():
            b2.prefs[key] = value
        np.random.set_state(numpy_random)  # noqa: NPY002


def _objects(model: Model) -> list[Foreign]:
    made = model()
    return list(made) if isinstance(made, list | tuple) else [made]


def _recorded(objects: list[Foreign]) -> dict[str, tuple[Foreign, list[str]]]:
    """Each monitor by name, with the names of what it records."""
    b2 = brian2()
    found: dict[str, tuple[Foreign, list[str]]] = {}
    for each in objects:
        if isinstance(each, b2.EventMonitor):
            found[each.name] = (each, sorted(each.record_variables))
        elif isinstance(each, b2.StateMonitor):
            found[each.name] = (each, ["t", *each.record_variables])
        elif isinstance(each, b2.PopulationRateMonitor):
            found[each.name] = (each, ["t", "rate"])
    return found


# ---- C++
# --------------------------------------------------------------------------------------------------

# The executable takes the number of steps and the seed. It reports after each chunk on its standard
# output: where nobody reads any more, because the parent died, that write ends it too; Linux ends
# it at once.
_HEADERS = ["<fstream>", "<iostream>"]
_AT_BEGIN = """
#ifdef __linux__
prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
if (args.size() != 2) return 2;
const long steps_ = std::stol(args[0]);
const unsigned long seed_ = std::stoul(args[1]);
args.clear();
"""
_AFTER_START = "brian::_random_generators[0].seed(seed_);"
_RUN_LOOP = """
for (long done_ = 0, chunk_ = std::min(std::max(steps_ / 100, 1L), 1000L); done_ < steps_;) {
    const long next_ = std::min(done_ + chunk_, steps_);
    %(network)s.t = done_ * %(dt)s;
    %(network)s.run(next_ * %(dt)s - done_ * %(dt)s, NULL, 1.0);
    done_ = next_;
    std::cout << "done " << done_ << std::endl;
}
"""
_WRITE_1D = """
{
    std::ofstream out_("results/%(file)s", std::ios::binary);
    out_.write(reinterpret_cast<char*>(brian::%(array)s.data()), brian::%(array)s.size() * sizeof(brian::%(array)s[0]));
    out_.close();
    if (!out_) return 3;
}
"""  # noqa: E501
_WRITE_2D = """
{
    std::ofstream out_("results/%(file)s", std::ios::binary);
    for (int row_ = 0; row_ < brian::%(array)s.n; row_++)
        out_.write(reinterpret_cast<char*>(&brian::%(array)s(row_, 0)), brian::%(array)s.m * sizeof(brian::%(array)s(0, 0)));
    out_.close();
    if (!out_) return 3;
}
"""  # noqa: E501


def _run_cpp(
    model: Model, steps: int, seed: int, dt_ms: float, progress: Progress
) -> dict[str, dict[str, Array]]:
    progress(0.0, "writing C++")
    # static arrays come from, and results go to, this folder: the executable runs in it, wherever
    # the executable itself lies
    with process.scratch_folder() as project:
        recorded = _generate(model, dt_ms, project)
        executable = builds.executable(
            project, version=f"brian2 {brian2().__version__}", progress=progress
        )
        progress(0.0, "simulating")
        process.execute(executable, project, steps, seed, progress)
        monitors: dict[str, dict[str, Array]] = {}
        for file, (monitor, variable, dtype, columns) in recorded.items():
            values = np.fromfile(project / "results" / file, dtype=dtype)
            monitors.setdefault(monitor, {})[variable] = (
                values.reshape(-1, columns) if columns else values
            )
        return monitors


def _generate(
    model: Model, dt_ms: float, project: Path
) -> dict[str, tuple[str, str, Foreign, int]]:
    """Write the C++ project and describe its results files.

    For each file its monitor, variable, dtype and columns (0: one-dimensional).
    """

    with _working_on(_device_with_numbers_as_data, _PREFERENCES, dt_ms) as device:
        b2 = brian2()
        objects = _objects(model)
        network = b2.Network(*objects, name=_NETWORK)
        device.headers += [*_HEADERS, *(["<sys/prctl.h>"] if sys.platform == "linux" else [])]
        device.insert_code("before_start", _AT_BEGIN)
        device.insert_code("after_start", _AFTER_START)
        # Brian2 bakes the duration of `run` into the code: it gets a run of no length, after the
        # loop that does the work
        dt = device.get_array_name(device.defaultclock.variables["dt"]) + "[0]"
        device.insert_code("before_network_run", _RUN_LOOP % {"network": _NETWORK, "dt": dt})
        network.run(0 * b2.ms, namespace={})

        results: dict[str, tuple[str, str, Foreign, int]] = {}
        for name, (monitor, variables) in _recorded(objects).items():
            for variable in variables:
                array = monitor.variables[variable]
                file = f"{name}.{variable}"
                columns = monitor.n_indices if array.ndim == 2 else 0
                results[file] = (name, variable, array.dtype, columns)
                write = _WRITE_2D if columns else _WRITE_1D
                cpp_name = device.get_array_name(array, access_data=False)
                device.insert_code("before_end", write % {"file": file, "array": cpp_name})
        _fix_order(device.main_queue)
        # before Brian2 writes every array there is, synapses and all
        device.insert_code("before_end", "return 0;")
        device.build(directory=str(project), compile=False, run=False)
    (
        project / "make.deps"
    ).touch()  # what depends on what matters to later changes, and takes a pass of its own to find
    return results


def _device_with_numbers_as_data(b2: Foreign) -> Foreign:
    """Make a C++ device that also reads single numbers from files.

    Brian2 would write them into the code.
    """
    from brian2.core.variables import DynamicArrayVariable
    from brian2.devices.cpp_standalone.device import CPPStandaloneDevice

    class Device(CPPStandaloneDevice):  # type: ignore[misc]
        def fill_with_array(self, var: Foreign, arr: Foreign) -> None:
            before = len(self.main_queue)
            super().fill_with_array(var, arr)
            literal = {kind for kind, _ in self.main_queue[before:]} & {
                "set_by_single_value",
                "set_by_constant",
            }
            if literal and not isinstance(var, DynamicArrayVariable):
                name = self.get_array_name(var, access_data=False)
                data = self.static_array(
                    name, np.full(var.size, np.asarray(arr).item(), dtype=var.dtype)
                )
                self.main_queue[before:] = [("set_by_array", (name, data, False))]

    return Device()


def _fix_order(queue: list[tuple[str, Foreign]]) -> None:
    """Sort neighbouring assignments by variable.

    Brian2 resets its clocks in the order of a set, each time another one.
    """
    ordered: list[tuple[str, Foreign]] = []
    for kind, lines in groupby(queue, key=lambda line: line[0]):
        run = list(lines)
        ordered += sorted(run, key=lambda line: line[1][0]) if kind.startswith("set_by_") else run
    queue[:] = ordered


# ---- NumPy
# --------------------------------------------------------------------------------------------------


def _run_numpy(
    model: Model, steps: int, seed: int, dt_ms: float, progress: Progress
) -> dict[str, dict[str, Array]]:
    def make_device(b2: object) -> Foreign:
        from brian2.devices.device import RuntimeDevice

        return RuntimeDevice()

    with _working_on(make_device, {**_PREFERENCES, "codegen.target": "numpy"}, dt_ms) as device:
        b2 = brian2()
        device.seed(seed)
        objects = _objects(model)
        network = b2.Network(*objects, name=_NETWORK)

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
            for name, (monitor, variables) in _recorded(objects).items()
        }
