"""Smoothed labels, units left out, weights that shrink: against autograd, by hand, and the same in
every engine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from neurosparse import data
from neurosparse.data import Splits
from neurosparse.rectifier import NetworkSpec, RectifierNetwork, TrainSpec, train
from neurosparse.rectifier.dropout import masks
from neurosparse.rectifier.sparse_training import SparseEngine
from neurosparse.rectifier.stacked import train_stacked
from neurosparse.rectifier.steps import TorchEngine, sgd_step

ACTIVATIONS = ("rectifier", "softplus", "tanh", "sigmoid")
SMALL = NetworkSpec(sizes=(784, 32, 24, 10))
ALL = {"label_smoothing": 0.1, "dropout": 0.25, "weight_decay": 0.01}


@pytest.fixture(scope="module")
def few() -> Splits:
    digits = data.load("mnist5k")
    part = slice(None, None, 20)
    return Splits(
        "few", digits.train.take(part), digits.validation.take(part), digits.test.take(part)
    )


def _minibatch(n: int, n_inputs: int, n_classes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(n, n_inputs, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, n_classes, (n,), generator=generator)


# ---- Which units are left out
# --------------------------------------------------------------------------------------------------


def _stays(share: float, draw: int, image: int, layer: int, unit: int) -> bool:
    """The rule in whole numbers of Python: SplitMix64 of the four, of which 24 bits decide."""
    whole = 2**64
    steps = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93)
    x = (draw + sum(a * b for a, b in zip((image, layer, unit), steps, strict=True))) % whole
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % whole
    x = (x ^ x >> 27) * 0x94D049BB133111EB % whole
    return x >> 40 >= int(share * 2**24)


@given(
    share=st.floats(0, 0.99),
    draw=st.integers(0, 2**64 - 1),
    first=st.integers(0, 10**6),
    widths=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
@settings(max_examples=30)
def test_masks_follow_the_rule(
    share: float, draw: int, first: int, widths: tuple[int, int]
) -> None:
    found = masks(share, draw, range(first, first + 3), widths, torch.zeros((), dtype=torch.double))
    for layer, (mask, width) in enumerate(zip(found, widths, strict=True)):
        expected = [
            [_stays(share, draw, first + b, layer, unit) / (1 - share) for unit in range(width)]
            for b in range(3)
        ]
        assert mask.tolist() == expected


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_the_share_that_is_left_out_and_its_independence(share: float) -> None:
    """Over units, images, layers and draws: the share, and that of pairs, within 5 s.e."""
    one = [
        torch.stack(masks(share, draw, range(200), (300, 300), torch.ones(()))) for draw in (1, 2)
    ]
    out = torch.stack(one) == 0  # draw, layer, image, unit

    def near(found: Tensor, expected: float) -> bool:
        error = (expected * (1 - expected) / found.numel()) ** 0.5
        return abs(float(found.double().mean()) - expected) < 5 * error

    assert near(out, share)
    pairs = (
        out[0] & out[1],
        out[:, 0] & out[:, 1],
        out[:, :, 1:] & out[:, :, :-1],
        out[..., 1:] & out[..., :-1],
    )
    assert all(near(both, share * share) for both in pairs)
    assert bool((out.double().mean(dim=2) - share).abs().max() < 0.25)  # no unit is always out


# ---- Steps
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_step_equals_autograd(
    activation: str, mirrored: bool, smoothing: float, share: float
) -> None:
    spec = NetworkSpec(sizes=(12, 9, 8, 7, 5), activation=activation, mirrored=mirrored)
    ours, theirs = RectifierNetwork(spec, seed=1).double(), RectifierNetwork(spec, seed=1).double()
    x, y = _minibatch(10, 12, 5)
    given_masks = masks(share, 3, range(10), spec.sizes[1:-1], x)
    values, penalty = x, torch.zeros((), dtype=torch.float64)
    for name, module in theirs.named_children():
        values = module(values)
        if name.startswith("hidden"):
            values = values * given_masks[int(name[-1]) - 1]
            penalty = penalty + 0.01 * values.abs().sum(dim=1).mean()
    (nn.functional.cross_entropy(values, y, label_smoothing=smoothing) + penalty).backward()
    plain_loss = nn.functional.cross_entropy(values.detach(), y)
    loss = sgd_step(
        *(ours, x, y), learning_rate=0.3, l1=0.01, smoothing=smoothing, masks=given_masks
    )
    assert loss.item() == pytest.approx(plain_loss.item(), rel=1e-12)
    for mine, reference in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(
            mine, reference.detach() - 0.3 * reference.grad, rtol=1e-11, atol=1e-13
        )


@pytest.mark.parametrize("dense_input", [False, True])
@pytest.mark.parametrize(
    "options", [{"smoothing": 0.1}, {"dropout": 0.3}, {"smoothing": 0.3, "dropout": 0.6}]
)
def test_the_sparse_engine_does_the_steps_of_torch(
    dense_input: bool, options: dict[str, float]
) -> None:
    network = RectifierNetwork(NetworkSpec(sizes=(30, 40, 50, 20, 5)), seed=1)
    x, y = _minibatch(25, 30, 5)
    x = x.float()
    sparse = SparseEngine(network, x.clone(), y, 10, dense_input=dense_input, **options)
    torchs = TorchEngine(network, x, y, 10, **options)
    for draw in (3, 2**64 - 5):
        here, there = (
            engine.descend(torch.arange(25), learning_rate=0.1, l1=[0.01] * 3, draw=draw)
            for engine in (sparse, torchs)
        )
        assert here.n_active == there.n_active
        assert here.loss == pytest.approx(there.loss, rel=1e-5)
    for name, weight in torchs.weights().items():
        torch.testing.assert_close(sparse.weights()[name], weight, rtol=1e-4, atol=1e-6)


def test_active_units_are_counted_before_some_are_left_out() -> None:
    """Two inputs of 1 through weights of 1: all 100 units are active, for both images."""
    network = RectifierNetwork(NetworkSpec(sizes=(2, 100, 3)))
    with torch.no_grad():
        network.linear1.weight.fill_(1.0)
    images, labels = np.ones((2, 2), np.float32), np.array([0, 1])
    engine = SparseEngine(network, images, labels, 2, dropout=0.5)
    assert engine.descend([0, 1], learning_rate=1e-3, l1=[0.0]).n_active == (200,)


@pytest.mark.parametrize("name", ["smoothing", "dropout"])
@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_shares_that_are_none(name: str, value: float) -> None:
    network = RectifierNetwork(NetworkSpec(sizes=(2, 4, 3)))
    with pytest.raises(ValueError, match=f"{name} must be "):
        SparseEngine(network, np.ones((1, 2), np.float32), np.array([0]), 1, **{name: value})


# ---- Whole trainings
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["torch", "sparse"])
def test_weights_shrink_after_their_steps_and_biases_do_not(few: Splits, engine: Any) -> None:
    """By hand, of an epoch in parts of 10 images, which are a step each."""
    spec = TrainSpec(network=SMALL, epochs=1, seed=3, engine=engine, weight_decay=0.5)
    result = train(spec, few, device="cpu", test=False)
    generator = torch.Generator().manual_seed(3)
    network = RectifierNetwork(SMALL, seed=generator)
    images, labels = torch.tensor(few.train.images), torch.tensor(few.train.labels)
    for rows in torch.randperm(len(images), generator=generator).split(10):
        sgd_step(network, images[rows], labels[rows], learning_rate=0.05)
        with torch.no_grad():
            for linear in network.linears():
                linear.weight.mul_(1 - 0.05 * 0.5)
    assert result.best_epoch == 1
    for name, weight in network.state_dict().items():
        torch.testing.assert_close(result.network.state_dict()[name], weight, rtol=1e-3, atol=1e-5)


def test_a_training_goes_on_bit_for_bit(few: Splits, tmp_path: Any) -> None:
    spec = TrainSpec(network=SMALL, epochs=3, target_active=0.2, average_last=0.5, **ALL)
    whole, path = train(spec, few, device="cpu"), tmp_path / "run.safetensors"

    def stop(epoch: Any) -> None:
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(spec, few, device="cpu", checkpoint=path, watch=stop)
    resumed = train(spec, few, device="cpu", checkpoint=path)
    for name, weight in whole.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[name], weight)


def test_both_engines_learn_alike(few: Splits) -> None:
    found = [
        train(
            TrainSpec(network=SMALL, epochs=3, engine=engine, **ALL), few, device="cpu", test=False
        )
        for engine in ("sparse", "torch")
    ]
    losses = [[epoch.validation_loss for epoch in result.history] for result in found]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert losses[0][-1] < losses[0][0] - 0.3


def test_smoothed_labels_keep_the_network_from_being_sure(few: Splits) -> None:
    """With a share s spread over 10 classes, the best guess of the label is 1 - 0.9 s, no more."""
    one = few.train.take(slice(0, 20))
    splits = Splits("one", one, one, one)
    sure = []
    for smoothing in (0.0, 0.5):
        # the mean of the last weights, not those of the epoch with the least loss
        spec = TrainSpec(network=SMALL, epochs=400, average_last=0.05, label_smoothing=smoothing)
        network = train(spec, splits, device="cpu", test=False).network
        with torch.no_grad():
            guesses = network(torch.tensor(one.images)).softmax(1)
        sure.append(guesses[range(20), torch.tensor(one.labels)].numpy())
    assert sure[0].min() > 0.95
    np.testing.assert_allclose(sure[1], 0.55, atol=0.01)


def test_a_stack_learns_as_each_network_alone(few: Splits) -> None:
    values = {"network": SMALL, "epochs": 2, "label_smoothing": 0.2}
    specs = [TrainSpec(**values, weight_decay=decay, seed=1) for decay in (0.0, 0.1)]
    together = train_stacked(specs, few, device="cpu", test=False)
    for spec, result in zip(specs, together, strict=True):
        alone = train(spec, few, device="cpu", test=False)
        assert [epoch.validation_loss for epoch in result.history] == pytest.approx(
            [epoch.validation_loss for epoch in alone.history], rel=1e-3
        )
    with pytest.raises(ValueError, match="keep all their units, so dropout must be left out"):
        train_stacked([TrainSpec(**values, dropout=0.1)], few)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_smoothing": 1.0}, "less than 1"),
        ({"dropout": -0.1}, "greater than or equal to 0"),
        ({"dropout": 1.0}, "less than 1"),
        ({"weight_decay": -1.0}, "greater than or equal to 0"),
        ({"weight_decay": 20.0}, r"weight_decay must be below 1 / learning_rate.* got 20\.0"),
    ],
)
def test_settings_out_of_range(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainSpec(**changes)


@pytest.mark.gpu
def test_masks_on_a_gpu_are_those_of_the_cpu() -> None:
    here, there = (
        masks(0.3, 2**63 + 7, range(5), (40, 30), torch.zeros((), device=device))
        for device in ("cpu", "cuda")
    )
    assert all(torch.equal(a, b.cpu()) for a, b in zip(here, there, strict=True))
