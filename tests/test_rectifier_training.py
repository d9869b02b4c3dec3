"""Training: the step equals autograd with torch.optim.SGD, L1 by hand, the same numbers again,
faults in one sentence.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from neurosparse import ActiveWhen, data, recipes
from neurosparse.data import ImageSet, Splits
from neurosparse.data.augmentation import augmented
from neurosparse.rectifier import (
    AugmentationSpec,
    DivergenceError,
    Epoch,
    NetworkSpec,
    RectifierNetwork,
    TrainSpec,
    record,
    train,
    train_many,
)
from neurosparse.rectifier.steps import TorchEngine, sgd_step
from neurosparse.rectifier.training import check_fit, error
from neurosparse.sparsity import describe_activations

ACTIVATIONS = ("rectifier", "softplus", "tanh", "sigmoid")
SMALL = NetworkSpec(sizes=(784, 64, 64, 10))


@pytest.fixture(scope="module")
def splits() -> Splits:
    """300 / 100 / 100 digits, 10 of each class in every 100."""
    digits = data.load("mnist5k")

    def some(part: ImageSet, per_class: int) -> ImageSet:
        return part.take(
            np.concatenate([np.flatnonzero(part.labels == k)[:per_class] for k in range(10)])
        )

    return Splits(
        "digits", some(digits.train, 30), some(digits.validation, 10), some(digits.test, 10)
    )


# ---- The step
# --------------------------------------------------------------------------------------------------


def _reference_loss(
    network: RectifierNetwork, x: torch.Tensor, y: torch.Tensor, l1: float
) -> torch.Tensor:
    """The loss as the spec states it: mean over images of NLL + l1 * sum over units of all hidden
    layers of abs(activation).
    """
    values = network.activations(x)
    nll = nn.functional.cross_entropy(values.pop("output"), y)
    return nll + l1 * sum(value.abs().sum(dim=1).mean() for value in values.values())


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("l1", [0.0, 0.01])
@pytest.mark.parametrize("n", [1, 10])
def test_steps_equal_autograd_and_torch_sgd(activation: str, l1: float, n: int) -> None:
    spec = NetworkSpec(sizes=(12, 9, 8, 7, 5), activation=activation)
    ours, theirs = RectifierNetwork(spec, seed=1).double(), RectifierNetwork(spec, seed=1).double()
    optimiser = torch.optim.SGD(theirs.parameters(), lr=0.3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        x = torch.randn(n, 12, generator=generator, dtype=torch.float64)
        y = torch.randint(0, 5, (n,), generator=generator)
        expected = nn.functional.cross_entropy(theirs(x), y)
        optimiser.zero_grad()
        _reference_loss(theirs, x, y, l1).backward()
        optimiser.step()
        loss = sgd_step(ours, x, y, learning_rate=0.3, l1=l1)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
        for mine, reference in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(mine, reference, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_steps_equal_autograd_in_float32_at_the_papers_size(activation: str) -> None:
    spec = NetworkSpec(activation=activation)
    network = RectifierNetwork(spec, seed=0)
    x = torch.rand(10, 784, generator=torch.Generator().manual_seed(1))
    y = torch.arange(10)
    before = [p.detach().clone() for p in network.parameters()]
    _reference_loss(network, x, y, 0.001).backward()
    gradients = [p.grad.clone() for p in network.parameters()]
    sgd_step(network, x, y, learning_rate=0.1, l1=0.001)
    for old, new, gradient in zip(before, network.parameters(), gradients, strict=True):
        torch.testing.assert_close((old - new.detach()) / 0.1, gradient, rtol=1e-3, atol=2e-6)


def test_l1_by_hand() -> None:
    # One input of 1, two units with z = (2, -1), two images alike: only the first unit is active,
    # and its weight's gradient from the penalty is l1 * mean over images of 1 * x = l1. Symmetric
    # output weights give no gradient from the likelihood.
    network = RectifierNetwork(NetworkSpec(sizes=(1, 2, 2))).double()
    with torch.no_grad():
        network.linear1.weight.copy_(torch.tensor([[2.0], [-1.0]]))
        network.output.weight.zero_()
    sgd_step(
        network,
        torch.ones(2, 1, dtype=torch.float64),
        torch.tensor([0, 1]),
        learning_rate=1.0,
        l1=0.25,
    )
    assert network.linear1.weight.flatten().tolist() == [2.0 - 0.25, -1.0]
    assert network.linear1.bias.tolist() == [-0.25, 0.0]
    assert network.output.weight.abs().max() == 0


def test_l1_does_not_depend_on_the_batch_but_on_the_width() -> None:
    # mean over the batch, sum over units: k copies of an image change nothing, and each unit is
    # pushed alike at any width
    pushes = []
    for width, copies in ((4, 1), (4, 7), (16, 1)):
        network = RectifierNetwork(NetworkSpec(sizes=(3, width, 2))).double()
        with torch.no_grad():
            network.linear1.weight.fill_(1.0)
            network.output.weight.zero_()
        x = torch.full((copies, 3), 0.5, dtype=torch.float64)
        sgd_step(network, x, torch.zeros(copies, dtype=torch.int64), learning_rate=1.0, l1=0.1)
        pushes.append((1.0 - network.linear1.weight).unique().tolist())
    for push in pushes:
        np.testing.assert_allclose(push, [0.05], rtol=1e-12)


def test_an_epoch_is_its_minibatches_and_the_last_may_be_smaller(splits: Splits) -> None:
    x, y = torch.tensor(splits.train.images[:25]), torch.tensor(splits.train.labels[:25])
    theirs = RectifierNetwork(SMALL)
    engine = TorchEngine(theirs, x, y, batch_size=10)
    found = engine.descend(torch.arange(25), learning_rate=0.1, l1=(0.0, 0.0))
    parts = [
        sgd_step(theirs, x[i : i + 10], y[i : i + 10], learning_rate=0.1).item()
        for i in (0, 10, 20)
    ]
    assert found.loss == pytest.approx(10 * parts[0] + 10 * parts[1] + 5 * parts[2], rel=1e-6)
    for name, reference in theirs.state_dict().items():
        assert torch.equal(engine.weights()[name], reference)


# ---- A whole training
# --------------------------------------------------------------------------------------------------


def test_the_whole_loop_equals_plain_pytorch(splits: Splits) -> None:
    spec = TrainSpec(network=SMALL, epochs=2, l1=0.001, learning_rate=0.1, seed=3)
    result = train(spec, splits, device="cpu")

    generator = torch.Generator().manual_seed(3)
    network = RectifierNetwork(SMALL, seed=generator)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    images, labels = torch.tensor(splits.train.images), torch.tensor(splits.train.labels)
    for epoch in (1, 2):
        for rows in torch.randperm(300, generator=generator).split(10):
            optimiser.zero_grad()
            _reference_loss(network, images[rows], labels[rows], 0.001).backward()
            optimiser.step()
        with torch.no_grad():
            scores = network(torch.tensor(splits.validation.images))
        labels_there = torch.tensor(splits.validation.labels)
        state = result.history[epoch]
        assert state.validation_loss == pytest.approx(
            nn.functional.cross_entropy(scores, labels_there).item(), rel=1e-4
        )
        assert state.validation_error == pytest.approx(
            float((scores.argmax(1) != labels_there).double().mean()), abs=0.0101
        )


def test_it_learns_and_reports_every_epoch(splits: Splits) -> None:
    spec = TrainSpec(network=SMALL, epochs=6, learning_rate=0.1)
    told = []
    result = train(
        spec, splits, device="cpu", progress=lambda done, text: told.append((done, text))
    )
    assert [epoch.epoch for epoch in result.history] == list(range(7))
    start, end = result.history[0], result.history[-1]
    assert start.train_loss is None
    assert start.samples_per_s is None
    assert start.validation_loss == pytest.approx(math.log(10), abs=0.5)
    assert end.train_loss < 0.5 < 1.5 < result.history[1].train_loss
    assert end.samples_per_s > 0
    assert result.validation_error < 0.3 < 0.7 < start.validation_error
    assert 0 <= result.test_error < 0.35
    assert (result.device, result.spec) == ("cpu", spec)
    parts = [done for done, _ in told]
    assert parts == sorted(parts)
    assert (parts[-1], min(parts) > 0) == (1.0, True)
    assert all(len(text) <= 40 for _, text in told)


def test_the_network_is_that_of_the_best_validation_epoch(splits: Splits) -> None:
    result = train(
        TrainSpec(network=SMALL, epochs=8, learning_rate=0.2, seed=1), splits, device="cpu"
    )
    ranks = [(epoch.validation_error, epoch.validation_loss) for epoch in result.history]
    assert result.best_epoch == ranks.index(min(ranks))
    assert (
        error(result.network, splits.validation)
        == result.validation_error
        == result.best.validation_error
    )
    assert error(result.network, splits.test) == result.test_error
    assert not result.network.training


@pytest.mark.parametrize("patience", [1, 3])
def test_early_stopping_is_the_same_training_cut_short(splits: Splits, patience: int) -> None:
    values = {"network": SMALL, "epochs": 30, "learning_rate": 0.2, "seed": 1}
    whole = train(TrainSpec(**values), splits, device="cpu", test=False).history
    ranks = [(epoch.validation_error, epoch.validation_loss) for epoch in whole]
    best_so_far = [ranks.index(min(ranks[: k + 1])) for k in range(len(ranks))]
    end = next(k for k, best in enumerate(best_so_far) if k - best == patience)
    assert end < 30
    told: list[Epoch] = []
    stopped = train(TrainSpec(**values, patience=patience), splits, device="cpu", watch=told.append)
    assert [(e.epoch, e.validation_loss) for e in stopped.history] == [
        (e.epoch, e.validation_loss) for e in whole[: end + 1]
    ]
    assert stopped.best_epoch == end - patience
    assert error(stopped.network, splits.validation) == stopped.validation_error
    assert tuple(told) == stopped.history


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"patience": 0}, "patience"),
        ({"patience": 2, "target_active": 0.1}, "patience must be left out beside target_active, whose plan needs all epochs"),
        ({"patience": 2, "average_last": 0.1}, "patience must be left out beside average_last"),
    ],
)  # fmt: skip
def test_patience_that_makes_no_sense(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipes.build(TrainSpec, values, what="a test")


@pytest.mark.parametrize("engine", ["sparse", "torch"])
def test_the_number_of_threads_does_not_change_a_bit(engine: str, splits: Splits) -> None:
    """With widths at which torch's products do depend on it (the evaluation's of 100 units and of 7
    images).
    """
    spec = TrainSpec(network=NetworkSpec(sizes=(784, 100, 64, 10)), epochs=1, engine=engine)
    seven = Splits("seven", splits.train, splits.validation.take(slice(7)), splits.test)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(train(spec, seven, device="cpu"))
            (other,) = train_many([spec], seven, threads=1, device="cpu")
            assert torch.get_num_threads() == threads
            for name, value in results[-1].network.state_dict().items():
                assert torch.equal(value, results[0].network.state_dict()[name])
                assert torch.equal(value, other.network.state_dict()[name])
    finally:
        torch.set_num_threads(before)
    clockless = [
        [replace(epoch, samples_per_s=None) for epoch in result.history] for result in results
    ]
    assert clockless[0] == clockless[1] == clockless[2]


def test_history_counts_as_the_probe_does(splits: Splits) -> None:
    for activation, threshold in (("rectifier", 0.0), ("sigmoid", 0.5), ("tanh", 0.3)):
        network = NetworkSpec(sizes=(784, 64, 32, 10), activation=activation)
        result = train(
            TrainSpec(network=network, epochs=1, active_threshold=threshold), splits, device="cpu"
        )
        records = record(result.network, splits.validation, ActiveWhen(threshold=threshold))
        for name, layer in result.best.layers.items():
            stats = describe_activations(records[name])
            assert layer.active_fraction == pytest.approx(stats.active_fraction, abs=1e-4)
            assert (layer.n_alive, layer.n_units) == (stats.n_alive, stats.n_units)
            if activation != "tanh":  # whose outputs have signs
                assert layer.mean_activation == pytest.approx(stats.mean_magnitude, rel=1e-5)
        layers = result.best.layers
        whole = (
            64 * layers["hidden1"].active_fraction + 32 * layers["hidden2"].active_fraction
        ) / 96
        assert result.best.active_fraction == pytest.approx(whole, rel=1e-12)


def test_same_spec_same_numbers(splits: Splits) -> None:
    spec = TrainSpec(network=SMALL, epochs=2, l1=0.001, seed=7)
    torch.manual_seed(0)
    one = train(spec, splits, device="cpu")
    torch.manual_seed(1)
    before = torch.get_rng_state()
    two = train(spec, splits, device="cpu")
    assert torch.equal(torch.get_rng_state(), before)
    other = train(spec.model_copy(update={"seed": 8}), splits, device="cpu")

    def numbers(result):
        return [
            (e.train_loss, e.validation_loss, e.validation_error, e.layers) for e in result.history
        ]

    assert numbers(one) == numbers(two) != numbers(other)
    assert all(
        torch.equal(a, b)
        for a, b in zip(one.network.parameters(), two.network.parameters(), strict=True)
    )


def test_the_test_images_are_read_only_when_asked_for(splits: Splits) -> None:
    spec = TrainSpec(network=SMALL, epochs=1)
    assert train(spec, splits, device="cpu", test=False).test_error is None
    others = Splits("others", splits.train, splits.validation, splits.train)
    on_others, on_digits = train(spec, others, device="cpu"), train(spec, splits, device="cpu")
    assert on_others.test_error != on_digits.test_error
    # the test images have no say in the network
    assert on_others.best.layers == on_digits.best.layers


def test_l1_makes_more_zeros_at_about_the_same_error(splits: Splits) -> None:
    without, with_l1 = (
        train(
            TrainSpec(network=SMALL, epochs=8, learning_rate=0.1, l1=l1),
            splits,
            device="cpu",
            test=False,
        )
        for l1 in (0.0, 0.005)
    )
    assert with_l1.best.active_fraction < without.best.active_fraction - 0.1
    assert with_l1.validation_error < without.validation_error + 0.06


# ---- Faults
# --------------------------------------------------------------------------------------------------


def test_divergence_says_where_and_what_to_do(splits: Splits) -> None:
    spec = TrainSpec(
        network=NetworkSpec(sizes=(784, 200, 200, 200, 10)),
        epochs=3,
        learning_rate=1000.0,
        l1=0.001,
    )
    with pytest.raises(
        DivergenceError,
        match=r"^training diverged in epoch 1, step \d+: (hidden\d|output) is no longer finite; "
        r"use a smaller learning_rate \(it is 1000\) or a smaller l1 \(it is 0.001\)$",
    ):
        train(spec, splits, device="cpu")


def test_divergence_in_the_last_step_is_seen(
    splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaking(course: Any, engine: Any, *_: object) -> float:
        engine.weights()["linear2.weight"][3, 4] = float("nan")
        return 1.0

    monkeypatch.setattr("neurosparse.rectifier.training._run_epoch", breaking)
    with pytest.raises(
        DivergenceError, match=r"diverged after epoch 1: hidden2 is no longer finite"
    ):
        train(TrainSpec(network=SMALL, epochs=1), splits, device="cpu")


@pytest.mark.parametrize("engine", ["torch", "sparse"])
def test_each_epoch_is_of_the_images_as_it_alters_them(splits: Splits, engine: Any) -> None:
    """By hand: an epoch on images altered beforehand, then another, from where the first ended, on
    others.
    """
    altering = AugmentationSpec(flipped=0.5, shifted=0.5, shift_px=2)
    spec = TrainSpec(network=SMALL, epochs=2, seed=3, engine=engine, augmentation=altering)
    result = train(spec, splits, device="cpu", test=False)
    generator = torch.Generator().manual_seed(3)
    network = RectifierNetwork(SMALL, seed=generator)
    for epoch in (1, 2):
        rng = np.random.default_rng([3, epoch])
        images = torch.from_numpy(
            augmented(splits.train, rng, flipped=0.5, shifted=0.5, shift_px=2)
        )
        by_hand = TorchEngine(network, images, torch.tensor(splits.train.labels), 10)
        by_hand.descend(
            torch.randperm(len(images), generator=generator), learning_rate=0.05, l1=[0.0, 0.0]
        )
        network.load_state_dict(by_hand.weights())
        assert error(network, splits.validation) == result.history[epoch].validation_error
    assert not np.array_equal(images.numpy(), splits.train.images)


def test_images_without_rows_cannot_be_altered(splits: Splits) -> None:
    flat = replace(
        splits,
        **{k: replace(getattr(splits, k), shape=(784,)) for k in ("train", "validation", "test")},
    )
    spec = TrainSpec(network=SMALL, augmentation=AugmentationSpec(flipped=0.5))
    with pytest.raises(
        ValueError, match=r"needs images of rows and columns.* got images of shape \(784,\)"
    ):
        train(spec, flat, device="cpu")


def test_networks_that_do_not_fit_the_images(splits: Splits) -> None:
    with pytest.raises(
        ValueError, match=r"the first of the network's sizes must be 784 for 'digits', got 100"
    ):
        check_fit(TrainSpec(network=NetworkSpec(sizes=(100, 5, 10))), splits)
    with pytest.raises(
        ValueError, match=r"the last of the network's sizes must be 10 for 'digits', got 9"
    ):
        train(TrainSpec(network=NetworkSpec(sizes=(784, 5, 9))), splits)


def test_unknown_device_and_data() -> None:
    with pytest.raises(ValueError, match="device must be auto"):
        train(TrainSpec(), device="tpu")
    with pytest.raises(ValueError, match=r"image set must be one of .*, got 'imagenet'"):
        train(TrainSpec(data="imagenet"), device="cpu")
