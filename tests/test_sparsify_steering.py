"""Steered layers: the penalty and its gradient, what is counted, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from steered import NETWORKS, batch, mlp, outputs_of
from torch import nn
from torch.utils.checkpoint import checkpoint

import neurosparse as ns

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
    with pytest.raises(TypeError, match="got a string"):
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


# ---- What goes wrong without a word


def test_a_model_is_free_again_after_a_refusal() -> None:
    model, x = nn.Sequential(nn.Linear(6, 8), nn.GELU()), batch((5, 6))
    ns.sparsify(model, target=0.1, steps=5)
    with pytest.raises(ValueError, match="no rectifier to steer"):
        model(x)
    assert model(x).shape == (5, 8)
    steering = ns.sparsify(
        model, target=0.1, steps=5, layers=["1"], active_when=ns.ActiveWhen(threshold=0.1)
    )
    model(x)
    assert steering.penalty() > 0


def test_a_batch_that_does_not_fit_leaves_it_steered() -> None:
    model = mlp()
    steering = ns.sparsify(model, target=0.1, steps=5)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        model(batch((5, 7)))
    model(batch((5, 6)))
    assert steering.penalty() > 0


def test_a_step_that_is_forgotten_is_named() -> None:
    model, x = mlp(), batch((5, 6))
    steering = ns.sparsify(model, target=0.1, steps=1000)

    def loop() -> None:
        for _ in range(200):
            model(x)
            steering.penalty()

    with pytest.warns(UserWarning, match="200 times without step"):
        loop()


def test_many_dead_units_are_named_once() -> None:
    model, x = mlp(), batch((40, 6))
    with torch.no_grad():
        model[0].bias[:20] = -100.0
    steering = ns.sparsify(model, target=0.1, steps=100)

    def loop() -> None:
        for _ in range(30):
            model(x)
            steering.penalty()
            steering.step()

    with pytest.warns(UserWarning, match=r"6[0-9] % in 1.*revive=True") as found:
        loop()
    assert len(found) == 1
