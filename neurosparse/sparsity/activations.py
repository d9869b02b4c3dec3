"""All statistics of activations, from a record that a stream leaves behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosparse._internal import checks
from neurosparse.activity import KEPT, Activations, ActiveWhen, ActivityStats
from neurosparse.sparsity.confidence import interval_from_variance
from neurosparse.sparsity.dimension import effective_dimension
from neurosparse.sparsity.sparseness import Floats, gini_of_ascending, mean_sparseness, of_moments

FEW = 4  # positions of an input at which Gini is taken: it takes a sort
MOST_MAGNITUDE = 1e70  # of an activation: its fourth power, summed over any stream, stays finite
_GOLDEN = (5**0.5 - 1) / 2


def observe(
    activations: ArrayLike, active_when: ActiveWhen, name: str = "activations"
) -> Activations:
    """The record of one batch of activations; add records to stream: `observe(a) + observe(b)`.

    Parameters
    ----------
    activations : array of float, any shape
        Axis `active_when.axis` (by default the last) holds the units, every other axis samples.
        Along the first of those axes they are taken as independent (the inputs of a batch), along
        the others not (the positions of a convolution, time).

    Raises
    ------
    ValueError
        On NaN, infinity, an empty batch, or a definition without a threshold.
    """
    if active_when.threshold is None:
        raise ValueError(
            "activations need a threshold: pass ActiveWhen(threshold=...), not a window"
        )
    values = np.atleast_1d(checks.finite_array(f"activations of {name!r}", activations))
    if values.size == 0:
        raise ValueError(
            f"activations of {name!r} are empty, shape {values.shape}: nothing to measure"
        )
    values = np.atleast_2d(
        np.moveaxis(values, units_axis(active_when, values.ndim, values.shape), -1)
    )
    magnitude = np.abs(values)
    if (most := magnitude.max()) > MOST_MAGNITUDE:
        raise ValueError(
            f"activations of {name!r} must be below {MOST_MAGNITUDE:g}, got {most:g}: too large to"
            " square"
        )
    active = magnitude > active_when.threshold
    samples = tuple(range(values.ndim - 1))
    # sparseness does not depend on scale; with a largest entry of 1 in each sample no square
    # overflows or vanishes
    scaled = magnitude / np.maximum(magnitude.max(axis=-1, keepdims=True), np.finfo(float).tiny)
    return from_margins(
        name,
        active_when,
        units=np.stack([a.sum(axis=samples) for a in (active, magnitude, np.square(magnitude))]),
        samples=np.stack([a.sum(axis=-1) for a in (active, scaled, np.square(scaled))]).reshape(
            3, len(values), -1
        ),
        n_zero=int((magnitude == 0).sum()),
        some=(rows := values.reshape(len(values), -1, values.shape[-1]))[
            :, few_positions(rows.shape[1])
        ],
    )


def from_margins(
    name: str, active_when: ActiveWhen, *, units: Floats, samples: Floats, n_zero: int, some: Floats
) -> Activations:
    """The record of a batch from sums of the active, of abs(a) and of a^2 along its margins.

    Parameters
    ----------
    units : array of float, shape (3, n_units)
        The sums over samples.
    samples : array of float, shape (3, n_inputs, n_positions)
        The sums over units; abs(a) and a^2 may be scaled, each sample by a factor of its own.
    n_zero
        Activations that are exactly 0.
    some : array of float, shape (n_inputs, n_few, n_units)
        The activations at `few_positions`.
    """
    per_input = samples[0].sum(axis=1).astype(np.int64)
    n_units = units.shape[1]
    total, square = samples[1:, samples[2] > 0]
    measures = of_moments(total, square, n_units)
    ranked = np.sort(np.abs(some.reshape(-1, n_units)), axis=-1)
    ranked = ranked[ranked[:, -1] > 0]
    keys, sample = _sample(np.ascontiguousarray(some[:, 0]))
    return Activations(
        name=name,
        active_when=active_when,
        n_samples=samples[0].size,
        active_count=units[0],
        magnitude_sum=units[1],
        square_sum=units[2],
        n_repeats=len(per_input),
        square_count_sum=sum(int(count) ** 2 for count in per_input),  # beyond int64 for large maps
        population_sums=np.array([*measures.sum(axis=-1), gini_of_ascending(ranked).sum()]),
        n_population=total.size,
        n_ranked=len(ranked),
        n_zero=n_zero,
        sample_keys=keys,
        sample=sample,
    )


def describe_activations(
    activations: Activations,
    *,
    name: str | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> ActivityStats:
    """All statistics of a record of activations. Lifetime Gini needs every value at once, so a
    stream has none.
    """
    n, width = activations.n_samples, activations.n_units
    unit_fraction = activations.active_count / n
    fraction = float(unit_fraction.mean())
    # whole numbers until the last division: a difference of floats would not be 0 for samples that
    # do not differ
    repeats = activations.n_repeats
    spread = repeats * activations.square_count_sum - int(activations.active_count.sum()) ** 2
    variance = spread / (n * width) ** 2
    alive = activations.square_sum > 0  # not magnitude_sum: squares below 1e-308 are lost
    lifetime = of_moments(activations.magnitude_sum[alive], activations.square_sum[alive], n)
    return ActivityStats(
        name=name or activations.name,
        kind="activations",
        active_when=activations.active_when,
        active_fraction=fraction,
        interval=interval_from_variance(
            fraction,
            variance / max(repeats - 1, 1),
            n_repeats=repeats,
            n_units=width,
            n_most=float(n * width),
            repeats="inputs",
        ),
        n_units=width,
        n_samples=n,
        n_silent=int((activations.active_count == 0).sum()),
        population=mean_sparseness(
            activations.population_sums, activations.n_population, activations.n_ranked
        ),
        lifetime=mean_sparseness([*lifetime.sum(axis=-1), np.nan], int(alive.sum())),
        unit_active_fraction=unit_fraction,
        effective_dimension=effective_dimension(activations.sample),
        zero_fraction=activations.n_zero / (n * width),
        mean_magnitude=float(activations.magnitude_sum.sum() / (n * width)),
        unit_mean_magnitude=activations.magnitude_sum / n,
        provenance=provenance or {},
    )


def units_axis(active_when: ActiveWhen, n_axes: int, shape: Sequence[int]) -> int:
    """The axis of the units of activations of that shape, counted from 0; a ValueError where there
    is none.
    """
    axis = -1 if active_when.axis is None else active_when.axis
    if not -n_axes <= axis < n_axes:
        raise ValueError(f"axis {axis} does not exist in activations of shape {tuple(shape)}")
    return axis % n_axes


def few_positions(n: int) -> list[int]:
    """At most `FEW` of n positions, by the golden ratio: clear of a map's edges, and never in step
    with its rows.
    """
    return list(range(n)) if n <= FEW else [int(n * (k * _GOLDEN % 1)) for k in range(1, FEW + 1)]


def _sample(rows: Floats) -> tuple[NDArray[np.uint64], Floats]:
    """At most `KEPT` rows with any activity, shape (n, n_units), and their keys.

    A key is a number scrambled from the row's own sum. So what is kept is spread over the whole
    stream, whatever its order (by class, as data often are), and does not hang on how it is cut
    into batches.
    """
    rows = rows.astype(np.float64)
    totals = np.abs(rows).sum(axis=1)
    keys = totals.view(np.uint64).copy()
    # SplitMix64 (Steele et al. 2014)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    keys ^= keys >> np.uint64(31)
    order = np.argsort(keys, kind="stable")
    order = order[totals[order] > 0][:KEPT]
    return keys[order], rows[order]
