"""Models that are hard to copy or in half precision: converted, and left as they are."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from neurosparse.convert import to_spiking
from neurosparse.convert.quantised import quantise
from neurosparse.convert.tuning import Tuning, tune
from neurosparse.sparsify.copies import copied

X = torch.rand(64, 8, generator=torch.Generator().manual_seed(1))


def net(first: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16) if first is None else first, nn.ReLU(), nn.Linear(16, 4))


@dataclass
class Cache:
    key: Tensor | None = None


class Slotted:
    __slots__ = ("value",)


def keeping(place: str) -> nn.Module:
    layer = nn.Linear(8, 16)
    made = layer(torch.rand(2, 8))
    if place == "attribute":
        layer.last = made
    elif place == "list":
        layer.all = [{"x": (made, made * 2)}]
    elif place == "object":
        layer.cache = Cache(made)
    else:
        layer.cache = Slotted()
        layer.cache.value = made
    return layer


def old(normalise: Callable[..., nn.Module]) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return normalise(nn.Linear(8, 16))


def with_buffers_that_learn() -> nn.Module:
    layer = nn.Linear(8, 16)
    layer.register_buffer("leaf", torch.ones(3, requires_grad=True))
    layer.register_buffer("made", layer.weight.sum(1))
    return layer


MODELS: dict[str, Callable[[], nn.Module]] = {
    "pruned": lambda: net(prune.l1_unstructured(nn.Linear(8, 16), "weight", 0.5)),
    "pruned in rows": lambda: net(prune.ln_structured(nn.Linear(8, 16), "weight", 0.5, 2, 0)),
    "pruned twice": lambda: net(
        prune.random_unstructured(
            prune.l1_unstructured(nn.Linear(8, 16), "weight", 0.3), "bias", 0.5
        )
    ),
    "weight norm, older": lambda: net(old(weight_norm)),
    "spectral norm, older": lambda: net(old(spectral_norm)),
    "weight norm": lambda: net(parametrizations.weight_norm(nn.Linear(8, 16))),
    "spectral norm": lambda: net(parametrizations.spectral_norm(nn.Linear(8, 16))),
    "orthogonal": lambda: net(parametrizations.orthogonal(nn.Linear(8, 16))),
    "keeps a tensor": lambda: net(keeping("attribute")),
    "keeps a list": lambda: net(keeping("list")),
    "keeps an object": lambda: net(keeping("object")),
    "keeps an object of slots": lambda: net(keeping("slots")),
    "buffers that learn": lambda: net(with_buffers_that_learn()),
    "compiled": lambda: torch.compile(net()),
    "a compiled layer": lambda: net(torch.compile(nn.Linear(8, 16))),
    "in parallel": lambda: nn.DataParallel(net()),
    "half": lambda: net(nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16))).bfloat16(),
}


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def plain(model: nn.Module) -> nn.Module:
    inner = getattr(model, "_orig_mod", getattr(model, "module", model))
    return nn.Sequential(*(getattr(layer, "_orig_mod", layer) for layer in inner))


@pytest.mark.parametrize("after", ["made", "a backward pass", "a pass without gradients"])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_is_hard_to_copy_is_converted_and_left_as_it_is(name: str, after: str) -> None:
    model = MODELS[name]()
    kind = next(model.parameters()).dtype
    if after == "a backward pass":
        plain(model)(X.to(kind)).sum().backward()
    elif after == "a pass without gradients":
        with torch.no_grad():
            plain(model)(X.to(kind))
    before, training = state(model), [m.training for m in model.modules()]
    spiking = to_spiking(model, X.to(kind))
    assert training == [m.training for m in model.modules()]
    assert all(torch.equal(value, before[key]) for key, value in state(model).items())
    with torch.no_grad():
        expected = plain(model).eval()(X.to(kind)).float()
    tolerance = {} if kind == torch.float32 else {"rtol": 0.03, "atol": 0.01}
    torch.testing.assert_close(spiking.source(X), expected, **tolerance)
    outputs = spiking.run(X, 512).outputs
    assert float((outputs - expected).abs().mean() / expected.abs().mean()) < 0.03


def test_hooks_of_the_user_are_not_lost() -> None:
    model = net()
    handle = model[1].register_forward_hook(lambda module, given, out: out * 2)
    with pytest.raises(ValueError, match="what was traced gives other outputs"):
        to_spiking(model, X)  # the hook changes what the layer computes: never without a word
    handle.remove()
    seen: list[int] = []
    model[1].register_forward_hook(lambda module, given, out: seen.append(1))
    assert to_spiking(model, X).run(X, 8).outputs.shape == (64, 4)


def test_shared_weights_stay_shared() -> None:
    layer = nn.Linear(8, 8)
    model = nn.Sequential(layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(8, 2))
    own = copied(model)
    assert own[0] is own[2]
    assert own[0] is not layer
    with torch.no_grad():
        expected = model(X)
    torch.testing.assert_close(to_spiking(model, X).source(X), expected)


def test_other_ways_to_copy_take_them_too() -> None:
    model = MODELS["pruned"]()
    model(X).sum().backward()
    quantised = quantise(model, X, levels=4)
    assert to_spiking(quantised, X).run(X, 4).outputs.shape == (64, 4)
    tuned = tune(model, X, torch.zeros(64, dtype=torch.int64), Tuning(epochs=1))
    assert (tuned[0].weight == 0).float().mean() == pytest.approx(0.5)


class Locked(nn.Linear):
    def __init__(self) -> None:
        super().__init__(8, 16)
        self.lock = threading.Lock()


REFUSED: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "scripted": (lambda: torch.jit.script(net()), TypeError, "is scripted: give the module that"),
    "traced": (lambda: torch.jit.trace(net(), X), TypeError, "is scripted: give the module that"),
    "exported": (lambda: torch.export.export(net(), (X,)), TypeError, "must be a torch module"),
    "lazy": (lambda: net(nn.LazyLinear(16)), ValueError, r"do not exist yet \(0.weight\): run it"),
    "meta": (lambda: net().to("meta"), ValueError, r"without values \(0.weight is meta\)"),
    "locked": (lambda: net(Locked()), ValueError, "cannot be copied .*lock.*: take it out"),
    "a function": (lambda: torch.relu, TypeError, "must be a torch module"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_converted_is_refused_in_one_sentence(name: str) -> None:
    make, error, message = REFUSED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make()
    with pytest.raises(error, match=message) as caught:
        to_spiking(model, X)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_lazy_layers_that_were_run_are_converted() -> None:
    model = net(nn.LazyLinear(16))
    model(X)
    assert to_spiking(model, X).run(X, 8).outputs.shape == (64, 4)


@pytest.mark.parametrize("coding", ["constant", "poisson"])
@pytest.mark.parametrize("engine", ["torch", "events"])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_spikes_are_counted_beyond_what_half_precision_holds(
    kind: torch.dtype, engine: str, coding: str
) -> None:
    model, steps = net(), 4096
    with torch.no_grad():
        model[0].weight.abs_()  # the most active unit spikes in every step, whatever its input
        model[0].bias.fill_(50.0)
        model.to(kind)
        expected = model.float()(X)
    model.to(kind)
    spiking = to_spiking(model, X.to(kind), normalisation="maximum")
    run = spiking.run(
        X.to(kind), steps, coding=coding, engine=engine, outputs_at=[1024, 3000], record_spikes=True
    )
    counts, spikes = run.spike_counts["1"], run.spikes["1"]
    assert torch.equal(counts.long(), spikes.sum(0))
    assert counts.max() > 3900
    scale = expected.abs().mean()
    for outputs in (*run.outputs_at.values(), run.outputs):
        assert outputs.dtype == torch.float32
        assert float((outputs - expected).abs().mean() / scale) < 0.01


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_refused_for_the_network_itself(kind: torch.dtype) -> None:
    with pytest.raises(ValueError, match=f"for which {kind} is too coarse: use torch.float32"):
        to_spiking(net(), X).to(kind)


def test_half_precision_models_can_be_verified_and_written() -> None:
    spiking = to_spiking(net().bfloat16(), X.bfloat16())
    report = spiking.report(X.bfloat16(), steps=64)
    assert report.curve[-1].agreement > 0.9


def test_more_steps_than_can_be_counted_are_refused() -> None:
    with pytest.raises(ValueError, match="steps must be <= 16,777,216, got 100,000,000"):
        to_spiking(net(), X).run(X, 10**8)
