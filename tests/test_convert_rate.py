"""Rates as activations: the closed form, finite differences, simulated neurons, and the way there
and back.
"""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from neurosparse import data
from neurosparse.convert.network import to_spiking
from neurosparse.convert.neurons import NeuronSpec, start, step
from neurosparse.convert.rate import LIFRate, StepRate, to_rate
from neurosparse.convert.tuning import Tuning, tune
from neurosparse.lif import LIF, rate, siegert_rate

CELL = LIF(
    tau_m_ms=15.0,
    resistance_MOhm=80.0,
    e_leak_mV=-65.0,
    v_threshold_mV=-52.0,
    v_reset_mV=-60.0,
    t_ref_ms=3.0,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.floats(-5, 20))
def test_exact_is_the_f_i_curve_of_the_cell_above_its_rheobase(x):
    span_mV = CELL.v_threshold_mV - CELL.v_reset_mV
    current_nA = CELL.rheobase_nA + x * span_mV / CELL.resistance_MOhm
    output = LIFRate(CELL, scale_hz=50.0)(torch.tensor(x, dtype=torch.float64)).item()
    assert 50.0 * output == pytest.approx(
        float(rate(current_nA, CELL)), rel=1e-6, abs=30 if abs(x) < 1e-12 else 1e-9
    )


@pytest.mark.parametrize("variant", ["exact", "soft", "siegert"])
def test_gradients_are_the_slopes(variant):
    activation = LIFRate(CELL, variant=variant)
    x = torch.linspace(0.05, 4.0, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(activation, (x,), eps=1e-7, atol=1e-5)
    if variant != "exact":
        below = torch.linspace(-0.5, 0.0, 5, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(activation, (below,), eps=1e-7, atol=1e-5)


def test_at_threshold_the_slope_is_that_of_a_rectifier_and_above_it_bounded():
    x = torch.tensor([-1.0, 0.0, 1e-30, 1e-3, 0.02], requires_grad=True)
    LIFRate(CELL, onset=0.02)(x).sum().backward()
    slopes = x.grad
    assert slopes[:2].tolist() == [0, 0]
    assert torch.equal(slopes[2:], slopes[4].expand(3))  # held from the onset down
    rise = LIFRate(CELL)(torch.tensor([0.0199, 0.0201], dtype=torch.float64))
    assert float(slopes[4]) == pytest.approx(float(rise.diff()) / 2e-4, rel=1e-3)


def test_a_second_derivative_of_the_exact_rate_is_refused_rather_than_wrong():
    x = torch.tensor(1.0, requires_grad=True)
    (slope,) = torch.autograd.grad(LIFRate()(x), x, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        torch.autograd.grad(slope, x)


def test_soft_tends_to_exact_and_siegert_is_that_of_the_cell():
    x = torch.linspace(-1, 3, 41, dtype=torch.float64)
    exact = LIFRate(CELL)(x)
    # 20 Hz, at threshold
    assert float((LIFRate(CELL, variant="soft", smoothing=1e-3)(x) - exact).abs().max()) < 0.2
    assert float((LIFRate(CELL, variant="soft", smoothing=1e-3)(x) - exact)[12:].abs().max()) < 1e-6
    noisy = 100 * LIFRate(CELL, variant="siegert", sigma_mV=4.0)(x)
    mean_mV = CELL.v_threshold_mV + x.numpy() * (CELL.v_threshold_mV - CELL.v_reset_mV)
    assert noisy.numpy() == pytest.approx(siegert_rate(mean_mV, 4.0, CELL), rel=1e-9)


def spikes_a_step(neuron: NeuronSpec, currents: torch.Tensor, steps: int) -> torch.Tensor:
    """Simulated rates, from the intervals between the first and the last spike."""
    state = start(currents, neuron)
    first = torch.full_like(currents, -1)
    last, n = first.clone(), torch.zeros_like(currents)
    for t in range(steps):
        spikes, state = step(currents, state, neuron)
        fired = spikes > 0
        first[fired & (n == 0)] = t
        last[fired] = t
        n += spikes
    return torch.where(n > 1, (n - 1) / (last - first), 0.0)


@pytest.mark.parametrize(
    "neuron",
    [
        NeuronSpec(),
        NeuronSpec(t_ref_ms=3.0, threshold=2.0),
        NeuronSpec(kind="lif", dt_ms=0.05, t_ref_ms=2.0),
        NeuronSpec(kind="lif", dt_ms=0.05, reset="value", v_reset=-0.5, tau_m_ms=10.0),
    ],
    ids=["if", "if refractory", "lif", "lif to a value"],
)
def test_the_mean_spikes_a_step_are_those_of_simulated_neurons(neuron):
    currents = torch.linspace(-0.5, 3.0, 36, dtype=torch.float64) * neuron.threshold
    found = spikes_a_step(neuron, currents, 4000)
    # "subtract" keeps what is above the threshold, so that only the last interval is rounded;
    # "value" rounds each to a step
    rounded = found**2 if neuron.reset == "value" else 2e-3
    assert bool(((found - StepRate(neuron)(currents)).abs() <= rounded + 1e-3).all())


def chain(activation: nn.Module, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(6, 20), activation, nn.Linear(20, 20), activation, nn.Linear(20, 4)
    )


@pytest.mark.parametrize(
    "neuron", [NeuronSpec(), NeuronSpec(kind="lif", t_ref_ms=2.0)], ids=["if", "lif"]
)
def test_there_and_back_is_the_same_spiking_network(neuron):
    model, x = chain(nn.ReLU()), torch.rand(30, 6, generator=seeded())
    spiking = to_spiking(model, x, neuron)
    rates = to_rate(spiking)
    again = rates.spiking()
    assert torch.equal(again.run(x, 20).outputs, spiking.run(x, 20).outputs)
    assert torch.equal(again.source(x), rates(x).detach())


def test_an_if_networks_rates_are_the_rectifier_network():
    model, x = chain(nn.ReLU()), torch.rand(30, 6, generator=seeded())
    rates = to_rate(to_spiking(model, x, normalisation="maximum"))
    assert torch.allclose(rates(x), model(x), atol=1e-5)
    for ours, theirs in zip(
        torch.autograd.grad(rates(x)[:, 0].sum(), rates.weights[-1]),
        torch.autograd.grad(model(x)[:, 0].sum(), model[-1].bias),
        strict=True,
    ):
        assert torch.allclose(ours, theirs)


def digits(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points around four centres in six dimensions."""
    generator = seeded(3)
    labels = torch.randint(4, (n,), generator=generator)
    centres = torch.rand(4, 6, generator=generator)
    return (centres[labels] + 0.08 * torch.randn(n, 6, generator=generator)).clamp(0, 1), labels


def test_a_network_trained_as_lif_rates_spikes_at_these_rates():
    x, y = digits(400)
    cell = LIFRate(LIF(tau_m_ms=50.0, t_ref_ms=2.0), scale_hz=200.0)
    trained = tune(chain(cell), x, y, Tuning(epochs=20, batch_size=20, learning_rate=2e-2))
    assert float((trained(x).argmax(1) == y).float().mean()) > 0.98

    spiking = to_spiking(trained, x, cell.neuron(dt_ms=0.5))
    run = spiking.run(x[:100], steps=4000)
    for spike, depth, error_hz, least_correlation in zip(
        spiking.graph.spikes, (2, 4), (0.3, 3.0), (0.9999, 0.99), strict=True
    ):
        # the first layer gets constant currents, the second spikes: their noise is the larger error
        wanted_hz = 200.0 * trained[:depth](x[:100]).detach()
        found_hz = run.spike_counts[spike.name] / 2.0  # in 2 s
        assert float((found_hz - wanted_hz).abs().mean()) < error_hz
        assert np.corrcoef(found_hz.flatten(), wanted_hz.flatten())[0, 1] > least_correlation
    assert float((run.outputs.argmax(1) == trained(x[:100]).argmax(1)).float().mean()) > 0.95


def test_rates_are_trained_on_and_go_back():
    x, y = digits(200)
    rates = to_rate(
        to_spiking(chain(nn.ReLU()), x, NeuronSpec(kind="lif", dt_ms=0.5)), variant="soft"
    )
    before = [weight.detach().clone() for weight in rates.weights]
    tuned = tune(rates, x, y, Tuning(epochs=20, batch_size=20, learning_rate=2e-2))
    assert all(torch.equal(a, b) for a, b in zip(before, rates.weights, strict=True))
    outputs = tuned.spiking().run(x, steps=800).outputs
    assert float((rates(x).argmax(1) == y).float().mean()) < 0.5
    assert float((outputs.argmax(1) == y).float().mean()) > 0.95


def test_training_on_as_rates_makes_up_for_a_refractory_period():
    """At their highest rate refractory neurons are the furthest from rectifiers."""
    splits = data.load("mnist5k")
    x, y = torch.tensor(splits.train.images[::3]), torch.tensor(splits.train.labels[::3])
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(784, 60), nn.ReLU(), nn.Linear(60, 60), nn.ReLU(), nn.Linear(60, 10)
    )
    model = tune(model, x, y, Tuning(epochs=4, batch_size=20))
    spiking = to_spiking(model, x, NeuronSpec(kind="lif", t_ref_ms=2.0, max_rate_hz=330.0))
    converted = spiking.report(splits.test, steps=128)
    again = (
        tune(to_rate(spiking), x, y, Tuning(epochs=2, batch_size=20))
        .spiking()
        .report(splits.test, steps=128)
    )
    assert converted.curve[-1].accuracy < converted.source_accuracy - 0.05
    assert again.curve[-1].accuracy > converted.curve[-1].accuracy + 0.05


def test_other_neurons_than_the_rates_are_refused():
    with pytest.raises(ValueError, match=r"kind='lif', tau_m_ms=20, t_ref_ms=2, got kind='if'"):
        to_spiking(chain(LIFRate()), torch.rand(5, 6, generator=seeded()), "if")
    with pytest.raises(ValueError, match="t_ref_ms=0: use"):
        LIFRate().spike_balance(NeuronSpec(kind="lif"))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="variant must be one of exact, soft, siegert, got 'hard'"):
        LIFRate(variant="hard")
    with pytest.raises(ValueError, match="scale_hz must be > 0, got -1"):
        LIFRate(scale_hz=-1)
    with pytest.raises(ValueError, match="NaN"):
        LIFRate()(torch.tensor(float("nan")))


@pytest.mark.parametrize(
    ("x", "y", "match"),
    [
        (torch.zeros(0, 6), torch.zeros(0, dtype=torch.int64), "images must be at least one"),
        (torch.zeros(3, 6), torch.zeros(2, dtype=torch.int64), "labels must be 3 whole numbers"),
        (
            torch.full((3, 6), 3e38),
            torch.zeros(3, dtype=torch.int64),
            "diverged in epoch 1: use a learning_rate",
        ),
    ],
)
def test_training_that_cannot_be_is_refused(x, y, match):
    with pytest.raises(ValueError, match=match):
        tune(chain(nn.ReLU()), x, y)
