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


def skip(hidden):
    """A rectifier network whose second layer of neurons is driven by more than a row of weights."""

    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.last = nn.Linear(12, 12), hidden, nn.Linear(12, 4)

        def forward(self, x):
            h = self.first(x).relu()
            return self.last((self.second(h) + h).relu())

    return on_grid(Skip())


@pytest.mark.parametrize(
    ("model", "x", "reason"),
    [
        (skip(nn.Linear(12, 12)), images(4, 12), "which is Add, not Linear"),
        (
            on_grid(
                nn.Sequential(
                    nn.Conv2d(1, 2, 3),
                    nn.ReLU(),
                    nn.Conv2d(2, 2, 3),
                    nn.ReLU(),
                    nn.Flatten(),
                    nn.Linear(8, 2),
                )
            ),
            images(4, 1, 6, 6),
            "which is Conv, not Linear",
        ),
    ],
    ids=["residual", "convolution"],
)
def test_what_it_cannot_run_goes_to_torch_or_is_refused(model, x, reason):
    network = to_spiking(model.eval(), x)
    assert torch.equal(network.run(x, 8).outputs, network.run(x, 8, engine="torch").outputs)
    with pytest.raises(ValueError, match=f"{reason}; use engine='torch'"):
        network.run(x, 8, engine="events")


def test_negative_poisson_input_goes_to_torch():
    x = images(4, 12) - 0.5
    network = to_spiking(chain(), x)
    network.run(x, 4, coding="poisson")
    with pytest.raises(ValueError, match="negative spikes"):
        network.run(x, 4, coding="poisson", engine="events")


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
