"""Padding is left out: of a decoder that makes its inputs of labels, of frames of a sound, of
tokens that were moved; and where it cannot be, a line says so.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import neurosparse as ns
from neurosparse import ActiveWhen
from neurosparse.probe import axes as ax
from neurosparse.probe.tokens import has_decoder, masks_in

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from counts import THRESHOLD, by_hooks
from counts_transformers import KINDS, OWN, inputs_of

ZERO, SOME = ActiveWhen(threshold=0), ActiveWhen(threshold=THRESHOLD)


def t5() -> nn.Module:
    torch.manual_seed(0)
    options = next(kind for kind in KINDS if kind.name == "T5").options
    config = hf.T5Config(**{**options, "dropout_rate": 0.0})
    return hf.T5ForConditionalGeneration(config).double()


def texts() -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """Inputs with labels and the decoder's mask, and each alone without its padding."""
    return inputs_of(next(kind for kind in KINDS if kind.name == "T5"))


@pytest.mark.parametrize("mask_of_decoder", [True, False])
@pytest.mark.parametrize("batch_size", [8, 3, 1])
def test_a_decoder_that_makes_its_inputs_of_labels(mask_of_decoder: bool, batch_size: int) -> None:
    model, (data, alone) = t5().eval(), texts()
    right = by_hooks(model, alone, OWN)
    if mask_of_decoder:
        data["labels"] = data["labels"].masked_fill(data["labels"] == -100, 0)
    else:
        del data["decoder_attention_mask"]
    found = ns.measure(model, data, active_when=SOME, batch_size=batch_size)
    assert {
        name: (round(s.active_fraction * s.n_units * s.n_samples), s.n_units * s.n_samples)
        for name, s in found.items()
    } == right
    everything = ns.measure(model, data, active_when=SOME, mask=False)
    assert {s.n_samples for s in everything.values()} == {8 * 11, 8 * 9}


def test_watch_and_sparsify_leave_out_the_same() -> None:
    model, (data, alone) = t5(), texts()
    del data["decoder_attention_mask"]
    right = by_hooks(model.eval(), alone, OWN)
    shares = {name: active / total for name, (active, total) in right.items()}
    model.train()
    with ns.watch(model, every=1, active_when=SOME) as w:
        model(**data).loss.backward()
    for name, share in shares.items():
        assert w.latest[f"active/{name}"] == pytest.approx(share, abs=1e-12)
    steered = ns.sparsify(model, l1=0.1, steps=1)
    (model(**data).loss + steered.penalty()).backward()
    steered.step()
    with torch.no_grad():
        exact = ns.measure(model, data, active_when=ZERO)
    assert steered.active == pytest.approx({n: s.active_fraction for n, s in exact.items()})


def test_labels_say_nothing_where_there_is_no_encoder() -> None:
    labels = torch.tensor([[5, -100, -100]])
    assert masks_in({"labels": labels}) == {}
    assert masks_in({"labels": labels}, has_decoder=True)["decoder_attention_mask"].tolist() == [
        [True, False, False]
    ]
    assert has_decoder(nn.Sequential(t5()))
    assert not has_decoder(nn.Linear(2, 2))


# ---- Windows


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_frame_counts_where_its_last_token_does(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 40))
    kernel, stride = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 6))
    dilation = data.draw(st.integers(1, 3))
    conv = nn.Conv1d(1, 1, kernel, stride, dilation=dilation)
    reach = dilation * (kernel - 1)
    if n <= reach:
        return
    size = conv(torch.zeros(1, 1, n)).shape[-1]
    (frames,) = ax.windowed(
        ax.axis(ax.TOKENS, n), size, kernel=kernel, stride=stride, padding=0, dilation=dilation
    )
    numbers = ax.origins((frames,))[1]
    length = data.draw(st.integers(reach + 1, n))
    alone = conv(torch.zeros(1, 1, length)).shape[-1]
    assert int((numbers < length).sum()) == alone


class OneLayer(nn.Module):
    def __init__(self, before: Any, width: int) -> None:
        super().__init__()
        self.before, self.wide, self.act = before, nn.Linear(width, 5), nn.ReLU()

    def forward(self, x: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return self.act(self.wide(self.before(x)))


MASK = (torch.arange(10) < torch.tensor([10, 7, 4, 1])[:, None]).long()
X = torch.randn(4, 10, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("before", "width", "kept"),
    [
        (lambda x: x[:, ::2], 6, MASK[:, ::2]),
        (lambda x: x.unflatten(1, (5, 2)).flatten(2), 12, MASK[:, ::2]),
        (lambda x: torch.cat([x[:, 1:], x[:, :1]], 1), 6, torch.cat([MASK[:, 1:], MASK[:, :1]], 1)),
        (lambda x: torch.cat([x[:, :1] * 0, x[:, :-1]], 1), 6, MASK),
        (lambda x: torch.cat([x[:, :0], nn.functional.pad(x, (0, 0, 2, 0))], 1)[:, 2:], 6, MASK),
        (lambda x: nn.functional.avg_pool1d(x.mT, 3, 2).mT, 6, MASK[:, 2::2]),
        (lambda x: nn.functional.max_pool1d(x.mT, 3, 2, 1).mT, 6, MASK[:, ::2]),
        (lambda x: torch.cat([x, x.new_zeros(len(x), 2, 6)], 1)[:, :-2], 6, MASK),
    ],
)
def test_tokens_are_found_again(before: Any, width: int, kept: Tensor) -> None:
    torch.manual_seed(0)
    model = OneLayer(before, width)
    with torch.no_grad():
        right = (model(X)[kept.bool()] > 0).double().mean(0)
    for size in (4, 3, 1):
        data = {"x": X, "attention_mask": MASK}
        found = ns.measure(model, data, active_when=ZERO, batch_size=size)["act"]
        assert found.n_samples == int(kept.sum())
        assert found.unit_active_fraction.tolist() == pytest.approx(right.tolist())


def test_padding_that_is_counted_is_told() -> None:
    model = OneLayer(lambda x: nn.functional.interpolate(x.mT, size=7).mT, 6)
    with pytest.warns(UserWarning, match=r"^padding is counted in act: .* of attention_mask"):
        found = ns.measure(model, {"x": X, "attention_mask": MASK}, active_when=ZERO)["act"]
    assert found.n_samples == 28
    # nothing is padded, or the layer has one sample an input: nothing to tell
    ns.measure(model, {"x": X, "attention_mask": torch.ones_like(MASK)}, active_when=ZERO)
    pooled = OneLayer(lambda x: x.mean(1), 6)
    ns.measure(pooled, {"x": X, "attention_mask": MASK}, active_when=ZERO)


def test_experts_of_both_halves_are_offered_their_own_tokens() -> None:
    torch.manual_seed(0)
    kind = next(kind for kind in KINDS if kind.name == "SwitchTransformers")
    model = hf.SwitchTransformersModel(hf.SwitchTransformersConfig(**kind.options)).double()
    data, _ = inputs_of(kind)
    shares: dict[str, float] = {}
    for name, s in ns.measure(model, data, active_when=ZERO, batch_size=3).items():
        half = name.partition(".block.")[0]
        if ".experts." in name:
            n = data["attention_mask" if half == "encoder" else "decoder_attention_mask"].sum()
            assert s.routed_fraction == pytest.approx(s.n_samples / float(n))
            shares[half] = shares.get(half, 0) + s.routed_fraction
    assert shares == pytest.approx({"encoder": 1, "decoder": 1})


# ---- What masks look like


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(6, 2, 16, dropout=0.0, batch_first=True)
        layer.activation = nn.ReLU()
        self.layers = nn.TransformerEncoder(layer, 2)

    def forward(
        self,
        x: Tensor,
        attention_mask: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
    ) -> Tensor:
        return self.layers(x, src_key_padding_mask=key_padding_mask)


ADDED = (1.0 - MASK) * -1e4
LIKE_MASK = {
    "whole numbers": MASK,
    "truth": MASK.bool(),
    "added to scores": ADDED,
    "minus infinity": torch.zeros(4, 10).masked_fill(MASK == 0, -torch.inf),
    "for each query": ADDED[:, None, None].expand(4, 1, 10, 10),
    "causal": (MASK[:, None] * torch.ones(10, 10).tril()).bool(),
}


@pytest.mark.parametrize("mask", LIKE_MASK.values(), ids=LIKE_MASK)
def test_masks_of_every_form_say_the_same(mask: Tensor) -> None:
    data = {"x": X, "attention_mask": mask}
    model = OneLayer(lambda x: x, 6)
    with torch.no_grad():
        right = float((model(X)[MASK.bool()] > 0).double().mean())
    for size in (4, 3, 1):
        found = ns.measure(model, data, active_when=ZERO, batch_size=size)["act"]
        assert found.n_samples == int(MASK.sum())
        assert found.active_fraction == pytest.approx(right)


def test_a_key_padding_mask_is_true_for_padding() -> None:
    model, alone = Encoder(), [{"x": x[None, m == 1]} for x, m in zip(X, MASK, strict=True)]
    right = by_hooks(model.eval(), alone)
    shares = {name: active / total for name, (active, total) in right.items()}
    for data in (
        {"x": X, "key_padding_mask": MASK == 0},
        [{"x": X, "key_padding_mask": MASK == 0}],
    ):
        found = ns.measure(model, data, active_when=SOME)
        assert {name: s.active_fraction for name, s in found.items()} == pytest.approx(shares)
    model.train()
    with ns.watch(model, every=1, active_when=SOME) as w:
        model(X, key_padding_mask=MASK == 0).sum().backward()
    assert {name: w.latest[f"active/{name}"] for name in shares} == pytest.approx(shares)
    steered = ns.sparsify(model, l1=0.1, steps=1, active_when=SOME)
    model(X, key_padding_mask=MASK == 0)
    steered.penalty().backward()
    steered.step()
    assert steered.active == pytest.approx(shares)


def test_tokens_of_several_answers() -> None:
    """Inputs and mask of shape (inputs, answers, tokens), which the model lays out as texts."""

    class Choice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.words, self.wide, self.act = nn.Embedding(20, 6), nn.Linear(6, 9), nn.ReLU()

        def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
            return self.act(self.wide(self.words(input_ids.view(-1, input_ids.shape[-1]))))

    model, ids = Choice(), torch.randint(0, 20, (2, 2, 10))
    with torch.no_grad():
        right = float((model(ids)[MASK.bool()] > 0).double().mean())
    for size in (2, 1):
        data = {"input_ids": ids, "attention_mask": MASK.view(2, 2, 10)}
        found = ns.measure(model, data, active_when=ZERO, batch_size=size)["act"]
        assert (found.n_samples, found.active_fraction) == (int(MASK.sum()), pytest.approx(right))


def test_a_residual_tells_whose_tokens_they_are_and_masks_are_no_layers() -> None:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.act = nn.Linear(6, 9), nn.ReLU()

        def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
            seen = (attention_mask - 1).clamp(min=-1) + attention_mask.clamp(min=0)
            lost = torch.from_numpy((0.5 * x * seen[..., None]).numpy())
            return self.act(self.wide(lost + x))

    torch.manual_seed(0)
    found = ns.measure(Attends(), {"x": X, "attention_mask": MASK}, active_when=ZERO)
    assert {name: s.n_samples for name, s in found.items()} == {"act": int(MASK.sum())}
