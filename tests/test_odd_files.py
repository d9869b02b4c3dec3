"""Odd but legal files and tables: counted right, or refused with the remedy."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import h5py
import neo
import numpy as np
import pandas
import polars
import pynwb
import pytest
import quantities as pq
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
     "stimulus_presentation_id", "session_id"],
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


# ---- Files of tools
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cluster_groups.csv", "cluster_id\tgroup\n2\tgood\n5\tnoise\n"),
        ("cluster_group.tsv", "\ufeffcluster_id\tgroup\n2\tgood\n5\tnoise\n"),
        ("cluster_group.tsv", "cluster_id\tgroup\n2.0\tgood\n5.0\tnoise\n"),
        ("cluster_group.csv", "Cluster_ID,group\n2,good\n5,noise\n"),
    ],
)
def test_labels_of_clusters_are_found(tmp_path, name, content):
    np.save(tmp_path / "spike_times.npy", np.array([30, 60, 90]))
    np.save(tmp_path / "spike_clusters.npy", np.array([5, 2, 2]))
    (tmp_path / "params.py").write_text("sample_rate = 30000\n")
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert ns.as_spikes(tmp_path, where=["group=good"], **TEN).counts.tolist() == [2]
    (tmp_path / "cluster_batch.tsv").write_text("cluster_id\tbatch\n2\t1_2\n5\t1_3\nx\t1\n")
    (tmp_path / "cluster_x.tsv").write_text("x\ty\n2\t1\n")
    recording = recordings.read(tmp_path, where=["batch=1_2"], duration_s=0.01)
    assert recording.spikes.counts.tolist() == [2]
    assert recording.said[:2] == (
        "1 rows of cluster_batch.tsv without a cluster_id were left out.",
        "cluster_x.tsv has no column cluster_id and was left out.",
    )


def block(*segments, **how):
    found = neo.Block()
    for trains in segments:
        found.segments.append(neo.Segment())
        for unit, times in trains:
            train = neo.SpikeTrain(times * pq.ms, t_stop=10 * pq.ms, unit_id=unit, **how)
            found.segments[-1].spiketrains.append(train)
    return found


def test_trains_of_neo_are_found_by_their_ids(tmp_path):
    trials = block([(0, [1.0]), (2, [])], [(2, []), (0, [3.0, 4.0])])
    neo.io.NeoMatlabIO(str(tmp_path / "a.mat")).write_block(trials)
    for what in (trials, tmp_path / "a.mat"):
        assert ns.as_spikes(what).counts.tolist() == [3, 0]
    with pytest.raises(ValueError, match="a train '2' is in some of its segments and not in all"):
        ns.as_spikes(block([(0, [1.0]), (2, [])], [(3, []), (0, [3.0])]))


def test_a_part_of_each_segment_is_read(tmp_path):
    trials = block(*[[(0, [1.0, 2.0, 7.0])]] * 4)
    neo.io.NeoMatlabIO(str(tmp_path / "a.mat")).write_block(trials)
    for what in (trials, tmp_path / "a.mat"):
        spikes = ns.as_spikes(what, duration_ms=5)
        assert (len(spikes), spikes.observed_ms) == (8, 20)
    recording = recordings.read(tmp_path / "a.mat", start_s=0.004, duration_s=0.004)
    assert (len(recording.spikes), recording.said) == (4, ())
    trials.segments[1].spiketrains[0] = neo.SpikeTrain([1.0] * pq.ms, t_stop=3 * pq.ms, unit_id=0)
    neo.io.NeoMatlabIO(str(tmp_path / "b.mat")).write_block(trials)
    recording = recordings.read(tmp_path / "b.mat", duration_s=0.005)
    assert len(recording.spikes) == 6
    assert recording.said[0].startswith("1 of its 4 segments were left out: 0 to 0.005 s is not")


def test_files_that_nest_did_not_write_are_not_read_together(tmp_path, text):
    for name in ("a.dat", "b.dat", "trial1.csv", "trial2.csv"):
        text("1 7\n2 8\n", name)
    for what in (tmp_path, tmp_path / "*.dat", tmp_path / "trial*.csv"):
        with pytest.raises(
            ValueError, match=r"no header of NEST's, .*: measure it by its own name"
        ):
            ns.as_spikes(what, **TEN)
    text("7 1.0\n8 2.0\n", "a.gdf")
    text("9 1.0\n", "b.gdf")
    assert ns.as_spikes(tmp_path / "*.gdf", duration_ms=10, where=["population=a"]).n_units == 2


def test_a_pipe_and_a_json_of_anything_are_refused(tmp_path, text):
    os.mkfifo(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"a\.npz is neither a file nor a folder"):
        ns.as_spikes(tmp_path / "a.npz")
    assert "where" in recordings.takes(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"a\.json: no format that is read has this suffix"):
        ns.as_spikes(text("{}", "a.json"))


def test_units_of_nwb_are_chosen_by_their_ids_and_a_place_may_be_called_all(tmp_path):
    session = pynwb.NWBFile("x", "x", datetime(2020, 1, 1, tzinfo=UTC))
    session.add_unit_column("region", "x")
    for k, seen in enumerate([[[0.0, 0.01]], [[0.0, 0.01]], []]):
        session.add_unit(
            id=101 + k, spike_times=[0.001, 0.002], obs_intervals=np.array(seen).reshape(-1, 2),
            region=["V1", "all", "V1"][k],
        )  # fmt: skip
    with pynwb.NWBHDF5IO(str(tmp_path / "a.nwb"), "w") as io:
        io.write(session)
    with pytest.raises(ValueError, match="leave them out with a condition, such as id!=103"):
        ns.as_spikes(tmp_path / "a.nwb")
    spikes = ns.as_spikes(tmp_path / "a.nwb", where=["id!=103"])
    assert spikes.populations == {"V1": (0, 1), "all (region)": (1, 2)}
    assert ns.as_spikes(tmp_path / "a.nwb", where=["id!=103", "region=all"]).n_units == 1
