"""Passes that belong to a penalty, and those that do not."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest
import torch
from steered import batch, mlp
from torch import nn
from torch.utils.checkpoint import checkpoint

import neurosparse as ns

X = batch((32, 6))


def l1_of(model: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    """The sum of what both rectifiers put out, a mean over samples."""
    return model[:2](x).sum(1).mean() + model[:4](x).sum(1).mean()


def steered() -> tuple[nn.Sequential, ns.sparsify.Sparsifier]:
    model = mlp()
    return model, ns.sparsify(model, l1=0.1, data=X)


def test_a_batch_that_a_loop_skips_has_no_penalty() -> None:
    """One with NaN would make all weights NaN, also where its output is kept."""
    model, s = steered()
    optimizer, kept = torch.optim.SGD(model.parameters(), lr=0.1), []
    for k in range(3):
        x = X.clone()
        x[0, 0] = float("nan") if k == 1 else 0.0
        kept.append(output := model(x))
        if not (loss := output.square().mean()).isfinite():
            continue
        if k == 2:
            with pytest.warns(UserWarning, match="not finite"):
                penalty = s.penalty()
        else:
            penalty = s.penalty()
        (loss + penalty).backward()
        optimizer.step()
        s.step()
    assert all(p.isfinite().all() for p in model.parameters())


def test_a_pass_to_be_logged_has_no_penalty() -> None:
    model, s = steered()
    model(X).square().mean().item()
    model(X)
    torch.testing.assert_close(s.penalty(), 0.1 * l1_of(model, X))


def test_several_passes_of_one_loss_count_together() -> None:
    model, s = steered()
    loss = (model(X) - model(2 * X)).square().mean()
    penalty = s.penalty()
    torch.testing.assert_close(penalty, 0.1 * (l1_of(model, X) + l1_of(model, 2 * X)))
    (loss + penalty).backward()


def test_the_passes_of_batches_that_are_added_up_count_together() -> None:
    model, s = steered()
    losses = [model(k * X).square().mean() for k in (1, 2, 3)]
    (sum(losses) + (penalty := s.penalty())).backward()
    torch.testing.assert_close(penalty, 0.1 * sum(l1_of(model, k * X) for k in (1, 2, 3)))


@pytest.mark.parametrize("retain", [False, True])
def test_a_pass_that_another_loss_has_used_up_is_left_out(retain: bool) -> None:
    """A generator's step, an adversarial example, a step without a penalty."""
    model, s = steered()
    loss = model(3 * X).mean()
    loss.backward(retain_graph=retain)
    output = model(X)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        penalty = s.penalty()
    used = l1_of(model, 3 * X) if retain else 0.0  # it can be gone through again
    torch.testing.assert_close(penalty, 0.1 * (l1_of(model, X) + used))
    assert [("backward() had gone" in str(w.message)) for w in told] == [True] * (not retain)
    (output.mean() + penalty).backward()


def test_a_penalty_that_comes_too_late_is_named() -> None:
    model, s = steered()
    loss = model(X).mean()
    loss.backward()
    with pytest.raises(RuntimeError, match=r"backward\(\) has gone through all passes"):
        s.penalty()


def test_a_discriminator_is_steered() -> None:
    torch.manual_seed(0)
    maker, model = nn.Linear(4, 6), mlp()
    s = ns.sparsify(model, l1=0.1)
    for _ in range(3):
        z = torch.randn(32, 4)
        loss = model(X).mean() - model(maker(z).detach()).mean()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            penalty = s.penalty()
        both = l1_of(model, X) + l1_of(model, maker(z))
        torch.testing.assert_close(penalty, 0.1 * both)
        (loss + penalty).backward()
        s.step()
        model(maker(z)).mean().backward()


def test_a_step_forgets_and_so_does_the_loop() -> None:
    model, s = steered()
    held = model(X).mean()
    s.forget()
    model(2 * X)
    torch.testing.assert_close(s.penalty(), 0.1 * l1_of(model, 2 * X))
    held.backward()


@pytest.mark.parametrize("kind", [nn.ReLU, nn.GELU])
def test_what_is_computed_again_in_backward_does_not_count(kind: type[nn.Module]) -> None:
    """The steered model itself within a checkpoint, with gradients added up."""
    found = []
    for how in (None, False):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 20), kind(), nn.Linear(20, 3))
        when = ns.ActiveWhen(threshold=0.1)
        s = ns.sparsify(model, l1=0.1, layers=["1"], active_when=when, steps=1)
        for k in (1, 2):
            x = (k * X).requires_grad_()
            y = model(x) if how is None else checkpoint(model, x, use_reentrant=how)
            (y.square().mean() + s.penalty()).backward()
        counted = int(s._taps["1"].samples)
        s.step()
        found.append((s.active, counted, model[0].weight.grad))
    assert found[0][:2] == found[1][:2]
    torch.testing.assert_close(found[0][2], found[1][2])


def test_a_reentrant_checkpoint_around_the_model_is_named() -> None:
    model, s = steered()
    checkpoint(model, X.clone().requires_grad_(), use_reentrant=True)
    with pytest.raises(RuntimeError, match="use_reentrant=False"):
        s.penalty()


def test_a_penalty_after_the_end_is_named() -> None:
    model, s = steered()
    s.remove()
    model(X)
    with pytest.raises(RuntimeError, match=r"penalty\(\) after remove\(\)"):
        s.penalty()


# ---- Models that change


def test_a_module_that_was_replaced_is_told_once() -> None:
    model, s = steered()
    model[1] = nn.ReLU()

    def train() -> None:
        for _ in range(7):
            (model(X).mean() + s.penalty()).backward()
            s.step()

    with pytest.warns(UserWarning, match="^1: the module was replaced") as told:
        train()
    assert len(told) == 1


def test_another_width_is_named() -> None:
    model, _ = steered()
    model[0], model[2] = nn.Linear(6, 8), nn.Linear(8, 32)
    with pytest.raises(ValueError, match="layer '1' has 8 units and had 32 when it was found"):
        model(X)


# ---- The pass that finds the layers


class Draws(nn.Module):
    """Noise that no input gives, and random numbers of Python and NumPy."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.act, self.drawn = nn.Linear(6, 20), nn.ReLU(), []

    def forward(self, n: int) -> torch.Tensor:
        self.drawn.append((random.random(), np.random.rand()))  # noqa: NPY002
        return self.act(self.up(torch.randn(n, 6)))


def test_a_model_that_draws_its_inputs_is_steered_and_draws_as_before() -> None:
    drawn = []
    for steers in (False, True):
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        model = Draws()
        s = ns.sparsify(model, l1=0.1, steps=1) if steers else None
        model(50)
        drawn.append(model.drawn[-1])
    assert drawn[0] == drawn[1]
    assert s is not None
    assert s.penalty() > 0
    s.step()
    assert list(s.active) == ["act"]
