"""Converted networks in Brian2 against torch, in double precision: every single spike must be the
same.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from test_convert_events import NEURONS, chain, images, on_grid
from torch import nn

from neurosparse.convert import NeuronSpec, brian, run_in_brian2, to_brian2, to_spiking
from neurosparse.spiking.brian import running as engine

STEPS = 20


@pytest.fixture
def b2():
    """Brian2 without a compiler, put back afterwards."""
    brian2 = engine.brian2()
    kept = brian2.prefs.codegen.target
    brian2.prefs.codegen.target = "numpy"
    yield brian2
    brian2.prefs.codegen.target = kept


class Residual(nn.Module):
    """A convolution, neurons, and a residual branch around another convolution."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (
            nn.Conv2d(1, 2, 3, padding=1),
            nn.Conv2d(2, 2, 3, padding=1, groups=2),
        )
        self.pool, self.last = nn.AvgPool2d(2), nn.Linear(8, 3)

    def forward(self, x):
        h = self.first(x).relu()
        return self.last(self.pool((self.second(h) + h).relu()).flatten(1))


def dense(t, i, n, steps, units):
    """Spikes at times in ms, of units that are shown n inputs one after another, as (steps, n,
    units).
    """
    spikes = np.zeros((n * steps, units), bool)
    spikes[np.rint(np.asarray(t)).astype(int), np.asarray(i)] = True
    return spikes.reshape(n, steps, units).swapaxes(0, 1)


SYNAPSES = {"lif, synapses": NeuronSpec(kind="lif", tau_m_ms=5.0, tau_syn_ms=2.0, t_ref_ms=1.0)}


@pytest.mark.parametrize("neuron", (NEURONS | SYNAPSES).values(), ids=NEURONS | SYNAPSES)
def test_every_spike_is_that_of_torch(neuron):
    x = images(3, 12)
    network = to_spiking(chain(), x, neuron).to(torch.float64)
    expected = network.run(x, STEPS, record_spikes=True)
    many = run_in_brian2(network, x, STEPS, record_spikes=True, target="numpy")
    shown = engine.run(
        partial(brian.objects, network, x, STEPS),
        duration_ms=3.0 * STEPS,
        dt_ms=1.0,
        seed=0,
        target="numpy",
    )
    for name, spikes in expected.spikes.items():
        assert spikes.any()
        assert torch.equal(spikes, many.spikes[name])
        assert torch.equal(expected.spike_counts[name], many.spike_counts[name])
        monitor = shown[f"{brian.identifier(name)}_spikes"]
        found = dense(monitor["t"] * 1e3, monitor["i"], 3, STEPS, spikes.shape[2])
        np.testing.assert_array_equal(found, spikes.numpy())
    torch.testing.assert_close(many.outputs, expected.outputs)


def test_counts_are_those_of_torch_where_no_spikes_are_recorded():
    x = images(3, 12)
    network = to_spiking(chain(), x, NEURONS["lif"]).to(torch.float64)
    expected, counted = network.run(x, STEPS), run_in_brian2(network, x, STEPS, target="numpy")
    for name, counts in expected.spike_counts.items():
        assert torch.equal(counts, counted.spike_counts[name])


def test_convolutions_residuals_and_the_output(b2):
    x = images(2, 1, 4, 4)
    network = to_spiking(on_grid(Residual()).eval(), x).to(torch.float64)
    expected = network.run(x, STEPS, record_spikes=True)
    net = to_brian2(network, x, STEPS)
    net.run(2 * STEPS * b2.ms, namespace={})
    for name, spikes in expected.spikes.items():
        monitor = net[f"{brian.identifier(name)}_spikes"]
        found = dense(monitor.t / b2.ms, monitor.i, 2, STEPS, spikes[0, 0].numel())
        np.testing.assert_array_equal(found, spikes.flatten(2).numpy())
    np.testing.assert_allclose(np.array(net["output"].total) / STEPS, expected.outputs[1].numpy())
    many = run_in_brian2(network, x, STEPS, target="numpy")
    torch.testing.assert_close(many.outputs, expected.outputs)
    assert many.spikes == {}


def test_it_can_be_extended(b2):
    x = images(1, 12)
    network = to_spiking(chain(), x)
    alone = network.run(x, STEPS).spike_counts["3"]
    net = to_brian2(network, x, STEPS)
    cells = net["layer_3"]
    inhibition = b2.Synapses(cells, cells, on_pre="I_post -= 10", name="inhibition")
    inhibition.connect(condition="i != j")
    potential = b2.StateMonitor(cells, "v", record=[0], name="potential")
    net.add(inhibition, potential)
    net.run(STEPS * b2.ms, namespace={})
    assert 0 < net["layer_3_spikes"].num_spikes < alone.sum()
    assert potential.v.shape == (1, STEPS)


def test_poisson_input_spikes_as_often_as_it_is_large(b2):
    x = torch.linspace(0, 1, 12)[None]
    net = to_brian2(to_spiking(chain(), x), x, 4000, coding="poisson")
    counter = b2.SpikeMonitor(net["input"], record=False, name="counter")
    net.add(counter)
    b2.seed(1)
    net.run(4000 * b2.ms, namespace={})
    error = np.array(counter.count) / 4000 - x[0].numpy()
    assert np.abs(error).max() < 5 * np.sqrt(0.25 / 4000)
    assert net["layer_3_spikes"].num_spikes > 0


def test_many_poisson_inputs_are_those_of_torch_by_the_same_seed():
    x = images(4, 12)
    network = to_spiking(chain(), x).to(torch.float64)
    options = {"coding": "poisson", "seed": 3, "record_spikes": True}
    expected, found = (
        network.run(x, 10, **options),
        run_in_brian2(network, x, 10, target="numpy", **options),
    )
    for name, spikes in expected.spikes.items():
        assert torch.equal(spikes, found.spikes[name])


def test_many_inputs_in_parts_are_the_same(monkeypatch):
    x = images(5, 12)
    network = to_spiking(chain(), x, normalisation="none")
    whole = run_in_brian2(network, x, 8, target="numpy", record_spikes=True)
    monkeypatch.setattr(brian, "ROOM", 2 * 8 * 40)
    parts = run_in_brian2(network, x, 8, target="numpy", record_spikes=True)
    torch.testing.assert_close(whole.outputs, parts.outputs)
    assert all(torch.equal(spikes, parts.spikes[name]) for name, spikes in whole.spikes.items())


def test_max_pooling_is_refused():
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8, 3),
        nn.ReLU(),
        nn.Linear(3, 2),
    )
    x = images(2, 1, 6, 6)
    network = to_spiking(on_grid(model, seed=2), x, normalisation="maximum")
    for run in (to_brian2, run_in_brian2):
        with pytest.raises(ValueError, match="max pooling"):
            run(network, x)


def test_negative_poisson_input_is_refused():
    x = images(2, 12) - 0.5
    with pytest.raises(ValueError, match="Poisson input must lie between 0"):
        to_brian2(to_spiking(chain(), x), x, coding="poisson")


@pytest.mark.slow
@pytest.mark.parametrize("neuron", ["if", "lif, to a value, refractory"])
def test_compiled_it_is_the_same(neuron):
    x = images(3, 12)
    network = to_spiking(chain(), x, NEURONS[neuron]).to(torch.float64)
    expected = network.run(x, STEPS, record_spikes=True)
    found = run_in_brian2(network, x, STEPS, record_spikes=True, target="cpp")
    for name, spikes in expected.spikes.items():
        assert torch.equal(spikes, found.spikes[name])
    counted = run_in_brian2(network, x, STEPS, target="cpp")
    for name, counts in expected.spike_counts.items():
        assert torch.equal(counts, counted.spike_counts[name])


@pytest.mark.parametrize("steps", [1, 2])
def test_of_few_steps_the_numbers_are_those_of_the_last(steps):
    x = images(3, 12)
    network = to_spiking(chain(), x).to(torch.float64)
    expected, found = network.run(x, steps), run_in_brian2(network, x, steps, target="numpy")
    for name, counts in expected.spike_counts.items():
        assert torch.equal(counts, found.spike_counts[name])
