"""Circuits measured population by population: against the closed form, over seeds and stretches,
and what lies in the folder.
"""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

import neurosparse as ns
from neurosparse import simulation
from neurosparse.recordings import load_spikes
from neurosparse.simulation import SimulationSpec
from neurosparse.sparsity import count_correlation, synchrony, windows_over_time


def poisson(rate_hz, n_units, seconds, seed=0):
    rng = np.random.default_rng(seed)
    n = rng.poisson(rate_hz * n_units * seconds)
    ticks = rng.integers(0, round(seconds * 1e4), n)
    return ns.SpikeTrains(
        ticks * 0.1,
        rng.integers(0, n_units, n),
        n_units=n_units,
        duration_ms=1e3 * seconds,
        dt_ms=0.1,
    )


# ---- the two measures of a circuit ----


def test_independent_poisson_cells_have_synchrony_1():
    found = [synchrony(poisson(5.0, 500, 10.0, seed)) for seed in range(8)]
    assert np.mean(found) == pytest.approx(1.0, abs=0.03)  # sd of one is about sqrt(2 / 3333)


def test_cells_that_fire_together_have_synchrony_of_their_number():
    spikes = poisson(5.0, 1, 20.0)
    together = ns.SpikeTrains(
        np.repeat(spikes.times_ms, 50),
        np.tile(np.arange(50), len(spikes)),
        n_units=50,
        duration_ms=2e4,
        dt_ms=0.1,
    )
    assert synchrony(together) == pytest.approx(50 * synchrony(spikes), rel=1e-9)


@pytest.mark.parametrize(
    ("spikes", "bin_ms", "message"),
    [
        (ns.SpikeTrains([], [], n_units=3, duration_ms=30.0, dt_ms=0.1), 3.0, "no spikes"),
        (poisson(5.0, 10, 0.1), 60.0, "at least twice"),
        (poisson(5.0, 10, 0.1), 0.25, "whole multiple of dt_ms"),
    ],
)
def test_synchrony_of_nothing_is_refused(spikes, bin_ms, message):
    with pytest.raises(ValueError, match=message):
        synchrony(spikes, bin_ms)


def test_windows_over_time_scatter_about_the_closed_form():
    found = windows_over_time(poisson(4.0, 4000, 5.0), (0.01, 0.04))
    assert found.shape == (10, 2)
    expected = [-np.log(1 - p) / 4e-3 for p in (0.01, 0.04)]
    np.testing.assert_allclose(found.mean(axis=0), expected, rtol=0.03)
    assert (found.std(axis=0) < 0.1 * found.mean(axis=0)).all()


def test_a_stretch_that_never_gets_there_is_not_a_number():
    spikes = ns.SpikeTrains([1.0, 2.0], [0, 1], n_units=2, duration_ms=100.0, dt_ms=1.0)
    found = windows_over_time(spikes, (1.0,), n_stretches=2)
    assert np.isfinite(found[0, 0])
    assert np.isnan(found[1, 0])


# ---- a simulation and its folder ----


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulation") / "out"
    spec = SimulationSpec(recipe="potjans2014", seconds=0.5, seeds=(3, 4), scale=0.03)
    return simulation.run(spec, folder), folder


def test_every_seed_and_population_has_a_row(simulated):
    result, folder = simulated
    names = ("all", "L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
    assert result.populations == names
    rows = pq.read_table(folder / "populations.parquet").to_pylist()
    assert [(row["seed"], row["population"]) for row in rows] == [
        (seed, name) for seed in (3, 4) for name in names
    ]
    whole = rows[0]
    parts = rows[1 : len(names)]
    assert whole["n_units"] == sum(row["n_units"] for row in parts)
    assert whole["rate_hz"] * whole["n_units"] == pytest.approx(
        sum(row["rate_hz"] * row["n_units"] for row in parts)
    )
    assert rows[0]["rate_hz"] != rows[len(names)]["rate_hz"]  # another seed is another circuit


def test_the_folder_agrees_with_the_spikes_in_it(simulated):
    result, folder = simulated
    spikes = load_spikes(folder / "spikes.npz")
    stats = ns.measure(spikes.population("L4E"), active_when=ns.ActiveWhen(window_ms=10.0))
    row = next(row for row in result.rows if row["population"] == "L4E")
    assert row["active_fraction"] == stats.active_fraction
    assert row["window_ms_at_2_percent"] == stats.curve.window_ms(0.02)
    saved = json.loads((folder / "comparison.json").read_text())
    assert [s["name"] for s in saved["stats"]] == list(result.populations)
    assert {p.stem for p in (folder / "figures").glob("*.png")} == {
        "active_fraction_over_window", "windows", "rates", "raster"
    }  # fmt: skip


def test_a_scaled_circuit_is_called_another_one(simulated):
    result, folder = simulated
    assert any("not the full one" in note for note in result.notes)
    assert "not the full one" in (folder / "report.html").read_text()


def test_correlations_stand_in_the_rows(simulated):
    result, folder = simulated
    spikes = load_spikes(folder / "spikes.npz")
    row = next(row for row in result.rows if row["population"] == "L5E")
    for bin_ms in (2.0, 10.0):
        assert row[f"correlation_in_{bin_ms:g}_ms"] == count_correlation(
            spikes.population("L5E"), bin_ms
        )


def test_a_population_with_too_few_spikes_has_no_correlation(tmp_path):
    spec = SimulationSpec(recipe="potjans2014", seconds=0.002, scale=0.01, window_ms=1.0)
    row = simulation.run(spec, tmp_path / "out").rows[1]
    assert (row["n_units"], row["synchrony"], row["correlation_in_2_ms"]) == (207, None, None)


def test_over_seeds(simulated):
    result, _ = simulated
    rates = [row["rate_hz"] for row in result.rows if row["population"] == "L5I"]
    mean, spread = result.over_seeds("L5I", "rate_hz")
    assert mean == pytest.approx(np.mean(rates))
    assert spread == pytest.approx(np.std(rates, ddof=1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "rectifier"}, 'of kind "circuit" or "population" is needed'),
        ({"recipe": "cortical_population", "scale": 0.5}, "runs on engine brian2 at scale 1"),
        ({"recipe": "cortical_population", "engine": "kernel"}, "runs on engine brian2"),
        ({"recipe": "cortical_population", "n_threads": 2}, "on one thread"),
        ({"engine": "brian2", "n_threads": 2}, "n_threads is for engines such as kernel and nest"),
        ({"settings": {"drive.rate_herz": 9.0}}, "unknown key"),
        ({"seconds": 0.005}, "window_ms must be at most the 5 ms that are recorded, got 10"),
        ({"settings": {"cell.tau_m_ms": -5.0}}, "tau_m_ms"),
        ({"settings": {"cell.v_threshold_mV": -80.0}}, "v_threshold_mV must be > v_reset_mV"),
    ],
)
def test_what_cannot_run_is_refused_before_any_work(changes, message, tmp_path):
    spec = SimulationSpec(**({"recipe": "potjans2014"} | changes))
    with pytest.raises(ValueError, match=message):
        simulation.run(spec, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="spikes_format"):
        simulation.check(SimulationSpec(recipe="potjans2014"), tmp_path / "out", "csv")
