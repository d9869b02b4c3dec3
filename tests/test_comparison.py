"""Comparison: equivalent windows against the closed form of Poisson firing, refusals, and what is
saved.
"""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import neurosparse as ns
from neurosparse._internal.digits import three_digits
from neurosparse.comparison import difference, load, own_band, percent
from neurosparse.comparison.words import percents, quoted
from neurosparse.reference import Band, bands, paper
from neurosparse.sparsity import observe
from neurosparse.sparsity.log_normal import log_normal, of_units


def poisson_circuit(
    rate_hz=5.0, n_units=2000, duration_ms=4000.0, seed=0, name="circuit", window_ms=10.0
):
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


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.0264, 0.0272, "2.6-2.7 %"),
        (0.0188, 0.0191, "1.88-1.91 %"),
        (0.49912, 0.49938, "49.91-49.94 %"),
        (0.5, 0.5, "50.0-50.0 %"),
        (0.0, 1.0, "0-100 %"),
        (math.nan, 1.0, "none"),
    ],
)
def test_ends_of_an_interval_that_differ_look_different(low: float, high: float, said: str) -> None:
    assert percents(low, high) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(7.0, "7.00"), (15.21, "15.2"), (149.0, "149"), (1234.0, "1,230"), (999.7, "1,000")],
)
def test_three_digits_are_shown_also_where_they_are_zeros(value: float, said: str) -> None:
    assert three_digits(value) == said


def test_names_with_a_comma_stand_in_quotes() -> None:
    assert quoted("all") == "all"
    spikes = ns.SpikeTrains([1.0, 6.0], [0, 1], n_units=50, duration_ms=10.0, dt_ms=1.0)
    parts = [
        ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=10), name=name)
        for name in ("a", "a, spiking")
    ]
    values = np.zeros((4, 50))
    values[:, :2] = 1.0
    network = ns.measure(observe(values, ns.ActiveWhen(threshold=0), "b, sparse"))
    comparison = ns.compare(*parts, network)
    assert comparison.answer()[-1].endswith("as many as in a in 9 ms, in 'a, spiking' in 9 ms.")
    assert comparison.answer()[-1].startswith("'b, sparse': ")
    assert "; 'a, spiking' in windows of" in comparison.in_bands()[0]
    assert "; within: 'b, sparse'." in comparison.in_bands()[0]
    assert comparison.differences()[0].sentence().startswith("'a, spiking' less a: ")


def test_the_sentence_of_a_network_names_every_circuit_once() -> None:
    fast, slow = poisson_circuit(50.0, name="fast"), poisson_circuit(0.01, name="slow")
    also = poisson_circuit(25.0, name="also")
    *_, sentence = ns.compare(fast, also, slow, network(0.2)).answer()
    assert re.fullmatch(
        r"net: 20.0 % of the units are active \(abs\(a\) > 0\), as many as in fast in [\d.]+ ms,"
        r" in also in [\d.]+ ms, more than slow in any window of its record.",
        sentence,
    )


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
    silent_half = ns.SpikeTrains(
        np.arange(0, 100.0), np.zeros(100, int), n_units=2, duration_ms=100.0, dt_ms=1.0
    )
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
    sizes = {
        len(figure3[k])
        for k in ("bins_zeros_percent", "bins_n", "bins_mean_error_percent", "bins_sd")
    }
    assert sizes == {10}
    s = figure3["best_zeros_percent"]
    # the printed minimum
    assert np.polyval(figure3["fit_error_percent"], s) == pytest.approx(1.355, abs=1e-3)


def test_what_is_saved_can_be_read_back(tmp_path):
    comparison = ns.compare(poisson_circuit(), network(), provenance={"seed": 0})
    comparison.save(tmp_path / "out")
    saved = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert saved["equivalent_window_ms"] == comparison.equivalent_window_ms
    assert saved["stats"][0]["active_fraction"] == comparison.stats[0].active_fraction
    assert saved["provenance"] == {"seed": 0}
    curve = saved["curves"]["circuit"]
    np.testing.assert_allclose(
        comparison.circuits[0].curve(curve["window_ms"]), curve["active_fraction"]
    )
    units = pq.read_table(tmp_path / "out" / "activity.parquet").to_pydict()
    assert len(units["unit"]) == 3000
    assert np.nanmean([r for r in units["rate_hz"] if r is not None]) == pytest.approx(
        comparison.stats[0].mean_rate_hz
    )
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "activity.parquet",
        "comparison.json",
        "curves.npz",
    ]


@given(st.floats(0, 1))
def test_percentages_keep_what_means_something(fraction):
    shown = float(percent(fraction).removesuffix(" %"))
    assert shown == pytest.approx(100 * fraction, rel=0.051, abs=1e-300)
    assert len(percent(fraction)) <= 10


def test_layers_of_a_network_can_be_passed_as_a_dict():
    layers = {"hidden1": network(name="hidden1"), "hidden2": network(name="hidden2")}
    assert [s.name for s in ns.compare(poisson_circuit(), layers).networks] == [
        "hidden1",
        "hidden2",
    ]


# ---- Differences, bands, and what is read back
# --------------------------------------------------------------------------------------------------


def stats_of(successes, n, name):
    """`successes` of n units active for one input, with Wilson's interval over units."""
    values = np.zeros((1, n))
    values[0, :successes] = 1
    stats = ns.measure(observe(values, ns.ActiveWhen(threshold=0), name))
    wilson = scipy.stats.binomtest(successes, n).proportion_ci(method="wilson")
    return replace(stats, interval=replace(stats.interval, low=wilson.low, high=wilson.high))


def test_differences_are_newcombes():
    # his table II, contrast (a), method 10
    found = difference(stats_of(56, 70, "a"), stats_of(48, 80, "b"))
    assert found.difference == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert found.sentence() == "a less b: +20.00 points (95 % interval +5.24 to +33.39)."
    back = difference(stats_of(48, 80, "b"), stats_of(56, 70, "a"))
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))


def test_differences_are_taken_from_the_first_of_each_kind():
    comparison = ns.compare(
        network(0.1, name="a"),
        poisson_circuit(name="slow"),
        network(0.3, name="b"),
        poisson_circuit(8.0, name="fast"),
        network(0.3, threshold=0.5, name="other"),
        mixed_definitions=True,
    )
    assert [(d.name, d.other) for d in comparison.differences()] == [("b", "a"), ("fast", "slow")]
    fast = comparison.differences()[1]
    assert fast.low < np.exp(-0.05) - np.exp(-0.08) < fast.high  # 10 ms at 5 and 8 Hz


def test_unlike_things_have_no_difference():
    with pytest.raises(ValueError, match="mean different things by active: measure both alike"):
        difference(network(name="a"), network(threshold=0.5, name="b"))
    with pytest.raises(ValueError, match="'net' is of activations and 'circuit' of spikes"):
        difference(network(), poisson_circuit())


def test_bands_of_ones_own():
    band = own_band("mine=0.05-0.2")
    comparison = ns.compare(poisson_circuit(), network(0.1), reference=[band, *bands().values()])
    first, glorot, lennie, attwell = comparison.in_bands()
    assert first.startswith("mine (5-20 %): circuit in windows of 10.")
    assert "within: net. Given by whoever" in first
    assert "not: net. An estimate by way of an energy budget" in glorot
    assert "circuit in windows of up to 2.0" in lennie
    assert "within: net. The share of cells" in attwell
    assert "the 5-20 % of mine take windows" in comparison.answer()[0]
    for bad in ("mine", "mine=5", "=0.1-0.2", "mine=0.1.2-0.3"):
        with pytest.raises(ValueError, match="a band is NAME=LOW-HIGH"):
            own_band(bad)
    with pytest.raises(ValueError, match="needs 0 <= low < high <= 1"):
        own_band("mine=2-5")


def test_a_comparison_is_read_back_as_it_was(tmp_path):
    comparison = ns.compare(
        poisson_circuit(name="a"),
        network(),
        poisson_circuit(2.0, seed=3, name="b"),
        provenance={"seed": 0},
    )
    assert load(comparison.save(tmp_path)) == comparison
    only_networks = ns.compare(network(0.02), reference="lennie2003")
    assert load(only_networks.save(tmp_path / "networks")) == only_networks
    with pytest.raises(
        FileNotFoundError, match=r"^no comparison in .*nowhere: it holds no comparison.json"
    ):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["comparison.json", "activity.parquet", "curves.npz"])
def test_what_is_damaged_is_refused(tmp_path, name):
    ns.compare(poisson_circuit(n_units=50), network()).save(tmp_path)
    whole = (tmp_path / name).read_bytes()
    for cut in (0, 1, len(whole) // 2, len(whole) - 1):
        (tmp_path / name).write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"^cannot read the comparison in [^\n]*$"):
            load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises((FileNotFoundError, ValueError), match=name):
        load(tmp_path)


# ---- Over units
# --------------------------------------------------------------------------------------------------


def test_a_log_normal_is_found_and_others_are_told_apart():
    rng = np.random.default_rng(0)
    logs = rng.normal(1.0, 0.5, 500)
    fit = log_normal([*np.exp(logs), 0.0, 0.0])
    assert (fit.median, fit.log_sd) == pytest.approx((np.exp(logs.mean()), logs.std(ddof=1)))
    assert (fit.n, fit.n_silent, fit.differs) == (500, 2, False)
    assert fit.distance == pytest.approx(
        scipy.stats.kstest(logs, "norm", (logs.mean(), logs.std(ddof=1))).statistic
    )
    assert log_normal(rng.uniform(0, 1, 500)).differs
    assert log_normal([1.0, 2.0, 3.0, 0.0]) is None
    assert log_normal(np.full(100, 0.1)) is None


def test_it_is_taken_for_one_in_nineteen_of_twenty():
    rng = np.random.default_rng(1)
    wrong = sum(log_normal(np.exp(rng.normal(size=50))).differs for _ in range(1000))
    assert 30 < wrong < 70


def test_rates_of_a_circuit_and_magnitudes_of_a_network():
    assert of_units(poisson_circuit()).median == pytest.approx(5.0, rel=0.05)
    assert of_units(network()) is None  # all alike
