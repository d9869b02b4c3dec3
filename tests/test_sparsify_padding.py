"""Padded tokens are not steered."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import neurosparse as ns

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


class Handing(nn.Module):
    """A model with another inside, to which it hands on whatever it is called with."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *args, **kwargs):
        return self.inner(*args, **kwargs)


def plain(model: nn.Module) -> nn.Module:
    return model


def compiled(model: nn.Module) -> nn.Module:
    return torch.compile(model, backend="eager", fullgraph=True)


@pytest.mark.parametrize(
    ("around", "with_data"),
    [(plain, False), (Handing, False), (Handing, True), (compiled, True)],
)
def test_a_mask_that_is_passed_by_its_position_counts(around, with_data) -> None:
    x, model = padded(), Texts()
    words = x["input_ids"][x["attention_mask"] == 1][:, None]
    expected = ns.measure(model, words, active_when=ns.ActiveWhen(threshold=0))
    model = around(model)
    s = ns.sparsify(model, l1=0.1, steps=1, data=x if with_data else None)
    (model(*x.values()).sum() + s.penalty()).backward()
    s.step()
    shares = [layer.active_fraction for layer in expected.values()]
    assert list(s.active.values()) == pytest.approx(shares, rel=1e-12)


# ---- Where it is not known which rows are padding


class Ways(nn.Module):
    """A rectifier over tokens that are taken in many ways."""

    def __init__(self, way: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.up, self.act = nn.Embedding(20, 6), nn.Linear(6, 10), nn.ReLU()
        self.rnn, self.way = nn.GRU(6, 6, batch_first=True), way

    def parts(self, x: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
        lengths = mask.sum(1)
        if self.way == "picked":
            return [x[mask.bool()]]
        if self.way == "packed":
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, True, enforce_sorted=False)
            return [self.rnn(packed)[0].data]
        if self.way == "texts":
            return [one[:n] for one, n in zip(x, lengths.tolist(), strict=True)]
        if self.way == "padded texts":
            return list(x)
        if self.way == "tokens":
            return list(x.unbind(1))
        index = x[..., 0].topk(3, dim=1).indices
        return [x.gather(1, index[..., None].expand(-1, -1, 6))]

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        parts = self.parts(self.words(input_ids), attention_mask)
        return torch.stack([self.act(self.up(part)).mean() for part in parts]).sum()


@pytest.mark.parametrize(
    ("way", "counts_padding"),
    [
        *((way, False) for way in ("picked", "packed", "texts")),
        *((way, True) for way in ("padded texts", "tokens", "some")),
    ],
)
def test_padding_that_is_counted_is_told_once(way: str, counts_padding: bool) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        ns.sparsify(Ways(way), l1=0.1, data=padded())
    expected = "padded tokens may be counted in act: which of the rows there are padding is not"
    found = [str(w.message) for w in told]
    assert [message.startswith(expected) for message in found] == [True] * counts_padding
