"""Pre-training: each step equals autograd of the paper's cost; layers are learnt in turn;
fine-tuning goes on from there.
"""

import numpy as np
import pytest
import torch
from torch import Tensor

from neurosparse import data, recipes
from neurosparse.data import ImageSet, Splits
from neurosparse.rectifier import (
    DivergenceError,
    NetworkSpec,
    RectifierNetwork,
    TrainSpec,
    pretraining,
    train,
)
from neurosparse.rectifier.network import linear_map
from neurosparse.rectifier.pretraining import denoising_step, pretrain
from neurosparse.rectifier.specs import PretrainSpec
from neurosparse.rectifier.training import error

SMALL = NetworkSpec(sizes=(784, 40, 30, 10))
QUICK = {"network": SMALL, "reconstruction": "rectifier"}
PAPERS_FOUR = ("softplus", "scaled", "linear", "rectifier")


@pytest.fixture(scope="module")
def few() -> Splits:
    digits = data.load("mnist5k")
    return Splits("few", digits.train.take(slice(None, None, 7)), digits.validation, digits.test)


# ---- The step
# --------------------------------------------------------------------------------------------------


def _papers_cost(reconstruction: str, f: Tensor, x: Tensor) -> Tensor:
    """Glorot, Bordes & Bengio 2011, section 3.2, summed over inputs, averaged over images."""
    if reconstruction == "softplus":
        cost = (x - torch.log(1 + torch.exp(f))) ** 2
    elif reconstruction == "linear":
        cost = (x - f) ** 2
    elif reconstruction == "rectifier":
        cost = (x - torch.maximum(f, torch.zeros(()).to(f))) ** 2
    else:
        sigma = 1 / (1 + torch.exp(-f))
        cost = -x * torch.log(sigma) - (1 - x) * torch.log(1 - sigma)
    return cost.sum(dim=1).mean()


CASES = [
    *((a, r, {}) for a in ("rectifier", "softplus") for r in PAPERS_FOUR),
    *((a, "cross_entropy", {}) for a in ("tanh", "sigmoid")),
    ("softplus", "softplus", {"sharpness": 3.0}),
    ("rectifier", "scaled", {"mirrored": True}),
    ("tanh", "cross_entropy", {"mirrored": True}),
]


@pytest.mark.parametrize(("activation", "reconstruction", "options"), CASES)
@pytest.mark.parametrize("l1", [0.0, 0.02])
def test_steps_equal_autograd_of_the_papers_cost(
    activation: str, reconstruction: str, options: dict, l1: float
) -> None:
    network = NetworkSpec(sizes=(9, 7, 3), activation=activation, **options)
    spec = PretrainSpec(network=network, reconstruction=reconstruction)
    generator = torch.Generator().manual_seed(0)
    both = []
    for _ in range(2):
        layer = RectifierNetwork(network, seed=1).double()
        both.append(
            (
                layer.linear1,
                layer.hidden1,
                linear_map(network, 7, 9, torch.Generator().manual_seed(2)).double(),
            )
        )
    (encoder, activate, decoder), theirs = both
    for _ in range(4):
        x = torch.rand(5, 9, generator=generator, dtype=torch.float64)
        corrupted = x * (torch.rand(5, 9, generator=generator) >= 0.25)
        h = theirs[1](theirs[0](corrupted))
        cost = _papers_cost(reconstruction, theirs[2](h), x)
        (cost + l1 * h.abs().sum(dim=1).mean()).backward()
        with torch.no_grad():
            for parameter in (*theirs[0].parameters(), *theirs[2].parameters()):
                parameter -= 0.05 * parameter.grad
                parameter.grad = None
        loss = denoising_step(
            spec, encoder, activate, decoder, corrupted, x, learning_rate=0.05, l1=l1
        )
        assert loss.item() == pytest.approx(cost.item(), rel=1e-12)
        for mine, reference in zip(
            (*encoder.parameters(), *decoder.parameters()),
            (*theirs[0].parameters(), *theirs[2].parameters()),
            strict=True,
        ):
            torch.testing.assert_close(mine, reference, rtol=1e-10, atol=1e-13)


# ---- Layer by layer
# --------------------------------------------------------------------------------------------------


def test_the_whole_loop_equals_plain_pytorch(few: Splits) -> None:
    """Two layers, drawn and trained in their order, each on what the layer below makes of
    uncorrupted images.
    """
    spec = PretrainSpec(**QUICK, epochs=2, learning_rate=0.005, seed=3)
    result = pretrain(spec, few, device="cpu")

    generator = torch.Generator().manual_seed(3)
    network = RectifierNetwork(SMALL, seed=generator)
    values = torch.tensor(few.train.images)
    for k, encoder in enumerate(network.linears()[:2]):
        decoder = linear_map(SMALL, encoder.out_features, encoder.in_features, generator)
        optimiser = torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], lr=0.005)
        for epoch in range(2):
            costs = []
            for rows in torch.randperm(len(values), generator=generator).split(10):
                x = values[rows]
                corrupted = x * (torch.rand(x.shape, generator=generator) >= 0.25)
                cost = (
                    (torch.relu(decoder(torch.relu(encoder(corrupted)))) - x).square().sum(1).mean()
                )
                optimiser.zero_grad()
                cost.backward()
                optimiser.step()
                costs.append(cost.item())
            assert result.layers[k].losses[epoch] == pytest.approx(np.mean(costs), rel=1e-3)
        with torch.no_grad():
            values = torch.relu(encoder(values))
        assert result.layers[k].active_fraction == pytest.approx(
            (values > 0).double().mean().item(), abs=1e-3
        )
        assert result.layers[k].n_alive == pytest.approx(int((values > 0).any(dim=0).sum()), abs=1)
    assert [layer.layer for layer in result.layers] == ["hidden1", "hidden2"]
    for mine, reference in zip(result.network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("corruption", [0.0, 0.25, 0.9])
def test_masking_noise_sets_that_share_to_zero(
    few: Splits, corruption: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {"n": 0, "masked": 0}

    def look(spec, encoder, activation, decoder, corrupted, targets, **_: float) -> Tensor:
        assert bool(((corrupted == 0) | (corrupted == targets)).all())
        seen["n"] += int(targets.count_nonzero())
        seen["masked"] += int(targets.count_nonzero() - corrupted.count_nonzero())
        return torch.tensor(1.0)

    monkeypatch.setattr(pretraining, "denoising_step", look)
    network = NetworkSpec(sizes=(784, 5, 10))
    pretrain(PretrainSpec(network=network, corruption=corruption, epochs=1), few, device="cpu")
    assert seen["masked"] / seen["n"] == pytest.approx(corruption, abs=0.01)


@pytest.mark.parametrize(
    ("activation", "reconstruction", "mirrored"),
    [
        *(("rectifier", r, m) for r in PAPERS_FOUR for m in (False, True)),
        ("softplus", "softplus", True),
        ("tanh", "cross_entropy", False),
        ("tanh", "cross_entropy", True),
        ("sigmoid", "cross_entropy", True),
    ],
)
def test_every_reconstruction_is_learnt(
    few: Splits, activation: str, reconstruction: str, mirrored: bool
) -> None:
    network = NetworkSpec(sizes=(784, 150, 150, 10), activation=activation, mirrored=mirrored)
    rate = 0.05 if reconstruction == "cross_entropy" else 0.001
    spec = PretrainSpec(
        network=network, reconstruction=reconstruction, epochs=4, learning_rate=rate
    )
    for layer in pretrain(spec, few, device="cpu").layers:
        assert np.isfinite(layer.losses).all()
        assert layer.losses[-1] < 0.9 * layer.losses[0]
        assert layer.n_alive > 20


@pytest.mark.parametrize(
    ("activation", "reconstruction"),
    [("rectifier", "scaled"), ("tanh", "cross_entropy"), ("sigmoid", "cross_entropy")],
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_targets_of_a_cross_entropy_are_in_its_range(
    activation: str, reconstruction: str, mirrored: bool
) -> None:
    spec = PretrainSpec(
        network=NetworkSpec(activation=activation, mirrored=mirrored), reconstruction=reconstruction
    )
    z = torch.randn(50, 9, generator=torch.Generator().manual_seed(0)) * 4
    layer = RectifierNetwork(
        NetworkSpec(sizes=(4, 9, 2), activation=activation, mirrored=mirrored)
    ).hidden1
    targets = pretraining._targets(spec, 1, layer(z))(layer(z))
    assert 0 <= targets.min() <= targets.max() <= 1
    assert targets.max() > 0.99
    if activation != "rectifier":
        assert targets.min() < 0.01


def test_layers_above_and_the_read_out_are_as_initialised_until_their_turn(few: Splits) -> None:
    spec = PretrainSpec(**QUICK, epochs=1, learning_rate=0.005, seed=4)
    result = pretrain(spec, few, device="cpu")
    initial = RectifierNetwork(SMALL, seed=4)
    assert torch.equal(result.network.output.weight, initial.output.weight)
    assert not torch.equal(result.network.linear2.weight, initial.linear2.weight)
    assert not result.network.training


def test_labels_have_no_say(few: Splits) -> None:
    train_images = few.train
    shuffled = ImageSet(train_images.images, train_images.labels[::-1].copy(), 10, (28, 28))
    others = Splits("others", shuffled, few.test, few.validation)
    spec = PretrainSpec(**QUICK, epochs=1)
    one, two = (pretrain(spec, splits, device="cpu") for splits in (few, others))
    assert all(
        torch.equal(a, b)
        for a, b in zip(one.network.parameters(), two.network.parameters(), strict=True)
    )


def test_same_spec_same_numbers(few: Splits) -> None:
    spec = PretrainSpec(**QUICK, epochs=1, seed=7)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one = pretrain(spec, few, device="cpu")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    two = pretrain(spec, few, device="cpu")
    other = pretrain(spec.model_copy(update={"seed": 8}), few, device="cpu")
    assert one.layers == two.layers != other.layers
    assert all(
        torch.equal(a, b)
        for a, b in zip(one.network.parameters(), two.network.parameters(), strict=True)
    )


def test_progress_rises_to_one(few: Splits) -> None:
    told = []
    spec = PretrainSpec(**QUICK, epochs=2)
    pretrain(spec, few, device="cpu", progress=lambda done, text: told.append((done, text)))
    parts = [done for done, _ in told]
    assert (parts, parts[-1]) == (sorted(parts), 1.0)
    assert all(len(text) <= 40 for _, text in told)
    assert {text for _, text in told[:-1]} == {
        f"hidden{k}, epoch {e}/2" for k in (1, 2) for e in (1, 2)
    }


# ---- Fine-tuning
# --------------------------------------------------------------------------------------------------


def test_fine_tuning_starts_from_it(few: Splits) -> None:
    result = pretrain(PretrainSpec(**QUICK, epochs=4, learning_rate=0.005), few, device="cpu")
    spec = TrainSpec(network=SMALL, epochs=4, learning_rate=0.1)
    tuned, plain = (
        train(spec, few, device="cpu", test=False, start=s) for s in (result.network, None)
    )
    assert tuned.history[0].validation_error == error(result.network, few.validation)
    layers = tuned.history[0].layers
    assert layers["hidden1"].active_fraction == pytest.approx(
        result.layers[0].active_fraction, abs=0.05
    )
    assert layers != plain.history[0].layers
    assert tuned.validation_error < 0.4 < tuned.history[0].validation_error


def test_pre_training_helps_tanh_where_labels_are_few() -> None:
    """Figure 4 of the paper, in small: all 3,500 digits without labels, then 100 with them."""
    digits = data.load("mnist5k")
    rows = np.concatenate([np.flatnonzero(digits.train.labels == k)[:10] for k in range(10)])
    few_labels = Splits("few labels", digits.train.take(rows), digits.validation, digits.test)
    network = NetworkSpec(sizes=(784, 100, 100, 10), activation="tanh")
    spec = TrainSpec(network=network, epochs=30, learning_rate=0.05)
    start = pretrain(
        PretrainSpec(network=network, epochs=3, learning_rate=0.05), digits, device="cpu"
    ).network
    tuned, plain = (
        train(spec, few_labels, device="cpu", test=False, start=s) for s in (start, None)
    )
    assert tuned.validation_error < plain.validation_error


# ---- Faults
# --------------------------------------------------------------------------------------------------


def test_divergence_says_where_and_what_to_do(few: Splits) -> None:
    with pytest.raises(
        DivergenceError,
        match=(
            r"^pre-training diverged in hidden1, epoch 1, step \d+: the cost is no longer finite; "
            r"use a smaller learning_rate \(it is 1e\+10\)$"
        ),
    ):
        pretrain(
            PretrainSpec(network=SMALL, reconstruction="linear", learning_rate=1e10),
            few,
            device="cpu",
        )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"reconstruction": "cross_entropy"},
            r"reconstruction must be 'softplus', 'scaled', 'linear' or 'rectifier' for",
        ),
        (
            {"network": {"activation": "tanh"}, "reconstruction": "linear"},
            r"reconstruction must be 'cross_entropy' for a network of 'tanh', got 'linear'",
        ),
        ({"corruption": 1.0}, r"corruption: .*less than 1"),
        ({"corruption": -0.1}, r"corruption: .*greater than or equal to 0"),
        ({"epochs": 0}, r"epochs: "),
        ({"learning_rate": float("nan")}, r"learning_rate: "),
        ({"tied": True}, r"unknown key 'tied'"),
    ],
)
def test_bad_specs_are_one_sentence(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        recipes.build(PretrainSpec, values, what="a test")
    assert "\n" not in str(error.value)


def test_defaults_suit_the_activation() -> None:
    costs = {
        a: PretrainSpec(network=NetworkSpec(activation=a)).cost
        for a in ("rectifier", "softplus", "tanh", "sigmoid")
    }
    assert costs == {
        "rectifier": "softplus", "softplus": "softplus", "tanh": "cross_entropy", "sigmoid": "cross_entropy"
    }  # fmt: skip


def test_networks_that_do_not_fit_the_images(few: Splits) -> None:
    with pytest.raises(
        ValueError, match=r"the first of the network's sizes must be 784 for 'few', got 100"
    ):
        pretrain(PretrainSpec(network=NetworkSpec(sizes=(100, 5, 10))), few)


# ---- Recipes
# --------------------------------------------------------------------------------------------------


def test_the_recipes_are_the_papers_pre_training() -> None:
    names = recipes.available("pretraining")
    assert "rectifier_pretraining" in names
    for name in names:
        recipe = recipes.load(name)
        spec = recipe.spec(PretrainSpec)
        assert (spec.corruption, spec.batch_size, spec.network.sizes) == (
            0.25,
            10,
            (784, 1000, 1000, 1000, 10),
        )
        dumped = spec.model_dump(exclude_unset=True)
        network = {f"network.{key}" for key in dumped.pop("network")}
        assert set(recipe.sources) == set(dumped) | network  # every value has a source


@pytest.mark.parametrize(("name", "threshold"), [("tanh", 0.5), ("softplus", 0.5)])
def test_the_papers_other_networks_are_recipes(name: str, threshold: float) -> None:
    spec = recipes.load(name).spec(TrainSpec)
    assert (spec.network.activation, spec.active_threshold, spec.l1) == (name, threshold, 0.0)
    assert spec.model_copy(
        update={"network": NetworkSpec(), "active_threshold": 0.0}
    ) == recipes.load("rectifier").spec(TrainSpec)
