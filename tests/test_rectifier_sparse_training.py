"""The engines in `train`: chosen as they should be, the same training from both, several networks
at once, divergence named.
"""

from __future__ import annotations

import logging
import threading

import numpy as np
import pytest
import torch

from neurosparse import data
from neurosparse.data import ImageSet, Splits
from neurosparse.rectifier import (
    DivergenceError,
    NetworkSpec,
    TrainResult,
    TrainSpec,
    train,
    train_many,
)

SMALL = NetworkSpec(sizes=(784, 64, 48, 10))


@pytest.fixture(scope="module")
def few() -> Splits:
    digits = data.load("mnist5k")
    return Splits("few", digits.train.take(slice(0, None, 10)), digits.validation, digits.test)


def numbers(result: TrainResult) -> list:
    return [
        (e.train_loss, e.validation_loss, e.validation_error, e.layers, e.l1)
        for e in result.history
    ]


# ---- The choice
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "engine", "note"),
    [
        ({}, "sparse", ""),
        ({"engine": "sparse"}, "sparse", ""),
        ({"engine": "torch"}, "torch", ""),
        ({"batch_size": 65}, "torch", "batch_size 65 is above 64"),
        (
            {"network": NetworkSpec(sizes=(784, 9, 10), activation="tanh")},
            "torch",
            "hidden1 is Tanh, not ReLU",
        ),
    ],
)
def test_auto_takes_the_sparse_engine_where_it_can_and_says_where_not(
    few: Splits, values: dict, engine: str, note: str, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    spec = TrainSpec(**{"network": SMALL, "epochs": 1, **values})
    with caplog.at_level(logging.INFO, logger="neurosparse"):
        result = train(
            spec, few, device="cpu", test=False, progress=lambda done, text: told.append(text)
        )
    assert (result.engine, result.engine_note) == (engine, note)
    assert [record.message for record in caplog.records] == (
        [f"trained in torch: {note}"] if note else []
    )
    assert told[0].startswith("torch: " if note else "epoch 1/1")


def test_the_sparse_engine_is_not_swapped_for_another_where_it_was_asked_for(few: Splits) -> None:
    spec = TrainSpec(network=SMALL, batch_size=100, engine="sparse")
    with pytest.raises(
        ValueError,
        match="engine = 'sparse' cannot train this network: batch_size 100 is above 64; use engine",
    ):
        train(spec, few, device="cpu")


# ---- Both engines
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("l1", [0.0, 0.002])
def test_both_engines_train_alike(few: Splits, l1: float) -> None:
    spec = TrainSpec(network=SMALL, epochs=3, learning_rate=0.1, l1=l1, seed=4, batch_size=16)
    sparse, torch_ = (
        train(spec.model_copy(update={"engine": e}), few, device="cpu") for e in ("sparse", "torch")
    )
    for one, two in zip(sparse.history[1:], torch_.history[1:], strict=True):
        assert one.train_loss == pytest.approx(two.train_loss, rel=1e-3)
        assert one.validation_loss == pytest.approx(two.validation_loss, rel=1e-3)
        assert one.validation_error == pytest.approx(two.validation_error, abs=0.005)
        for name, layer in one.layers.items():
            assert layer.active_fraction == pytest.approx(
                two.layers[name].active_fraction, abs=0.002
            )
    for name, weight in sparse.network.state_dict().items():
        torch.testing.assert_close(weight, torch_.network.state_dict()[name], rtol=0, atol=1e-3)


def test_dense_images_take_the_other_layout_and_train_alike(few: Splits) -> None:
    def filled(part: ImageSet) -> ImageSet:
        return ImageSet(0.2 + 0.8 * part.images, part.labels, part.n_classes, part.shape)

    splits = Splits("filled", filled(few.train), filled(few.validation), filled(few.test))
    spec = TrainSpec(network=SMALL, epochs=2, seed=1)
    sparse, torch_ = (
        train(spec.model_copy(update={"engine": e}), splits, device="cpu")
        for e in ("sparse", "torch")
    )
    for one, two in zip(sparse.history, torch_.history, strict=True):
        assert one.validation_loss == pytest.approx(two.validation_loss, rel=1e-3)


def test_divergence_is_named_alike(few: Splits) -> None:
    messages = []
    for engine in ("sparse", "torch"):
        spec = TrainSpec(network=SMALL, learning_rate=1e4, l1=0.001, engine=engine)
        with pytest.raises(
            DivergenceError,
            match=(
                r"^training diverged in epoch 1, step \d+: (hidden\d|output) is no longer finite; "
                r"use a smaller learning_rate \(it is 10000\) or a smaller l1 \(it is 0.001\)$"
            ),
        ) as error:
            train(spec, few, device="cpu")
        messages.append(str(error.value))
    assert messages[0] == messages[1]


# ---- Several at once
# --------------------------------------------------------------------------------------------------


def test_networks_trained_together_are_those_trained_alone(few: Splits) -> None:
    specs = [TrainSpec(network=SMALL, epochs=2, seed=seed, l1=0.001 * seed) for seed in range(5)]
    told: list[float] = []
    together = train_many(specs, few, threads=2, progress=lambda done, text: told.append(done))
    assert [result.spec for result in together] == specs
    for spec, result in zip(specs, together, strict=True):
        alone = train(spec, few, device="cpu")
        assert numbers(result) == numbers(alone)
        assert result.test_error == alone.test_error
        assert all(
            torch.equal(a, b)
            for a, b in zip(result.network.parameters(), alone.network.parameters(), strict=True)
        )
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)


def test_one_thread_and_two_give_the_same(few: Splits) -> None:
    specs = [TrainSpec(network=SMALL, epochs=1, seed=seed) for seed in range(2)]
    one, two = (train_many(specs, few, threads=threads) for threads in (1, 2))
    assert [numbers(r) for r in one] == [numbers(r) for r in two]


def test_the_kernel_lets_other_threads_run(few: Splits) -> None:
    """While the kernel works in one thread, this one counts: it would stand still if Python's lock
    were held.
    """
    from neurosparse.rectifier import RectifierNetwork
    from neurosparse.rectifier.sparse_training import SparseEngine

    images, labels = np.tile(few.train.images, (8, 1)), np.tile(few.train.labels, 8)
    engine = SparseEngine(
        RectifierNetwork(NetworkSpec(sizes=(784, 300, 300, 10))), images, labels, 10
    )
    rows = np.arange(len(labels))
    engine.descend(rows[:10], learning_rate=0.01, l1=[0.0, 0.0])  # compiled
    done = threading.Event()

    def work() -> None:
        engine.descend(rows, learning_rate=0.01, l1=[0.0, 0.0])
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    count = 0
    while not done.wait(0.0005):
        count += 1
    thread.join()
    assert count >= 5


def test_one_that_diverges_is_raised(few: Splits) -> None:
    specs = [
        TrainSpec(network=SMALL, epochs=1, seed=0),
        TrainSpec(network=SMALL, epochs=1, learning_rate=1e5),
    ]
    with pytest.raises(DivergenceError, match="training diverged"):
        train_many(specs, few, threads=2)


def test_many_of_nothing() -> None:
    with pytest.raises(ValueError, match="specs is empty: nothing to train"):
        train_many([])
    with pytest.raises(ValueError, match="threads must be >= 1, got -1"):
        train_many([TrainSpec()], threads=-1)
