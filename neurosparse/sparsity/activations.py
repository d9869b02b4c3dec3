"""All statistics of activations, from a record that a stream leaves behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosparse._internal import checks
from neurosparse.activity import KEPT, Activations, ActiveWhen, ActivityStats, Interval
from neurosparse.activity.given import check_activations, check_active_when
from neurosparse.sparsity.confidence import CONFIDENCE, INPUTS, over_inputs
from neurosparse.sparsity.dimension import effective_dimension
from neurosparse.sparsity.sparseness import Floats, gini_of_ascending, mean_sparseness, of_moments

N_STRETCHES = 256  # of the inputs, from which an interval is estimated; see `over_time`
FEW = 4  # positions of an input at which Gini is taken: it takes a sort
MOST_MAGNITUDE = 1e70  # of an activation: its fourth power, summed over any stream, stays finite
HELD = 0.95  # of the magnitude: how many units hold it
_GOLDEN = (5**0.5 - 1) / 2


def observe(
    activations: ArrayLike, active_when: ActiveWhen, name: str = "activations"
) -> Activations:
    """Return the record of one batch of activations.

    Add records to stream: `observe(a) + observe(b)`.

    Parameters
    ----------
    activations : array of float, any shape
        Axis `active_when.axis` (by default the last) holds the units, every other axis samples.
        Along the first of those axes they are taken as independent (the inputs of a batch), along
        the others not (the positions of a convolution, time).
    active_when
        The definition of "active"; it needs a threshold.
    name
        How the record is called.

    Raises
    ------
    ValueError
        On NaN, infinity, an empty batch, or a definition without a threshold.
    TypeError
        Where an argument is of another kind.
    """
    check_active_when(active_when)
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
    threshold: Any = active_when.threshold
    if active_when.relative:
        most_of_each = magnitude.max(axis=-1, keepdims=True)
        shares = magnitude / np.maximum(most_of_each, np.finfo(float).tiny)
        threshold = (
            threshold * most_of_each * np.sqrt(np.square(shares).mean(axis=-1, keepdims=True))
        )
    active = magnitude > threshold
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
    name: str,
    active_when: ActiveWhen,
    *,
    units: Floats,
    samples: Floats,
    n_zero: int,
    some: Floats,
    firsts: Floats | None = None,
    keys: NDArray[np.uint64] | None = None,
) -> Activations:
    """Return the record of a batch from sums along its margins.

    The sums are of the active, of abs(a) and of a^2.

    Parameters
    ----------
    name
        How the record is called.
    active_when
        The definition of "active" by which the sums were made.
    units : array of float, shape (3, n_units)
        The sums over samples.
    samples : array of float, shape (3, n_inputs, n_positions)
        The sums over units; abs(a) and a^2 may be scaled, each sample by a factor of its own.
    n_zero
        Activations that are exactly 0.
    some : array of float, shape (n_inputs, n_few, n_units)
        The activations at `few_positions`.
    firsts, keys
        Activations to keep a sample of, shape (n, n_units), and a key for each: by default those at
        the first position of each input, and keys from themselves.
    """
    check_active_when(active_when)
    for what, values in (("units", units), ("samples", samples), ("some", some)):
        checks.instance(what, values, np.ndarray)
    per_input, n_positions = samples[0].sum(axis=1).astype(np.int64), samples.shape[2]
    n_units = units.shape[1]
    fires = samples[2] > 0
    total, square = samples[1:].reshape(2, -1) if fires.all() else samples[1:, fires]
    measures = of_moments(total, square, n_units)
    ranked = np.sort(np.abs(some.reshape(-1, n_units)), axis=-1)
    ranked = ranked[ranked[:, -1] > 0]
    keys, sample = _sample(np.ascontiguousarray(some[:, 0] if firsts is None else firsts), keys)
    return Activations(
        name=name,
        active_when=active_when,
        n_samples=samples[0].size,
        active_count=units[0],
        magnitude_sum=units[1],
        square_sum=units[2],
        n_repeats=len(per_input),
        runs=np.stack([np.ones_like(per_input), per_input, np.full_like(per_input, n_positions)]),
        population_sums=np.array([*measures.sum(axis=-1), gini_of_ascending(ranked).sum()]),
        n_population=total.size,
        n_ranked=len(ranked),
        n_zero=n_zero,
        sample_keys=keys,
        sample=sample,
        holders_sum=_holders(ranked),
    )


def _holders(ranked: Floats) -> float:
    """Sum over samples the share of units that hold `HELD` of the magnitude, the fewest that do.

    Parameters
    ----------
    ranked : array of float, shape (n, n_units)
        Magnitudes in ascending order, the last one positive.
    """
    if not len(ranked):
        return float("nan")
    from_largest = np.cumsum(ranked[:, ::-1], axis=1, dtype=np.float64)
    enough = HELD * (1 - 1e-12) * from_largest[:, -1:]
    return float(((from_largest < enough).sum(axis=1) + 1).sum() / ranked.shape[1])


def describe_activations(
    activations: Activations,
    *,
    name: str | None = None,
    provenance: Mapping[str, object] | None = None,
) -> ActivityStats:
    """Return all statistics of a record of activations.

    Lifetime Gini needs every value at once, so a stream has none.
    """
    check_activations(activations)
    n, width = activations.n_samples, activations.n_units
    if n == 0:
        return _never_reached(activations, name, provenance)
    unit_fraction = activations.active_count / n
    fraction = float(unit_fraction.mean())
    alive = activations.square_sum > 0  # not magnitude_sum: squares below 1e-308 are lost
    lifetime = of_moments(activations.magnitude_sum[alive], activations.square_sum[alive], n)
    return ActivityStats(
        name=name or activations.name,
        kind="activations",
        active_when=activations.active_when,
        active_fraction=fraction,
        interval=over_inputs(
            fraction,
            _stretches(activations, fraction),
            n_inputs=activations.n_repeats,
            n_units=width,
            n_most=float(n * width),
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
        magnitude_95_fraction=(
            None if np.isnan(held := activations.holders_sum) else held / activations.n_ranked
        ),
        routed_fraction=n / activations.n_offered if activations.n_offered else None,
        provenance=provenance or {},
    )


def _stretches(activations: Activations, fraction: float) -> Floats:
    """Return the active fraction in up to N_STRETCHES stretches of as many inputs in a row.

    Inputs may have different numbers of samples: the fraction is a ratio of sums over inputs, and
    what a stretch adds to its variance is counted - fraction * samples (Cochran 1977, 6.3).
    """
    last = np.cumsum(activations.runs[0])
    each = -(-int(last[-1]) // N_STRETCHES)
    stretch = np.minimum((last - 1) // each, last[-1] // each - 1)
    first = np.flatnonzero(np.diff(stretch, prepend=-1))
    # whole numbers of any size until the division: a difference of floats would not be 0 for
    # stretches that do not differ
    counts, sizes = np.add.reduceat(activations.runs[1:], first, axis=1).astype(object)
    n, count = activations.n_samples, int(activations.active_count.sum())
    rest = (counts * n - count * sizes) * len(first)
    return np.array([fraction + value / (n * n * activations.n_units) for value in rest])


def _never_reached(
    activations: Activations, name: str | None, provenance: Mapping[str, object] | None
) -> ActivityStats:
    """Return the statistics of a layer that no sample reached: it has none."""
    nothing = np.full(activations.n_units, np.nan)
    return ActivityStats(
        name=name or activations.name,
        kind="activations",
        active_when=activations.active_when,
        active_fraction=float("nan"),
        interval=Interval(
            float("nan"), float("nan"), CONFIDENCE, "no sample reached this layer", INPUTS
        ),
        n_units=activations.n_units,
        n_samples=0,
        n_silent=activations.n_units,
        population=mean_sparseness([np.nan] * 4, 0),
        lifetime=mean_sparseness([np.nan] * 4, 0),
        unit_active_fraction=nothing,
        unit_mean_magnitude=nothing,
        routed_fraction=0.0,
        provenance=provenance or {},
    )


def units_axis(active_when: ActiveWhen, n_axes: int, shape: Sequence[int]) -> int:
    """Return the axis of the units of activations of that shape, counted from 0.

    A ValueError where there is none.
    """
    check_active_when(active_when)
    n_axes = checks.whole("n_axes", n_axes, least=0)
    axis = -1 if active_when.axis is None else active_when.axis
    if not -n_axes <= axis < n_axes:
        raise ValueError(f"axis {axis} does not exist in activations of shape {tuple(shape)}")
    return axis % n_axes


def few_positions(n: int) -> list[int]:
    """Choose at most `FEW` of n positions, by the golden ratio.

    They are clear of a map's edges, and never in step with its rows.
    """
    n = checks.whole("n", n, least=0)
    return list(range(n)) if n <= FEW else [int(n * (k * _GOLDEN % 1)) for k in range(1, FEW + 1)]


def _sample(
    rows: Floats, keys: NDArray[np.uint64] | None = None
) -> tuple[NDArray[np.uint64], Floats]:
    """Keep at most `KEPT` rows with any activity, shape (n, n_units), and their keys.

    A key is a number scrambled from the row's own sum, or from the one given for it. So what is
    kept is spread over the whole stream, whatever its order (by class, as data often are), and does
    not hang on how it is cut into batches.
    """
    rows = rows.astype(np.float64)
    totals = np.abs(rows).sum(axis=1)
    keys = scrambled(totals.view(np.uint64) if keys is None else keys)
    order = np.argsort(keys, kind="stable")
    order = order[totals[order] > 0][:KEPT]
    return keys[order], rows[order]


def scrambled(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a key for each number, spread over all of 64 bits."""
    keys = numbers.copy()
    # SplitMix64 (Steele et al. 2014)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    return keys ^ (keys >> np.uint64(31))
