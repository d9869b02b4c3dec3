"""Odd but legal objects of tools: counted right, or refused with the remedy."""

from __future__ import annotations

import brian2
import numpy as np
import pandas
import pynapple as nap
import pytest
import quantities as pq
import torch
from neo import Block, Segment, SpikeTrain

import neurosparse as ns

TEN = {"duration_ms": 10}


def pairs(spikes):
    return list(zip(spikes.times_ms.round(6).tolist(), spikes.units.tolist(), strict=True))


def frame(unit, time=(1.0, 3.0), name="time_ms"):
    return pandas.DataFrame({name: time, "unit": unit})


def test_trials_in_the_index_of_pandas_are_seen():
    table = frame([7, 4, 7, 4], [1.0, 3.0, 1.5, 2.5]).assign(trial=[0, 0, 1, 1])
    for level in ("trial", ["unit", "trial"], ["time_ms", "trial"]):
        with pytest.raises(ValueError, match=r"2 trials \(column 'trial'\) lie over each other"):
            ns.as_spikes(table.set_index(level), **TEN)
    one = table[table.trial == 0].assign(area=["V1", "CA1"]).set_index(["trial", "area"])
    assert ns.as_spikes(one, **TEN).populations == {"CA1": (0, 1), "V1": (1, 2)}


def test_a_frame_of_ours_without_some_rows_asks_for_what_was_observed():
    spikes = ns.SpikeTrains(
        [1.0, 3.0, 7.0], [0, 2, 1], n_units=4, duration_ms=10, populations={"e": (0, 2)}
    )
    table = spikes.to_pandas()
    assert ns.as_spikes(table.sort_values("unit")) == spikes
    some = table[table.time_ms < 5]
    with pytest.raises(ValueError, match=r"2 of the 3 rows .* give n_units, duration_ms"):
        ns.as_spikes(some)
    half = ns.as_spikes(some, n_units=4, duration_ms=5)
    assert (pairs(half), half.n_units, half.duration_ms) == ([(1.0, 0), (3.0, 2)], 4, 5)


def block(*segments):
    found = Block()
    for names in segments:
        found.segments.append(Segment())
        for name in names:
            time = {"a": 0.1, "b": 0.2, "c": 0.3}.get(name, 0.4)
            train = SpikeTrain([time] * pq.s, t_stop=1 * pq.s, name=name)
            found.segments[-1].spiketrains.append(train)
    return found


def test_trains_of_a_block_are_found_by_their_names_where_these_tell():
    expected = [(100.0, 0), (200.0, 1), (1100.0, 0), (1200.0, 1)]
    assert pairs(ns.as_spikes(block("ab", "ba"))) == expected
    # names of trains, not of units
    assert pairs(ns.as_spikes(block("ab", "xy")))[2:] == [(1400.0, 0), (1400.0, 1)]
    with pytest.raises(ValueError, match="a train 'a' is in some of its segments and not in all"):
        ns.as_spikes(block("ab", "bc"))


def test_lists_of_trains_in_a_dict_are_populations():
    train = SpikeTrain([0.1] * pq.s, t_stop=1 * pq.s)
    spikes = ns.as_spikes({"E": [train, train], "I": [train]})
    assert spikes.populations == {"E": (0, 2), "I": (2, 3)}
    alike = ns.as_spikes({"E": [train] * 2, "I": [train] * 2}, populations="population")
    assert alike.populations == {"E": (0, 2), "I": (2, 4)}
    ids = {"E": {"a": [1.0], "b": [3.0]}, "I": {"c": [1.0], "d": []}}  # of units: no two are one
    assert ns.as_spikes(ids, time_unit="ms", **TEN).populations == {"E": (0, 2), "I": (2, 4)}


TRIALS = [[1.0, 3.0], [2.0]]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"a": TRIALS, "b": TRIALS}, "2 entries holds 2 trains, of units or of trials"),
        ({"a": dict(enumerate(TRIALS)), "b": dict(enumerate(TRIALS))}, "of units or of trials"),
        ([TRIALS, TRIALS, TRIALS], "a list of 3 lists of trains does not say which are units"),
        ([dict(enumerate(TRIALS)), TRIALS[:1]], "a list of 2 lists of trains"),
    ],
)
def test_trials_of_units_are_no_units(what, said):
    with pytest.raises(ValueError, match=said):
        ns.as_spikes(what, time_unit="ms", **TEN)


def test_trials_of_units_by_neo_are_no_units():
    train = SpikeTrain([0.1] * pq.s, t_stop=1 * pq.s)
    for what in ({"a": [train] * 2, "b": [train] * 2}, [[train] * 2, [train] * 2]):
        with pytest.raises(ValueError, match=r"units.* trials"):
            ns.as_spikes(what)


@pytest.mark.parametrize("shape", [tuple, list])
def test_times_and_ids_are_no_two_units(shape):
    times, ids = np.array([1.0, 3.0, 4.0]), np.array([0, 1, 0])
    for both in ((times, ids), (ids, times), (times.tolist(), [0.0, 0.0, 1.0])):
        with pytest.raises(ValueError, match=r"as ids do: pass a dict \{'times'"):
            ns.as_spikes(shape(both), time_unit="ms", **TEN)
    assert ns.as_spikes({"a": times, "b": ids}, time_unit="ms", **TEN).counts.tolist() == [3, 3]
    assert len(ns.as_spikes(shape((times, [0, 1, 5])), time_unit="ms", **TEN)) == 6


def test_tensors_with_a_gradient_and_arrays_without_a_mask_are_times(tmp_path):
    stored = np.memmap(tmp_path / "times", dtype=float, mode="w+", shape=2)
    stored[:] = 1.0, 3.0
    for times in (torch.tensor([1.0, 3.0], requires_grad=True), np.ma.array([1.0, 3.0]), stored):
        assert pairs(ns.as_spikes([times], time_unit="ms", **TEN)) == [(1.0, 0), (3.0, 0)]
        columns = {"times": times, "units": [0, 0]}
        assert pairs(ns.as_spikes(columns, time_unit="ms", **TEN)) == [(1.0, 0), (3.0, 0)]
    masked = np.ma.array([1.0, 3.0], mask=[True, False])
    records = np.ma.array([(1.0, 0), (3.0, 1)], dtype=[("time_ms", float), ("unit", int)])
    assert pairs(ns.as_spikes(records, **TEN)) == [(1.0, 0), (3.0, 1)]
    records["time_ms"].mask = [True, False]
    for what in ([masked], {"times": masked, "units": [0, 0]}, records):
        with pytest.raises(ValueError, match="has masked values"):
            ns.as_spikes(what, time_unit=None if what is records else "ms", **TEN)


def test_the_events_of_nest_are_in_ms_unless_it_is_told():
    events = {"senders": [1, 2], "times": np.array([0.001, 0.003])}
    assert pairs(ns.as_spikes(events, time_unit="s", **TEN)) == [
        (pytest.approx(1.0, abs=2e-6), 0),
        (pytest.approx(3.0, abs=2e-6), 1),
    ]
    for other, said in (("offsets", "steps and offsets"), ("V_m", "V_m is that of a multimeter")):
        for what in ({**events, other: [0, 0]}, {"events": {**events, other: [0, 0]}}):
            with pytest.raises(ValueError, match=said):
                ns.as_spikes(what, **TEN)


def test_what_is_told_of_objects_that_settle_it_is_refused():
    train = SpikeTrain([0.1] * pq.s, t_stop=1 * pq.s)
    for what in (train, [train], {"a": train}, [[0.1] * pq.s]):
        with pytest.raises(ValueError, match="settles time_unit itself: leave it out"):
            ns.as_spikes(what, time_unit="ms")
    with pytest.raises(ValueError, match="layout is for the path of a text"):
        ns.as_spikes(frame([7, 4]), layout="trains", **TEN)


def test_a_support_that_nobody_gave_does_not_say_how_long_a_series_was_observed():
    series = [nap.Ts(np.array([1.0, 2.0])), nap.Ts(np.array([1.5, 1.7])), nap.Ts(np.array([]))]
    with pytest.raises(ValueError, match="give duration_ms"):
        ns.as_spikes(series)
    assert ns.as_spikes(series, duration_ms=3000).counts.tolist() == [2, 2, 0]
    support = nap.IntervalSet(0, 3)
    known = [nap.Ts(each.t, time_support=support) for each in series]
    assert ns.as_spikes(known).counts.tolist() == [2, 2, 0]


def test_nor_one_that_nobody_gave_of_a_group(tmp_path):
    members = {k: nap.Ts(np.array(times)) for k, times in enumerate(([0.1, 1.0], [9.0, 9.5, 10.0]))}
    group = nap.TsGroup(members)
    group.save(tmp_path / "group.npz")
    for what in (group, tmp_path / "group.npz"):
        with pytest.raises(ValueError, match=r"give duration_ms; the first spike is at 0\.1 s"):
            ns.as_spikes(what)
        assert ns.as_spikes(what, duration_ms=12_000).counts.tolist() == [2, 3]
    support = nap.IntervalSet([0, 9], [1, 11])
    assert ns.as_spikes(nap.TsGroup(members, time_support=support)).observed_ms == 3000


def test_a_brian2_monitor_that_came_late_is_noted():
    brian2.start_scope()
    brian2.prefs.codegen.target = "numpy"
    group = brian2.SpikeGeneratorGroup(1, [0] * 40, np.arange(1, 81, 2) * brian2.ms)
    network = brian2.Network(group)
    network.run(40 * brian2.ms)
    network.add(monitor := brian2.SpikeMonitor(group))
    network.run(40 * brian2.ms)
    when = ns.ActiveWhen(window_ms=2)
    stats = ns.measure(monitor, active_when=when)
    assert stats.notes[0].startswith("No unit fired in the first 0.041 s of the 0.08 s observed")
    half = ns.measure(monitor, active_when=when, start_ms=40)
    assert (half.active_fraction, half.notes) == (pytest.approx(1.0), ())


def test_times_and_units_of_a_brian2_monitor_in_a_dict():
    brian2.start_scope()
    brian2.prefs.codegen.target = "numpy"
    group = brian2.SpikeGeneratorGroup(3, [0, 2], [1, 3] * brian2.ms)
    monitor = brian2.SpikeMonitor(group)
    brian2.Network(group, monitor).run(5 * brian2.ms)
    for what in ({"t": monitor.t, "i": monitor.i}, monitor.get_states(["t", "i"])):
        assert pairs(ns.as_spikes(what, n_units=3, **TEN)) == [(1.0, 0), (3.0, 2)]
