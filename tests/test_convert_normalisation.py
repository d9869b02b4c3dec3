"""Normalisation: the same function up to one scale a layer, scales as NumPy finds them, the balance
of leaky neurons.
"""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from neurosparse.convert import NeuronSpec, Normalisation, to_spiking
from neurosparse.convert.normalisation import balance, bend, ceilings, normalised, rate_per_step
from neurosparse.convert.tracing import trace


class RandomNet(nn.Module):
    """Convolutions with branches, residual additions, pooling and batch normalisation as a list of
    random numbers says.
    """

    def __init__(self, blocks: list[int], seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.blocks = blocks
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1, groups=1 + b % 2) for b in blocks)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in blocks)
        self.first, self.merge, self.out = (
            nn.Conv2d(2, 4, 1),
            nn.Conv2d(8, 4, 1),
            nn.Linear(4 * 16, 3),
        )
        for layer in (self.first, self.merge, *self.convs):
            layer.bias.data.uniform_(0.5, 2)  # so that no layer is silent
        for norm in self.norms:
            norm.running_mean.uniform_(-1, 0)
            norm.running_var.uniform_(0.5, 2)
            norm.weight.data.uniform_(0.5, 2)
            norm.bias.data.uniform_(0.5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        for kind, conv, norm in zip(self.blocks, self.convs, self.norms, strict=True):
            y = conv(x)
            match kind:
                case 0:
                    x = norm(y).relu()
                case 1:
                    x = (norm(y) + x).relu()
                case 2:
                    # an addition of activations, which no neurons follow at once
                    x = torch.relu(y) + x
                case 3:
                    x = (norm(y).relu() - 0.5 * conv(x.relu())).relu()
                case 4:
                    x = functional.max_pool2d(norm(y), 3, 1, 1).relu()
                case _:
                    x = self.merge(
                        torch.cat([norm(y).relu(), functional.avg_pool2d(x, 3, 1, 1)], 1)
                    ).relu()
        return self.out(x.flatten(1))


neurons = st.sampled_from(
    [
        NeuronSpec(),
        NeuronSpec(threshold=2.5, reset="value", v_reset=-0.5),
        NeuronSpec(t_ref_ms=2.0),
        NeuronSpec(kind="lif", t_ref_ms=1.0),
        NeuronSpec(kind="lif", max_rate_hz=100.0),
    ]
)
ways = st.builds(
    Normalisation,
    method=st.sampled_from(["none", "maximum", "percentile"]),
    percentile=st.sampled_from([90.0, 99.9]),
    per=st.sampled_from(["layer", "channel"]),
)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(0, 99), neurons, ways)
def test_the_same_function_up_to_one_scale_a_layer(
    blocks: list[int], seed: int, neuron: NeuronSpec, how: Normalisation
) -> None:
    """With rectifiers in the place of the neurons, and to the rounding of float64."""
    model = RandomNet(blocks, seed).double()
    inputs = torch.randn(
        6, 2, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    spiking = to_spiking(model, inputs, neuron, normalisation=how)
    with torch.no_grad():
        expected = model.eval()(inputs)
    torch.testing.assert_close(spiking.graph(inputs), expected, rtol=1e-9, atol=1e-9)
    values, source = spiking.graph.values(inputs), spiking.source.values(inputs)
    for name, scale in spiking.scales.items():
        torch.testing.assert_close(values[name] * scale, source[name], rtol=1e-9, atol=1e-9)
    if how.method == "maximum":
        assert all(values[name].max() <= neuron.max_rate + 1e-9 for name in spiking.scales)


@pytest.mark.parametrize("batch", [1, 7, 40])
@pytest.mark.parametrize("percentile", [50.0, 90.0, 99.0, 100.0])
def test_scales_are_percentiles_as_numpy_finds_them(batch: int, percentile: float) -> None:
    torch.manual_seed(4)
    model = nn.Sequential(
        nn.Conv1d(2, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 2)
    ).double()
    inputs = torch.randn(40, 2, 5, dtype=torch.float64)
    graph = trace(model, inputs)
    values = graph.values(inputs)
    for per, axes in (("layer", lambda a: None), ("channel", lambda a: (0, *range(2, a.ndim)))):
        how = Normalisation(percentile=percentile, per=per)
        found = ceilings(graph, inputs.split(batch), len(inputs), how)
        for name in ("1", "4"):
            activations = values[name].numpy()
            expected = np.percentile(
                activations, percentile, axis=axes(activations), method="higher"
            )
            expected = np.where(expected > 0, expected, expected.max() or activations.max())
            np.testing.assert_allclose(found[name].numpy().ravel(), np.ravel(expected), rtol=1e-14)


def test_maximum_is_the_hundredth_percentile_and_none_is_1() -> None:
    torch.manual_seed(0)
    model, inputs = nn.Sequential(nn.Linear(3, 5), nn.ReLU()), torch.rand(9, 3)
    graph = trace(model, inputs)
    largest = ceilings(graph, [inputs], 9, Normalisation(method="maximum"))["1"]
    assert (
        largest
        == graph(inputs).max()
        == ceilings(graph, [inputs], 9, Normalisation(percentile=100))["1"]
    )
    unchanged = normalised(
        graph, ceilings(graph, [inputs], 9, Normalisation(method="none")), NeuronSpec()
    )
    assert torch.equal(unchanged["0"].weight, model[0].weight)
    assert torch.equal(unchanged["0"].bias, model[0].bias)


def test_a_silent_unit_has_the_largest_scale_of_its_layer() -> None:
    model = nn.Sequential(nn.Linear(1, 3), nn.ReLU())
    model[0].weight.data = torch.tensor([[1.0], [2.0], [-1.0]])
    model[0].bias.data.zero_()
    found = ceilings(
        trace(model, torch.ones(4, 1)), [torch.ones(4, 1)], 4, Normalisation(per="channel")
    )
    assert found["1"].tolist() == [1.0, 2.0, 2.0]


def test_a_silent_layer_is_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU())
    model[2].bias.data.fill_(-100.0)
    with pytest.raises(ValueError, match="layer '3' is never active on the calibration inputs"):
        to_spiking(model, torch.rand(5, 2))


def test_channels_that_a_reshape_mixes_are_refused() -> None:
    model = nn.Sequential(
        nn.Linear(4, 8), nn.ReLU(), nn.Unflatten(1, (2, 4)), nn.Conv1d(2, 3, 2), nn.ReLU()
    )
    assert to_spiking(model, torch.rand(9, 4)).graph.layers
    with pytest.raises(ValueError, match='normalise per="layer"'):
        to_spiking(model, torch.rand(9, 4), normalisation=Normalisation(per="channel"))


@pytest.mark.parametrize(
    ("neuron", "worst"),
    [
        (NeuronSpec(kind="lif"), 0.03),
        (NeuronSpec(kind="lif", tau_m_ms=5.0), 0.11),
        (NeuronSpec(kind="lif", t_ref_ms=2.0), 0.18),
        (NeuronSpec(kind="lif", t_ref_ms=2.0, max_rate_hz=100.0), 0.18),
        (NeuronSpec(t_ref_ms=2.0), 0.1),
    ],
)
def test_the_rate_of_a_leaky_layer_follows_the_rectifier(neuron: NeuronSpec, worst: float) -> None:
    """One layer under constant currents: as the f-I curve says, and within `worst` of r_max of the
    activation.
    """
    a = torch.linspace(-1, 1, 81, dtype=torch.float64)
    model = nn.Sequential(nn.Linear(1, 81), nn.ReLU()).double()
    model[0].weight.data, model[0].bias.data = (
        2.0 * a[:, None],
        torch.zeros(81, dtype=torch.float64),
    )
    spiking = to_spiking(model, torch.ones(2, 1), neuron, normalisation="maximum")
    assert spiking.scales["1"] == pytest.approx(2.0 / neuron.max_rate)
    steps = 20_000
    found = spiking.run(torch.ones(1, 1), steps).spike_counts["1"][0].numpy() / steps
    gain, offset = balance(neuron)
    # by so much a leak loses more in steps than in continuous time
    in_steps = neuron.dt_ms / (2 * neuron.tau_m_ms)
    np.testing.assert_allclose(
        found, rate_per_step(gain * a + offset, neuron), atol=(in_steps + 0.015) * neuron.max_rate
    )
    error = np.abs(found - neuron.max_rate * a.clamp(min=0).numpy()).max() / neuron.max_rate
    assert worst / 2 < error < worst
    assert found[a <= 0].max() == 0


@given(st.floats(0.01, 0.3))
def test_a_refractory_period_bends_the_curve_in_proportion_to_the_highest_rate(part: float) -> None:
    """Without a leak there is one number alone, r_max t_ref: the unit of time does not matter."""
    found = [
        bend(NeuronSpec(t_ref_ms=t, dt_ms=0.1, max_rate_hz=1e3 * part / t)) for t in (1.0, 4.0)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-3)
    assert found[0] == pytest.approx(0.12 * part, rel=0.1)


@given(st.floats(1, 30))
def test_a_leak_alone_bends_the_curve_less_at_high_rates(part: float) -> None:
    found = [
        bend(NeuronSpec(kind="lif", tau_m_ms=t, dt_ms=0.1, max_rate_hz=1e3 * part / t))
        for t in (10.0, 40.0)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-3)
    assert 0.03 / part < found[0] < 0.08 / part


@pytest.mark.parametrize("tau_m_ms", [20.0, 80.0, 320.0])
def test_with_a_leak_there_is_a_best_rate_and_it_bends_even_there(tau_m_ms: float) -> None:
    def at(rate_hz: float) -> float:
        return bend(
            NeuronSpec(kind="lif", tau_m_ms=tau_m_ms, t_ref_ms=2.0, dt_ms=0.1, max_rate_hz=rate_hz)
        )

    best_hz = 1e3 * 0.8 / np.sqrt(tau_m_ms * 2.0)
    assert at(best_hz) == pytest.approx(0.16 * np.sqrt(2.0 / tau_m_ms), rel=0.15)
    assert at(best_hz) < min(at(0.7 * best_hz), at(1.4 * best_hz))
    assert bend(NeuronSpec()) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("neuron", [NeuronSpec(), NeuronSpec(t_ref_ms=2.0)], ids=["if", "waits"])
def test_a_ceiling_is_the_highest_rate(neuron) -> None:
    """Units beyond 6 come to 6, units below keep their value."""
    model = nn.Sequential(nn.Linear(1, 4), nn.ReLU6())
    model[0].weight.data = torch.tensor([[1.0], [3.0], [8.0], [20.0]])
    model[0].bias.data.zero_()
    spiking = to_spiking(model, torch.ones(50, 1), neuron)
    rates = spiking.run(torch.ones(1, 1), 900).outputs[0]
    assert rates[2:].tolist() == pytest.approx([6.0, 6.0], rel=0.01)
    # a refractory period bends the curve: its line is off by up to an eighth or so of the ceiling
    bent = 0.02 if neuron.t_ref_ms == 0 else 1.0
    assert rates[:2].tolist() == pytest.approx([1.0, 3.0], abs=bent)


def _densenet(seed: int) -> tuple[nn.Module, torch.Tensor]:
    class Dense(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.norm, self.conv = nn.BatchNorm2d(n), nn.Conv2d(n, 8, 3, 1, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x, self.conv(self.norm(x).relu())], 1)

    torch.manual_seed(seed)
    layers = [nn.Conv2d(2, 8, 3, 1, 1), *(Dense(8 + 8 * k) for k in range(4))]
    end = (nn.BatchNorm2d(40), nn.ReLU(), nn.Flatten(), nn.Linear(40 * 64, 5))
    model = nn.Sequential(*layers, *end)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):  # factors as unlike as training leaves them
            layer.weight.data = torch.rand(layer.weight.shape).mul(3).exp() / 5
            layer.momentum = 1.0
    x = torch.rand(40, 2, 8, 8)
    model.train()(x)
    return model.eval(), x


def test_channels_have_their_own_scale_where_layers_concatenate() -> None:
    model, x = _densenet(0)
    with torch.no_grad():
        expected = model(x)

    def error(per: str) -> float:
        outputs = to_spiking(model, x, normalisation=Normalisation(per=per)).run(x, 16).outputs
        return float((outputs - expected).norm() / expected.norm())

    assert error("auto") < 0.75 * error("layer")
    chain = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 2))
    alike = [
        to_spiking(chain, x, normalisation=Normalisation(per=per)).scales["1"]
        for per in ("auto", "layer")
    ]
    assert torch.equal(*alike)
