"""A model as a C++ program of its own: written, compiled where it is new, and run."""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

import numpy as np

from neurosparse._internal.types import Array, Foreign
from neurosparse.progress import Progress
from neurosparse.spiking.brian import builds, process
from neurosparse.spiking.brian.state import (
    NETWORK,
    PREFERENCES,
    Model,
    brian2,
    objects_of,
    recorded_by,
    working_on,
)

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


def run_cpp(
    model: Model, steps: int, seed: int, dt_ms: float, progress: Progress
) -> dict[str, dict[str, Array]]:
    """Simulate a model in C++; return what its monitors recorded, by monitor and variable."""
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

    with working_on(_device_with_numbers_as_data, PREFERENCES, dt_ms) as device:
        b2 = brian2()
        objects = objects_of(model)
        network = b2.Network(*objects, name=NETWORK)
        device.headers += [*_HEADERS, *(["<sys/prctl.h>"] if sys.platform == "linux" else [])]
        device.insert_code("before_start", _AT_BEGIN)
        device.insert_code("after_start", _AFTER_START)
        # Brian2 bakes the duration of `run` into the code: it gets a run of no length, after the
        # loop that does the work
        dt = device.get_array_name(device.defaultclock.variables["dt"]) + "[0]"
        device.insert_code("before_network_run", _RUN_LOOP % {"network": NETWORK, "dt": dt})
        network.run(0 * b2.ms, namespace={})

        results: dict[str, tuple[str, str, Foreign, int]] = {}
        for name, (monitor, variables) in recorded_by(objects).items():
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
