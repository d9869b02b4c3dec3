"""All statistics of spikes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import checks
from neurosparse.activity import ActiveWhen, ActivityStats, Sparseness, SpikeTrains, notes_on
from neurosparse.activity.given import check_active_when, check_spikes
from neurosparse.activity.plausibility import note_on_pieces
from neurosparse.sparsity.confidence import over_cells, over_time
from neurosparse.sparsity.dimension import dimension_of_counts
from neurosparse.sparsity.firing import (
    by_unit,
    filled_windows,
    firing_rates_hz,
    windows_of,
)
from neurosparse.sparsity.regularity import of_sorted
from neurosparse.sparsity.sparseness import (
    gini_of_ranked,
    mean_sparseness,
    of_moments,
    rank_weights,
)
from neurosparse.sparsity.windows import batch_fractions, curve_of_gaps, gaps_between

_INT64 = 2**63


def describe_spikes(
    spikes: SpikeTrains,
    active_when: ActiveWhen,
    *,
    name: str = "spikes",
    provenance: Mapping[str, object] | None = None,
) -> ActivityStats:
    """Return all statistics of spikes.

    `active_fraction` and the curve use every position of the window; population and lifetime
    sparseness use spike counts in consecutive windows. No window spans two intervals of
    observation, and an interval shorter than the window adds to rates alone.

    Raises
    ------
    ValueError
        Where `active_when` has no window, or one that does not fit into the record or on its grid.
    TypeError
        Where an argument is of another kind.
    """
    check_spikes(spikes)
    check_active_when(active_when)
    if active_when.window_ms is None:
        raise ValueError("spikes need a window: pass ActiveWhen(window_ms=...), not a threshold")
    return _describe_windows(spikes, [active_when], name, provenance)[0]


def describe_windows(
    spikes: SpikeTrains,
    windows_ms: Iterable[float],
    *,
    name: str = "spikes",
    provenance: Mapping[str, object] | None = None,
) -> list[ActivityStats]:
    """Return `describe_spikes` for each of several windows, faster than one by one.

    They share the curve, rates and intervals.
    """
    check_spikes(spikes)
    checks.instance("windows_ms", windows_ms, Iterable)
    return _describe_windows(
        spikes, [ActiveWhen(window_ms=w) for w in windows_ms], name, provenance
    )


def _describe_windows(
    spikes: SpikeTrains,
    definitions: list[ActiveWhen],
    name: str,
    provenance: Mapping[str, object] | None,
) -> list[ActivityStats]:
    # all refused before any is counted
    windows = [spikes.window_ticks(definition.window_ms) for definition in definitions]
    units, ticks = by_unit(spikes)
    gaps, gap_units, closing, is_spike = gaps_between(spikes, units, ticks)
    curve = curve_of_gaps(spikes, gaps)
    rates = firing_rates_hz(spikes)
    of_intervals = of_sorted(spikes, units, ticks)
    notes = notes_on(spikes, int(((np.diff(ticks) == 0) & (np.diff(units) == 0)).sum()))

    def in_window(active_when: ActiveWhen, window: int) -> ActivityStats:
        positions = int(np.maximum(spikes.interval_lengths_ticks - window + 1, 0).sum())
        missed = np.bincount(gap_units, np.maximum(gaps - window, 0), spikes.n_units)
        windows, n_windows = windows_of(spikes, ticks, window)
        cell_unit, cell_window, counts = filled_windows(units, windows, n_windows)
        dimension, dimension_interval = dimension_of_counts(
            cell_window, cell_unit, counts, n_windows, spikes.n_units
        )
        fraction = float(curve(window * spikes.tick_ms))
        of_units = (positions - missed) / positions
        in_time = over_time(
            fraction,
            batch_fractions(spikes, window, gaps, closing, is_spike),
            n_units=spikes.n_units,
            n_most=spikes.n_units * positions / window,
            duration_s=spikes.observed_ms * 1e-3,
        )
        return ActivityStats(
            name=name,
            kind="spikes",
            active_when=_used(active_when, window * spikes.tick_ms),
            active_fraction=fraction,
            interval=in_time,
            interval_over_cells=over_cells(of_units, in_time, n_windows=positions / window),
            n_units=spikes.n_units,
            n_samples=positions,
            n_silent=int((rates == 0).sum()),
            population=_grouped_sparseness(cell_window, counts, spikes.n_units),
            lifetime=_grouped_sparseness(cell_unit, counts, n_windows),
            unit_active_fraction=of_units,
            effective_dimension=dimension,
            effective_dimension_interval=dimension_interval,
            n_spikes=len(spikes),
            duration_ms=spikes.observed_ms,
            mean_rate_hz=float(rates.mean()),
            median_rate_hz=float(np.median(rates)),
            isi_cv=of_intervals.cv,
            isi_cv_interval=of_intervals.cv_interval,
            isi_cv2=of_intervals.cv2,
            isi_lv=of_intervals.lv,
            n_isi_cells=of_intervals.n_cells,
            unit_rates_hz=rates,
            curve=curve,
            notes=(*notes, *note_on_pieces(spikes, window)),
            provenance=provenance or {},
        )

    return [
        in_window(definition, window)
        for definition, window in zip(definitions, windows, strict=True)
    ]


def _used(active_when: ActiveWhen, window_ms: float) -> ActiveWhen:
    """Return the definition with the window that was used, where the grid holds only another."""
    asked = active_when.window_ms or 0.0
    return (
        active_when
        if abs(window_ms - asked) < 1e-6 * asked
        else replace(active_when, window_ms=window_ms)
    )


def _grouped_sparseness(groups: NDArray[np.int64], counts: NDArray[np.int64], n: int) -> Sparseness:
    """Return the mean sparseness over groups of n counts each.

    Only the positive counts are given.
    """
    if groups.size == 0:
        return Sparseness(None, None, None, None, n_averaged=0)
    above = int(counts.max()) + 1
    if int(groups.max()) < _INT64 // above - 1:
        # a tenth of the time of the other way
        groups, counts = np.divmod(np.sort(groups * above + counts), above)
    else:
        order = np.lexsort((counts, groups))
        groups, counts = groups[order], counts[order]
    values = counts.astype(np.float64)
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    sizes = np.diff(starts, append=groups.size)
    # ascending rank k among all n, the n - size zeros first
    rank = np.arange(groups.size) - np.repeat(starts, sizes) + 1 + n - np.repeat(sizes, sizes)
    total, square_total, ranked_total = (
        np.add.reduceat(v, starts) for v in (values, values**2, values * rank_weights(rank, n))
    )
    measures = *of_moments(total, square_total, n), gini_of_ranked(total, ranked_total, n)
    return mean_sparseness((values.sum() for values in measures), starts.size)
