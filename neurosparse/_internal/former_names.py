"""Modules under the names that they had in version 0.1, so that code written for it goes on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "neurosparse.data.cifar10": "neurosparse.data.sets.cifar10",
    "neurosparse.data.fashion_mnist": "neurosparse.data.sets.fashion_mnist",
    "neurosparse.data.mnist": "neurosparse.data.sets.mnist",
    "neurosparse.data.mnist5k": "neurosparse.data.sets.mnist5k",
    "neurosparse.data.norb": "neurosparse.data.sets.norb",
    "neurosparse.data.smallnorb": "neurosparse.data.sets.smallnorb",
    "neurosparse.distributions": "neurosparse.sparsity.log_normal",
    "neurosparse.saved": "neurosparse.comparison.files",
    "neurosparse.siegert": "neurosparse.lif.siegert",
    "neurosparse.rectifier.loading": "neurosparse.probe.loading",
    "neurosparse.rectifier.nonlinear": "neurosparse.probe.nonlinear",
    "neurosparse.rectifier.probe": "neurosparse.probe.record",
    "neurosparse.rectifier.tally": "neurosparse.probe.tally",
    "neurosparse.spiking.brian_circuit": "neurosparse.spiking.engines.brian2",
    "neurosparse.spiking.builds": "neurosparse.spiking.brian.builds",
    "neurosparse.spiking.drive": "neurosparse.spiking.brian.drive",
    "neurosparse.spiking.engine": "neurosparse.spiking.brian.running",
    "neurosparse.spiking.kernel_engine": "neurosparse.spiking.engines.kernel",
    "neurosparse.spiking.nest_engine": "neurosparse.spiking.engines.nest",
    "neurosparse.spiking.process": "neurosparse.spiking.brian.process",
    "neurosparse.store.claims": "neurosparse.store.locks",
    "neurosparse.sweep.engines": "neurosparse.sweep.executors",
    "neurosparse.sweep.converting": "neurosparse.sweep.kinds.convert",
    "neurosparse.sweep.simulating": "neurosparse.sweep.kinds.simulate",
    "neurosparse.sweep.training": "neurosparse.sweep.kinds.train",
    "neurosparse.studies.pairs": "neurosparse.sparsity.paired",
}


class _Finder(MetaPathFinder, Loader):
    """Finds a module by its former name and gives the one that stands in its place."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(MOVED[spec.name])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its own spec back; it ran under its own name."""
        if module.__spec__ is not None:
            module.__spec__ = module.__spec__.loader_state


def install() -> None:
    """Let the former names be imported, after every other way to find a module has failed."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
