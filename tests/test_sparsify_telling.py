"""Steering of `SparseFFN` on its fast path: the same penalty, gradients and counts as by hooks."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import nn
from torch.utils.checkpoint import checkpoint

import neurosparse as ns
from neurosparse.sparsify import SparseFFN, Sparsifier, calls, pairs


@pytest.fixture(autouse=True)
def one_break_even(monkeypatch):
    """Have blocks take the fast path at the same shares on every processor."""
    monkeypatch.setattr(pairs, "BREAK_EVEN", 0.25)


class Two(nn.Module):
    """Two blocks, the second called twice, or within a checkpoint."""

    def __init__(self, *, gated: bool = False, checkpointed: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = SparseFFN(12, 60, gated=gated)
        self.second = SparseFFN(12, 40, start_active=0.06)
        self.checkpointed = checkpointed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.first(x)
        if self.checkpointed:
            return x + checkpoint(self.second, x, use_reentrant=False)
        return x + self.second(x) + self.second(2 * x)


def steered(
    monkeypatch: pytest.MonkeyPatch, *, by_hooks: bool, steps: int = 3, **options: bool
) -> tuple[Two, Sparsifier]:
    """A few steps with a penalty, large enough to be seen; the gradients are those of the last."""
    with monkeypatch.context() as patch:
        if by_hooks:
            patch.setattr(calls, "tellers", lambda model: {})
        model = Two(**options)
        s = ns.sparsify(model, l1=0.05, steps=steps)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
        torch.manual_seed(1)
        for _ in range(steps):
            optimiser.zero_grad()
            (model(torch.randn(30, 12)).square().mean() + s.penalty()).backward()
            optimiser.step()
            s.step()
    return model, s


@pytest.mark.parametrize("options", [{}, {"gated": True}, {"checkpointed": True}])
def test_gradients_and_counts_are_those_by_hooks(monkeypatch, options):
    told, s = steered(monkeypatch, by_hooks=False, **options)
    heard, s2 = steered(monkeypatch, by_hooks=True, **options)
    assert [told.first.ran.path, told.second.ran.path] == ["active pairs"] * 2
    assert heard.first.ran.why == "its layers are being looked at"
    for (name, one), other in zip(told.named_parameters(), heard.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-6, rtol=1e-5, msg=name)
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5, msg=name)
    assert s.history == s2.history
    assert list(s.active) == ["first.activation", "second.activation"]
    assert all(0.01 < share < 0.3 for share in s.active.values())


@pytest.mark.parametrize("by_hooks", [False, True])
def test_a_block_that_is_used_twice_is_penalised_twice(monkeypatch, by_hooks):
    if by_hooks:
        monkeypatch.setattr(calls, "tellers", lambda model: {})
    block = SparseFFN(12, 60)
    model = nn.Sequential(block, block)
    x = torch.randn(30, 12)
    s = ns.sparsify(model, l1=1.0, steps=1, data=x)
    model(x)
    first = torch.relu(block.up(x))
    second = torch.relu(block.up(block(x)))
    torch.testing.assert_close(s.penalty(), (first.sum() + second.sum()) / 30)
    s.step()
    share = float(((first > 0).sum() + (second > 0).sum()) / (2 * first.numel()))
    assert list(s.active.values()) == [pytest.approx(share)]


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    shape=st.sampled_from([(1,), (7,), (2, 3), (0,)]),
    start=st.floats(0.02, 0.6),
)
def test_the_penalty_is_the_mean_l1(seed, shape, start):
    torch.manual_seed(seed)
    block = SparseFFN(5, 30, start_active=start)
    s = ns.sparsify(block, l1=0.5, data=torch.randn(4, 5))
    x = torch.randn(*shape, 5)
    block(x)
    if x.numel() == 0:
        with pytest.raises(RuntimeError, match="no steered layer has put anything out"):
            s.penalty()
        return
    hidden = torch.relu(block.up(x)).reshape(-1, 30)
    torch.testing.assert_close(s.penalty(), 0.5 * hidden.sum() / len(hidden), atol=1e-5, rtol=1e-5)


def test_a_penalty_is_steered_on_the_fast_path():
    torch.manual_seed(0)
    model = nn.Sequential(SparseFFN(8, 128), nn.Linear(8, 1))
    s = ns.sparsify(model, target=0.03, steps=300, reached=0.5)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    paths = set()
    for _ in range(300):
        x = torch.randn(64, 8)
        loss = (model(x)[:, 0] - x.prod(1).tanh()).square().mean() + s.penalty()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        s.step()
        paths.add(model[0].ran.path)
    assert paths == {"active pairs"}
    assert s.history[0]["active"] > 0.08
    assert s.latest["active"] < 0.05
    assert s.latest["l1/0.activation"] != s.history[0]["l1/0.activation"]


def test_dead_units_come_back_where_revive_asks_for_it():
    torch.manual_seed(0)
    block = SparseFFN(6, 40)
    with torch.no_grad():
        block.up.bias[:10] = -100.0
    s = ns.sparsify(block, target=0.1, steps=30, revive=True, dead_after=5)
    for _ in range(30):
        block(torch.randn(200, 6))
        s.penalty()
        s.step()
    dead = [row["dead/activation"] for row in s.history]
    assert dead[3] == 0
    assert dead[4] == 0.25  # seen, and brought back
    assert dead[-1] == 0
    assert (block.up.bias[:10] > -10).all()
    assert block.ran.path == "active pairs"


def test_a_compiled_model_gives_the_same_penalty():
    model, x = Two(), torch.randn(9, 12)
    s = ns.sparsify(model, l1=0.1, data=x)
    model(x)
    wanted = s.penalty()
    compiled = torch.compile(model, backend="eager")
    compiled(x)
    torch.testing.assert_close(s.penalty(), wanted)


@pytest.mark.parametrize(
    "how", [{"top_k": 0.05}, {"l1": 0.1, "active_when": ns.ActiveWhen(threshold=0.2)}]
)
def test_what_a_block_cannot_tell_is_heard(how):
    torch.manual_seed(0)
    block, x = SparseFFN(12, 60, start_active=0.4), torch.randn(50, 12)
    s = ns.sparsify(block, steps=1, data=x, **how)
    block(x)
    s.penalty()
    s.step()
    assert block.ran.why == "its layers are being looked at"
    hidden = torch.relu(block.up(x))
    share = 0.05 if "top_k" in how else float((hidden > 0.2).double().mean())
    assert s.active["activation"] == pytest.approx(share)


def test_removed_it_is_a_block_as_before():
    block, x = SparseFFN(12, 60), torch.randn(9, 12)
    s = ns.sparsify(block, l1=0.1, data=x)
    assert block.tells
    s.remove()
    block(x)
    assert not block.tells
    assert block.counts is None
    assert block.ran.path == "active pairs"


def test_a_watch_and_a_penalty_at_once():
    block, x = SparseFFN(12, 60), torch.randn(50, 12)
    s = ns.sparsify(block, l1=0.1, data=x)
    with ns.watch(block, every=1) as w:
        y = block(x)
        (y.sum() + s.penalty()).backward()
    share = float((block.up(x) > 0).double().mean())
    assert w.latest["active"] == pytest.approx(share)
