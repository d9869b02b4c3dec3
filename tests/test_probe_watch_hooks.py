"""Looks by hooks on modules, which cost little: as many counts as by following every function."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from watched import Varied, batches, by_hand, mlp, train

import neurosparse as ns
from neurosparse.probe import follower
from neurosparse.probe import watch as watching
from neurosparse.sparsify import SparseFFN


def conv() -> nn.Module:
    torch.manual_seed(0)
    stem = [nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 5, 2), nn.BatchNorm2d(5), nn.ReLU()]
    return nn.Sequential(*stem, nn.Flatten(), nn.Linear(10, 8), nn.GELU(), nn.Linear(8, 1))


def encoder() -> nn.Module:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(2, 1, 12, 0.0, nn.ReLU(), batch_first=True)
    return nn.Sequential(
        nn.Unflatten(1, (3, 2)), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    )


def blocks(start_active: float = 0.1, dropout: float = 0.0) -> nn.Module:
    """Feed-forward blocks that tell what is active."""
    torch.manual_seed(0)
    made = [SparseFFN(6, 40, start_active=start_active, dropout=p) for p in (0.0, 0.0, dropout)]
    layers = [layer for block in made for layer in (nn.LayerNorm(6), block)]
    return nn.Sequential(nn.Unflatten(1, (1, 6)), *layers, nn.Linear(6, 1))


def told_by(model: nn.Module) -> list[SparseFFN]:
    return [module for module in model.modules() if isinstance(module, SparseFFN)]


@pytest.mark.parametrize("make", [mlp, conv, encoder, blocks])
def test_hooks_on_modules_count_what_following_every_function_does(make, monkeypatch) -> None:
    followed, monitoring = [], follower.monitoring
    monkeypatch.setattr(
        follower, "monitoring", lambda *a, **k: followed.append(1) or monitoring(*a, **k)
    )
    rows = []
    for one_in in (1, 4):
        monkeypatch.setattr(watching, "LOOKS_FOR_ONE_IN_FULL", one_in)
        model = make()
        with ns.watch(model, every=1) as w:
            train(model, batches(10), accumulate=2 if make is conv else 1)
        assert w.note == ""
        rows.append(list(w.history))
    # a block's fast path adds in another order
    assert rows[0] == (rows[1] if make is not blocks else [pytest.approx(row) for row in rows[1]])
    # all passes, and those of steps 0, 4 and 8
    assert len(followed) == (10 + 2 * 2 if make is conv else 10 + 3)


@pytest.mark.parametrize(("start_active", "path"), [(0.04, "active pairs"), (0.5, "dense")])
@pytest.mark.parametrize("threshold", [0.0, 0.05])
def test_a_block_that_is_watched_stays_on_its_fast_path(start_active, path, threshold) -> None:
    """A block that tells is asked; its row is what a hook on its rectifier would count."""
    model, active_when = blocks(start_active, dropout=0.3), ns.ActiveWhen(threshold=threshold)
    data = batches(6, size=320)
    expected = []
    for x in data:
        told = ns.measure(model.eval(), x, active_when=active_when)
        expected.append({name: layer.active_fraction for name, layer in told.items()})
    model.train()
    with ns.watch(model, every=1, active_when=active_when) as w:
        for k, x in enumerate(data):
            model(x).sum().backward()
            assert [block.ran.path for block in told_by(model)] == [path if k else "dense"] * 3
            w.step()
    assert w.note == ""
    for row, shares in zip(w.history, expected, strict=True):
        assert {name: row[f"active/{name}"] for name in shares} == pytest.approx(shares)
    for name, last in ns.measure(model.eval(), data[-1], active_when=active_when).items():
        assert w.latest[f"effective_units/{name}"] == pytest.approx(last.effective_units)
        assert w.latest[f"zeros/{name}"] == pytest.approx(last.zero_fraction)
    assert not any(block.tells or block.hidden is not None for block in told_by(model))


def test_a_block_that_is_steered_and_watched_tells_both() -> None:
    model, data = blocks(), batches(8)
    s = ns.sparsify(model, target=0.05, steps=8)
    with ns.watch(model, every=1) as w:
        for x in data:
            (model(x).sum() + s.penalty()).backward()
            w.step()
            s.step()
    assert all(block.tells for block in told_by(model))
    assert len(w.history) == len(s.history) == 8
    assert len(s.active) == 3
    for name in s.active:
        watched, steered = ([row[f"active/{name}"] for row in one.history] for one in (w, s))
        assert watched == pytest.approx(steered)


def test_a_block_that_is_not_finite_has_no_share_on_its_fast_path() -> None:
    model, data = blocks(), batches(2)
    with ns.watch(model, every=1) as w:
        for x in data:
            model(x)
            w.step()
            with torch.no_grad():
                model[2].up.bias[3] = float("nan")
    assert math.isnan(w.latest["active/2.activation"])
    assert math.isnan(w.latest["zeros/2.activation"])


@pytest.mark.parametrize("kind", ["a function more", "called twice", "not called", "back again"])
def test_a_pass_that_computes_anything_else_is_seen(kind: str) -> None:
    """Its row is left out; the next one counts all layers that there are by then."""
    model, data = Varied(kind), batches(6)
    with ns.watch(model, every=1) as w:
        train(model, data, lr=0.0)
    assert [row["step"] for row in w.history] == [0, 1, 2, 4, 5]
    assert "differs from pass to pass" in w.note
    layers = {key.partition("/")[2] for key in w.latest if key.startswith("active/")}
    usual = {"inner.1", "inner.3"}
    assert (
        layers
        == {
            "a function more": usual | {"gelu"},
            "called twice": usual | {"inner.3#2"},
            "not called": {"inner.1"},
            "back again": usual,
        }[kind]
    )
    share = (by_hand(model.inner, data[5])["1"] > 0).double().mean().item()
    assert w.latest["active/inner.1"] == pytest.approx(share)


def test_looks_that_are_far_apart_see_a_change_at_the_next_one() -> None:
    model = Varied("a function more", at=1)
    with ns.watch(model, every=4) as w:
        train(model, batches(9), lr=0.0)
    assert [row["step"] for row in w.history] == [0, 5, 8]
    assert "active/gelu" in w.history[1]
