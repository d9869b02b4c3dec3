"""The settings of a steered training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings by which a training is steered; see `sparsify`."""

    way: str  # "target", "l1" or "top_k"
    value: float | Mapping[str, float]
    layers: Sequence[str] | None
    threshold: float
    start_active: float | None
    revive: bool
    dead_after: int

    def of(self, names: Sequence[str]) -> dict[str, float]:
        """Return the value of each layer."""
        value = self.value
        if not isinstance(value, Mapping):
            return dict.fromkeys(names, value)
        return {n: value[n] if n in value else value[n.partition("#")[0]] for n in names}
