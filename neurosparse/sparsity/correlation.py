"""How much units fire together, in numbers of spikes in bins."""

from __future__ import annotations

import numpy as np

from neurosparse._internal import checks
from neurosparse.activity import SpikeTrains
from neurosparse.sparsity.firing import by_unit, filled_windows, windows_of


def synchrony(spikes: SpikeTrains, bin_ms: float = 3.0) -> float:
    """Variance over mean of the number of spikes of all units in bins of `bin_ms`: 1 for
    independent Poisson cells.

    The measure of Potjans & Diesmann 2014 (figure 6), who take 1,000 cells and 3 ms; it grows with
    the number of cells wherever they are correlated. A last part-bin of an interval of
    observation is left out.

    Raises
    ------
    ValueError
        Where there are fewer than two bins, or no spikes in them.
    """
    width, n_bins = _bins(spikes, bin_ms)
    bins = windows_of(spikes, spikes.ticks, width)[0]
    counts = np.bincount(bins[bins >= 0], minlength=n_bins)
    if not counts.any():
        raise ValueError("there are no spikes: silence has no synchrony")
    return float(counts.var(ddof=1) / counts.mean())


def count_correlation(spikes: SpikeTrains, bin_ms: float = 2.0) -> float:
    """Pearson's correlation of the spike counts of two units in bins of `bin_ms`, averaged over all
    pairs of units that fire.

    The mean of the off-diagonal part of the correlation matrix, exactly, without the matrix: with
    z_i the standardised counts of n units, Var(sum_i z_i) = n + n (n - 1) mean(rho_ij), so that one
    pass over the spikes serves any number of units. Units whose count is the same in every bin,
    such as silent ones, have no correlation and are left out; so is a last part-bin of an interval
    of observation. Van Albada et al. 2018, Front Neurosci 12:291, take 2 ms.

    Raises
    ------
    ValueError
        Where there are fewer than two bins, or fewer than two units whose counts vary.

    Examples
    --------
    >>> together = SpikeTrains([1.0, 1.0, 5.0, 5.0], [0, 1, 0, 1], n_units=2, duration_ms=8.0, dt_ms=1.0)
    >>> round(count_correlation(together), 9)
    1.0
    """  # noqa: E501
    bin_ms = checks.positive("bin_ms", bin_ms)
    width, n_bins = _bins(spikes, bin_ms)
    units, ticks = by_unit(spikes)
    bins = windows_of(spikes, ticks, width)[0]
    units, bins, counts = filled_windows(units, bins, n_bins)
    total, squares = (np.bincount(units, counts**power, spikes.n_units) for power in (1, 2))
    # whole numbers: a unit that never varies has 0, not a rounding
    spread = n_bins * squares - total**2
    n = int((spread > 0).sum())
    if n < 2:
        raise ValueError(
            f"correlation needs two units whose counts in bins of {bin_ms:g} ms vary, got {n}"
        )
    scale = np.divide(n_bins, np.sqrt(spread), where=spread > 0, out=np.zeros(spikes.n_units))
    together = np.bincount(bins, counts * scale[units], n_bins)
    return float((together.var() - n) / (n * (n - 1)))


def _bins(spikes: SpikeTrains, bin_ms: float) -> tuple[int, int]:
    """The width of bins in ticks, and how many whole ones the intervals hold."""
    bin_ms = checks.positive("bin_ms", bin_ms)
    width = spikes.window_ticks(bin_ms)
    n_bins = int((spikes.interval_lengths_ticks // width).sum())
    if n_bins < 2:
        raise ValueError(
            f"bin_ms must fit into the record at least twice, got {bin_ms:g} in"
            f" {spikes.observed_ms:g} ms"
        )
    return width, n_bins
