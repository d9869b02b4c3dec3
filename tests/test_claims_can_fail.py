"""Every claim can fail: where its subject is mutated, its verdict turns.

The networks are made or trained on a few digits, so that a claim's verdict here says nothing of the
claim: that it holds with one subject and does not with another is all that is asked.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from neurosparse import data
from neurosparse.claims import Lab, LabSpec, examine, load, names
from neurosparse.data import Splits
from neurosparse.rectifier import DivergenceError, NetworkSpec, RectifierNetwork, TrainSpec, train

SEEDS = (1, 2, 3)
WIDTH = 32
Make = Callable[[int], RectifierNetwork]


@cache
def splits() -> Splits:
    whole = data.load("mnist5k")
    parts = (
        whole.train.take(slice(None, None, 8)),
        *(p.take(slice(None, None, 5)) for p in (whole.validation, whole.test)),
    )
    return Splits(whole.name, *parts)


SIZES = (784, WIDTH, WIDTH, WIDTH, 10)


def untrained(seed: int, activation: str = "rectifier", width: int = WIDTH) -> RectifierNetwork:
    spec = NetworkSpec(sizes=(784, width, width, width, 10), activation=activation)
    return RectifierNetwork(spec, seed=seed).eval()


@cache
def _trained(seed: int) -> RectifierNetwork:
    spec = TrainSpec(network=NetworkSpec(sizes=SIZES), epochs=8, learning_rate=0.1, seed=seed)
    return train(spec, splits(), device="cpu", test=False).network.eval()


def trained(seed: int) -> RectifierNetwork:
    return copy.deepcopy(_trained(seed))


def untrained_tanh(seed: int) -> RectifierNetwork:
    return untrained(seed, "tanh")


def untrained_softplus(seed: int) -> RectifierNetwork:
    return untrained(seed, "softplus")


@torch.no_grad()
def changed(make: Make, edit: Callable[[RectifierNetwork], object]) -> Make:
    """The networks of `make`, edited."""

    def edited(seed: int) -> RectifierNetwork:
        network = make(seed)
        with torch.no_grad():
            edit(network)
        return network

    return edited


def silence(share: float) -> Callable[[RectifierNetwork], None]:
    """Edit: so many of the units of each hidden layer never fire."""

    def edit(network: RectifierNetwork) -> None:
        for linear in network.linears()[:-1]:
            linear.bias[: round(share * len(linear.bias))] = -1e3

    return edit


def no_unit_is_silent(network: RectifierNetwork) -> None:
    for linear in network.linears()[:-1]:
        linear.weight.abs_()
        linear.bias.fill_(1.0)


def counts_ink(sign: float) -> Callable[[RectifierNetwork], None]:
    """Edit: the more ink an image has, the more units (sign 1) or the fewer (-1) are active."""
    steps = torch.linspace(20, 160, WIDTH)

    def edit(network: RectifierNetwork) -> None:
        first, *others, _ = network.linears()
        first.weight.fill_(sign)
        first.bias.copy_(-sign * steps)
        for linear in others:
            linear.weight.copy_(torch.eye(WIDTH))
            linear.bias.zero_()

    return edit


def sees_only(n_units: int) -> Callable[[RectifierNetwork], None]:
    """Edit: the first layer has so many different units, and the others are silent."""

    def edit(network: RectifierNetwork) -> None:
        network.linears()[0].weight[n_units:] = 0.0
        network.linears()[0].bias[n_units:] = 0.0

    return edit


def says_one_thing(network: RectifierNetwork) -> None:
    output = network.linears()[-1]
    output.weight.zero_()
    output.bias[0] = 1.0


def rests_on_a_pair(network: RectifierNetwork) -> None:
    """Edit: two units of the last layer cancel, and without one of them all is lost."""
    last, output = network.linears()[-2:]
    last.weight[:2], last.bias[:2] = 0.0, 1.0
    output.weight[:, :2] = 0.0
    output.weight[0, 0], output.weight[0, 1] = 1000.0, -1000.0


def revive(network: RectifierNetwork) -> None:
    """Edit: units that no training image activates are active for each, a little."""
    values = network.activations(torch.tensor(splits().train.images))
    for linear, name in zip(network.linears(), network.layers, strict=False):
        dead = (values[name] == 0).all(dim=0)
        linear.weight[dead], linear.bias[dead] = 0.0, 1e-6


class Made(Lab):
    """A lab whose trained networks are given; those that are not are as they start."""

    __slots__ = ("made",)

    def network(self, arm: str, seed: int) -> RectifierNetwork:
        return self.made.get(arm, untrained)(seed)


def finding(number: int, tmp_path, made: dict[str, Make] | None = None, width: int = WIDTH):
    lab = Made(LabSpec(width=width), splits(), tmp_path)
    object.__setattr__(lab, "made", made or {})
    module = load(number)
    return examine(number, module.CLAIM, [module.measure(lab, seed) for seed in SEEDS])


def swapped(made: dict[str, Make], first: str, second: str) -> dict[str, Make]:
    return made | {first: made[second], second: made[first]}


mostly_silent = changed(trained, silence(0.7))
LEARNS = {"rectifier": trained, "tanh": untrained_tanh, "softplus": untrained_softplus}
PRETRAINING = {
    "rectifier": trained,
    "pretrained": trained,
    "few_labels": untrained,
    "pretrained_few_labels": trained,
}
CAPACITY = {
    "rectifier": trained,
    "rectifier_l1": untrained,
    "zeros_85": trained,
    "zeros_96": untrained,
    "zeros_98": untrained,
}
BEST = {**CAPACITY, "rectifier": changed(trained, silence(0.3)), "zeros_85": untrained}
SEPARABLE = {
    "rectifier_l1": trained,
    "rectifier": changed(trained, sees_only(3)),
    "tanh": changed(untrained_tanh, sees_only(3)),
}
# claim: networks with which it holds, and mutated ones
NETWORKS: dict[int, tuple[dict[str, Make], dict[str, Make]]] = {
    4: (LEARNS, swapped(LEARNS, "rectifier", "tanh")),
    5: (LEARNS, swapped(LEARNS, "rectifier", "softplus")),
    6: (PRETRAINING, PRETRAINING | {"pretrained": untrained}),
    7: (CAPACITY, CAPACITY | {"zeros_85": untrained}),
    8: (
        {"rectifier_l1": changed(trained, silence(0.95)), "tanh": untrained_tanh},
        {"rectifier_l1": untrained_tanh, "tanh": changed(trained, silence(0.95))},
    ),
    9: (
        {"rectifier_l1": changed(untrained, counts_ink(1.0))},
        {"rectifier_l1": changed(untrained, counts_ink(-1.0))},
    ),
    10: (SEPARABLE, SEPARABLE | {"rectifier": trained}),  # the control is the network itself
    11: (
        {"rectifier_l1": changed(trained, says_one_thing), "tanh": untrained_tanh},
        {"rectifier_l1": changed(trained, rests_on_a_pair), "tanh": untrained_tanh},
    ),
    12: (
        {"rectifier_l1": mostly_silent, "tanh": untrained_tanh},
        {"rectifier_l1": untrained_tanh, "tanh": mostly_silent},
    ),
    15: (
        {"rectifier_l1": trained, "tanh": untrained_tanh},
        {"rectifier_l1": untrained_tanh, "tanh": untrained_tanh},
    ),
    16: (
        LEARNS | {"rectifier": changed(trained, revive)},
        LEARNS | {"rectifier": changed(trained, silence(0.5))},
    ),
    18: (BEST, swapped(BEST, "rectifier", "zeros_96")),
}


def test_each_claim_has_a_test_here() -> None:
    by_name = re.findall(r"^def test_(\d+)_", Path(__file__).read_text(), re.MULTILINE)
    assert {*NETWORKS, *map(int, by_name)} == set(names())


@pytest.mark.parametrize("number", NETWORKS)
def test_the_verdict_turns_with_the_networks(number, tmp_path) -> None:
    with_it, without = NETWORKS[number]
    assert finding(number, tmp_path, with_it).verdict == "holds"
    assert finding(number, tmp_path, without).verdict == "does not hold here"


def test_1_a_neuron_that_answers_on_both_sides(tmp_path, monkeypatch) -> None:
    assert finding(1, tmp_path).verdict == "holds"
    monkeypatch.setattr(load(1), "rate", lambda current, cell: np.tanh(current))
    assert finding(1, tmp_path).verdict == "does not hold here"


def test_2_weights_that_are_not_small(tmp_path, monkeypatch) -> None:
    assert finding(2, tmp_path).verdict == "holds"
    monkeypatch.setattr(load(2), "SMALL", 1.0)
    assert finding(2, tmp_path).verdict == "does not hold here"


def test_2_saturated_units_are_above_half_as_often_and_not_at_half(tmp_path, monkeypatch) -> None:

    def saturated(lab: Lab, seed: int, **settings: str) -> RectifierNetwork:
        network = untrained(seed, settings["activation"])
        with torch.no_grad():
            for linear in network.linears():
                linear.weight.mul_(1000.0)
        return network

    monkeypatch.setattr(Lab, "untrained", saturated)
    assert finding(2, tmp_path).verdict == "does not hold here"


def test_2_units_that_are_low_are_not_at_half(tmp_path, monkeypatch) -> None:
    def low(lab: Lab, seed: int, **settings: str) -> RectifierNetwork:
        network = untrained(seed, settings["activation"])
        with torch.no_grad():
            for linear in network.linears():
                linear.bias.fill_(-3.0)
        return network

    monkeypatch.setattr(Lab, "untrained", low)
    assert finding(2, tmp_path).verdict == "does not hold here"


def test_3_l1_that_wakes_units(tmp_path) -> None:
    made = {"rectifier": trained, "rectifier_l1": mostly_silent}
    assert [effect.verdict for effect in finding(3, tmp_path, made, 300).effects] == ["holds"] * 2
    found = finding(3, tmp_path, swapped(made, "rectifier", "rectifier_l1"), 300)
    assert found.verdict == "does not hold here"


def test_13_units_that_are_all_active_leave_nothing_out(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(load(13), "N_IMAGES", 5)
    monkeypatch.setattr(load(13), "N_ROUNDS", 1)
    dark = splits()
    grey = replace(dark.test, images=np.maximum(dark.test.images, 0.01))  # no pixel is 0

    def work(make: Make) -> str:
        return finding(13, tmp_path, {"rectifier_l1": make}).effects[1].verdict

    assert work(mostly_silent) == "holds"
    monkeypatch.setattr("test_claims_can_fail.splits", lambda: replace(dark, test=grey))
    assert work(changed(trained, no_unit_is_silent)) == "does not hold here"


def test_14_a_rectifier_in_whose_place_a_sigmoid_stands(tmp_path, monkeypatch) -> None:
    module = load(14)
    monkeypatch.setattr(module, "DEPTHS", (20,))
    kept = [effect.verdict for effect in finding(14, tmp_path).effects]
    assert kept[2] == "holds"  # more than the sigmoid
    monkeypatch.setitem(module._KINDS, "rectifier", module._KINDS["sigmoid"])
    assert finding(14, tmp_path).verdict == "does not hold here"


def trains_up_to(doublings: dict[float, float]):
    """A training that diverges beyond so many doublings of the first learning rate, by L1."""

    def fake(spec: TrainSpec, *_: object, **__: object) -> None:
        if spec.learning_rate > 0.1 * 2 ** doublings[spec.l1] * (1 + 1e-9):
            raise DivergenceError("diverged")

    return fake


def test_17_l1_that_prevents_nothing_and_half_of_a_step(tmp_path, monkeypatch) -> None:
    larger = changed(trained, lambda network: network.linears()[0].weight.mul_(50.0))
    made = {"rectifier": larger, "rectifier_l1": trained}
    module = load(17)
    for with_l1, verdict in (
        (3.0, "does not hold here"),
        (3.375, "does not hold here"),  # a grid of whole doublings would say 0
        (3.625, "holds"),  # or would say 0 again
        (5.0, "holds"),
    ):
        monkeypatch.setattr(module, "train", trains_up_to({0.001: with_l1, 0.0: 3.0}))
        assert finding(17, tmp_path, made).verdict == verdict


@pytest.mark.parametrize("limit", [-8.0, -7.0, -3.3, -0.1, 0.0, 0.4, 2.3, 6.99, 7.0, 50.0])
def test_17_the_search_ends_within_an_eighth(limit) -> None:
    found = load(17).last_finite(lambda exponent: exponent <= limit)
    assert abs(found - min(max(limit, -7.0), 7.0)) <= 1 / 8
