"""Cells that a recording misses: what is said of all of them, where all of them are known."""

from __future__ import annotations

import numpy as np
import pytest

from neurosparse import measure
from neurosparse.activity import ActiveWhen, ActivityStats, SpikeTrains
from neurosparse.sparsity import counted_rates, describe_activations, observe, with_missed

WINDOW = ActiveWhen(window_ms=10.0)


def seen(
    seed: int, below_hz: float, *, n: int = 400, seconds: float = 20.0, log_sd: float = 1.0
) -> SpikeTrains:
    """The cells at or above `below_hz` of n Poisson cells with log-normal rates, median 1 Hz."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(seconds * np.exp(rng.normal(0.0, log_sd, n)))
    counts = counts[counts >= below_hz * seconds]
    return SpikeTrains(
        rng.uniform(0, 1e3 * seconds, counts.sum()),
        np.repeat(np.arange(counts.size), counts),
        n_units=counts.size,
        duration_ms=1e3 * seconds,
    )


def truth(log_sd: float = 1.0) -> float:
    rates_hz = np.exp(np.random.default_rng(10**6).normal(0.0, log_sd, 10**6))
    return float(-np.expm1(-rates_hz * 0.01).mean())


def measured(spikes: SpikeTrains, below_hz: float) -> ActivityStats:
    return measure(spikes, active_when=WINDOW, missed_below_hz=below_hz)


@pytest.mark.parametrize("below_hz", [0.5, 1.0])
def test_all_cells_are_covered_where_those_seen_are_not(below_hz: float) -> None:
    found = [measured(seen(seed, below_hz), below_hz) for seed in range(60)]
    known = [s for s in found if s.active_fraction_with_missed is not None]
    assert len(known) >= 50  # log-normal rates are told apart in 5 %
    ends = [s.interval_with_missed for s in known if s.interval_with_missed is not None]
    assert np.mean([i.low <= truth() <= i.high for i in ends]) >= 0.85
    assert np.mean([s.active_fraction for s in known]) > 1.15 * truth()
    corrected = np.mean([s.active_fraction_with_missed or 0 for s in known])
    assert corrected == pytest.approx(truth(), rel=0.06)
    assert {i.over for i in ends} == {"cells of the area, over cells and time"}


def test_the_share_that_was_missed() -> None:
    from scipy.stats import norm

    shares = [measured(seen(seed, 1.0, n=2000), 1.0).missed_share for seed in range(12)]
    known = [share for share in shares if share is not None]
    assert np.mean(known) == pytest.approx(float(norm.cdf(0)), abs=0.04)


def test_cells_below_that_are_in_the_record_count_as_missed() -> None:
    whole, cut = measured(seen(3, 0.05), 1.0), measured(seen(3, 1.0), 1.0)
    assert whole.missed_share == pytest.approx(cut.missed_share)
    assert whole.active_fraction_with_missed == pytest.approx(
        cut.active_fraction_with_missed, rel=0.02
    )


def test_the_fit_that_is_cut_off_is_that_of_all_where_nothing_is_missed() -> None:
    counts = np.random.default_rng(0).poisson(
        1000 * np.exp(np.random.default_rng(1).normal(size=900))
    )
    assert counts.min() >= 2
    whole, cut = counted_rates.fit(counts), counted_rates.fit(counts, 2)
    assert whole is not None
    assert cut is not None
    assert cut.log_mean == pytest.approx(whole.log_mean, abs=1e-3)
    assert cut.log_sd == pytest.approx(whole.log_sd, abs=1e-3)


def test_rates_that_are_not_log_normal_have_no_correction() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(np.where(rng.random(600) < 0.5, 30.0, 300.0))
    spikes = SpikeTrains(
        rng.uniform(0, 2e4, counts.sum()),
        np.repeat(np.arange(600), counts),
        n_units=600,
        duration_ms=2e4,
    )
    found = measured(spikes, 0.5)
    assert found.active_fraction_with_missed is None
    assert found.interval_with_missed is not None
    assert found.interval_with_missed.method == (
        "the rates of the cells that were seen are not log-normal"
    )
    assert found.to_dict()["interval_with_missed"]["low"] is None


def test_what_cannot_be_corrected_is_refused() -> None:
    few = measured(seen(0, 1.0, n=30), 1.0).interval_with_missed
    assert few is not None
    assert few.method == "measure at least 30 cells at or above 1 Hz"
    layer = describe_activations(observe(np.ones((3, 4)), ActiveWhen(threshold=0)))
    with pytest.raises(ValueError, match="is not of spikes"):
        with_missed(layer, 1.0)
    with pytest.raises(ValueError, match="below_hz must be"):
        measured(seen(0, 1.0), 0.0)
    with pytest.raises(ValueError, match="missed_below_hz is for spikes, not for Activations"):
        measure(observe([[1.0]], ActiveWhen(threshold=0)), missed_below_hz=1.0)


# ---- What electrodes make of a circuit whose cells are all known


def test_probes_of_a_circuit_are_corrected(tmp_path) -> None:
    from neurosparse import plots
    from neurosparse.studies import electrodes

    spikes = seen(5, 0.0, n=4000)
    found = [electrodes.missed(spikes, below, 20) for below in (0.1, 1.0)]
    for m in found:
        assert m.missed == pytest.approx(float((spikes.counts / 20 < m.below_hz).mean()))
        assert m.others > m.truth
        assert m.refused <= 0.25
        assert m.corrected == pytest.approx(m.truth, rel=0.15)
        assert m.held >= 0.8
    assert found[1].others > 1.5 * found[0].truth
    assert "| 0.1 " in electrodes.table(found)
    with plots.style():
        drawn = [line.get_label() for line in electrodes.draw(found).get_lines()]
    assert drawn == ["all cells", "cells that are seen", "corrected, median of probes"]
