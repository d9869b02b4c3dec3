"""Trainings that are steered: the share that is held, the gradient of the penalty, what goes on."""

from __future__ import annotations

import math
import socket
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint

import neurosparse as ns
from neurosparse import data
from neurosparse.rectifier.controller import FIRST_L1
from neurosparse.sparsify.controller import Plan, Steering
from neurosparse.sparsify.revive import shift_for
from neurosparse.sparsify.topk import top_k


def mlp(width: int = 32, seed: int = 0, inputs: int = 6) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, 10),
    )


class Residual(nn.Module):
    """Two convolutions and a way around them, rectifiers as functions and in place."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(n, n, 3, padding=1, bias=False), nn.BatchNorm2d(n)
        self.conv2, self.bn2 = nn.Conv2d(n, n, 3, padding=1, bias=False), nn.BatchNorm2d(n)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(h)) + x)


def resnet(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    stem = [nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)]
    return nn.Sequential(
        *stem, Residual(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)
    )


class Block(nn.Module):
    """A transformer's block whose one rectifier module serves both of its layers."""

    def __init__(self, d: int = 12, n: int = 24, shared: nn.Module | None = None) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.up1, self.down1, self.up2, self.down2 = (
            nn.Linear(d, n), nn.Linear(n, d), nn.Linear(d, n), nn.Linear(n, d)
        )  # fmt: skip
        self.act, self.drop = nn.ReLU(), nn.Dropout(0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.drop(self.down1(self.act(self.up1(self.norm1(x)))))
        return x + self.down2(self.act(self.up2(self.norm2(x))))


def vit(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 12), Block(), Block(), nn.Linear(12, 10))


NETWORKS = {
    "mlp": (mlp, (40, 6), ["1", "3"]),
    "resnet": (resnet, (8, 1, 10, 10), ["2", "3.relu", "3.relu#2"]),
    "vit": (vit, (4, 5, 6), ["1.act", "1.act#2", "2.act", "2.act#2"]),
}


def batch(shape: tuple[int, ...], seed: int = 3) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def outputs_of(model: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the rectifiers put out, heard by replacing `torch.relu` and `relu_` themselves."""
    names = {id(m): name for name, m in model.named_modules()}
    found: dict[str, torch.Tensor] = {}
    inside: list[str] = []
    plain = F.relu

    def spy(z: torch.Tensor, inplace: bool = False) -> torch.Tensor:
        output = plain(z)
        place = inside[-1]
        place = place if isinstance(model.get_submodule(place), nn.ReLU) else f"{place}.relu"
        n = 1 + sum(name.partition("#")[0] == place for name in found)
        found[place if n == 1 else f"{place}#{n}"] = output
        return output

    handles = []
    for module in model.modules():
        handles.append(module.register_forward_pre_hook(lambda m, _x: inside.append(names[id(m)])))
        handles.append(module.register_forward_hook(lambda _m, _x, _y: inside.pop() and None))
    F.relu = spy
    try:
        model(x)
    finally:
        F.relu = plain
        for handle in handles:
            handle.remove()
    return found


# ---- Names and forms


ORDERS = """
import os
import numba, scipy.stats, torch  # once: nothing of this package is imported yet
for first in (
    "import neurosparse as ns; f = ns.sparsify",
    "import neurosparse.sparsify; import neurosparse as ns; f = ns.sparsify",
    "import neurosparse.sparsify.steering; import neurosparse as ns; f = ns.sparsify",
    "from neurosparse import sparsify as f; import neurosparse as ns",
    "from neurosparse.sparsify import sparsify as f; import neurosparse as ns",
):
    if (pid := os.fork()) == 0:
        break
    if os.wait()[1]:
        raise SystemExit(first)
else:
    raise SystemExit
exec(first)
from torch import nn
from neurosparse.sparsify import SparseFFN, Sparsifier
assert isinstance(f(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), target=0.1), Sparsifier)
assert ns.sparsify.SparseFFN is SparseFFN and ns.sparsify is f
assert "sparsify" in dir(ns) and "SparseFFN" in dir(ns.sparsify)
"""


def test_the_package_is_the_function_whatever_is_imported_first() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ORDERS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# ---- The penalty


@pytest.mark.parametrize("name", NETWORKS)
def test_the_penalty_and_its_gradient_are_those_of_an_explicit_l1(name: str) -> None:
    make, shape, layers = NETWORKS[name]
    x = batch(shape)
    explicit, steered = make(), make()
    weights = {layer: 0.01 * (k + 1) for k, layer in enumerate(layers)}
    s = ns.sparsify(steered, l1=weights)
    for model in (explicit, steered):
        model[-1].weight.data.mul_(3)
    torch.manual_seed(5)
    found = outputs_of(explicit, x)
    assert list(found) == layers
    axis = 1 if name == "resnet" else -1
    expected = sum(weights[k] * z.abs().sum(axis).mean() for k, z in found.items())
    torch.manual_seed(5)
    steered(x)
    penalty = s.penalty()
    torch.testing.assert_close(penalty, expected)
    expected.backward()
    penalty.backward()
    grads = [
        (a.grad, b.grad) for a, b in zip(explicit.parameters(), steered.parameters(), strict=True)
    ]
    assert any(a is not None for a, _ in grads)
    for a, b in grads:
        torch.testing.assert_close(a, b) if a is not None else None
        assert (a is None) == (b is None)


@pytest.mark.parametrize("name", NETWORKS)
def test_finding_the_layers_leaves_no_trace(name: str) -> None:
    """Weights, buffers and random numbers after a steered step of weight 0 are those of a plain one."""
    make, shape, layers = NETWORKS[name]
    plain, steered = make(), make()
    s = ns.sparsify(steered, l1=0.0)
    for model in (plain, steered):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        torch.manual_seed(7)
        for k in range(3):
            loss = model(batch(shape, seed=k)).square().mean()
            (loss + s.penalty() if model is steered else loss).backward()
            optimizer.step()
            optimizer.zero_grad()
            if model is steered:
                s.step()
    assert list(s.active) == layers
    for (key, a), b in zip(plain.state_dict().items(), steered.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0, msg=key)


def test_layers_that_are_no_rectifiers_are_steered_by_name() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 20), nn.GELU(), nn.Linear(20, 2))
    s = ns.sparsify(model, l1=0.1, layers=["1"], active_when=ns.ActiveWhen(threshold=0.2), steps=1)
    x = batch((50, 6))
    hidden = model[:2](x)
    model(x)
    torch.testing.assert_close(s.penalty(), 0.1 * hidden.abs().sum(1).mean())
    s.step()
    assert s.active["1"] == pytest.approx((hidden.abs() > 0.2).double().mean().item())


# ---- Counts


@pytest.mark.parametrize("name", NETWORKS)
def test_the_share_is_that_of_all_passes_between_two_looks(name: str) -> None:
    """Gradient accumulation and evaluation in between: two training passes a step are counted."""
    make, shape, layers = NETWORKS[name]
    model = make()
    s = ns.sparsify(model, target=0.04, steps=1)
    expected: dict[str, list[torch.Tensor]] = {layer: [] for layer in layers}
    for k in range(2):
        twin = make()
        torch.manual_seed(k)
        for layer, z in outputs_of(twin, batch(shape, seed=k)).items():
            expected[layer].append(z)
        torch.manual_seed(k)
        (model(batch(shape, seed=k)).square().mean() + s.penalty()).backward()
        model.eval()
        model(batch(shape, seed=9))
        model.train()
        if name == "resnet":
            break  # running statistics change no training pass, but keep the two in step
    s.step()
    for layer, found in expected.items():
        assert s.active[layer] == (torch.cat(found) > 0).double().mean().item()


@pytest.mark.parametrize("kind", [nn.ReLU, nn.GELU])
def test_gradient_checkpointing_counts_once_and_has_the_same_gradient(
    kind: type[nn.Module],
) -> None:
    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.inner = nn.Sequential(nn.Linear(6, 20), kind(), nn.Linear(20, 3))
            self.reentrant: bool | None = None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.reentrant is None:
                return self.inner(x)
            return checkpoint(self.inner, x, use_reentrant=self.reentrant)

    plain, saved = Checkpointed(), Checkpointed()
    saved.reentrant = False
    x, active = batch((30, 6)), []
    for model in (plain, saved):
        s = ns.sparsify(
            model, l1=0.05, layers=["inner.1"], active_when=ns.ActiveWhen(threshold=0.1), steps=1
        )
        (model(x).square().mean() + s.penalty()).backward()
        s.step()
        active.append(s.active)
    assert active[0] == active[1]
    for a, b in zip(plain.parameters(), saved.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
    saved.reentrant = True
    saved(x.requires_grad_())
    with pytest.raises(RuntimeError, match="use_reentrant=False"):
        s.penalty()


def test_autocast_counts_what_autocast_computed() -> None:
    model, x = mlp(), batch((200, 6))
    seen = []
    s = ns.sparsify(model, target=0.04, steps=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model[1].register_forward_hook(lambda _m, _x, out: seen.append(out.detach().clone()))
        model(x)
        penalty = s.penalty()
    assert seen[-1].dtype == torch.bfloat16
    assert penalty.dtype == torch.float32
    s.step()
    assert s.active["1"] == (seen[-1] > 0).double().mean().item()


@pytest.mark.parametrize(("name", "with_data"), [("mlp", True), ("mlp", False), ("resnet", True)])
def test_compiled_models_count_the_same(name: str, with_data: bool) -> None:
    """Modules with `data`: no graph is broken. Without: the first pass alone. Functions: at the
    beginning of each pass, and the note says so. There is one graph in each case.
    """
    torch._dynamo.reset()
    make, shape, layers = NETWORKS[name]
    fullgraph, graphs = with_data and name == "mlp", []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    plain, model = make(), make()
    found = []
    for each in (plain, model):
        s = ns.sparsify(each, target=0.1, steps=9, data=batch(shape) if with_data else None)
        compiled = torch.compile(each, backend=backend, fullgraph=fullgraph)
        runs = compiled if each is model else each
        optimizer = torch.optim.SGD(each.parameters(), lr=0.1)
        for k in range(9):
            optimizer.zero_grad()
            (runs(batch(shape, seed=k)).square().mean() + s.penalty()).backward()
            optimizer.step()
            s.step()
        found.append([dict(row) for row in s.history])
    assert found[0] == found[1]
    assert list(s.active) == layers
    assert len(found[0]) == 9
    assert len(graphs) == 1
    assert ("graph break" in s.note) == (name == "resnet")
    for a, b in zip(plain.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(a, b)


# ---- Padded tokens


class Texts(nn.Module):
    """Rectifiers over (inputs, tokens), (tokens, inputs), and both in one axis with two heads."""

    def __init__(self, checkpointed: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.checkpointed = nn.Embedding(20, 6), checkpointed
        self.plain, self.swapped, self.flat = nn.Linear(6, 10), nn.Linear(10, 8), nn.Linear(4, 12)
        self.act1, self.act2, self.act3 = nn.ReLU(), nn.ReLU(), nn.ReLU()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None):
        x = self.words(input_ids)
        h = checkpoint(self.first, x, use_reentrant=False) if self.checkpointed else self.first(x)
        h = self.act2(self.swapped(h.transpose(0, 1))).transpose(0, 1)
        return self.act3(self.flat(h.reshape(-1, 4)))

    def first(self, x: torch.Tensor) -> torch.Tensor:
        return self.act1(self.plain(x))


def padded(seed: int = 1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(7) < torch.tensor([7, 2, 4, 1, 3])[:, None]
    return {
        "input_ids": torch.randint(1, 20, (5, 7), generator=generator) * mask,
        "attention_mask": mask.long(),
    }


@pytest.mark.parametrize("checkpointed", [False, True])
def test_padded_tokens_are_not_steered(checkpointed: bool) -> None:
    """Shares, penalty and gradient are those of the words alone, run one by one."""
    model, alone, x = Texts(checkpointed), Texts(), padded()
    words = x["input_ids"][x["attention_mask"] == 1]
    found: dict[str, torch.Tensor] = {}
    for name in ("act1", "act2", "act3"):
        alone.get_submodule(name).register_forward_hook(
            lambda _m, _x, output, name=name: found.update({name: output})
        )
    alone(words[:, None]).square().mean().backward()
    alone.zero_grad()
    l1 = {"act1": 0.1, "act2": 0.2, "act3": 0.3}
    s = ns.sparsify(model, l1=l1, steps=1)
    model(**x)
    penalty = s.penalty()
    alone(words[:, None])
    expected = sum(l1[name] * z.sum(-1).mean() for name, z in found.items())
    torch.testing.assert_close(penalty, expected)
    penalty.backward()
    expected.backward()
    for a, b in zip(model.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
    s.step()
    shares = {name: (z > 0).double().mean().item() for name, z in found.items()}
    assert s.active == pytest.approx(shares, rel=1e-12)


def test_biases_are_set_from_words_alone() -> None:
    model, x = Texts(), padded()
    ns.sparsify(model, target=0.04, start_active=0.2, data=x).remove()
    found = []
    model.act1.register_forward_hook(lambda _m, _x, output: found.append(output))
    model(**x)
    share = (found[0][x["attention_mask"] == 1] > 0).double().mean().item()
    assert share == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("decoder_mask", [False, True])
def test_padded_tokens_of_an_encoder_and_a_decoder(decoder_mask: bool) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            vocab_size=20, d_model=16, d_kv=8, d_ff=40, num_layers=1, num_heads=2,
            dropout_rate=0.0, decoder_start_token_id=0,
        )
    )  # fmt: skip
    x = padded() | {"labels": padded(2)["input_ids"][:, :6].contiguous()}
    masks = {"encoder": x["attention_mask"], "decoder": torch.ones(5, 6)}
    if decoder_mask:
        x["decoder_input_ids"] = x["labels"]
        masks["decoder"] = x["decoder_attention_mask"] = padded()["attention_mask"][:, :6]
    s = ns.sparsify(model, target=0.04, steps=1)
    found: dict[str, torch.Tensor] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(
                lambda _m, _x, output, name=name: found.update({name: output})
            )
    (model(**x).loss + s.penalty()).backward()
    s.step()
    assert len(found) == 2
    for name, z in found.items():
        words = z[masks[name.partition(".")[0]] == 1]
        assert s.active[name] == pytest.approx((words > 0).double().mean().item(), rel=1e-12), name


def test_a_mask_that_comes_later_is_refused() -> None:
    model, x = Texts(), padded()
    ns.sparsify(model, target=0.04)
    model(x["input_ids"])
    with pytest.raises(ValueError, match=r"this batch has attention_mask.*data="):
        model(**x)


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


# ---- Networks that are not ours


def test_transformers_from_configuration() -> None:
    transformers = pytest.importorskip("transformers")
    opt = transformers.OPTForCausalLM(
        transformers.OPTConfig(
            vocab_size=40, hidden_size=16, num_hidden_layers=2, ffn_dim=32, num_attention_heads=2,
            max_position_embeddings=32, word_embed_proj_dim=16,
        )
    )  # fmt: skip
    tokens = torch.randint(0, 40, (4, 9), generator=torch.Generator().manual_seed(0))
    s = ns.sparsify(opt, target=0.04, steps=1, start_active=0.1)
    loss = opt(input_ids=tokens, labels=tokens).loss + s.penalty()
    loss.backward()
    s.step()
    assert len(s.active) == 2
    assert all("layers" in name for name in s.active)
    assert s.active == pytest.approx(dict.fromkeys(s.active, 0.1), abs=0.05)


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


# ---- What is refused


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({}, ValueError, "exactly one of .* got none"),
        ({"target": 0.1, "l1": 0.1}, ValueError, "got target, l1"),
        ({"target": 1.0}, ValueError, "target must lie between 0 and 1, got 1.0"),
        ({"target": {"1": 0.0}}, ValueError, "target must lie between 0 and 1, got 0.0"),
        ({"target": {}}, ValueError, "at least one"),
        ({"target": {"1": 0.1}, "layers": ["3"]}, ValueError, r"\['3'\] are not those"),
        ({"l1": -1.0}, ValueError, "l1"),
        ({"top_k": 0.0}, ValueError, "top_k"),
        ({"target": 0.1, "layers": "1"}, ValueError, "got '1'"),
        ({"target": 0.1, "steps": 0}, ValueError, "steps"),
        ({"target": 0.1, "reached": 0.0}, ValueError, r"reached must lie in \(0, 1\], got 0.0"),
        ({"target": 0.1, "start_active": 1.5}, ValueError, "start_active"),
        ({"target": 0.1, "active_when": ns.ActiveWhen(window_ms=1)}, ValueError, "threshold"),
        ({"target": 0.1, "data": 3}, TypeError, "one batch"),
    ],
)
def test_what_cannot_be_steered(values, error, message) -> None:
    with pytest.raises(error, match=message):
        ns.sparsify(mlp(), **values)


def test_a_layer_is_steered_by_one_sparsifier_at_a_time() -> None:
    model, x = mlp(), torch.randn(8, 6)

    def a_step(steering: ns.sparsify.Sparsifier) -> None:
        (model(x).sum() + steering.penalty()).backward()

    first = ns.sparsify(model, target=0.1, steps=20, layers=["1"])
    a_step(first)
    other = ns.sparsify(model, target=0.2, steps=20, layers=["3"])
    a_step(other)
    third = ns.sparsify(model, target=0.3, steps=20)
    with pytest.raises(ValueError, match=r"^1, 3: steered by another sparsify already"):
        a_step(third)
    for one in (first, other, third):
        one.remove()
    a_step(ns.sparsify(model, target=0.3, steps=20))


def test_mistakes_of_a_loop_are_named() -> None:
    model = mlp()
    s = ns.sparsify(model, target=0.1)
    with pytest.raises(RuntimeError, match="call the model"):
        s.penalty()
    model(batch((4, 6)))
    s.penalty()
    with pytest.raises(RuntimeError, match="before each penalty"):
        s.penalty()
    s.step()
    with pytest.raises(RuntimeError, match="add penalty"):
        s.step()
    with pytest.raises(ValueError, match="no layer '5'"):
        ns.sparsify(mlp(), target=0.1, layers=["5"], data=batch((4, 6)))
    with pytest.raises(ValueError, match="layers found: 1"):
        ns.sparsify(nn.Sequential(nn.Linear(6, 4), nn.Sigmoid()), target=0.1, data=batch((4, 6)))
    with pytest.raises(TypeError, match="got str"):
        ns.sparsify("model", target=0.1)


# ---- Recurrent and scripted modules


@pytest.mark.parametrize("way", [{"l1": 0.5}, {"top_k": 0.25}])
@pytest.mark.parametrize("packed", [False, True])
def test_a_recurrent_layer_is_steered(way: dict[str, float], packed: bool) -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.rnn = nn.RNN(4, 16, nonlinearity="relu", batch_first=True)
            self.out = nn.Linear(16, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if packed:
                lengths = torch.tensor([5, 3, 1, 4])
                x = nn.utils.rnn.pack_padded_sequence(x, lengths, True, enforce_sorted=False)
            y = self.rnn(x)[0]
            return self.out(y.data if packed else y)

    model, x, found = Reads(), torch.randn(4, 5, 4), []
    s = ns.sparsify(model, **way, steps=1)
    model(x)  # finds the layers
    s.penalty()
    rows = lambda output: output[0].data if packed else output[0]  # noqa: E731
    model.rnn.register_forward_hook(lambda _m, _x, output: found.append(rows(output)))
    model(x)
    penalty = s.penalty()
    s.step()
    share = (found[-1] > 0).double().mean().item()
    assert s.active == pytest.approx({"rnn": share})
    if "l1" in way:
        torch.testing.assert_close(penalty, 0.5 * found[-1].sum(-1).mean())
    else:
        assert int((found[-1] > 0).sum(-1).max()) == 4


def test_layers_below_in_a_recurrent_module_are_told() -> None:
    model = nn.RNN(4, 8, 2, nonlinearity="relu", batch_first=True)
    with pytest.warns(UserWarning, match=r"^the last of the 2 layers of .* is steered"):
        ns.sparsify(nn.Sequential(model), target=0.1, data=torch.randn(3, 5, 4))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_models_are_refused() -> None:
    scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 8), nn.ReLU()))
    for call in (lambda: ns.sparsify(scripted, target=0.1), lambda: ns.watch(scripted)):
        with pytest.raises(ValueError, match=r"^the network is a scripted or traced one"):
            call()
