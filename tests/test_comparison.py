"""Comparison: equivalent windows against the closed form of Poisson firing, refusals, and what is saved."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import neurosparse as ns
from neurosparse.comparison import percent
from neurosparse.reference import Band, bands, paper
from neurosparse.sparsity import observe


def poisson_circuit(rate_hz=5.0, n_units=2000, duration_ms=4000.0, seed=0, name="circuit", window_ms=10.0):
    rng = np.random.default_rng(seed)
    n = rng.poisson(rate_hz * duration_ms * 1e-3 * n_units)
    spikes = ns.SpikeTrains(
        rng.integers(0, round(duration_ms * 10), n) * 0.1,
        rng.integers(0, n_units, n),
        n_units=n_units,
        duration_ms=duration_ms,
        dt_ms=0.1,
    )
    return ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=window_ms), name=name)


def network(active=0.1, n_units=1000, n_samples=50, threshold=0.0, name="net"):
    a = np.zeros((n_samples, n_units))
    a[:, : round(active * n_units)] = 1.0
    return ns.measure(observe(a, ns.ActiveWhen(threshold=threshold), name))


@pytest.mark.parametrize("active", [0.01, 0.04, 0.2])
def test_the_equivalent_window_of_poisson_firing_is_the_closed_form(active):
    comparison = ns.compare(poisson_circuit(), network(active))
    window = comparison.equivalent_window_ms["net"]["circuit"]
    assert window == pytest.approx(-np.log(1 - active) / 5e-3, rel=0.02)  # 1 - exp(-r w) = active
    circuit = comparison.circuits[0]
    assert circuit.curve([window])[0] == pytest.approx(active, rel=1e-3)


def test_windows_of_the_band_are_the_closed_form():
    at = ns.compare(poisson_circuit()).windows_at_ms["circuit"]
    for fraction in (0.01, 0.02, 0.04):
        assert at[fraction] == pytest.approx(-np.log(1 - fraction) / 5e-3, rel=0.02)


def test_a_network_more_active_than_any_window_has_none():
    silent_half = ns.SpikeTrains(np.arange(0, 100.0), np.zeros(100, int), n_units=2, duration_ms=100.0, dt_ms=1.0)
    circuit = ns.measure(silent_half, active_when=ns.ActiveWhen(window_ms=10), name="half silent")
    comparison = ns.compare(circuit, network(0.6))
    assert comparison.equivalent_window_ms["net"]["half silent"] is None
    assert "more than half silent in any window" in " ".join(comparison.answer())


def test_a_dead_network_is_as_active_as_a_circuit_in_no_time():
    assert ns.compare(poisson_circuit(), network(0.0)).equivalent_window_ms["net"]["circuit"] == 0.0


def test_unlike_definitions_are_refused_unless_asked_for():
    unlike = (network(0.1, name="a"), network(0.1, threshold=0.5, name="b"))
    with pytest.raises(ValueError, match="mean different things by active"):
        ns.compare(*unlike)
    assert len(ns.compare(*unlike, mixed_definitions=True).stats) == 2
    with pytest.raises(ValueError, match="mean different things by active"):
        ns.compare(poisson_circuit(name="a"), poisson_circuit(name="b", window_ms=20.0))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="nothing to compare"):
        ns.compare()
    with pytest.raises(ValueError, match="'net' twice"):
        ns.compare(network(), network())
    with pytest.raises(ValueError, match="unknown reference 'mouse'"):
        ns.compare(network(), reference="mouse")
    with pytest.raises(TypeError, match="got a float"):
        ns.compare(0.04)
    with pytest.raises(ValueError, match="needs 0 <= low < high <= 1"):
        Band("x", "x", 0.4, 0.1, "", "")


def test_references_carry_their_source_and_trust():
    for band in bands().values():
        assert band.source
        assert band.caption
        assert band.trust in {"A", "B", "C"}
    assert (bands()["glorot2011"].low, bands()["glorot2011"].high) == (0.01, 0.04)
    assert 0.04 in bands()["glorot2011"]
    assert 0.05 not in bands()["glorot2011"]
    figure3 = paper()["figure3"]
    sizes = {len(figure3[k]) for k in ("bins_zeros_percent", "bins_n", "bins_mean_error_percent", "bins_sd")}
    assert sizes == {10}
    s = figure3["best_zeros_percent"]
    assert np.polyval(figure3["fit_error_percent"], s) == pytest.approx(1.355, abs=1e-3)  # the printed minimum


def test_what_is_saved_can_be_read_back(tmp_path):
    comparison = ns.compare(poisson_circuit(), network(), provenance={"seed": 0})
    comparison.save(tmp_path / "out")
    saved = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert saved["equivalent_window_ms"] == comparison.equivalent_window_ms
    assert saved["stats"][0]["active_fraction"] == comparison.stats[0].active_fraction
    assert saved["provenance"] == {"seed": 0}
    curve = saved["curves"]["circuit"]
    np.testing.assert_allclose(comparison.circuits[0].curve(curve["window_ms"]), curve["active_fraction"])
    units = pq.read_table(tmp_path / "out" / "activity.parquet").to_pydict()
    assert len(units["unit"]) == 3000
    assert np.nanmean([r for r in units["rate_hz"] if r is not None]) == pytest.approx(comparison.stats[0].mean_rate_hz)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["activity.parquet", "comparison.json"]


@given(st.floats(0, 1))
def test_percentages_keep_what_means_something(fraction):
    shown = float(percent(fraction).removesuffix(" %"))
    assert shown == pytest.approx(100 * fraction, rel=0.051, abs=1e-300)
    assert len(percent(fraction)) <= 10


def test_layers_of_a_network_can_be_passed_as_a_dict():
    layers = {"hidden1": network(name="hidden1"), "hidden2": network(name="hidden2")}
    assert [s.name for s in ns.compare(poisson_circuit(), layers).networks] == ["hidden1", "hidden2"]
