"""The events engine against torch. Weights on a grid of 1/64 make all sums exact, so that every
single spike must be the same.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neurosparse.convert import NeuronSpec, events, to_spiking

NEURONS = {
    "if": NeuronSpec(),
    "if, to a value": NeuronSpec(reset="value", v_reset=-0.25),
    "if, refractory": NeuronSpec(t_ref_ms=2.0),
    "lif": NeuronSpec(kind="lif", tau_m_ms=5.0),
    "lif, to a value, refractory": NeuronSpec(
        kind="lif", reset="value", tau_m_ms=10.0, t_ref_ms=1.0, threshold=0.75
    ),
}


def on_grid(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        values = torch.randint(-24, 33, parameter.shape, generator=generator) / 64
        parameter.data = values
    return model


def images(n, *shape, seed=1):
    return torch.randint(0, 17, (n, *shape), generator=torch.Generator().manual_seed(seed)) / 16


def chain(n_in=12, wide=40, deep=33):
    return on_grid(
        nn.Sequential(
            nn.Linear(n_in, wide), nn.ReLU(), nn.Linear(wide, deep), nn.ReLU(), nn.Linear(deep, 5)
        )
    )


def gridded(network):
    """The network with its weights back on the grid: normalisation and the balance of a neuron take
    them off it.
    """
    for layer in network.graph.layers:
        for name in ("weight", "bias"):
            if isinstance(value := getattr(layer, name, None), torch.Tensor):
                value.copy_(torch.round(value * 64) / 64)
    return network


def both(network, x, **options):
    return (
        network.run(x, engine=engine, record_spikes=True, **options)
        for engine in ("torch", "events")
    )


def assert_same(torch_run, events_run):
    assert sum(int(spikes.sum()) for spikes in torch_run.spikes.values()) > 0
    for name, spikes in torch_run.spikes.items():
        assert torch.equal(spikes, events_run.spikes[name]), name
        assert torch.equal(torch_run.spike_counts[name], events_run.spike_counts[name]), name
    torch.testing.assert_close(torch_run.outputs, events_run.outputs)
    assert torch_run.outputs_at.keys() == events_run.outputs_at.keys()
    for steps, outputs in torch_run.outputs_at.items():
        torch.testing.assert_close(outputs, events_run.outputs_at[steps])


@pytest.mark.parametrize("coding", ["constant", "poisson"])
@pytest.mark.parametrize("neuron", NEURONS.values(), ids=NEURONS)
def test_every_spike_is_that_of_torch(neuron, coding):
    x = images(7, 12)
    network = gridded(to_spiking(chain(), x, neuron, normalisation="none"))
    assert_same(*both(network, x, steps=30, coding=coding, outputs_at=[1, 13]))


@given(
    st.integers(1, 40),
    st.integers(1, 70),
    st.integers(1, 70),
    st.integers(1, 6),
    st.integers(1, 12),
    st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_of_any_size(n_in, wide, deep, n, steps, seed):
    model = on_grid(
        nn.Sequential(
            nn.Linear(n_in, wide), nn.ReLU(), nn.Linear(wide, deep), nn.ReLU(), nn.Linear(deep, 2)
        ),
        seed,
    )
    # some unit of each layer is active, or there would be nothing to normalise by
    model[0].bias.data += 0.5
    model[2].bias.data += 0.5
    x = images(n, n_in, seed=seed)
    network = to_spiking(model, x, normalisation="none")
    a, b = both(network, x, steps=steps)
    for name in a.spikes:
        assert torch.equal(a.spikes[name], b.spikes[name])
    torch.testing.assert_close(a.outputs, b.outputs)


def test_inputs_in_parts_are_the_same(monkeypatch):
    x = images(23, 12)
    network = to_spiking(chain(), x, normalisation="none")
    whole = network.run(x, 10, engine="events", record_spikes=True)
    monkeypatch.setattr(events, "MOST_AT_ONCE", 5)
    told = []
    parts = network.run(
        x,
        10,
        engine="events",
        record_spikes=True,
        progress=lambda done, text: told.append((done, text)),
    )
    assert_same(whole, parts)
    assert told[-1] == (1.0, "input 23 of 23")
    assert len(told) == 5


class Branches(nn.Module):
    """Two layers of neurons on one, and an image of its own shape at the start."""

    def __init__(self):
        super().__init__()
        self.first, self.left, self.right, self.last = (
            nn.Conv2d(1, 3, 3),
            nn.Linear(48, 20),
            nn.Linear(48, 9),
            nn.Linear(29, 4),
        )

    def forward(self, x):
        h = self.first(x).relu().flatten(1)
        return self.last(torch.cat([self.left(h).relu(), self.right(h).relu()], dim=1))


def test_branches_and_a_convolution_of_the_images():
    x = images(4, 1, 6, 6)
    network = to_spiking(on_grid(Branches()).eval(), x, normalisation="none")
    assert_same(*both(network, x, steps=20))


def test_weights_are_laid_out_once():
    x = images(3, 12)
    network = to_spiking(chain(), x)
    network.run(x, 5)
    laid_out = network._prepared["constant"]
    network.run(x, 5)
    assert network._prepared["constant"] is laid_out
    assert network._prepared.keys() == {"constant"}


class Residual(nn.Module):
    """A convolution beside a shortcut of one pixel, and a residual branch of spikes."""

    def __init__(self, n, out, stride=1):
        super().__init__()
        self.first = nn.Conv2d(n, out, 3, stride, 1)
        self.second = nn.Conv2d(out, out, 3, 1, 1)
        self.aside = nn.Conv2d(n, out, 1, stride) if n != out or stride > 1 else nn.Identity()

    def forward(self, x):
        return (self.second(self.first(x).relu()) + self.aside(x)).relu()


class Preactivated(nn.Module):
    """A residual stream that no neurons are on: what is added up is taken twice."""

    def __init__(self, n):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(n), nn.Conv2d(n, n, 3, 1, 1)

    def forward(self, x):
        return x + self.conv(self.norm(x).relu())


class Dense(nn.Module):
    """A layer of a DenseNet: what it computes is put beside what it got."""

    def __init__(self, n, growth):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(n), nn.Conv2d(n, growth, 3, 1, 1)

    def forward(self, x):
        return torch.cat([x, self.conv(self.norm(x).relu())], 1)


class Beside(nn.Module):
    """Branches of neurons, one after the other or added."""

    def __init__(self, *branches, add=False):
        super().__init__()
        self.branches, self.add = nn.ModuleList(branches), add

    def forward(self, x):
        found = [branch(x).relu() for branch in self.branches]
        return found[0] - 0.5 * found[1] if self.add else torch.cat(found, 1)


class Chunks(nn.Module):
    """Channels in parts, of spikes and of currents."""

    def __init__(self):
        super().__init__()
        self.conv, self.pool = nn.Conv2d(6, 9, 3), nn.MaxPool2d(3, 1)

    def forward(self, x):
        first, second = self.conv(x).split([6, 3], 1)
        left, right = self.pool(x).chunk(2, 1)
        return torch.cat([first.relu(), second.relu(), left, right], 1)


def before(*layers):
    """Layers between spikes and a read-out."""
    return nn.Sequential(nn.Conv2d(2, 6, 3, 1, 1), nn.ReLU(), *layers)


def conv(*args, **options):
    return before(nn.Conv2d(6, 8, *args, **options), nn.ReLU())


KINDS = {
    "convolution": conv(3),
    "padding": conv(3, padding=1),
    "padding same": conv((2, 4), padding="same"),
    "stride": conv(3, 2, 1),
    "dilation": conv(3, padding=2, dilation=2),
    "other along each axis": conv((3, 2), (2, 1), (0, 2), (1, 3)),
    "groups": conv(3, 1, 1, groups=2),
    "depthwise": before(nn.Conv2d(6, 6, 3, 1, 1, groups=6), nn.ReLU()),
    "more channels than a row": before(nn.Conv2d(6, 70, 3), nn.ReLU()),
    "average": before(nn.AvgPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU()),
    "average, padded": before(nn.AvgPool2d(4, 2, 1), nn.Conv2d(6, 8, 2), nn.ReLU()),
    "average, unlike windows": before(
        nn.AvgPool2d(2, 2, 1, count_include_pad=False), nn.Conv2d(6, 8, 3), nn.ReLU()
    ),
    "average, over the edge": before(
        nn.AvgPool2d(2, 2, ceil_mode=True), nn.Conv2d(6, 8, 3), nn.ReLU()
    ),
    "average of all": before(nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 8, 1), nn.ReLU()),
    "maximum": before(nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU()),
    "maximum, overlapping": before(nn.MaxPool2d(3, 2, 1), nn.Conv2d(6, 8, 3), nn.ReLU()),
    "maximum of averages": before(
        nn.AvgPool2d(2), nn.MaxPool2d(2, 1), nn.Conv2d(6, 8, 3), nn.ReLU()
    ),
    "maximum of currents": before(nn.Conv2d(6, 8, 3), nn.MaxPool2d(2), nn.ReLU()),
    "batch normalisation": before(nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.ReLU()),
    "residual": before(Residual(6, 6)),
    "residual, wider": before(Residual(6, 9, 2), Residual(9, 9)),
    "residual, no neurons on it": before(Preactivated(6), Preactivated(6), nn.ReLU()),
    "concatenated": before(
        Beside(nn.Conv2d(6, 3, 1), nn.Conv2d(6, 5, 3, 1, 1)), nn.Conv2d(8, 4, 3), nn.ReLU()
    ),
    "concatenated, pooled": before(
        Beside(nn.Conv2d(6, 3, 1), nn.Conv2d(6, 5, 3, 1, 1)),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 4, 3),
        nn.ReLU(),
    ),
    "added": before(
        Beside(nn.Conv2d(6, 4, 1), nn.Conv2d(6, 4, 3, 1, 1), add=True),
        nn.Conv2d(4, 4, 3),
        nn.ReLU(),
    ),
    "densely connected": before(Dense(6, 4), Dense(10, 4), nn.BatchNorm2d(14), nn.ReLU()),
    "in a row": before(nn.Flatten(), nn.Linear(6 * 81, 20), nn.ReLU(), nn.Linear(20, 7), nn.ReLU()),
    "pooled, in a row": before(nn.MaxPool2d(3), nn.Flatten(), nn.Linear(54, 20), nn.ReLU()),
    "ceiling": before(nn.Conv2d(6, 8, 3), nn.ReLU6()),
    "padded": before(nn.ZeroPad2d((1, 0, 2, -1)), nn.Conv2d(6, 8, 3), nn.ReLU()),
    "upsampled": before(nn.Upsample(scale_factor=2), nn.Conv2d(6, 8, 3, 2), nn.ReLU()),
    "upsampled, bilinear": before(
        nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(6, 8, 3, 3), nn.ReLU()
    ),
    "transposed": before(nn.ConvTranspose2d(6, 8, 3, 2, 1, 1), nn.ReLU()),
    "in chunks": before(Chunks(), nn.Conv2d(15, 8, 3), nn.ReLU()),
    "one dimension": nn.Sequential(
        nn.Flatten(2),
        nn.Conv1d(2, 6, 5, 3),
        nn.ReLU(),
        nn.Conv1d(6, 8, 3, 1, 1, groups=2),
        nn.ReLU(),
        nn.AvgPool1d(2),
        nn.MaxPool1d(3, 2, 1),
        nn.Conv1d(8, 5, 3, padding=2, dilation=2),
        nn.ReLU(),
    ),
}


def with_read_out(layers, x):
    """The layers on the grid, and a read-out of them."""
    flat = nn.Sequential(layers, nn.Flatten()).eval()
    with torch.no_grad():
        n = flat(x).shape[1]
    model = on_grid(nn.Sequential(flat, nn.Linear(n, 3)))
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps, layer.running_var = 0.0, torch.full_like(layer.running_var, 4.0)
    return model.eval()


@pytest.fixture(params=["events", "values"])
def path(request, monkeypatch):
    """Every layer on one path, whatever its work."""
    monkeypatch.setattr(events, "BREAK_EVEN", float("inf") if request.param == "events" else -1.0)
    return request.param


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("layers", KINDS.values(), ids=KINDS)
def test_every_kind_of_layer_is_that_of_torch(layers, monkeypatch):
    x = images(5, 2, 9, 9)
    network = to_spiking(with_read_out(layers, x), x, normalisation="none")
    for break_even, path in ((float("inf"), "events"), (-1.0, "values")):
        monkeypatch.setattr(events, "BREAK_EVEN", break_even)
        for coding, shown in (("constant", x), ("poisson", x), ("poisson", x - 0.25)):
            a, b = both(network, shown, steps=8, coding=coding, outputs_at=[1, 5])
            assert_same(a, b)
            assert all(spikes.any() for spikes in a.spikes.values())
            taken = {found.path for found in b.paths if found.density is not None}
            assert taken <= {path}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_which_path_a_layer_takes_and_why():
    x = images(5, 2, 9, 9)
    by_events = {}
    for name, layers in KINDS.items():
        network = to_spiking(with_read_out(layers, x), x, normalisation="none")
        for strength in (1.0, 0.125):
            for found in network.run(strength * x, 12, engine="events").paths:
                by_events[name, found.layer, strength] = found
    few = {key for key, found in by_events.items() if "takes values" in found.why}
    assert {name for name, *_ in few} == {
        "average, unlike windows",
        "average, over the edge",
        "maximum of currents",
        "residual, no neurons on it",
        "densely connected",
        "in chunks",
        "upsampled, bilinear",
    }
    for found in by_events.values():
        assert (found.density is None) == ("work" not in found.why)
        assert found.density is None or found.density >= 0
    assert {found.path for found in by_events.values()} == {"events", "values"}


def vgg():
    layers, n = [], 2
    for out in (16, 16, "pool", 32, 32, "pool", 64, 64):
        if out == "pool":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(n, out, 3, 1, 1), nn.BatchNorm2d(out), nn.ReLU()]
            n = out
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))


def resnet_18():
    blocks, n = [], 8
    for out, stride in ((8, 1), (8, 1), (16, 2), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1)):
        blocks.append(Residual(n, out, stride))
        n = out
    start = (nn.Conv2d(2, 8, 3, 1, 1), nn.ReLU())
    return nn.Sequential(*start, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def densenet():
    def stage(n, k):
        return [Dense(n + 8 * i, 8) for i in range(k)], n + 8 * k

    first, n = stage(16, 3)
    between = (nn.BatchNorm2d(n), nn.ReLU(), nn.Conv2d(n, n // 2, 1), nn.AvgPool2d(2))
    second, m = stage(n // 2, 3)
    end = (nn.BatchNorm2d(m), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(m, 10))
    return nn.Sequential(nn.Conv2d(2, 16, 3, 1, 1), *first, *between, *second, *end)


@pytest.mark.parametrize("make", [vgg, resnet_18, densenet])
def test_whole_networks_are_those_of_torch(make, path):
    """Weights of 1/16, -1/16 or 0: exact, and neither silent nor saturated at any depth."""
    model = make().eval()
    generator = torch.Generator().manual_seed(2)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            each = layer.weight[0].numel()
            drawn = torch.rand(layer.weight.shape, generator=generator)
            share = min(0.5, 24 / each)
            layer.weight.data = ((drawn < share).float() - (drawn > 1 - share * 0.7).float()) / 8
            layer.bias.data = torch.full_like(layer.bias, 1 / 16)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.eps = 0.0
    x = images(3, 2, 16, 16)
    if make is vgg:
        x = x[..., :8, :8]
    network = to_spiking(model, x, normalisation="none")
    a, b = both(network, x, steps=16)
    assert_same(a, b)
    assert all(0 < spikes.float().mean() < 0.9 for spikes in a.spikes.values())


def test_double_precision_goes_to_torch():
    x = images(4, 12)
    network = to_spiking(chain(), x).to(torch.float64)
    assert network.run(x, 4).outputs.dtype == torch.float64
    with pytest.raises(ValueError, match="not float32 on the CPU"):
        network.run(x, 4, engine="events")


def test_trained_scales_agree_but_for_ties():
    rng = torch.Generator().manual_seed(3)
    model = nn.Sequential(
        nn.Linear(50, 200), nn.ReLU(), nn.Linear(200, 100), nn.ReLU(), nn.Linear(100, 10)
    )
    x = torch.rand(20, 50, generator=rng)
    a, b = both(to_spiking(model, x), x, steps=64)
    spikes = sum(int(s.sum()) for s in a.spikes.values())
    others = sum(int((s != b.spikes[name]).sum()) for name, s in a.spikes.items())
    assert others < 1e-3 * spikes
    assert np.abs((a.outputs - b.outputs).numpy()).max() < 0.02 * np.abs(a.outputs.numpy()).max()
