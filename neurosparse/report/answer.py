"""The answer of the page: plain sentences, and a row for each system on one axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from neurosparse import plots
from neurosparse.activity import WHOLE, ActivityStats
from neurosparse.comparison import (
    Comparison,
    band_in_words,
    circuit_window,
    milliseconds,
    percent,
)
from neurosparse.comparison.words import STEERED, quoted

# names in a provenance; TESTED_ON: "the 1,000 test images of mnist5k (handwritten digits)"
PENALTY, ERROR, TESTED_ON = "penalty", "test error", "tested on"
BAR_MS = (5.0, 20.0)  # the windows between which the bar of a circuit lies
_NO_WINDOW = "none of its record"
_FEWEST = 1e-4  # the least share that has a place on the axis


@dataclass(frozen=True, slots=True)
class System:
    """One row of the figure: where its share of active units lies, from 0 to 100 along the axis.

    Parameters
    ----------
    name, about
        Its name, and what its dot and its bar are.
    share
        What is written at the dot.
    at, low, high
        The places of the dot and of the ends of the bar.
    lit
        Squares of 100 that are lit.
    colour
        Its colour in all figures of the page.
    steered
        Whether it was trained until it was that sparse.
    """

    name: str
    about: str
    share: str
    at: float
    low: float
    high: float
    lit: int
    colour: str
    steered: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """The figure of the answer: its rows, its ticks and the band of the brain."""

    systems: tuple[System, ...]
    ticks: tuple[tuple[float, str], ...]
    band: tuple[float, float]
    band_words: str


def steered_to(stats: ActivityStats) -> float | None:
    """Return the share that a network was steered to, or None where its share was found."""
    share = stats.provenance.get(STEERED)
    return None if share is None else float(share)


def subject(comparison: Comparison) -> str:
    """Return what was compared in a few words, for titles."""
    if source := _source(comparison):
        return quoted(source)
    circuits, networks = [c.name for c in comparison.circuits], comparison.networks
    names = circuits[:2] or [n.name for n in networks[:2]]
    others = len(comparison.stats) - len(names)
    return _and([*map(quoted, names), *([f"{others} more"] if others else [])])


def _source(comparison: Comparison) -> str | None:
    """Return the recipe or file that all the cells are of, where the page is of one alone."""
    if WHOLE not in {c.name for c in comparison.circuits}:
        return None
    recipe, recording = (comparison.provenance.get(key) for key in ("recipe", "recording"))
    if recipe:
        return Path(str(recipe)).stem
    file = recording.get("file") if isinstance(recording, dict) else None
    return Path(str(file)).stem if file else None


def named_circuits(comparison: Comparison) -> list[ActivityStats]:
    """Return its circuits, with all cells of a source called by that: "mine (all)"."""
    source = _source(comparison)
    return [
        replace(c, name=f"{source} ({WHOLE})") if source and c.name == WHOLE else c
        for c in comparison.circuits
    ]


def sentences(comparison: Comparison) -> list[str]:
    """Return the answer: what was found in circuits and networks, then what was steered.

    The last sentence says which windows the brain's figure takes in each circuit.

    Examples
    --------
    >>> import neurosparse as ns
    >>> spikes = ns.SpikeTrains([1.0, 6.0], [0, 1], n_units=50, duration_ms=10.0, dt_ms=1.0)
    >>> circuit = ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=10), name="circuit")
    >>> sentences(ns.compare(circuit))[0]
    'In any 10 ms about 4 of 100 neurons fire in “circuit”.'
    """
    found = [c for c in named_circuits(comparison) if steered_to(c) is None]
    firing = [
        _firing(window, list(group))
        for window, group in groupby(found, lambda c: c.active_when.window_ms)
    ]
    return [*firing, *_networks(comparison.networks), *_windows(comparison, found)]


def overview(comparison: Comparison) -> Overview:
    """Return the figure of the answer: what was found first, then what was steered."""
    band, colours = comparison.band, plots.colours(comparison)
    ordered = sorted(
        (*comparison.circuits, *comparison.networks), key=lambda s: steered_to(s) is not None
    )
    ends = {s.name: _ends(s) for s in ordered}
    shares = [v for s in ordered for v in (s.active_fraction, *ends[s.name])] + [band.high]
    lowest = max(_FEWEST, min((v for v in [*shares, band.low] if v > 0), default=band.high))
    first = math.floor(math.log10(lowest))

    def place(share: float) -> float:
        inside = min(1.0, max(10.0**first, share))
        return round(100 * (math.log10(inside) - first) / -first, 2)

    systems = tuple(
        System(
            name=s.name,
            about=_about(s),
            share=percent(s.active_fraction),
            at=place(s.active_fraction),
            low=place(ends[s.name][0]),
            high=place(ends[s.name][1]),
            lit=round(100 * s.active_fraction),
            colour=colours[s.name],
            steered=steered_to(s) is not None,
        )
        for s in ordered
    )
    marks = (1, 2, 5) if first >= -2 else (1,)
    ticks = [m * 10.0**k for k in range(first, 0) for m in marks] + [1.0]
    return Overview(
        systems,
        tuple((place(t), f"{100 * t:g}") for t in ticks),
        (place(band.low), place(band.high)),
        band_in_words(band),
    )


def how(stats: ActivityStats) -> str:
    """Return whether a share was found or steered: "found", "steered to 4.0 %"."""
    share = steered_to(stats)
    return "found" if share is None else f"steered to {percent(share)}"


def of_hundred(share: float) -> str:
    """Return a share as a count: "44 of 100", "4 of 1,000", "fewer than 1 of 1,000".

    Examples
    --------
    >>> of_hundred(0.441), of_hundred(0.0042), of_hundred(0.0001), of_hundred(0.0)
    ('44 of 100', '4 of 1,000', 'fewer than 1 of 1,000', 'none of 100')
    """
    if share == 0:
        return "none of 100"
    if round(100 * share, 1) >= 1:
        return f"{round(100 * share)} of 100"
    many = round(1000 * share)
    return f"{many} of 1,000" if many else "fewer than 1 of 1,000"


# ---- Sentences


def _firing(window_ms: float | None, circuits: Sequence[ActivityStats]) -> str:
    counts = [of_hundred(c.active_fraction) for c in circuits]
    when = f"In any {window_ms:g} ms about"
    if len(circuits) > 1 and len(set(counts)) == 1:
        all_of_them = "both circuits" if len(circuits) == 2 else f"all {len(circuits)} circuits"
        return f"{when} {counts[0]} neurons fire in {all_of_them}."
    if len(circuits) > 3:
        by_share = sorted(circuits, key=lambda c: c.active_fraction)
        least, most = by_share[0], by_share[-1]
        return (
            f"{when} {of_hundred(least.active_fraction)} neurons fire in the sparsest of"
            f" {len(circuits)} circuits, “{least.name}”, and"
            f" {of_hundred(most.active_fraction)} in the most active, “{most.name}”."
        )
    first, *others = zip(counts, circuits, strict=True)
    parts = [f"{first[0]} neurons fire in “{first[1].name}”"]
    return f"{when} {_and([*parts, *(f'{n} in “{c.name}”' for n, c in others)])}."


def _networks(networks: Sequence[ActivityStats]) -> list[str]:
    """Compare the plain network with the sparsest of those that were trained to be sparse."""
    steered = [n for n in networks if steered_to(n) is not None]
    found = [n for n in networks if steered_to(n) is None]
    plain = [n for n in found if not n.provenance.get(PENALTY)]
    base = min(plain or found, key=_error_or_inf, default=None)
    sparse = min(steered, key=lambda n: n.active_fraction, default=None)
    if sparse is None:
        return _found(found)
    share = of_hundred(sparse.active_fraction)
    if base is None:
        uses = f"Steered to be sparse, “{sparse.name}” uses {share} units for an input."
        return [f"{uses}{_end(wrong(sparse))}"]
    errors, other = wrong(sparse), base.provenance.get(ERROR)
    if errors and other is not None and tested_on(base) == tested_on(sparse):
        errors += f", compared with {100 * other:.1f} % for “{base.name}”"
    return [
        f"“{base.name}” uses {of_hundred(base.active_fraction)} units for an input. Steered to be"
        f" sparse, “{sparse.name}” uses {share}.{_end(errors)}"
    ]


def wrong(stats: ActivityStats) -> str:
    """Return the error of a network in words, without a full stop; "" where it has none."""
    error = stats.provenance.get(ERROR)
    if error is None:
        return ""
    return f"It gives {100 * error:.1f} % of {tested_on(stats)} the wrong class"


def tested_on(stats: ActivityStats) -> str:
    """Return the data of its error in words: "the 1,000 test images of mnist5k"."""
    return str(stats.provenance.get(TESTED_ON) or "the test data")


def _end(sentence: str) -> str:
    return f" {sentence}." if sentence else ""


def _found(networks: Sequence[ActivityStats]) -> list[str]:
    if not networks:
        return []
    by_share = sorted(networks, key=lambda n: n.active_fraction)
    least, most = by_share[0], by_share[-1]
    fewest = of_hundred(least.active_fraction)
    if least is most:
        return [f"“{least.name}” uses {fewest} units for an input."]
    return [
        f"Of {len(networks)} networks “{least.name}” uses the fewest units for an input,"
        f" {fewest}, and “{most.name}” the most, {of_hundred(most.active_fraction)}."
    ]


def _error_or_inf(stats: ActivityStats) -> float:
    error = stats.provenance.get(ERROR)
    return math.inf if error is None else float(error)


def _windows(comparison: Comparison, circuits: Iterable[ActivityStats]) -> list[str]:
    """Say which windows the brain's figure, which has none, takes in each circuit."""
    band = comparison.band
    places = [f"in “{c.name}” {_taken(band_windows(comparison, c))}" for c in circuits]
    if not places:
        return []
    return [f"The {band_in_words(band)} come without a window: {'; '.join(places)}."]


def _taken(windows: str) -> str:
    return "no window holds them" if windows == _NO_WINDOW else f"they take {windows}"


def band_windows(comparison: Comparison, circuit: ActivityStats) -> str:
    """Return the windows that hold the band's shares in a circuit: "3.4 to 14 ms"."""
    low, high = (circuit_window(circuit, f) for f in (comparison.band.low, comparison.band.high))
    if low is None:
        return _NO_WINDOW
    if high is None:
        return f"{milliseconds(low)} and longer"
    if low == 0:
        return f"up to {milliseconds(high)}"
    return f"{milliseconds(low).removesuffix(' ms')} to {milliseconds(high)}"


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


# ---- Rows of the figure


def _ends(stats: ActivityStats) -> tuple[float, float]:
    """Return the ends of a bar: a circuit's shares in 5 and 20 ms, a network's interval."""
    if stats.curve is None:
        ends = (stats.interval.low, stats.interval.high)
        return (stats.active_fraction,) * 2 if any(map(math.isnan, ends)) else ends
    low, high = stats.curve(_bar_ms(stats))
    return float(low), float(high)


def _bar_ms(stats: ActivityStats) -> list[float]:
    """Return 5 and 20 ms, or what the record has of them."""
    if stats.curve is None:
        return []
    shortest, longest = stats.curve.tick_ms, stats.curve.tick_ms * stats.curve.longest_ticks
    return [min(longest, max(shortest, ms)) for ms in BAR_MS]


def _about(stats: ActivityStats) -> str:
    marked = f", {how(stats)}" if steered_to(stats) is not None else ""
    if not marked and stats.provenance.get(PENALTY):
        marked = ", trained with a price on activity (L1)"
    if stats.curve is None:
        return f"network, one input{marked}"
    low, high = _bar_ms(stats)
    return f"spikes in {stats.active_when.window_ms:g} ms; bar: {low:g} to {high:g} ms{marked}"
