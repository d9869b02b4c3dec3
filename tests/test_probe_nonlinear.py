"""What counts as a layer: non-linearities however a model calls them, gated units, networks that
are not ours.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import neurosparse as ns
from neurosparse import ActiveWhen
from neurosparse.probe.nonlinear import listening
from neurosparse.rectifier import record
from neurosparse.sparsity import observe

ZERO = ActiveWhen(threshold=0)


def same(found, values: torch.Tensor, axis: int = -1) -> None:
    """A record holds the counts and sums of `values`."""
    expected = observe(
        values.detach().numpy(),
        ActiveWhen(threshold=found.active_when.threshold, axis=axis),
        found.name,
    )
    assert (found.n_samples, found.n_zero, found.active_when.axis) == (
        expected.n_samples,
        expected.n_zero,
        axis,
    )
    np.testing.assert_array_equal(found.active_count, expected.active_count)
    np.testing.assert_allclose(found.magnitude_sum, expected.magnitude_sum, rtol=1e-6)
    np.testing.assert_allclose(found.population_sums, expected.population_sums, rtol=1e-6)


class Calls(nn.Module):
    """A linear layer, then a function; beside it the same as a module."""

    def __init__(self, function) -> None:
        super().__init__()
        self.linear, self.module, self.function = nn.Linear(6, 8), nn.ReLU(), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self.linear(x)) + self.module(x).sum()


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (torch.relu, "relu"),
        (F.relu, "relu"),
        (torch.Tensor.relu_, "relu"),
        (torch.tanh, "tanh"),
        (F.gelu, "gelu"),
        (F.silu, "silu"),
        (F.leaky_relu, "leaky_relu"),
        (lambda x: x.clamp(min=0), "clamp"),
        (lambda x: torch.clamp(x, 0, 6), "clamp"),
        (lambda x: x.clamp_min(0), "clamp_min"),
        (F.tanhshrink, "tanhshrink"),  # calls tanh: one layer, not two
    ],
)
def test_functions_are_layers_of_their_own_names(function, name: str) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(Calls(function)), torch.randn(5, 6)
    records = record(model, x, ZERO)
    assert list(records) == [f"0.{name}", "0.module"]
    with torch.no_grad():
        same(records[f"0.{name}"], function(model[0].linear(x)))
    assert list(record(model, x, ZERO, layers=[f"0.{name}"])) == [f"0.{name}"]


def test_a_clamp_that_is_no_rectifier_is_no_layer() -> None:
    assert list(record(Calls(lambda x: x.clamp(min=1e-6)), torch.randn(5, 6), ZERO)) == ["module"]


class ByHand(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0.5 * x * (1 + torch.tanh(0.8 * (x + 0.045 * x**3)))


def test_a_module_that_is_a_non_linearity_by_hand_is_one_layer() -> None:
    model, x = nn.Sequential(nn.Linear(6, 8), ByHand()), torch.randn(5, 6)
    records = record(model, x, ActiveWhen(threshold=0.1))
    assert list(records) == ["1"]
    same(records["1"], model(x))


class Own(nn.Module):
    """A module without parameters that computes anything, with tensors of its own."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("wide", torch.randn(8, 32))
        self.register_buffer("back", torch.randn(32, 8))

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self, x)


def _top(x: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(x).scatter(-1, *F.relu(x).topk(4)[::-1])


ONES_OWN: dict[str, tuple[Callable[..., Any], Callable[..., Any], str]] = {
    "weights": (
        lambda m, x: F.relu(x @ m.wide) @ m.back,
        lambda m, x: F.relu(x @ m.wide),
        "1.relu",
    ),
    "changed in place": (
        lambda m, x: F.relu(x @ m.wide).sub_(0.5) @ m.back,
        lambda m, x: F.relu(x @ m.wide),
        "1.relu",
    ),
    "attention": (lambda m, x: F.relu(x @ x.T - 1) @ x, lambda m, x: F.relu(x @ x.T - 1), "1.relu"),
    "pooled": (
        lambda m, x: F.max_pool1d(F.relu(x)[None], 2)[0],
        lambda m, x: F.relu(x),
        "1.relu",
    ),
    "normalised": (
        lambda m, x: F.layer_norm(F.relu(x), (8,)),
        lambda m, x: F.relu(x),
        "1.relu",
    ),
    "routed": (lambda m, x: x.sigmoid().topk(2), lambda m, x: x.sigmoid(), "1.sigmoid"),
    "top-k": (
        lambda m, x: _top(x @ m.wide) @ m.back,
        lambda m, x: _top(x @ m.wide),
        "1.relu*topk",
    ),
    "doubled": (
        lambda m, x: torch.cat([F.relu(x), F.relu(-x)], -1),
        lambda m, x: torch.cat([F.relu(x), F.relu(-x)], -1),
        "1",
    ),
    "a share": (
        lambda m, x: F.relu(x) / (1 + F.relu(x).sum(-1, keepdim=True)),
        lambda m, x: F.relu(x) / (1 + F.relu(x).sum(-1, keepdim=True)),
        "1",
    ),
    "viewed": (
        lambda m, x: F.relu(x.view(-1, 4) - 0.5).view_as(x),
        lambda m, x: F.relu(x - 0.5),
        "1",
    ),
    "outside torch": (
        lambda m, x: torch.from_numpy(2 * F.relu(x).numpy()),
        lambda m, x: 2 * F.relu(x),
        "1",
    ),
}


@pytest.mark.parametrize(("function", "right", "name"), ONES_OWN.values(), ids=ONES_OWN)
def test_a_module_is_an_activation_where_its_output_is_that_of_one(
    function: Callable[..., Any], right: Callable[..., Any], name: str
) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(6, 8), Own(function)), torch.randn(16, 6)
    records = record(model, x, ZERO)
    assert list(records) == [name]
    with torch.no_grad():
        same(records[name], right(model[1], model[0](x)))


class Gated(nn.Module):
    def __init__(self, module: bool) -> None:
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 6)
        self.act = nn.SiLU() if module else F.silu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(self.act(self.gate(x)) * self.up(x))


@pytest.mark.parametrize(("module", "name"), [(True, "0.act"), (False, "0.silu")])
def test_gated_units_are_layers_beside_their_gates(module: bool, name: str) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(Gated(module)), torch.randn(7, 6)
    records = record(model, x, ActiveWhen(threshold=0.05))
    gate = F.silu(model[0].gate(x))
    assert list(records) == [name, f"{name}*gate"]
    same(records[name], gate)
    same(records[f"{name}*gate"], gate * model[0].up(x))


class Squeeze(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.squeeze = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return x * torch.sigmoid(self.squeeze(x.mean((2, 3), keepdim=True)))


def test_one_gate_for_a_whole_map_is_no_gated_unit() -> None:
    assert list(record(Squeeze(), torch.randn(2, 3, 6, 6), ZERO)) == ["sigmoid"]


class Mixture(nn.Module):
    """Channels first, then, as in ConvNeXt, features last, then a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.norm = nn.Conv2d(1, 5, 3), nn.BatchNorm2d(5), nn.LayerNorm(5)
        self.wide, self.head = nn.Linear(5, 11), nn.Linear(11, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn(self.conv(x)))
        x = F.gelu(self.wide(self.norm(x.permute(0, 2, 3, 1))))
        return F.softplus(self.head(x.mean((1, 2))))


def test_the_axis_of_the_units_is_found_and_stated() -> None:
    torch.manual_seed(0)
    model, x = Mixture().eval(), torch.rand(4, 1, 6, 6)
    stats = ns.measure(model, x, active_when=ZERO)
    found = {name: (s.active_when.axis, s.n_units, s.n_samples) for name, s in stats.items()}
    assert found == {"relu": (1, 5, 64), "gelu": (-1, 11, 64), "softplus": (-1, 3, 4)}
    same(record(model, x, ZERO)["relu"], F.relu(model.bn(model.conv(x))), axis=1)
    # as asked for
    assert record(model, x, ActiveWhen(threshold=0, axis=-1), layers=["relu"])["relu"].n_units == 4
    # the axis makes no other definition of active
    assert len(ns.compare(*stats.values()).stats) == 3


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu", nn.ReLU()])
def test_torchs_transformer_fires_in_evaluation_mode(activation, nested) -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 4, 32, activation=activation, batch_first=True)
    model, x = (
        nn.TransformerEncoder(layer, 3, enable_nested_tensor=nested).eval(),
        torch.randn(4, 10, 16),
    )
    before = torch.backends.mha.get_fastpath_enabled(), model(x)
    records = record(model, x, ZERO, batch_size=3)
    name = activation if isinstance(activation, str) else "activation"
    assert list(records) == [f"layers.{k}.{name}" for k in range(3)]
    assert {(r.n_units, r.n_samples, r.n_repeats) for r in records.values()} == {(32, 40, 4)}
    first = model.layers[0]
    with torch.no_grad():
        hidden = first.linear1(first.norm1(x + first.self_attn(x, x, x)[0]))
        same(
            records[f"layers.0.{name}"], F.gelu(hidden) if activation == "gelu" else F.relu(hidden)
        )
    assert torch.backends.mha.get_fastpath_enabled() is before[0]
    torch.testing.assert_close(model(x), before[1])


@pytest.mark.parametrize("nested", [True, False])
def test_padded_tokens_of_torchs_transformer_are_no_samples(nested) -> None:
    layer = nn.TransformerEncoderLayer(16, 4, 32, activation="relu", batch_first=True)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested)
    padded = {
        "src": torch.randn(4, 10, 16),
        "src_key_padding_mask": torch.arange(10).expand(4, 10) > 6,
    }
    assert {r.n_samples for r in record(model, padded, ZERO).values()} == {28}


def test_transformers_models_built_from_their_configuration() -> None:
    from transformers import BertConfig, BertModel, GPT2Config, GPT2Model, LlamaConfig, LlamaModel

    small = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "vocab_size": 50,
    }
    tokens = torch.randint(0, 50, (3, 7), generator=torch.Generator().manual_seed(0))
    bert = ns.measure(BertModel(BertConfig(**small)), {"input_ids": tokens}, active_when=ZERO)
    hidden = {f"encoder.layer.{k}.intermediate.intermediate_act_fn": (24, 21) for k in range(2)}
    assert {n: (s.n_units, s.n_samples) for n, s in bert.items()} == {
        **hidden,
        "pooler.activation": (16, 3),
    }

    llama = ns.measure(
        LlamaModel(LlamaConfig(**small, num_key_value_heads=2)), tokens, active_when=ZERO
    )
    assert [n for n in llama if n.startswith("layers.0")] == [
        "layers.0.mlp.act_fn",
        "layers.0.mlp.act_fn*gate",
    ]

    gpt2 = GPT2Model(GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=50, n_positions=8))
    found = ns.measure(
        gpt2, {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}, active_when=ZERO
    )
    assert {n: s.n_units for n, s in found.items()} == {f"h.{k}.mlp.act": 64 for k in range(2)}


def test_a_network_whose_non_linearities_cannot_be_heard_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^LSTM called none of torch's non-linearities"):
        ns.measure(nn.LSTM(4, 5, batch_first=True), torch.randn(2, 3, 4), active_when=ZERO)


def test_nothing_is_left_behind_when_a_pass_fails() -> None:
    model = Calls(torch.relu)
    before = torch.backends.mha.get_fastpath_enabled()
    with contextlib.suppress(RuntimeError), listening(model, lambda *_: None):
        model(torch.zeros(2, 5))
    assert torch.backends.mha.get_fastpath_enabled() is before
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert list(record(model, torch.zeros(2, 6), ZERO)) == ["relu", "module"]
