"""Measures of sparsity: pure functions over activity.

The active fraction of a spiking circuit depends on the window in which a spike counts, so it is treated as a function of the
window, exact for every window (`activity_curve`). Sparseness measures (Treves-Rolls and its kin) need no threshold; they are taken
over units at one time (population) or over time within one unit (lifetime).

Sources: Treves & Rolls 1991; Vinje & Gallant 2000; Hoyer 2004; Hurley & Rickard 2009 (arXiv 0811.4706) for Gini; Willmore &
Tolhurst 2001 for population against lifetime. Interval: Korn & Graubard 1998, Survey Methodology 24:193.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats as _distributions
from scipy.sparse import csr_array

from neurosparse import checks
from neurosparse.activity import (
    KEPT,
    Activations,
    ActiveWhen,
    ActivityCurve,
    ActivityStats,
    Interval,
    Sparseness,
    SpikeTrains,
)

CONFIDENCE = 0.95
N_BATCHES = 10  # stretches of the record taken as independent repeats: few, so that each outlasts slow fluctuations
MIN_INTERVALS = 5  # inter-spike intervals a unit needs before its CV counts
FEW = 4  # positions of an input at which Gini is taken: it takes a sort
MOST_MAGNITUDE = 1e70  # of an activation: its fourth power, summed over any stream, stays finite
_INT64 = 2**63
_GOLDEN = (5**0.5 - 1) / 2

Floats = NDArray[np.float64]


# ---- Sparseness of a vector of rates or magnitudes ------------------------------------------------------------------


def treves_rolls(rates: ArrayLike, axis: int = -1) -> Floats:
    """Treves-Rolls sparseness A = (sum r / n)^2 / (sum r^2 / n), in [1/n, 1]; low is sparse.

    A binary code in which a fraction p is active has A = p.

    Parameters
    ----------
    rates : array of float >= 0, any shape
        Rates, counts or magnitudes; `axis` runs over the n units (population) or windows (lifetime).

    Raises
    ------
    ValueError
        On NaN, infinity, negative or no values, and where all values along `axis` are zero: silence has no sparseness.
    """
    return _of_vectors(rates, axis)[0]


def vinje_gallant(rates: ArrayLike, axis: int = -1) -> Floats:
    """Vinje-Gallant sparseness S = (1 - A) / (1 - 1/n), in [0, 1]; high is sparse. Arguments and errors as `treves_rolls`."""
    return _of_vectors(rates, axis, least=2)[1]


def hoyer(rates: ArrayLike, axis: int = -1) -> Floats:
    """Hoyer sparseness (sqrt n - L1/L2) / (sqrt n - 1), in [0, 1]; high is sparse. Arguments and errors as `treves_rolls`."""
    return _of_vectors(rates, axis, least=2)[2]


def gini(rates: ArrayLike, axis: int = -1) -> Floats:
    """Gini index 1 - 2 sum_k r_(k)/L1 (n - k + 1/2)/n over ascending r, in [0, 1 - 1/n]; high is sparse.

    The one measure here that meets all six criteria of Hurley & Rickard 2009. A binary code with active fraction p has 1 - p.
    Arguments and errors as `treves_rolls`.
    """
    return _of_vectors(rates, axis)[3]


def _of_vectors(rates: ArrayLike, axis: int, least: int = 1) -> Floats:
    vectors = np.moveaxis(checks.rates_array("rates", rates, axis), axis, -1)
    if vectors.shape[-1] < least:
        raise ValueError(f"this measure needs at least {least} values along axis {axis}, got {vectors.shape[-1]}")
    if not (vectors > 0).any(axis=-1).all():
        raise ValueError("rates are all zero along the axis: silence has no sparseness")
    return _sparseness_rows(vectors)


def _sparseness_rows(vectors: Floats) -> Floats:
    """The four measures of each vector along the last axis, shape (4, ...); every vector has a positive entry."""
    n = vectors.shape[-1]
    # The measures do not depend on scale; with a largest entry of 1, squares neither overflow nor vanish.
    scaled = vectors / vectors.max(axis=-1, keepdims=True)
    ascending = np.sort(scaled, axis=-1)
    weights = (n - np.arange(1, n + 1) + 0.5) / n
    return _measures(scaled.sum(axis=-1), np.square(scaled).sum(axis=-1), ascending @ weights, n)


def _gini_of_ascending(vectors: NDArray[Any]) -> Floats:
    """Gini of each vector along the last axis, its entries in ascending order, the last one positive."""
    n = vectors.shape[-1]
    scaled = vectors / vectors[:, -1:].astype(np.float64)
    ranked_total = scaled @ ((n - np.arange(1, n + 1) + 0.5) / n)
    return np.clip(1 - 2 * ranked_total / scaled.sum(axis=-1), 0.0, 1 - 1 / n)


def _measures(total: Floats, square_total: Floats, ranked_total: Floats, n: int) -> Floats:
    """The four measures from sum r, sum r^2 and sum_k r_(k) (n - k + 1/2)/n over ascending r; NaN where n = 1 defines none."""
    # the bounds are met exactly by equal rates and by a single one, so rounding must not lead past them
    a = np.clip(total**2 / (n * square_total), 1 / n, 1.0)
    span = 1 - 1 / n if n > 1 else np.nan
    root_span = 1 - 1 / np.sqrt(n) if n > 1 else np.nan
    return np.stack(
        [
            a,
            np.clip((1 - a) / span, 0.0, 1.0),
            np.clip((1 - np.sqrt(a)) / root_span, 0.0, 1.0),
            np.clip(1 - 2 * ranked_total / total, 0.0, 1 - 1 / n),
        ]
    )


def _mean_sparseness(sums: Floats, n_averaged: int, n_ranked: int | None = None) -> Sparseness:
    numbers = [n_averaged] * 3 + [n_averaged if n_ranked is None else n_ranked]
    means = [None if n == 0 or np.isnan(s) else float(s) / n for s, n in zip(sums, numbers, strict=True)]
    return Sparseness(means[0], means[1], means[2], means[3], n_averaged=n_averaged)


# ---- Spikes ---------------------------------------------------------------------------------------------------------


def firing_rates_hz(spikes: SpikeTrains) -> Floats:
    """Mean firing rate of each unit in Hz, shape (n_units,): spikes over the duration, 0 for the silent ones."""
    return spikes.counts / (spikes.duration_ms * 1e-3)


def isi_cv(spikes: SpikeTrains, min_intervals: int = MIN_INTERVALS) -> Floats:
    """Coefficient of variation of the inter-spike intervals of each unit, shape (n_units,).

    NaN for units with fewer than `min_intervals` intervals: 1 for Poisson firing, 0 for a clock.
    """
    return _isi_cv(*_by_unit(spikes), spikes.n_units, checks.whole("min_intervals", min_intervals, least=2))


def _isi_cv(units: NDArray[np.int64], ticks: NDArray[np.int64], n_units: int, min_intervals: int) -> Floats:
    within = units[1:] == units[:-1]
    intervals = np.diff(ticks)[within].astype(np.float64)
    owner = units[1:][within]
    n = np.bincount(owner, minlength=n_units)
    undefined = np.full(n_units, np.nan)
    mean = np.divide(np.bincount(owner, intervals, n_units), n, where=n >= min_intervals, out=undefined.copy())
    spread = np.bincount(owner, (intervals - mean[owner]) ** 2, n_units)  # NaN where the mean is
    return np.divide(np.sqrt(spread / np.maximum(n, 1)), mean, where=mean > 0, out=undefined)


def synchrony(spikes: SpikeTrains, bin_ms: float = 3.0) -> float:
    """Variance over mean of the number of spikes of all units in bins of `bin_ms`: 1 for independent Poisson cells.

    The measure of Potjans & Diesmann 2014 (figure 6), who take 1,000 cells and 3 ms; it grows with the number of cells wherever
    they are correlated. A last part-bin is left out.

    Raises
    ------
    ValueError
        Where there are fewer than two bins, or no spikes in them.
    """
    width, n_bins = _bins(spikes, bin_ms)
    bins = spikes.ticks // width
    counts = np.bincount(bins[bins < n_bins], minlength=n_bins)
    if not counts.any():
        raise ValueError("there are no spikes: silence has no synchrony")
    return float(counts.var(ddof=1) / counts.mean())


def _bins(spikes: SpikeTrains, bin_ms: float) -> tuple[int, int]:
    """The width of bins in ticks, and how many whole ones the record holds."""
    width = spikes.window_ticks(bin_ms)
    n_bins = spikes.duration_ticks // width
    if n_bins < 2:
        raise ValueError(f"bin_ms must fit into the record at least twice, got {bin_ms:g} in {spikes.duration_ms:g} ms")
    return width, n_bins


def count_correlation(spikes: SpikeTrains, bin_ms: float = 2.0) -> float:
    """Pearson's correlation of the spike counts of two units in bins of `bin_ms`, averaged over all pairs of units that fire.

    The mean of the off-diagonal part of the correlation matrix, exactly, without the matrix: with z_i the standardised counts of
    n units, Var(sum_i z_i) = n + n (n - 1) mean(rho_ij), so that one pass over the spikes serves any number of units. Units whose
    count is the same in every bin, such as silent ones, have no correlation and are left out; so is a last part-bin. Van Albada
    et al. 2018, Front Neurosci 12:291, take 2 ms.

    Raises
    ------
    ValueError
        Where there are fewer than two bins, or fewer than two units whose counts vary.

    Examples
    --------
    >>> together = SpikeTrains([1.0, 1.0, 5.0, 5.0], [0, 1, 0, 1], n_units=2, duration_ms=8.0, dt_ms=1.0)
    >>> round(count_correlation(together), 9)
    1.0
    """
    width, n_bins = _bins(spikes, bin_ms)
    bins = spikes.ticks // width
    cells = np.sort((spikes.units * n_bins + bins)[bins < n_bins])
    first = np.flatnonzero(np.diff(cells, prepend=-1))
    counts = np.diff(first, append=cells.size)
    units, bins = np.divmod(cells[first], n_bins)
    total, squares = (np.bincount(units, counts**power, spikes.n_units) for power in (1, 2))
    spread = n_bins * squares - total**2  # whole numbers: a unit that never varies has 0, not a rounding
    n = int((spread > 0).sum())
    if n < 2:
        raise ValueError(f"correlation needs two units whose counts in bins of {bin_ms:g} ms vary, got {n}")
    scale = np.divide(n_bins, np.sqrt(spread), where=spread > 0, out=np.zeros(spikes.n_units))
    together = np.bincount(bins, counts * scale[units], n_bins)
    return float((together.var() - n) / (n * (n - 1)))


def windows_over_time(spikes: SpikeTrains, fractions: Sequence[float], n_stretches: int = N_BATCHES) -> Floats:
    """The windows in ms that hold the given active fractions, in each of `n_stretches` disjoint stretches of the record.

    Returns
    -------
    array of float, shape (n_stretches, n_fractions)
        NaN where no window of a stretch reaches a fraction. Its spread over stretches is how steady the windows are over time.
    """
    checks.whole("n_stretches", n_stretches)
    edges = spikes.duration_ticks * np.arange(n_stretches + 1) // n_stretches * spikes.tick_ms
    curves = [activity_curve(spikes.between(start, stop)) for start, stop in itertools.pairwise(edges.tolist())]
    windows = [[curve.window_ms(fraction) for fraction in fractions] for curve in curves]
    return np.array([[np.nan if w is None else w for w in row] for row in windows])


def spike_counts(spikes: SpikeTrains, window_ms: float) -> NDArray[np.int64]:
    """Spikes of each unit in consecutive windows, shape (n_windows, n_units); a last part-window is left out.

    A spike at tick t lies in window t // w: on an edge it belongs to the window that begins there.
    """
    window = spikes.window_ticks(window_ms)
    n_windows = spikes.duration_ticks // window
    cell = (spikes.ticks // window) * spikes.n_units + spikes.units
    cells = n_windows * spikes.n_units
    return np.bincount(cell[cell < cells], minlength=cells).reshape(n_windows, spikes.n_units)


def activity_curve(spikes: SpikeTrains) -> ActivityCurve:
    """The active fraction as a function of the window, exact for every window. See `ActivityCurve`."""
    return _curve_of_gaps(spikes, _gaps(spikes, *_by_unit(spikes))[0])


def _curve_of_gaps(spikes: SpikeTrains, gaps: NDArray[np.int64]) -> ActivityCurve:
    return ActivityCurve.of_gaps(gaps, spikes.n_units, spikes.duration_ticks, spikes.tick_ms)


def active_fraction(spikes: SpikeTrains, window_ms: float) -> float:
    """The share of units that fire at least once in a window, averaged over all positions of the window in the record.

    Examples
    --------
    >>> spikes = SpikeTrains([2.0], [0], n_units=2, duration_ms=10.0, dt_ms=1.0)
    >>> active_fraction(spikes, 10.0)   # one of two units fires
    0.5
    """
    return float(activity_curve(spikes)(spikes.window_ticks(window_ms) * spikes.tick_ms))


def _gaps(
    spikes: SpikeTrains, units: NDArray[np.int64], ticks: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Gaps between the spikes of a unit in ticks, the unit and the closing spike of each.

    The ends of the record count as spikes at -1 and at duration_ticks, so a unit with k spikes has k + 1 gaps.
    """
    n, end = spikes.n_units, spikes.duration_ticks
    counts = spikes.counts
    last = np.cumsum(counts + 1) - 1  # where the last gap of each unit goes
    closing = np.empty(ticks.size + n, dtype=np.int64)
    closing[np.arange(ticks.size) + units] = ticks
    closing[last] = end
    opening = np.empty_like(closing)
    opening[1:] = closing[:-1]
    opening[last - counts] = -1
    return closing - opening, np.repeat(np.arange(n), counts + 1), closing


def _by_unit(spikes: SpikeTrains) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The unit and the tick of each spike, sorted by unit and then by time."""
    # one sort of plain integers takes a tenth of an argsort's time
    keys = np.sort(spikes.units * spikes.duration_ticks + spikes.ticks)
    units = keys // spikes.duration_ticks
    return units, keys - units * spikes.duration_ticks


def _batch_fractions(spikes: SpikeTrains, window: int, gaps: NDArray[np.int64], closing: NDArray[np.int64]) -> Floats:
    """The active fraction of each of up to N_BATCHES disjoint stretches of the record; empty if not three hold a window.

    No window reaches from one stretch into the next, so that only the activity itself, not the measure, ties them together.
    """
    n_batches = min(N_BATCHES, spikes.duration_ticks // window)
    if n_batches < 3:
        return np.empty(0)
    edges = spikes.duration_ticks * np.arange(n_batches + 1) // n_batches
    starts, stops = edges[:-1], edges[1:] - window + 1  # positions of the window within each stretch
    # The window [s, s + w) first meets the spike at `closing` for s from `first` to `closing`: active (unit, position) pairs.
    is_spike = closing < spikes.duration_ticks
    stop = closing[is_spike] + 1
    first = stop - np.minimum(gaps[is_spike], window)
    at = np.stack([starts, stops], axis=1).ravel()  # ascending
    pairs_before = _summed_past(first, at) - _summed_past(stop, at)
    return (pairs_before[1::2] - pairs_before[::2]) / (spikes.n_units * (stops - starts))


def _summed_past(points: NDArray[np.int64], at: NDArray[np.int64]) -> Floats:
    """sum over points p < x of x - p, for each x of the ascending `at`."""
    slot = np.searchsorted(at, points, side="right")
    number, total = (np.bincount(slot, weights, at.size + 1)[:-1].cumsum() for weights in (None, points))
    return at.astype(np.float64) * number - total


def _grouped_sparseness(groups: NDArray[np.int64], counts: NDArray[np.int64], n: int) -> Sparseness:
    """Mean sparseness over groups of n counts each, of which only the positive ones are given."""
    if groups.size == 0:
        return Sparseness(None, None, None, None, n_averaged=0)
    above = int(counts.max()) + 1
    if int(groups.max()) < _INT64 // above - 1:
        groups, counts = np.divmod(np.sort(groups * above + counts), above)  # a tenth of the time of the other way
    else:
        order = np.lexsort((counts, groups))
        groups, counts = groups[order], counts[order]
    values = counts.astype(np.float64)
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    sizes = np.diff(starts, append=groups.size)
    # ascending rank k among all n, the n - size zeros first
    rank = np.arange(groups.size) - np.repeat(starts, sizes) + 1 + n - np.repeat(sizes, sizes)
    total, square_total, ranked_total = (
        np.add.reduceat(v, starts) for v in (values, values**2, values * (n - rank + 0.5) / n)
    )
    return _mean_sparseness(_measures(total, square_total, ranked_total, n).sum(axis=-1), starts.size)


def describe_spikes(
    spikes: SpikeTrains, active_when: ActiveWhen, *, name: str = "spikes", provenance: Mapping[str, Any] | None = None
) -> ActivityStats:
    """All statistics of spikes.

    `active_fraction` and the curve use every position of the window; population and lifetime sparseness use spike counts in
    consecutive windows.

    Raises
    ------
    ValueError
        Where `active_when` has no window, or one that does not fit into the record or on its grid.
    """
    if active_when.window_ms is None:
        raise ValueError("spikes need a window: pass ActiveWhen(window_ms=...), not a threshold")
    return _describe_windows(spikes, [active_when], name, provenance)[0]


def describe_windows(
    spikes: SpikeTrains,
    windows_ms: Iterable[float],
    *,
    name: str = "spikes",
    provenance: Mapping[str, Any] | None = None,
) -> list[ActivityStats]:
    """`describe_spikes` for each of several windows; faster than one by one, since they share the curve, rates and intervals."""
    return _describe_windows(spikes, [ActiveWhen(window_ms=w) for w in windows_ms], name, provenance)


def _describe_windows(
    spikes: SpikeTrains, definitions: list[ActiveWhen], name: str, provenance: Mapping[str, Any] | None
) -> list[ActivityStats]:
    windows = [
        spikes.window_ticks(definition.window_ms) for definition in definitions
    ]  # all refused before any is counted
    units, ticks = _by_unit(spikes)
    gaps, gap_units, closing = _gaps(spikes, units, ticks)
    curve = _curve_of_gaps(spikes, gaps)
    rates = firing_rates_hz(spikes)
    cv = _isi_cv(units, ticks, spikes.n_units, MIN_INTERVALS)

    def in_window(active_when: ActiveWhen, window: int) -> ActivityStats:
        positions = spikes.duration_ticks - window + 1
        missed = np.bincount(gap_units, np.maximum(gaps - window, 0), spikes.n_units)
        n_windows = spikes.duration_ticks // window
        cell = units * n_windows + ticks // window
        cell = cell[ticks < n_windows * window]  # sorted, so that equal cells stand together
        first_in_cell = np.flatnonzero(np.diff(cell, prepend=-1))
        counts = np.diff(first_in_cell, append=cell.size)
        cell_unit, cell_window = np.divmod(cell[first_in_cell], n_windows)
        fraction = float(curve(window * spikes.tick_ms))
        return ActivityStats(
            name=name,
            kind="spikes",
            active_when=active_when,
            active_fraction=fraction,
            interval=_interval(
                fraction,
                _batch_fractions(spikes, window, gaps, closing),
                n_units=spikes.n_units,
                n_most=spikes.n_units * positions / window,
                repeats="stretches of the record",
            ),
            n_units=spikes.n_units,
            n_samples=positions,
            n_silent=int((rates == 0).sum()),
            population=_grouped_sparseness(cell_window, counts, spikes.n_units),
            lifetime=_grouped_sparseness(cell_unit, counts, n_windows),
            unit_active_fraction=(positions - missed) / positions,
            effective_dimension=_dimension_of_counts(cell_window, cell_unit, counts, n_windows, spikes.n_units),
            n_spikes=len(spikes),
            duration_ms=spikes.duration_ms,
            mean_rate_hz=float(rates.mean()),
            median_rate_hz=float(np.median(rates)),
            isi_cv=float(np.nanmean(cv)) if np.isfinite(cv).any() else None,
            unit_rates_hz=rates,
            curve=curve,
            provenance=provenance or {},
        )

    return [in_window(definition, window) for definition, window in zip(definitions, windows, strict=True)]


# ---- Activations ----------------------------------------------------------------------------------------------------


def observe(activations: ArrayLike, active_when: ActiveWhen, name: str = "activations") -> Activations:
    """The record of one batch of activations; add records to stream: `observe(a) + observe(b)`.

    Parameters
    ----------
    activations : array of float, any shape
        Axis `active_when.axis` (by default the last) holds the units, every other axis samples. Along the first of those axes they
        are taken as independent (the inputs of a batch), along the others not (the positions of a convolution, time).

    Raises
    ------
    ValueError
        On NaN, infinity, an empty batch, or a definition without a threshold.
    """
    threshold = _threshold(active_when)
    values = np.atleast_1d(checks.finite_array(f"activations of {name!r}", activations))
    if values.size == 0:
        raise ValueError(f"activations of {name!r} are empty, shape {values.shape}: nothing to measure")
    values = np.atleast_2d(np.moveaxis(values, units_axis(active_when, values.ndim, values.shape), -1))
    magnitude = np.abs(values)
    if (most := magnitude.max()) > MOST_MAGNITUDE:
        raise ValueError(f"activations of {name!r} must be below {MOST_MAGNITUDE:g}, got {most:g}: too large to square")
    active = magnitude > threshold
    samples = tuple(range(values.ndim - 1))
    # sparseness does not depend on scale; with a largest entry of 1 in each sample no square overflows or vanishes
    scaled = magnitude / np.maximum(magnitude.max(axis=-1, keepdims=True), np.finfo(float).tiny)
    return from_margins(
        name,
        active_when,
        units=np.stack([a.sum(axis=samples) for a in (active, magnitude, np.square(magnitude))]),
        samples=np.stack([a.sum(axis=-1) for a in (active, scaled, np.square(scaled))]).reshape(3, len(values), -1),
        n_zero=int((magnitude == 0).sum()),
        some=(rows := values.reshape(len(values), -1, values.shape[-1]))[:, few_positions(rows.shape[1])],
    )


def _threshold(active_when: ActiveWhen) -> float:
    if active_when.threshold is None:
        raise ValueError("activations need a threshold: pass ActiveWhen(threshold=...), not a window")
    return active_when.threshold


def units_axis(active_when: ActiveWhen, n_axes: int, shape: Sequence[int]) -> int:
    """The axis of the units of activations of that shape, counted from 0; a ValueError where there is none."""
    axis = -1 if active_when.axis is None else active_when.axis
    if not -n_axes <= axis < n_axes:
        raise ValueError(f"axis {axis} does not exist in activations of shape {tuple(shape)}")
    return axis % n_axes


def few_positions(n: int) -> list[int]:
    """At most `FEW` of n positions, by the golden ratio: clear of a map's edges, and never in step with its rows."""
    return list(range(n)) if n <= FEW else [int(n * (k * _GOLDEN % 1)) for k in range(1, FEW + 1)]


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
    total, square = samples[1:]
    if not (defined := square > 0).all():
        total, square = total[defined], square[defined]
    # Treves-Rolls, from which Vinje-Gallant and Hoyer follow
    fractions = np.clip(total**2 / (n_units * square), 1 / n_units, 1.0)
    span, root_span = (1 - 1 / n_units, 1 - 1 / np.sqrt(n_units)) if n_units > 1 else (np.nan, np.nan)
    sums = fractions.sum(), np.sum(1 - fractions) / span, np.sum(1 - np.sqrt(fractions)) / root_span
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
        population_sums=np.array([*sums, _gini_of_ascending(ranked).sum()]),
        n_population=fractions.size,
        n_ranked=len(ranked),
        n_zero=n_zero,
        sample_keys=keys,
        sample=sample,
    )


def _sample(rows: Floats) -> tuple[NDArray[np.uint64], Floats]:
    """At most `KEPT` rows with any activity, shape (n, n_units), and their keys.

    A key is a number scrambled from the row's own sum. So what is kept is spread over the whole stream, whatever its order (by
    class, as data often are), and does not hang on how it is cut into batches.
    """
    rows = rows.astype(np.float64)
    totals = np.abs(rows).sum(axis=1)
    keys = totals.view(np.uint64).copy()
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # SplitMix64 (Steele et al. 2014)
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    keys ^= keys >> np.uint64(31)
    order = np.argsort(keys, kind="stable")
    order = order[totals[order] > 0][:KEPT]
    return keys[order], rows[order]


def effective_dimension(samples: ArrayLike) -> float | None:
    """Effective dimension (tr C)^2 / tr(C^2) of the covariance C between units: its participation ratio; None if nothing varies.

    k where activity varies equally along k directions and along no other. C itself is never formed: with d the difference of two
    independent samples, E |d|^2 = 2 tr C, and for two such differences E (d . d')^2 = 4 tr(C^2). The mean over pairs of
    differences is unbiased for tr(C^2), where the covariance of a few samples is not (Gao et al. 2017, bioRxiv 214262, define
    the dimension).

    Parameters
    ----------
    samples : array of float, shape (n_samples, n_units)
        In an order that means nothing: each of the first half is taken from one of the second.

    Examples
    --------
    >>> round(effective_dimension(np.random.default_rng(0).normal(size=(2000, 10))))
    10
    """
    values = checks.finite_array("samples", samples)
    half = len(values) // 2
    differences = values[:half] - values[half : 2 * half]
    return _dimension(differences @ differences.T)


def _dimension(products: Floats) -> float | None:
    """The effective dimension from the products of all differences, shape (n, n)."""
    n, squares = len(products), np.diagonal(products)
    off_diagonal = float(np.square(products).sum() - np.square(squares).sum())
    if n < 2 or off_diagonal <= 0:
        return None
    return float(squares.mean() ** 2 / (off_diagonal / (n * (n - 1))))


def _dimension_of_counts(
    windows: NDArray[np.int64], units: NDArray[np.int64], counts: NDArray[np.int64], n_windows: int, n_units: int
) -> float | None:
    """The effective dimension of spike counts in windows, from differences of windows half a record apart."""
    half = min(n_windows, KEPT) // 2
    if half < 2:
        return None
    chosen = np.arange(2 * half) * n_windows // (2 * half)
    row = np.full(n_windows, -1)
    row[chosen] = np.arange(2 * half)
    inside = row[windows] >= 0
    table = csr_array((counts[inside].astype(float), (row[windows[inside]], units[inside])), shape=(2 * half, n_units))
    differences = table[:half] - table[half:]
    return _dimension((differences @ differences.T).toarray())


def describe_activations(
    activations: Activations, *, name: str | None = None, provenance: Mapping[str, Any] | None = None
) -> ActivityStats:
    """All statistics of a record of activations. Lifetime Gini needs every value at once, so a stream has none."""
    n, width = activations.n_samples, activations.n_units
    unit_fraction = activations.active_count / n
    fraction = float(unit_fraction.mean())
    # whole numbers until the last division: a difference of floats would not be 0 for samples that do not differ
    repeats = activations.n_repeats
    spread = repeats * activations.square_count_sum - int(activations.active_count.sum()) ** 2
    variance = spread / (n * width) ** 2
    alive = activations.square_sum > 0  # not magnitude_sum: squares below 1e-308 are lost
    with np.errstate(invalid="ignore"):  # NaN for a lone sample
        lifetime = _measures(activations.magnitude_sum[alive], activations.square_sum[alive], np.zeros(alive.sum()), n)
    lifetime[3] = np.nan
    return ActivityStats(
        name=name or activations.name,
        kind="activations",
        active_when=activations.active_when,
        active_fraction=fraction,
        interval=_interval_from_variance(
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
        population=_mean_sparseness(activations.population_sums, activations.n_population, activations.n_ranked),
        lifetime=_mean_sparseness(lifetime.sum(axis=-1), int(alive.sum())),
        unit_active_fraction=unit_fraction,
        effective_dimension=effective_dimension(activations.sample),
        zero_fraction=activations.n_zero / (n * width),
        mean_magnitude=float(activations.magnitude_sum.sum() / (n * width)),
        unit_mean_magnitude=activations.magnitude_sum / n,
        provenance=provenance or {},
    )


# ---- Intervals ------------------------------------------------------------------------------------------------------


def _interval(fraction: float, repeats_of_it: Floats, *, n_units: int, n_most: float, repeats: str) -> Interval:
    n = repeats_of_it.size
    variance = float(repeats_of_it.var(ddof=1) / n) if n > 1 else 0.0
    return _interval_from_variance(fraction, variance, n_repeats=n, n_units=n_units, n_most=n_most, repeats=repeats)


def _interval_from_variance(
    fraction: float, variance: float, *, n_repeats: int, n_units: int, n_most: float, repeats: str
) -> Interval:
    """Wilson's interval at the effective sample size that the spread between independent repeats shows.

    Units of one circuit and neighbouring windows share their input, so (unit, window) pairs are not independent trials: the
    variance between repeats says how many trials they are worth, with Student's t for the few repeats (Korn & Graubard 1998).
    Where repeats do not differ, or there is one, units are taken as independent, and the method says so.
    """
    z = _distributions.norm.ppf(0.5 + CONFIDENCE / 2)
    if n_repeats > 1 and variance > 0:
        t = _distributions.t.ppf(0.5 + CONFIDENCE / 2, n_repeats - 1)
        trials = min(fraction * (1 - fraction) / variance, n_most) * (z / t) ** 2
        method = f"Wilson, effective sample size from {n_repeats} {repeats}"
    else:
        trials = float(n_units)
        method = f"Wilson, {n_units} units taken as independent"
    centre = (fraction + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(fraction * (1 - fraction) / trials + z**2 / (4 * trials**2))
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return Interval(float(min(low, fraction)), float(max(high, fraction)), CONFIDENCE, method)
