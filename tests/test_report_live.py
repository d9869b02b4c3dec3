"""What the page computes with: curves that are exact where comparison.json is, rasters in
proportion.
"""

import base64
import json
import re

import numpy as np
import pytest
from drawn import spike_trains
from hypothesis import given

import neurosparse as ns
from neurosparse.report import live


def unpacked(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


@given(spikes=spike_trains(most_ticks=400, least_spikes=1))
def test_curves_hold_the_points_of_the_comparison(spikes):
    when = ns.ActiveWhen(window_ms=spikes.duration_ms)
    comparison = ns.compare(ns.measure(spikes, active_when=when, name="circuit"))
    found = live.windows(comparison)
    windows = unpacked(found["circuits"][0]["window_ms"], "<f8")
    fractions = unpacked(found["circuits"][0]["active_fraction"], "<f8")
    assert (np.diff(windows) > 0).all()
    assert set(found["grid_ms"]) <= set(windows)
    for window, fraction in zip(*comparison.curve(comparison.circuits[0]), strict=True):
        at = np.abs(windows - window).argmin()
        assert abs(windows[at] - window) < 1e-9
        assert fractions[at] == fraction


def test_between_its_points_the_curve_is_close(poisson):
    spikes = poisson(0, n_units=300, duration_ms=20_000, rate_hz=4.0)
    circuit = ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=10), name="circuit")
    found = live.windows(ns.compare(circuit))["circuits"][0]
    windows, fractions = (
        unpacked(found["window_ms"], "<f8"),
        unpacked(found["active_fraction"], "<f8"),
    )
    for fraction in (0.005, 0.04, 0.3, 0.9):
        assert np.interp(fraction, fractions, windows) == pytest.approx(
            circuit.curve.window_ms(fraction), rel=1e-4
        )


def test_circuits_of_unlike_steps_and_lengths_share_one_axis(poisson):
    fine = ns.SpikeTrains([0.1, 5.3], [0, 1], n_units=2, duration_ms=30.0, dt_ms=0.1)
    stats = [
        ns.measure(s, active_when=ns.ActiveWhen(window_ms=10), name=name)
        for name, s in {
            "fine": fine,
            "coarse": poisson(0, n_units=5, duration_ms=200, rate_hz=20.0),
        }.items()
    ]
    found = live.windows(ns.compare(*stats))
    grid = np.array(found["grid_ms"])
    assert (np.diff(grid) > 1e-9).all()
    assert (grid[0], grid[-1], found["start_ms"]) == (0.1, 200, 10)
    for name, dt, last in zip(("fine", "coarse"), (0.1, 1.0), (30, 200), strict=True):
        circuit = next(c for c in found["circuits"] if c["name"] == name)
        windows = unpacked(circuit["window_ms"], "<f8")
        assert (windows[0], windows[-1]) == (dt, last)


def test_the_window_of_the_measurement_is_known_though_the_curve_ends_before(poisson):
    spikes = poisson(0, n_units=3, duration_ms=30_000, rate_hz=0.1)
    circuit = ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=20_000), name="circuit")
    found = live.windows(ns.compare(circuit))
    assert found["grid_ms"][-1] == 20_000
    assert (
        unpacked(found["circuits"][0]["active_fraction"], "<f8")[-1] == circuit.curve([20_000])[0]
    )


def test_without_a_circuit_there_is_no_window():
    from neurosparse.sparsity import observe

    when = ns.ActiveWhen(threshold=0)
    assert live.windows(ns.compare(ns.measure(observe(np.eye(3), when, "net")))) is None


def raster_of(spikes):
    found = live.raster(spikes)
    return found, unpacked(found["times_ms"], "<f4"), unpacked(found["rows"], "<u2")


@given(spikes=spike_trains())
def test_a_small_record_is_shown_whole(spikes):
    found, times, rows = raster_of(spikes)
    np.testing.assert_allclose(times, spikes.times_ms)
    assert rows.tolist() == spikes.units.tolist()
    assert found["shown_ms"] == found["duration_ms"] == spikes.duration_ms
    assert found["populations"] == [
        {
            "name": "units",
            "size": spikes.n_units,
            "first": 0,
            "stop": spikes.n_units,
            "colour": "#332288",
        }
    ]


def test_a_large_record_is_sampled_in_proportion():
    n_units, duration = 80_000, 1000
    rng = np.random.default_rng(0)
    ticks, units = rng.integers(0, duration, 240_000), rng.integers(0, n_units, 240_000)
    bounds = {"E": (0, 60_000), "I": (60_000, 79_999), "one": (79_999, 80_000)}
    spikes = ns.SpikeTrains(
        ticks * 1.0, units, n_units=n_units, duration_ms=1000.0, dt_ms=1.0, populations=bounds
    )
    found, times, rows = raster_of(spikes)
    assert 0.9 * live.MOST_SPIKES < times.size <= live.MOST_SPIKES
    assert (np.diff(times) >= 0).all()
    assert found["shown_ms"] == 1000
    shown = {p["name"]: p["stop"] - p["first"] for p in found["populations"]}
    assert shown["E"] / shown["I"] == pytest.approx(3, rel=1e-3)
    assert shown["one"] == 1
    inhibitory = found["populations"][1]
    row = inhibitory["first"] + 7  # the page computes a unit from its row
    unit = 60_000 + 7 * inhibitory["size"] // shown["I"]
    assert times[rows == row].tolist() == spikes.times_ms[spikes.units == unit].tolist()


def test_a_long_record_of_few_units_ends_earlier_rather_than_lose_units(poisson):
    spikes = poisson(0, n_units=50, duration_ms=120_000, rate_hz=20.0)
    found, times, rows = raster_of(spikes)
    assert times.size == live.MOST_SPIKES
    assert set(rows) == set(range(50))
    assert times[-1] <= found["shown_ms"] < spikes.duration_ms


def test_many_rasters_share_the_room_of_a_page(poisson, tmp_path):
    from neurosparse import report

    spikes = poisson(0, n_units=100, duration_ms=20_000, rate_hz=50.0)
    stats = ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=10), name="circuit")
    panels = [
        report.Panel(f"raster{k}", "t", "c", lambda ax: ax.plot([1]), spikes=spikes)
        for k in range(4)
    ]
    html = report.write(ns.compare(stats), tmp_path, panels).read_text()
    rasters = json.loads(
        re.search(r'<script[^>]* id="data"[^>]*>(.*?)</script>', html, re.DOTALL)[1]
    )["rasters"]
    shown = [unpacked(raster["times_ms"], "<f4").size for raster in rasters.values()]
    assert max(shown) - min(shown) == 0
    assert 0.9 * live.MOST_SPIKES_OF_A_PAGE < sum(shown) <= live.MOST_SPIKES_OF_A_PAGE
