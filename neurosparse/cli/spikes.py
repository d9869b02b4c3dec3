"""Spikes in the words of the terminal: how sparse they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from neurosparse._internal.types import Fields
from neurosparse.cli.display import say, show_activity

if TYPE_CHECKING:
    from neurosparse.activity import ActivityStats


def measure_parts(
    spikes: Any, active_when: Any, measure: Any, provenance: Fields | None = None
) -> tuple[ActivityStats, ...]:
    """Measure all spikes together and each population."""
    from neurosparse.activity import WHOLE

    parts = {WHOLE: spikes, **{name: spikes.population(name) for name in spikes.populations}}
    return tuple(
        measure(part, active_when=active_when, name=name, provenance=provenance)
        for name, part in parts.items()
    )


def notes_on_files(stats: Sequence[ActivityStats]) -> list[str]:
    """Return what is worth knowing of recordings: each note once, with the files it is on.

    Of a file it is what its reader said, and what is unusual about all its spikes together.
    """
    files: dict[str, list[str]] = {}
    whole: dict[str, ActivityStats] = {}
    for s in stats:
        if (file := s.provenance.get("file")) is None:
            continue
        said = s.provenance.get("said")
        own = whole.setdefault(str(file), s).notes  # the first of a file is all of it
        for note in (*(said if isinstance(said, list) else ()), *own, s.provenance.get("note")):
            if note and str(file) not in files.setdefault(str(note), []):
                files[str(note)].append(str(file))
    return [f"Note on {', '.join(named)}: {note}" for note, named in files.items()]


def show_spikes(stats: Sequence[ActivityStats]) -> None:
    """Print how sparse spikes are, a line a population, and then a sentence for each."""
    from neurosparse._internal.digits import three_digits

    show_activity(stats)
    for s in stats:
        cv = regularity_in_words(s)
        windows = ", ".join(
            f"{100 * f:g} % in " + _window_with_interval(s, f) for f in (0.01, 0.02, 0.04)
        )
        say(
            f"{s.name}: {s.mean_rate_hz:.2f} Hz (median {s.median_rate_hz:.2f}), ISI CV {cv};"
            f" active {windows}"
        )
        cells = s.interval_over_cells
        if cells is not None and s.interval.is_known:
            ends = f"{three_digits(100 * cells.low)} to {three_digits(100 * cells.high)} %"
            say(
                f"{s.name}: "
                + (
                    f"{ends} for other cells of the same kind (95 % interval over cells and time)."
                    if cells.is_known
                    else f"no interval for other cells of the same kind; {cells.method}."
                )
            )
        if s.interval_with_missed is not None:
            say(f"{s.name}, with the cells that were missed: {_with_missed(s)}.")
    say(
        "Hz: spikes a second of a cell. ISI CV: how irregular the intervals between spikes are, 0"
        " for a clock, 1 for chance. active 1 % in: the window in which 1 % are active."
    )


def _with_missed(s: ActivityStats) -> str:
    """Return the active fraction with the cells that were missed, or why there is none."""
    found, fraction = s.interval_with_missed, s.active_fraction_with_missed
    if found is None or fraction is None:
        return "none" if found is None else found.method
    return (
        f"{100 * fraction:.3g} % ({100 * found.low:.3g} to {100 * found.high:.3g}) active;"
        f" {found.method}"
    )


def _window_with_interval(s: ActivityStats, fraction: float) -> str:
    """Return the window that holds a fraction, with the interval of it where there is one."""
    from neurosparse._internal.digits import three_digits
    from neurosparse.comparison.window_intervals import window_interval

    if s.curve is None or (window := s.curve.window_ms(fraction)) is None:
        return "no window"
    found = window_interval(s, fraction)
    if found is None or not found.is_known:
        return f"{three_digits(window)} ms"
    return f"{three_digits(window)} ms ({three_digits(found.low)} to {three_digits(found.high)})"


def regularity_in_words(s: ActivityStats) -> str:
    """Return the CV of the inter-spike intervals, CV2 and the cells they rest on."""
    if s.isi_cv_interval is None or not s.n_isi_cells:
        return "-, no cell has two intervals"
    from neurosparse._internal.digits import counted

    local = "" if s.isi_cv2 is None else f"CV2 {s.isi_cv2:.2f}, "
    share = f"{100 * s.n_isi_cells / s.n_units:.3g} %"
    return f"{s.isi_cv_in_words()} ({local}of {counted(s.n_isi_cells, 'cell')}, {share})"
