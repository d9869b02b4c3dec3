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


# ---- Tokens and inputs in another order, or one by one

X = torch.randn(12, 8, 16, generator=torch.Generator().manual_seed(1))
ORDER = torch.tensor([3, 0, 7, 5, 1, 6, 2, 4])


class Moves(nn.Module):
    """A layer behind anything that moves its inputs."""

    def __init__(self, function: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.wide, self.act, self.function = nn.Linear(16, 32), nn.ReLU(), function

    def layer(self, x: Tensor) -> Tensor:
        return self.act(self.wide(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.layer, x)


MOVES: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "flipped": lambda f, x: f(x.flip(1)),
    "flipped inputs": lambda f, x: f(torch.flip(x, (0,))),
    "rolled": lambda f, x: f(x.roll(3, 1)),
    "rolled inputs": lambda f, x: f(x.roll((2, 1), (0, -2))),
    "halves exchanged": lambda f, x: f(torch.cat([x[:, 4:], x[:, :4]], 1)),
    "interleaved": lambda f, x: f(torch.stack([x[:, :4], x[:, 4:]], 2).flatten(1, 2)),
    "permuted": lambda f, x: f(x[:, ORDER]),
    "permuted by a list": lambda f, x: f(x[:, ORDER.tolist()]),
    "permuted by select": lambda f, x: f(x.index_select(1, ORDER)),
    "permuted by two": lambda f, x: f(x[torch.arange(len(x))[:, None], ORDER]),
    "gathered": lambda f, x: f(x.gather(1, ORDER[None, :, None].expand_as(x))),
    "one by one": lambda f, x: torch.stack([f(x[k]) for k in range(len(x))]),
    "each": lambda f, x: torch.stack([f(each) for each in x]),
    "as a list": lambda f, x: f(torch.cat(list(x))),
    "stacked again": lambda f, x: f(torch.stack([each.clone() for each in x])),
    "token by token": lambda f, x: torch.stack([f(x[:, k]) for k in range(8)], 1),
    "from the end": lambda f, x: f(torch.stack([x[:, k] for k in range(7, -1, -1)], 1)),
    "each token of each": lambda f, x: torch.stack(
        [f(x[k, j]) for k in range(len(x)) for j in range(8)]
    ),
}


@pytest.mark.parametrize("batch_size", [12, 5, 1])
@pytest.mark.parametrize("function", MOVES.values(), ids=MOVES)
def test_a_mask_follows_tokens_that_are_moved(
    function: Callable[[Any, Tensor], Tensor], batch_size: int
) -> None:
    model = Moves(function)
    with torch.no_grad():
        units = (model.layer(X)[MASK == 1] > 0).double().mean(0)
    stats = ns.measure(model, X, active_when=ZERO, mask=MASK, batch_size=batch_size)["act"]
    assert stats.n_samples == int(MASK.sum())
    assert stats.unit_active_fraction.tolist() == pytest.approx(units.tolist())


@pytest.mark.parametrize(
    "function",
    [
        lambda f, x: f(x.gather(1, x[..., :1].argsort(1).expand_as(x))),
        lambda f, x: f(torch.take_along_dim(x, x[..., :1].argsort(1), 1)),
        lambda f, x: f(x[torch.arange(len(x))[:, None], x[..., 0].argsort(1)]),
        lambda f, x: f(x.sort(1).values),
        lambda f, x: f(torch.stack([x, x.flip(1)], 1)),
    ],
)
def test_an_order_of_each_input_its_own_is_not_followed(
    function: Callable[[Any, Tensor], Tensor],
) -> None:
    with pytest.raises(ValueError, match="of no layer is it known which of its rows are these"):
        found(Moves(function), X, mask=MASK)


def test_inputs_one_by_one_have_the_interval_of_a_batch() -> None:
    alike = X[:8, :1].expand(8, 5, 16).clone()
    one_by_one, whole = (
        ns.measure(Moves(function), alike, active_when=ZERO)["act"].interval
        for function in (MOVES["one by one"], lambda f, x: f(x))
    )
    assert (one_by_one.low, one_by_one.high) == (whole.low, whole.high)


class ByHand(nn.Module):
    """A recurrent layer, a token at a time, and a head for each input."""

    def __init__(self, step: Callable[[Any, Tensor, Tensor], Tensor], reverse: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cell = nn.RNNCell(16, 24, nonlinearity="relu")
        self.own, self.back, self.both = nn.Linear(16, 24), nn.Linear(24, 24), nn.Linear(40, 24)
        self.head, self.act, self.step, self.reverse = nn.Linear(24, 8), nn.ReLU(), step, reverse

    def steps(self, x: Tensor) -> Tensor:
        state, outputs = torch.zeros(len(x), 24), []
        for k in sorted(range(x.shape[1]), reverse=self.reverse):
            state = self.step(self, x[:, k], state)
            outputs.append(state)
        return torch.stack(outputs[::-1] if self.reverse else outputs, 1)

    def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
        return self.act(self.head(self.steps(x)[:, -1]))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("step", "name"),
    [
        (lambda m, x, state: m.cell(x, state), "cell"),
        (lambda m, x, state: torch.relu(m.back(state) + m.own(x)), "relu"),
        (lambda m, x, state: torch.relu(m.both(torch.cat([state, x], 1))), "relu"),
    ],
)
def test_recurrent_layers_by_hand_leave_padding_out(
    step: Callable[[Any, Tensor, Tensor], Tensor], name: str, reverse: bool
) -> None:
    model = ByHand(step, reverse)
    with torch.no_grad():
        steps = (model.steps(X)[MASK == 1] > 0).double()
    data = {"x": X, "attention_mask": MASK}
    for options in ({}, {"mask": MASK}, {"batch_size": 1}):
        stats = ns.measure(model, data, active_when=ZERO, **options)
        assert (stats[name].n_samples, stats["act"].n_samples) == (len(steps), 12)
        assert stats[name].unit_active_fraction.tolist() == pytest.approx(steps.mean(0).tolist())
