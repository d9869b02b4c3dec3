"""Engines of circuits: one module each, all of which run the same `Circuit`.

An engine is found by its name. Those of this package are the modules of this folder; `register`
takes any other module:

    from neurosparse.spiking import engines
    engines.register("mine", "my_package.my_engine")
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Protocol

from neurosparse._internal.registry import Registry, modules_in

if TYPE_CHECKING:
    from neurosparse.activity import SpikeTrains
    from neurosparse.progress import Progress
    from neurosparse.spiking.plain_circuit import Circuit

DEFAULT = "kernel"


class CircuitEngine(Protocol):
    """A module, or an object, that simulates circuits.

    Its `simulate` may also take `n_threads` and `exact_weights`; an engine that does not runs on
    one thread and rounds no weights. It may have `load()`, which raises where it is not installed.
    """

    def simulate(
        self,
        circuit: Circuit,
        *,
        duration_ms: float,
        seed: int,
        dt_ms: float = ...,
        progress: Progress = ...,
    ) -> SpikeTrains:
        """Return the spikes of all cells, on the grid of `dt_ms`."""
        ...


registry = Registry[str, CircuitEngine](
    "engine", dict(modules_in(__name__, __file__)), needs=("simulate",)
)
names, register = registry.names, registry.register


def resolve(name: str) -> str:
    """Return the name of an engine: "auto" is the default one. ValueError where there is none."""
    return DEFAULT if name == "auto" else registry.check(name)


def takes(name: str, option: str) -> bool:
    """Return whether the `simulate` of an engine has an option, such as `n_threads`."""
    return option in inspect.signature(registry.get(resolve(name)).simulate).parameters


def ready(name: str) -> CircuitEngine:
    """Return an engine that can run here.

    Raises
    ------
    ValueError
        Where there is none of that name.
    MissingPackageError
        Where it is not installed.
    """
    engine = registry.get(resolve(name))
    if hasattr(engine, "load"):
        engine.load()
    return engine
