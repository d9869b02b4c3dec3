"""Brian2's global state: given up for a block, and put back."""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from neurosparse._internal import scratch
from neurosparse._internal.imports import need
from neurosparse._internal.types import Fields, Foreign

Model = Callable[[], Foreign]  # () -> a Brian2 object, or a sequence of them
NETWORK = "neurosparse_network"


PREFERENCES: Fields = {  # set while the engine works, then put back
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


def brian2() -> Foreign:
    """Import Brian2 without the exception hook that it installs for the whole process."""
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


@contextmanager
def working_on(
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


def objects_of(model: Model) -> list[Foreign]:
    """Return the Brian2 objects that a model makes."""
    made = model()
    return list(made) if isinstance(made, list | tuple) else [made]


def recorded_by(objects: list[Foreign]) -> dict[str, tuple[Foreign, list[str]]]:
    """Return each monitor by name, with the names of what it records."""
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
