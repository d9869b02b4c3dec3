"""A network's layers against a plain count, in three batch sizes: the axis of the units travels with
the data, and a layer is known by its caller and its weights.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import neurosparse as ns
from neurosparse import ActiveWhen

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from counts_by_hand import KINDS, Noted, built, told

ZERO = ActiveWhen(threshold=0)


def counts(values: Tensor, axis: int) -> tuple[int, int, list[int]]:
    """Units, samples, and the samples in which each unit is active."""
    rows = values.movedim(axis, -1).reshape(-1, values.shape[axis])
    return rows.shape[1], rows.shape[0], (rows.abs() > 0).sum(0).tolist()


class SqueezeExcitation(Noted):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.down, self.up = nn.Conv2d(3, 6, 3), nn.Linear(6, 2), nn.Linear(2, 6)
        self.inner = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        s = self.inner(self.down(y.mean((2, 3))))
        self.note("inner", s, -1)
        y = self.act(y * torch.sigmoid(self.up(s))[:, :, None, None])
        self.note("act", y, 1)
        return y


class FiLM(Noted):
    """Scale and shift from a side branch, whose linear layer and norm run last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.film, self.norm = nn.Conv2d(3, 5, 3), nn.Linear(3, 10), nn.LayerNorm(10)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        scale, shift = self.norm(self.film(x.mean((2, 3)))).chunk(2, dim=1)
        y = self.act(torch.addcmul(shift[..., None, None], y, scale[..., None, None]))
        self.note("act", y, 1)
        return y


class TimeEmbedding(Noted):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.time, self.norm = nn.Conv2d(3, 4, 3), nn.Linear(8, 4), nn.GroupNorm(2, 4)

    def forward(self, x: Tensor) -> Tensor:
        t = torch.arange(8.0).repeat(len(x), 1) / 8
        y = self.norm(self.conv(x)) + self.time(t).view(-1, 4, 1, 1)
        y = self.act(y)
        self.note("act", y, 1)
        return y


class ChannelsShuffled(Noted):
    """Groups of channels in other places, then a map as tokens and back."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.mix = nn.Conv2d(3, 6, 1, groups=3), nn.Linear(6, 6)
        self.tokens = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        b, c, h, w = y.shape
        y = y.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)
        y = self.act(y)
        self.note("act", y, 1)
        z = self.tokens(self.mix(y.flatten(2).mT))
        self.note("tokens", z, -1)
        y = F.relu(z.transpose(1, 2).unflatten(2, (h, w)) + y)
        self.note("relu", y, 1)
        return y


class Residual(Noted):
    """One activation for all, called before and after a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.norm(self.stem(x)))
        self.note("act", y, 1)
        for k, conv in enumerate(self.convs):
            y = self.act(conv(y) + y)
            self.note(f"act#{k + 2}", y, 1)
        return y


class Routed(Noted):
    """Experts that share an activation; the data decide which are called, and in what order."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(27, 3)
        self.up = nn.ModuleList(nn.Linear(27, 16) for _ in range(3))
        self.down = nn.ModuleList(nn.Linear(16, 27) for _ in range(3))
        for k, layer in enumerate(self.up):
            nn.init.constant_(layer.bias, k - 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :3, :3].flatten(1)
        chosen, out = self.gate(x).argmax(-1), torch.zeros_like(x)
        for k in torch.unique_consecutive(chosen).unique(sorted=False).flip(0).tolist():
            h = self.act(self.up[k](x[chosen == k]))
            self.note("act" if k == 0 else f"act#{k + 1}", h, -1)
            out[chosen == k] = self.down[k](h)
        return out


class StackedExperts(Noted):
    """Experts in one parameter, tokens by their numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(27, 2)
        self.up = nn.Parameter(torch.randn(2, 16, 27))
        self.up.data[1] += 0.3

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :3, :3].flatten(1)
        chosen = self.gate(x).argmax(-1)
        out = x.new_zeros(len(x), 16)
        for k in chosen.unique().flip(0):
            rows = torch.where(chosen == k)[0]
            h = self.act(F.linear(x[rows], self.up[k]))
            self.note("act" if k == 0 else f"act#{int(k) + 1}", h, -1)
            out.index_add_(0, rows, h)
        return out


class Bayesian(Noted):
    """Weights that go through non-linearities are no activity."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.rho = nn.Parameter(torch.randn(8, 3)), nn.Parameter(torch.randn(8, 3))
        self.scale, self.soft = nn.Parameter(torch.randn(8)), nn.Softplus()
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.mean + F.softplus(self.rho) * 0.1 + torch.relu(self.mean)
        y = torch.einsum("bchw,dc->bdhw", x, weight) * self.soft(self.scale).view(-1, 1, 1)
        y = self.act(y)
        self.note("act", y, 1)
        y = torch.relu(self.conv(y))
        self.note("relu", y, 1)
        return y


class Parametrised(Noted):
    """Weights kept at 0 or above by a module that is a non-linearity."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        nn.utils.parametrize.register_parametrization(self.conv, "weight", nn.Softplus())

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.conv(x))
        self.note("act", y, 1)
        return y


class Mixer(Noted):
    """Tokens are mixed by one linear layer, channels by another."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.tokens, self.channels = (
            nn.Conv2d(3, 6, 4, 4),
            nn.Linear(4, 10),
            nn.Linear(6, 12),
        )
        self.back, self.norm = nn.Linear(10, 4), nn.LayerNorm(6)
        self.mixed = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        y = self.mixed(self.tokens(self.norm(x).transpose(1, 2)))
        self.note("mixed", y, -1)
        x = x + self.back(y).transpose(1, 2)
        y = self.act(self.channels(self.norm(x)))
        self.note("act", y, -1)
        return y


class Graph(Noted):
    """Nodes are mixed by an adjacency, from the left and by einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("adjacency", torch.rand(8, 8))
        self.lift, self.next = nn.Linear(24, 5), nn.Linear(5, 7)
        self.second = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 1, 3).flatten(2)
        y = self.act(self.adjacency @ self.lift(x) - 0.1)
        self.note("act", y, -1)
        y = self.second(torch.einsum("nm,bmf->bnf", self.adjacency, self.next(y)))
        self.note("second", y, -1)
        return y


class Attention(Noted):
    """Heads of rectified queries: a unit is a feature of the layer that made it."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(24, 24), nn.Linear(8, 9)

    def forward(self, x: Tensor) -> Tensor:
        b = len(x)
        q, k, v = self.qkv(x.transpose(1, 2).reshape(b, 8, 24)).chunk(3, dim=-1)
        heads = [z.view(b, 8, 2, 4).transpose(1, 2) for z in (q, k, v)]
        y = torch.softmax(heads[0] @ heads[1].mT, -1) @ heads[2]
        y = self.act(self.out(y.transpose(1, 2).reshape(b * 8, 8)).view(b, 8, 9))
        self.note("act", y, -1)
        return y


class Recurrent(Noted):
    """One cell for all steps is one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.rnn = nn.Linear(24 + 6, 6), nn.RNN(24, 5, 1, "relu", batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2).flatten(2)
        h, steps = x.new_zeros(len(x), 6), []
        for k in range(x.shape[1]):
            h = self.act(self.cell(torch.cat([x[:, k], h], dim=1)))
            steps.append(h)
        self.note("act", torch.stack(steps, 1), -1)
        y = self.rnn(x)[0]
        self.note("rnn", y, -1)
        return y


class SignedPair(Noted):
    """relu(x) and relu(-x) of one layer are two sets of units."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        a = self.act(y)
        b = self.act(-y)
        self.note("act", a, 1)
        self.note("act#2", b, 1)
        a, b = torch.cat([a, b], 1).split([3, 5], dim=1)
        return a.sum() + b.sum()


class Dense(Noted):
    """Maps are put side by side, and one unit is a column's mean."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(7, 4, 3, padding=1)
        self.norm, self.pool = nn.BatchNorm2d(11), nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x, self.first(x)], 1)
        x = torch.cat([self.second(x), x], 1)
        y = self.act(self.norm(x))
        self.note("act", y, 1)
        y = F.relu(F.interpolate(F.pad(self.pool(y), (1, 1, 0, 0)), scale_factor=2) - 0.2)
        self.note("relu", y, 1)
        return y


class FeaturesFirst(Noted):
    """Weights from the left: units along axis 0, inputs along axis 1."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(20, 24))

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.weight @ x.mean(-1).flatten(1).T)
        self.note("act", y, 0)
        return y.T


class WeightsOfData(Noted):
    """A convolution with weights of each input's own, all inputs side by side in its groups."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 3, 3, 3))
        self.style, self.more, self.last = nn.Linear(3, 3), nn.Linear(3, 35), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        style = self.style(x.mean((2, 3)))
        weight = self.weight * style[:, None, :, None, None]
        y = F.conv2d(x.reshape(1, -1, 8, 8), weight.reshape(-1, 3, 3, 3), groups=len(x))
        y = self.act(y.view(len(x), 5, 6, 6))
        self.note("act", y, 1)
        z = torch.bmm(self.more(style).view(-1, 7, 5), y.mean((2, 3))[..., None])[..., 0]
        z = self.last(z)
        self.note("last", z, -1)
        return z


NETWORKS = [
    *(FeaturesFirst, WeightsOfData),
    *(SqueezeExcitation, FiLM, TimeEmbedding, ChannelsShuffled, Residual, Routed, StackedExperts),
    *(Bayesian, Parametrised, Mixer, Graph, Attention, Recurrent, SignedPair, Dense),
]


@pytest.mark.parametrize("kind", NETWORKS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("batch_size", [23, 4, 1])
def test_equal_to_a_plain_count(kind: type[Noted], batch_size: int) -> None:
    torch.manual_seed(0)
    model, x = kind().eval(), torch.randn(23, 3, 8, 8)
    expected: dict[str, tuple[int, int, list[int]]] = {}
    model.note = lambda name, output, axis: expected.setdefault(name, counts(output, axis))
    with torch.no_grad():
        model(x)
    model.note = lambda name, output, axis: None
    stats = ns.measure(model, x, active_when=ZERO, batch_size=batch_size)
    assert set(expected) <= set(stats)
    assert set(stats) - set(expected) <= {"sigmoid", "sigmoid*gate"}
    for name, (n_units, n_samples, active) in expected.items():
        found = stats[name]
        assert (found.n_units, found.n_samples) == (n_units, n_samples), name
        counted = found.unit_active_fraction * n_samples
        np.testing.assert_allclose(counted, active, atol=1.01 if n_samples > 500 else 0.01)


@pytest.mark.filterwarnings("ignore:activations that were not called")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("batch_size", [24, 5, 1])
def test_units_are_counted_as_the_model_says(kind: type[Noted], batch_size: int) -> None:
    model, data = built(kind)
    expected = told(model, data)
    stats = ns.measure(model, data, active_when=ZERO, batch_size=batch_size)
    assert set(stats) == set(expected)
    for name, rows in expected.items():
        assert (stats[name].n_units, stats[name].n_samples) == (rows.shape[1], len(rows)), name
        np.testing.assert_allclose(
            stats[name].unit_active_fraction, (rows != 0).double().mean(0), atol=1e-12
        )


# ---- What batches cannot change


@pytest.mark.parametrize("kind", [Routed, StackedExperts, Recurrent, Residual])
def test_statistics_do_not_depend_on_the_batches(kind: type[Noted]) -> None:
    torch.manual_seed(1)
    model, x = kind().double().eval(), torch.randn(60, 3, 8, 8, dtype=torch.float64)
    whole, *others = (
        ns.measure(model, x, active_when=ZERO, batch_size=size) for size in (60, 7, 1)
    )
    for other in others:
        assert list(other) == list(whole)
        for name, a in whole.items():
            b = other[name]
            np.testing.assert_array_equal(a.unit_active_fraction, b.unit_active_fraction)
            assert a.interval.method == b.interval.method
            assert (a.interval.low, a.interval.high) == pytest.approx(
                (b.interval.low, b.interval.high)
            )
            for field in ("gini", "treves_rolls"):
                assert getattr(a.population, field) == pytest.approx(getattr(b.population, field))
            assert a.effective_dimension == pytest.approx(b.effective_dimension)
            assert a.magnitude_95_fraction == pytest.approx(b.magnitude_95_fraction)
            assert a.routed_fraction == b.routed_fraction


def test_units_of_an_expert_that_was_not_chosen_are_inactive() -> None:
    torch.manual_seed(0)
    model, x = Routed().eval(), torch.randn(90, 3, 8, 8)
    stats = ns.measure(model, x, active_when=ZERO)
    assert sum(s.n_samples for s in stats.values()) == 90
    for s in stats.values():
        assert s.routed_fraction == s.n_samples / 90
        assert s.active_fraction_of_all == pytest.approx(s.active_fraction * s.n_samples / 90)


class Experts(nn.Module):
    """Experts with an activation each; those that no sample reaches are called with none, or never."""

    def __init__(self, skips: bool) -> None:
        super().__init__()
        self.skips = skips
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6)) for _ in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        chosen, out = (x[:, 0] > 0).long(), torch.zeros_like(x)
        for k, expert in enumerate(self.experts):
            if bool((chosen == k).any()) or not self.skips:
                out[chosen == k] = expert(x[chosen == k])
        return out


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("batch_size", [30, 1])
def test_experts_without_a_sample_have_none_and_stop_nothing(skips: bool, batch_size: int) -> None:
    torch.manual_seed(0)
    model, x = Experts(skips), torch.randn(30, 6)
    stats = ns.measure(model, x, active_when=ZERO, batch_size=batch_size)
    sizes = {name: (s.n_units, s.n_samples) for name, s in stats.items()}
    n = int((x[:, 0] > 0).sum())
    assert sizes == {
        "experts.0.1": (8, 30 - n),
        "experts.1.1": (8, n),
        "experts.2.1": (8, 0),
        "experts.3.1": (8, 0),
    }
    assert np.isnan(stats["experts.3.1"].active_fraction)
    assert stats["experts.3.1"].active_fraction_of_all == 0
    assert stats["experts.3.1"].interval.method == "no sample reached this layer"


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (nn.BatchNorm1d(3), (3, 240)),
        (nn.InstanceNorm1d(3), (3, 240)),
        (nn.GroupNorm(1, 3), (3, 240)),
        (nn.LayerNorm(40), (40, 18)),
        (nn.Sequential(nn.Linear(40, 50), nn.BatchNorm1d(3)), (50, 18)),
    ],
)
def test_a_norm_of_channels_says_where_they_lie_in_the_inputs(
    norm: nn.Module, shape: tuple[int, int]
) -> None:
    model = nn.Sequential(norm, nn.ReLU())
    found = ns.measure(model, torch.randn(6, 3, 40), active_when=ZERO)["1"]
    assert (found.n_units, found.n_samples) == shape
