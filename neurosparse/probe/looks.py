"""The rows of looks: what all passes of a step counted, under names that stay."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neurosparse.probe.flow import Key
from neurosparse.probe.history import Row
from neurosparse.probe.layer_names import LastingNames, is_asked
from neurosparse.probe.pass_counts import PassCounts
from neurosparse.probe.running import Running, from_all_processes


@dataclass
class Look:
    """Counts of all passes of a step.

    Attributes
    ----------
    counts
        By the keys of layers.
    n_inputs
        Of all passes.
    order
        Where each weight stands in the model, by its name.
    """

    counts: dict[Key, Running] = field(default_factory=dict)
    n_inputs: int = 0
    order: dict[str, float] = field(default_factory=dict)

    def add(self, other: Look | PassCounts) -> None:
        """Add a pass, or what another process has counted."""
        for key, one in other.counts.items():
            self.counts[key] = self.counts[key] + one if key in self.counts else one
        self.n_inputs += other.n_inputs

    def over_processes(self) -> Look:
        """Return the look of all processes of `torch.distributed` together."""
        total = Look()
        for part in from_all_processes(self):
            total.add(part)
            total.order = part.order | total.order
        return total


class Rows:
    """Makes a row of each look."""

    def __init__(self, layers: Collection[str] | None, window: int) -> None:
        self.names = LastingNames()
        self._layers, self._window = layers, window
        # which units were active in each of the last looks
        self._alive: dict[str, deque[NDArray[np.bool_]]] = {}

    def of(self, step: int, look: Look) -> Row:
        """Return the row of a look, empty where no layer that was asked for is in it."""
        names = self.names.of(look.counts, look.order)
        running = {
            name: look.counts[key] for key, name in names.items() if is_asked(name, self._layers)
        }
        if not running:
            return {}
        n_units = sum(one.n_units for one in running.values())
        row: Row = {"step": step, "samples": look.n_inputs}
        row["active"] = sum(one.active * one.n_units for one in running.values()) / n_units
        for name, one in running.items():
            row[f"active/{name}"] = one.active
            row[f"zeros/{name}"] = one.zeros
            row[f"dead/{name}"] = self._dead(name, one)
            row[f"effective_units/{name}"] = one.effective_units
        return row

    def _dead(self, name: str, one: Running) -> float:
        """Return the share of units that were active in none of the last looks.

        A layer that has another width than before begins anew.
        """
        alive = self._alive.setdefault(name, deque(maxlen=self._window))
        if alive and alive[-1].size != one.n_units:
            alive.clear()
        alive.append(one.counts > 0)
        return 1 - float(np.any(alive, axis=0).mean())
