"""Calls that are known by the weights whose output they have, in any order and number."""

from __future__ import annotations

import pytest
import torch
from steered import batch, mlp
from torch import nn
from torch.nn import functional as F  # noqa: N812

import neurosparse as ns


class Experts(nn.Module):
    """Experts that share one rectifier, called as the data choose; the first fires rarely."""

    def __init__(self, by_function: bool, n: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.up = nn.ModuleList(nn.Linear(6, 16) for _ in range(n))
        self.act, self.by_function = nn.ReLU(), by_function
        for k, expert in enumerate(self.up):
            expert.bias.data.fill_(1.0 * k - 1)

    def rectified(self, k: int, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.up[k](x)) if self.by_function else self.act(self.up[k](x))

    def forward(self, x: torch.Tensor, route: torch.Tensor) -> torch.Tensor:
        chosen = dict.fromkeys(route.tolist())
        return sum((self.rectified(k, x[route == k]).sum() for k in chosen), torch.zeros(()))


def names(by_function: bool) -> list[str]:
    name = "relu" if by_function else "act"
    return [name, f"{name}#2", f"{name}#3"]


ROUTES = [[2, 0, 1], [1, 2, 0], [2, 1]]


@pytest.mark.parametrize("by_function", [False, True])
def test_experts_are_told_apart(by_function: bool) -> None:
    """In any order: the penalty and share of each are its own, also where others are left out."""
    model, x, layers = Experts(by_function), batch((60, 6)), names(by_function)
    weights = {layer: 0.1 * 10**k for k, layer in enumerate(layers)}
    s = ns.sparsify(model, l1=weights, steps=1)
    for order in ROUTES:
        route = torch.tensor(order * (60 // len(order)))
        model(x, route)
        found = {k: torch.relu(model.up[k](x[route == k])) for k in order}
        expected = sum(weights[layers[k]] * z.sum(1).mean() for k, z in found.items())
        torch.testing.assert_close(s.penalty(), expected)
        s.step()
        for k, z in found.items():
            assert s.active[layers[k]] == pytest.approx((z > 0).double().mean().item()), order


@pytest.mark.parametrize("by_function", [False, True])
def test_dead_units_of_an_expert_are_its_own(by_function: bool) -> None:
    model, x = Experts(by_function), batch((60, 6))
    model.up[1].bias.data[:4] = -100.0
    s = ns.sparsify(model, target=0.3, steps=60, revive=True, dead_after=5)
    alive = [model.up[1].bias[4:].clone(), model.up[2].bias.clone()]
    for k in range(12):
        model(x, torch.tensor(ROUTES[k % 2] * 20))
        s.penalty()
        s.step()
        dead = s.history[-1][f"dead/{names(by_function)[1]}"]
        assert dead == (0.25 if k == 4 else 0.0)
    assert (model.up[1].bias > -10).all()
    assert torch.equal(model.up[1].bias[4:], alive[0])
    assert torch.equal(model.up[2].bias, alive[1])


def test_an_expert_that_comes_later_is_told_once() -> None:
    model, x = Experts(by_function=False), batch((60, 6))
    s = ns.sparsify(model, l1=1.0, data={"x": x, "route": torch.tensor([0, 1] * 30)})

    def run() -> None:
        for _ in range(2):
            s.forget()
            model(x, torch.tensor([2, 0, 1] * 20))

    with pytest.warns(UserWarning, match=r"act has the output of up\.2\.bias, .*data=") as told:
        run()
    assert len(told) == 1
    found = [torch.relu(model.up[k](x[k + 1 :: 3])) for k in (0, 1)]
    torch.testing.assert_close(s.penalty(), sum(z.sum(1).mean() for z in found))


class Reads(nn.Module):
    """A recurrent cell by hand, and a layer after it."""

    def __init__(self, by_function: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.i, self.h, self.mid = nn.Linear(6, 16), nn.Linear(16, 16), nn.Linear(16, 16)
        self.act1, self.act2, self.by_function = nn.ReLU(), nn.ReLU(), by_function
        self.states: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = (F.relu, F.relu) if self.by_function else (self.act1, self.act2)
        self.states = [x.new_zeros(len(x), 16)]
        for t in range(x.shape[1]):
            self.states.append(first(self.i(x[:, t]) + self.h(self.states[-1])))
        return second(self.mid(self.states[-1]) - 1)


@pytest.mark.parametrize("by_function", [False, True])
def test_sequences_may_have_any_length(by_function: bool) -> None:
    model = Reads(by_function)
    s = ns.sparsify(model, l1=1.0, steps=1)
    for n in (3, 5, 1):
        last = model(batch((20, n, 6)))
        states = torch.stack(model.states[1:])
        expected = states.sum(-1).mean(1).sum() + last.sum(1).mean()
        torch.testing.assert_close(s.penalty(), expected)
        s.step()
        shares = [(z > 0).double().mean().item() for z in (states, last)]
        assert list(s.active.values()) == pytest.approx(shares)


class Branches(nn.Module):
    """A branch in training alone, between two layers."""

    def __init__(self, by_function: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Linear(6, 20), nn.Linear(20, 20), nn.Linear(20, 20)
        self.act, self.by_function = nn.ReLU(), by_function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rectify = F.relu if self.by_function else self.act
        h = rectify(self.a(x))
        aside = rectify(self.c(h)).mean() if self.training else 0.0
        self.last = rectify(self.b(h))
        return self.last.sum() + aside


@pytest.mark.parametrize("by_function", [False, True])
def test_top_k_in_evaluation_is_that_of_the_layer(by_function: bool) -> None:
    model, x = Branches(by_function), batch((30, 6))
    first, second, third = names(by_function)
    ns.sparsify(model, top_k={first: 0.5, second: 0.5, third: 0.1}, data=x)
    for training in (True, False):
        model.train(training)(x)
        assert int((model.last > 0).sum(1).max()) == 2, training


# ---- Which layers there are


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.b(F.relu(self.a(x))))


@pytest.mark.parametrize(
    ("model", "layers", "found"),
    [
        (Gated, ["silu*gate"], ["silu*gate"]),
        (Gated, ["silu"], ["silu"]),
        (Twice, ["relu"], ["relu", "relu#2"]),
        (Twice, ["relu#2"], ["relu#2"]),
        (Twice, ["relu#2", "relu"], ["relu#2", "relu"]),
    ],
)
def test_names_that_are_printed_are_taken(model, layers: list[str], found: list[str]) -> None:
    when = ns.ActiveWhen(threshold=0.05)
    s = ns.sparsify(model(), l1=0.1, data=batch((9, 6)), layers=layers, active_when=when)
    assert list(s.l1) == found


def test_a_name_without_a_number_has_the_value_of_all_that_have_none() -> None:
    s = ns.sparsify(Twice(), l1={"relu": 0.1}, data=batch((9, 6)))
    assert s.l1 == {"relu": 0.1, "relu#2": 0.1}
    s.remove()
    s = ns.sparsify(Twice(), l1={"relu#2": 0.5, "relu": 0.1}, data=batch((9, 6)))
    assert s.l1 == {"relu#2": 0.5, "relu": 0.1}


def test_a_rectifier_is_one_by_its_kind() -> None:
    """Also where the first batch has no 0 in it; what only begins as one is none."""
    model = Twice()
    model.b.weight.data.abs_()
    model.b.bias.data.fill_(1.0)
    s = ns.sparsify(model, target=0.1, data=batch((9, 6)))
    assert list(s.l1) == ["relu", "relu#2"]
    with pytest.raises(ValueError, match="no rectifier to steer; layers found: 1"):
        ns.sparsify(
            nn.Sequential(nn.Linear(6, 8), nn.PReLU(init=0.0)), target=0.1, data=batch((9, 6))
        )


def test_a_layer_that_is_active_throughout_has_no_target() -> None:
    model, x = nn.Sequential(nn.Linear(6, 8), nn.GELU()), batch((9, 6))
    with pytest.raises(ValueError, match=r"^1: nothing there is exactly 0.*active_when="):
        ns.sparsify(model, target=0.1, layers=["1"], data=x)
    ns.sparsify(model, top_k=0.2, layers=["1"], data=x).remove()
    when = ns.ActiveWhen(threshold=0.5, relative=True)
    with pytest.raises(ValueError, match=r"units of the layers.*leave relative out"):
        ns.sparsify(model, target=0.1, layers=["1"], active_when=when)


def test_a_model_without_weights_is_steered() -> None:
    s = ns.sparsify(nn.Sequential(nn.ReLU()), top_k=0.5, data=batch((9, 6)))
    assert list(s._taps) == ["0"]


def test_a_state_that_is_none_is_refused() -> None:
    for data in (None, batch((9, 6))):
        with pytest.raises(ValueError, match=r"is a dict, .* got None"):
            ns.sparsify(mlp(), target=0.1, data=data).load_state_dict(None)
