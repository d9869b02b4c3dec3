"""The names of layers: as they were first called, and as the model alone decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from neurosparse.probe.flow import Key


class LayerNames:
    """The name of each layer that has fired, in the order in which they first did."""

    def __init__(self) -> None:
        self._names: dict[Key, str] = {}

    def of(self, key: Key) -> str:
        """Return the name under which a layer is consumed: "name", "name#2", ... as first seen."""
        if key not in self._names:
            n = 1 + sum(other.name == key.name for other in self._names)
            self._names[key] = _numbered(key.name, n)
        return self._names[key]

    def final(self, order: Mapping[str, float]) -> dict[str, str]:
        """Return the names under which layers were consumed, by names that the model alone decides.

        Calls at one place in the code are put in the order of their weights in the model, since
        the data may decide which comes first.

        Parameters
        ----------
        order
            Where each weight stands in the model, by its name.
        """
        places: dict[Any, int] = {}
        for key in self._names:
            places.setdefault(key.place, len(places))

        def rank(key: Key) -> tuple[int, list[float], int]:
            weights = [order.get(name, 0.0) for name in key.source or ()]
            return places[key.place], sorted(weights, reverse=True), key.call

        in_order = sorted(self._names, key=rank)
        consumed = {
            final: self._names[key] for key, final in zip(in_order, _final(in_order), strict=True)
        }
        # a name stands where a layer of that name first fired
        return {final: consumed[final] for final in _final(self._names)}


def _final(keys: Iterable[Key]) -> list[str]:
    """Return the names of layers, those of one name numbered in this order."""
    seen: Counter[str] = Counter()
    result = []
    for key in keys:
        seen[key.name] += 1
        result.append(_numbered(key.name, seen[key.name]))
    return result


def _numbered(name: str, n: int) -> str:
    return name if n == 1 else f"{name}#{n}"
