"""Spikes that could be taken for others without a word: counted by hand, or refused."""

from __future__ import annotations

import brian2
import neo
import numpy as np
import pandas
import pynapple as nap
import pytest
import quantities as pq
import scipy.io
import spikeinterface.core as si
import xarray

import neurosparse as ns
from neurosparse import recordings

WINDOW = ns.ActiveWhen(window_ms=10)


# ---- Brian2
# --------------------------------------------------------------------------------------------------


@pytest.fixture
def runs():
    """Two networks of one script, which share Brian2's default clock."""
    brian2.start_scope()
    brian2.prefs.codegen.target = "numpy"
    found = []
    for ran_ms in (100, 400):
        group = brian2.SpikeGeneratorGroup(2, [0], [5] * brian2.ms)
        monitor = brian2.SpikeMonitor(group)
        network = brian2.Network(group, monitor)
        network.run(ran_ms * brian2.ms)
        found.append((network, monitor, group))
    return found


def test_a_brian2_record_is_what_its_own_network_ran(runs):
    for (network, monitor, _), ran_ms in zip(runs, (100, 400), strict=True):
        assert ns.as_spikes(network).duration_ms == pytest.approx(ran_ms)
        assert ns.as_spikes(monitor).duration_ms == pytest.approx(ran_ms)


def test_the_time_of_a_brian2_network_that_is_gone_is_asked_for(runs):
    monitor = runs[0][1]
    runs.clear()
    import gc

    gc.collect()
    with pytest.raises(ValueError, match="give duration_ms"):
        ns.as_spikes(monitor)
    assert ns.as_spikes(monitor, duration_ms=100).counts.tolist() == [1, 0]


def test_a_brian2_monitor_that_has_not_run_is_refused():
    brian2.start_scope()
    group = brian2.SpikeGeneratorGroup(1, [0], [1] * brian2.ms)
    with pytest.raises(ValueError, match="'lazy' has not run"):
        ns.as_spikes(brian2.SpikeMonitor(group, name="lazy"))


def test_brian2s_magic_network_is_its_monitors():
    brian2.start_scope()
    brian2.prefs.codegen.target = "numpy"
    group = brian2.SpikeGeneratorGroup(3, [1], [2] * brian2.ms)
    monitor = brian2.SpikeMonitor(group)
    brian2.run(10 * brian2.ms)
    assert ns.as_spikes(brian2.magic_network).counts.tolist() == [0, 1, 0]
    assert ns.as_spikes(monitor).duration_ms == pytest.approx(10)


def test_cells_that_two_monitors_watch_do_not_count_twice():
    brian2.start_scope()
    brian2.prefs.codegen.target = "numpy"
    group = brian2.NeuronGroup(5, "at : second", threshold="t >= at", refractory="1*second")
    group.at = [2, 100, 100, 100, 3] * brian2.ms
    whole, part = brian2.SpikeMonitor(group), brian2.SpikeMonitor(group[3:])
    rest = brian2.SpikeMonitor(group[:3])
    name = group.name
    network = brian2.Network(group, whole, part, rest)
    network.run(10 * brian2.ms)
    said = f"2 of the cells of group '{name}', number 3 first, are in two of these"
    for twice in ([whole, part], {"a": part, "b": whole}, [part, rest, part]):
        with pytest.raises(ValueError, match=said):
            ns.as_spikes(twice)
    with pytest.raises(ValueError, match=f"5 of the cells of group '{name}'"):
        ns.as_spikes(network)
    both = ns.as_spikes({"E": rest, "I": part})
    assert both.counts.tolist() == [1, 0, 0, 0, 1]


# ---- NEST
# --------------------------------------------------------------------------------------------------


def events(*spikes):
    senders, times = zip(*spikes, strict=True)
    return {"senders": np.array(senders), "times": np.array(times)}


def test_a_node_in_two_events_does_not_count_twice():
    with pytest.raises(ValueError, match="1 of NEST's nodes, number 2 first"):
        ns.as_spikes([events((1, 2.0), (2, 3.0)), events((2, 3.0))], duration_ms=10)


@pytest.mark.parametrize("last", [400.0, 500.0])
def test_a_part_of_nests_record_holds_its_end_and_not_its_start(last):
    given = events((1, 100.0), (2, 200.0), (2, 300.0), (3, last))
    with pytest.warns(UserWarning, match="1 spikes of NEST events are not in"):
        spikes = ns.as_spikes(given, start_ms=100, duration_ms=400, n_units=3)
    assert spikes.counts.tolist() == [0, 2, 1]


def test_the_step_of_nests_events_can_be_told():
    spikes = ns.as_spikes(events((1, 18.0), (2, 20.0)), duration_ms=20, dt_ms=0.1)
    assert spikes.times_ms.tolist() == pytest.approx([17.9, 19.9])
    assert spikes.dt_ms == 0.1


# ---- Texts
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["%", "#", "% ", "%%"])
def test_a_comment_with_names_is_a_header(tmp_path, mark):
    path = tmp_path / "h.txt"
    path.write_text(f"{mark} time_ms unit depth_um\n1.0 0 300\n5.0 0 300\n7.5 3 450\n12.0 3 450\n")
    spikes = ns.as_spikes(path, duration_ms=20)
    assert spikes.times_ms.tolist() == [1.0, 5.0, 7.5, 12.0]
    assert spikes.counts.tolist() == [2, 2]


@pytest.mark.parametrize(
    "text",
    [
        "spike time_ms neuron amplitude\n1.0 0 300\n5.0 0 300\n",
        "index,time_ms,unit,amplitude\n1.0,0,300\n5.0,0,300\n",
    ],
)
def test_a_header_with_more_names_than_columns_is_refused(tmp_path, text):
    (tmp_path / "h.csv").write_text(text)
    with pytest.raises(ValueError, match="its header names 4 columns, and its rows have 3"):
        ns.as_spikes(tmp_path / "h.csv", duration_ms=20)


def test_a_name_that_two_columns_have_is_refused(tmp_path):
    (tmp_path / "h.csv").write_text("time_ms,unit,time_ms\n1.0,0,2.0\n")
    with pytest.raises(ValueError, match="there are 2 columns 'time_ms'"):
        ns.as_spikes(tmp_path / "h.csv", duration_ms=20)


@pytest.mark.parametrize("missing", ["NA", "", "nan", "NULL", "#N/A"])
def test_a_missing_unit_is_refused(tmp_path, missing):
    (tmp_path / "h.csv").write_text(f"time_ms,unit\n1.0,a\n2.0,{missing}\n3.0,b\n")
    with pytest.raises(ValueError, match="at index 1 is missing"):
        ns.as_spikes(tmp_path / "h.csv", duration_ms=20)


def test_a_missing_population_is_none(tmp_path):
    (tmp_path / "h.csv").write_text("time_ms,unit,area\n1,0,V1\n2,1,NA\n3,2,V1\n")
    spikes = ns.as_spikes(tmp_path / "h.csv", duration_ms=20)
    assert spikes.populations == {"V1": (0, 2)}
    frame = pandas.DataFrame({"time_ms": [1, 2, 3], "unit": [0, 1, 2], "area": [4, np.nan, 4]})
    assert ns.as_spikes(frame, duration_ms=20).populations == {"4.0": (0, 2)}


def test_a_byte_order_mark_is_no_number(tmp_path):
    (tmp_path / "h.csv").write_text("\ufeff1.0,0\n2.0,1\n", encoding="utf-8")
    spikes = ns.as_spikes(tmp_path / "h.csv", layout="times,units", time_unit="ms", duration_ms=20)
    assert spikes.times_ms.tolist() == [1.0, 2.0]


def test_an_infinite_time_is_named(tmp_path):
    (tmp_path / "h.csv").write_text("time_ms,unit\n1.0,0\ninf,1\n")
    with pytest.raises(ValueError, match="must be finite"):
        ns.as_spikes(tmp_path / "h.csv", duration_ms=20)


def test_a_text_without_a_suffix_says_what_to_do(tmp_path):
    (tmp_path / "spikes").write_text("time_ms,unit\n1.0,0\n")
    with pytest.raises(ValueError, match=r"it is a text, .* name it \.csv"):
        ns.as_spikes(tmp_path / "spikes", duration_ms=5)


# ---- Columns and frames
# --------------------------------------------------------------------------------------------------


def test_the_unit_of_another_column_is_not_that_of_the_times():
    rest = {"units": [0, 3], "latency": [1, 2] * pq.ms, "amplitude": [1, 2] * pq.mV}
    spikes = ns.as_spikes({"times": [1.0, 5.0], **rest}, time_unit="ms", duration_ms=20)
    assert spikes.times_ms.tolist() == [1.0, 5.0]
    with pytest.raises(ValueError, match="give time_unit"):
        ns.as_spikes({"times": [1.0, 5.0], **rest}, duration_ms=20)
    carried = ns.as_spikes({"times": [1.0, 5.0] * pq.ms, **rest}, duration_ms=20)
    assert carried.times_ms.tolist() == [1.0, 5.0]
    with pytest.raises(ValueError, match="leave time_unit out"):
        ns.as_spikes({"times": [1, 5] * pq.ms, **rest}, time_unit="s", duration_ms=20)


def test_the_unit_that_xarray_states_is_honoured():
    times = xarray.DataArray([1.0, 5.0], attrs={"units": "ms"})
    for name in ("times", "times_s", "times_ms"):
        spikes = ns.as_spikes({name: times, "units": [0, 3]}, duration_ms=20)
        assert spikes.times_ms.tolist() == pytest.approx([1.0, 5.0])


RUNS = ("seed", "simulation", "sim_id", "realisation", "replicate", "iteration", "mouse", "rat_id")


def of_five_runs(column, *, order="by run"):
    """20 units, five runs that each begin at 0."""
    rng = np.random.default_rng(0)
    rows = [
        (time, unit, f"r{run}")
        for run in range(5)
        for unit in range(20)
        for time in np.sort(rng.uniform(0, 1000, rng.poisson(5)))
    ]
    frame = pandas.DataFrame(rows, columns=["time_ms", "neuron", column])
    if order == "by unit":
        return frame.sort_values(["neuron", column, "time_ms"], kind="stable")
    if order == "by time":
        return frame.sort_values("time_ms", kind="stable")
    return frame


@pytest.mark.parametrize("column", RUNS)
def test_runs_in_one_table_are_not_one_record(column):
    for order in ("by run", "by unit", "by time"):
        with pytest.raises(ValueError, match=f"column '{column}'"):
            ns.as_spikes(of_five_runs(column, order=order), duration_ms=1000)


@pytest.mark.parametrize("order", ["by run", "by unit"])
def test_runs_show_where_times_begin_anew_whatever_their_name(order):
    with pytest.raises(ValueError, match="begin anew where column 'wurf' changes"):
        ns.as_spikes(of_five_runs("wurf", order=order), duration_ms=1000)


def test_columns_that_say_something_of_each_spike_are_no_runs():
    frame = of_five_runs("x", order="by time").drop(columns="x")
    rng = np.random.default_rng(1)
    frame["is_burst"] = rng.random(len(frame)) < 0.3
    frame["amplitude"] = rng.random(len(frame))
    frame["light"] = np.where(frame.time_ms % 200 < 100, "on", "off")
    for order in (["time_ms"], ["neuron", "time_ms"], ["neuron", "amplitude"], ["amplitude"]):
        spikes = ns.as_spikes(frame.sort_values(order, kind="stable"), duration_ms=1000)
        assert len(spikes) == len(frame)


def test_units_keep_their_order_where_each_population_stands_together():
    spikes = ns.SpikeTrains(
        [1.0, 12.0, 15.0], [0, 5, 3], n_units=6, duration_ms=20, populations={"a": (2, 4)}
    )
    for back in (spikes.to_pandas(), spikes.to_neo(), spikes.to_pynapple()):
        found = ns.as_spikes(back)
        assert found.units.tolist() == [0, 5, 3]
        assert found.populations == {"a": (2, 4)}
    assert ns.as_spikes(spikes.to_pandas()) == spikes


def test_populations_that_overlap_are_not_lost_on_the_way():
    spikes = ns.SpikeTrains(
        [1.0], [0], n_units=6, duration_ms=20, populations={"x": (0, 6), "y": (2, 4)}
    )
    for write in (spikes.to_pandas, spikes.to_neo, spikes.to_pynapple):
        with pytest.raises(ValueError, match="populations 'x' and 'y' overlap"):
            write()


def test_a_frame_without_names_is_read_by_number():
    frame = pandas.DataFrame([[1.0, 0], [5.0, 0]])
    for times, units in (("0", "1"), (0, 1)):
        found = ns.as_spikes(frame, times=times, units=units, time_unit="ms", duration_ms=10)
        assert found.times_ms.tolist() == [1.0, 5.0]


def test_what_explode_leaves_is_numbers():
    rows = pandas.DataFrame({"unit": [1, 2], "spike_times": [[0.001, 0.002], [0.003]]})
    frame = rows.explode("spike_times")
    assert frame.spike_times.dtype == object
    assert ns.as_spikes(frame, time_unit="s", duration_ms=10).counts.tolist() == [2, 1]
    frame = pandas.DataFrame({"unit": [1, 2], "spike_times": [[0.001], np.nan]})
    assert ns.as_spikes(frame, time_unit="s", duration_ms=10).counts.tolist() == [1, 0]
    frame = pandas.DataFrame({"unit": [1, 2], "spike_times": [0.001, "x"]}, dtype=object)
    with pytest.raises(TypeError, match=r"a number in each row, got a str"):
        ns.as_spikes(frame, time_unit="s", duration_ms=10)


def test_as_many_times_of_each_unit_are_no_matrix():
    given = {"unit": [1, 2], "spike_times": [[0.001, 0.002], [0.003, 0.004]]}
    assert ns.as_spikes(given, time_unit="s", duration_ms=10).counts.tolist() == [2, 2]


@pytest.mark.parametrize("kind", [lambda t: t, pandas.Series, pandas.TimedeltaIndex])
def test_differences_of_times_carry_their_unit(kind):
    times = kind(np.array([1, 5], dtype="m8[ms]"))
    for given in ({"a": times, "b": times[:1]}, [times, times[:1]]):
        spikes = ns.as_spikes(given, duration_ms=10)
        assert spikes.times_ms.tolist() == pytest.approx([1.0, 1.0, 5.0])
        assert not spikes.populations


def test_pairs_of_time_and_unit_are_no_trains():
    rng = np.random.default_rng(0)
    times, ids = rng.uniform(0, 10, 200), rng.integers(10, 400, 200)
    for pairs in (zip(times, ids, strict=True), zip(ids, times, strict=True)):
        with pytest.raises(ValueError, match="pass \\(time, unit\\) pairs as a dict"):
            ns.as_spikes([list(map(float, pair)) for pair in pairs], time_unit="s")


def test_all_units_of_each_population_can_be_told():
    one = {"times_ms": [1.0, 2, 3], "unit": [0, 0, 1]}
    spikes = ns.as_spikes({"E": one, "I": one}, n_units={"E": 8, "I": 2}, duration_ms=20)
    assert spikes.populations == {"E": (0, 8), "I": (8, 10)}
    total = ns.as_spikes({"E": one, "I": one}, n_units=10, duration_ms=20)
    assert total.n_units == 10
    assert total.populations == {"E": (0, 2), "I": (2, 4)}
    with pytest.raises(ValueError, match="n_units names 'X', which is none of E, I"):
        ns.as_spikes({"E": one, "I": one}, n_units={"X": 3}, duration_ms=20)
    for other in (one, {"a": [1.0], "b": [2.0]}):
        with pytest.raises(ValueError, match="no dict of populations"):
            ns.as_spikes(other, n_units={"a": 3}, time_unit="ms", duration_ms=20)
    with pytest.raises(TypeError, match="n_units must be a whole number, got a dict"):
        ns.as_spikes([[1.0], [2.0]], n_units={"a": 3}, time_unit="ms", duration_ms=20)


@pytest.mark.parametrize(
    "wrong", [{"time_unit": 1}, {"populations": 3}, {"where": 3}, {"where": [3]}, {"times": 1.5}]
)
def test_an_option_of_the_wrong_kind_is_one_sentence(wrong, tmp_path):
    spikes = ns.SpikeTrains([1.0], [0], n_units=1, duration_ms=5)
    path = recordings.save_spikes(spikes, tmp_path / "a.npz")
    name = next(iter(wrong))
    for call in (
        lambda: ns.as_spikes({"times_ms": [1.0], "unit": [0]}, duration_ms=5, **wrong),
        lambda: recordings.read(path, **wrong),
    ):
        with pytest.raises(TypeError, match=rf"^{name}(\[0\])? must be a"):
            call()


def test_a_refusal_names_the_arguments_of_python():
    with pytest.raises(ValueError) as caught:
        ns.as_spikes({"time": [1.0], "unit": [0]}, duration_ms=5)
    assert "--" not in str(caught.value)
    with pytest.raises(TypeError, match="a list of texts holds no spikes"):
        ns.as_spikes(["a.nwb", "b.nwb"])


# ---- Neo, SpikeInterface, pynapple, MATLAB, Kilosort, our own files
# --------------------------------------------------------------------------------------------------


def neo_block(starts_s=(0, 10, 20)):
    block = neo.Block()
    for start in starts_s:
        segment = neo.Segment()
        for times in ([0.5], [0.2, 0.9]):
            train = neo.SpikeTrain(
                (np.array(times) + start) * pq.s, t_start=start * pq.s, t_stop=(start + 2) * pq.s
            )
            segment.spiketrains.append(train)
        block.segments.append(segment)
    return block


def test_all_trains_of_a_neo_block_are_its_units_in_each_trial():
    block = neo_block()
    for given in (block, block.segments, block.list_children_by_class("SpikeTrain")):
        spikes = ns.as_spikes(given)
        assert spikes.counts.tolist() == [3, 6]
        assert spikes.observed_ms == pytest.approx(6000)


def test_a_part_of_neo_segments_is_found_in_the_one_that_holds_it():
    spikes = ns.as_spikes(neo_block(), start_ms=10_000, duration_ms=2000)
    assert spikes.counts.tolist() == [1, 2]
    with pytest.raises(ValueError, match="not within a time at which all units were observed"):
        ns.as_spikes(neo_block(), start_ms=5000, duration_ms=2000)


def test_a_gap_in_spikeinterfaces_times_is_not_observed():
    rate_hz = 1000.0
    times = np.arange(4000) / rate_hz
    times[2000:] += 96
    recording = si.NumpyRecording([np.zeros((4000, 1))], rate_hz)
    recording.set_times(times, segment_index=0)
    sorting = si.NumpySorting.from_unit_dict({"a": np.arange(0, 4000, 20)}, rate_hz)
    sorting.register_recording(recording)
    stats = ns.measure(sorting, active_when=WINDOW)
    assert stats.mean_rate_hz == pytest.approx(50)
    assert stats.active_fraction == pytest.approx(0.5, abs=0.003)


def test_pynapple_takes_intervals_that_touch():
    spikes = ns.SpikeTrains(
        [1.0, 9.9995, 15.0], [0, 0, 0], n_units=1, duration_ms=20, intervals=[(0, 10), (10, 20)]
    )
    assert len(ns.as_spikes(spikes.to_pynapple())) == 3
    assert isinstance(spikes.to_pynapple(), nap.TsGroup)


def test_a_matrix_of_matlab_is_not_the_times_of_a_unit(tmp_path):
    scipy.io.savemat(tmp_path / "m.mat", {"times": np.array([[1.0, 0], [5, 0], [7.5, 3]])})
    with pytest.raises(ValueError, match="its 'times' is a matrix of 3 x 2"):
        ns.as_spikes(tmp_path / "m.mat", n_units=1, time_unit="ms", duration_ms=20)


@pytest.mark.parametrize(
    "more", ["sample_rate = 30000.", "sample_rate *= 2", "if True:\n    sample_rate = 5."]
)
def test_a_sampling_rate_that_is_set_twice_is_refused(tmp_path, more):
    np.save(tmp_path / "spike_times.npy", np.array([300, 600]))
    np.save(tmp_path / "spike_clusters.npy", np.array([0, 1]))
    (tmp_path / "params.py").write_text(f"sample_rate = 25000.\n{more}\n")
    with pytest.raises(ValueError, match="sets sample_rate 2 times"):
        ns.as_spikes(tmp_path, duration_ms=100)


def test_a_part_of_our_own_files_is_by_their_own_clock(tmp_path):
    times = np.r_[np.arange(0.5, 500, 5), np.arange(500.5, 1000, 50)]
    spikes = ns.SpikeTrains(times, [0] * times.size, n_units=2, duration_ms=1000, dt_ms=0.5)
    late = spikes.between(200, 1000)
    for suffix in ("npz", "nwb"):
        path = recordings.save_spikes(late, tmp_path / f"o.{suffix}")
        stats = ns.measure(path, active_when=WINDOW, start_ms=300, duration_ms=100)
        assert stats.active_fraction == 0.5
        assert "observed from 0.2 to 1 s" in str(recordings.read(path))


@pytest.mark.parametrize("start_ms", [0.0, 500.0, 3_600_000.3])
def test_what_goes_out_comes_back_on_every_clock(tmp_path, start_ms):
    spikes = ns.SpikeTrains(
        [1.0, 12.1, 15.7], [0, 2, 1], n_units=4, duration_ms=20, start_ms=start_ms
    )
    path = recordings.save_spikes(spikes, tmp_path / "o.nwb")
    for back in (spikes.to_pandas(), spikes.to_neo(), spikes.to_pynapple(), path):
        assert ns.as_spikes(back) == spikes
