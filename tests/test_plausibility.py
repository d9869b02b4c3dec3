"""Spikes that cannot be what they are taken for, and those that only look unusual."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import neurosparse as ns
from neurosparse import comparison, recordings
from neurosparse.activity import SpikeTrains, plausibility, refuse_implausible
from neurosparse.cli import app

# four units, a spike each 100 ms, staggered, 2 s
TIMES_MS = (np.arange(20) * 100.0 + 5 + 20.3 * np.arange(4)[:, None]).ravel()
UNITS = np.repeat(np.arange(4), 20)


def trains(times: Any = TIMES_MS, units: Any = UNITS, **options: Any) -> SpikeTrains:
    return SpikeTrains(times, units, **{"n_units": 4, "duration_ms": 2000.0, **options})


def test_what_is_plausible_gets_no_word() -> None:
    found = plausibility(trains())
    assert (found.refusal, found.notes) == (None, ())
    refuse_implausible(trains())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"times": TIMES_MS * 1e-3}, r"^all 80 spikes lie within the first thousandth of the record, 2 of 2000 ms: give times and duration in ms.*from_seconds"),
        ({"times": TIMES_MS * 1e-3, "duration_ms": 2.0}, r"^the mean rate of the 4 units that fire is 10,000 Hz, .*: give times and duration in ms"),
    ],
)  # fmt: skip
def test_seconds_taken_for_milliseconds(options: Any, sentence: str) -> None:
    spikes = trains(**options)
    with pytest.raises(ValueError, match=sentence):
        refuse_implausible(spikes)
    with pytest.raises(ValueError, match=sentence):
        ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=1.0))
    on_a_grid = trains(**{**options, "dt_ms": 1e-4})  # what a simulation says is taken as it is
    assert ns.measure(on_a_grid, active_when=ns.ActiveWhen(window_ms=1.0)).n_spikes == 80


def test_few_spikes_say_nothing() -> None:
    found = plausibility(trains([0.1] * 9, [0] * 9))
    assert (found.refusal, found.notes) == (None, ())


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({"times": np.rint(TIMES_MS)}, "All spike times are whole numbers of ms; if they are samples"),
        ({"times": np.rint(TIMES_MS) + 0.25}, "All spike times are whole numbers of ms; if they are samples"),
        ({"times": np.rint(TIMES_MS * 30) * 1e3, "duration_ms": 6e7}, "All spike times are whole numbers of s; if they are samples"),
        ({"times": np.repeat(TIMES_MS, 2), "units": np.repeat(UNITS, 2)}, "80 of 160 spikes repeat another of their unit at its very time"),
        ({"duration_ms": 1e7}, "No unit fires at more than 0.002 Hz; is the duration right?"),
        ({"times": TIMES_MS / 60, "duration_ms": 2000 / 60}, "Every unit that fires does so at more than 500 Hz, from 600 Hz."),
        ({"times": UNITS + 0.5, "units": TIMES_MS.astype(int), "n_units": 2000}, "Spikes are of 80 units and at only 4 times; are times and ids swapped?"),
    ],
)  # fmt: skip
def test_what_is_unusual_is_noted(options: Any, note: str) -> None:
    assert [n for n in plausibility(trains(**options)).notes if n.startswith(note)], plausibility(
        trains(**options)
    )


def test_long_silence_at_either_end_is_noted() -> None:
    early, late = (
        plausibility(trains(TIMES_MS + 100 * start, duration_ms=2000.0 + 100 * n)).notes
        for start, n in ((0, 20), (20, 20))
    )
    remedy = "observed: if they were not recorded then, give the start and the duration."
    assert early == (f"No unit fired in the last 2.034 s of the 4 s {remedy}",)
    assert late == (f"No unit fired in the first 2.005 s of the 4 s {remedy}",)
    few = plausibility(trains(TIMES_MS[::8], UNITS[::8], duration_ms=4000.0))
    assert few.notes == ()  # of 10 spikes half a record may be empty
    gaps = [(0, 100), (2000, 4000)]  # what was not observed is no silence
    assert plausibility(trains(TIMES_MS + 2000, duration_ms=4000, intervals=gaps)).notes == ()


def test_pieces_that_hold_no_window_are_noted(tmp_path: Path) -> None:
    pieces = [*((20.0 * k, 20 * k + 8) for k in range(9)), (300, 400)]
    short = trains([1.0, 305.0], [0, 1], duration_ms=400.0, intervals=pieces)
    note = (
        "9 of the 10 pieces of the record are shorter than the window: the active fraction rests on"
        " 0.1 of the 0.172 s observed, rates on all."
    )
    assert ns.measure(short, active_when=ns.ActiveWhen(window_ms=10)).notes == (note,)
    assert ns.measure(short, active_when=ns.ActiveWhen(window_ms=8)).notes == ()
    path = recordings.save_spikes(short, tmp_path / "short.npz")
    for command in (["measure", path], ["compare", path]):
        said = CliRunner().invoke(app, list(map(str, command))).stdout
        assert note in " ".join(said.split())


def test_a_grid_of_whole_milliseconds_is_no_surprise() -> None:
    assert plausibility(trains(np.rint(TIMES_MS), dt_ms=1.0)).notes == ()


def test_duplicates_are_noted_where_they_are_met(tmp_path: Path) -> None:
    twice = trains(np.repeat(TIMES_MS, 2), np.repeat(UNITS, 2), dt_ms=0.1)
    stats = ns.measure(twice, active_when=ns.ActiveWhen(window_ms=10.0))
    note = "80 of 160 spikes repeat another of their unit at its very time: leave duplicates out."
    assert stats.notes == (note,)
    assert note in " ".join(str(stats).split())
    assert max(map(len, str(stats).split("\n"))) <= 80
    assert note in stats._repr_html_()
    assert stats.to_dict()["notes"] == [note]
    kept = ns.compare(stats)
    kept.save(tmp_path)
    assert comparison.load(tmp_path).stats[0].notes == (note,)
    assert ns.measure(trains(dt_ms=0.1), active_when=ns.ActiveWhen(window_ms=10.0)).notes == ()
    rows = [f"{t / 1e3:.4f},{u}\n" for t, u in zip(twice.times_ms, twice.units, strict=True)]
    (tmp_path / "twice.csv").write_text("time_s,unit\n" + "".join(rows))
    recording = recordings.read(tmp_path / "twice.csv", duration_s=2.0)
    assert note in str(recording)
    assert str(recording) == "\n".join(recording.lines())
