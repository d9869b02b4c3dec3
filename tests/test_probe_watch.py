"""Networks watched while they train: counts by hand, what is no pass, what is a step."""

from __future__ import annotations

import copy
import gc
import io
import math
import socket
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint
from watched import Varied, batches, by_hand, mlp, train

import neurosparse as ns
from neurosparse.probe.history import History
from neurosparse.probe.watch import MANY_PASSES

# ---- Counts


def test_every_row_is_the_count_of_the_batch_that_was_trained_on() -> None:
    model, data = mlp(), batches(7)
    expected: list[dict[str, torch.Tensor]] = []
    model.register_forward_pre_hook(
        lambda m, args: expected.append(by_hand(copy.deepcopy(m), *args))
    )
    with ns.watch(model, every=3) as w:
        train(model, data)
    assert [row["step"] for row in w.history] == [0, 3, 6]
    for row in w.history:
        outputs = expected[int(row["step"])]
        active = {name: (values > 0).double().mean().item() for name, values in outputs.items()}
        for name in outputs:
            assert row[f"active/{name}"] == pytest.approx(active[name], rel=1e-12)
            assert row[f"zeros/{name}"] == pytest.approx(1 - active[name], rel=1e-12)
        assert row["active"] == pytest.approx((20 * active["1"] + 9 * active["3"]) / 29)
        assert row["samples"] == 16
    assert w.latest == w.history[-1]


def test_a_row_agrees_with_measure_on_the_same_batch() -> None:
    class Conv(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(2, 7, 3), nn.Linear(7, 11)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.gelu(self.head(F.relu(self.conv(x)).mean((2, 3))))

    torch.manual_seed(0)
    model, x = Conv(), torch.randn(5, 2, 8, 8)
    zero = ns.ActiveWhen(threshold=0.1)
    stats = ns.measure(model, x, active_when=zero)
    with ns.watch(model, active_when=zero) as w:
        model(x)
    for name in ("relu", "gelu"):
        assert w.latest[f"active/{name}"] == pytest.approx(stats[name].active_fraction)
        assert w.latest[f"zeros/{name}"] == pytest.approx(stats[name].zero_fraction)
        assert w.latest[f"effective_units/{name}"] == pytest.approx(stats[name].effective_units)
        assert w.latest[f"dead/{name}"] == stats[name].n_silent / stats[name].n_units


def padded(vocabulary: int = 50) -> dict[str, torch.Tensor]:
    """Token numbers of six texts of 3 to 8 tokens, padded to 8."""
    generator = torch.Generator().manual_seed(3)
    lengths = torch.tensor([8, 3, 5, 7, 4, 6])
    mask = (torch.arange(8) < lengths[:, None]).long()
    return {
        "input_ids": torch.randint(2, vocabulary, (6, 8), generator=generator) * mask,
        "attention_mask": mask,
    }


@pytest.mark.parametrize("kind", ["OPT", "T5"])
def test_padded_tokens_are_not_counted_as_in_measure(kind: str) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    batch = padded()
    if kind == "OPT":
        model = transformers.OPTForCausalLM(
            transformers.OPTConfig(
                vocab_size=50, hidden_size=16, ffn_dim=40, num_hidden_layers=2, dropout=0.0,
                num_attention_heads=2, max_position_embeddings=32, word_embed_proj_dim=16,
            )
        )  # fmt: skip
    else:
        model = transformers.T5ForConditionalGeneration(
            transformers.T5Config(
                vocab_size=50, d_model=16, d_kv=8, d_ff=40, num_layers=2, num_heads=2,
                dropout_rate=0.0, decoder_start_token_id=0,
            )
        )  # fmt: skip
        batch["labels"] = torch.randint(2, 50, (6, 8))  # as many as the encoder's tokens
    stats = ns.measure(model, batch, active_when=ns.ActiveWhen(threshold=0))
    model.train()
    with ns.watch(model) as w:
        model(**batch)
    assert w.latest["samples"] == 6
    n_real = int(batch["attention_mask"].sum())
    assert len(stats) == {"OPT": 2, "T5": 4}[kind]
    for layer in stats.values():
        of_decoder = "decoder" in layer.name and kind == "T5"
        assert layer.n_samples == (48 if of_decoder else n_real), layer.name
        assert w.latest[f"active/{layer.name}"] == pytest.approx(layer.active_fraction)
        assert w.latest[f"zeros/{layer.name}"] == pytest.approx(layer.zero_fraction)
        assert w.latest[f"dead/{layer.name}"] == pytest.approx(layer.n_silent / layer.n_units)


@pytest.mark.parametrize("kind", ["function", "list"])
def test_a_relative_threshold_is_one_of_each_sample(kind: str) -> None:
    """As `measure` counts, also where a block hands its output over as a list."""
    relative = ns.ActiveWhen(threshold=1.5, relative=True)
    torch.manual_seed(0)
    if kind == "list":
        block = ns.sparsify.SparseFFN(6, 40, start_active=0.04)
        model, x = nn.Sequential(nn.LayerNorm(6), block), torch.randn(320, 6)
    else:
        model, x = nn.Sequential(nn.Linear(6, 20), nn.GELU()), torch.randn(30, 6) / 10
    stats = ns.measure(model, x, active_when=relative)
    model.train()
    with ns.watch(model, every=1, active_when=relative) as w:
        train(model, [x] * 3, lr=0.0)
    for name, layer in stats.items():
        assert 0 < layer.active_fraction < 1
        for row in w.history:
            assert row[f"active/{name}"] == pytest.approx(layer.active_fraction)
            assert row[f"dead/{name}"] == pytest.approx(layer.n_silent / layer.n_units)


class TokenByToken(nn.Module):
    """A layer that takes the tokens of a text in one of several ways."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.act, self.kind = nn.Linear(4, 16), nn.ReLU(), kind

    def forward(self, x: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        if self.kind == "first":
            return self.act(self.linear(x[:, 0]))
        if self.kind == "loop":
            tokens = [self.act(self.linear(x[:, t])) for t in range(x.shape[1])]
            return torch.stack(tokens, dim=1)
        index = self.linear(x)[..., 0].topk(4, dim=1).indices
        chosen = x.gather(1, index[..., None].expand(-1, -1, x.shape[-1]))
        return self.act(self.linear(chosen))


@pytest.mark.parametrize("kind", ["first", "loop", "chosen"])
def test_padding_is_left_out_token_by_token_or_said_to_be_counted(kind: str) -> None:
    mask = padded()["attention_mask"]
    x = torch.randn(6, 8, 4, generator=torch.Generator().manual_seed(0))
    x[mask == 0] = 9.0  # padding is loud
    model, data = TokenByToken(kind), {"x": x, "attention_mask": mask}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        stats = ns.measure(model, data, active_when=ns.ActiveWhen(threshold=0))["act"]
    model.train()
    with ns.watch(model) as w:
        model(**data)
    assert stats.n_samples == {"first": 6, "loop": int(mask.sum()), "chosen": 24}[kind]
    assert w.latest["active/act"] == pytest.approx(stats.active_fraction)
    assert w.latest["samples"] == 6
    assert w.note == "".join(str(warning.message) for warning in told)
    assert ("padding is counted" in w.note) == (kind == "chosen")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_batch_that_is_not_finite_has_no_share(value: float) -> None:
    """NaN is not above 0, but such a layer is not silent."""
    model = nn.Sequential(nn.Identity(), nn.ReLU())
    watch = ns.watch(model, every=1)
    for x in (torch.tensor([[1.0, -1.0]]), torch.tensor([[value, -1.0]])):
        model(x.requires_grad_()).sum().backward()
        watch.step()
    watch.close()
    finite, not_finite = watch.history
    assert (finite["active/1"], finite["zeros/1"], finite["active"]) == (0.5, 0.5, 0.5)
    assert all(math.isnan(not_finite[key]) for key in ("active/1", "zeros/1", "active"))


def test_at_a_prompt_it_says_the_newest_share() -> None:
    model = mlp()
    with ns.watch(model, every=1) as watch:
        assert repr(watch) == "<Watch: no look yet, 0 steps>"
        train(model, batches(2))
    assert repr(watch) == f"<Watch: {100 * watch.latest['active']:.3g} % active at step 1>"


def test_dead_units_are_those_of_the_last_looks() -> None:
    """Unit k of four is active in look k alone."""
    model = nn.Sequential(nn.Identity(), nn.ReLU(), nn.Linear(4, 1))
    with ns.watch(model, every=1, window=2) as w:
        train(model, [row[None] for row in torch.eye(4)])
    assert [row["dead/1"] for row in w.history] == [0.75, 0.5, 0.5, 0.5]


def test_layers_are_those_asked_for() -> None:
    model = mlp()
    with ns.watch(model, layers=("2", "3")) as w:
        model(batches(1)[0])
    assert {key for key in w.latest if key.startswith("active/")} == {"active/2", "active/3"}


def test_the_training_is_the_same_when_watched() -> None:
    plain, watched = mlp(), mlp()
    train(plain, batches(6))
    with ns.watch(watched, every=1):
        train(watched, batches(6))
    for a, b in zip(plain.parameters(), watched.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not watched._forward_hooks
    assert not watched._forward_pre_hooks
    assert not watched[1]._forward_hooks


# ---- What is a step, and what is no pass


def test_passes_before_a_step_are_one_look() -> None:
    """Gradient accumulation: three batches a step, counted together."""
    model, data = mlp(), batches(6)
    whole = by_hand(model, torch.cat(data[:3]))
    with ns.watch(model, every=1) as w:
        train(model, data, accumulate=3)
    assert [(row["step"], row["samples"]) for row in w.history] == [(0, 48), (1, 48)]
    assert w.history[0]["active/1"] == pytest.approx((whole["1"] > 0).double().mean().item())


def test_evaluation_is_not_looked_at() -> None:
    model, x = mlp(), batches(1)[0]
    with ns.watch(model, every=1) as w:
        model.eval()
        model(x)
        model.train()
        with torch.no_grad():
            model(x)
        assert not w._look.counts
        model(x)
    assert [row["samples"] for row in w.history] == [16]


def test_a_loop_without_an_optimizer_says_when_a_step_is_over() -> None:
    model = mlp()
    with ns.watch(model, every=2) as w:
        for x in batches(5):
            model(x)
            w.step()
    assert [row["step"] for row in w.history] == [0, 2, 4]
    with ns.watch(model) as w:
        for _ in range(MANY_PASSES - 1):
            model(torch.randn(1, 6))
        with pytest.warns(UserWarning, match="call step"):
            model(torch.randn(1, 6))


def test_steps_go_on_from_where_a_training_was_stopped() -> None:
    model, rows = mlp(), []
    with ns.watch(model, every=4, log=rows.append) as w:
        w.at_step(10)
        train(model, batches(8))
        w.at_step(w.n_steps)
    assert w.n_steps == 18
    assert [row["step"] for row in w.history] == [row["step"] for row in rows] == [10, 12, 16]
    with pytest.raises(ValueError, match="step"):
        ns.watch(model).at_step(-1)


def test_a_step_within_a_block_is_over_with_the_block() -> None:
    """Two optimizers, and the first one steps before the second part of the model is called."""
    model, data = mlp(), batches(4)
    first, second = (torch.optim.SGD(model[k].parameters(), lr=0.0) for k in (0, 2))
    expected = [by_hand(model, x) for x in data]
    with ns.watch(model, every=2) as w:
        for x in data:
            with w.one_pass():
                hidden = model[1](model[0](x))
                hidden.sum().backward()
                first.step()
                model[3](model[2](hidden.detach())).sum().backward()
                second.step()
    assert w.n_steps == 4
    assert [row["step"] for row in w.history] == [0, 2]
    for row in w.history:
        for name, values in expected[int(row["step"])].items():
            share = (values > 0).double().mean().item()
            assert row[f"active/{name}"] == pytest.approx(share)


def test_functions_of_a_block_are_layers_where_weights_take_what_they_put_out() -> None:
    model, data = mlp(), batches(3)
    with ns.watch(model, every=1) as w:
        for x in data:
            with w.one_pass() as outputs:
                hidden = F.relu(model[0](x))
                outputs.append(F.softplus(model[4](torch.sigmoid(model[2](hidden)))).mean())
            w.step()
    layers = {key[7:] for row in w.history for key in row if key.startswith("active/")}
    assert layers == {"relu", "sigmoid"}


def test_the_first_of_two_optimizers_is_the_clock_and_those_of_others_are_none() -> None:
    model, other = mlp(), mlp()
    first = torch.optim.SGD(model[0].parameters(), lr=0.1)
    second = torch.optim.Adam(model[2].parameters())
    foreign = torch.optim.SGD(other.parameters(), lr=0.1)
    with ns.watch(model, every=1) as w:
        for x in batches(3):
            (model(x).sum() + other(x).sum()).backward()
            for optimizer in (foreign, first, second):
                optimizer.step()
    assert w.n_steps == 3
    assert [row["samples"] for row in w.history] == [16, 16, 16]


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_is_counted_once(reentrant: bool) -> None:
    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = mlp()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return checkpoint(self.inner, x, use_reentrant=reentrant)

    model, x = Checkpointed(), batches(1)[0].requires_grad_()
    expected = by_hand(model.inner, x)
    with ns.watch(model, every=1) as w:
        train(model, [x])
    assert [row["samples"] for row in w.history] == [16]
    for name, values in expected.items():
        assert w.history[0][f"active/inner.{name}"] == pytest.approx(
            (values > 0).double().mean().item()
        )


def test_autocast_counts_what_autocast_computed() -> None:
    model, x = mlp(), batches(1, size=200)[0]
    seen = []
    model[1].register_forward_hook(lambda _m, _x, out: seen.append(out.detach().clone()))
    with ns.watch(model, every=1) as w, torch.autocast("cpu", dtype=torch.bfloat16):
        model(x)
    assert seen[0].dtype == torch.bfloat16
    assert w.latest["active/1"] == (seen[0] > 0).double().mean().item()


def test_what_a_model_raises_is_what_the_loop_gets() -> None:
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.fails = nn.Linear(4, 3), True

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.fails:
                raise KeyError("no such token")
            return self.linear(x).relu()

    model, x = Fails(), torch.randn(8, 4)
    with ns.watch(model, every=1) as watch:
        for _ in range(2):
            with pytest.raises(KeyError, match="no such token"):
                model(x)
        model.fails = False
        model(x)
        watch.step()
    assert watch.latest["samples"] == 8
    assert not model._forward_hooks
    assert not model._forward_pre_hooks


def test_an_error_in_a_pass_leaves_the_model_free() -> None:
    model = mlp()
    with ns.watch(model, every=1) as w:
        with pytest.raises(RuntimeError):
            model(torch.randn(2, 5))
        assert not model[1]._forward_hooks
        model(batches(1)[0])
    assert w.latest["samples"] == 16


# ---- Compiled


@pytest.mark.parametrize("order", ["before", "after", "in place"])
def test_compiled_models_are_looked_at_without_a_graph_break(order: str) -> None:
    """The steps between looks run compiled, with no graph broken; those that are looked at run
    eagerly, and the note says so.
    """
    torch._dynamo.reset()
    graphs = []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    model, data = mlp(), batches(9)
    if order == "in place":
        model.compile(backend=backend, fullgraph=True)
        trained = watched = model
    else:
        trained = torch.compile(model, backend=backend, fullgraph=True)
        watched = trained if order == "before" else model
    expected: dict[int, torch.Tensor] = {}
    with ns.watch(watched, every=4) as w:
        before = [by_hand(model, data[0])["1"]]
        train(
            trained, data, inside=lambda k: before.append(by_hand(model, data[min(k + 1, 8)])["1"])
        )
    expected = {k: before[k] for k in (0, 4, 8)}
    assert len(graphs) == 1
    assert [row["step"] for row in w.history] == [0, 4, 8]
    for row in w.history:
        share = (expected[int(row["step"])] > 0).double().mean().item()
        assert row["active/1"] == pytest.approx(share)
    assert "eagerly" in w.note
    assert torch.compiler.is_compiling() is False


def test_an_eager_training_has_no_note() -> None:
    with ns.watch(mlp()) as w:
        assert w.note == ""


# ---- Several processes


def _one_process(rank: int, port: int, folder: str) -> None:
    from torch import distributed

    distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
    )
    torch.set_num_threads(1)
    model = nn.parallel.DistributedDataParallel(mlp())
    logged: list[dict[str, float]] = []
    with ns.watch(model, every=1, reduce=True, log=logged.append) as w:
        train(model, batches(2, seed=10 + rank))
    # the pass of the second process computes something else in step 1, and its row is left out
    with ns.watch(Varied("a function more", at=1 if rank else 9), every=1, reduce=True) as varied:
        for x in batches(4):
            varied._model(x)
            varied.step()
    torch.save([list(w.history), logged, list(varied.history)], f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_are_summed_and_the_first_one_logs(tmp_path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_one_process, (port, str(tmp_path)), nprocs=2)
    (rows, logged, varied), (others, silent, other_varied) = (
        torch.load(tmp_path / f"{k}.pt") for k in (0, 1)
    )
    assert rows == others == logged
    assert varied == other_varied
    assert [row["samples"] for row in varied] == [32, 16, 32, 32]
    assert silent == []
    both = by_hand(mlp(), torch.cat([batches(1, seed=10)[0], batches(1, seed=11)[0]]))
    assert rows[0]["active/1"] == pytest.approx((both["1"] > 0).double().mean().item())
    assert [row["samples"] for row in rows] == [32, 32]


# ---- Rows, and what is refused


def test_rows_go_to_a_logger_and_into_a_frame() -> None:
    logged: list[dict[str, float]] = []
    model = mlp()
    with ns.watch(model, every=2, log=logged.append) as w:
        train(model, batches(4))
    frame = w.history.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert frame["step"].tolist() == [0, 2]
    assert frame["active/1"].tolist() == [row["active/1"] for row in logged]
    assert all(isinstance(value, int | float) for row in logged for value in row.values())
    course = w.history.course("dead")
    assert list(course) == ["1", "3"]
    assert list(course["1"]) == [0, 2]
    with pytest.raises(ValueError, match="'deaf'; they have active, dead"):
        w.history.course("deaf")
    with pytest.raises(ValueError, match="none yet"):
        History().course("active")


def test_a_watched_model_can_be_copied_and_pickled() -> None:
    model, x = mlp(), batches(1)[0]
    with ns.watch(model, every=1) as w:
        twin = copy.deepcopy(model)
        buffer = io.BytesIO()
        torch.save(model, buffer)
        buffer.seek(0)
        read = torch.load(buffer, weights_only=False)
        twin(x), read(x)
        assert not w._look.counts
        assert torch.equal(twin(x), model(x))


def test_a_watch_that_is_forgotten_keeps_no_model_alive() -> None:
    import weakref

    from torch.optim import optimizer as torch_optimizer

    model = mlp()
    gone = weakref.ref(ns.watch(model))
    n_hooks = len(torch_optimizer._global_optimizer_post_hooks)
    del model
    gc.collect()
    assert gone() is None
    train(mlp(), batches(1))
    assert len(torch_optimizer._global_optimizer_post_hooks) < n_hooks


def is_compiled() -> bool:
    """Whether torch compiles what it is told to compile."""
    graphs = []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    torch.compile(torch.sin, backend=backend)(torch.ones(3))
    return bool(graphs)


def test_what_is_compiled_runs_compiled_again_whichever_watch_ends_first() -> None:
    assert is_compiled()
    first, second = (ns.watch(mlp()) for _ in range(2))
    assert not is_compiled()
    first.close()
    assert not is_compiled()
    second.close()
    assert is_compiled()


def test_a_watch_that_is_forgotten_lets_go_of_what_is_compiled() -> None:
    assert is_compiled()
    ns.watch(mlp())
    gc.collect()
    assert is_compiled()


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"every": 0}, ValueError, "every"),
        ({"window": 0}, ValueError, "window"),
        ({"active_when": ns.ActiveWhen(window_ms=1)}, ValueError, "threshold"),
        ({"layers": "1"}, ValueError, "at least one name, got '1'"),
    ],
)
def test_what_cannot_be_watched(values, error, message) -> None:
    with pytest.raises(error, match=message):
        ns.watch(mlp(), **values)
    with pytest.raises(TypeError, match="got an int"):
        ns.watch(3)


def test_nothing_is_warned_in_a_plain_training() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = mlp()
        with ns.watch(model, every=2) as w:
            train(model, batches(3))
    assert np.isfinite(list(w.latest.values())).all()


def test_the_course_is_drawn_in_per_cent() -> None:
    from neurosparse import plots

    rows = History(
        [{"step": 0, "active/a": 0.5, "l1/a": 2.0}, {"step": 10, "active/a": 0.25, "l1/a": 1.0}]
    )
    ax = plots.training(rows, target=0.04)
    assert ax.lines[0].get_xydata().tolist() == [[0, 50], [10, 25]]
    assert ax.lines[1].get_ydata()[0] == 4
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "active units (%)")
    assert plots.training(rows, "l1").lines[0].get_ydata().tolist() == [2, 1]


@pytest.mark.parametrize(
    ("model", "layers", "words"),
    [
        (
            nn.Sequential(nn.Linear(4, 8), nn.ReLU()),
            ("typo",),
            "^no layer 'typo' was heard.*: 0, 1",
        ),
        (nn.Sequential(nn.Linear(4, 8)), None, "^Sequential called none of torch's.*layers="),
    ],
)
def test_a_watch_that_hears_nothing_says_so(
    model: nn.Module, layers: tuple[str, ...] | None, words: str
) -> None:
    def train() -> None:
        for _ in range(3):
            model(torch.ones(2, 4)).sum().backward()
            w.step()

    with ns.watch(model, every=1, layers=layers) as w, pytest.warns(match=words) as told:
        train()
    assert len(told) == 1
    assert (w.note, len(w.history)) == (str(told[0].message), 0)
