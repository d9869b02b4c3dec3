"""How data reach a network: tuples, dicts, masks; compiled and foreign models; errors of its own."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import run
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

import neurosparse as ns
from neurosparse import ActiveWhen
from neurosparse.probe.inputs import batches

ZERO = ActiveWhen(threshold=0)
X = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 4)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.relu(self.linear(x) + y)


class Masked(nn.Module):
    """A text model that looks at its mask."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.wide = nn.Embedding(30, 6), nn.Linear(6, 12)
        self.act = nn.ReLU()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, position: Any = None
    ) -> Tensor:
        x = self.embedding(input_ids)
        if attention_mask is not None:
            x = x + (x * attention_mask[..., None]).sum(1, keepdim=True)
        return self.act(self.wide(x))


def texts(n: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 9, (n,), generator=generator)
    mask = (torch.arange(8) < lengths[:, None]).long()
    return torch.randint(1, 30, (n, 8), generator=generator) * mask, mask


def fraction(model: nn.Module, data: Any, **options: Any) -> float:
    (stats,) = ns.measure(model, data, active_when=ZERO, **options).values()
    return stats.active_fraction


# ---- What of a batch reaches the model


def test_a_model_of_two_inputs_gets_two() -> None:
    y = X[:, :4] * 3
    model = Two()
    with torch.no_grad():
        right = float((model(X, y) > 0).double().mean())
    loader = DataLoader(TensorDataset(X, y, torch.zeros(20)), batch_size=6)
    assert fraction(model, loader) == pytest.approx(right)
    assert fraction(model, {"x": X, "y": y}, batch_size=7) == pytest.approx(right)
    assert fraction(
        model, [{"a": (X, y)}], forward=lambda model, batch: model(*batch["a"])
    ) == pytest.approx(right)
    with pytest.raises(ValueError, match=r"^Two takes 2 inputs \(x, y\), and a batch has 1$"):
        fraction(model, [(X,)])


def test_the_mask_of_a_tuple_reaches_the_model_and_leaves_padding_out() -> None:
    ids, mask = texts()
    model = Masked()
    with torch.no_grad():
        right = float((model(ids, mask)[mask.bool()] > 0).double().mean())
    data = TensorDataset(ids, mask, torch.zeros(12))
    for given in (
        DataLoader(data, batch_size=5),
        {"input_ids": ids, "attention_mask": mask},
        {"input_ids": ids, "attention_mask": mask, "labels": torch.zeros(12)},
    ):
        stats = ns.measure(model, given, active_when=ZERO)["act"]
        assert stats.n_samples == int(mask.sum())
        assert stats.active_fraction == pytest.approx(right)
        assert stats.interval.method.endswith("from 12 inputs")
    counted = ns.measure(
        model, {"input_ids": ids, "attention_mask": mask}, active_when=ZERO, mask=False
    )
    assert counted["act"].n_samples == 96


def test_a_mask_of_ones_own() -> None:
    ids, mask = texts()
    model = nn.Sequential(nn.Embedding(30, 6), nn.Linear(6, 12), nn.ReLU(), nn.Flatten(0, 1))
    model.append(nn.Sequential(nn.Linear(12, 5), nn.ReLU()))
    with torch.no_grad():
        right = float((model[:3](ids)[mask.bool()] > 0).double().mean())
        flat = float((model(ids)[mask.bool().flatten()] > 0).double().mean())
    for given, own in (
        (ids, mask),
        (ids, mask.numpy()),
        (list(ids.split(5)), list(mask.split(5))),
        (list(ids.split(5)), lambda batch: batch != 0),
    ):
        stats = ns.measure(model, given, active_when=ZERO, mask=own)
        assert {s.n_samples for s in stats.values()} == {int(mask.sum())}
        assert stats["2"].active_fraction == pytest.approx(right)
        assert stats["4.1"].active_fraction == pytest.approx(flat)
    for other in (mask[:, :5], torch.ones(12, 9)):
        with pytest.raises(
            ValueError, match=r"^mask has [59] tokens a sample, and of no layer is it known"
        ):
            ns.measure(model, ids, active_when=ZERO, mask=other)
    no_tokens = nn.Sequential(nn.Linear(6, 5), nn.ReLU())
    with pytest.raises(
        ValueError, match=r"^mask has 6 tokens a sample, and of no layer is it known"
    ):
        ns.measure(no_tokens, torch.randn(12, 6), active_when=ZERO, mask=torch.ones(12, 6))
    with pytest.raises(ValueError, match=r"^mask must have shape \(12, tokens\)"):
        ns.measure(model, ids, active_when=ZERO, mask=mask[:5])


def test_masks_of_both_halves_of_an_encoder_and_decoder() -> None:
    from transformers import T5Config, T5Model

    torch.manual_seed(0)
    config = T5Config(vocab_size=30, d_model=8, d_kv=4, d_ff=12, num_layers=1, num_heads=2)
    (ids, mask), (other, its_mask) = texts(), texts()
    its_mask = its_mask.flip(0)
    stats = ns.measure(
        T5Model(config),
        {
            "input_ids": ids,
            "attention_mask": mask,
            "decoder_input_ids": other.flip(0),
            "decoder_attention_mask": its_mask,
        },
        active_when=ZERO,
        batch_size=5,
    )
    assert {name.split(".")[0]: s.n_samples for name, s in stats.items()} == {
        "encoder": int(mask.sum()),
        "decoder": int(its_mask.sum()),
    }


class Views(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.act = nn.Linear(8, 16), nn.ReLU()

    def forward(self, views: list[Tensor]) -> Tensor:
        return self.act(sum(self.linear(v) for v in views))


@pytest.mark.parametrize("views", [[X, X + 1], [X, X + 1, X + 2], [X], [X[:, None], X + 1]])
def test_a_model_that_takes_a_list_gets_it(views: list[Tensor]) -> None:
    with torch.no_grad():
        model = Views().eval()
        right = float((model(views) > 0).double().mean())
    found = ns.measure(model, [views, views], active_when=ZERO)["act"]
    asked = ns.measure(
        model, [views, views], active_when=ZERO, forward=lambda model, batch: model(batch)
    )["act"]
    assert found.active_fraction == asked.active_fraction == pytest.approx(right)
    assert found.n_samples == asked.n_samples


def test_settings_in_a_dict_of_inputs_go_along() -> None:
    class Model(Masked):
        def forward(self, input_ids: Tensor, attention_mask: Any = None, **rest: Any) -> Tensor:
            assert rest == {
                "return_dict": True,
                "scale": 2.0,
                "cache": None,
                "t": torch.tensor(1.0),
            }
            return super().forward(input_ids, attention_mask)

    ids, mask = texts()
    right = fraction(Masked(), {"input_ids": ids, "attention_mask": mask})
    settings = {"return_dict": True, "scale": 2.0, "cache": None, "t": torch.tensor(1.0)}
    for data in (
        {"input_ids": ids, "attention_mask": mask, **settings},
        {"input_ids": ids.tolist(), "attention_mask": mask.tolist(), **settings},
    ):
        assert fraction(Model(), data, batch_size=5) == right
    assert (
        fraction(Masked(), [{"input_ids": ids, "attention_mask": mask, "labels": ["a"]}]) == right
    )
    with pytest.raises(ValueError, match=r"^input 'input_ids' is a list of entries of unequal len"):
        fraction(Masked(), {"input_ids": [[1, 2], [1]]})


def test_arrays_of_any_layout_are_taken() -> None:
    x, right = X.numpy(), fraction(net(), X)
    for array in (x.astype(">f4"), x[::-1], np.asfortranarray(x), x.astype("f8")[:, ::1]):
        assert fraction(net(), array) == pytest.approx(right)
    for array in (np.array([["a"] * 8]), np.array([[None] * 8])):
        with pytest.raises(TypeError, match=r"^data must be numbers, got an array of"):
            fraction(net(), array)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layers": [1]}, r"^layers must be a sequence of at least one name"),
        ({"units_axis": {"1": "a"}}, r"^units_axis must be a whole number, got 'a'$"),
        ({"units_axis": 1.0}, r"^units_axis must be a whole number"),
        ({"mask": np.full((20, 8), np.nan)}, r"^mask must hold numbers, got NaN$"),
    ],
)
def test_options_of_the_wrong_kind_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        fraction(net(), X, **options)


def test_a_class_of_models_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^model must be a torch module, got the class ReLU: call"):
        ns.measure(nn.ReLU, X, active_when=ZERO)


def test_the_size_of_batches_that_are_there_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^batch_size is for inputs in one piece, got batch_size=3"
    ):
        fraction(net(), [X], batch_size=3)
    with pytest.raises(
        TypeError, match=r"^a batch must be a tensor or an array, got a list of float"
    ):
        fraction(net(), X.tolist())
    ids = texts()[0]
    right = fraction(Masked(), ids, mask=ids != 0)
    assert fraction(Masked(), ids, mask=lambda batch: batch != 0, batch_size=5) == right


def test_a_batch_that_is_not_understood_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a batch of 2 tensors of one shape .* forward="):
        ns.measure(net(), [[X, X + 1]], active_when=ZERO)
    with pytest.raises(ValueError, match=r"^a batch of 3 entries does not say which .* forward="):
        ns.measure(Masked(), [(texts()[0], torch.rand(12, 3), X)], active_when=ZERO)
    with pytest.raises(ValueError, match=r"^Two takes no input 'z'; it takes x, y$"):
        ns.measure(Two(), {"x": X, "z": X}, active_when=ZERO)


def test_targets_are_left_out() -> None:
    right = fraction(net(), X)
    for target in (torch.zeros(20), torch.zeros(20, 1), torch.zeros(20, 3, dtype=torch.int64)):
        assert fraction(net(), DataLoader(TensorDataset(X, target), batch_size=20)) == right


@pytest.mark.parametrize(
    ("shape", "dtype", "most"),
    [
        ((2000, 784), torch.float32, 500),
        ((300, 3, 224, 224), torch.float32, 27),
        ((3, 3, 4096, 4096), torch.float32, 1),
        ((600, 512), torch.int64, 32),
        ((600, 784), torch.uint8, 500),
    ],
)
def test_batches_adapt_to_the_size_of_an_input(shape, dtype, most: int) -> None:
    data = torch.zeros(1, dtype=dtype).expand(shape)
    sizes = [len(batch) for batch, _ in batches(data, None)]
    assert (sum(sizes), max(sizes)) == (shape[0], min(most, shape[0]))
    assert {len(batch) for batch, _ in batches(data[:6], 2)} == ({2} if shape[0] > 5 else {2, 1})


# ---- Models that are not plain modules


def test_compiled_models_are_measured_as_they_were_written() -> None:
    right = {name: s.active_fraction for name, s in ns.measure(net(), X, active_when=ZERO).items()}
    inner = net()
    inner[1] = torch.compile(inner[1], backend="eager")
    in_place = net()
    in_place.compile(backend="eager")
    for model in (
        torch.compile(net()),
        torch.compile(net(), mode="max-autotune"),
        inner,
        in_place,
    ):
        found = ns.measure(model, X, active_when=ZERO)
        assert {name: s.active_fraction for name, s in found.items()} == right
    assert in_place._compiled_call_impl is not None
    in_place(X)  # it still runs compiled
    exported = torch.export.export(net(), (X,))
    for model in (exported, exported.module()):
        (found,) = ns.measure(model, X, active_when=ZERO).values()
        assert found.active_fraction == right["1"]


class Through(nn.Module):
    """Calls a network by another way than itself."""

    def __init__(self, call: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.call = net(), call

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self.inner, x)


def in_a_thread(model: nn.Module, x: Tensor) -> Tensor:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(model, x).result()


def by_other_weights(model: nn.Module, x: Tensor) -> Tensor:
    weights = {name: 1 * p for name, p in model.named_parameters()}
    return torch.func.functional_call(model, weights, (x,))


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.fx.symbolic_trace(net()),
        lambda: nn.DataParallel(net()),
        lambda: Through(in_a_thread),
        lambda: Through(by_other_weights),
        lambda: Through(lambda m, x: checkpoint(m, x, use_reentrant=True)),
    ],
)
def test_models_that_are_called_by_other_ways(make: Callable[[], nn.Module]) -> None:
    assert fraction(make(), X) == fraction(net(), X)


def test_models_are_measured_in_inference_mode() -> None:
    right, model = fraction(net(), X), net()
    with torch.inference_mode():
        assert fraction(model, X) == right


class Part(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.part, self.act = torch.jit.script(net()), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.part(x))


class Ensemble(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.members = nn.ModuleList(net() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        from torch.func import functional_call, stack_module_state

        state = stack_module_state(list(self.members))
        return torch.vmap(lambda p, b: functional_call(self.members[0], (p, b), (x,)))(*state)


def test_what_cannot_be_heard_is_refused_in_one_sentence() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted, traced = torch.jit.script(net()), torch.jit.trace(net(), X)
    for model, words in (
        (scripted, r"^the network is a scripted or traced one, .*take the module"),
        (traced, r"^the network is a scripted or traced one"),
        (Part(), r"^module 'part' of the network is a scripted or traced one"),
        (net().to("meta"), r"^Sequential has parameters on the meta device"),
        (Ensemble(), r"^layer 'members\.0\.1' runs under torch\.vmap, .* one by one$"),
    ):
        with pytest.raises(ValueError, match=words):
            ns.measure(model, X, active_when=ZERO)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("fused", [False, True])
def test_statically_quantised_models(fused: bool) -> None:
    import torch.ao.quantization as quantization

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.d = quantization.QuantStub(), quantization.DeQuantStub()
            self.l, self.r = nn.Linear(8, 16), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.d(self.r(self.l(self.q(x))))

    torch.manual_seed(0)
    model = Model().eval()
    if fused:
        model = quantization.fuse_modules(model, [["l", "r"]])
    model.qconfig = quantization.get_default_qconfig("fbgemm")
    model = quantization.prepare(model)
    model(X)
    model = quantization.convert(model)
    found = ns.measure(model, X, active_when=ZERO)["l" if fused else "r"]
    assert found.n_units == 16
    assert found.active_fraction == pytest.approx(float((model(X) != 0).double().mean()))


def test_errors_of_the_model_are_one_sentence_with_their_cause() -> None:
    for data, words in (
        (
            torch.zeros(4, 8, dtype=torch.uint8),
            r"^Sequential failed on a batch of \(4, 8\) uint8: RuntimeError: .*dtype",
        ),
        (
            torch.zeros(4, 9),
            r"^Sequential failed on a batch of \(4, 9\) float32: RuntimeError: mat1",
        ),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            ns.measure(net(), data, active_when=ZERO)
        assert "\n" not in str(caught.value)
        assert isinstance(caught.value.__cause__, RuntimeError)


def test_options_of_networks_are_refused_for_spikes() -> None:
    spikes = ns.SpikeTrains([1.0], [0], n_units=1, duration_ms=10.0)
    with pytest.raises(ValueError, match=r"^layers is for networks, got layers=\['a'\]"):
        ns.measure(spikes, active_when=ActiveWhen(window_ms=1), layers=["a"])


# ---- What is independent, and what counts as active


def test_intervals_cover_where_tokens_of_a_text_are_alike() -> None:
    """Of 400 sets of 16 texts, at least 93 % of the 95 % intervals hold the true fraction."""

    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.act(x.reshape(-1, x.shape[-1]))

    rng = np.random.default_rng(0)
    hits, n, true = 0, 400, 0.0
    from scipy.stats import norm

    # unit j is active where a_text + noise > 1: its fraction is P(N(0, 2) > 1)
    true = float(norm.sf(1 / np.sqrt(2)))
    for _ in range(n):
        of_text = rng.normal(size=(16, 1, 1))
        x = torch.from_numpy((of_text + rng.normal(size=(16, 20, 10)) - 1).astype("f4"))
        (found,) = ns.measure(Flat(), x, active_when=ZERO).values()
        assert found.n_samples == 320
        hits += found.interval.low <= true <= found.interval.high
    assert hits / n >= 0.93


def test_intervals_of_texts_of_unequal_length_follow_the_ratio_of_their_sums() -> None:
    ids, mask = texts(400)
    ids = ids[:, :1] * mask  # a text of one word has no more to say than its first
    model = Masked()
    with torch.no_grad():
        active = (model(ids) > 0).double().sum(-1) * mask
    counts, sizes = active.sum(1).numpy(), mask.sum(1).numpy()
    fraction = counts.sum() / sizes.sum() / 12
    rest = counts - 12 * fraction * sizes
    se = np.sqrt((rest**2).sum() * 400 / 399) / sizes.sum() / 12
    found = ns.measure(model, ids, active_when=ZERO, mask=mask)["act"]
    from scipy.stats import t

    assert found.active_fraction == pytest.approx(fraction)
    half = (found.interval.high - found.interval.low) / 2
    assert half == pytest.approx(t.ppf(0.975, 399) * se, rel=0.1)


def test_thresholds_relative_to_the_layers_scale() -> None:
    when = ActiveWhen(threshold=0.3, relative=True)
    assert when.describe() == "abs(a) > 0.3 rms of the layer"
    model, x = nn.Sequential(nn.Linear(8, 30), nn.SiLU()), X
    with torch.no_grad():
        a = model(x).double()
    right = (a.abs() > 0.3 * a.square().mean(-1, keepdim=True).sqrt()).double().mean()
    found = ns.measure(model, x, active_when=when)["1"]
    assert found.active_fraction == pytest.approx(float(right), abs=1e-12)
    # the scale of the layer is none of its activity
    scaled = nn.Sequential(nn.Linear(8, 30), nn.SiLU(), nn.Flatten(), nn.Tanh())
    scaled[0].load_state_dict(model[0].state_dict())
    from neurosparse.sparsity import describe_activations, observe

    for scale in (1e-30, 1.0, 1e30):
        stats = describe_activations(observe(scale * a.numpy(), when))
        assert stats.active_fraction == pytest.approx(float(right), abs=1e-12)
    with pytest.raises(ValueError, match=r"^relative is for thresholds"):
        ActiveWhen(window_ms=1, relative=True)


def test_the_share_of_units_that_hold_95_percent_of_the_magnitude() -> None:
    values = torch.rand(30, 40, generator=torch.Generator().manual_seed(3)) ** 4
    right = []
    for row in values.double():
        total, k = 0.0, 0
        for value in row.sort(descending=True).values.tolist():
            total, k = total + value, k + 1
            if total >= 0.95 * float(row.sum()):
                break
        right.append(k / 40)
    found = ns.measure(nn.Sequential(nn.ReLU()), values, active_when=ZERO, batch_size=7)["0"]
    assert found.magnitude_95_fraction == pytest.approx(np.mean(right))
    some = torch.zeros(5, 50)
    some[:, :10] = 1
    found = ns.measure(nn.Sequential(nn.ReLU()), some, active_when=ZERO)["0"]
    assert found.magnitude_95_fraction == 10 / 50


# ---- On the command line

MODULE = """
import torch
from torch import nn
from neurosparse_test_inputs import Experts, Masked, Two, net

def broken(): raise KeyError("weights")
def needs(width): return nn.ReLU()
def scripted(): return torch.jit.script(net())
def both(model, batch): return model(batch, batch[:, :4])
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import sys

    from test_probe_architectures import Experts

    monkeypatch.chdir(tmp_path)
    here = sys.modules[__name__]
    monkeypatch.setattr(here, "Experts", lambda: Experts(True), raising=False)
    monkeypatch.setitem(sys.modules, "neurosparse_test_inputs", here)
    Path("own_inputs.py").write_text(MODULE)
    Path("own_broken.py").write_text("1 / 0\n")
    np.save("x.npy", X.numpy())
    np.save("bytes.npy", np.zeros((4, 8), dtype=np.uint8))
    ids, mask = texts()
    np.save("ids.npy", ids.numpy())
    np.save("mask.npy", mask.numpy())
    np.savez("both.npz", input_ids=ids.numpy(), attention_mask=mask.numpy())
    np.save("six.npy", X[:, :6].numpy())
    yield tmp_path
    sys.modules.pop("own_inputs", None)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["own_inputs:broken", "--data", "x.npy"], "own_inputs:broken failed: KeyError: 'weights'"),
        (["own_inputs:needs", "--data", "x.npy"], "own_inputs:needs failed: TypeError: needs()"),
        (["own_broken:make", "--data", "x.npy"], "cannot be imported: ZeroDivisionError"),
        (["own_inputs:scripted", "--data", "x.npy"], "is a scripted or traced one"),
        (["own_inputs:Two", "--data", "x.npy"], "Two failed on a batch of (20, 8) float32"),
        (["own_inputs:net", "--data", "bytes.npy"], "Sequential failed on a batch of (4, 8)"),
        (["own_inputs:net", "--data", "six.npy"], "Sequential failed on a batch of (20, 6)"),
        (["own_inputs:net", "--data", "x.npy", "--layers", "7"], "no layer '7' in Sequential"),
        (["own_inputs:Two", "--data", "x.npy", "--forward", "own_inputs:x"], "has no 'x'"),
        (["own_inputs:net", "--data", "x.npy", "--units-axis", "x"], "--units-axis takes a whole"),
        (
            ["own_inputs:net", "--data", "x.npy", "--units-axis", "1=a"],
            "--units-axis takes a whole",
        ),
        (["own_inputs:net", "--data", "x.npy", "--units-axis", "2"], "axis 2 does not exist"),
        (
            ["own_inputs:net", "--data", "x.npy", "--units-axis", "7=1"],
            "names layer '7', which was",
        ),
    ],
)
def test_errors_of_a_users_model_are_one_sentence(
    mine: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    code = run("measure", *arguments)
    said = capsys.readouterr()
    assert code == 2
    assert "Traceback" not in said.err
    assert " ".join(sentence.split()) in " ".join(said.err.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["own_inputs:Two", "--data", "x.npy", "--forward", "own_inputs:both"], "relu"),
        (["own_inputs:Masked", "--data", "both.npz"], "{n}"),
        (["own_inputs:Masked", "--data", "ids.npy", "--mask", "mask.npy"], "{n}"),
        (["own_inputs:net", "--data", "x.npy", "--layers", "0,1", "--batch-size", "3"], "20"),
        (["own_inputs:net", "--data", "x.npy", "--relative", "--threshold", ".1"], "rms of the"),
        (["own_inputs:net", "--data", "x.npy", "--units-axis", "0"], "units 20"),
        (["own_inputs:net", "--data", "x.npy", "--units-axis", "1=0"], "units 20"),
        (
            ["own_inputs:Experts", "--data", "six.npy"],
            "Units of an expert that was not chosen are inactive",
        ),
        (["own_inputs:Experts", "--data", "six.npy"], "No sample reached experts.2.1, experts.3.1"),
    ],
)
def test_options_of_networks_on_the_command_line(
    mine: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    code = run("measure", *arguments)
    said = capsys.readouterr()
    assert code == 0, said.err
    assert words.format(n=int(texts()[1].sum())) in " ".join(said.out.split())


@pytest.mark.filterwarnings("ignore:.*(Sparse|nested|beta|prototype).*")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda x: x.to_sparse(), r"got a sparse_coo one: pass x\.to_dense"),
        (lambda x: x.to_sparse_csr(), r"got a sparse_csr one: pass x\.to_dense"),
        (lambda x: torch.nested.nested_tensor([x, x[:2]]), r"got a nested one: pass .*and a mask"),
    ],
)
def test_tensors_that_are_not_dense_are_refused(make, said) -> None:
    model, x = nn.Sequential(nn.Linear(8, 4), nn.ReLU()), torch.randn(4, 8)
    for data in (make(x), [make(x)], [(make(x), torch.zeros(4))]):
        with pytest.raises(ValueError, match=said):
            ns.measure(model, data, active_when=ns.ActiveWhen(threshold=0))


class TwoPrecisions(nn.Module):
    """Its inputs are those of the linear layer, which is not the first."""

    def __init__(self, first: torch.dtype, second: torch.dtype) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.scale = nn.Parameter(torch.ones(1, dtype=first))
        self.linear, self.act = nn.Linear(16, 8, dtype=second), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.linear(x))


@pytest.mark.parametrize("first", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("second", [torch.float32, torch.float64])
def test_a_model_of_two_precisions_gets_inputs_that_it_runs_on(
    first: torch.dtype, second: torch.dtype
) -> None:
    model, x = TwoPrecisions(first, second), torch.randn(50, 16)
    with torch.no_grad():
        right = float((model(x.to(second)) > 0).double().mean())
    for data in (x, x.double().numpy()):
        assert ns.measure(model, data, active_when=ZERO)["act"].active_fraction == right


def test_a_state_in_a_dict_of_inputs_goes_along() -> None:
    class Cache:
        seen = 3

    class Takes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, x: Tensor, past: Cache) -> Tensor:
            return self.act(x - past.seen)

    batch = {"x": torch.ones(2, 4), "past": Cache()}
    assert ns.measure(Takes(), [batch], active_when=ZERO)["act"].active_fraction == 0
