"""Objects of other tools: each made by its own library, and counted by hand; and back again."""

from __future__ import annotations

import subprocess
import sys

import astropy.units
import brian2
import neo
import numpy as np
import pandas
import pint
import polars
import pyarrow
import pynapple as nap
import pytest
import quantities as pq
import spikeinterface.core as si
from hypothesis import given, settings
from hypothesis import strategies as st

import neurosparse as ns
from neurosparse.activity import in_order
from neurosparse.interop import adapters
from neurosparse.recordings.recording import UnitTable
from neurosparse.recordings.selection import Wanted, select

# unit 0 fires at 10, 40 and 160 ms, unit 1 at 70 ms, unit 2 never, in 200 ms
TIMES_S = np.array([0.010, 0.040, 0.160, 0.070])
UNITS = np.array([0, 0, 0, 1])
WHEN = ns.ActiveWhen(window_ms=20.0)
# each of the 4 spikes is in 20 ms of window positions but the first, in 10: 70 of 3 units x 180 ms
ACTIVE = 70 / 540
ACTIVE_OF_TWO = 70 / 360
ALL = {"n_units": 3, "duration_ms": 200.0}


def fraction(obj, **how):
    return ns.measure(obj, active_when=WHEN, **how).active_fraction


def same(spikes, n_units=3):
    """Whether spikes are those above, whatever the order of the units."""
    assert spikes.n_units == n_units
    assert spikes.duration_ms == pytest.approx(200.0)
    assert sorted(spikes.counts.tolist(), reverse=True)[:2] == [3, 1]
    np.testing.assert_allclose(spikes.times_ms, [10.0, 40.0, 70.0, 160.0], atol=2e-6)
    lone = int(np.flatnonzero(spikes.counts == 1)[0])
    assert spikes.times_ms[spikes.units == lone] == pytest.approx([70.0])


# ---- Simulators
# --------------------------------------------------------------------------------------------------


@pytest.fixture
def monitored():
    brian2.start_scope()
    brian2.prefs.codegen.target = "numpy"
    group = brian2.SpikeGeneratorGroup(3, UNITS, TIMES_S * brian2.second, name="given")
    monitor = brian2.SpikeMonitor(group, name="spikes")
    network = brian2.Network(group, monitor)
    network.run(200 * brian2.ms)
    return network, monitor


def test_a_brian2_monitor_knows_all_its_units_and_its_time(monitored):
    _, monitor = monitored
    spikes = ns.as_spikes(monitor)
    same(spikes)
    assert spikes.dt_ms == pytest.approx(0.1)
    assert fraction(monitor) == pytest.approx(ACTIVE, abs=1e-3)  # positions in steps of 0.1 ms


def test_a_brian2_network_gives_its_monitors_as_populations(monitored):
    network, _ = monitored
    other = brian2.SpikeGeneratorGroup(2, [1], [5] * brian2.ms, name="other")
    watching = brian2.SpikeMonitor(other, name="another")
    network.add(other, watching)
    network.run(10 * brian2.ms)
    spikes = ns.as_spikes(network)
    assert spikes.populations == {"other": (0, 2), "given": (2, 5)}
    assert spikes.duration_ms == pytest.approx(210.0)
    assert spikes.population("given").counts.tolist() == [3, 1, 0]
    by_name = ns.as_spikes({"E": watching, "I": monitored[1]})
    assert by_name.populations == {"E": (0, 2), "I": (2, 5)}
    assert set(ns.as_spikes([watching, monitored[1]]).populations) == {"other", "given"}


@pytest.mark.slow
def test_a_monitor_of_a_cpp_program_is_read_when_it_has_run(tmp_path):
    script = f"""
import brian2, numpy as np, neurosparse as ns
brian2.set_device("cpp_standalone", directory={str(tmp_path / "program")!r})
times, units = np.array({TIMES_S.tolist()}), np.array({UNITS.tolist()})
group = brian2.SpikeGeneratorGroup(3, units, times * brian2.second)
monitor = brian2.SpikeMonitor(group)
brian2.run(200 * brian2.ms)
stats = ns.measure(monitor, active_when=ns.ActiveWhen(window_ms=20))
print(stats.n_units, ns.as_spikes(monitor).duration_ms, stats.active_fraction)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    n_units, duration_ms, active = map(float, run.stdout.split()[-3:])
    assert (n_units, duration_ms) == (3, 200)
    assert active == pytest.approx(ACTIVE, abs=1e-3)  # positions in steps of 0.1 ms


def test_a_brian2_monitor_without_times_is_refused():
    brian2.start_scope()
    group = brian2.SpikeGeneratorGroup(1, [0], [1] * brian2.ms)
    with pytest.raises(ValueError, match="record=True"):
        ns.as_spikes(brian2.SpikeMonitor(group, record=False, name="counting"))
    with pytest.raises(TypeError, match=r"from a brian2\.StateMonitor"):
        ns.as_spikes(brian2.StateMonitor(brian2.NeuronGroup(1, "v : 1"), "v", record=True))


NEST = """
import nest, numpy as np, neurosparse as ns
nest.set_verbosity("M_ERROR"); nest.resolution = 0.1
neurons, lone = nest.Create("parrot_neuron", 3), nest.Create("parrot_neuron")
given = nest.Create("spike_generator", 2, [
    {"spike_times": [9.0, 39.0, 159.0, 199.0]}, {"spike_times": [69.0]}])
recorder, other = nest.Create("spike_recorder"), nest.Create("spike_recorder")
nest.Connect(given[0], neurons[0]); nest.Connect(given[1], neurons[1])
nest.Connect(neurons, recorder); nest.Connect(lone, other)
nest.Simulate(200.0)
spikes = ns.as_spikes(recorder)
events = recorder.get("events")
assert sorted(events["times"].tolist()) == [10.0, 40.0, 70.0, 160.0, 200.0], events
# a spike at t is of the step before it, and that at the very end is kept
assert np.allclose(spikes.times_ms, [9.9, 39.9, 69.9, 159.9, 199.9]), spikes.times_ms
assert (spikes.n_units, spikes.dt_ms, spikes.counts.tolist()) == (3, 0.1, [4, 1, 0])
assert abs(spikes.duration_ms - 200.0) < 1e-9
told = ns.as_spikes(events, n_units=3, duration_ms=200.0)
assert sorted(told.counts.tolist()) == [0, 1, 4] and len(told) == 5
assert len(ns.as_spikes(nest.GetStatus(recorder, "events"), duration_ms=200.0)) == 5
assert len(ns.as_spikes(nest.GetStatus(recorder), duration_ms=200.0)) == 5
assert ns.as_spikes({"E": recorder, "one": other}).populations == {"E": (0, 3), "one": (3, 4)}
both = ns.as_spikes(recorder + other)
assert list(both.populations) == [f"recorder {r.global_id}" for r in (recorder, other)]
again = nest.Create("spike_recorder")
nest.Connect(neurons[:1], again)
try:
    ns.as_spikes(recorder + again)
except ValueError as error:
    assert "1 of NEST's nodes, number 1 first, are in two" in str(error), error
try:
    ns.as_spikes(neurons)
except ValueError as error:
    assert "pass a spike_recorder" in str(error)
print("seen")
"""


def test_a_nest_recorder_and_its_events():
    done = subprocess.run([sys.executable, "-c", NEST], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("seen\n"), done.stderr


def test_the_events_of_nest_count_ids_from_1_and_time_up_to_the_end():
    events = {"times": np.array([10.0, 40.0, 160.0, 70.0]), "senders": np.array([1, 1, 1, 2])}
    same(ns.as_spikes(events, **ALL))
    assert fraction(events, **ALL) == pytest.approx(ACTIVE, abs=1e-6)
    late = {"times": np.array([10.0, 200.0]), "senders": np.array([7, 9])}
    assert ns.as_spikes(late, duration_ms=200.0).counts.tolist() == [1, 1]
    with pytest.raises(ValueError, match=r"give duration_ms.*; the first spike"):
        ns.as_spikes(events)


# ---- Recordings
# --------------------------------------------------------------------------------------------------


def train(times_s, start_s=0.0, stop_s=0.2, **annotations):
    return neo.SpikeTrain(
        times_s * pq.s, t_start=start_s * pq.s, t_stop=stop_s * pq.s, **annotations
    )


def trains(start_s=0.0):
    return [
        train(times + start_s, start_s, start_s + 0.2, area=area)
        for times, area in ((TIMES_S[:3], "V1"), (TIMES_S[3:], "V1"), (np.array([]), "CA1"))
    ]


def segment(start_s=0.0):
    found = neo.Segment()
    found.spiketrains.extend(trains(start_s))
    return found


def test_neo_trains_are_units_in_any_unit_of_time():
    for what in (trains(), neo.core.spiketrainlist.SpikeTrainList(items=trains()), segment()):
        same(ns.as_spikes(what))
        assert fraction(what) == pytest.approx(ACTIVE, abs=1e-6)
    in_ms = [t.rescale("ms") for t in trains()]
    same(ns.as_spikes(in_ms))
    assert ns.as_spikes(trains()).populations == {"V1": (0, 2), "CA1": (2, 3)}
    same(ns.as_spikes(trains(), where=["area=V1"]), n_units=2)


def test_the_clock_of_neo_is_kept_and_windows_lie_within_its_segments():
    same(late := ns.as_spikes(trains(3600.0)))
    assert late.start_ms == pytest.approx(3.6e6)
    block = neo.Block()
    block.segments.extend([segment(), segment(10.0)])
    spikes = ns.as_spikes(block)
    np.testing.assert_allclose(spikes.intervals, [[0, 200], [10_000, 10_200]])
    assert fraction(block) == pytest.approx(ACTIVE, abs=1e-6)
    twice = [segment(), segment()]  # each trial from 0 on
    for trials in (twice, [each.spiketrains for each in twice]):
        repeated = ns.as_spikes(trials)
        np.testing.assert_allclose(repeated.intervals, [[0, 200], [200, 400]])
        assert fraction(repeated) == pytest.approx(ACTIVE, abs=1e-6)


@pytest.mark.parametrize("clock_s", [None, 0.0, 3600.0, 1.7e9])
@pytest.mark.parametrize("lasting_s", [[0.1] * 40, np.linspace(0.1, 1.9, 40)])
def test_trials_of_any_length_touch_on_any_clock(clock_s, lasting_s):
    ends = np.cumsum(lasting_s)
    starts = np.zeros(len(ends)) if clock_s is None else clock_s + ends - lasting_s
    whole = [segment_of(a, a + d) for a, d in zip(starts, lasting_s, strict=True)]
    spikes = ns.as_spikes(whole)
    assert spikes.duration_ms == pytest.approx(ends[-1] * 1e3)
    np.testing.assert_allclose(spikes.intervals[:, 1], ends * 1e3, atol=1e-2)
    assert spikes.intervals[1:, 0].tolist() == spikes.intervals[:-1, 1].tolist()
    assert spikes.counts.tolist() == [40]


def segment_of(start_s, stop_s):
    found = neo.Segment()
    found.spiketrains.append(train(np.array([start_s + 0.05]), start_s, stop_s))
    return found


def test_times_on_a_clock_that_counts_from_1970_can_be_copied():
    begin = 1.7e9
    spikes = {"times": begin + np.array([0.25, 1.5]), "units": [0, 1]}
    with pytest.raises(ValueError, match=r"spike is at 1700000000\.25 s, .* at 1700000001\.5 s"):
        ns.as_spikes(spikes, time_unit="s")
    given = [train(begin + TIMES_S, begin, begin + 2)]
    assert len(ns.as_spikes(given, start_ms=begin * 1e3, duration_ms=100)) == 3
    with pytest.raises(ValueError, match=r": from 1699999998\.5 s .*: 1700000000 to 1700000002$"):
        ns.as_spikes(given, start_ms=(begin - 1.5) * 1e3)


def test_stretches_of_a_unit_that_touch_to_a_rounding_are_not_merged():
    bounds = np.array([[0, 0.1 + 0.2], [0.3, 0.6], [0.55, 1]])
    table = UnitTable(
        "made", 1, TIMES_S, np.zeros(4, int), observed_s=bounds, observed_units=np.zeros(3, int)
    )
    spikes = select(table, Wanted()).spikes
    np.testing.assert_allclose(spikes.intervals, [[0, 300], [300, 1000]])


def test_a_pause_between_trials_that_touch_is_kept():
    starts = [*(0.1 * k for k in range(12)), 5.0]
    spikes = ns.as_spikes([segment_of(a, a + 0.1) for a in starts])
    np.testing.assert_allclose(spikes.intervals[-2:], [[1100, 1200], [5000, 5100]])
    trials = [(100.0 * k, 100.0 * k + 100) for k in range(12)]
    ours = ns.SpikeTrains([5.0], [0], n_units=1, duration_ms=1200, intervals=trials)
    np.testing.assert_allclose(ns.as_spikes(ours.to_neo()).intervals, trials)


def group(support=None, **how):
    members = {
        7: nap.Ts(TIMES_S[:3], time_support=support),
        9: nap.Ts(TIMES_S[3:], time_support=support),
        11: nap.Ts(np.array([]), time_support=support),
    }
    return nap.TsGroup(members, time_support=support, **how)


def test_a_pynapple_group_is_observed_where_its_support_says():
    whole = group(nap.IntervalSet(0, 0.2), metadata={"area": ["V1", "V1", "CA1"]})
    same(ns.as_spikes(whole))
    assert fraction(whole) == pytest.approx(ACTIVE, abs=1e-6)
    assert ns.as_spikes(whole, populations="area").populations == {"V1": (0, 2), "CA1": (2, 3)}
    pieces = ns.as_spikes(group(nap.IntervalSet([0, 0.1], [0.05, 0.16])))
    np.testing.assert_allclose(pieces.intervals, [[0, 50], [100, 160]])
    np.testing.assert_allclose(pieces.times_ms, [10, 40, 160], atol=2e-6)  # the last at its end
    assert ns.as_spikes(nap.Ts(TIMES_S[:3], time_support=nap.IntervalSet(0, 1))).n_units == 1


def sorting(n_segments=1):
    samples = np.rint(TIMES_S * 30_000).astype(np.int64)
    order = np.argsort(samples)
    return si.NumpySorting.from_samples_and_labels(
        [samples[order]] * n_segments, [UNITS[order]] * n_segments, 30_000.0, unit_ids=[0, 1, 2]
    )


def test_a_spikeinterface_sorting_asks_for_the_time_unless_it_has_its_recording():
    found = sorting()
    same(ns.as_spikes(found, duration_ms=200.0))
    with pytest.raises(ValueError, match=r"NumpySorting: .*give duration_ms"):
        ns.as_spikes(found)
    traces = [np.zeros((6000, 1), "f4")] * 2
    two = sorting(2)
    two.register_recording(si.NumpyRecording(traces, 30_000.0))
    spikes = ns.as_spikes(two)
    np.testing.assert_allclose(spikes.intervals, [[0, 200], [200, 400]])
    assert fraction(two) == pytest.approx(ACTIVE, abs=1e-3)  # positions in steps of a sample
    two.register_recording(si.NumpyRecording(traces, 30_000.0, t_starts=[0.0, 0.30001]))
    later = ns.as_spikes(two)
    np.testing.assert_allclose(later.intervals, [[0, 200], [300.01, 500.01]])
    assert (later.dt_ms, len(later)) == (None, 8)  # the second starts off the samples of the first
    two.set_property("quality", np.array(["good", "good", "mua"]))
    assert ns.as_spikes(two, where=["quality=good"]).n_units == 2


# ---- Arrays and tables
# --------------------------------------------------------------------------------------------------


ureg = pint.UnitRegistry()


@pytest.mark.parametrize(
    "with_unit",
    [
        lambda t: t * brian2.second,
        lambda t: t * 1e3 * brian2.ms,
        lambda t: t * pq.s,
        lambda t: t * 1e6 * pq.us,
        lambda t: t * ureg.second,
        lambda t: t * 1e3 * ureg.millisecond,
        lambda t: t * astropy.units.s,
    ],
)
def test_arrays_that_carry_a_unit_are_converted(with_unit):
    arrays = [with_unit(TIMES_S[:3]), with_unit(TIMES_S[3:])]
    same(ns.as_spikes(arrays, **ALL))
    same(ns.as_spikes(dict(zip("ab", arrays, strict=True)), **ALL))
    same(ns.as_spikes({"times": with_unit(TIMES_S), "units": UNITS}, **ALL))
    same(ns.as_spikes({"spike_time_ms": with_unit(TIMES_S), "units": UNITS}, **ALL))
    assert ns.as_spikes(arrays[0], duration_ms=200).counts.tolist() == [3]
    with pytest.raises(ValueError, match="settles time_unit itself"):
        ns.as_spikes(arrays[0], duration_ms=200, time_unit="s")


def columns(time, unit, scale=1.0):
    return {time: TIMES_S * scale, unit: UNITS}


FRAMES = {
    "pandas": pandas.DataFrame,
    "polars": polars.DataFrame,
    "arrow": pyarrow.table,
    "dict": dict,
    "records": lambda c: pandas.DataFrame(c).to_records(index=False).view(np.ndarray),
}


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize(
    ("time", "unit", "scale", "how"),
    [
        ("time_s", "unit", 1, {}),
        ("spike_time_ms", "unit_id", 1e3, {}),
        ("t", "neuron", 1, {"time_unit": "s"}),
        ("Time [ms]", "id", 1e3, {}),
        ("times", "units", 1e6, {"time_unit": "us"}),
        ("when", "who", 1e3, {"time_unit": "ms", "times": "when", "units": "who"}),
    ],
)
def test_columns_are_found_by_their_names(kind, time, unit, scale, how):
    frame = FRAMES[kind](columns(time, unit, scale))
    same(ns.as_spikes(frame, **ALL, **how))
    assert fraction(frame, **ALL, **how) == pytest.approx(ACTIVE, abs=1e-6)
    assert fraction(frame, duration_ms=200, **how) == pytest.approx(ACTIVE_OF_TWO, abs=1e-6)


def test_columns_of_units_name_populations_and_meet_conditions():
    frame = pandas.DataFrame({**columns("time_s", "unit"), "layer": ["L4", "L4", "L4", "L5"]})
    spikes = ns.as_spikes(frame, duration_ms=200, populations="layer")
    assert spikes.populations == {"L4": (0, 1), "L5": (1, 2)}
    assert ns.as_spikes(frame, duration_ms=200, where=["layer=L5"]).n_units == 1
    frame["layer"] = ["L4", "L5", "L4", "L5"]
    with pytest.raises(ValueError, match="column 'layer' differs between spikes of one unit"):
        ns.as_spikes(frame, duration_ms=200, populations="layer")
    texts = pandas.DataFrame({"time_s": TIMES_S, "unit": ["b", "b", "b", "a"]})
    same(ns.as_spikes(texts, **ALL))
    spans = pandas.DataFrame({"time": pandas.to_timedelta(TIMES_S, unit="s"), "unit": UNITS})
    same(ns.as_spikes(spans, **ALL))


def test_times_of_each_unit():
    each = [TIMES_S[:3], TIMES_S[3:], []]
    same(ns.as_spikes(each, duration_ms=200, time_unit="s"))
    same(ns.as_spikes(dict(enumerate(each)), duration_ms=200, time_unit="s"))
    same(ns.as_spikes([list(t) for t in each], duration_ms=200, time_unit="s"))
    same(
        ns.as_spikes([pandas.Series(t, dtype=float) for t in each], duration_ms=200, time_unit="s")
    )
    same(ns.as_spikes(np.array([*each, None], dtype=object)[:3], duration_ms=200, time_unit="s"))
    named = ns.as_spikes(
        {"E": {"a": TIMES_S[:3], "b": TIMES_S[3:]}, "I": {"c": []}}, duration_ms=200, time_unit="s"
    )
    same(named)
    assert named.populations == {"E": (0, 2), "I": (2, 3)}


@pytest.mark.parametrize(
    ("what", "how", "said"),
    [
        ({"time": [1.0], "unit": [0]}, {"duration_ms": 5}, r"give time_unit, one of s, ms, us"),
        ({"time": [1.0], "unit": [0]}, {"time_unit": "ms"}, "give duration_ms.*; the first spike"),
        ({"time": [1.0], "unit": [0]}, {"time_unit": "h"}, "time_unit must be one of"),
        ({"time_s": [1.0], "unit": [0]}, {"time_unit": "ms"}, "time_s are in s, got"),
        ({"time_s": [1.0], "t": [2.0], "unit": [0]}, {"times": "x"}, "no column 'x' of times"),
        ({"time_s": [1.0, 2.0], "unit": [0]}, {}, "of one length"),
        ({"time_s": [1.0], "unit": [0.5]}, {}, "whole numbers or texts"),
        ({"time_s": [np.nan], "unit": [0]}, {}, "must be finite"),
        ({"time_s": [1.0, 2.0], "unit": [0, 1]}, {"n_units": 1}, "more than n_units=1"),
        ([], {}, "holds no spikes"),
        ([1.0, 2.0], {}, "which unit fired"),
        (np.ones(3), {}, "which unit fired"),
        (np.ones((3, 2)), {}, "which unit fired"),
        (pandas.DataFrame({"a": [1.0], "b": [2]}), {}, "name the column of times"),
        (object(), {}, r"from a builtins\.object: pass an object of astropy, brian2"),
        (neo.Segment(), {}, "holds no spike trains"),
        (ns.SpikeTrains([1.0], [0], n_units=1, duration_ms=2), {"n_units": 3}, "leave it out"),
    ],
)
def test_what_only_the_user_can_say_is_asked_for(what, how, said):
    with pytest.raises((ValueError, TypeError), match=said):
        ns.as_spikes(what, **how)


def test_seconds_that_were_taken_for_milliseconds_are_refused():
    times = np.arange(40) * 0.05
    with pytest.raises(ValueError, match="first thousandth of the record"):
        fraction({"times": times, "units": np.arange(40) % 4}, time_unit="ms", duration_ms=5000.0)


def test_names_from_objects_are_cleaned():
    evil = ns.as_spikes(
        {"E\x1b[2J": {"a": [0.1]}, "\ud800": {"b": [0.2]}}, time_unit="s", duration_ms=300
    )
    assert all(name.isprintable() for name in evil.populations)
    assert len(evil.populations) == 2


# ---- How adapters are found
# --------------------------------------------------------------------------------------------------


def test_types_that_inherit_are_found_and_nothing_is_imported_before():
    class Mine(nap.TsGroup):
        pass

    assert adapters.find(Mine({0: nap.Ts(TIMES_S[:3])})) is adapters.registry()["pynapple.TsGroup"]
    code = (
        "import sys, neurosparse as ns; ns.as_spikes({'time_s': [.1], 'unit': [0]}, duration_ms=200);"
        "print([m for m in ('brian2', 'neo', 'pynapple', 'pandas', 'polars', 'quantities',"
        " 'spikeinterface', 'nest', 'torch', 'h5py', 'pyarrow', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- And back
# --------------------------------------------------------------------------------------------------


@st.composite
def records(draw):
    """Spikes with gaps, on a grid or not, on a clock of their own."""
    n_units = draw(st.integers(1, 5))
    n_intervals = draw(st.integers(1, 3))
    edges = np.cumsum(
        draw(st.lists(st.integers(1, 50), min_size=2 * n_intervals, max_size=2 * n_intervals))
    )
    intervals = (edges - edges[0]).reshape(-1, 2).astype(float)
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    of = rng.integers(0, n_intervals, draw(st.integers(0, 30)))
    low, high = intervals[of].T
    times = np.floor(rng.uniform(low, high))
    split = draw(st.integers(0, n_units - 1))
    return ns.SpikeTrains(
        times,
        rng.integers(0, n_units, times.size),
        n_units=n_units,
        duration_ms=intervals[-1, 1],
        intervals=intervals,
        start_ms=float(draw(st.sampled_from([0, 5000]))),
        populations={} if split == 0 else {"E": (0, split), "I": (split, n_units)},
    )


def equal(back, spikes, *, populations=True):
    np.testing.assert_allclose(back.times_ms, spikes.times_ms, atol=1e-6)
    np.testing.assert_array_equal(back.units, spikes.units)
    np.testing.assert_allclose(back.intervals, spikes.intervals, atol=1e-6)
    assert back.n_units == spikes.n_units
    assert back.start_ms == pytest.approx(spikes.start_ms)
    if populations:
        assert back.populations == spikes.populations


@settings(max_examples=25)
@given(spikes=records())
def test_neo_pynapple_and_pandas_give_back_what_they_got(spikes):
    equal(ns.as_spikes(spikes.to_neo()), spikes)
    equal(ns.as_spikes(spikes.to_pynapple()), spikes)
    frame = spikes.to_pandas()
    firing = len(set(spikes.units.tolist())) == spikes.n_units
    if len(spikes):
        equal(ns.as_spikes(frame), spikes, populations=firing)


def test_what_the_others_read_of_ours():
    spikes = ns.SpikeTrains(
        [1.0, 5.0, 12.0], [0, 1, 0], n_units=3, duration_ms=20, intervals=[(0, 8), (10, 20)],
        start_ms=100.0, populations={"E": (0, 2)},
    )  # fmt: skip
    block = spikes.to_neo()
    assert [len(s.spiketrains) for s in block.segments] == [3, 3]
    assert block.segments[1].spiketrains[0].rescale("ms").magnitude.tolist() == [112.0]
    assert block.segments[0].spiketrains[0].annotations == {"unit": 0, "population": "E"}
    pyn = spikes.to_pynapple()
    np.testing.assert_allclose(pyn.time_support.values, [[0.1, 0.108], [0.11, 0.12]])
    assert pyn[0].t == pytest.approx([0.101, 0.112])
    assert pyn.get_info("population").tolist() == ["E", "E", ""]
    frame = spikes.to_pandas()
    assert frame.to_dict("list") == {
        "time_ms": [101.0, 105.0, 112.0], "unit": [0, 1, 0], "population": ["E", "E", "E"],
    }  # fmt: skip


def test_a_missing_package_is_one_sentence(monkeypatch):
    spikes = ns.SpikeTrains([1.0], [0], n_units=1, duration_ms=2)
    monkeypatch.setitem(sys.modules, "pynapple", None)
    with pytest.raises(ImportError, match=r"needs pynapple.*pip install 'neurosparse\[interop\]'"):
        spikes.to_pynapple()


@pytest.mark.parametrize("kind", ["numbers", "texts", "categories"])
@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_many_spikes_of_many_units_from_a_frame(monkeypatch, package, kind):
    """Large frames are sorted by compiled code; NumPy's sort of the same spikes is the oracle."""
    monkeypatch.setattr(in_order, "_MANY", 1000)
    rng = np.random.default_rng(1)
    n, n_units = 50_000, 3_000
    times = np.round(rng.uniform(0, 1e4, n), 2)  # some are of several units
    units = rng.permutation(np.append(np.arange(n_units), rng.integers(0, n_units, n - n_units)))
    names = np.array([f"unit {unit:04}" for unit in range(n_units)])
    frame = pandas.DataFrame(
        {"time_ms": times, "unit": units if kind == "numbers" else names[units]}
    )
    if kind == "categories":
        frame["unit"] = frame["unit"].astype("category")
    if package == "polars":
        frame = polars.from_pandas(frame)
    spikes = ns.as_spikes(frame, duration_ms=1e4)
    order = np.lexsort((units, np.rint(times * 1e6)))
    assert spikes.units.tolist() == units[order].tolist()
    np.testing.assert_array_equal(spikes.times_ms, times[order] * 1e-3 * 1e3)


def test_errors_of_files_name_the_arguments_of_the_call(tmp_path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("time_s,unit\n0.1,1\n0.2,2\n")
    with pytest.raises(ValueError, match="duration_ms") as found:
        ns.measure(path, active_when=ns.ActiveWhen(window_ms=10))
    assert "duration_s" not in str(found.value)
    assert "--" not in str(found.value)
