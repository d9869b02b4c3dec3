"""A mask reaches the layers however it is given: by position, by a wrapper, by `forward`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import neurosparse as ns
from neurosparse import ActiveWhen
from neurosparse.probe.tokens import inputs_by_name

ZERO = ActiveWhen(threshold=0)
IDS = torch.randint(1, 50, (12, 8), generator=torch.Generator().manual_seed(0))
MASK = (torch.arange(8) < torch.arange(12)[:, None] % 6 + 2).long()


class Needs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.wide, self.act = nn.Embedding(50, 16), nn.Linear(16, 32), nn.ReLU()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.act(self.wide(self.words(input_ids)))


class Takes(Needs):
    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return super().forward(input_ids, torch.empty(0))


class HandsOn(Takes):
    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return super().forward(*args, **kwargs)


class Wrapper(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.inner(*args, **kwargs)


def right() -> tuple[int, float]:
    with torch.no_grad():
        tokens = Takes()(IDS)[MASK == 1]
    return len(tokens), float((tokens > 0).double().mean())


def found(model: nn.Module, data: Any, **options: Any) -> tuple[int, float]:
    (stats,) = ns.measure(model, data, active_when=ZERO, **options).values()
    return stats.n_samples, stats.active_fraction


PAIR, NAMED = [(IDS, MASK)], {"input_ids": IDS, "attention_mask": MASK}
WAYS: dict[str, tuple[Callable[[], nn.Module], Any, dict[str, Any]]] = {
    "needed": (Needs, PAIR, {}),
    "with labels": (Needs, DataLoader(TensorDataset(IDS, MASK, IDS[:, 0]), 5), {}),
    "data parallel": (lambda: nn.DataParallel(Takes()), PAIR, {}),
    "wrapped": (lambda: Wrapper(Wrapper(Needs())), PAIR, {}),
    "wrapped, by name": (lambda: Wrapper(Takes()), NAMED | {"labels": IDS}, {}),
    "of its base": (HandsOn, PAIR, {}),
    "forward": (Takes, NAMED, {"forward": lambda model, batch: model(**batch)}),
    "forward of a dict": (
        Takes,
        {"input_ids": IDS},
        {"forward": lambda model, batch: model(batch["input_ids"]), "mask": MASK},
    ),
    "forward of a pair": (
        Takes,
        PAIR,
        {"forward": lambda model, batch: model(batch[0]), "mask": lambda batch: batch[1]},
    ),
}


@pytest.mark.parametrize(("make", "data", "options"), WAYS.values(), ids=WAYS)
def test_a_mask_leaves_padding_out(
    make: Callable[[], nn.Module], data: Any, options: dict[str, Any]
) -> None:
    assert found(make(), data, **options) == pytest.approx(right())


def test_watch_takes_a_mask_by_position() -> None:
    model = Takes().train()
    with ns.watch(model, every=1) as w:
        model(IDS, MASK).sum().backward()
    assert w.latest["active"] == pytest.approx(right()[1])


def test_a_mask_that_forward_alone_knows_is_told() -> None:
    def forward(model: nn.Module, batch: Any) -> Any:
        return model(batch[0], attention_mask=batch[1])

    with pytest.warns(UserWarning, match=r"^padding is counted: .* attention_mask.*pass mask=\.\."):
        assert found(Takes(), PAIR, forward=forward)[0] == MASK.numel()


def test_inputs_have_the_names_of_the_module_inside() -> None:
    assert inputs_by_name(Wrapper(Needs()), (1, 2, 3), {"more": 4}) == {
        "input_ids": 1,
        "attention_mask": 2,
        "2": 3,
        "more": 4,
    }
    assert inputs_by_name(nn.Sequential(), (1,), {}) == {"input": 1}
