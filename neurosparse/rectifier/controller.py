"""The sparsity controller: a share of active units, reached by steering the L1 penalty.

The penalty of each layer is steered while the network learns.

A look comes 1,000 images after the last, or sooner in a short training. At every look the weight of
each layer's penalty is multiplied by exp(GAIN * clip(e, -1, 1)). Here e is the relative difference
between the active share of its units in those images and what it is to be by then. A penalty that
is there from the start in full kills units, so the wanted share falls geometrically from
`target_start`. Pure functions: numbers in, numbers out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from neurosparse.rectifier.specs import TrainSpec

MOST_IMAGES = 1000  # between two looks
# with fewer, the penalty overshoots and learning ends before the activity has come back
LEAST_LOOKS = 350
GAIN = 0.2
FIRST_L1 = 1e-4
# a target out of reach must not send the penalty where it does not come back from
LEAST_L1, MOST_L1 = 1e-8, 1.0


def images_between_looks(spec: TrainSpec, n_images: int) -> int:
    """Return how many images come between two looks, in whole minibatches.

    An epoch has `n_images` images.

    Examples
    --------
    >>> images_between_looks(TrainSpec(epochs=20), 55_000), images_between_looks(TrainSpec(epochs=30), 3500)
    (1000, 300)
    """  # noqa: E501
    images = min(MOST_IMAGES, n_images * spec.epochs / LEAST_LOOKS)
    return max(1, round(images / spec.batch_size)) * spec.batch_size


def first_l1(spec: TrainSpec) -> tuple[float, ...]:
    """Return the weight of the penalty of each hidden layer at the start."""
    l1 = spec.l1 if not spec.targets else (spec.l1 or FIRST_L1)
    return (l1,) * len(spec.network.layers)


def targets_at(spec: TrainSpec, done: float) -> tuple[float, ...]:
    """Return the share of each hidden layer that is to be active at this point of the training.

    `done`, in [0, 1], is the share of the training that is over.

    Examples
    --------
    >>> spec = TrainSpec(target_active=(0.1, 0.04, 0.01), target_start=0.4, target_reached=0.5)
    >>> targets_at(spec, 0.25)
    (0.2, 0.126..., 0.063...)
    """
    return tuple(
        on_the_way(spec.target_start, target, done / spec.target_reached) for target in spec.targets
    )


def on_the_way(start: float, target: float, way: float) -> float:
    """Return the share that is wanted after the part `way` of the way from a start to a target.

    Examples
    --------
    >>> on_the_way(0.4, 0.1, 0.5), on_the_way(0.4, 0.1, 2.0)
    (0.2, 0.1)
    """
    way = min(way, 1.0)
    result: float = start ** (1 - way) * target**way
    return result


def adjusted(
    l1: Sequence[float], active: Sequence[float], targets: Sequence[float], part: float = 1.0
) -> tuple[float, ...]:
    """Return the penalty of each layer after a look.

    Parameters
    ----------
    l1
        The weights of the penalty that held since the last look.
    active, targets
        The share of units of each layer that was active since then, and what it was to be.
    part
        The images since the last look as a part of those between two looks: the gain is in
        proportion, for the rest of an epoch says less.

    Examples
    --------
    >>> adjusted([0.001, 0.001], active=[0.3, 0.1], targets=[0.1, 0.1])
    (0.00122..., 0.001)
    """
    gain = GAIN * part
    return tuple(
        min(
            max(weight * math.exp(gain * min(max((share - target) / target, -1.0), 1.0)), LEAST_L1),
            MOST_L1,
        )
        for weight, share, target in zip(l1, active, targets, strict=True)
    )


def learning_rate_at(spec: TrainSpec, done: float) -> float:
    """Return the learning rate when the share `done` of the training is over.

    It is constant for half of it, then linear to its end.
    """
    if spec.learning_rate_end is None:
        return spec.learning_rate
    way = max(0.0, 2 * done - 1)
    return spec.learning_rate + way * (spec.learning_rate_end - spec.learning_rate)
