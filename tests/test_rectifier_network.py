"""The network: names, initialisation, the ~50 % of zeros at rest, devices."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from neurosparse import recipes
from neurosparse.rectifier import NetworkSpec, RectifierNetwork, TrainSpec, resolve

SMALL = NetworkSpec(sizes=(784, 64, 64, 10))


def test_modules_have_stable_names() -> None:
    network = RectifierNetwork(NetworkSpec(sizes=(5, 4, 3, 2)))
    assert [name for name, _ in network.named_children()] == ["linear1", "hidden1", "linear2", "hidden2", "output"]
    assert network.layers == network.spec.layers == ("hidden1", "hidden2")
    assert list(network.state_dict()) == [
        f"{n}.{p}" for n in ("linear1", "linear2", "output") for p in ("weight", "bias")
    ]
    assert [tuple(linear.weight.shape) for linear in network.linears()] == [(4, 5), (3, 4), (2, 3)]


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("rectifier", lambda z: np.maximum(z, 0)),
        ("softplus", lambda z: np.log1p(np.exp(z))),
        ("tanh", np.tanh),
        ("sigmoid", lambda z: 1 / (1 + np.exp(-z))),
    ],
)
def test_forward_is_the_formula(activation: str, function) -> None:
    network = RectifierNetwork(NetworkSpec(sizes=(7, 6, 5, 3), activation=activation), seed=3).double()
    inputs = np.random.default_rng(0).normal(size=(4, 7))
    weights = [(linear.weight.detach().numpy(), linear.bias.detach().numpy() + 0.1) for linear in network.linears()]
    for linear in network.linears():
        linear.bias.data += 0.1
    h1 = function(inputs @ weights[0][0].T + weights[0][1])
    h2 = function(h1 @ weights[1][0].T + weights[1][1])
    scores = h2 @ weights[2][0].T + weights[2][1]
    with torch.no_grad():
        found = network.activations(torch.tensor(inputs))
        assert list(found) == ["hidden1", "hidden2", "output"]
        for value, expected in zip(found.values(), (h1, h2, scores), strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(network(torch.tensor(inputs)), found["output"])


@pytest.mark.parametrize(("activation", "gain"), [("rectifier", 1), ("tanh", 1), ("softplus", 1), ("sigmoid", 4)])
def test_glorot_initialisation_is_uniform_in_its_bound(activation: str, gain: int) -> None:
    network = RectifierNetwork(NetworkSpec(activation=activation), seed=0)
    for linear, (fan_in, fan_out) in zip(
        network.linears(), [(784, 1000), (1000, 1000), (1000, 1000), (1000, 10)], strict=True
    ):
        bound = gain * math.sqrt(6 / (fan_in + fan_out))
        weight = linear.weight.detach().double()
        assert bool((linear.bias == 0).all())
        assert 0.995 * bound < weight.abs().max() <= bound * (1 + 1e-6)
        assert abs(weight.mean()) < 4 * bound / math.sqrt(3 * weight.numel())
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)


def test_he_initialisation() -> None:
    weight = RectifierNetwork(NetworkSpec(initialisation="he2015")).linears()[1].weight.detach()
    assert weight.var().item() == pytest.approx(2 / 1000, rel=0.01)


def test_half_of_the_units_are_exactly_zero_at_rest() -> None:
    # Glorot, Bordes & Bengio 2011, section 3.2: about 50 % after a uniform initialisation
    network = RectifierNetwork(seed=0)
    inputs = torch.randn(200, 784, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for name, value in network.activations(inputs).items():
            if name != "output":
                assert float((value == 0).double().mean()) == pytest.approx(0.5, abs=0.02)


def test_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = RectifierNetwork(SMALL, seed=1).state_dict()
    torch.manual_seed(6)
    again = RectifierNetwork(SMALL, seed=1).state_dict()
    drawn = RectifierNetwork(SMALL, seed=torch.Generator().manual_seed(1)).state_dict()
    other = RectifierNetwork(SMALL, seed=2).state_dict()
    assert all(torch.equal(one[k], again[k]) and torch.equal(one[k], drawn[k]) for k in one)
    assert not torch.equal(one["linear1.weight"], other["linear1.weight"])
    torch.manual_seed(5)
    RectifierNetwork(SMALL, seed=1)
    assert torch.equal(torch.get_rng_state(), before)  # torch's global generator was not drawn from


def test_a_slice_is_a_plain_sequential() -> None:
    network = RectifierNetwork(SMALL)
    assert type(network[:2]) is nn.Sequential
    assert network[0] is network.linear1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sizes": (784, 10)}, r"a test: sizes: .* at least 3 items"),
        ({"sizes": (784, 0, 10)}, r"a test: .*greater than or equal to 1"),
        ({"activation": "relu"}, r"activation: .*'rectifier'.*got 'relu'"),
        ({"initialisation": "zeros"}, r"initialisation: .*'glorot2010'"),
        ({"widths": 3}, r"a test: unknown key 'widths'"),
    ],
)
def test_bad_network_specs_are_one_sentence(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        recipes.build(NetworkSpec, values, what="a test")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("l1", -0.1),
        ("active_threshold", -1),
        ("seed", -1),
        ("seed", 2**63),
    ],
)
def test_bad_training_specs_name_the_key(key: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"a test: {key}: "):
        recipes.build(TrainSpec, {key: value}, what="a test")


# ---- Devices --------------------------------------------------------------------------------------------------------


def test_devices_that_are_there() -> None:
    assert resolve("cpu") == torch.device("cpu")
    assert resolve(torch.device("cpu")) == torch.device("cpu")
    assert resolve("auto").type in {"cpu", "cuda", "mps"}


@pytest.mark.parametrize("name", ["tpu", "", "cuda:x", "meta", "gpu"])
def test_an_unknown_device_is_one_sentence(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^device must be auto, cpu, cuda, mps, got '{name}'$"):
        resolve(name)


def test_absent_devices_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda", "mps", "cuda:1"):
        with pytest.raises(ValueError, match=rf"^device '{name}' is not available here; use cpu, or auto$"):
            resolve(name)
    assert resolve("auto") == torch.device("cpu")


def test_accelerators_come_first_and_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve("auto") == torch.device("cuda")
    assert resolve("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ValueError, match=r"device 'cuda:2' is not available here; use cpu or cuda, or auto"):
        resolve("cuda:2")
