"""Layers whose biases are shifted near the end, so that they end at their target."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import neurosparse as ns
from neurosparse.sparsify import revive
from neurosparse.sparsify.penalty import Counted, Tap, share
from neurosparse.sparsify.revive import settle_at_last, settle_biases
from neurosparse.sparsify.sites import find_sites


def tapped(x: torch.Tensor, bias: bool = True) -> tuple[nn.Linear, dict[str, Tap]]:
    """An identity with a bias and a rectifier, and the tap of one pass."""
    linear = nn.Linear(x.shape[1], x.shape[1], bias=bias)
    with torch.no_grad():
        linear.weight.copy_(torch.eye(x.shape[1]))
        for parameter in [linear.bias] if bias else []:
            parameter.zero_()
    model = nn.Sequential(linear, nn.ReLU())
    (site,) = find_sites(model, lambda: model(x), None)
    tap = Tap(site, 0.0, torch.device("cpu"))
    tap.take(model(x), {}, penalise=True)
    return linear, {site.name: tap}


def counted(linear: nn.Linear, x: torch.Tensor) -> dict[str, Counted]:
    return {"1": ((linear(x) > 0).sum(0), len(x))}


def active(linear: nn.Linear, x: torch.Tensor) -> float:
    return share(*counted(linear, x)["1"])


@pytest.mark.parametrize("scale", [0.01, 1.0, 300.0])
@pytest.mark.parametrize(("before", "wanted"), [(0.03, 0.04), (0.01, 0.02), (0.05, 0.04)])
def test_inputs_with_an_exponential_tail_come_to_the_share_at_once(
    scale, before, wanted, monkeypatch
) -> None:
    """The closed form: P(x > -d) = P(x > 0) exp(d / m) for a tail with the mean m."""
    monkeypatch.setattr(revive, "SHIFTED", 1.0)
    torch.manual_seed(0)
    x = scale * (torch.distributions.Exponential(1.0).sample((20000, 8)) + math.log(before))
    linear, taps = tapped(x)
    settle_biases(taps, counted(linear, x), {"1": wanted})
    assert active(linear, x) == pytest.approx(wanted, rel=0.04)


@pytest.mark.parametrize(("on", "wanted"), [(2, {"1": 0.04}), (0, {"1": 0.04}), (1, {})])
def test_a_layer_at_its_share_and_one_that_is_dead_or_has_none_stays_as_it_is(on, wanted) -> None:
    linear, taps = tapped(torch.randn(50, 4))
    settle_biases(taps, {"1": (torch.full((4,), on), 50)}, wanted)
    assert not linear.bias.any()


def test_a_unit_that_jumps_between_all_and_nothing_leaves_what_came_nearest() -> None:
    """The same background in most samples: near the share a shift switches all of them at once."""
    torch.manual_seed(0)
    x = torch.randn(1000, 8) - 1.5
    x[:900, 3] = -0.02
    linear, taps = tapped(x)
    seen = []

    def count() -> dict[str, Counted]:
        taps["1"].take(linear(x).relu(), {}, penalise=True)
        seen.append(active(linear, x))
        return counted(linear, x)

    settle_at_last(taps, count, {"1": 0.12})
    assert max(seen) > 0.15  # it has jumped
    assert active(linear, x) == min(seen[12:], key=lambda share: abs(math.log(share / 0.12)))
    assert active(linear, x) == pytest.approx(0.12, rel=0.5)


def test_a_layer_without_a_bias_stays_as_it_is() -> None:
    x = torch.randn(50, 4)
    linear, taps = tapped(x, bias=False)
    settle_biases(taps, counted(linear, x), {"1": 0.04})
    assert active(linear, x) == active(nn.Identity(), x)


@pytest.mark.parametrize("start_active", [0.02, 0.3])
def test_a_layer_that_no_gradient_reaches_ends_at_its_target(start_active) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(6, 50), nn.ReLU(), nn.Linear(50, 1)), torch.randn(400, 6)
    s = ns.sparsify(model, target=0.10, steps=350, start_active=start_active, data=x)
    for k in range(350):
        (0.0 * model(x).sum() + s.penalty()).backward()  # no optimizer: weights stay
        s.step()
        if k < 314:
            assert s.active["1"] == pytest.approx(start_active, abs=0.001)
    assert s.active["1"] == pytest.approx(0.10, rel=0.08)  # from 0.02 or 0.30


def normalised(momentum: float = 0.1) -> nn.Sequential:
    torch.manual_seed(0)
    last = [nn.ReLU(), nn.Dropout(0.2), nn.Linear(40, 1)]
    return nn.Sequential(nn.Linear(12, 40), nn.BatchNorm1d(40, momentum=momentum), *last)


def test_a_network_with_batch_norm_ends_at_its_target_in_evaluation() -> None:
    """Its statistics in evaluation are others than those of the batches: here they never learn."""
    model, x = normalised(momentum=0.0), torch.randn(400, 12)
    s = ns.sparsify(model, target=0.10, steps=700, start_active=0.05, data=x)
    assert repr(s) == "<Sparsifier: no look yet, 0 steps>"
    for _ in range(700):
        (0.0 * model(x).sum() + s.penalty()).backward()
        s.step()
    s.remove()
    assert repr(s) == f"<Sparsifier: {100 * s.active['2']:.3g} % active at step 700>"
    found = ns.measure(model.eval(), x, active_when=ns.ActiveWhen(threshold=0))["2"]
    assert found.active_fraction == pytest.approx(0.10, rel=0.03)  # from less than 0.01
    assert s.active["2"] > 0.15  # in training


@pytest.mark.parametrize("revived", [True, False])
def test_a_unit_that_is_silent_in_evaluation_is_woken_at_last(revived) -> None:
    """Its inputs have a long tail below: at the quantile of all units it would stay silent."""
    model, x = normalised(momentum=0.0), torch.randn(400, 12)
    x[:, 0] = -torch.exp(x[:, 0])
    with torch.no_grad():
        model[0].weight[3] = torch.eye(12)[0]
        model[0].bias[3] = -1.0
    s = ns.sparsify(model, target=0.10, steps=700, revive=revived, data=x)
    for _ in range(700):
        (0.0 * model(x).sum() + s.penalty()).backward()
        s.step()
    s.remove()
    found = ns.measure(model.eval(), x, active_when=ns.ActiveWhen(threshold=0))["2"]
    assert found.active_fraction == pytest.approx(0.10, rel=0.03)
    assert (found.n_silent == 0) == revived


def test_each_unit_is_set_by_its_own_inputs_where_asked() -> None:
    torch.manual_seed(0)
    x = torch.randn(4000, 3)
    x[:, 1] = -torch.exp(x[:, 1])
    together, alone = ((x + revive.shift_for(x, 0.04, alone=a) > 0).sum(0) for a in (False, True))
    assert together[1] == 0
    assert alone.tolist() == [160, 160, 160]


def test_a_look_in_evaluation_leaves_no_trace() -> None:
    """Modes, statistics and random numbers are those of the same training without a look."""
    states = []
    for target in (0.10, None):
        model, x = normalised(), torch.randn(64, 12)
        modes = [module.training for module in model.train().modules()]
        way = {"l1": 0.0} if target is None else {"target": target}
        s = ns.sparsify(model, **way, steps=20, data=x)
        torch.manual_seed(2)
        for _ in range(20):
            (0.0 * model(x).sum() + s.penalty()).backward()
            s.step()
        assert [module.training for module in model.modules()] == modes
        assert s.history[-1]["active/2"] == s.active["2"]
        states.append((model[1].running_mean.clone(), model[1].num_batches_tracked, torch.rand(3)))
        assert all(not tap.terms and not tap.samples for tap in s._taps.values())
    for one, other in zip(*states, strict=True):
        assert torch.equal(one, other)


def test_rounds_are_run_once_and_by_batches_of_the_training_alone(monkeypatch) -> None:
    model, x, other = normalised(), torch.randn(64, 12), torch.randn(5, 12)
    s, rounds = ns.sparsify(model, target=0.10, steps=20, data=x), []
    evaluated = s._evaluated
    monkeypatch.setattr(s, "_evaluated", lambda n: rounds.append((s.n_steps, n)) or evaluated(n))
    for _ in range(24):  # some steps more than said
        (0.0 * model.train()(x).sum() + s.penalty()).backward()
        with torch.no_grad():
            model.eval()(other)
        s.step()
    assert [n for step, n in rounds if step == 20] == [4] * 24
    assert [step for step, n in rounds if n == 1] == [18, 19, 21, 22, 23, 24]
    assert all(run.args[0] is x for run, _ in s._passes)
