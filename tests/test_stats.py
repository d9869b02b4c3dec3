"""Statistics in print and as frames, and names that are taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import neurosparse as ns
from neurosparse import recordings
from neurosparse.activity import ActiveWhen, ActivityStats, Interval, SpikeTrains
from neurosparse.comparison import compare, load
from neurosparse.sparsity import describe_activations, observe
from neurosparse.spiking import circuit

WINDOW = ActiveWhen(window_ms=10.0)


def circuit_stats(name: str = "spikes", **options: Any) -> ActivityStats:
    rng = np.random.default_rng(0)
    ticks, units = rng.integers(0, 20_000, 400), rng.integers(0, 18, 400)
    spikes = SpikeTrains(ticks * 0.1, units, n_units=20, duration_ms=2000.0, dt_ms=0.1)
    return ns.measure(spikes, active_when=WINDOW, name=name, **options)


def layer_stats(name: str = "relu1") -> ActivityStats:
    values = np.maximum(np.random.default_rng(0).normal(-1, 1, size=(200, 50)), 0)
    return describe_activations(observe(values, ActiveWhen(threshold=0), name))


# ---- In print
# --------------------------------------------------------------------------------------------------


def test_at_a_prompt_each_is_a_line() -> None:
    stats, layer = circuit_stats(), layer_stats()
    assert repr({"1": layer}) == (
        f"{{'1': <ActivityStats 'relu1': {100 * layer.active_fraction:.3g} % of 50 units active"
        " (abs(a) > 0)>}"
    )
    compared = compare(stats, layer)
    assert repr(compared) == "<Comparison of spikes, relu1>"
    joined = str(compared).replace("\n  ", " ")
    assert joined.splitlines() == compared.answer()
    spikes = SpikeTrains([1.0, 2.0], [0, 1], n_units=2, duration_ms=10.0, dt_ms=0.1)
    assert repr(spikes).startswith("SpikeTrains(times_ms=<float64 (2,)>, units=<int64 (2,)>, n_uni")


@pytest.mark.parametrize(
    "stats", [circuit_stats(), layer_stats(), circuit_stats("n" * 200), circuit_stats("a\nb")]
)
def test_print_gives_a_table_that_fits_a_terminal(stats: ActivityStats) -> None:
    lines = str(stats).split("\n")
    assert 8 <= len(lines) <= 15
    assert max(map(len, lines)) <= 80
    assert lines[0][:1] == stats.name[:1]
    assert any(line.startswith("active (%)") for line in lines)


def test_what_was_asked_for_of_missed_cells_is_in_the_print() -> None:
    said = table(circuit_stats(missed_below_hz=0.1))
    assert said["with missed (%)"] == "none: measure at least 30 cells at or above 0.1 Hz"
    assert "with missed (%)" not in table(circuit_stats())
    found = replace(
        circuit_stats(), missed_share=0.35, active_fraction_with_missed=0.0131,
        interval_with_missed=Interval(0.009, 0.0182, 0.95, "if rates are log-normal"),
    )  # fmt: skip
    assert table(found)["with missed (%)"] == "1.31 (0.9 to 1.82), if rates are log-normal"


def test_a_long_value_goes_on_below_itself_and_the_terminal_says_how_wide_lines_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    why = "0.79, but 0.48 in halves of the record: record longer, until the two are alike"
    unknown = Interval(float("nan"), float("nan"), 0.95, why)
    stats = replace(circuit_stats(), isi_cv=None, isi_cv_interval=unknown, n_isi_cells=1)
    monkeypatch.setenv("COLUMNS", "60")
    text = replace(stats, notes=("A note of many words. " * 9,) * 3)
    lines = str(text).split("\n")
    assert max(map(len, lines)) <= 60
    assert len(lines) == 15
    assert lines[-1].startswith("... ")
    assert ".notes" in lines[-1]
    assert table(stats)["CV of intervals"] == f"{why}, of 1 cell"


def table(stats: ActivityStats) -> dict[str, str]:
    """The rows of a print by their labels."""
    said: dict[str, str] = {}
    for line in str(stats).split("\n")[1:]:
        name, gap, value = line.partition("  ")
        if not name and said:
            said[[*said][-1]] += f" {value.strip()}"
        elif gap:
            said[name] = value.strip()
    return said


def test_print_says_what_was_found() -> None:
    stats = circuit_stats()
    said = table(stats)
    assert [*said][:3] == ["active (%)", "95 % interval", "active means"]  # the answer is first
    assert said["active means"] == "at least one spike in 10 ms"
    assert said["active (%)"] == f"{100 * stats.active_fraction:.4g}"
    assert said["never active"] == "2"
    assert said["mean rate (Hz)"] == f"{stats.mean_rate_hz:.4g}"
    assert str(stats).endswith(stats.interval.method)


# ---- Frames
# --------------------------------------------------------------------------------------------------


def test_a_row_of_statistics() -> None:
    stats = circuit_stats(provenance={"seed": 3})
    frame = stats.to_pandas()
    assert len(frame) == 1
    row = frame.iloc[0]
    assert row["name"] == "spikes"
    assert row["active_fraction"] == stats.active_fraction
    assert row["interval_low"] == stats.interval.low
    assert row["population_treves_rolls"] == stats.population.treves_rolls
    assert row["definition"] == "at least one spike in 10 ms"
    assert row["effective_dimension_interval_high"] == stats.effective_dimension_interval.high
    flat = [value for value in row if isinstance(value, dict | list)]
    assert flat == []


def test_a_row_for_each_unit() -> None:
    stats = circuit_stats()
    frame = stats.to_pandas(units=True)
    assert frame["unit"].tolist() == list(range(20))
    np.testing.assert_array_equal(frame["rate_hz"], stats.unit_rates_hz)
    np.testing.assert_array_equal(frame["active_fraction"], stats.unit_active_fraction)
    assert "mean_magnitude" not in frame
    assert set(layer_stats().to_pandas(units=True)) == {
        "name", "unit", "active_fraction", "mean_magnitude",
    }  # fmt: skip
    frame.loc[0, "rate_hz"] = -1.0  # a copy
    assert stats.unit_rates_hz[0] >= 0


def test_a_comparison_has_a_row_for_each() -> None:
    compared = compare(circuit_stats("a"), layer_stats("b"), mixed_definitions=True)
    frame = compared.to_pandas()
    assert frame["name"].tolist() == ["a", "b"]
    stacked = pd.concat([s.to_pandas() for s in compared.stats])
    assert frame["active_fraction"].tolist() == stacked["active_fraction"].tolist()


# ---- Definitions that mean the same
# --------------------------------------------------------------------------------------------------


def test_the_nearest_window_of_a_grid_compares_with_the_one_asked_for() -> None:
    tdt_ms = 1e3 / 24414.0625
    spikes = SpikeTrains([tdt_ms], [0], n_units=2, duration_ms=2000 * tdt_ms, dt_ms=tdt_ms)
    on_grid = ns.measure(spikes, active_when=WINDOW, name="recorded")
    compared = compare(circuit_stats("simulated"), on_grid)
    assert [s.active_when.window_ms for s in compared.stats] == pytest.approx([10.0, 244 * tdt_ms])
    assert len(compared.differences()) == 1
    other = ns.measure(spikes, active_when=ActiveWhen(window_ms=9.8), name="other")
    with pytest.raises(ValueError, match="mean different things by active"):
        compare(circuit_stats("simulated"), other)


# ---- Names that are taken
# --------------------------------------------------------------------------------------------------


def test_all_is_the_name_of_all_units(tmp_path: Path) -> None:
    sentence = r"no population may be called 'all', the name of all"
    options: Any = {"n_units": 100, "duration_ms": 100.0}
    with pytest.raises(ValueError, match=sentence):
        SpikeTrains([1.0], [0], populations={"E": (0, 50), "all": (0, 1)}, **options)
    ours = circuit.resolve(circuit.load("brunel2000_ai"))
    renamed = [replace(population, name="all") for population in ours.populations[:1]]
    with pytest.raises(ValueError, match=sentence):
        replace(ours, populations=(*renamed, *ours.populations[1:]))
    spikes = SpikeTrains([1.0], [0], populations={"al": (0, 1)}, **options)
    path = recordings.save_spikes(spikes, tmp_path / "spikes.npz")
    with np.load(path) as file:
        arrays = dict(file)
    arrays["header"] = np.array(str(arrays["header"]).replace('"al"', '"all"'))
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=sentence):
        recordings.load_spikes(path)


def test_names_with_halves_of_surrogate_pairs_are_saved_and_read_again(tmp_path: Path) -> None:
    both = compare(circuit_stats("brain\udcff"), layer_stats("\ud800relu"))
    assert [stats.name for stats in both.stats] == ["brain?", "?relu"]
    both.save(tmp_path / "out")
    assert [stats.name for stats in load(tmp_path / "out").stats] == ["brain?", "?relu"]


def test_nothing_of_the_interval_is_cut_and_smooth_outputs_are_named() -> None:
    layers = ns.measure(
        torch.nn.Sequential(torch.nn.Sigmoid()),
        torch.randn(300, 50),
        active_when=ActiveWhen(threshold=0),
    )
    text = str(layers["0"])
    assert "..." not in text
    assert "no output is exactly 0" in text
    assert max(map(len, text.splitlines())) <= 80
