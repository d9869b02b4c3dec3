"""Passes that are watched or left alone: broken off, computed again, traced, of odd tensors."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from contextlib import suppress

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint
from watched import batches, by_hand, mlp, train

import neurosparse as ns


def n_modes() -> int:
    return torch._C._len_torch_function_stack()


class Stops(nn.Module):
    """A network that raises an error behind its rectifier where it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.error = nn.Linear(6, 8), None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.linear(x))
        if self.error is not None:
            raise self.error
        return x


@pytest.mark.parametrize("error", [KeyboardInterrupt(), KeyError()])
@pytest.mark.parametrize("at", [0, 2, 5])
def test_a_pass_that_is_broken_off_counts_nothing(error: BaseException, at: int) -> None:
    """After Ctrl-C torch calls no hook: the next pass sees it, and the one after is counted."""
    model, data = Stops(), batches(9)
    expected = (F.relu(model.linear(data[0])) > 0).double().mean().item()
    with ns.watch(model, every=2) as w, ns.watch(model, every=2) as other:
        for k, x in enumerate(data):
            model.error = error if k == at else None
            with suppress(KeyboardInterrupt, KeyError):
                model(x).sum().backward()
                w.step()
                other.step()
        assert n_modes() == 0
    for each in (w, other):
        assert [(row["step"], row["samples"]) for row in each.history] == [
            (step, 16) for step in (0, 2, 4, 6)
        ]
    if at != 0:
        assert w.history[0]["active/relu"] == pytest.approx(expected)


def test_what_runs_between_a_broken_pass_and_the_next_is_not_counted() -> None:
    model, x = Stops(), batches(1)[0]
    with ns.watch(model, every=1) as w:
        model.error = KeyboardInterrupt()
        with suppress(KeyboardInterrupt):
            model(x)
        model.error = None
        model.eval()(x[:3])
        assert n_modes() == 0
        model.train()(x)
    assert w.latest["samples"] == 16


@pytest.mark.parametrize("n", [1, 2])
def test_the_error_of_a_model_is_its_own(n: int) -> None:
    """torch goes through a module's hooks as they stand: none may be removed meanwhile."""
    model = nn.Sequential(mlp())
    watches = [ns.watch(each, every=1) for each in (model, model[0]) for _ in range(n)]
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        model(torch.randn(2, 5))
    model(batches(1)[0])
    for each in watches:
        each.close()
        assert each.latest["samples"] == 16
    assert not model[0]._forward_hooks


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_model_that_is_checkpointed_as_a_whole_counts_once(reentrant, accumulate) -> None:
    model, data = mlp(), [x.requires_grad_() for x in batches(4)]
    expected = by_hand(model, torch.cat(data[:accumulate]))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with ns.watch(model, every=1) as w:
        for k, x in enumerate(data):
            checkpoint(model, x, use_reentrant=reentrant).sum().backward()
            if (k + 1) % accumulate == 0:
                optimizer.step()
    assert [row["samples"] for row in w.history] == [16 * accumulate] * (4 // accumulate)
    for name, values in expected.items():
        share = (values > 0).double().mean().item()
        assert w.history[0][f"active/{name}"] == pytest.approx(share)


def test_inputs_are_those_of_the_passes_whichever_layers_they_reach() -> None:
    """Stochastic depth: each pass of a step runs another layer."""

    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers, self.k = nn.ModuleList(mlp()[:2] for _ in range(2)), 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.k += 1
            return self.layers[self.k % 2](x)

    with ns.watch(model := Deep(), every=1) as w:
        train(model, batches(4), accumulate=2)
    assert [row["samples"] for row in w.history] == [32, 32]


def test_steps_of_a_recurrent_loop_are_no_inputs() -> None:
    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.act = nn.Linear(2, 6), nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return sum(self.act(self.linear(x[:, 2 * k : 2 * k + 2])) for k in range(3))

    with ns.watch(model := Loop(), every=1) as w:
        train(model, batches(1))
    assert w.latest["samples"] == 16


# ---- What is left alone


def under_grad(model: nn.Module, x: torch.Tensor) -> None:
    weights = dict(model.named_parameters())
    torch.func.grad(lambda p: torch.func.functional_call(model, p, (x,)).square().mean())(weights)


def under_vmap(model: nn.Module, x: torch.Tensor) -> None:
    torch.func.vmap(model)(x)


def traced(model: nn.Module, x: torch.Tensor) -> None:
    torch.jit.trace(model, x)


def jagged(model: nn.Module, _x: torch.Tensor) -> None:
    nested = torch.nested.nested_tensor([torch.randn(3, 6), torch.randn(5, 6)], layout=torch.jagged)
    model(nested).values().sum().backward()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("run", "words"),
    [
        (under_grad, "under torch.func"),
        (under_vmap, "under torch.func"),
        (traced, "that torch.jit traces"),
        (jagged, "of nested tensors"),
    ],
)
def test_passes_that_cannot_be_looked_at_are_left_alone(run, words: str) -> None:
    model, x = mlp(), batches(1)[0]
    with ns.watch(model, every=1) as w:
        run(model, x)
        assert n_modes() == 0
        assert words in w.note
        model(x)
    assert w.latest["samples"] == 16
    assert w.note == f"passes {words} are not counted"


def test_what_goes_wrong_in_a_look_is_said_and_the_training_goes_on(monkeypatch) -> None:
    """Whatever it is: here the counts, and what follows the functions."""
    from neurosparse.probe.flow import Flow
    from neurosparse.probe.running import Running

    def fails(*_: object, **__: object) -> None:
        raise ValueError("an odd tensor")

    for where, name in ((Running, "of"), (Flow, "follow")):
        model, plain = mlp(), mlp()
        train(plain, batches(3))
        with ns.watch(model, every=1) as w, monkeypatch.context() as patched:
            patched.setattr(where, name, fails)
            train(model, batches(3))
        assert not w.history
        assert w.note == "a look was left out: ValueError: an odd tensor"
        for a, b in zip(plain.parameters(), model.parameters(), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("kind", ["eval", "no_grad", "method", "train"])
def test_a_training_of_which_no_pass_counts_says_so(kind: str) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = mlp()

        def loss(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x).square().mean()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x)

    words = {
        "eval": "no pass of Model was counted in 3 steps (3 in evaluation mode)",
        "no_grad": "no pass of Model was counted in 3 steps (3 without gradients)",
        "method": "Model was not called in 3 steps",
        "train": "",
    }[kind]
    model = Model()
    model.train(kind != "eval")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with ns.watch(model, every=1) as w:
            for x in batches(3):
                with torch.set_grad_enabled(kind != "no_grad"):
                    model.loss(x) if kind == "method" else model(x)
                optimizer.step()
    assert w.note.startswith(words)
    assert bool(w.note) == (kind != "train")
    assert [str(warning.message) for warning in told] == [w.note] * bool(words)


def test_a_layer_of_complex_numbers_is_left_out_and_named() -> None:
    class Complex(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tanh, self.relu = nn.Tanh(), nn.ReLU()
            self.weight = nn.Parameter(torch.randn(6, 8, dtype=torch.cfloat))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.relu(self.tanh(x.to(torch.cfloat) @ self.weight).real)

    with ns.watch(model := Complex(), every=1) as w:
        train(model, batches(3))
    assert len(w.history) == 3
    assert "active/tanh" not in w.latest
    assert "active/relu" in w.latest
    assert w.note == "layer 'tanh' is not counted: it puts out complex numbers"


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_layers_that_a_recurrent_module_hides_are_named(dropout: float) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.RNN(2, 8, 2, nonlinearity="relu", dropout=dropout, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.rnn(x.view(-1, 3, 2))[0]

    with ns.watch(model := Recurrent(), every=1) as w:
        train(model, batches(4))
    assert [row["step"] for row in w.history] == [0, 1, 2, 3]
    assert ("active/rnn.l0" in w.latest) == (not dropout)
    assert w.note.startswith("of 'rnn' only the last layer is watched" if dropout else "")
    assert bool(w.note) == bool(dropout)


def test_a_layer_that_is_pruned_has_a_window_of_its_own() -> None:
    """One of 20 units never fires, and none of the 5 that are left."""
    model = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 3))
    with ns.watch(model, every=1, window=50) as w:
        for width in (20, 5):
            model[0], model[2] = nn.Linear(6, width), nn.Linear(width, 3)
            nn.init.constant_(model[0].bias, 9.0)
            nn.init.constant_(model[0].bias[:1], -99.0 if width == 20 else 9.0)
            for x in batches(3):
                model(x).sum().backward()
                w.step()
    assert [row["dead/1"] for row in w.history] == pytest.approx([0.05] * 3 + [0.0] * 2)
    assert [row["step"] for row in w.history] == [0, 1, 2, 4, 5]


# ---- Copies, files, other readers of a model


def test_a_file_of_a_watched_model_is_read_without_this_package(tmp_path) -> None:
    model, path = mlp(), tmp_path / "model.pt"
    with ns.watch(model):
        torch.save(model, buffer := io.BytesIO())
    path.write_bytes(buffer.getvalue())
    assert b"neurosparse" not in buffer.getvalue()
    code = (
        "import sys; sys.modules['neurosparse'] = None; import torch\n"
        f"print(torch.load({str(path)!r}, weights_only=False)(torch.ones(1, 6)).shape[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_watched_model_is_scripted_once_the_watch_is_closed() -> None:
    model = mlp()
    with ns.watch(model), pytest.raises(AttributeError, match="close the watch"):
        torch.jit.script(model)
    assert torch.equal(torch.jit.script(model)(x := batches(1)[0]), model(x))


def test_a_copy_of_a_watched_model_is_compiled_as_one_graph() -> None:
    import copy

    torch._dynamo.reset()
    graphs = []
    with ns.watch(model := mlp()):
        twin = copy.deepcopy(model)
    compiled = torch.compile(
        twin, backend=lambda graph, _: graphs.append(graph) or graph.forward, fullgraph=True
    )
    compiled(batches(1)[0])
    assert len(graphs) == 1


def test_export_is_no_compilation_and_a_compiled_part_is_one() -> None:
    model, x = mlp(), batches(1)[0]
    with ns.watch(model) as w:
        torch.export.export(model, (x,))
        assert w.note == ""
    model[0] = torch.compile(model[0], backend="eager")
    with ns.watch(model) as w:
        assert "torch.compile is in use" in w.note
