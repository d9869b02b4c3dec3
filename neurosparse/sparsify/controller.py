"""The weights of the penalty, a layer at a time, steered to the share of units that is wanted.

At every look the weight of a layer's penalty is multiplied by exp(i e + PROPORTIONAL d). Here e is
the relative difference between the share that was active and the share wanted by then, within
[-1, 1], and d is its change since the last look: a PI controller of the logarithm of the weight.
The gain i is INTEGRAL a look, and at most INTEGRAL_STEP a step: a share follows its penalty some
steps late, for optimizers have momentum. The wanted share falls geometrically from where the layer
is.

In the last tenth of a training the biases of each layer are shifted as well
(`revive.settle_biases`), for what the penalty can no longer move.

Our own trainer has the first term alone, at a gain of 0.2 (`rectifier.controller`). In four other
networks that overshot. It also left layers below their targets at the end, where the gradient of
the loss vanishes and the penalty must fall as fast.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from neurosparse.rectifier.controller import (
    FIRST_L1,
    LEAST_L1,
    LEAST_LOOKS,
    MOST_L1,
    on_the_way,
)

SETTLED = 0.9  # of a training, from which biases are shifted too
INTEGRAL, INTEGRAL_STEP, PROPORTIONAL = 0.6, 0.15, 2.0


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
        The share at which the way of each layer begins, or lower, where its first look finds it.
    """

    targets: Mapping[str, float]
    steps: int
    reached: float
    start: float | None

    @property
    def every(self) -> int:
        """Steps from look to look: 350 looks a training, but at least one step."""
        return max(1, round(self.steps / LEAST_LOOKS))

    def settles(self, step: int) -> bool:
        """Return whether biases are shifted to the targets after so many steps."""
        return step >= SETTLED * self.steps

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
    """State of a steered training.

    Attributes
    ----------
    l1
        The weight of each layer's penalty.
    start
        The share at which its way began.
    error
        The relative difference from the share wanted at the last look, within [-1, 1].
    """

    l1: Mapping[str, float]
    start: Mapping[str, float]
    error: Mapping[str, float] = field(default_factory=dict)

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
        # no layer is to be more active than it is; one in which nothing is has no way to go
        here = {name: min(plan.start or 1.0, active[name]) or plan.targets[name] for name in seen}
        start = {**here, **self.start}
        wanted = plan.at(step, start)
        integral = min(INTEGRAL, INTEGRAL_STEP * plan.every)
        l1, error = dict(self.l1), dict(self.error)
        for name in seen:
            now = min(max((active[name] - wanted[name]) / wanted[name], -1.0), 1.0)
            change = now - error.get(name, 0.0)
            weight = l1[name] * math.exp(integral * now + PROPORTIONAL * change)
            l1[name], error[name] = min(max(weight, LEAST_L1), MOST_L1), now
        return Steering(l1, start, error)
