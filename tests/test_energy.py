"""Energy: the printed totals of the sources come out, the inverses invert, and what does not follow
is refused.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import neurosparse as ns
from neurosparse import energy

AVOGADRO = 6.02214076e23
BUDGETS = ["attwell2001", "lennie2003", "howarth2012"]
positive = st.floats(1e-3, 1e3)


def test_attwell_and_laughlins_total_at_4_hz_comes_out():
    printed = energy.figures()["attwell2001"]["total_ATP_per_s"]["value"]
    assert printed == 3.29e9
    # its parts are rounded to 3 digits
    assert energy.ATP_per_s(4.0, "attwell2001") == pytest.approx(printed, rel=2e-3)
    assert energy.affordable_rate_hz(printed, "attwell2001") == pytest.approx(4.0, abs=0.01)


def test_it_gives_the_30_micromoles_per_gram_and_minute_that_they_print():
    neurons_per_gram = 9.2e7  # Braitenberg & Schuez, as A&L use it
    per_minute = energy.ATP_per_s(4.0, "attwell2001") * neurons_per_gram * 60 / AVOGADRO
    assert 1e6 * per_minute == pytest.approx(30.0, abs=0.5)


def test_its_parts_are_those_of_the_source():
    budget = energy.budgets()["attwell2001"]
    assert budget.spike_ATP == 7.1e8
    assert budget.resting_ATP_per_s == 3.42e8 + 1.02e8
    figures = energy.figures()["attwell2001"]
    assert figures["action_potential_ATP"]["value"] / budget.spike_ATP == pytest.approx(
        0.54, abs=0.005
    )
    assert set(budget.trust.values()) == {"A"}
    assert set(energy.budgets()["lennie2003"].trust.values()) == {"B"}


def test_howarths_shares_give_the_budget_in_two_ways():
    figures = energy.figures()["howarth2012"]
    shares = {name: entry["value"] for name, entry in figures.items() if name.endswith("_share")}
    assert sum(shares.values()) == pytest.approx(1.0)
    budget, before = energy.budgets()["howarth2012"], energy.figures()["attwell2001"]
    total = float(energy.ATP_per_s(budget.mean_rate_hz, "howarth2012"))
    assert budget.resting_ATP_per_s / total == pytest.approx(shares["resting_share"])
    # the other way: synapses cost what they did in 2001, and only action potentials became cheaper
    synapses = sum(shares[f"{part}_share"] for part in ("postsynaptic", "release", "recycling"))
    of_2001 = before["spike_ATP"]["value"] - before["action_potential_ATP"]["value"]
    assert synapses * total / budget.mean_rate_hz == pytest.approx(of_2001, rel=0.01)
    action_potential = shares["action_potential_share"] * total / budget.mean_rate_hz
    assert action_potential < before["action_potential_ATP"]["value"] / 3


def test_communication_is_35_times_computation():
    levy = energy.figures()["levy2021"]
    ratio = levy["communication_W"]["value"] / levy["computation_W"]["value"]
    assert ratio == pytest.approx(levy["communication_over_computation"]["value"])


def test_lennies_rate_and_spike_cost_give_each_other():
    supply = 0.16 * 2.4e9
    assert energy.ATP_per_s(0.16, "lennie2003", covers="spikes") == pytest.approx(supply)
    assert energy.affordable_rate_hz(supply, "lennie2003", covers="spikes") == pytest.approx(0.16)


def test_1_to_4_percent_takes_an_assumption_beside_lennies_figures():
    rate = energy.budgets()["lennie2003"].mean_rate_hz
    # duty reading: it is 1-4 % if active neurons fire at 16 to 4 Hz, below 1 % if they fire faster
    assert energy.rate_while_active_hz(rate, 0.01) == pytest.approx(16.0)
    assert energy.rate_while_active_hz(rate, 0.04) == pytest.approx(4.0)
    assert energy.duty_fraction(rate, 50.0) == pytest.approx(0.0032)
    # window reading: 63 to 255 ms (the table of reference figures)
    assert energy.window_ms_for(rate, 0.01) == pytest.approx(63, abs=0.5)
    assert energy.window_ms_for(rate, 0.04) == pytest.approx(255, abs=0.5)


@pytest.mark.parametrize(
    ("rate_hz", "percent"),
    [
        (0.16, [0.03, 0.08, 0.16, 0.32, 0.80, 1.6]),
        (1, [0.20, 0.50, 1.0, 2.0, 4.9, 9.5]),
        (4, [0.80, 2.0, 3.9, 7.7, 18, 33]),
    ],
)
def test_the_table_of_windows(rate_hz, percent):
    windows = [2, 5, 10, 20, 50, 100]
    found = [100 * energy.active_in_window(rate_hz, w) for w in windows]
    # the table is rounded to two digits, or to 0.01
    assert found == pytest.approx(percent, rel=0.04, abs=0.005)


def test_the_window_reading_is_that_of_measured_poisson_spikes():
    rng = np.random.default_rng(0)
    n = rng.poisson(4.0 * 10 * 2000)
    spikes = ns.SpikeTrains(
        rng.uniform(0, 1e4, n), rng.integers(0, 2000, n), n_units=2000, duration_ms=1e4
    )
    stats = ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=10.0))
    assert stats.active_fraction == pytest.approx(energy.active_in_window(4.0, 10.0), rel=0.02)
    use = energy.energy_use(spikes, "attwell2001")
    assert use.per_neuron(use.total_ATP_per_s) == pytest.approx(3.29e9, rel=0.01)


def test_the_cost_of_spikes_counts_them():
    spikes = ns.SpikeTrains([1.0, 6.0, 7.0], [0, 1, 1], n_units=4, duration_ms=500.0)
    use = energy.energy_use(spikes, "attwell2001")
    assert use.mean_rate_hz == 1.5
    assert use.spiking_ATP_per_s == 6 * 7.1e8
    assert use.resting_ATP_per_s == 4 * 4.44e8
    assert use.total_ATP_per_s == pytest.approx(4 * energy.ATP_per_s(1.5, "attwell2001"))
    assert use.spiking_share == pytest.approx(6 * 7.1 / (6 * 7.1 + 4 * 4.44))
    assert "(rodent grey matter)" in use.sentence()


def test_a_total_without_a_resting_cost_is_unknown_not_zero():
    spikes = ns.SpikeTrains([1.0], [0], n_units=4, duration_ms=500.0)
    use = energy.energy_use(spikes, "lennie2003")
    assert use.resting_ATP_per_s is use.total_ATP_per_s is use.spiking_share is None
    assert "what rest costs is not stated" in use.sentence()
    for call in (energy.ATP_per_s, energy.affordable_rate_hz):
        with pytest.raises(
            ValueError, match="'lennie2003' does not say what rest costs: pass covers='spikes'"
        ):
            call(1.0, "lennie2003")


def test_an_allowance_has_both_readings():
    allowed = energy.allowance(3.29e9, "attwell2001", window_ms=10, rate_while_active_hz=50)
    assert allowed.mean_rate_hz == pytest.approx(4.008, abs=1e-3)
    assert allowed.active_in_window == pytest.approx(1 - np.exp(-allowed.mean_rate_hz * 0.01))
    assert allowed.duty_fraction == pytest.approx(allowed.mean_rate_hz / 50)
    assert (
        energy.allowance(1e12, "attwell2001", window_ms=10, rate_while_active_hz=50).duty_fraction
        == 1.0
    )
    at_rest = energy.allowance(4.44e8, "attwell2001", window_ms=10, rate_while_active_hz=50)
    assert (at_rest.mean_rate_hz, at_rest.active_in_window, at_rest.duty_fraction) == (
        0.0,
        0.0,
        0.0,
    )


@given(rate=positive, name=st.sampled_from(BUDGETS))
def test_the_affordable_rate_inverts_the_cost(rate, name):
    cost = float(energy.ATP_per_s(rate, name, covers="spikes"))
    assert energy.affordable_rate_hz(cost, name, covers="spikes") == pytest.approx(rate)


@given(rate=positive, fraction=st.floats(1e-4, 0.99))
def test_the_readings_invert(rate, fraction):
    assert energy.active_in_window(rate, energy.window_ms_for(rate, fraction)) == pytest.approx(
        fraction
    )
    assert energy.duty_fraction(rate, energy.rate_while_active_hz(rate, fraction)) == pytest.approx(
        fraction
    )


@given(rates=st.lists(st.floats(0, 100), min_size=2, max_size=20), window=st.floats(1, 100))
def test_unequal_rates_are_less_active_than_their_mean(rates, window):
    each = np.mean([energy.active_in_window(r, window) for r in rates])
    assert each <= energy.active_in_window(float(np.mean(rates)), window) + 1e-12


def test_bad_arguments_are_refused():
    refused = [
        (
            lambda: energy.ATP_per_s(1.0, "mouse"),
            "unknown budget 'mouse'; there are: attwell2001, lennie2003, howarth2012",
        ),
        (lambda: energy.ATP_per_s(1.0, "levy2021"), "'levy2021' states no cost of a spike"),
        (lambda: energy.ATP_per_s([1.0, -1.0], "attwell2001"), "rates_hz must be >= 0, got -1"),
        (lambda: energy.ATP_per_s([np.nan], "attwell2001"), "rates_hz must be finite"),
        (
            lambda: energy.ATP_per_s(1.0, "attwell2001", covers="rest"),
            "covers must be 'all' or 'spikes', got 'rest'",
        ),
        (
            lambda: energy.affordable_rate_hz(1e8, "attwell2001"),
            "does not pay for rest, 4.44e\\+08",
        ),
        (lambda: energy.affordable_rate_hz(0.0, "attwell2001"), "supply_ATP_per_s must be > 0"),
        (lambda: energy.duty_fraction(5.0, 4.0), "no share of the neurons gives it"),
        (lambda: energy.window_ms_for(1.0, 1.0), "no window is long enough"),
        (lambda: energy.window_ms_for(0.0, 0.5), "rate_hz must be > 0"),
        (lambda: energy.rate_while_active_hz(1.0, 0.0), "fraction must lie in"),
    ]
    for call, said in refused:
        with pytest.raises(ValueError, match=said):
            call()


def test_a_budget_of_ones_own():
    budget = energy.Budget("chip", "a chip", "data sheet", "joules as ATP", 2.0, 10.0, 1.0, {})
    assert energy.ATP_per_s([0.0, 3.0], budget).tolist() == [10.0, 16.0]
    with pytest.raises(ValueError, match="spike_ATP must be > 0"):
        energy.Budget("chip", "a chip", "data sheet", "joules as ATP", 0.0, 10.0, 1.0, {})
