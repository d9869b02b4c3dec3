"""The report of a conversion: operations counted by hand, energies by hand, agreement of a network
that cannot err.
"""

import json
import re

import numpy as np
import pytest
import torch
from torch import nn

import neurosparse as ns
from neurosparse.convert import costs
from neurosparse.convert.costs import Operations, devices, energy, traffic
from neurosparse.convert.network import to_spiking
from neurosparse.convert.neurons import NeuronSpec
from neurosparse.convert.rate import to_rate
from neurosparse.convert.verification import spike_trains, verify
from neurosparse.data import ImageSet


def linear(weight: list[list[float]], bias: list[float] | None = None) -> nn.Linear:
    module = nn.Linear(len(weight[0]), len(weight))
    module.weight.data, module.bias.data = (
        torch.tensor(weight),
        torch.tensor(bias or [0.0] * len(weight)),
    )
    return module


@pytest.fixture
def by_hand() -> nn.Sequential:
    """Two inputs, three rectifiers, two outputs; with weights of 1 its activations are the spikes
    over the steps.
    """
    return nn.Sequential(
        linear([[0.5, 0.0], [0.0, 0.5], [-1.0, -1.0]]),
        nn.ReLU(),
        linear([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
    )


X = torch.tensor([[1.0, 0.0], [0.5, 1.0], [0.25, 0.5], [1.0, 0.5]])


def test_operations_are_those_counted_by_hand(by_hand):
    spiking = to_spiking(by_hand, X, normalisation="none")
    report = verify(spiking, X, steps=8)
    found = report.operations
    assert found.dense == 2 * 3 + 3 * 2
    # inputs that are not 0, to three units each
    assert found.input == pytest.approx(3 * (1 + 2 + 2 + 2) / 4)
    # and active rectifiers, to two
    assert found.active == pytest.approx(found.input + 2 * (1 + 2 + 2 + 2) / 4)
    spikes = 8 * float(X.sum()) / 2 / 4  # all quarters, and 8 steps hold them without rest
    assert report.spikes == pytest.approx(spikes)
    assert found.synaptic == pytest.approx(2 * spikes)
    assert found.updates == 3 * 8


def test_rates_that_are_exact_have_no_error_and_agree(by_hand):
    report = verify(to_spiking(by_hand, X, normalisation="none"), X, labels=[0, 1, 1, 0], steps=8)
    assert report.layers[0].error == pytest.approx(0, abs=1e-6)
    assert report.curve[-1].agreement == report.curve[-1].accuracy == report.source_accuracy == 1
    assert [at.steps for at in report.curve] == [1, 2, 4, 8]


def test_the_worst_unit_is_named():
    model = nn.Sequential(linear([[1.0, 0.0], [0.0, 1.0]]), nn.ReLU(), linear([[1.0, 1.0]]))
    report = verify(
        to_spiking(model, X, normalisation="none"), torch.tensor([[0.5, 0.2], [0.5, 0.2]]), steps=2
    )
    (layer,) = report.layers
    assert layer.worst_unit == (1,)
    # 0.5 + 2 x 0.2 does not reach the threshold: silent
    assert layer.worst_error == pytest.approx(0.2)
    assert layer.error == pytest.approx(0.2 / 0.7)
    assert (layer.active_per_step, layer.active_per_inference, layer.spikes) == (0.25, 0.5, 1)
    assert layer.rate_hz == pytest.approx(250)  # a spike in one of two neurons in 2 ms


def test_fewest_steps_hold_for_all_steps_that_follow():
    report = verify(
        to_spiking(
            nn.Sequential(
                linear([[1.0, 0.0], [0.0, 1.0]]), nn.ReLU(), linear([[1.0, 0.0], [0.0, 1.0]])
            ),
            X,
        ),
        X,
        steps=8,
    )
    at = [costs_at.steps for costs_at in report.curve if costs_at.agreement == 1]
    assert report.fewest_steps == min(at)
    worse = [type(c)(c.steps, 0.5 if c.steps == 4 else 1.0, None) for c in report.curve]
    object.__setattr__(report, "curve", tuple(worse))
    assert report.fewest_steps == 8
    object.__setattr__(report, "curve", tuple(type(c)(c.steps, 0.9, None) for c in worse))
    assert report.fewest_steps is None


def test_energies_and_break_even_by_hand():
    operations = Operations(dense=1000, active=100, input=50, synaptic=2000, updates=300, steps=10)
    found = energy(operations, devices()["float32_45nm"])
    assert found.dense_nJ == pytest.approx(4.6)
    assert found.active_nJ == pytest.approx(0.46)
    assert found.spiking_nJ == pytest.approx((50 * 4.6 + 2300 * 0.9) * 1e-3)
    at_break_even = Operations(
        1000, 100, 50, 2000 * found.break_even_steps / 10, 30 * found.break_even_steps, 10
    )
    assert energy(at_break_even, devices()["float32_45nm"]).spiking_nJ == pytest.approx(4.6)
    loihi = energy(operations, devices()["loihi"])
    assert loihi.spiking_nJ == pytest.approx((2050 * 23.6 + 300 * 81) * 1e-3)
    assert loihi.dense_nJ == found.dense_nJ  # there is no dense network on Loihi
    assert loihi.break_even_active_steps == 0
    assert "costs more at any number of steps" in loihi.sentence()


@pytest.mark.parametrize(
    ("break_even", "said"),
    [
        (24.52, "it costs less up to 24 steps."),
        (24.0, "it costs less up to 23 steps."),  # at 24 it costs the same
        (1.5, "it costs less up to 1 step."),
        (1.0, "it costs more at any number of steps."),
        (1234.5, "it costs less up to 1,234 steps."),
    ],
)
def test_break_even_is_rounded_to_steps_that_cost_less(break_even, said):
    found = costs.Energy(devices()["loihi"], 10.0, 25.0, 3256.0, break_even, 0.0)
    assert found.sentence() == (
        "Loihi, 14 nm: an inference takes 3,260 nJ. That is 326 times the energy of the dense"
        f" network; {said} That is 130 times the energy of the network without its zeros; it costs"
        " more at any number of steps."
    )


def test_every_device_has_a_source_and_a_trust():
    for device in devices().values():
        assert device.source
        assert device.note
        assert device.trust in "ABC"


def test_traffic_of_convolutions_pooling_and_branches_is_that_of_enumeration():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.out = (
                nn.Conv2d(1, 3, 3, padding=1),
                nn.Conv2d(3, 3, 3, padding=1, groups=3),
                nn.Linear(12, 2),
            )

        def forward(self, x):
            x = torch.relu(self.a(x))
            return self.out(nn.functional.avg_pool2d(torch.relu(self.b(x) + x), 2).flatten(1))

    torch.manual_seed(0)
    spiking = to_spiking(Net(), torch.rand(20, 1, 4, 4))
    graph = spiking.graph
    first, second = graph.spikes
    silent = {layer.name: torch.zeros(1, *layer.shape) for layer in (graph.input, first, second)}

    def reached(name: str, place: tuple[int, ...]) -> float:
        events = {**silent, name: silent[name].clone()}
        events[name][(0, *place)] = 1
        return float(traffic(graph, events).sum())

    assert reached(graph.input.name, (0, 0, 0)) == 3 * 4  # a corner: four places of three channels
    assert reached(graph.input.name, (0, 1, 1)) == 3 * 9
    # one group; the branch past it is no weighted connection
    assert reached(first.name, (1, 0, 0)) == 4
    assert reached(second.name, (2, 3, 3)) == 2  # through the pool to both outputs


def test_spike_trains_hold_every_spike_of_every_layer():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    x = torch.rand(7, 4)
    spiking = to_spiking(model, x, NeuronSpec(dt_ms=0.5))
    run = spiking.run(x, 12, record_spikes=True)
    spikes = spike_trains(run)
    assert (spikes.n_units, spikes.duration_ms, spikes.dt_ms) == (11, 7 * 12 * 0.5, 0.5)
    for name, counts in run.spike_counts.items():
        assert np.array_equal(spikes.population(name).counts, counts.sum(0).numpy())
        third = spikes.population(name).between(2 * 6.0, 3 * 6.0)
        assert np.array_equal(third.counts, counts[2].numpy())
    with pytest.raises(ValueError, match="record_spikes=True"):
        spike_trains(spiking.run(x, 12))


@pytest.fixture(scope="module")
def report():
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Linear(9, 30), nn.ReLU(), nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 3)
    )
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(300, 9, generator=generator)
    test = ImageSet(images.numpy(), model(images).argmax(1).numpy(), 3, (3, 3))
    return verify(to_spiking(model, images), test, steps=20, name="small")


def test_labels_come_with_an_image_set(report):
    assert report.source_accuracy == 1
    assert report.n_inputs == 300
    assert [at.steps for at in report.curve] == [1, 2, 4, 8, 16, 20]


def test_it_stands_in_a_comparison(report):
    comparison = ns.compare(report.spiking, report.source)
    assert comparison.equivalent_window_ms["small, source"].keys() == {"small"}
    per_step = (
        sum(layer.active_per_step * layer.n_units for layer in report.layers) / report.n_units
    )
    # of 25 inputs, and of all
    assert report.spiking.active_fraction == pytest.approx(per_step, rel=0.1)
    assert report.spiking.n_units == report.source.n_units == 50


def test_table_sentences_and_json(report, tmp_path):
    text = report.table()
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"\de[+-]\d", text) is None  # no powers of ten
    assert "Break-even: up to so many steps" in text
    assert "1 and 4 % of the neurons spike in less than a step of 1 ms" in " ".join(
        report.sentences()
    )
    report.save(tmp_path / "conversion.json")
    read = json.loads((tmp_path / "conversion.json").read_text())
    assert read["format"] == "neurosparse.conversion"
    assert read["layers"][0]["worst_unit"] == list(report.layers[0].worst_unit)
    assert read["energies"][0]["device"]["source"].startswith("Horowitz")


def test_rates_that_bend_are_said_with_the_remedy(by_hand):
    bent = verify(to_spiking(by_hand, X, NeuronSpec(kind="lif", t_ref_ms=2.0)), X, steps=8)
    assert "bend away from a rectifier by 5.6 % of the highest" in bent.sentences()[1]
    assert "tune(to_rate(spiking), images, labels).spiking()" in bent.sentences()[1]
    for straight in (
        to_spiking(by_hand, X),
        to_rate(to_spiking(by_hand, X, NeuronSpec(t_ref_ms=2.0))).spiking(),
    ):
        report = verify(straight, X, steps=8)
        assert report.bend == pytest.approx(0, abs=1e-12)
        assert "bend away" not in " ".join(report.sentences())


def test_the_rates_that_a_network_was_trained_as_are_what_its_spikes_are_compared_with(by_hand):
    again = to_rate(to_spiking(by_hand, X, NeuronSpec(max_rate_hz=100.0))).spiking()
    assert verify(again, X, steps=2000).layers[0].error < 0.01


def test_poisson_input_counts_as_spikes(by_hand):
    report = verify(to_spiking(by_hand, X, normalisation="none"), X, steps=200, coding="poisson")
    assert report.operations.input == 0
    into = 200 * float(X.sum()) / 4 * 3
    assert report.operations.synaptic == pytest.approx(into + 2 * report.spikes)


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ([0, 1], r"labels must be 4 whole numbers, one an input, got shape \(2,\)"),
        ([0.5] * 4, "whole numbers"),
    ],
)
def test_labels_that_do_not_fit_are_refused(by_hand, labels, match):
    with pytest.raises(ValueError, match=match):
        verify(to_spiking(by_hand, X), X, labels=labels)


def test_costs_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="accumulate_pJ must be > 0, got 0"):
        costs.Device("x", "x", "x", 0.0, 1.0, "A", "")
