"""The network: names, initialisation, the ~50 % of zeros at rest, mirrored units, rescaling,
devices.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from neurosparse import ActiveWhen, data, recipes
from neurosparse.data import Splits
from neurosparse.rectifier import NetworkSpec, RectifierNetwork, TrainSpec, record, resolve, train
from neurosparse.rectifier.network import folded, mirror, rescaled
from neurosparse.rectifier.steps import sgd_step

SMALL = NetworkSpec(sizes=(784, 64, 64, 10))


def test_modules_have_stable_names() -> None:
    network = RectifierNetwork(NetworkSpec(sizes=(5, 4, 3, 2)))
    assert [name for name, _ in network.named_children()] == [
        "linear1",
        "hidden1",
        "linear2",
        "hidden2",
        "output",
    ]
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
    network = RectifierNetwork(
        NetworkSpec(sizes=(7, 6, 5, 3), activation=activation), seed=3
    ).double()
    inputs = np.random.default_rng(0).normal(size=(4, 7))
    weights = [
        (linear.weight.detach().numpy(), linear.bias.detach().numpy() + 0.1)
        for linear in network.linears()
    ]
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


@pytest.mark.parametrize(
    ("activation", "gain"), [("rectifier", 1), ("tanh", 1), ("softplus", 1), ("sigmoid", 4)]
)
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


def test_lecun_initialisation() -> None:
    weight = RectifierNetwork(NetworkSpec(initialisation="lecun1998")).linears()[1].weight.detach()
    assert weight.var().item() == pytest.approx(1 / 1000, rel=0.01)
    assert weight.abs().max() <= math.sqrt(3 / 1000) * (1 + 1e-6)


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
        ({"sharpness": 0.0, "activation": "softplus"}, r"sharpness: .*greater than 0"),
        ({"sharpness": 2.0}, r"a test: sharpness is of the softplus alone, got 2 for 'rectifier'"),
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


# ---- The paper's other units, mirrored units, rescaling
# --------------------------------------------------------------------------------------------------


def _with_biases(spec: NetworkSpec, seed: int = 0) -> RectifierNetwork:
    network = RectifierNetwork(spec, seed=seed).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for linear in network.linears():
            linear.bias.uniform_(-0.5, 0.5, generator=generator)
    return network


@given(st.floats(0.2, 50), st.floats(-30, 30))
def test_sharp_softplus_is_the_formula_and_tends_to_the_rectifier(
    sharpness: float, z: float
) -> None:
    spec = NetworkSpec(sizes=(1, 1, 2), activation="softplus", sharpness=sharpness)
    value = RectifierNetwork(spec).hidden1(torch.tensor([z], dtype=torch.float64)).item()
    assert value == pytest.approx(np.logaddexp(0, sharpness * z) / sharpness, rel=1e-8, abs=1e-12)
    assert 0 <= value - max(0, z) <= math.log(2) / sharpness + 1e-12


@pytest.mark.parametrize("activation", ["rectifier", "softplus", "tanh", "sigmoid"])
def test_mirrored_units_fold_exactly_into_the_outgoing_weights(activation: str) -> None:
    spec = NetworkSpec(sizes=(20, 13, 8, 5), activation=activation, mirrored=True)
    network = _with_biases(spec).float().eval()
    before = [p.detach().clone() for p in network.parameters()]
    inputs = torch.randn(50, 20, generator=torch.Generator().manual_seed(1))
    plain = folded(network)
    with torch.no_grad():
        signed, magnitudes = network.activations(inputs), plain.activations(inputs)
        assert torch.equal(signed["output"], magnitudes["output"])  # to the bit: signs do not round
        for name, n_positive in (("hidden1", 7), ("hidden2", 4)):
            assert torch.equal(signed[name][:, :n_positive], magnitudes[name][:, :n_positive])
            assert torch.equal(signed[name][:, n_positive:], -magnitudes[name][:, n_positive:])
    assert not plain.spec.mirrored
    assert all(torch.equal(p, old) for p, old in zip(network.parameters(), before, strict=True))
    assert list(plain.state_dict()) == list(network.state_dict())
    with pytest.raises(ValueError, match="the network is not mirrored: there is nothing to fold"):
        folded(plain)


def test_the_signs_of_mirrored_units() -> None:
    assert mirror(5).tolist() == [1, 1, 1, -1, -1]
    assert mirror(4).tolist() == [1, 1, -1, -1]
    network = RectifierNetwork(NetworkSpec(sizes=(4, 6, 2), mirrored=True))
    # who knows plain rectifiers alone must not take it for one
    assert type(network.hidden1) is not nn.ReLU
    assert network.double().hidden1.sign.dtype == torch.float64  # it goes where the network goes


def test_mirrored_layers_are_probed_by_their_names() -> None:
    network = RectifierNetwork(NetworkSpec(sizes=(4, 6, 6, 2), mirrored=True))
    inputs = torch.randn(30, 4, generator=torch.Generator().manual_seed(2))
    signed, plain = (record(n, inputs, ActiveWhen(threshold=0)) for n in (network, folded(network)))
    assert list(signed) == ["hidden1", "hidden2"]
    for name in signed:
        np.testing.assert_array_equal(signed[name].active_count, plain[name].active_count)


@given(st.lists(st.floats(0.05, 20), min_size=4, max_size=4), st.booleans())
def test_rescaling_divides_the_output_by_the_product_and_keeps_the_zeros(
    factors: list[float], mirrored: bool
) -> None:
    # Glorot, Bordes & Bengio 2011, section 3.2: W_i / a_i, b_i / (a_1 ... a_i)
    network = _with_biases(NetworkSpec(sizes=(6, 9, 8, 7, 3), mirrored=mirrored), seed=4)
    inputs = torch.randn(20, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    other = rescaled(network, factors)
    with torch.no_grad():
        old, new = network.activations(inputs), other.activations(inputs)
        product = 1.0
        for (name, value), factor in zip(old.items(), factors, strict=True):
            product *= factor
            torch.testing.assert_close(new[name] * product, value, rtol=1e-10, atol=1e-12)
            if name != "output":
                assert torch.equal(new[name] == 0, value == 0)
    same = rescaled(network, [*factors[:3], 1 / math.prod(factors[:3])])
    with torch.no_grad():
        torch.testing.assert_close(same(inputs), network(inputs), rtol=1e-10, atol=1e-12)


def test_rescaling_changes_the_l1_of_the_activations_and_not_the_network_given() -> None:
    network = _with_biases(NetworkSpec(sizes=(6, 9, 8, 3)))
    before = [p.detach().clone() for p in network.parameters()]
    inputs = torch.randn(20, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    with torch.no_grad():
        sums = [
            n.activations(inputs)["hidden1"].sum().item()
            for n in (network, rescaled(network, [2.0, 0.5, 1.0]))
        ]
    assert sums[1] == pytest.approx(sums[0] / 2, rel=1e-12)
    assert all(torch.equal(p, old) for p, old in zip(network.parameters(), before, strict=True))


def test_what_cannot_be_rescaled() -> None:
    with pytest.raises(ValueError, match=r"only rectifiers can be rescaled, .*got 'softplus'"):
        rescaled(RectifierNetwork(NetworkSpec(sizes=(4, 3, 2), activation="softplus")), [1, 1])
    network = RectifierNetwork(NetworkSpec(sizes=(4, 3, 2)))
    with pytest.raises(ValueError, match=r"factors must be one for each of 2 linear maps, got 3"):
        rescaled(network, [1, 1, 1])
    for bad in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=r"factors\[1\] must be"):
            rescaled(network, [1.0, bad])


VARIANTS = [
    {"activation": "softplus", "sharpness": 3.0},
    {"activation": "softplus", "sharpness": 6.0, "mirrored": True},
    *({"activation": a, "mirrored": True} for a in ("rectifier", "softplus", "tanh", "sigmoid")),
]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("sizes", [(12, 9, 5), (12, 9, 8, 7, 7, 6, 5)])
def test_the_hand_written_step_equals_autograd_for_every_unit_and_depth(
    variant: dict, sizes: tuple
) -> None:
    spec = NetworkSpec(sizes=sizes, **variant)
    ours, theirs = _with_biases(spec, seed=1), _with_biases(spec, seed=1)
    generator = torch.Generator().manual_seed(0)
    for l1 in (0.0, 0.01, 0.01):
        x = torch.randn(10, 12, generator=generator, dtype=torch.float64)
        y = torch.randint(0, 5, (10,), generator=generator)
        values = theirs.activations(x)
        loss = nn.functional.cross_entropy(values.pop("output"), y)
        (loss + l1 * sum(value.abs().sum(dim=1).mean() for value in values.values())).backward()
        with torch.no_grad():
            for parameter in theirs.parameters():
                parameter -= 0.3 * parameter.grad
                parameter.grad = None
        assert sgd_step(ours, x, y, learning_rate=0.3, l1=l1).item() == pytest.approx(
            loss.item(), rel=1e-12
        )
        for mine, reference in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(mine, reference, rtol=1e-10, atol=1e-13)


def test_a_mirrored_network_trains_in_torch_and_says_so() -> None:
    digits = data.load("mnist5k")
    few = Splits("few", digits.train.take(slice(None, None, 10)), digits.validation, digits.test)
    network = NetworkSpec(sizes=(784, 32, 32, 10), mirrored=True)
    result = train(
        TrainSpec(network=network, epochs=4, learning_rate=0.1), few, device="cpu", test=False
    )
    assert (result.engine, result.engine_note) == ("torch", "hidden1 is MirroredReLU, not ReLU")
    assert result.validation_error < 0.3 < result.history[0].validation_error


# ---- Devices
# --------------------------------------------------------------------------------------------------


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
        with pytest.raises(
            ValueError, match=rf"^device '{name}' is not available here; use cpu, or auto$"
        ):
            resolve(name)
    assert resolve("auto") == torch.device("cpu")


def test_accelerators_come_first_and_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve("auto") == torch.device("cuda")
    assert resolve("cuda:1") == torch.device("cuda:1")
    with pytest.raises(
        ValueError, match=r"device 'cuda:2' is not available here; use cpu or cuda, or auto"
    ):
        resolve("cuda:2")
