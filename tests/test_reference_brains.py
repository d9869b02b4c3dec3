"""Measured brains: every row has its source, and the windows are those of the law."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from command_line import run

import neurosparse as ns
from neurosparse import energy, plots
from neurosparse.reference import MeasuredBrain, recordings, rows
from neurosparse.reference.brains import SHARES, window_words

ASKED_FOR = [
    "hromadka2008", "barth2012", "wohrer2013", "willmore2011", "berkes2009", "waydo2006",
    "valdez2015", "buzsaki2014", "steinmetz2019", "oconnor2010",
]  # fmt: skip


def said(capsys, *words, code=0):
    assert run(*words) == code
    out, err = capsys.readouterr()
    return out if code == 0 else err


def a_row(**changes):
    known = recordings()["waters2002"]
    values = {name: getattr(known, name) for name in MeasuredBrain.__slots__}
    return MeasuredBrain(**values | changes)


def test_there_are_twenty_and_twelve_that_were_read():
    brains = recordings()
    with_a_number = [b for b in brains.values() if b.kind != "shape"]
    assert len(with_a_number) >= 20
    assert sum(b.trust in "AB" for b in with_a_number) >= 12
    assert set(ASKED_FOR) <= set(brains)


def test_each_row_says_where_it_is_from():
    for brain in recordings().values():
        for name in ("species", "area", "state", "method", "counted", "window", "source", "read"):
            assert getattr(brain, name), (brain.key, name)
        assert brain.doi.startswith("10.") or brain.key == "berkes2009"  # NeurIPS gives none
        if brain.trust == "C":
            assert "memory" in brain.read


@pytest.mark.parametrize("share", SHARES)
def test_the_window_of_a_rate_holds_that_share_of_poisson_cells(share):
    shortest, longest = recordings()["attwell2001"].windows_ms(share)
    assert energy.active_in_window(4.0, shortest) == pytest.approx(share)
    assert energy.active_in_window(1.5, longest) == pytest.approx(share)


def test_the_window_is_that_of_measured_spikes():
    rng = np.random.default_rng(1)
    n = rng.poisson(1.0 * 20 * 3000)
    spikes = ns.SpikeTrains(
        rng.uniform(0, 2e4, n), rng.integers(0, 3000, n), n_units=3000, duration_ms=2e4
    )
    stats = ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=10))
    (window, _) = recordings()["waters2002"].windows_ms(0.02)
    assert stats.curve.window_ms(0.02) == pytest.approx(window, rel=0.02)


def test_a_share_of_the_cells_bounds_the_window_from_above():
    brain = recordings()["vijayan2010_cue"]  # 27.4 % above 10 Hz
    shortest, longest = brain.windows_ms(0.04)
    assert shortest is None
    assert 0.274 * energy.active_in_window(10.0, longest) == pytest.approx(0.04)
    assert brain.windows_ms(0.3) == (None, None)  # more than that share


def test_a_rate_that_is_bounded_above_bounds_the_window_from_below():
    assert recordings()["kerr2005_rate"].windows_ms(0.01) == (pytest.approx(100.5, abs=0.1), None)


def test_no_rate_no_window():
    assert recordings()["tang2018"].windows_ms(0.01) is None
    assert window_words(None) == "-"


@pytest.mark.parametrize(
    ("changes", "said_"),
    [
        ({"kind": "guess"}, "kind must be one of"),
        ({"trust": "D"}, "trust must be A, B or C, got 'D'"),
        ({"low": 2.0, "high": 1.0}, "cannot range from 2.0 to 1.0"),
        ({"kind": "fraction", "high": 5.0}, "a fraction cannot range"),
        ({"kind": "shape"}, "a shape cannot range"),
        ({"low": None, "high": None}, "a rate cannot range from None to None"),
        ({"share": 0.0}, "share must lie in"),
    ],
)
def test_a_row_that_cannot_be_is_refused(changes, said_):
    with pytest.raises(ValueError, match=said_):
        a_row(**changes)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1])
def test_a_share_that_is_none_is_refused(fraction):
    with pytest.raises(ValueError, match="fraction must lie in"):
        recordings()["waters2002"].windows_ms(fraction)


def test_the_table_has_a_row_a_source():
    table = rows()
    assert [row["source"] for row in table] == list(recordings())
    assert {row["source"]: row for row in table}["attwell2001"]["1 % in"] == "2.5-6.7 ms"
    assert len(rows([a_row()])) == 1


def test_the_command_prints_a_table_of_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = said(capsys, "brains")
    assert max(map(len, text.splitlines())) <= 80
    row, what = (line for line in text.splitlines() if line.split()[:1] == ["tang2018"])
    assert "0.5 %" in row
    assert "macaque, V1, layer 2: cells above half" in what
    assert "several, several" not in text
    assert "trust:" in text


def test_the_page_of_the_docs_shows_each_of_them() -> None:
    page = (Path(__file__).parent.parent / "docs" / "brains.md").read_text()
    for key, brain in recordings().items():
        row = (brain.area, brain.species, brain.counted, brain.measured(), brain.trust, key)
        assert f"| {' | '.join(row)} |" in page


def test_the_command_tells_one_source_and_json(capsys):
    assert "10.7554/eLife.33370" in said(capsys, "brains", "tang2018")
    listed = json.loads(said(capsys, "brains", "--json"))
    assert len(listed) == len(recordings())
    one = {each["key"]: each for each in listed}["waters2002"]
    assert one["windows_ms"]["0.01"] == [pytest.approx(10.05, abs=0.01)] * 2
    assert "did you mean 'tang2018'?" in said(capsys, "brains", "tang2081", code=2)


def test_the_figure_has_a_row_for_each_number():
    ax = plots.brains(beside={"full column": 0.032})
    labels = [label.get_text() for label in ax.get_yticklabels()]
    numbers = [b for b in recordings().values() if b.kind != "shape"]
    assert len(labels) == len(numbers) + 1
    assert labels[-1] == "full column"
    drawn = {round(float(x), 6) for line in ax.get_lines() for x in line.get_xdata()}
    assert 0.5 in drawn  # Tang 2018
    assert round(100 * energy.active_in_window(1.0, 10.0), 6) in drawn  # a rate, in 10 ms
    assert round(100 * 0.274 * energy.active_in_window(10.0, 10.0), 6) in drawn


@pytest.mark.parametrize("width", ["single", "double"])
def test_the_figure_fits_the_column_of_a_journal(width):
    with plots.style(width=width):
        figure = plots.brains().figure
    figure.draw_without_rendering()
    (ax,) = figure.axes
    names = ax.get_yticklabels()
    boxes = [name.get_window_extent() for name in names]
    assert min(name.get_fontsize() for name in names) >= 6
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))
    (legend,) = [*figure.legends, *filter(None, [ax.get_legend()])]
    for words in [ax.title, ax._left_title, *legend.get_texts()]:
        assert words.get_window_extent().x1 <= figure.bbox.width
    assert ax.get_window_extent().width > 0.3 * figure.bbox.width
