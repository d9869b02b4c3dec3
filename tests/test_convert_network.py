"""Spiking networks: closed forms of one layer, convergence to the source, both codings, what people
bring, bad input.
"""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import Tensor, nn

from neurosparse.convert import NeuronSpec, Normalisation, Run, to_spiking


def dyadic(*sizes: int, seed: int = 0) -> nn.Sequential:
    """A network whose weights are multiples of 1/64, so that sums in float32 are exact in any
    order.
    """
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        for parameter in layers[-2].parameters():
            parameter.data = torch.randint(-24, 25, parameter.shape, generator=generator) / 64
    return nn.Sequential(*layers[:-1])


@given(st.integers(0, 99), st.integers(1, 40))
def test_one_layer_counts_its_activation(seed: int, steps: int) -> None:
    """floor(T a + 1/2) spikes, at most T (Bu et al. 2022, eq. 12 with a current that is the same in
    every step).
    """
    model = dyadic(6, 9, 4, seed=seed)
    inputs = torch.randint(0, 9, (5, 6), generator=torch.Generator().manual_seed(seed)) / 8
    result = to_spiking(model, torch.ones(1, 6), normalisation="none").run(inputs, steps)
    with torch.no_grad():
        a = model[:2](inputs)
        counts = (steps * a + 0.5).floor().clamp(max=steps)
        assert torch.equal(result.spike_counts["1"], counts)
        torch.testing.assert_close(result.outputs, model[2](counts / steps))


def test_the_outputs_tend_to_those_of_the_source() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(8, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 5)
    )
    inputs = torch.rand(30, 8)
    with torch.no_grad():
        expected = model(inputs)
    at = (16, 64, 256, 1024)
    result = to_spiking(model, inputs, normalisation="maximum").run(inputs, 1024, outputs_at=at)
    errors = [float((result.outputs_at[t] - expected).abs().mean()) for t in at]
    assert all(late < 0.4 * early for early, late in pairwise(errors))  # as 1 / T
    assert errors[-1] < 1e-3 * float(expected.abs().mean())


@pytest.mark.parametrize("engine", ["torch", "events"])
def test_runs_agree_with_shorter_ones_and_with_their_spikes(engine) -> None:
    spiking = to_spiking(
        dyadic(6, 20, 20, 3), torch.ones(1, 6), NeuronSpec(t_ref_ms=1.0), normalisation="none"
    )
    inputs = torch.rand(4, 6)
    for coding in ("constant", "poisson"):
        whole = spiking.run(
            inputs, 30, coding=coding, outputs_at=(7, 30), record_spikes=True, engine=engine
        )
        short = spiking.run(inputs, 7, coding=coding, engine=engine)
        torch.testing.assert_close(whole.outputs_at[7], short.outputs)
        torch.testing.assert_close(whole.outputs_at[30], whole.outputs)
        for name, spikes in whole.spikes.items():
            assert (spikes.dtype, spikes.shape[:2]) == (torch.bool, (30, 4))
            assert torch.equal(spikes.sum(0).float(), whole.spike_counts[name])
            assert torch.equal(spikes[:7].sum(0).float(), short.spike_counts[name])


def test_a_pooled_unit_spikes_as_often_as_the_most_active_of_its_window() -> None:
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(3, 2, 2),
        nn.ReLU(),
        nn.Flatten(),
    )
    model[3].bias.data.fill_(0.3)
    inputs = torch.rand(4, 1, 7, 7)
    spiking = to_spiking(model, inputs)
    for coding in ("constant", "poisson"):
        result = spiking.run(inputs, 20, coding=coding, record_spikes=True)
        total, pooled = torch.zeros_like(result.spike_counts["1"]), []
        for spikes in result.spikes["1"].float():
            before = spiking.graph["2"](total)
            total = total + spikes
            pooled.append(spiking.graph["2"](total) - before)
        assert set(torch.stack(pooled).unique().tolist()) == {0.0, 1.0}
        v = torch.full_like(result.spike_counts["4"], 0.5)
        for step, expected in zip(pooled, result.spikes["4"], strict=True):
            v = v + spiking.graph["3"](step)
            assert torch.equal(v >= 1, expected)
            v = v - expected.float()


def test_poisson_input_has_the_mean_of_the_constant_input() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    model[0].weight.data, model[0].bias.data = torch.eye(3), torch.zeros(3)
    spiking = to_spiking(model, torch.full((1, 3), 2.0), normalisation="maximum")
    inputs = torch.tensor([[0.0, 0.5, 2.0]])
    first, again, other = (
        spiking.run(inputs, 4000, coding="poisson", seed=seed).outputs for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    torch.testing.assert_close(first, inputs, atol=4 * 2.0 * np.sqrt(0.25 * 0.75 / 4000), rtol=0)
    signed = spiking.run(torch.tensor([[-2.0, 0.5, 2.0]]), 4000, coding="poisson")
    assert signed.outputs[0, 0] == 0
    with pytest.raises(
        ValueError,
        match=r"Poisson input must be at most 2, the largest of the calibration, got 2\.5",
    ):
        spiking.run(torch.full((1, 3), 2.5), 4, coding="poisson")


class SmallConvNet(nn.Module):
    """As somebody else writes it: batch normalisation, functions, a residual branch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12)
        self.conv2, self.bn2 = nn.Conv2d(12, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12)
        self.pool, self.drop, self.fc = nn.MaxPool2d(2), nn.Dropout(0.1), nn.Linear(12 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.bn1(self.conv1(x)))
        h = nn.functional.relu(self.bn2(self.conv2(h)) + h)
        return self.fc(self.drop(self.pool(h).view(x.size(0), -1)))


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)


@pytest.mark.parametrize("kind", ["sequential", "convolutional"])
def test_a_network_of_somebody_else_keeps_its_accuracy(
    kind: str, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits
    torch.manual_seed(0)
    if kind == "sequential":
        model: nn.Module = nn.Sequential(
            nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 60), nn.ReLU(), nn.Linear(60, 10)
        )
    else:
        model, images = SmallConvNet(), images.reshape(-1, 1, 8, 8)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(8):
        for part in torch.randperm(1200).split(50):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(images[part]), labels[part]).backward()
            optimiser.step()
    before = copy.deepcopy(model.state_dict())
    spiking = to_spiking(model, images[:1200])
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    test, wanted = images[1200:], labels[1200:]
    with torch.no_grad():
        source = (model.eval()(test).argmax(1) == wanted).float().mean()
    result = spiking.run(test, 64)
    assert source > 0.9
    assert (result.outputs.argmax(1) == wanted).float().mean() >= source - 0.005


def test_networks_move_and_change_their_precision() -> None:
    model, inputs = dyadic(6, 9, 4), torch.ones(2, 6)
    spiking = to_spiking(model, inputs)
    double = spiking.to(torch.float64)
    assert double.run(inputs, 3).outputs.dtype == torch.float64
    assert spiking.run(inputs.double().numpy(), 3).outputs.dtype == torch.float32


MODEL = dyadic(6, 9, 4)
BAD = {
    "zeros": (torch.zeros(4, 6), "calibration is zeros only"),
    "nothing": (torch.zeros(0, 6), "calibration must be at least one sample"),
    "nan": (torch.full((2, 6), float("nan")), "calibration must be finite"),
    "nan in an array": (np.full((2, 6), np.nan), "calibration must be finite"),
    "one image": (torch.ones(6), "calibration must be at least one sample"),
    "another shape": (torch.ones(2, 5), "does not run on inputs of shape (n, 5)"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_calibration_is_one_sentence(name: str) -> None:
    calibration, words = BAD[name]
    with pytest.raises(ValueError) as error:
        to_spiking(MODEL, calibration)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_bad_runs_are_one_sentence() -> None:
    spiking = to_spiking(MODEL, torch.ones(2, 6))
    for inputs, options, words in (
        (torch.ones(2, 5), {}, "inputs must have shape (n, 6), got (2, 5)"),
        (torch.ones(0, 6), {}, "inputs must be at least one sample"),
        (torch.full((1, 6), float("inf")), {}, "inputs must be finite"),
        (torch.ones(1, 6), {"steps": 0}, "steps must be >= 1, got 0"),
        (
            torch.ones(1, 6),
            {"steps": 4, "outputs_at": (5,)},
            "outputs_at must be <= steps=4, got 5",
        ),
        (
            torch.ones(1, 6),
            {"coding": "burst"},
            "coding must be one of constant, poisson, got 'burst'",
        ),
        (
            torch.ones(1, 6),
            {"engine": "gpu"},
            "engine must be one of auto, events, torch, got 'gpu'",
        ),
    ):
        with pytest.raises(ValueError) as error:
            spiking.run(inputs, **options)
        assert words in str(error.value)
    assert isinstance(spiking.run(torch.ones(1, 6), 1), Run)
    with pytest.raises(ValueError, match="kind"):
        to_spiking(MODEL, torch.ones(2, 6), "izhikevich")
    with pytest.raises(ValueError, match="percentile"):
        Normalisation(percentile=0)


def test_synapses_are_run_in_torch_and_keep_the_rates():
    """Over many steps a filtered current is its mean, so that rates are those without synapses."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 4))
    x = torch.rand(40, 6)
    plain, filtered = (
        to_spiking(model, x, NeuronSpec(kind="lif", tau_m_ms=5.0, tau_syn_ms=tau_syn_ms))
        for tau_syn_ms in (None, 2.0)
    )
    counts = [next(iter(each.run(x, 1000).spike_counts.values())) for each in (plain, filtered)]
    assert counts[0].max() > 100
    assert float((counts[0] - counts[1]).abs().max()) < 6
    assert not filtered.run(x, 10).paths
    with pytest.raises(ValueError, match="its synapses filter what comes in"):
        filtered.run(x, 10, engine="events")
