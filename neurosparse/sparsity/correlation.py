"""Correlation between units, by numbers of spikes in bins."""

from __future__ import annotations

import numpy as np

from neurosparse._internal import checks
from neurosparse.activity import SpikeTrains
from neurosparse.activity.given import check_spikes
from neurosparse.sparsity.firing import by_unit, filled_windows, windows_of

_PARTS_OF_A_BIN = (2 / 3, 1 / 2, 2 / 5)  # a rhythm that fits into a bin does not fit into each
_HIDDEN = 4.0  # times less synchrony than in a shorter bin: a rhythm fits into the bin


def synchrony(spikes: SpikeTrains, bin_ms: float = 3.0, *, n_cells: int | None = None) -> float:
    """Return the variance over the mean of the number of spikes of all units in bins of `bin_ms`.

    It is 1 for independent Poisson cells. The measure of Potjans & Diesmann 2014 (figure 6), who
    take 1,000 cells and 3 ms; it grows with the number of cells wherever they are correlated. A
    last part-bin of an interval of observation is left out.

    Parameters
    ----------
    spikes
        The spikes of all units.
    bin_ms
        The width of a bin. Bins into which a common rhythm fits a whole number of times cannot see
        it, and are refused.
    n_cells
        Give what a random choice of so many of the cells has on average; None: all cells.

    Raises
    ------
    ValueError
        Where there are fewer than two bins, no spikes in them, fewer cells than `n_cells`, or a
        rhythm that the bins hide.
    TypeError
        Where an argument is of another kind.

    Examples
    --------
    >>> clocks = np.repeat(np.arange(0, 300, 3.0), 50)
    >>> spikes = SpikeTrains(clocks, np.tile(np.arange(50), 100), n_units=50, duration_ms=300)
    >>> round(synchrony(spikes, 2.0), 1)
    16.8
    """
    check_spikes(spikes)
    width, n_bins = _bins(spikes, bin_ms)
    bins = windows_of(spikes, spikes.ticks, width)[0]
    if not (bins >= 0).any():
        raise ValueError("there are no spikes: silence has no synchrony")
    found = _fano(spikes, width)
    shorter = {max(1, round(width * part)) for part in _PARTS_OF_A_BIN} - {width}
    most, in_bin = max(((_fano(spikes, part), part) for part in shorter), default=(0.0, 0))
    if most > 2 and most > _HIDDEN * found:
        raise ValueError(
            f"a common rhythm fits into bins of bin_ms={spikes.tick_ms * width:g} a whole number of"
            f" times, so that they hide it: take bins of {spikes.tick_ms * in_bin:g} ms, in which"
            f" synchrony is {most:,.4g} and not {found:.2g}"
        )
    if n_cells is None:
        return found
    n_cells = checks.whole("n_cells", n_cells)
    if n_cells > spikes.n_units:
        raise ValueError(f"n_cells must be at most n_units={spikes.n_units:,}, got {n_cells:,}")
    # the variance of a sum over n cells has n variances and n (n - 1) covariances
    alone = _fano_of_cells(spikes, width, n_bins)
    return alone + (found - alone) * (n_cells - 1) / max(spikes.n_units - 1, 1)


def _fano(spikes: SpikeTrains, width: int) -> float:
    """Return the variance over the mean of the spikes of all units in bins of `width` ticks."""
    bins, n_bins = windows_of(spikes, spikes.ticks, width)
    counts = np.bincount(bins[bins >= 0], minlength=n_bins)
    return float(counts.var(ddof=1) / counts.mean()) if counts.any() else 0.0


def _fano_of_cells(spikes: SpikeTrains, width: int, n_bins: int) -> float:
    """Return the sum over cells of the variance of their counts, over that of the means."""
    units, ticks = by_unit(spikes)
    units, _, counts = filled_windows(units, windows_of(spikes, ticks, width)[0], n_bins)
    total, squares = (np.bincount(units, counts**power, spikes.n_units) for power in (1, 2))
    variances = (squares - total**2 / n_bins) / (n_bins - 1)
    return float(variances.sum() / (total.sum() / n_bins))


def count_correlation(spikes: SpikeTrains, bin_ms: float = 2.0) -> float:
    """Return Pearson's correlation of the spike counts of two units, averaged over pairs.

    Counts are those in bins of `bin_ms`, pairs all those of units that fire.

    It is the mean of the off-diagonal part of the correlation matrix, exactly, without the matrix.
    With z_i the standardised counts of n units, Var(sum_i z_i) = n + n (n - 1) mean(rho_ij). So one
    pass over the spikes serves any number of units. Units whose count is the same in every bin,
    such as silent ones, have no correlation and are left out; so is a last part-bin of an interval
    of observation. Van Albada et al. 2018, Front Neurosci 12:291, take 2 ms.

    Raises
    ------
    ValueError
        Where there are fewer than two bins, or fewer than two units whose counts vary.
    TypeError
        Where an argument is of another kind.

    Examples
    --------
    >>> together = SpikeTrains([1.0, 1.0, 5.0, 5.0], [0, 1, 0, 1], n_units=2, duration_ms=8.0, dt_ms=1.0)
    >>> round(count_correlation(together), 9)
    1.0
    """  # noqa: E501
    check_spikes(spikes)
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
    """Return the width of bins in ticks, and how many whole ones the intervals hold."""
    bin_ms = checks.positive("bin_ms", bin_ms)
    width = spikes.window_ticks(bin_ms)
    n_bins = int((spikes.interval_lengths_ticks // width).sum())
    if n_bins < 2:
        raise ValueError(
            f"bin_ms must fit into the record at least twice, got {bin_ms:g} in"
            f" {spikes.observed_ms:g} ms"
        )
    return width, n_bins
