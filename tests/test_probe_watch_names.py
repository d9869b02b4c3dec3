"""Names of watched layers: the same layer in every look, and the same that one may ask for."""

from __future__ import annotations

import socket

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from watched import batches, mlp

import neurosparse as ns
from neurosparse.probe.layer_names import LastingNames

ZERO = ns.ActiveWhen(threshold=0)


def shares(row: dict[str, float]) -> dict[str, float]:
    return {key[7:]: value for key, value in row.items() if key.startswith("active/")}


class Experts(nn.Module):
    """Experts with one activation for all, called in the order in which a batch needs them."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.up = nn.ModuleList(nn.Linear(6, 32) for _ in range(3))
        self.act, self.kind = nn.ReLU() if kind == "act" else F.relu, kind
        for k, up in enumerate(self.up):
            nn.init.constant_(up.bias, 0.7 * k - 1)

    def forward(self, x: torch.Tensor, route: torch.Tensor) -> torch.Tensor:
        total = x.new_zeros(())
        for k in dict.fromkeys(route.tolist()):
            total = total + self.act(self.up[k](x[route == k])).sum()
        return total

    def true(self, x: torch.Tensor, route: torch.Tensor) -> dict[str, float]:
        """The share of each expert, by the name that `measure` gives it."""
        return {
            self.kind if k == 0 else f"{self.kind}#{k + 1}": (self.up[k](x[route == k]) > 0)
            .double()
            .mean()
            .item()
            for k in sorted(set(route.tolist()))
        }


@pytest.mark.parametrize("kind", ["act", "relu"])
def test_experts_that_share_an_activation_keep_their_names(kind: str) -> None:
    model, x = Experts(kind), batches(1, size=60)[0]
    routes = [torch.tensor(r * 20) for r in ([2, 0, 1], [1, 2, 0], [1, 1, 1], [2, 0, 2])]
    names = list(ns.measure(model, {"x": x, "route": routes[0]}, active_when=ZERO))
    with ns.watch(model, every=1) as w:
        for route in routes:
            model(x, route).backward()
            w.step()
    assert sorted(shares(w.history[0])) == sorted(names)
    assert w.note == ""
    for row, route in zip(w.history, routes, strict=True):
        assert shares(row) == pytest.approx(model.true(x, route))


def test_an_expert_that_hooks_take_for_another_is_seen() -> None:
    """Each pass has one expert, so the same functions run; only its weights tell which it is."""
    model, x = Experts("act"), batches(1)[0]
    with ns.watch(model, every=1) as w:
        for k in (0, 0, 1, 0, 1):
            model(x, torch.full((16,), k)).backward()
            w.step()
    found = [(row["step"], shares(row)) for row in w.history]
    expected = [model.true(x, torch.full((16,), k)) for k in (0, 0, 0, 1)]
    assert found == [
        (step, pytest.approx(e)) for step, e in zip((0, 1, 3, 4), expected, strict=True)
    ]


def test_a_layer_that_is_dropped_takes_no_name_along() -> None:
    class Dropped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))
            self.skip: set[int] = set()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for k, layer in enumerate(self.layers):
                if k not in self.skip:
                    x = x + F.relu(layer(x))
            return x

    model, found = Dropped(), []
    with ns.watch(model, every=1) as w:
        for skip in ({0}, set(), {1}, {0, 1}):
            model.skip = skip
            model(batches(1)[0]).sum().backward()
            w.step()
            found.append(set(shares(w.latest)))
    # the first is met last, and gets the next number
    everything = {"relu", "relu#2", "relu#3"}
    assert found == [{"relu", "relu#2"}, everything, {"relu#3", "relu#2"}, {"relu#2"}]


def test_a_model_that_is_called_twice_a_step_is_one_layer() -> None:
    """Where in the loop it is called is no place of its own."""
    model = mlp()
    x, y = batches(2)
    with ns.watch(model, every=1) as w:
        (model(x).sum() + model(y).sum()).backward()
        w.step()
    assert set(shares(w.latest)) == {"1", "3"}
    assert w.latest["samples"] == 32


def test_names_of_the_same_layer_elsewhere_in_the_code() -> None:
    from neurosparse.probe.flow import Key

    names, (a, b) = LastingNames(), (Key("act", place, frozenset({"w"})) for place in "ab")
    assert names.of([a], {}) == {a: "act"}
    assert names.of([b], {}) == {b: "act"}
    assert names.of([a, b], {}) == {a: "act", b: "act#2"}
    assert names.of([b], {}) == {b: "act#2"}


def _one_process(rank: int, port: int, folder: str) -> None:
    from torch import distributed

    distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
    )
    model, x = Experts("act"), batches(1)[0]
    with ns.watch(model, every=1, reduce=True) as w:
        # each process meets another expert first; hooks do not hear that the next one is none of them
        for k in (2 - 2 * rank, 1, 1):
            model(x, torch.full((16,), k)).backward()
            w.step()
    torch.save(list(w.history), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_processes_agree_on_the_names(tmp_path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_one_process, (port, str(tmp_path)), nprocs=2)
    rows, others = (torch.load(tmp_path / f"{k}.pt") for k in (0, 1))
    assert rows == others
    model, x = Experts("act"), batches(1)[0]
    true = [model.true(x, torch.full((16,), k)) for k in range(3)]
    first, middle, last = (next(iter(each.values())) for each in true)
    assert shares(rows[0]) == pytest.approx({"act": first, "act#2": last})
    assert [row["step"] for row in rows] == [0, 2]
    assert shares(rows[1]) == pytest.approx({"act#3": middle})


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 9)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.b(F.relu(self.a(x))))


class Gated(Twice):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(F.silu(self.a(x)) * self.a(x))


@pytest.mark.parametrize(
    ("kind", "layers", "found"),
    [
        (Twice, ["relu"], ["relu", "relu#2"]),
        (Twice, ["relu#1"], ["relu"]),
        (Twice, ["relu#2"], ["relu#2"]),
        (Twice, ["relu", "relu#2"], ["relu", "relu#2"]),
        (Twice, ["b", "relu#1"], ["relu", "b"]),
        (Gated, ["silu*gate"], ["silu*gate"]),
        (Gated, ["silu"], ["silu"]),
    ],
)
def test_names_that_are_printed_may_be_asked_for(kind, layers, found) -> None:
    model, x = kind(), batches(1)[0]
    stats = ns.measure(model, x, active_when=ZERO, layers=layers)
    assert list(stats) == found
    with ns.watch(model, every=1, layers=layers) as w:
        model(x)
    assert w.note == ""
    assert shares(w.latest) == {name: pytest.approx(stats[name].active_fraction) for name in found}


def test_a_number_that_no_layer_has_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no layer 'relu#3' was heard; .* are: relu, relu#2$"):
        ns.measure(Twice(), batches(1)[0], active_when=ZERO, layers=["relu#3"])
    model = Twice()
    with pytest.warns(match="no layer 'relu#3' was heard"), ns.watch(model, layers=("relu#3",)):
        model(batches(1)[0])
