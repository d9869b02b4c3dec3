"""One step of the neurons: against a loop written out, and against closed forms."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurosparse.convert import NeuronSpec
from neurosparse.convert.neurons import start, step
from neurosparse.convert.normalisation import balance, current_for, rate_per_step
from neurosparse.recipes import build


def run(neuron: NeuronSpec, currents: torch.Tensor) -> torch.Tensor:
    """The spikes under currents of shape (steps, n), of the same shape."""
    state = start(currents[0], neuron)
    spikes = []
    for now in currents:
        fired, state = step(now, state, neuron)
        spikes.append(fired)
    return torch.stack(spikes)


def looped(neuron: NeuronSpec, currents: list[float]) -> list[float]:
    """The same for one neuron, in plain Python."""
    v, waiting, spikes = neuron.v_initial * neuron.threshold, 0, []
    synaptic = 0.0
    for now in currents:
        fires = False
        if neuron.tau_syn_ms:
            synaptic = now = now + (synaptic - now) * math.exp(-neuron.dt_ms / neuron.tau_syn_ms)
        if waiting:
            waiting -= 1
        else:
            v = (
                v + now
                if neuron.kind == "if"
                else now + (v - now) * math.exp(-neuron.dt_ms / neuron.tau_m_ms)
            )
            if fires := v >= neuron.threshold:
                v = v - neuron.threshold if neuron.reset == "subtract" else neuron.v_reset
                waiting = neuron.t_ref_steps
        spikes.append(float(fires))
    return spikes


specs = st.builds(
    NeuronSpec,
    kind=st.sampled_from(["if", "lif"]),
    threshold=st.sampled_from([0.5, 1.0, 3.0]),
    reset=st.sampled_from(["subtract", "value"]),
    t_ref_ms=st.sampled_from([0.0, 1.0, 4.0]),
    dt_ms=st.sampled_from([0.5, 1.0]),
    tau_m_ms=st.sampled_from([2.0, 20.0]),
    v_initial=st.sampled_from([0.0, 0.25, 0.5]),
)


with_synapses = st.builds(
    NeuronSpec,
    kind=st.just("lif"),
    reset=st.sampled_from(["subtract", "value"]),
    t_ref_ms=st.sampled_from([0.0, 1.0, 4.0]),
    tau_syn_ms=st.sampled_from([0.5, 5.0]),
)


@given(specs | with_synapses, st.lists(st.floats(-4, 8), min_size=1, max_size=40))
def test_equal_to_the_loop(neuron: NeuronSpec, currents: list[float]) -> None:
    found = run(neuron, torch.tensor(currents, dtype=torch.float64)[:, None])
    assert found[:, 0].tolist() == looped(neuron, currents)


@given(st.integers(-64, 80), st.integers(1, 64), st.sampled_from([0.0, 0.25, 0.5]))
def test_an_if_neuron_counts_its_input(sixty_fourths: int, steps: int, v_initial: float) -> None:
    """Spikes = floor(v0 + T I / threshold), within [0, T]: exact, for these numbers are sums of
    powers of two.
    """
    I = sixty_fourths / 64  # noqa: E741
    found = run(NeuronSpec(v_initial=v_initial), torch.full((steps, 1), I))
    assert found.sum() == min(max(math.floor(v_initial + steps * I), 0), steps)


@pytest.mark.parametrize("t_ref_ms", [0.0, 3.0])
@pytest.mark.parametrize("reset", ["subtract", "value"])
def test_a_lif_neuron_follows_the_f_i_curve(t_ref_ms: float, reset: str) -> None:
    """In fine steps the rate is that of `neurosparse.lif`, within a spike over the run and 2 dt an
    interval.
    """
    neuron = NeuronSpec(kind="lif", t_ref_ms=t_ref_ms, dt_ms=0.05, reset=reset)
    currents = torch.tensor([0.9, 1.1, 1.5, 2.0, 4.0, 8.0], dtype=torch.float64)
    steps = 40_000
    counts = run(neuron, currents.expand(steps, -1)).sum(0).numpy()
    np.testing.assert_allclose(
        counts / steps, rate_per_step(currents, neuron), rtol=0.02, atol=1 / steps
    )
    assert counts[0] == 0


def test_a_neuron_that_subtracts_keeps_what_is_above_the_threshold() -> None:
    I = torch.full((300, 1), 0.7, dtype=torch.float64)  # noqa: E741
    assert run(NeuronSpec(), I).sum() == 210
    assert run(NeuronSpec(reset="value"), I).sum() == 150  # two steps for every spike, 0.4 is lost


def test_synapses_pass_on_the_mean_of_what_comes_in() -> None:
    """1 in a single step is 1 - d, (1 - d) d, ... in the steps that follow: a sum of 1."""
    neuron, d = NeuronSpec(kind="lif", tau_syn_ms=5.0, threshold=9.0), math.exp(-1 / 5)
    given, currents = torch.eye(400, 1, dtype=torch.float64), []
    state = start(given[0], neuron)
    for now in given:
        _, state = step(now, state, neuron)
        currents.append(float(state.current))
    np.testing.assert_allclose(currents, (1 - d) * d ** np.arange(400), rtol=1e-12)
    assert sum(currents) == pytest.approx(1, rel=1e-12)


def test_the_refractory_period_bounds_the_rate() -> None:
    spikes = run(NeuronSpec(t_ref_ms=3.0), torch.full((20, 1), 100.0))[:, 0]
    assert spikes.nonzero()[:, 0].tolist() == [0, 4, 8, 12, 16]


@given(specs)
def test_current_is_the_inverse_of_rate(neuron: NeuronSpec) -> None:
    f = np.linspace(0.3, 1, 9) * neuron.max_rate
    np.testing.assert_allclose(rate_per_step(current_for(f, neuron), neuron), f, rtol=1e-9)


@given(specs)
def test_the_balance_meets_the_curve_and_leaves_0_silent(neuron: NeuronSpec) -> None:
    gain, offset = balance(neuron)
    assert rate_per_step(gain + offset, neuron) == pytest.approx(neuron.max_rate, rel=1e-9)
    assert rate_per_step(offset, neuron) == pytest.approx(0, abs=1e-6)
    if neuron.kind == "if" and not neuron.t_ref_steps:
        a = np.linspace(0, 1, 11)
        np.testing.assert_allclose(
            rate_per_step(gain * a + offset, neuron), neuron.max_rate * a, atol=1e-12
        )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"tau_m_ms": -5.0}, "tau_m_ms"),
        ({"threshold": 0.0}, "threshold"),
        ({"kind": "izhikevich"}, "kind"),
        ({"reset": "value", "v_reset": 1.0}, "v_reset must be < threshold=1, got 1"),
        ({"v_reset": -0.5}, 'v_reset is of reset="value" alone'),
        ({"t_ref_ms": 1.5}, "t_ref_ms must be a whole number of steps of dt_ms=1, got 1.5"),
        (
            {"max_rate_hz": 400.0, "t_ref_ms": 2.0},
            "max_rate_hz must be <= 1 / (dt_ms + t_ref_ms), 333.333, got 400",
        ),
        ({"v_initial": 1.0}, "v_initial"),
        ({"tau_syn_ms": 5.0}, "tau_syn_ms is of kind=\"lif\" alone, got 5 with kind='if'"),
    ],
)
def test_neurons_that_cannot_be_are_refused(values: dict, words: str) -> None:
    with pytest.raises(ValueError) as error:
        build(NeuronSpec, values, what="the neuron")
    assert words in str(error.value)
    assert "\n" not in str(error.value)
