"""Trainings that are steered: the share that is held, what starts, lives and goes on."""

from __future__ import annotations

import math
import socket

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from steered import NETWORKS, batch, mlp, outputs_of
from torch import nn
from torch.nn import functional as F  # noqa: N812

import neurosparse as ns
from neurosparse import data
from neurosparse.rectifier.controller import FIRST_L1
from neurosparse.sparsify.controller import Plan, Steering
from neurosparse.sparsify.revive import shift_for
from neurosparse.sparsify.topk import top_k

# ---- The controller


def test_the_rule_is_proportional_and_integral() -> None:
    plan = Plan({"a": 0.1, "b": 0.1}, steps=700, reached=0.5, start=None)
    assert plan.every == 2
    state = Steering.first(["a", "b"])
    assert state.l1 == {"a": FIRST_L1, "b": FIRST_L1}
    state = state.after(plan, 0, {"a": 0.4, "b": 0.2})
    assert state.start == {"a": 0.4, "b": 0.2}
    assert state.l1 == {"a": FIRST_L1, "b": FIRST_L1}  # both are where their ways begin
    later = state.after(plan, 350, {"a": 0.1, "b": 0.15})
    assert later.l1["a"] == FIRST_L1
    assert later.l1["b"] == pytest.approx(FIRST_L1 * math.exp((0.3 + 2.0) * 0.5))
    again = later.after(plan, 360, {"b": 0.13})  # less above it than before: the penalty falls
    assert again.l1["b"] == pytest.approx(later.l1["b"] * math.exp(0.3 * 0.3 - 2.0 * 0.2))
    assert state.after(plan, 350, {"a": 0.4}).l1["b"] == state.l1["b"]  # nothing was seen of it


def test_no_layer_is_to_be_more_active_than_it_is_found() -> None:
    """No penalty can be low enough for that, and it would have to rise from there later on."""
    plan = Plan(dict.fromkeys("abc", 0.04), steps=700, reached=0.5, start=0.1)
    state = Steering.first(["a", "b", "c"]).after(plan, 0, {"a": 0.3, "b": 0.07, "c": 0.0})
    assert state.start == {"a": 0.1, "b": 0.07, "c": 0.04}


@given(st.floats(0.0, 0.05), st.floats(0.4, 1.0), st.sampled_from([2, 8, 25]))
def test_a_share_that_follows_late_while_its_gradient_vanishes_is_held(
    fall: float, gain: float, lag: int
) -> None:
    """A layer of first order, whose share would fall as its loss does were its weight not lowered.

    With the first term alone, at 0.2, it ends up to a third off its target.
    """
    plan = Plan({"a": 0.04}, steps=1400, reached=0.6, start=None)
    state, share, ends = Steering.first(["a"]), 0.3, []
    for look in range(350):
        weight = math.log(state.l1["a"] / FIRST_L1)
        rest = 0.3 * math.exp(-gain * (weight + fall * max(0, look - 175)))
        share += (min(rest, 0.5) - share) / lag
        state = state.after(plan, 4 * look, {"a": share})
        ends.append(share)
    assert sum(ends[-35:]) / 35 == pytest.approx(0.04, rel=0.1)


@given(st.floats(0.001, 0.9), st.floats(0.001, 0.9), st.floats(0.01, 1), st.integers(0, 200))
def test_the_way_lies_between_its_ends(
    start: float, target: float, reached: float, step: int
) -> None:
    plan = Plan({"a": target}, steps=100, reached=reached, start=start)
    share = plan.at(step, {"a": start})["a"]
    assert min(start, target) * (1 - 1e-12) <= share <= max(start, target) * (1 + 1e-12)
    if step >= reached * 100:
        assert share == pytest.approx(target)


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    found = data.load("mnist5k").train
    images = torch.tensor(found.images).reshape(len(found.labels), -1)
    return images, torch.tensor(found.labels).long()


@pytest.fixture
def one_thread():
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("optimizer", "lr", "target"),
    [
        (torch.optim.SGD, 0.1, 0.04),
        (torch.optim.AdamW, 1e-3, 0.04),
        pytest.param(torch.optim.AdamW, 1e-3, {"1": 0.10, "3": 0.03}, marks=pytest.mark.slow),
    ],
)
def test_digits_hold_their_shares_and_keep_their_units(optimizer, lr, target) -> None:
    """Within a tenth of the target in every layer, at most 5 % dead; about 3 seconds each."""
    images, labels = digits()
    model, epochs, size = mlp(192, inputs=784), 15, 64
    n = len(labels) // size
    descent = optimizer(model.parameters(), lr=lr)
    s = ns.sparsify(
        model, target, steps=n * epochs, start_active=0.1 if lr < 0.1 else None, revive=True
    )
    for epoch in range(epochs):
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(epoch))
        for rows in order[: n * size].split(size):
            for group in descent.param_groups:
                group["lr"] = lr * min(1, 2.02 - 2 * s.n_steps / (n * epochs))
            loss = F.cross_entropy(model(images[rows]), labels[rows]) + s.penalty()
            descent.zero_grad()
            loss.backward()
            descent.step()
            s.step()
    s.remove()
    found = outputs_of(model, images)
    for name, z in found.items():
        wanted = target[name] if isinstance(target, dict) else target
        assert (z > 0).double().mean().item() == pytest.approx(wanted, rel=0.1)
        assert (~(z > 0).any(0)).double().mean().item() <= 0.05
    assert (model(images).argmax(1) == labels).double().mean() > 0.88  # they do learn


# ---- Biases: the start, and revival


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_starts_at_the_share_asked_for(name: str) -> None:
    make, shape, layers = NETWORKS[name]
    shape = (64, *shape[1:])
    model, x = make(), batch(shape)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    ns.sparsify(model, target=0.04, start_active=0.1, data=x).remove()
    for layer, z in outputs_of(model, x).items():
        assert layer in layers
        assert (z > 0).double().mean().item() == pytest.approx(0.1, abs=0.02), layer


@given(st.integers(0, 1000), st.floats(0.02, 0.6))
def test_the_shift_is_the_one_for_which_so_many_are_active(seed: int, share: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(400, 8, generator=generator) * torch.rand(8, generator=generator) + 3
    on = z + shift_for(z, share) > 0
    assert on.double().mean().item() == pytest.approx(share, abs=2e-3)
    assert (on.double().mean(0) - share).abs().max() < 0.12


def test_dead_units_are_reported_and_revived() -> None:
    for revive in (False, True):
        model = mlp()
        with torch.no_grad():
            model[0].bias[:8] = -100.0
        s = ns.sparsify(model, target=0.3, start=0.3, steps=100, revive=revive, dead_after=5)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
        for k in range(20):
            (model(batch((64, 6), seed=k)).square().mean() + s.penalty()).backward()
            optimizer.step()
            optimizer.zero_grad()
            s.step()
        dead = [row["dead/1"] for row in s.history]
        assert dead[:5] == [0.0, 0.0, 0.0, 0.0, 0.25]
        assert s.dead["1"] == (0.0 if revive else 0.25)
        bias = model[0].bias[:8]
        assert bool((bias > -10).all()) == revive
        hidden = F.relu(model[0](batch((500, 6), seed=99)))[:, :8]
        share = (hidden > 0).double().mean().item()
        assert share == pytest.approx(0.3, abs=0.06) if revive else share == 0


def test_a_layer_without_a_bias_is_named() -> None:
    model = nn.Sequential(nn.Linear(6, 8, bias=False), nn.ReLU())
    with pytest.raises(ValueError, match="layer '1' has no bias of 8 units"):
        ns.sparsify(model, target=0.1, start_active=0.1, data=batch((4, 6)))


def test_frozen_biases_stay_as_they_are() -> None:
    model, x = mlp(), batch((64, 6))
    model[0].requires_grad_(False)
    before = model[0].bias.clone()
    with pytest.raises(ValueError, match="layer '1' has a frozen bias of 32 units"):
        ns.sparsify(model, target=0.1, start_active=0.1, data=x)
    assert not hooks_of(model)
    with torch.no_grad():
        before[:8] = -100.0
        model[0].bias[:8] = -100.0  # dead
    s = ns.sparsify(model, target=0.01, steps=60, revive=True, dead_after=5)

    def train() -> None:
        for _ in range(60):
            (model(x).square().mean() + s.penalty()).backward()
            s.step()

    with pytest.warns(UserWarning, match="dead units stay dead in 1: there is no bias"):
        train()
    assert torch.equal(model[0].bias, before)


def hooks_of(model: nn.Module) -> list[object]:
    return [h for m in model.modules() for h in (*m._forward_hooks, *m._forward_pre_hooks)]


class Counting(nn.Module):
    """Buffers that a pass changes or sets anew, and one whose entries share their memory."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()
        for name in ("passes", "last"):
            self.register_buffer(name, torch.zeros(1))
        self.register_buffer("wide", torch.zeros(4).expand(3, 4))

    def forward(self, x):
        self.passes += 1
        self.last = x[:, 0]
        return self.net(x)


def test_the_pass_that_finds_the_layers_leaves_the_buffers() -> None:
    model = Counting()
    last = model.last
    ns.sparsify(model, target=0.1, start_active=0.1, data=batch((4, 6)))
    assert model.last is last
    assert not any(buffer.any() for buffer in model.buffers())


@pytest.mark.parametrize(
    ("model", "data", "match"),
    [
        (nn.RNN(6, 8, nonlinearity="relu"), torch.zeros(4, 3, 6), "the output of no single"),
        (mlp(), torch.zeros(4, 5), "Sequential does not run on data: RuntimeError: mat1 and mat2"),
        (mlp(), "a word", "data must be one batch, a tensor or a dict"),
    ],
)
def test_a_refusal_leaves_no_hooks(model, data, match: str) -> None:
    with pytest.raises((ValueError, TypeError), match=match):
        ns.sparsify(model, target=0.1, data=data)
    assert not hooks_of(model)


def test_a_state_of_other_layers_leaves_no_hooks() -> None:
    model, x = mlp(), batch((4, 6))
    state = ns.sparsify(nn.Sequential(nn.Linear(6, 8), nn.ReLU()), target=0.1, data=x).state_dict()
    ns.sparsify(model, target=0.1).load_state_dict(state)
    with pytest.raises(ValueError, match="this state is of the layers"):
        model(x)
    assert not hooks_of(model)


# ---- Checkpoints


def test_a_training_goes_on_bit_for_bit(tmp_path) -> None:
    def steps(model, optimizer, s, first: int, last: int) -> None:
        for k in range(first, last):
            optimizer.zero_grad()
            (model(batch((16, 6), seed=k)).square().mean() + s.penalty()).backward()
            optimizer.step()
            s.step()

    def fresh():
        model = mlp()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        settings = {"steps": 1400, "start_active": 0.2, "revive": True, "dead_after": 2}
        return model, optimizer, ns.sparsify(model, target=0.05, **settings)

    through = fresh()
    steps(*through, 0, 60)
    halted = fresh()
    steps(*halted, 0, 30)  # in between two looks, which come every 4 steps
    torch.save([part.state_dict() for part in halted], tmp_path / "state.pt")
    resumed = fresh()
    for part, state in zip(resumed, torch.load(tmp_path / "state.pt"), strict=True):
        part.load_state_dict(state)
    steps(*resumed, 30, 60)
    assert resumed[2].history == through[2].history
    assert resumed[2].l1 == through[2].l1
    for a, b in zip(through[0].parameters(), resumed[0].parameters(), strict=True):
        assert torch.equal(a, b)
    other = ns.sparsify(mlp(), target=0.05, layers=["1"], data=batch((4, 6)))
    with pytest.raises(ValueError, match="of the layers"):
        other.load_state_dict(halted[2].state_dict())


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("l1", None, "l1"),
        ("l1", {}, "its l1 lacks the layer '1'"),
        ("l1", {"1": float("nan")}, "l1.1"),
        ("start", {"1": -0.5}, "start.1"),
        ("counts", {"1": torch.zeros(5)}, r"\(5,\) units in layer '1', which has 8"),
        ("idle", {}, "its idle lacks the layer '1'"),
        ("samples", {"1": 2**63}, "samples.1"),
        ("history", [{"step": "x"}], "history.0.step"),
        ("n_steps", -1, "n_steps"),
    ],
)
def test_a_damaged_state_is_refused(part, value, message):
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    steering = ns.sparsify(model, target=0.1, data=batch((4, 6)))
    before, state = steering.state_dict(), steering.state_dict() | {part: value}
    with pytest.raises(ValueError, match=message):
        steering.load_state_dict(state)
    del state[part]
    with pytest.raises(ValueError, match=part):
        steering.load_state_dict(state)
    assert str(steering.state_dict()) == str(before)


# ---- Top-k


@given(st.integers(0, 10_000), st.floats(0.01, 1.0), st.sampled_from([(7, 20), (3, 11, 4, 2)]))
def test_top_k_keeps_exactly_the_largest(seed: int, share: float, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-4, 5, shape, generator=generator).double().requires_grad_()
    axis = 1
    k = max(1, round(share * shape[axis]))
    kept = top_k(x, share, axis)
    rows, before = (t.detach().movedim(axis, -1).reshape(-1, shape[axis]) for t in (kept, x))
    for row, values in zip(rows, before, strict=True):
        largest = values.abs().sort(descending=True).values[:k]
        assert row.abs().sort(descending=True).values[:k].equal(largest)
        assert int((row != 0).sum()) <= k
    kept.sum().backward()
    assert int(x.grad.sum()) == rows.shape[0] * k


@pytest.mark.parametrize("name", NETWORKS)
def test_top_k_in_training_and_after(name: str) -> None:
    make, shape, layers = NETWORKS[name]
    model, x = make(), batch(shape)
    plain = model.eval()(x)
    s = ns.sparsify(model, top_k=0.25, steps=1)
    for training in (True, False):
        model.train(training)
        with ns.watch(model) as w:
            model(x)
            assert float(s.penalty()) == 0
        assert bool(w.history) == training
    model.train()
    (model(x).sum() + s.penalty()).backward()
    s.step()
    assert set(s.active) == set(layers)
    for layer, share in s.active.items():
        n = s._taps[layer].site.n_units
        assert 0 < share <= max(1, round(0.25 * n)) / n, layer
    s.remove()
    torch.testing.assert_close(model.eval()(x), plain) if name != "resnet" else None
    assert not any(m._forward_hooks for m in model.modules())


# ---- Several processes


def _one_process(rank: int, port: int, folder: str) -> None:
    from torch import distributed

    distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
    )
    torch.set_num_threads(1)
    model = mlp()
    s = ns.sparsify(model, target=0.05, steps=6, start_active=0.2)
    wrapped = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for k in range(6):
        optimizer.zero_grad()
        (wrapped(batch((16, 6), seed=10 * k + rank)).square().mean() + s.penalty()).backward()
        optimizer.step()
        s.step()
    torch.save([list(s.history), s.l1, model.state_dict()], f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_agree(tmp_path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_one_process, (port, str(tmp_path)), nprocs=2)
    (rows, l1, weights), (others, other_l1, other_weights) = (
        torch.load(tmp_path / f"{k}.pt") for k in (0, 1)
    )
    assert rows == others
    assert l1 == other_l1
    for name, value in weights.items():
        assert torch.equal(value, other_weights[name])
