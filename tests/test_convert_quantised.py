"""Quantised rectifiers: what IF neurons give in as many steps, gradients by hand, and any way of
writing a rectifier.
"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import neurosparse as ns
from neurosparse.convert.network import to_spiking
from neurosparse.convert.neurons import NeuronSpec, start, step
from neurosparse.convert.quantised import QuantisedReLU, quantise
from neurosparse.convert.tuning import Tuning, tune

GRID = 2**-10  # sums of multiples of it are exact


@given(st.integers(1, 12), st.lists(st.integers(-2000, 4000), min_size=1, max_size=8))
def test_it_is_what_an_if_neuron_gives_in_as_many_steps(levels, drives):
    z = torch.tensor(drives) * GRID
    neuron = NeuronSpec(v_initial=0.5)
    state = start(z, neuron)
    count = torch.zeros_like(z)
    for _ in range(levels):
        spikes, state = step(z, state, neuron)
        count += spikes
    # z L is exact here and may lie just on a step: then the clip at 1, before the rounding, changes
    # nothing
    assert torch.equal(QuantisedReLU(levels, 1.0)(z) * levels, count) or torch.allclose(
        QuantisedReLU(levels, 1.0)(z) * levels, count, atol=1e-5
    )


def test_gradients_go_straight_through_the_rounding():
    z = torch.tensor([-1.0, 0.3, 1.1, 5.0], requires_grad=True)
    activation = QuantisedReLU(4, 2.0)
    h = activation(z)
    for k, (slope, ceiling_slope) in enumerate(
        [(0, 0), (1, (0.5 - 0.3) / 2), (1, (1.0 - 1.1) / 2), (0, 1)]
    ):
        dz, dceiling = torch.autograd.grad(h[k], (z, activation.ceiling), retain_graph=True)
        assert dz[k] == slope
        assert float(dceiling) == pytest.approx(ceiling_slope, abs=1e-6)


class Functional(nn.Module):
    """Rectifiers written in three ways."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(12, 12) for _ in range(4))
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        x = functional.relu(self.a(x))
        x = torch.relu(self.b(x)) + x
        return self.d(self.act(self.c(x).relu()))


def test_every_way_to_write_a_rectifier_is_replaced_and_the_model_left_as_it_is():
    torch.manual_seed(0)
    model, x = Functional(), torch.rand(50, 12)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    copy = quantise(model, x, levels=2000, percentile=100)
    assert sum(isinstance(module, QuantisedReLU) for module in copy.modules()) == 4
    assert not any(isinstance(module, nn.ReLU) for module in copy.modules())
    assert torch.allclose(copy(x), model(x), atol=5e-3)  # 2,000 levels
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class Run(nn.Module):
    """Two layers that are run as `run` says."""

    def __init__(self, run) -> None:
        super().__init__()
        self.a, self.b, self.act, self.run = nn.Linear(12, 12), nn.Linear(12, 4), nn.ReLU(), run

    def forward(self, x):
        return self.run(self, x)


def reused(self, x):
    h = self.a(x)
    return self.b(functional.relu(h, inplace=True) + h)


def unused(self, x):
    h = self.a(x)
    h.relu_()
    return self.b(h)


@pytest.mark.parametrize(
    "run",
    [
        lambda m, x: m.b(functional.relu6(m.a(x))),
        lambda m, x: m.b(m.a(x).clamp(min=0)),
        lambda m, x: m.b(functional.hardtanh(m.a(x), 0, 0.1)),
        lambda m, x: m.b(input=m.act(input=m.a(x))),
        lambda m, x: torch.add(input=m.b(torch.relu(input=m.a(x))), other=1),
        lambda m, x: m.b(m.act(m.a(x if x.shape[1] == 12 else -x))),
    ],
)
def test_what_to_spiking_takes_for_a_rectifier_is_replaced(run):
    torch.manual_seed(0)
    model, x = Run(run).eval(), torch.rand(50, 12)
    copy = quantise(model, x, levels=2000, percentile=100)
    assert sum(isinstance(module, QuantisedReLU) for module in copy.modules()) == 1
    assert torch.allclose(copy(x), model(x), atol=5e-3)  # 2,000 levels
    assert list(to_spiking(copy, x).scales) == ["quantised1"]


@pytest.mark.parametrize(
    "run",
    [
        lambda m, x: m.b(functional.dropout(m.act(m.a(x)), 0.5, m.training)),
        lambda m, x: m.b(torch.dropout(m.act(m.a(x)), 0.5, m.training)),
    ],
)
def test_dropout_as_a_function_goes_on_in_training_alone(run):
    torch.manual_seed(0)
    x = torch.rand(50, 12)
    copy = quantise(Run(run), x, levels=4)
    assert torch.equal(copy(x), copy(x))
    hidden = list[torch.Tensor]()
    copy.b.register_forward_pre_hook(lambda _, args: hidden.append(args[0]))
    assert not torch.equal(copy.train()(x), copy(x))
    kept = (hidden[0] > 0) & (hidden[1] > 0)
    assert torch.equal(hidden[0][kept], hidden[1][kept])
    to_spiking(copy, x)


def test_other_layers_in_training_are_told():
    model = Run(lambda m, x: m.b(m.act(m.a(x) + torch.randn_like(x) if m.training else m.a(x))))
    with pytest.warns(UserWarning, match=r"Run runs other layers in training than in evaluation"):
        quantise(model, torch.rand(50, 12), levels=4)


@pytest.mark.parametrize(
    ("run", "match"),
    [
        (lambda m, x: m.b(m.act(m.a(x if x.sum() > 0 else -x))), "torch.fx cannot trace it"),
        (lambda m, x: m.b(m.act(m.a(x[:, 1:]))), r"Run does not run on inputs of shape \(n, 12\)"),
        (reused, "change no value in place that is used again"),
        (unused, "change no value in place that is used again"),
    ],
)
def test_what_cannot_be_traced_is_refused_in_one_sentence(run, match):
    with pytest.raises(ValueError, match=match) as refused:
        quantise(Run(run), torch.rand(50, 12), levels=4)
    assert "\n" not in str(refused.value)


def test_with_one_layer_two_steps_give_the_network_that_was_tuned_for_them():
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(1500, 8, generator=generator)
    y = (x[:, 0] * x[:, 1] > x[:, 2] * x[:, 3]).long() + 2 * (x[:, 4] > x[:, 5]).long()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 40), nn.ReLU(), nn.Linear(40, 4))
    model = tune(model, x[:1000], y[:1000], Tuning(epochs=15, learning_rate=1e-2))
    tuned = tune(
        quantise(model, x[:1000], levels=2),
        x[:1000],
        y[:1000],
        Tuning(epochs=10, learning_rate=3e-3),
    )

    def in_2_steps(network):
        return to_spiking(network, x[:1000]).run(x[1000:], steps=2).outputs

    assert (
        float((in_2_steps(tuned) - tuned(x[1000:]).detach()).abs().quantile(0.99)) < 1e-4
    )  # all but where rounding is at a tie
    wrong = [
        float((in_2_steps(network).argmax(1) != y[1000:]).float().mean())
        for network in (tuned, model)
    ]
    assert wrong[0] < wrong[1]


def test_its_ceilings_are_the_scales_of_the_spiking_network():
    torch.manual_seed(0)
    x = torch.rand(50, 4)
    copy = quantise(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), x, levels=4)
    ceiling = copy.quantised1.ceiling.data.fill_(0.25)
    (scale,) = to_spiking(copy, x).scales.values()
    assert torch.equal(scale, ceiling)


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (nn.Sequential(nn.Linear(4, 2)), "Sequential has no rectifier to quantise"),
        (nn.Sequential(nn.Threshold(9.0, 0.0), nn.ReLU()), "rectifier '_1' is too seldom active"),
    ],
)
def test_what_cannot_be_quantised_is_refused(model, match):
    with pytest.raises(ValueError, match=match):
        quantise(model, torch.rand(5, 4), levels=4)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="levels must be >= 1, got 0"):
        QuantisedReLU(0, 1.0)
    with pytest.raises(ValueError, match="ceiling must be > 0, got 0"):
        QuantisedReLU(4, 0.0)
    with pytest.raises(ValueError, match=r"percentile must lie in \(0, 100\], got 0"):
        quantise(Functional(), torch.rand(5, 12), 4, percentile=0)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\), got 1 to 3"):
        tune(nn.Linear(2, 3), torch.rand(3, 2), [1, 2, 3])


def mixed(kind: torch.dtype) -> nn.Module:
    model = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4))
    model.register_parameter("first", nn.Parameter(torch.ones(1, dtype=kind)))
    return model


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float64])
def test_inputs_of_one_of_several_kinds_stay_as_they_are(kind):
    x, labels = torch.rand(50, 12), torch.zeros(50, dtype=torch.int64)
    assert next(mixed(kind).parameters()).dtype == kind
    copy = quantise(mixed(kind), x, levels=4)
    assert tune(copy, x, labels, Tuning(epochs=1))(x).dtype == torch.float32


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (nn.Linear(5, 4), r"Linear does not run on inputs of shape \(n, 12\): with n = 1"),
        (nn.BatchNorm1d(12), r"does not run on inputs of shape \(n, 12\): with n = 1, .* training"),
        (nn.Linear(12, 4).requires_grad_(False), "all of Linear is frozen"),
        (nn.Flatten(0), r"Flatten must put out one tensor of shape \(n, classes\), got \(12,\)"),
    ],
)
def test_what_cannot_be_tuned_is_refused_in_one_sentence(model, match):
    with pytest.raises(ValueError, match=match):
        tune(model, torch.rand(51, 12), torch.zeros(51, dtype=torch.int64), Tuning(epochs=1))


def test_its_units_are_active_where_they_put_out_more_than_0():
    """Inputs below half a level are rounded to 0: no spike stands for them."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    x = torch.rand(50, 8)
    quantised = quantise(model, x, levels=4)
    with torch.no_grad():
        share = float((quantised.quantised1(quantised.get_submodule("0")(x)) > 0).double().mean())
        rectified = float((model[:2](x) > 0).double().mean())
    (layer,) = ns.measure(quantised, x, active_when=ns.ActiveWhen(threshold=0)).values()
    assert (layer.name, layer.active_fraction) == ("quantised1", share)
    assert share < 0.95 * rectified
