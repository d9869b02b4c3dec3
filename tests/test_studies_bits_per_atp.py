"""Bits per ATP, by hand and where the answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosparse import plots
from neurosparse.energy import budgets
from neurosparse.studies import bits_per_atp as study


def a_row(arm: str, seed: int, share: float, nll: float) -> dict[str, object]:
    return {"arm": arm, "seed": seed, "active_fraction": share, "test_nll": nll}


def rows(nll: float = 0.2) -> list[dict[str, object]]:
    rng = np.random.default_rng(0)
    shares = (0.4, 0.1, 0.02, 0.005)
    return [
        a_row(f"{share}", seed, share, nll + 0.01 * rng.normal() + 2.0 * (share < 0.01))
        for share in shares
        for seed in range(3)
    ]


def test_by_hand() -> None:
    """900 units, 10 ms: rest 4.44e8 * 0.01 each, and 7.1e8 for each of the 5 % that are active."""
    found = study.bits_per_ATP(a_row("a", 1, 0.05, math.log(2)), "attwell2001", 10.0)
    cost = 900 * (4.44e6 + 0.05 * 7.1e8)
    assert found == pytest.approx(1e12 * (math.log2(10) - 1) / cost)
    assert study.ratio("attwell2001", 10.0) == pytest.approx(1 + 7.1e8 / 4.44e6)
    assert study.ratio("lennie2003", 10.0) is None


@given(st.floats(1.0, 1e4))
def test_the_best_share_of_a_neuron_is_where_nothing_gives_more(r: float) -> None:
    def bits_per_cost(p: np.ndarray) -> np.ndarray:
        return -(p * np.log(p) + (1 - p) * np.log1p(-p)) / (1 + (r - 1) * p)

    p = np.geomspace(1e-6, 0.5, 5000)
    assert bits_per_cost(np.array(study.best_share(r))) >= bits_per_cost(p).max() * (1 - 1e-6)


def test_guessing_tells_nothing_and_fewer_spikes_for_as_many_bits_are_better() -> None:
    guess = study.bits_per_ATP(a_row("a", 1, 0.1, math.log(10)), "attwell2001", 10.0)
    assert guess == pytest.approx(0, abs=1e-9)
    dense, sparse = (
        study.bits_per_ATP(a_row("a", 1, share, 0.2), "attwell2001", 10.0) for share in (0.4, 0.02)
    )
    assert sparse > 5 * dense


@pytest.mark.parametrize("budget", list(budgets()))
def test_the_peak_lies_before_the_bits_are_lost(budget: str) -> None:
    found = study.arms(rows(), budget, 10.0)
    assert [arm.name for arm in found] == ["0.4", "0.1", "0.02", "0.005"]
    top, alike = study.best(found)
    assert top in alike
    assert [arm.name for arm in alike] == [top.name] == ["0.02"]
    # as many bits at any share: the fewest spikes are the best
    equal = [row | {"test_nll": 0.2 + 0.001 * int(row["seed"])} for row in rows()]
    assert study.best(study.arms(equal, budget, 10.0))[0].name == "0.005"


def test_table_and_figure() -> None:
    text = study.table(rows())
    assert text.count("\n") == 1 + 2 * len(budgets())
    assert "spikes alone" in text
    with plots.style():
        ax = study.draw(rows())
    names = {t.get_text() for t in ax.get_legend().get_texts()}
    assert names >= {"said of the brain: 1-4 %", "Howarth, Gleeson & Attwell 2012"}
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1", "2", "4", "10", "20", "40"]
    assert "at 2 to 2 % active" not in ax.get_title()


def test_each_target_has_its_share_error_and_bits_by_hand() -> None:
    """Bits of 1/2 nat lost: log2 10 less 0.721; the error is the mean of the seeds."""
    found = [
        a_row("free", seed, 0.4, 0.5) | {"test_error": error}
        for seed, error in enumerate((0.05, 0.07))
    ]
    line = study.by_group(found).splitlines()[2]
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells[:5] == ["free", "2", "40", "6.0", "2.60"]
    by_hand = 1e12 * (math.log2(10) - 0.5 / math.log(2)) / (900 * (4.44e6 + 0.4 * 7.1e8))
    assert float(cells[5].split(" [")[0]) == pytest.approx(by_hand, rel=5e-3)


def test_networks_without_arms_are_told_by_their_share_and_their_size() -> None:
    """Three networks of 2,000 units: two in one bin, by hand, and one alone."""
    found = [
        {"active_fraction": share, "test_nll": math.log(2), "test_error": 0.05, "n_units": 2000}
        for share in (0.05, 0.06, 0.35)
    ]
    alone, between = (
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in study.by_group(found).splitlines()[2:]
    )
    assert between[:5] == ["4-7 %", "2", "5.5", "5.0", "2.32"]
    assert alone[:5] == ["30-100 %", "1", "35", "5.0", "2.32"]
    by_hand = [
        1e12 * (math.log2(10) - 1) / (2000 * (4.44e6 + share * 7.1e8)) for share in (0.05, 0.06)
    ]
    assert float(between[5].split(" [")[0]) == pytest.approx(np.mean(by_hand), rel=5e-3)
    assert "[" in between[5]
    assert "[" not in alone[5]
    peaks = study.table(found).splitlines()[2:]
    assert all(line.split("|")[5].strip() == "5.5" for line in peaks)  # fewer spikes, equal bits


def test_each_arm_has_its_target_and_each_seed_all_arms() -> None:
    runs = study.runs([1, 2])
    assert len(runs) == 2 * len(study.TARGETS)
    assert [run.spec.target_active for run in runs[: len(study.TARGETS)]] == list(study.TARGETS)
    assert {run.spec.seed for run in runs} == {1, 2}
