"""Circuits, networks and the brain on one axis.

A circuit's active fraction is a curve over the window; a network has one fraction per input and no
window. What relates them is the *equivalent window*: the window in which the circuit is as active
as the network is on one input.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import cards, checks
from neurosparse._internal.imports import need
from neurosparse._internal.types import Fields, FieldsView
from neurosparse._internal.whole_files import new_file
from neurosparse.activity import ActivityStats
from neurosparse.comparison import files as saved
from neurosparse.comparison import sentences
from neurosparse.comparison.differences import Difference, difference, refuse_mixed
from neurosparse.comparison.window_intervals import circuit_window, window_intervals, without_nan
from neurosparse.comparison.words import percent, percents
from neurosparse.reference import Band, bands
from neurosparse.sparsity import log_normal as distributions

if TYPE_CHECKING:
    import pandas

BRAIN_FRACTIONS = (0.01, 0.02, 0.04)
_CURVE_POINTS = 120
_LONGEST_WINDOW_MS = 10_000.0


@dataclass(frozen=True, slots=True)
class Comparison(cards.Shown):
    """Statistics together with bands of reference, made by `compare`.

    Attributes
    ----------
    stats
        What was compared, circuits and networks, in the order given.
    bands
        Ranges of active fractions, the first being the one that answers refer to.
    equivalent_window_ms
        network -> circuit -> the window in ms in which the circuit is as active as the network is
        on one input; None where no window of the record reaches that.
    windows_at_ms
        circuit -> active fraction (0.01, 0.02, 0.04) -> the window in ms that holds it, or None.
    provenance
        Versions, seeds, device, recipes, times.
    """

    stats: tuple[ActivityStats, ...]
    bands: tuple[Band, ...]
    equivalent_window_ms: dict[str, dict[str, float | None]]
    windows_at_ms: dict[str, dict[float, float | None]]
    provenance: FieldsView = field(default_factory=dict)

    @property
    def circuits(self) -> tuple[ActivityStats, ...]:
        """Those with spikes, hence with a curve over the window."""
        return tuple(s for s in self.stats if s.curve is not None)

    @property
    def networks(self) -> tuple[ActivityStats, ...]:
        """Those with activations: one active fraction per input."""
        return tuple(s for s in self.stats if s.curve is None)

    @property
    def band(self) -> Band:
        """The band that answers refer to."""
        return self.bands[0]

    def answer(self) -> list[str]:
        """Return the answer in plain sentences.

        First each circuit's windows for the band, then the place of each network.
        """
        return [sentences.of_circuit(c, self.band) for c in self.circuits] + [
            sentences.of_network(n, self.equivalent_window_ms[n.name]) for n in self.networks
        ]

    def __repr__(self) -> str:
        return f"<Comparison of {', '.join(s.name for s in self.stats)}>"

    def __str__(self) -> str:
        """Return the answer, each sentence on lines of its own that fit the terminal."""
        return cards.Card("", {}, self.answer(), more=".answer()").text()

    def _card(self) -> cards.Card:
        rows = [
            {
                "name": s.name,
                "active means": s.active_when.describe(),
                "active": percent(s.active_fraction),
                "interval": percents(s.interval.low, s.interval.high),
                "never active": f"{s.n_silent:,} of {s.n_units:,}",
            }
            for s in self.stats
        ]
        return cards.Card(
            "Comparison",
            rows,
            [*self.answer(), *(d.sentence() for d in self.differences()), *self.in_bands()],
        )

    def in_bands(self) -> list[str]:
        """Return a sentence a band: who is within it, a circuit by its windows.

        The band's caption follows.
        """
        return [sentences.of_band(self.stats, band) for band in self.bands]

    def differences(self) -> list[Difference]:
        """Return how each differs from the first of its kind.

        Those with another definition of active are left out.
        """
        firsts: dict[str, ActivityStats] = {}
        found = []
        for s in self.stats:
            first = firsts.setdefault(s.kind, s)
            if s is not first and s.active_when.is_like(first.active_when):
                found.append(difference(s, first))
        return found

    def curve(self, circuit: ActivityStats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return windows in ms and a circuit's active fraction in each.

        The windows are evenly spaced on a log axis and on the circuit's grid.
        """
        if circuit.curve is None:
            raise ValueError(f"{circuit.name!r} has no curve over the window: it is not a circuit")
        curve = circuit.curve
        longest = min(curve.longest_ticks, int(_LONGEST_WINDOW_MS / curve.tick_ms))
        shortest = max(1, round(0.1 / curve.tick_ms))
        ticks = np.unique(
            np.rint(np.geomspace(shortest, max(longest, shortest), _CURVE_POINTS)).astype(np.int64)
        )
        windows = ticks * np.float64(curve.tick_ms)
        return windows, curve(windows)

    def to_pandas(self) -> pandas.DataFrame:
        """Return a frame with a row for each statistic; see `ActivityStats.to_pandas`.

        Raises
        ------
        MissingPackageError
            Where pandas is not installed.
        """
        frames = need("pandas", "a frame of statistics", "interop")
        return frames.DataFrame([stats.row() for stats in self.stats])

    def to_dict(self) -> Fields:
        """Return everything but the per-unit arrays, as plain JSON types."""
        return {
            "format": saved.FORMAT,
            "version": saved.VERSION,
            "answer": self.answer(),
            "bands": [asdict(band) for band in self.bands],
            "stats": [s.to_dict() for s in self.stats],
            "curves": {
                c.name: {"window_ms": windows.tolist(), "active_fraction": fractions.tolist()}
                for c in self.circuits
                for windows, fractions in [self.curve(c)]
            },
            "windows_at_ms": {
                name: {f"{f:g}": w for f, w in at.items()}
                for name, at in self.windows_at_ms.items()
            },
            "equivalent_window_ms": self.equivalent_window_ms,
            "window_intervals_ms": window_intervals(self.circuits, self.networks, BRAIN_FRACTIONS),
            "differences": [without_nan(asdict(d)) for d in self.differences()],
            "log_normal": {
                s.name: fit and asdict(fit)
                for s in self.stats
                for fit in [distributions.of_units(s)]
            },
            "provenance": dict(self.provenance),
        }

    def save(self, directory: str | Path) -> Path:
        """Write the comparison into `directory`, for `load`.

        `comparison.json` has the numbers, `activity.parquet` a row a unit; the curves of circuits
        stand next to them.

        `report.write` adds figures and page.
        """
        directory = checks.path("directory", directory)
        text = json.dumps(self.to_dict(), indent=1, allow_nan=False)
        with new_file(directory / saved.NUMBERS) as file:
            file.write_text(text, encoding="utf-8")
        saved.write_arrays(self.stats, directory)
        return directory


def load(directory: str | Path) -> Comparison:
    """Read a comparison that `Comparison.save` wrote.

    Raises
    ------
    FileNotFoundError, ValueError
        Where a file is missing, damaged or of another format; one sentence.
    """
    numbers, stats = saved.read(directory)
    try:
        reference = [Band(**band) for band in numbers["bands"]]
    except (TypeError, ValueError) as error:
        raise ValueError(f"cannot read the bands in {directory}: {error}") from None
    return compare(
        *stats, reference=reference, mixed_definitions=True, provenance=numbers["provenance"]
    )


def own_band(text: str) -> Band:
    """Return a band of the user's own, from its name and its two fractions.

    Examples
    --------
    >>> own_band("mine=0.02-0.05").label
    'mine (2-5 %)'
    """
    checks.instance("text", text, str)
    found = re.fullmatch(r"\s*([^=]+?)\s*=\s*([0-9.]+)\s*-\s*([0-9.]+)\s*", text)
    try:
        name, low, high = found.groups() if found else ("", "", "")
        ends = float(low), float(high)
    except ValueError:
        raise ValueError(
            "a band is NAME=LOW-HIGH, two fractions from 0 to 1 such as mine=0.02-0.05, got"
            f" {text!r}"
        ) from None
    label = f"{name} ({100 * ends[0]:g}-{100 * ends[1]:g} %)"
    return Band(
        name,
        label,
        *ends,
        caption="Given by whoever made this comparison.",
        source="none given",
        trust="C",
    )


def compare(
    *stats: ActivityStats | Mapping[str, ActivityStats],
    reference: str | Band | Sequence[Band] = "brain",
    mixed_definitions: bool = False,
    provenance: FieldsView | None = None,
) -> Comparison:
    """Relate circuits and networks to each other and to what is said of the brain.

    Parameters
    ----------
    stats
        What `measure` returned: one each, or the dict of a network's layers.
    reference
        "brain" for the bands that come with the package (1-4 % first), the key of one of them, or
        bands of your own.
    mixed_definitions
        Circuits with different windows, or networks with different thresholds, are refused unless
        this is set: their fractions are not alike. Each is then shown with its own definition.
    provenance
        How the numbers came about, by name; kept with the results and shown on the page.

    Raises
    ------
    ValueError
        Where there is nothing to compare, names repeat, definitions differ, or the reference is
        unknown.

    Examples
    --------
    >>> import neurosparse as ns
    >>> spikes = ns.SpikeTrains([1.0, 6.0], [0, 1], n_units=100, duration_ms=10.0, dt_ms=1.0)
    >>> circuit = ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=10), name="circuit")
    >>> comparison = ns.compare(circuit)
    >>> comparison.windows_at_ms["circuit"][0.02]
    9.0
    """
    flat = tuple(_flatten(stats))
    if not flat:
        raise ValueError("nothing to compare: pass what neurosparse.measure returned")
    names = [s.name for s in flat]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"names must differ, got {repeated[0]!r} twice: pass name=... to measure")
    if not mixed_definitions:
        refuse_mixed(flat)
    circuits = [s for s in flat if s.curve is not None]
    return Comparison(
        stats=flat,
        bands=_bands(reference),
        equivalent_window_ms={
            s.name: {c.name: circuit_window(c, s.active_fraction) for c in circuits}
            for s in flat
            if s.curve is None
        },
        windows_at_ms={
            c.name: {f: circuit_window(c, f) for f in BRAIN_FRACTIONS} for c in circuits
        },
        provenance=provenance or {},
    )


def _flatten(
    stats: Iterable[ActivityStats | Mapping[str, ActivityStats]],
) -> Iterable[ActivityStats]:
    for item in stats:
        if isinstance(item, ActivityStats):
            yield item
        elif isinstance(item, Mapping):
            yield from _flatten(item.values())
        else:
            raise TypeError(
                f"compare takes what neurosparse.measure returned, got {checks.kind_of(item)}"
            )


def _bands(reference: str | Band | Sequence[Band]) -> tuple[Band, ...]:
    known = bands()
    if isinstance(reference, Band):
        return (reference,)
    if isinstance(reference, str):
        if reference == "brain":
            return tuple(known.values())
        if reference not in known:
            raise ValueError(
                f"unknown reference {reference!r}; there are: brain, {', '.join(known)}"
            )
        return (known[reference],)
    if not reference:
        raise ValueError("reference must hold at least one band")
    return tuple(reference)
