"""Odd but legal files and tables: counted right, or refused with the remedy."""

from __future__ import annotations

import h5py
import numpy as np
import pandas
import polars
import pytest
import scipy.io

import neurosparse as ns
from neurosparse import recordings

TEN = {"duration_ms": 10}

pytestmark = pytest.mark.usefixtures("in_this_process")


def pairs(spikes):
    return list(zip(spikes.times_ms.round(6).tolist(), spikes.units.tolist(), strict=True))


@pytest.fixture
def text(tmp_path):
    def write(content, name="a.csv"):
        (tmp_path / name).write_text(content)
        return tmp_path / name

    return write


# ---- Text
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [" ", ",", "\t"])
def test_numbers_of_rows_need_no_name(text, delimiter):
    """As R's write.table leaves it out."""
    content = '"time_ms" "unit"\n"1" 1.5 7\n"2" 3 4\n'.replace(" ", delimiter)
    assert pairs(ns.as_spikes(text(content), **TEN)) == [(1.5, 1), (3.0, 0)]
    with pytest.raises(ValueError, match="its header names 2 columns, and it has rows of 3: name"):
        ns.as_spikes(text(content.replace('"2"', '"5"')), **TEN)


@pytest.mark.parametrize("row", ["1,5;7", "1,5\t7", "1,5 7", "1,5;a"])
def test_decimal_commas_are_refused(text, row):
    path = text(f"{row}\n3,0{row[3:]}\n")
    with pytest.raises(ValueError, match="got '1,5' at index 0: write a decimal point"):
        ns.as_spikes(path, layout="times,units", time_unit="ms", **TEN)


def test_lines_that_begin_with_ids_are_refused(text):
    for content in ("0 1.5 3\n1 2\n2 2.5\n", "4 5.5 6.1\n7 8.2\n", "1 3 5\n2\n3 4\n"):
        with pytest.raises(ValueError, match=r"its lines begin with \d, \d and so on, as with ids"):
            ns.as_spikes(text(content), time_unit="ms", layout="trains", **TEN)
    for content in ("0.5 1\n1.5\n", "0 1 3\n1 5\n"):
        assert ns.as_spikes(text(content), time_unit="ms", layout="trains", **TEN).n_units == 2


def test_empty_lines_at_the_ends_are_told(text):
    path = text("\n1 3 5\n\n4\n\n")
    how = {"time_unit": "ms", "layout": "trains", "duration_s": 0.01}
    recording = recordings.read(path, **how)
    assert recording.spikes.counts.tolist() == [3, 0, 1]
    assert "start and end were left out (2); give n_units (--n-units)" in recording.said[0]
    silent = recordings.read(path, n_units=5, **how)
    assert (silent.spikes.n_units, silent.said) == (5, recording.said[1:])


def test_a_layout_is_of_as_many_columns_as_there_are(text):
    for content in ("1 4 7\n3 4 8\n", "1\n3\n"):
        with pytest.raises(ValueError, match=r"'times,units' is of 2 columns, and it has [13]"):
            ns.as_spikes(text(content), layout="times,units", time_unit="ms", **TEN)


def test_one_column_is_that_of_one_unit_where_there_is_one(text):
    path = text("1\n3\n")
    with pytest.raises(ValueError, match=r"give n_units=1 if .* or give layout=trains if each"):
        ns.as_spikes(path, time_unit="ms", **TEN)
    assert ns.as_spikes(path, layout="trains", time_unit="ms", **TEN).n_units == 2
    one = [(1.0, 0), (3.0, 0)]
    assert pairs(ns.as_spikes(path, time_unit="ms", n_units=1, **TEN)) == one
    assert pairs(ns.as_spikes(text("time_ms\n1\n3\n"), n_units=1, **TEN)) == one
    assert pairs(ns.as_spikes(pandas.DataFrame({"t_ms": [1, 3]}), n_units=1, **TEN)) == one


def test_comments_at_the_end_of_rows_are_no_ids(text):
    rows = "1,7\n2,7 # noisy\n  # a line\n3,4\t# and, more\n"
    assert pairs(ns.as_spikes(text(f"time_ms,unit\n{rows}"), **TEN)) == [
        (1.0, 1), (2.0, 1), (3.0, 0),
    ]  # fmt: skip
    path = text(rows.replace(",", " "), "a.txt")
    told = {"layout": "times,units", "time_unit": "ms"}
    assert ns.as_spikes(path, **told, **TEN).counts.tolist() == [1, 2]
    with pytest.raises(ValueError, match="holds 'b' and 'b # noisy': take out the comments"):
        ns.as_spikes(text("time_ms,unit\n1,b\n2,b # noisy\n"), **TEN)
    names = 'time_ms,unit\n1,"unit #3"\n2,unit #4\n3,"unit #3"\n'
    assert ns.as_spikes(text(names), **TEN).counts.tolist() == [2, 1]


# ---- Tables
# --------------------------------------------------------------------------------------------------


@pytest.fixture
def anew():
    """Two channels with a unit 1 and a unit 2 each."""
    return pandas.DataFrame(
        {"Channel": [3, 3, 4, 4, 4], "Unit": [1, 2, 1, 2, 2], "Timestamp": [1, 2, 4, 5, 7]}
    )


def test_ids_that_count_anew_in_each_channel_are_not_merged(anew, tmp_path):
    anew.to_csv(tmp_path / "a.csv", index=False)
    anew.to_parquet(tmp_path / "a.parquet")
    said = "unit 1 has spikes with several values of column 'Channel': give units=Channel,Unit"
    rows = anew.groupby(["Channel", "Unit"])["Timestamp"].apply(list).reset_index()
    for what in (anew, dict(anew), tmp_path / "a.csv", tmp_path / "a.parquet"):
        with pytest.raises(ValueError, match=said):
            ns.as_spikes(what, time_unit="ms", **TEN)
        known = ns.as_spikes(what, units="Unit", time_unit="ms", **TEN)
        assert known.counts.tolist() == [2, 3]
    for what in (anew, dict(anew), tmp_path / "a.csv", tmp_path / "a.parquet", rows):
        both = ns.as_spikes(what, units="Channel,Unit", time_unit="ms", **TEN)
        assert both.counts.tolist() == [1, 1, 1, 2]
    one = ns.as_spikes(
        anew, units="Channel,Unit", where=["Channel,Unit=4/2"], time_unit="ms", **TEN
    )
    assert one.times_ms.tolist() == [5.0, 7.0]
    whole = anew.assign(Unit=[1, 2, 3, 4, 4])  # each on one channel
    assert ns.as_spikes(whole, time_unit="ms", **TEN).counts.tolist() == [1, 1, 1, 2]


@pytest.mark.parametrize(
    "name",
    ["trial_idx", "trialNumber", "trial_count", "sweep_idx", "reps", "run", "block", "epoch",
     "presentation", "session_id"],
)  # fmt: skip
def test_trials_and_sessions_that_begin_anew_are_refused(name):
    anew = {"time_ms": [1, 4, 7, 2, 5, 8], "unit": [0, 1, 0, 0, 1, 0], name: [1, 1, 1, 2, 2, 2]}
    with pytest.raises(ValueError, match=rf"its 2 (trial|part)s \(column '{name}'\) lie over"):
        ns.as_spikes(anew, **TEN)
    assert len(ns.as_spikes({**anew, "time_ms": [1, 2, 3, 4, 5, 6]}, **TEN)) == 6
    assert len(ns.as_spikes({**anew, name: "A"}, **TEN)) == 6


def test_parts_of_one_record_may_come_back_and_sessions_may_have_units_of_their_own():
    table = {"time_ms": range(9), "unit": [0] * 9, "epoch": [*"rrrttttrr"]}
    assert len(ns.as_spikes(table, **TEN)) == 9
    own = {"time_ms": [1, 4, 7, 2, 5], "unit": [*"aaabb"], "session": [1, 1, 1, 2, 2]}
    assert ns.as_spikes(own, **TEN).counts.tolist() == [3, 2]


@pytest.mark.parametrize("kind", [pandas.DataFrame, polars.DataFrame, dict])
def test_a_row_a_unit_may_say_when_it_was_observed(kind):
    rows = {
        "id": [4, 7],
        "spike_times": [[0.001, 0.003], [0.0025, 0.006, 0.009]],
        "obs_intervals": [[[0.0, 0.005], [0.008, 0.01]], [[0.002, 0.01]]],
    }
    for n_units in (None, 3):
        with pytest.warns(UserWarning, match="2 spikes of .* not in the time that was observed"):
            spikes = ns.as_spikes(kind(rows), time_unit="s", n_units=n_units)
        np.testing.assert_allclose(spikes.intervals, [[0, 3], [6, 8]])
        assert spikes.counts.tolist() == [1, 2, 0][: n_units or 2]
    rows["obs_intervals"][1] = None
    with pytest.raises(ValueError, match="1 of its units have no observation interval"):
        ns.as_spikes(kind(rows), time_unit="s")


# ---- MATLAB
# --------------------------------------------------------------------------------------------------


@pytest.fixture(params=["5", "7.3"])
def mat(request, tmp_path):
    """Write variables as MATLAB does before version 7.3, and from it on."""
    path = tmp_path / "a.mat"

    def put(group, name, value):
        if isinstance(value, dict):
            for field, each in value.items():
                put(group.require_group(name), field, each)
        elif value.dtype == object:
            cells = np.empty(value.shape[::-1], h5py.ref_dtype)
            for at, cell in np.ndenumerate(value.T):
                empty = cell.size == 0
                stored = np.array(cell.shape, "u8") if empty else cell.T
                node = group.file.create_dataset(f"#refs#/{len(group.file['#refs#'])}", data=stored)
                if empty:
                    node.attrs["MATLAB_empty"] = np.uint8(1)
                cells[at] = node.ref
            group.create_dataset(name, data=cells, dtype=h5py.ref_dtype)
        else:
            group[name] = value.T

    def write(**variables):
        if request.param == "5":
            scipy.io.savemat(path, variables)
        else:
            with h5py.File(path, "w") as file:
                file.create_group("#refs#")
                for name, value in variables.items():
                    put(file, name, value)
        return path

    return write


def cells(rows):
    found = np.empty((len(rows), len(rows[0])), dtype=object)
    for at, _ in np.ndenumerate(found):
        found[at] = np.array(rows[at[0]][at[1]], float).reshape(1, -1)
    return found


def test_a_silent_unit_of_matlab_has_no_spikes(mat):
    path = mat(spike_times_ms=cells([[[1, 3], [], [4]]]))
    assert ns.as_spikes(path, **TEN).counts.tolist() == [2, 0, 1]


def test_cells_of_units_and_trials_are_refused(mat):
    path = mat(spike_times_ms=cells([[[1], [2], [3]], [[4], [5], [6]]]))
    with pytest.raises(ValueError, match="a cell array of 2 x 3, as of units and trials: save"):
        ns.as_spikes(path, **TEN)


def test_trials_and_channels_beside_the_times_of_matlab_are_seen(mat):
    times = {"time_ms": np.array([[1.0, 4, 7, 2, 5]]), "unit": np.array([[1, 2, 1, 1, 2]])}
    other = np.array([[1, 1, 1, 2, 2]])
    told = {"times": "S.time_ms", "units": "S.unit", **TEN}
    with pytest.raises(ValueError, match="its 2 trials"):
        ns.as_spikes(mat(**times, trial=other), **TEN)
    with pytest.raises(ValueError, match=r"its 2 trials \(column 'S.trial'\) lie over each other"):
        ns.as_spikes(mat(S={**times, "trial": other}), **told)
    path = mat(**times, channel=other)
    with pytest.raises(ValueError, match="give units=channel,unit"):
        ns.as_spikes(path, **TEN)
    assert ns.as_spikes(path, units="channel,unit", **TEN).counts.tolist() == [2, 1, 1, 1]
    assert (
        len(ns.as_spikes(mat(**times, trial=np.array([[1, 2]])), **TEN)) == 5
    )  # of something else


def test_one_unit_of_matlab_needs_no_cells(mat):
    path = mat(units={"times": np.array([[1.0, 3.0]])})
    told = {"times": "units.times", "time_unit": "ms", **TEN}
    with pytest.raises(ValueError, match="or give n_units=1 where there is one unit"):
        ns.as_spikes(path, **told)
    assert ns.as_spikes(path, n_units=1, **told).counts.tolist() == [2]


# ---- What looks like times of units, and is not
# --------------------------------------------------------------------------------------------------


def test_pairs_with_ids_above_the_times_and_counts_are_refused():
    times, ids = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [5, 6, 5, 7, 6, 5]
    for rows in (zip(times, ids, strict=True), zip(ids, [t + 9 for t in times], strict=True)):
        with pytest.raises(ValueError, match=r"pass \(time, unit\) pairs as a dict"):
            ns.as_spikes(list(rows), time_unit="s", duration_ms=20_000)
    counts = [[0, 2, 0, 0, 1, 0, 0, 3], [0, 0, 1, 0, 0, 0, 2, 0]]
    with pytest.raises(ValueError, match="or few numbers again and again, as in counts"):
        ns.as_spikes(counts, time_unit="ms", **TEN)


def test_traces_are_told():
    traces = np.abs(np.random.default_rng(0).normal(size=(3, 50)))
    with pytest.warns(UserWarning, match="in no order, as the values of a trace are"):
        ns.as_spikes(list(traces), time_unit="ms", **TEN)
    assert len(ns.as_spikes(list(np.sort(traces)), time_unit="ms", **TEN)) == 150


@pytest.mark.parametrize(("low", "dtype"), [(-100, "i1"), (-300, "i2"), (2**63, "u8")])
def test_ids_of_all_kinds_of_whole_numbers_are_told_apart(low, dtype):
    ids = np.array([low + k for k in range(201)], dtype)
    table = {"time_ms": np.arange(201.0), "unit": ids}
    assert ns.as_spikes(table, duration_ms=300).n_units == 201
    assert ns.as_spikes(table, duration_ms=300, n_units=202).n_units == 202
