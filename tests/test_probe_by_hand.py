"""Rectifiers that are no module: by hand, in recurrent layers, outside torch; and what is not counted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import neurosparse as ns
from neurosparse import ActiveWhen

ZERO = ActiveWhen(threshold=0)


class ByHand(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.last = nn.Linear(16, 32), nn.Linear(32, 8), nn.ReLU()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.b(self.function(self.a(x))))


def _assigned(z: Tensor) -> Tensor:
    z = z.clone()
    z[z < 0] = 0
    return z


def _of_topk(z: Tensor) -> Tensor:
    mask = torch.zeros_like(z).scatter_(-1, z.topk(5).indices, 1.0)
    return z * mask


def _of_batch_topk(z: Tensor) -> Tensor:
    a = torch.relu(z).flatten()
    values, places = a.topk(5 * len(z))
    return torch.zeros_like(a).scatter(-1, places, values).reshape(z.shape)


def _of_batch_topk_written(z: Tensor) -> Tensor:
    a = torch.relu(z)
    values, places = a.flatten().topk(5 * len(z))
    kept = torch.zeros_like(a)
    kept.view(-1)[places] = values
    return kept


BY_HAND: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "times": (lambda z: z * (z > 0), "mul"),
    "times as number": (lambda z: (z > 0).float() * z, "mul"),
    "in place": (lambda z: z.clone().mul_(z > 0), "mul"),
    "where": (lambda z: torch.where(z > 0, z, 0.0), "where"),
    "where zeros": (lambda z: torch.where(z <= 0, torch.zeros_like(z), z), "where"),
    "maximum": (lambda z: torch.maximum(z, torch.zeros(1)), "maximum"),
    "maximum first": (lambda z: torch.maximum(torch.zeros(()), z), "maximum"),
    "max": (lambda z: torch.max(z, torch.zeros(1)), "max"),
    "masked_fill": (lambda z: z.masked_fill(z < 0, 0), "masked_fill"),
    "assigned": (_assigned, "setitem"),
    "clamp": (lambda z: z.clamp(0), "clamp"),
    "clamp by a tensor": (lambda z: torch.clamp(z, min=torch.zeros(())), "clamp"),
    "jump": (lambda z: z * (z > 0.3), "mul"),
    "jump of a rectifier": (lambda z: torch.relu(z) * (z > 0.3), "relu*gate"),
    "top-k": (lambda z: torch.zeros_like(z).scatter(-1, *z.topk(5)[::-1]), "scatter"),
    "top-k of a rectifier": (
        lambda z: torch.zeros(len(z), 32).scatter(1, *torch.relu(z).topk(5)[::-1]),
        "relu*topk",
    ),
    "top-k of a batch": (_of_batch_topk, "relu*topk"),
    "top-k of a batch, written": (_of_batch_topk_written, "relu*topk"),
    "top-k mask": (_of_topk, "mul"),
    "winner": (lambda z: z * F.one_hot(z.argmax(-1), 32).to(z.dtype), "mul"),
    "kth": (lambda z: z * (z >= z.topk(5).values[..., -1:]), "mul"),
}


@pytest.mark.parametrize(("function", "name"), BY_HAND.values(), ids=BY_HAND)
def test_rectifiers_by_hand_are_counted(function: Callable[[Tensor], Tensor], name: str) -> None:
    torch.manual_seed(0)
    model, x = ByHand(function), torch.randn(50, 16)
    with torch.no_grad():
        right = function(model.a(x))
    stats = ns.measure(model, x, active_when=ZERO)
    assert list(stats) == [name, "last"]
    assert stats[name].n_units == 32
    np.testing.assert_allclose(
        stats[name].unit_active_fraction, (right != 0).double().mean(0), atol=1e-12
    )


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_a_recurrent_layer_with_a_rectifier_is_counted(bidirectional: bool, packed: bool) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.RNN(
                6, 5, nonlinearity="relu", batch_first=True, bidirectional=bidirectional
            )

        def forward(self, x: Tensor) -> Tensor:
            if packed:
                lengths = torch.tensor([4, 2, 1, 3, 4, 1])[: len(x)]
                x = nn.utils.rnn.pack_padded_sequence(
                    x, lengths, batch_first=True, enforce_sorted=False
                )
            return self.rnn(x)[0]

    torch.manual_seed(0)
    model, x = Model(), torch.randn(6, 4, 6)
    with torch.no_grad():
        right = model(x).data if packed else model(x).flatten(0, 1)
    found = ns.measure(model, x, active_when=ZERO)["rnn"]
    assert (found.n_units, found.n_samples) == (right.shape[1], len(right))
    assert found.active_fraction == pytest.approx(float((right > 0).double().mean()))
    assert found.interval.method.endswith("6 inputs")


def test_zeros_that_were_not_counted_are_named_in_one_line() -> None:
    class Half(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return (z + z.abs()) / 2

    model = nn.Sequential(nn.Linear(6, 20), Half(), nn.Linear(20, 5), nn.ReLU())
    with pytest.warns(UserWarning, match=r"^outputs with exact zeros that were not counted: 1 \("):
        assert list(ns.measure(model, torch.randn(50, 6), active_when=ZERO)) == ["3"]
    # named, it is counted
    found = ns.measure(model, torch.randn(50, 6), active_when=ZERO, layers=["1"])["1"]
    assert 0.2 < found.active_fraction < 0.8


@pytest.mark.parametrize("bias", [100.0, -100.0, 0.0])
def test_the_share_of_zeros_is_that_of_all_units(bias: float) -> None:
    """Not of those alone at which a step through the memory of 4,096 numbers arrives."""
    torch.manual_seed(0)
    model = ByHand(lambda z: (z + z.abs()) / 2)
    model.a, model.b = nn.Linear(16, 512), nn.Linear(512, 8)
    nn.init.constant_(model.a.bias[0], bias)
    with pytest.warns(UserWarning, match=r"were not counted: add \((49|50|51) %\)"):
        ns.measure(model, torch.randn(64, 64, 16), active_when=ZERO)


@pytest.mark.parametrize("batch_size", [500, 100])
@pytest.mark.parametrize("name", ["where", "maximum"])
def test_floors_of_zeros_are_seen_in_layers_of_any_size(name: str, batch_size: int) -> None:
    def rectified(z: Tensor) -> Tensor:
        zeros = torch.zeros_like(z)
        return torch.maximum(z, zeros) if name == "maximum" else torch.where(z > 0, z, zeros)

    model = ByHand(rectified)
    model.a, model.b = nn.Linear(16, 4096), nn.Linear(4096, 8)
    found = ns.measure(model, torch.randn(500, 16), active_when=ZERO, batch_size=batch_size)
    assert list(found) == [name, "last"]


class OutsideTorch(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return torch.from_numpy(np.maximum(z.detach().numpy(), 0))


class OwnFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, z: Tensor) -> Tensor:
        return torch.from_numpy(np.maximum(z.numpy(), 0))


def test_zeros_that_no_function_of_torch_made_are_named() -> None:
    class Calls(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.narrow = nn.Linear(6, 20), nn.Linear(20, 5)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.narrow(OwnFunction.apply(self.wide(x))))

    module = nn.Sequential(nn.Linear(6, 20), OutsideTorch(), nn.Linear(20, 5), nn.ReLU())
    for model, name in ((module, r"1 \("), (Calls(), r"\(no function of torch\) \(")):
        with pytest.warns(UserWarning, match=rf"^outputs with exact zeros .*: {name}"):
            ns.measure(model, torch.randn(50, 6), active_when=ZERO)


def test_what_holds_the_units_can_be_said() -> None:
    class Opaque(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(torch.from_numpy(x.detach().numpy().reshape(len(x), 4, 6, 1)))

    model, x = Opaque(), torch.randn(7, 24)
    with pytest.raises(ValueError, match=r"^which axis of layer 'relu', .* pass units_axis="):
        ns.measure(model, x, active_when=ZERO)
    found = ns.measure(model, x, active_when=ZERO, units_axis={"relu": 2})["relu"]
    assert (found.n_units, found.n_samples) == (6, 28)
    found = ns.measure(model, x, active_when=ActiveWhen(threshold=0, axis=1))["relu"]
    assert found.n_units == 4


def test_the_winner_of_all_units_is_counted() -> None:
    class Winner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 20), nn.Linear(20, 4)

        def forward(self, x: Tensor) -> Tensor:
            z = self.a(x)
            return self.b(z * (z == z.amax(-1, keepdim=True)))

    found = list(ns.measure(Winner(), torch.randn(30, 6), active_when=ZERO).values())
    assert [(s.active_fraction, s.n_units, s.n_samples) for s in found] == [(1 / 20, 20, 30)]


def test_an_ensemble_in_one_product_has_units_of_its_own_in_each_member() -> None:
    class Ensemble(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.randn(3, 6, 5))

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(torch.bmm(x.expand(3, *x.shape), self.w))

    torch.manual_seed(1)
    model, x = Ensemble(), torch.randn(30, 6)
    with torch.no_grad():
        right = (model(x) > 0).double()
    for size in (30, 4, 1):
        found = ns.measure(model, x, active_when=ZERO, batch_size=size)["relu"]
        assert (found.n_units, found.n_samples) == (15, 30)
        np.testing.assert_allclose(found.unit_active_fraction, right.mean(1).flatten())
        assert found.interval.method.endswith("30 inputs")


class Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, z: Tensor) -> Tensor:
        return (z > 0).float()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient


BINARY: dict[str, Callable[[Tensor], Tensor]] = {
    "comparison": lambda z: (z > 0).float(),
    "surrogate gradient": Step.apply,
    "heaviside": lambda z: torch.heaviside(z, torch.zeros(1)),
    "drawn": lambda z: (torch.rand_like(z) < z.sigmoid()).float(),
    "bernoulli": lambda z: torch.bernoulli(z.sigmoid()),
    "largest": lambda z: F.one_hot(z.argmax(-1), 32).float(),
}


@pytest.mark.parametrize("function", BINARY.values(), ids=BINARY)
def test_binary_units_that_were_not_counted_are_named(function: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match=r"were not counted: input of b \((4\d|5\d|97) %\)"):
        ns.measure(ByHand(function), torch.randn(500, 16), active_when=ZERO)


def test_a_network_of_binary_units_alone_is_refused_with_their_zeros() -> None:
    model = nn.Sequential(nn.Linear(16, 32), OutsideStep(), nn.Linear(32, 4), OutsideStep())
    with pytest.raises(ValueError, match=r"nothing to record \(outputs with .*: input of 2 \("):
        ns.measure(model, torch.randn(50, 16), active_when=ZERO)


class OutsideStep(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return Step.apply(z)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda z: F.relu(z).round(), r"round \(8\d %\)"),
        (
            lambda z: torch.fake_quantize_per_tensor_affine(F.relu(z), 0.3, 0, 0, 7),
            r"fake_quantize_per_tensor_affine \(\d\d %\)",
        ),
    ],
)
def test_zeros_of_rounding_after_a_layer_are_named(
    function: Callable[[Tensor], Tensor], words: str
) -> None:
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match=f"were not counted: {words}"):
        ns.measure(ByHand(function), torch.randn(500, 16), active_when=ZERO)
