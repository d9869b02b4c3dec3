"""Networks in a stack: each equals the network trained alone, whatever the others do; on a GPU in a
graph, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from neurosparse import data
from neurosparse.data import Splits
from neurosparse.rectifier import (
    AugmentationSpec,
    DivergenceError,
    NetworkSpec,
    RectifierNetwork,
    TrainResult,
    TrainSpec,
    train,
    train_many,
)
from neurosparse.rectifier.stacked import StackedEngine, train_stacked
from neurosparse.rectifier.steps import sgd_step

SMALL = NetworkSpec(sizes=(784, 48, 32, 10))
BASE = TrainSpec(network=SMALL, epochs=3, learning_rate=0.1)


@pytest.fixture(scope="module")
def few() -> Splits:
    """Training digits whose last minibatch is smaller."""
    digits = data.load("mnist5k")
    return Splits("few", digits.train.take(slice(None, None, 7)), digits.validation, digits.test)


def _specs(**changes: Any) -> list[TrainSpec]:
    """Four networks that differ in all that may differ."""
    values = BASE.model_dump() | changes
    own: list[dict[str, Any]] = [
        {"seed": 1},
        {"seed": 2, "l1": 0.003, "learning_rate": 0.05},
        {"seed": 2, "learning_rate_end": 0.01, "average_last": 0.5},
        {"seed": 3, "active_threshold": 0.1, "patience": 1},
    ]
    return [TrainSpec.model_validate(values | one) for one in own]


def _alike(together: TrainResult, alone: TrainResult) -> None:
    """But for the rounding of float32, which a few hundred steps make larger."""
    assert together.spec == alone.spec
    losses = [[epoch.train_loss for epoch in result.history[1:]] for result in (together, alone)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    for one, two in zip(together.history, alone.history, strict=True):
        assert one.validation_loss == pytest.approx(two.validation_loss, rel=1e-3)
        assert one.active_fraction == pytest.approx(two.active_fraction, abs=1e-3)
        np.testing.assert_allclose(one.l1, two.l1, rtol=0.02)
    # of two epochs alike to the rounding either may be the best
    if together.best_epoch == alone.best_epoch:
        for name, weight in alone.network.state_dict().items():
            torch.testing.assert_close(
                together.network.state_dict()[name], weight, rtol=1e-3, atol=1e-4
            )
    assert together.validation_error == pytest.approx(alone.validation_error, abs=0.0041)
    assert together.test_error == pytest.approx(alone.test_error, abs=0.0041)


# ---- Steps
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["rectifier", "softplus", "tanh", "sigmoid"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_steps_equal_those_of_each_network_alone(activation: str, mirrored: bool) -> None:
    spec = NetworkSpec(sizes=(12, 9, 8, 5), activation=activation, mirrored=mirrored)
    networks = [RectifierNetwork(spec, seed=seed).double() for seed in range(3)]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 12, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 5, (40,), generator=generator)
    rows = torch.stack([torch.randperm(25, generator=generator) for _ in range(3)])
    rates, l1 = [0.3, 0.1, 0.02], [[0.0, 0.0], [0.01, 0.1], [0.2, 0.03]]
    engine = StackedEngine(networks, x, y, batch_size=10)
    for _ in range(2):
        found = engine.descend(rows, learning_rates=rates, l1=l1)
        for k, network in enumerate(networks):
            loss, n_active = 0.0, torch.zeros(2, dtype=torch.int64)
            for batch in rows[k].split(10):
                step = sgd_step(
                    network, x[batch], y[batch], learning_rate=rates[k], l1=l1[k], n_active=n_active
                )
                loss += float(step) * len(batch)
            assert found[k].loss == pytest.approx(loss, rel=1e-12)
            assert (found[k].n_active, found[k].broken_step) == (tuple(n_active.tolist()), None)
            assert engine.weights(k).keys() == network.state_dict().keys()
            for name, weight in network.state_dict().items():
                torch.testing.assert_close(engine.weights(k)[name], weight, rtol=1e-11, atol=1e-13)


def test_a_broken_network_stands_still_and_the_others_go_on() -> None:
    networks = [RectifierNetwork(NetworkSpec(sizes=(4, 8, 3)), seed=seed) for seed in range(3)]
    x, y = torch.rand(30, 4, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 3
    x[15, 2] = float("inf")  # in the second of three steps, of the first network alone
    rows = torch.stack([torch.arange(30), torch.arange(30) % 15, torch.arange(30) % 15])
    engine, first = StackedEngine(networks, x, y, 10), StackedEngine(networks, x, y, 10)
    found = engine.descend(rows, learning_rates=[0.1] * 3, l1=[[0.0]] * 3)
    assert [descent.broken_step for descent in found] == [1, None, None]
    expected = first.descend(rows[:, :10], learning_rates=[0.1] * 3, l1=[[0.0]] * 3)
    assert found[0].loss == expected[0].loss
    for name, weight in first.weights(0).items():
        assert torch.equal(engine.weights(0)[name], weight)
        assert not torch.equal(engine.weights(1)[name], first.weights(1)[name])
        assert bool(engine.weights(1)[name].isfinite().all())


# ---- Whole trainings
# --------------------------------------------------------------------------------------------------


def test_each_network_is_the_one_trained_alone(few: Splits) -> None:
    specs, told = _specs(), []
    together = train_stacked(
        specs, few, device="cpu", progress=lambda done, text: told.append((done, text))
    )
    for spec, result in zip(specs, together, strict=True):
        _alike(result, train(spec, few, device="cpu"))
        assert (result.engine, result.device) == ("stacked", "cpu")
    shares = [done for done, _ in told]
    assert (shares, shares[-1]) == (sorted(shares), 1.0)
    assert max(len(text) for _, text in told) <= 40


def test_targets_are_each_networks_own(few: Splits) -> None:
    specs = [BASE.model_copy(update={"target_active": target, "seed": 4}) for target in (0.3, 0.1)]
    together = train_stacked(specs, few, device="cpu")
    for spec, result in zip(specs, together, strict=True):
        _alike(result, train(spec, few, device="cpu"))
    assert together[0].best.active_fraction > together[1].best.active_fraction


def test_patience_ends_one_network_and_not_the_others(few: Splits) -> None:
    specs = [
        BASE.model_copy(update={"epochs": 12, "learning_rate": 0.3, "seed": 5, "patience": p})
        for p in (1, None)
    ]
    stopped, whole = train_stacked(specs, few, device="cpu", test=False)
    last = stopped.history[-1].epoch
    assert last == stopped.best_epoch + 1 < 12 == whole.history[-1].epoch
    assert [e.validation_loss for e in stopped.history] == [
        e.validation_loss for e in whole.history[: last + 1]
    ]
    assert stopped.test_error is None


def test_divergence_is_named_as_alone(few: Splits) -> None:
    specs = [BASE, BASE.model_copy(update={"learning_rate": 1e4})]
    messages = []
    for run in (
        lambda: train_stacked(specs, few, device="cpu"),
        lambda: train(specs[1], few, device="cpu"),
    ):
        with pytest.raises(DivergenceError) as error:
            run()
        messages.append(str(error.value))
    assert messages[0] == messages[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 4}, r"the networks of a stack must have one epochs, got 3 and 4"),
        ({"batch_size": 5}, r"must have one batch_size, got 10 and 5"),
        ({"network": NetworkSpec(sizes=(784, 5, 10))}, r"must have one network, got NetworkSpec\("),
        ({"engine": "sparse"}, r"engine = 'sparse' cannot train a stack"),
        (
            {"augmentation": AugmentationSpec(flipped=0.5)},
            r"share their images, so augmentation must be left out",
        ),
        ({"label_smoothing": 0.1}, r"must have one label_smoothing, got 0\.0 and 0\.1"),
    ],
)
def test_what_cannot_be_stacked(few: Splits, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train_stacked([BASE, BASE.model_copy(update=changes)], few, device="cpu")


def test_a_stack_of_nothing(few: Splits) -> None:
    with pytest.raises(ValueError, match="specs is empty: nothing to train"):
        train_stacked([], few)


def test_many_on_cuda_are_stacked_by_their_shape(
    few: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The choice alone, which needs no GPU: where the device is CUDA, networks of one shape come
    together, in their order.
    """
    asked: list[list[int]] = []

    def stand_in(
        specs: list[TrainSpec], splits: Splits, *, device: Any, progress: Any, **_: Any
    ) -> list[int]:
        assert (splits, device.type) == (few, "cuda")
        asked.append([spec.seed for spec in specs])
        progress(0.5, "half")
        return [spec.seed for spec in specs]

    monkeypatch.setattr("neurosparse.rectifier.devices.resolve", torch.device)
    monkeypatch.setattr("neurosparse.rectifier.stacked.train_stacked", stand_in)
    specs = [BASE.model_copy(update={"seed": seed, "epochs": 1 + seed % 2}) for seed in range(5)]
    told: list[float] = []
    results = train_many(specs, few, device="cuda", progress=lambda done, text: told.append(done))
    assert results == [0, 1, 2, 3, 4]
    assert asked == [[0, 2, 4], [1, 3]]
    assert told == pytest.approx([0.3, 0.8])


def test_on_cuda_a_network_of_altered_images_is_trained_alone(
    few: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neurosparse.rectifier.devices.resolve", torch.device)
    monkeypatch.setattr(
        "neurosparse.rectifier.stacked.train_stacked",
        lambda specs, *_, **__: ["stacked"] * len(specs),
    )
    monkeypatch.setattr("neurosparse.rectifier.training.train", lambda spec, *_, **__: spec.seed)
    altered = [
        BASE.model_copy(update={"seed": seed, "augmentation": AugmentationSpec(flipped=0.5)})
        for seed in (1, 2)
    ]
    assert train_many([BASE, *altered, BASE], few, device="cuda") == ["stacked", 1, 2, "stacked"]


# ---- On a GPU
# --------------------------------------------------------------------------------------------------


@pytest.mark.gpu  # the graph of a step exists on CUDA alone
def test_a_stack_on_a_gpu_equals_the_cpu(few: Splits) -> None:
    specs = _specs()
    for spec, result in zip(specs, train_many(specs, few, device="cuda"), strict=True):
        _alike(result, train(spec, few, device="cpu"))
        assert (result.engine, result.device) == ("stacked", "cuda")


@pytest.mark.gpu  # the same
def test_capturing_the_graph_leaves_the_weights_alone(few: Splits) -> None:
    networks = [RectifierNetwork(SMALL, seed=seed) for seed in range(2)]
    images, labels = (
        torch.tensor(array, device="cuda") for array in (few.train.images, few.train.labels)
    )
    engine = StackedEngine(networks, images, labels, 10)
    for k, network in enumerate(networks):
        for name, weight in network.state_dict().items():
            assert torch.equal(engine.weights(k)[name].cpu(), weight)
