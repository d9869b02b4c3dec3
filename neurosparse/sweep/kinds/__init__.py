"""The kinds of runs that a sweep can be of, a module each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from neurosparse._internal.registry import Registry, modules_in
from neurosparse._internal.types import Fields

if TYPE_CHECKING:
    from neurosparse.progress import Progress
    from neurosparse.recipes import Recipe
    from neurosparse.store import Row, RunLock


class Kind(Protocol):
    """A module of a kind of runs: what it is asked for, and how it is done.

    A run is kept under a hash of its spec and of the code of this module and all that it imports.
    """

    def resolve(self, recipe: Recipe, settings: Fields, seed: int) -> Fields:
        """Return all that is asked for, as plain values: the run's spec.

        Raises
        ------
        ValueError
            Where recipe and settings do not fit together.
        """
        ...

    def modules(self, spec: Fields) -> Sequence[str]:
        """Return the full names of modules that a spec names, such as the one of its engine."""
        ...

    def run(self, spec: Fields, lock: RunLock, device: str, progress: Progress) -> list[Row]:
        """Do the run, put its files into `lock.folder`, and return its rows of the table."""
        ...


registry = Registry[str, Kind](
    "kind", dict(modules_in(__name__, __file__)), needs=("resolve", "modules", "run")
)
names, register = registry.names, registry.register
