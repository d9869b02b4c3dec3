"""Odd but legal content of objects and files: counted right, or refused with the remedy."""

from __future__ import annotations

import datetime
import os

import numpy as np
import pandas
import polars
import pyarrow
import pynapple as nap
import pytest
import quantities as pq
import scipy.io
from neo import SpikeTrain

import neurosparse as ns

TEN = {"duration_ms": 10}
START = pandas.Timestamp("2024-01-01", tz="Europe/Berlin")


def pairs(spikes):
    return list(zip(spikes.times_ms.round(6).tolist(), spikes.units.tolist(), strict=True))


def frame(unit, time=(1.0, 3.0), name="time_ms"):
    return pandas.DataFrame({name: time, "unit": unit})


# ---- Ids
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ids",
    [
        np.array([250, 0], np.uint8),
        np.array([100, -100], np.int8),
        np.array([2**63 + 5, 0], np.uint64),
        np.array([7.0, 2.0]),
        np.array([True, False]),
        np.array([10, 9], object),  # by their numbers, not as texts
        pandas.array([9, 2], dtype="Int64"),
        pandas.array(["b", "a"], dtype="string"),
        pandas.Categorical(["b", "a"], categories=["a", "b", "c"]),
        ["u#2", "u#1"],
    ],
)
def test_ids_are_units_in_their_order(ids):
    """The first spike is of the second unit."""
    assert pairs(ns.as_spikes(frame(ids), **TEN)) == [(1.0, 1), (3.0, 0)]


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (pandas.array([9, None], dtype="Int64"), "at index 1 is missing"),
        (pandas.array(["b", None], dtype="string"), "at index 1 is missing"),
        (np.array(["b", None], object), "at index 1 is missing"),
        (pandas.Categorical(["b", None]), "at index 1 is missing"),
        ([1.0, np.nan], "at index 1 is missing"),
        (["", "a"], "at index 0 is missing"),
        ([2.0**53, 1.0], "must be below 2\\^53"),
        ([(0, 1), (0, 2)], r"whole numbers or texts, got \(0, 1\)"),
    ],
)
def test_ids_that_are_missing_or_cannot_be_told_apart_are_refused(ids, said):
    with pytest.raises((ValueError, TypeError), match=said):
        ns.as_spikes(frame(ids), **TEN)
    if "missing" in said and not isinstance(ids, list):
        with pytest.raises(ValueError, match=said):
            ns.as_spikes(polars.from_pandas(frame(ids)), **TEN)


def test_a_unit_may_be_called_nan_and_a_place_may_be_missing():
    assert ns.as_spikes(frame(["nan", "None"]), **TEN).n_units == 2
    places = frame([1, 2]).assign(region=["V1", None])
    assert ns.as_spikes(places, **TEN).populations == {"V1": (0, 1)}


# ---- Times
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (pandas.to_timedelta([1.0, None], unit="ms"), "must be finite, got NaT at index 1"),
        (START + pandas.to_timedelta([1, 3], unit="ms"), "subtract the moment when the record"),
        ([datetime.datetime(2024, 1, 1)] * 2, "subtract the moment when the record"),
        ([datetime.time(1), datetime.time(2)], "subtract the moment when the record"),
        (["2024-01-01", "2024-01-02"], "must hold a number in each row|must be numbers"),
    ],
)
def test_times_that_are_dates_or_missing_are_refused(times, said):
    with pytest.raises((ValueError, TypeError), match=said):
        ns.as_spikes(frame([0, 1], times, "time"), **TEN)


def test_differences_of_times_carry_their_unit():
    spans = np.array([1, 3], "m8[ms]")
    moments = pandas.Series(START + pandas.to_timedelta([1, 3], unit="ms"))
    for times in (spans, pandas.to_timedelta(spans).as_unit("us"), moments - START):
        assert pairs(ns.as_spikes(frame([0, 1], times, "time"), **TEN)) == [(1.0, 0), (3.0, 1)]
        with pytest.raises(ValueError, match="carries a unit of its own: leave time_unit"):
            ns.as_spikes(frame([0, 1], times, "time"), time_unit="s", **TEN)
    assert pairs(ns.as_spikes([spans, spans[:1]], **TEN)) == [(1.0, 0), (1.0, 1), (3.0, 0)]


def test_masked_times_are_refused():
    masked = np.ma.array([1.0, 3.0], mask=[False, True])
    with pytest.raises(ValueError, match="time_ms has masked values: leave them out"):
        ns.as_spikes({"time_ms": masked, "unit": [0, 1]}, **TEN)
    whole = np.ma.array([1.0, 3.0])
    assert len(ns.as_spikes({"time_ms": whole, "unit": [0, 1]}, **TEN)) == 2


@pytest.mark.parametrize("time", [-3.0, 10.0, 11.0])
def test_spikes_outside_the_time_that_is_given_are_told(tmp_path, time):
    table = frame([0, 1], (1.0, time))
    table.to_csv(tmp_path / "spikes.csv", index=False)
    for what in (table, tmp_path / "spikes.csv"):
        with pytest.warns(UserWarning, match="^1 spikes of .* 0 to 0.01 s, and were left out"):
            spikes = ns.as_spikes(what, **TEN)
        assert spikes.counts.tolist() == [1, 0]


def test_a_part_of_a_stated_record_leaves_spikes_out_without_a_word():
    train = SpikeTrain([1, 7] * pq.ms, t_stop=10 * pq.ms)
    assert len(ns.as_spikes(train, duration_ms=5)) == 1
    other = SpikeTrain([1] * pq.ms, t_stop=5 * pq.ms)  # both were observed for 5 ms
    with pytest.warns(UserWarning, match=r"1 spikes of .* 0 to 0.005 s, and were left out"):
        assert len(ns.as_spikes([train, other])) == 2


# ---- Tables
# --------------------------------------------------------------------------------------------------

ROWS = {"unit": ["b", "a", "c"], "spike_times_ms": [[1.0, 3.0], [2.0], []]}


@pytest.mark.parametrize(
    "table",
    [
        ROWS,
        pandas.DataFrame(ROWS),
        pandas.DataFrame(ROWS).set_index("unit"),
        polars.DataFrame(ROWS),
        pyarrow.table(ROWS),
        pyarrow.RecordBatch.from_pydict(ROWS),
    ],
)
def test_a_row_may_hold_the_times_of_a_unit(table):
    spikes = ns.as_spikes(table, **TEN)
    assert pairs(spikes) == [(1.0, 0), (2.0, 1), (3.0, 0)]
    assert spikes.n_units == 3


def test_a_row_a_unit_has_columns_of_units_and_one_row_each():
    table = pandas.DataFrame(ROWS).assign(region=["V1", "CA1", "V1"], quality=[1, 2, 3])
    assert ns.as_spikes(table, **TEN).populations == {"V1": (0, 2), "CA1": (2, 3)}
    assert ns.as_spikes(table, where=["quality>1"], **TEN).counts.tolist() == [1, 0]
    assert ns.as_spikes(table, n_units=5, **TEN).n_units == 5
    with pytest.raises(ValueError, match="'spike_times_ms' holds times a row, and unit b has two"):
        ns.as_spikes(pandas.concat([table, table]), **TEN)


def test_columns_may_stand_in_the_index_of_pandas():
    table = frame([7, 4])
    for name in ("unit", "time_ms"):
        assert pairs(ns.as_spikes(table.set_index(name), **TEN)) == [(1.0, 1), (3.0, 0)]
    table.index.name = "id"  # of rows: a column of units is there
    assert pairs(ns.as_spikes(table, **TEN)) == [(1.0, 1), (3.0, 0)]


def test_a_table_without_spikes_asks_for_its_units():
    with pytest.raises(ValueError, match="it holds no units: give n_units where they were silent"):
        ns.as_spikes(frame([], []), **TEN)
    assert ns.as_spikes(frame([], []), n_units=3, **TEN).counts.tolist() == [0, 0, 0]


# ---- Files
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("1,9007199254740993\n3,9007199254740992", [(1.0, 1), (3.0, 0)]),
        ("1,u#2\n# a comment\n3,u#1", [(1.0, 1), (3.0, 0)]),
        ('1,"b,1"\n\n3,"a"', [(1.0, 1), (3.0, 0)]),
    ],
)
def test_ids_in_a_text_are_read_whole(tmp_path, rows, expected):
    path = tmp_path / "spikes.csv"
    path.write_text(f"time_ms,unit\n{rows}\n")
    assert pairs(ns.as_spikes(path, **TEN)) == expected


@pytest.mark.parametrize("rows", ["1,2\n3,", "1,a\n3,"])
def test_a_row_of_a_text_without_its_unit_is_refused(tmp_path, rows):
    path = tmp_path / "spikes.csv"
    path.write_text(f"time_ms,unit\n{rows}\n")
    with pytest.raises(ValueError, match="that at index 1 is missing"):
        ns.as_spikes(path, **TEN)


def test_lists_and_missing_ids_in_parquet_are_refused(tmp_path):
    path = tmp_path / "spikes.parquet"
    polars.DataFrame(ROWS).write_parquet(path)
    with pytest.raises(ValueError, match="holds a list a row: write a row a spike"):
        ns.as_spikes(path, **TEN)
    polars.DataFrame({"time_ms": [1.0, 3.0], "unit": ["a", None]}).write_parquet(path)
    with pytest.raises(ValueError, match="that at index 1 is missing"):
        ns.as_spikes(path, **TEN)


def test_a_folder_of_kilosort_may_be_named_as_phy_and_spikeinterface_do(tmp_path):
    inner = tmp_path / "sorter_output"
    inner.mkdir()
    np.save(inner / "spike_times.npy", np.array([30, 90]))
    np.save(inner / "spike_clusters.npy", np.array([5, 2]))
    (inner / "params.py").write_text("sample_rate = 30000\n")
    for path in (inner, tmp_path, inner / "params.py", inner / "spike_times.npy"):
        assert pairs(ns.as_spikes(path, **TEN)) == [(1.0, 1), (3.0, 0)]


NEST = "# NEST version: 3.10.0\n# RecordBackend version: 2\nsender\ttime_ms\n"


def test_ids_of_nest_count_from_1(tmp_path):
    """Whether the last neuron fires makes no difference to the others."""
    events = {"times": np.array([10.0, 40.0]), "senders": np.array([1, 3])}
    path = tmp_path / "spikes-13-0.dat"
    path.write_text(f"{NEST}1\t10.0\n3\t40.0\n")
    for what in (events, path, tmp_path, tmp_path / "spikes-13-*.dat"):
        assert ns.as_spikes(what, n_units=4, duration_ms=100).counts.tolist() == [1, 0, 1, 0]
    with path.open("a") as file:
        file.write("4\t50.0\n")
    assert ns.as_spikes(path, n_units=4, duration_ms=100).counts.tolist() == [1, 0, 1, 1]


def test_a_node_of_two_recorders_is_not_counted_twice(tmp_path):
    (tmp_path / "E-101-0.dat").write_text(f"{NEST}1\t10.0\n")
    (tmp_path / "E-101-1.dat").write_text(NEST)
    (tmp_path / "all-102-0.dat").write_text(f"{NEST}1\t10.0\n2\t20.0\n")
    with pytest.raises(ValueError, match=r"files of E-101 and of all-102.*'E-101-\*\.dat'"):
        ns.as_spikes(tmp_path, duration_ms=100)
    assert len(ns.as_spikes(tmp_path / "all-102-*.dat", duration_ms=100)) == 2


def test_a_folder_of_nest_with_a_multimeter_names_its_file(tmp_path):
    (tmp_path / "E-101-0.dat").write_text(f"{NEST}1\t10.0\n")
    (tmp_path / "V-102-0.dat").write_text("# NEST version: 3\nsender\ttime_ms\tV_m\n1\t1.0\t-65\n")
    with pytest.raises(ValueError, match=r"V-102-0\.dat: its column V_m .*name those of spikes by"):
        ns.as_spikes(tmp_path, duration_ms=100)


def cells(*trains):
    found = np.empty((1, len(trains)), dtype=object)
    for k, train in enumerate(trains):
        found[0, k] = train
    return found


@pytest.mark.parametrize(
    ("variables", "how", "expected"),
    [
        ({"spike_times_ms": cells([1.0, 3.0], [])}, {}, [(1.0, 0), (3.0, 0)]),
        ({"spike_times_ms": cells([1.0, 3.0])}, {}, [(1.0, 0), (3.0, 0)]),
        ({"s": {"x": cells([1.0, 3.0])}}, {"times": "s.x"}, [(1.0, 0), (3.0, 0)]),
        ({"times": [1.0, 3.0], "units": cells("b", "a")}, {}, [(1.0, 1), (3.0, 0)]),
        (
            {"times": [[1.0], [3.0]], "units": np.array([[255, 1]], np.uint8)},
            {},
            [(1.0, 1), (3.0, 0)],
        ),
        ({"times": 1.0, "units": 3.0}, {}, [(1.0, 0)]),
    ],
)
def test_variables_of_matlab_in_other_shapes(tmp_path, variables, how, expected):
    path = tmp_path / "spikes.mat"
    scipy.io.savemat(path, variables)
    unit = {} if "spike_times_ms" in variables else {"time_unit": "ms"}
    assert pairs(ns.as_spikes(path, **TEN, **how, **unit)) == expected


@pytest.mark.parametrize("matrix", [[1.0, 3.0], [[1.0, 3.0], [2.0, np.nan]], [[1, 0], [0, 1]]])
def test_a_matrix_of_matlab_does_not_say_which_unit_fired(tmp_path, matrix):
    path = tmp_path / "spikes.mat"
    scipy.io.savemat(path, {"times": matrix})
    with pytest.raises(ValueError, match=r"its 'times' is (no cell array|a matrix of 2 x 2)"):
        ns.as_spikes(path, time_unit="ms", **TEN)


@pytest.mark.parametrize("part", ["", ".4e0a2b1c-0000-4000-8000-000000000000"])
def test_a_folder_of_the_ibl(tmp_path, part):
    for name, values in {
        "spikes.times": [0.003, 0.001],
        "spikes.clusters": [2, 5],
        "spikes.amps": [1e-5, 2e-5],
        "clusters.depths": [0.0, 0.0, 20.0, 0.0, 0.0, 50.0],
        "clusters.waveforms": np.zeros((6, 3)),
    }.items():
        np.save(tmp_path / f"{name}{part}.npy", np.array(values))
    assert pairs(ns.as_spikes(tmp_path, **TEN)) == [(1.0, 1), (3.0, 0)]
    assert pairs(ns.as_spikes(tmp_path, where=["depths>30"], **TEN)) == [(1.0, 0)]
    np.save(tmp_path / f"spikes.clusters{part}.npy", np.array([2]))
    with pytest.raises(ValueError, match=r"spikes\.times hold 2 spikes and its spikes\.clusters 1"):
        ns.as_spikes(tmp_path, **TEN)


def test_series_of_pynapple_in_files_are_what_they_are_in_memory(tmp_path):
    path = tmp_path / "series.npz"
    nap.Tsd(np.array([0.001, 0.002]), d=np.array([1, 2])).save(path)
    with pytest.raises(ValueError, match=r"a series of values .*, and no spikes"):
        ns.as_spikes(path)
    nap.Ts(np.array([0.001, 0.003])).save(path)
    with pytest.raises(ValueError, match="give duration_ms"):
        ns.as_spikes(path)
    assert ns.as_spikes(path, **TEN).counts.tolist() == [2]


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "series.npz")
    with pytest.raises((OSError, ValueError), match=r"series\.npz"):
        ns.as_spikes(tmp_path / "series.npz")


# ---- What looks like times of units, and is not
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [int, float])
@pytest.mark.parametrize("shape", [list, lambda rows: dict(enumerate(rows))])
def test_a_raster_holds_no_times(kind, shape):
    rows = np.array([[0, 1, 0, 0, 1], [1, 0, 0, 1, 0]], kind)
    with pytest.raises(ValueError, match="zeros and ones alone, as in a raster"):
        ns.as_spikes(shape(list(rows)), time_unit="ms", **TEN)
    assert len(ns.as_spikes([[0, 1], [1]], time_unit="ms", **TEN)) == 3


def test_pairs_of_times_and_units_are_no_units_of_two_spikes():
    with pytest.raises(ValueError, match=r"pass \(time, unit\) pairs as a dict"):
        ns.as_spikes([(1.0, 0), (2.0, 1), (3.0, 0)], time_unit="ms", **TEN)
    for trains in ([[1.0, 2.0], [3.0, 4.0]], [[3.0, 1.0]], [[3.0, 1.0], [2.0]]):
        assert len(ns.as_spikes(trains, time_unit="ms", **TEN)) == sum(map(len, trains))


# ---- What is asked for
# --------------------------------------------------------------------------------------------------


def test_one_condition_may_be_a_text_and_a_missing_number_is_no_difference():
    table = frame([1, 2]).assign(quality=["a", "b"], snr=[1.0, np.nan])
    assert ns.as_spikes(table, where="quality=a", **TEN).n_units == 1
    assert ns.as_spikes(table, where="snr>0.5", **TEN).n_units == 1
    assert ns.as_spikes(pandas.concat([table, table]), where="snr>0.5", **TEN).n_units == 1


def test_a_duration_is_refused_as_it_was_given():
    with pytest.raises(ValueError, match="duration_ms must be > 0, got -5"):
        ns.as_spikes(frame([1, 2]), duration_ms=-5)


def test_the_home_of_a_path_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    frame([0, 1]).to_csv(tmp_path / "spikes.csv", index=False)
    assert len(ns.as_spikes("~/spikes.csv", **TEN)) == 2
