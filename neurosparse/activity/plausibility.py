"""Plausibility of strangers' spikes: units of time, ids, duplicates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurosparse.activity.given import check_spikes
from neurosparse.activity.spike_trains import SpikeTrains

FEWEST_SPIKES = 10  # below which nothing can be said
HIGHEST_MEAN_HZ = 1000.0  # no neuron fires faster for long
UNUSUAL_HZ = (0.01, 500.0)
FIRST_SHARE = 1e-3  # what seconds taken for milliseconds fill of a record
DUPLICATE_SHARE = 0.01
SILENT_SHARE = 0.05  # of the time observed, at its start or end
SURELY_SPIKES = 10.0  # which the mean rate lets expect in a silence that is no chance
SHORT_SHARE = 0.01  # of the time observed, in pieces that hold no window
REMEDY = (
    ": give times and duration in ms, or with their units (SpikeTrains.from_seconds takes seconds);"
    " where it is so, give dt_ms, the grid of the times"
)
_WHOLE_MS = 1e-6  # what float64 leaves of a whole number of ms


@dataclass(frozen=True, slots=True)
class Plausibility:
    """Reason why spikes cannot be what they are taken for, and what is unusual about them."""

    refusal: str | None
    notes: tuple[str, ...]


def plausibility(spikes: SpikeTrains) -> Plausibility:
    """Return why spikes cannot be right, and what is worth a note; a sentence each.

    Refused are a mean rate above 1,000 Hz over the units that fire, and records whose spikes all
    lie in the first thousandth of the time observed. So look times in another unit. Fewer than 10
    spikes say nothing.

    Examples
    --------
    >>> seconds = SpikeTrains(np.arange(20) * 0.1, [0] * 20, n_units=1, duration_ms=2000)
    >>> plausibility(seconds).refusal
    'all 20 spikes lie within the first thousandth of the record, 2 of 2000 ms'
    """
    check_spikes(spikes)
    if len(spikes) < FEWEST_SPIKES:
        return Plausibility(None, ())
    keys = spikes.ticks * spikes.n_units + spikes.units  # in order, as spikes are
    return Plausibility(_refusal(spikes), notes_on(spikes, int((np.diff(keys) == 0).sum())))


def notes_on(spikes: SpikeTrains, n_repeated: int) -> tuple[str, ...]:
    """Return what is unusual about spikes, of which `n_repeated` repeat another of their unit."""
    check_spikes(spikes)
    if len(spikes) < FEWEST_SPIKES:
        return ()
    notes = (
        _whole_numbers(spikes),
        _rates(spikes),
        _duplicates(len(spikes), n_repeated),
        _swapped(spikes),
        *_silences(spikes),
    )
    return tuple(note for note in notes if note)


def note_on_pieces(spikes: SpikeTrains, window: int) -> tuple[str, ...]:
    """Return a note where pieces of a record are shorter than a window of so many ticks."""
    lengths = spikes.interval_lengths_ticks
    short = lengths < window
    if lengths[short].sum() < SHORT_SHARE * spikes.observed_ticks:
        return ()
    used_s, all_s = (ticks.sum() * spikes.tick_ms * 1e-3 for ticks in (lengths[~short], lengths))
    return (
        f"{int(short.sum()):,} of the {lengths.size:,} pieces of the record are shorter than the"
        f" window: the active fraction rests on {used_s:.4g} of the {all_s:.4g} s observed, rates"
        " on all.",
    )


def refuse_implausible(spikes: SpikeTrains) -> None:
    """Refuse spikes that cannot be right, with the remedy.

    Raises
    ------
    ValueError
        Where `plausibility` finds a reason.
    TypeError
        Where an argument is of another kind.
    """
    check_spikes(spikes)
    if len(spikes) >= FEWEST_SPIKES and (reason := _refusal(spikes)) is not None:
        raise ValueError(reason + REMEDY)


def _refusal(spikes: SpikeTrains) -> str | None:
    firing = int((spikes.counts > 0).sum())
    mean_hz = len(spikes) / firing / (spikes.observed_ms * 1e-3)
    if mean_hz > HIGHEST_MEAN_HZ:
        return (
            f"the mean rate of the {firing:,} units that fire is {mean_hz:,.0f} Hz, and no neuron"
            f" fires above {HIGHEST_MEAN_HZ:,.0f} Hz for long"
        )
    first_ms = FIRST_SHARE * spikes.duration_ms
    if spikes.times_ms[-1] <= first_ms:
        return (
            f"all {len(spikes):,} spikes lie within the first thousandth of the record,"
            f" {first_ms:g} of {spikes.duration_ms:g} ms"
        )
    return None


def _whole_numbers(spikes: SpikeTrains) -> str | None:
    if spikes.dt_ms is not None:
        return None
    from_first = spikes.times_ms - spikes.times_ms[0]
    for unit_ms, unit in ((1000.0, "s"), (1.0, "ms")):
        if from_first[-1] and np.abs(from_first - np.rint(from_first / unit_ms) * unit_ms).max() < (
            _WHOLE_MS
        ):
            return (
                f"All spike times are whole numbers of {unit}; if they are samples, divide them by"
                " the sampling rate."
            )
    return None


def _rates(spikes: SpikeTrains) -> str | None:
    counts = spikes.counts[spikes.counts > 0]
    low, high = (float(f(counts)) / (spikes.observed_ms * 1e-3) for f in (np.min, np.max))
    if low > UNUSUAL_HZ[1]:
        return (
            f"Every unit that fires does so at more than {UNUSUAL_HZ[1]:g} Hz, from {low:.3g} Hz."
        )
    if high < UNUSUAL_HZ[0]:
        return f"No unit fires at more than {high:.2g} Hz; is the duration right?"
    return None


def _duplicates(n_spikes: int, n_repeated: int) -> str | None:
    if n_repeated < DUPLICATE_SHARE * n_spikes:
        return None
    return (
        f"{n_repeated:,} of {n_spikes:,} spikes repeat another of their unit at its very time:"
        " leave duplicates out."
    )


def _silences(spikes: SpikeTrains) -> list[str]:
    """Return a note where all units were silent for long at the start or end of the record.

    So look the warm-up before a monitor was there, and a record that ended earlier.
    """
    starts, stops = spikes.interval_ticks.T
    first, last = (np.clip(t, starts, stops) for t in (spikes.ticks[0], spikes.ticks[-1] + 1))
    observed_s, notes = spikes.observed_ms * 1e-3, []
    for end, silent in (("first", (first - starts).sum()), ("last", (stops - last).sum())):
        share = float(silent / spikes.observed_ticks)
        if share >= SILENT_SHARE and share * len(spikes) >= SURELY_SPIKES:
            notes.append(
                f"No unit fired in the {end} {share * observed_s:.4g} s of the {observed_s:.4g} s"
                " observed: if they were not recorded then, give the start and the duration."
            )
    return notes


def _swapped(spikes: SpikeTrains) -> str | None:
    units = int((spikes.counts > 0).sum())
    if units <= len(spikes) / 2:
        return None
    times = np.unique(spikes.ticks).size
    if times <= len(spikes) / 10:
        return (
            f"Spikes are of {units:,} units and at only {times:,} times; are times and ids swapped?"
        )
    return None
