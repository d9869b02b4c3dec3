"""The names of layers: as they were first called, as the model alone decides, and as they stay.

Of several layers of one name, the second is "name#2". In `layers=(...)` a name stands for all
layers of that name, and "name#2" for that one alone; "name#1" is the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
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

        Parameters
        ----------
        order
            Where each weight stands in the model, by its name.
        """
        in_order = _in_order(self._names, order)
        consumed = {
            final: self._names[key] for key, final in zip(in_order, _final(in_order), strict=True)
        }
        # a name stands where a layer of that name first fired
        return {final: consumed[final] for final in _final(self._names)}


class LastingNames:
    """Names that layers keep, whichever of them fire in a pass.

    Layers that are met together are named as `LayerNames.final` does; one that is met later gets
    the next number. One that is called elsewhere in the code, with the output of the same weights,
    takes the name of a layer that is not there.
    """

    def __init__(self) -> None:
        self._names: dict[Key, str] = {}
        self._counts: Counter[str] = Counter()

    def of(self, keys: Iterable[Key], order: Mapping[str, float]) -> dict[Key, str]:
        """Return the name of each of some layers that have fired together."""
        keys = list(keys)
        names = {key: self._names[key] for key in keys if key in self._names}
        free = {key: name for key, name in self._names.items() if key not in names}
        for key in _in_order([key for key in keys if key not in names], order):
            absent = next((each for each in free if each.anywhere == key.anywhere), None)
            if absent is not None:
                names[key] = free.pop(absent)
                continue
            self._counts[key.name] += 1
            names[key] = self._names[key] = _numbered(key.name, self._counts[key.name])
        return {key: names[key] for key in keys}


def base(name: str) -> str:
    """Return the name of a layer without its number."""
    return name.partition("#")[0]


def is_asked(name: str, layers: Collection[str] | None) -> bool:
    """Return whether a layer is among those asked for, None for all.

    Examples
    --------
    >>> [is_asked("relu#2", [asked]) for asked in ("relu", "relu#2", "relu#1")]
    [True, True, False]
    """
    if layers is None or name in layers or base(name) in layers:
        return True
    return name == base(name) and f"{name}#1" in layers


def _in_order(keys: Iterable[Key], order: Mapping[str, float]) -> list[Key]:
    """Return layers in an order that the model alone decides.

    Calls at one place in the code are put in the order of their weights in the model, since the
    data may decide which comes first.
    """
    keys = list(keys)
    places: dict[Any, int] = {}
    for key in keys:
        places.setdefault(key.place, len(places))

    def rank(key: Key) -> tuple[int, list[float], int]:
        weights = [order.get(name, 0.0) for name in key.source or ()]
        return places[key.place], sorted(weights, reverse=True), key.call

    return sorted(keys, key=rank)


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
