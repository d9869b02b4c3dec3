"""Recurrent layers: all of them are counted, each step is a sample, packed sequences too."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import neurosparse as ns
from neurosparse.probe import recurrent

ZERO = ns.ActiveWhen(threshold=0)
N, STEPS, FEATURES, HIDDEN = 7, 5, 6, 8
X = torch.randn(N, STEPS, FEATURES, generator=torch.Generator().manual_seed(1))
LENGTHS = torch.tensor([5, 2, 4, 1, 3, 5, 2])


def share(x: Tensor) -> float:
    return float((x > 0).double().mean())


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_layers_below_are_those_of_modules_of_one_layer(
    bidirectional: bool, bias: bool, packed: bool
) -> None:
    """Compare with a stack of modules of one layer, with the same weights."""
    torch.manual_seed(0)
    rnn = nn.RNN(
        FEATURES, HIDDEN, num_layers=3, nonlinearity="relu", batch_first=True,
        bidirectional=bidirectional, bias=bias, dropout=0.3,
    ).eval()  # fmt: skip
    ways = 2 if bidirectional else 1
    hx = torch.rand(3 * ways, N, HIDDEN)
    x = pack_padded_sequence(X, LENGTHS, True, enforce_sorted=False) if packed else X
    stacked, right = x, []
    for k in range(3):
        size = FEATURES if k == 0 else ways * HIDDEN
        one = nn.RNN(size, HIDDEN, nonlinearity="relu", batch_first=True, bias=bias,
                     bidirectional=bidirectional)  # fmt: skip
        of_layer = {name: w for name, w in rnn.state_dict().items() if f"_l{k}" in name}
        one.load_state_dict({name.replace(f"_l{k}", "_l0"): w for name, w in of_layer.items()})
        stacked, _ = one(stacked, hx[ways * k : ways * (k + 1)])
        right.append(stacked.data if packed else stacked)
    found = [*recurrent.below(rnn, x, hx), rnn(x, hx)[0].data]
    assert len(found) == 3
    for a, b in zip(found, right, strict=True):
        torch.testing.assert_close(a, b)
    rnn.train()
    assert list(recurrent.below(rnn, x, hx)) == []  # dropout drew what is gone


def test_all_layers_of_a_module_are_measured() -> None:
    torch.manual_seed(0)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.RNN(FEATURES, HIDDEN, 3, nonlinearity="relu", batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.rnn(x)[1][-1]

    model = Model().eval()
    with torch.no_grad():
        right = [*map(share, recurrent.below(model.rnn, X)), share(model.rnn(X)[0])]
    for size in (N, 3, 1):
        stats = ns.measure(model, X, active_when=ZERO, batch_size=size)
        assert list(stats) == ["rnn.l0", "rnn.l1", "rnn"]
        assert [s.active_fraction for s in stats.values()] == pytest.approx(right)
        assert {(s.n_units, s.n_samples) for s in stats.values()} == {(HIDDEN, N * STEPS)}
        assert all(s.interval.method.endswith(f"{N} inputs") for s in stats.values())
    assert list(ns.measure(model, X, active_when=ZERO, layers=["rnn"])) == ["rnn"]


class Cell(nn.Module):
    """A cell of torch's, step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.RNNCell(FEATURES, HIDDEN, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        h, seen = torch.zeros(len(x), HIDDEN), []
        for step in x.unbind(1):
            seen.append(h := self.cell(step, h))
        return torch.stack(seen, 1)


class ByHand(nn.Module):
    """The same by hand, with an activation that is shared by all steps."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.u = nn.Linear(FEATURES, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        h, seen = torch.zeros(len(x), HIDDEN), []
        for step in x.unbind(1):
            seen.append(h := self.act(self.w(step) + self.u(h)))
        return torch.stack(seen, 1)


class OfMatrices(nn.Module):
    """The same by matrices and a clamp."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.u = (nn.Parameter(torch.randn(n, HIDDEN)) for n in (FEATURES, HIDDEN))

    def forward(self, x: Tensor) -> Tensor:
        h, seen = x.new_zeros(len(x), HIDDEN), []
        for step in x.unbind(1):
            seen.append(h := (step @ self.w + h @ self.u).clamp(min=0))
        return torch.stack(seen, 1)


@pytest.mark.parametrize(("kind", "name"), [(Cell, "cell"), (ByHand, "act"), (OfMatrices, "clamp")])
def test_each_step_is_a_sample_of_one_layer(kind: type[nn.Module], name: str) -> None:
    torch.manual_seed(0)
    model = kind().eval()
    short = X[:, :2]  # how often it is called depends on the data
    with torch.no_grad():
        states = [model(X), model(short)]
    right = torch.cat([s.flatten(0, 1) for s in states])
    for batches in ([X, short], [*X.split(1), *short.split(2)]):
        stats = ns.measure(model, batches, active_when=ZERO)
        assert list(stats) == [name]
        assert stats[name].n_samples == len(right)
        assert stats[name].active_fraction == pytest.approx(share(right))


@pytest.mark.parametrize("batch_first", [False, True])
def test_sequences_packed_and_laid_out_again_keep_their_units(batch_first: bool) -> None:
    torch.manual_seed(0)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(FEATURES, HIDDEN, batch_first=batch_first)
            self.out, self.act = nn.Linear(HIDDEN, 3), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            x = x if batch_first else x.movedim(0, 1)
            packed = pack_padded_sequence(x, LENGTHS, batch_first, enforce_sorted=False)
            padded, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first)
            return self.act(self.out(padded))

    model = Model().eval()
    with torch.no_grad():
        right = share(model(X))
    found = ns.measure(model, X, active_when=ZERO)["act"]
    assert (found.n_units, found.n_samples) == (3, N * STEPS)
    assert found.active_fraction == pytest.approx(right)
    assert found.interval.method.endswith(f"{N} inputs")
    mask = torch.arange(STEPS)[None] < LENGTHS[:, None]
    with torch.no_grad():
        out = model(X)
        right = share((out if batch_first else out.movedim(0, 1))[mask])
    masked = ns.measure(model, X, active_when=ZERO, mask=mask)["act"]
    assert masked.n_samples == int(mask.sum())
    assert masked.active_fraction == pytest.approx(right)


class Several(nn.Module):
    """Its layers put out several things: a sequence and its states, a tuple, a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.act = nn.LSTM(6, 8, batch_first=True), nn.ReLU()

    def forward(self, x: torch.Tensor) -> dict[str, Tensor | None]:
        return {"out": self.act(self.lstm(x)[0]), "more": None}


def test_the_first_of_several_outputs_is_that_of_a_layer() -> None:
    model = nn.Sequential(Several())
    found = ns.measure(model, torch.randn(4, 5, 6), active_when=ZERO, layers=["0.lstm", "0"])
    assert {name: (s.n_units, s.n_samples) for name, s in found.items()} == {
        "0.lstm": (8, 20),
        "0": (8, 20),
    }
    assert found["0.lstm"].active_fraction == 1 > found["0"].active_fraction
