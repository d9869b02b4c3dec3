"""The weights of the penalty, a layer at a time, steered to the share of units that is wanted.

The rule is that of our own trainer (`rectifier.controller`). At every look the weight of a layer's
penalty is multiplied by exp(0.2 clip(e, -1, 1)). Here e is the relative difference between the
share that was active and the share wanted by then. The wanted share falls geometrically from where
the layer is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from neurosparse.rectifier.controller import FIRST_L1, LEAST_LOOKS, adjusted, on_the_way


@dataclass(frozen=True, slots=True)
class Plan:
    """Shares that are to be reached, and when.

    Attributes
    ----------
    targets
        The share of each layer that is to be active; empty where the penalty stays as it is.
    steps
        Steps of the whole training.
    reached
        The part of them after which the targets are to hold.
    start
        The share at which the way of each layer begins; None: where its first look finds it.
    """

    targets: Mapping[str, float]
    steps: int
    reached: float
    start: float | None

    @property
    def every(self) -> int:
        """Steps from look to look: 350 looks a training, but at least one step."""
        return max(1, round(self.steps / LEAST_LOOKS))

    def at(self, step: int, start: Mapping[str, float]) -> dict[str, float]:
        """Return the share wanted of each layer after so many steps, from where its way began.

        Examples
        --------
        >>> Plan({"a": 0.1}, steps=100, reached=0.5, start=None).at(25, {"a": 0.4})
        {'a': 0.2}
        """
        way = step / (self.reached * self.steps)
        return {
            name: on_the_way(start.get(name, target), target, way)
            for name, target in self.targets.items()
        }


@dataclass(frozen=True, slots=True)
class Steering:
    """State of a steered training: the weight of each layer's penalty, and its start."""

    l1: Mapping[str, float]
    start: Mapping[str, float]

    @classmethod
    def first(cls, names: list[str], l1: Mapping[str, float] | None = None) -> Steering:
        """Return the state before the first look."""
        return cls({name: FIRST_L1 if l1 is None else l1[name] for name in names}, {})

    def after(self, plan: Plan, step: int, active: Mapping[str, float]) -> Steering:
        """Return the state after a look at some of the layers.

        Parameters
        ----------
        plan
            The shares to reach, and when.
        step
            Steps that are over.
        active
            The share of each layer's units that was active since the last look; layers that put
            nothing out are left out, and stay as they are.
        """
        seen = [name for name in plan.targets if name in active]
        # a layer in which nothing is active has no way to go
        here = {name: plan.start or active[name] or plan.targets[name] for name in seen}
        start = {**here, **self.start}
        wanted = plan.at(step, start)
        weights = adjusted(
            [self.l1[name] for name in seen],
            [active[name] for name in seen],
            [wanted[name] for name in seen],
        )
        return replace(self, l1={**self.l1, **dict(zip(seen, weights, strict=True))}, start=start)
