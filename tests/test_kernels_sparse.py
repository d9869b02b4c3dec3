"""The sparse kernels against autograd in float64: every gradient, for any depth, width, batch,
penalty, top-k and layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from neurosparse.kernels.network import layout
from neurosparse.rectifier import NetworkSpec, RectifierNetwork
from neurosparse.rectifier.sparse_training import SparseEngine, why_not

RATE = 2.0**30  # so large that what a weight was before the step takes no digits from its gradient
MARGIN = 1e-6  # a unit nearer to its threshold than this may be on in float32 and off in float64


@dataclass(frozen=True)
class Case:
    """A network and a minibatch; `density` is the share of inputs that are not zero."""

    sizes: tuple[int, ...]
    batch: int
    room: int = 0  # how many more samples a minibatch could have
    l1: float = 0.0
    top_k: int = 0
    density: float = 0.5
    dense_input: bool = False
    seed: int = 0

    @property
    def n_hidden(self) -> int:
        return len(self.sizes) - 2

    @property
    def penalties(self) -> list[float]:
        return [self.l1 * (k + 1) for k in range(self.n_hidden)]

    def network(self) -> RectifierNetwork:
        network = RectifierNetwork(NetworkSpec(sizes=self.sizes), seed=self.seed)
        generator = torch.Generator().manual_seed(self.seed)
        with torch.no_grad():
            for linear in network.linears():
                linear.bias.uniform_(-0.1, 0.1, generator=generator)
        return network

    def images(self) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng(self.seed)
        x = rng.random((self.batch, self.sizes[0])) * (
            rng.random((self.batch, self.sizes[0])) < self.density
        )
        return torch.tensor(x, dtype=torch.float32), torch.tensor(
            rng.integers(0, self.sizes[-1], self.batch)
        )


@dataclass(frozen=True)
class Reference:
    loss: float  # summed over the samples, without the penalty
    gradients: dict[str, torch.Tensor]
    scales: dict[
        str, torch.Tensor
    ]  # the sums that the gradients are, of the sizes of their terms: what rounding is relative to
    n_active: tuple[int, ...]
    margin: float


def reference(case: Case) -> Reference:
    """By autograd in float64, written without any of the package's steps."""
    network = case.network().double()
    x, y = case.images()
    h, penalty, margin, n_active = x.double(), torch.zeros((), dtype=torch.float64), np.inf, []
    # of each layer: the sizes of its inputs' terms, and its sums
    sizes_in, sums = [x.double().abs()], []
    for linear, weight in zip(network.linears(), [*case.penalties, None], strict=True):
        z = linear(h)
        z.retain_grad()
        sums.append(z)
        if weight is None:
            break
        margin = min(margin, float(z.detach().abs().min()))
        sizes_in.append(
            (sizes_in[-1] @ linear.weight.abs().t() + linear.bias.abs()).detach() * (z > 0)
        )
        h = z.relu()
        if 0 < case.top_k < h.shape[1]:
            kept = h.detach().topk(case.top_k + 1, dim=1)
            gaps = (kept.values[:, -2] - kept.values[:, -1])[kept.values[:, -2] > 0]
            margin = min(margin, float(gaps.min()) if len(gaps) else np.inf)
            h = h * torch.zeros_like(h).scatter(1, kept.indices[:, :-1], 1.0)
        penalty = penalty + weight * h.sum(dim=1).mean()
        n_active.append(int((h > 0).sum()))
    loss = nn.functional.cross_entropy(z, y)
    (loss + penalty).backward()
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    deltas = [z.grad.abs() for z in sums]
    deltas[-1] = (z.detach().softmax(1) + nn.functional.one_hot(y, z.shape[1])) / case.batch
    for k in reversed(range(case.n_hidden)):
        above = network.linears()[k + 1].weight.detach().abs()
        deltas[k] = (deltas[k + 1] @ above + case.penalties[k] / case.batch) * (deltas[k] > 0)
    scales = [s for d, h in zip(deltas, sizes_in, strict=True) for s in (d.t() @ h, d.sum(0))]
    return Reference(
        loss.item() * case.batch,
        gradients,
        dict(zip(gradients, scales, strict=True)),
        tuple(n_active),
        margin,
    )


def found(case: Case, rate: float = RATE) -> tuple[dict[str, torch.Tensor], float, tuple[int, ...]]:
    """The gradients as the engine's weights moved by them; its loss; its active pairs."""
    network = case.network()
    x, y = case.images()
    engine = SparseEngine(
        *(network, x, y, case.batch + case.room),
        top_k=[case.top_k] * case.n_hidden,
        dense_input=case.dense_input,
    )
    descent = engine.descend(torch.arange(case.batch), learning_rate=rate, l1=case.penalties)
    assert descent.broken_step is None
    before = network.state_dict()
    moved = {
        name: (before[name].double() - weight.double()) / rate
        for name, weight in engine.weights().items()
    }
    return moved, descent.loss, descent.n_active


cases = st.builds(
    Case,
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=6).flatmap(
        lambda hidden: st.tuples(st.integers(1, 70), st.integers(2, 20)).map(
            lambda ends: (ends[0], *hidden, ends[1])
        )
    ),
    batch=st.integers(1, 64),
    room=st.sampled_from([0, 0, 3]),
    l1=st.sampled_from([0.0, 0.001, 0.1]),
    top_k=st.sampled_from([0, 0, 1, 7, 40]),
    density=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    dense_input=st.booleans(),
    seed=st.integers(0, 1000),
).filter(lambda case: case.batch + case.room <= 64)


@given(cases)
@settings(max_examples=100)
def test_gradients_equal_autograd(case: Case) -> None:
    expected = reference(case)
    assume(expected.margin > MARGIN)
    check_gradients(case, expected)


@pytest.mark.parametrize(
    "case",
    [
        Case((784, 1000, 1000, 1000, 10), batch=10, l1=0.001, density=0.2),
        Case((784, 1000, 1000, 1000, 10), batch=10, l1=0.001, dense_input=True, seed=1),
        Case((784, 1000, 1000, 1000, 10), batch=10, top_k=50, seed=2),
        Case((3, 1024, 5), batch=7, density=1.0, seed=1),  # rows of exactly 4 KiB
        Case((64, 64, 64, 64), batch=64),
    ],
)
def test_gradients_equal_autograd_to_a_millionth_of_their_norm(case: Case) -> None:
    expected = reference(case)
    assert expected.margin > MARGIN, "choose another seed"
    check_gradients(case, expected, of=expected.gradients)


def check_gradients(
    case: Case, expected: Reference, of: dict[str, torch.Tensor] | None = None
) -> None:
    gradients, loss, n_active = found(case)
    assert loss == pytest.approx(expected.loss, rel=1e-6)
    assert n_active == expected.n_active
    for name, gradient in expected.gradients.items():
        error = float((gradients[name] - gradient).norm())
        assert error <= 1e-6 * float((of or expected.scales)[name].norm()) + 1e-12, name


def test_only_active_units_learn() -> None:
    case = Case((20, 30, 30, 4), batch=1, seed=5)
    gradients, _, n_active = found(case)
    rows = [
        int((gradients[name].abs().sum(1) > 0).sum())
        for name in ("linear1.weight", "linear2.weight")
    ]
    assert rows == list(n_active)
    assert 0 < n_active[0] < 30
    silent = gradients["linear1.weight"].abs().sum(1) == 0
    assert gradients["linear2.weight"][:, silent].abs().max() == 0


def test_many_steps_equal_plain_sgd_and_the_last_batch_may_be_smaller() -> None:
    spec = NetworkSpec(sizes=(30, 50, 40, 6))
    network, theirs = RectifierNetwork(spec, seed=2), RectifierNetwork(spec, seed=2).double()
    rng = np.random.default_rng(0)
    images, labels = rng.random((57, 30)).astype(np.float32), rng.integers(0, 6, 57)
    order = rng.permutation(57)
    engine = SparseEngine(network, images, labels, batch_size=10)
    descent = engine.descend(order, learning_rate=0.2, l1=[0.001, 0.002])
    optimiser = torch.optim.SGD(theirs.parameters(), lr=0.2)
    total = 0.0
    for rows in torch.tensor(order).split(10):
        optimiser.zero_grad()
        values = theirs.activations(torch.tensor(images)[rows].double())
        loss = nn.functional.cross_entropy(values["output"], torch.tensor(labels)[rows])
        penalty = 0.001 * values["hidden1"].sum(1).mean() + 0.002 * values["hidden2"].sum(1).mean()
        (loss + penalty).backward()
        optimiser.step()
        total += loss.item() * len(rows)
    assert descent.loss == pytest.approx(total, rel=1e-6)
    for name, weight in engine.weights().items():
        torch.testing.assert_close(weight.double(), theirs.state_dict()[name], rtol=0, atol=1e-6)
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            network.parameters(), RectifierNetwork(spec, seed=2).parameters(), strict=True
        )
    )


def test_same_rows_same_bits() -> None:
    case = Case((40, 70, 60, 5), batch=33, seed=3)
    one, two = found(case, rate=0.1), found(case, rate=0.1)
    assert all(torch.equal(one[0][name], two[0][name]) for name in one[0])
    assert one[1:] == two[1:]


def test_top_k_keeps_the_first_of_equals_and_all_that_is_larger() -> None:
    network = RectifierNetwork(NetworkSpec(sizes=(1, 6, 2)))
    with torch.no_grad():
        network.linear1.weight.copy_(torch.tensor([[1.0], [1.0], [2.0], [1.0], [-1.0], [3.0]]))
        network.linear1.bias.zero_()
    engine = SparseEngine(network, np.ones((1, 1), np.float32), np.array([0]), 1, top_k=[3])
    assert engine.descend([0], learning_rate=1e-3, l1=[1.0]).n_active == (3,)
    moved = (engine.weights()["linear1.bias"] != 0).tolist()
    assert moved == [True, False, True, False, False, True]


@given(
    st.lists(st.integers(-3, 8), min_size=1, max_size=300),
    st.integers(1, 40),
    st.randoms(use_true_random=False),
)
def test_top_k_equals_a_stable_sort(sums: list[int], k: int, random: Random) -> None:
    """Many equals, in any order: the k largest by value and then by place are those that learn."""
    random.shuffle(sums)
    network = RectifierNetwork(NetworkSpec(sizes=(1, len(sums), 2)))
    with torch.no_grad():
        network.linear1.weight.copy_(torch.tensor(sums)[:, None])
    engine = SparseEngine(network, np.ones((1, 1), np.float32), np.array([0]), 1, top_k=[k])
    engine.descend([0], learning_rate=1e-3, l1=[10.0])
    moved = np.flatnonzero(engine.weights()["linear1.bias"]).tolist()
    expected = sorted(range(len(sums)), key=lambda unit: -sums[unit])[:k]
    assert moved == sorted(unit for unit in expected if sums[unit] > 0)


# ---- The layout
# --------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 1100), min_size=2, max_size=5), st.booleans())
@settings(max_examples=25)
def test_the_layout_holds_the_weights_in_padded_aligned_rows(
    sizes: list[int], dense_input: bool
) -> None:
    rng = np.random.default_rng(0)
    weights = [rng.random((n_out, n_in)).astype(np.float32) for n_in, n_out in pairwise(sizes)]
    biases = [rng.random(n).astype(np.float32) for n in sizes[1:]]
    net = layout.net(weights, biases, dense_input=dense_input)
    for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        np.testing.assert_array_equal(layout.view(net, k), weight)
        np.testing.assert_array_equal(layout.bias(net, k), bias)
    assert net.weights.sum(dtype=np.float64) == pytest.approx(
        sum(w.sum(dtype=np.float64) for w in weights)
    )
    assert net.weights.ctypes.data % 64 == 0
    assert (net.strides % layout.LINE == 0).all()
    assert (net.strides % layout.PAGE != 0).all()
    assert (net.columns <= net.strides).all()


def test_layouts_that_do_not_fit() -> None:
    one, two = np.zeros((4, 3)), np.zeros((2, 5))
    with pytest.raises(ValueError, match="layer 2 takes 5 inputs but the layer below has 4 units"):
        layout.net([one, two], [np.zeros(4), np.zeros(2)])
    with pytest.raises(
        ValueError, match=r"layer 1 has weights of shape \(4, 3\) and biases of shape \(3,\)"
    ):
        layout.net([one], [np.zeros(3)])
    with pytest.raises(
        ValueError, match="a network needs a bias for each of its matrices, got 1 and 0"
    ):
        layout.net([one], [])


# ---- What is refused, and what must be seen
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["linear1", "linear2", "output"])
@pytest.mark.parametrize("dense_input", [False, True])
def test_a_nan_in_the_weights_is_seen_at_once(layer: str, dense_input: bool) -> None:
    network = RectifierNetwork(NetworkSpec(sizes=(8, 70, 70, 3)))
    engine = SparseEngine(
        network, torch.ones(25, 8), torch.zeros(25, dtype=torch.int64), 10, dense_input=dense_input
    )
    with torch.no_grad():
        for unit in range(3):  # all rows that a unit could have
            engine.weights()[f"{layer}.weight"][unit] = float("nan")
    before = {name: weight.clone() for name, weight in engine.weights().items()}
    descent = engine.descend(torch.arange(25), learning_rate=0.1, l1=[0.0, 0.0])
    assert descent.broken_step == 0
    for name, weight in engine.weights().items():  # the broken step changed nothing
        torch.testing.assert_close(weight, before[name], rtol=0, atol=0, equal_nan=True)


def test_the_step_that_breaks_is_named() -> None:
    network = RectifierNetwork(NetworkSpec(sizes=(4, 8, 2)))
    images, labels = torch.ones(30, 4), torch.zeros(30, dtype=torch.int64)
    images[25] = 3e38  # its sums overflow
    engine = SparseEngine(network, images, labels, 10)
    descent = engine.descend(torch.arange(30), learning_rate=0.1, l1=[0.0])
    assert descent.broken_step == 2
    assert np.isfinite(descent.loss)


def _engine(**changes: object) -> SparseEngine:
    network = RectifierNetwork(NetworkSpec(sizes=(4, 8, 2)))
    arguments = {
        "images": np.ones((3, 4), np.float32),
        "labels": np.array([0, 1, 1]),
        "batch_size": 2,
        **changes,
    }
    return SparseEngine(network, **arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"images": np.ones((3, 5), np.float32)},
            r"images must have shape \(n, 4\), n >= 1, got \(3, 5\)",
        ),
        (
            {"images": np.ones((0, 4), np.float32), "labels": np.zeros(0, int)},
            r"n >= 1, got \(0, 4\)",
        ),
        ({"images": np.full((3, 4), np.nan, np.float32)}, "images must be finite, got nan"),
        ({"labels": np.array([0, 1])}, r"labels must have shape \(3,\), one an image, got \(2,\)"),
        ({"labels": np.array([0, 1, 2])}, r"labels must lie in \[0, 2\), got 0 to 2"),
        ({"labels": np.array([0, -1, 1])}, r"labels must lie in \[0, 2\), got -1 to 1"),
        ({"batch_size": 65}, "batch_size 65 is above 64; use the torch engine"),
        ({"batch_size": 0}, "batch_size must be >= 1, got 0"),
        (
            {"top_k": [1, 2]},
            r"top_k must be 1 numbers >= 0, one for each hidden layer, got \[1, 2\]",
        ),
        ({"top_k": [-1]}, r"top_k must be 1 numbers >= 0"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_kernel_runs(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _engine(**changes)


def test_labels_that_are_no_integers() -> None:
    with pytest.raises(TypeError, match="labels must be integers, got dtype float64"):
        _engine(labels=np.array([0.0, 1.0, 1.0]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": [0, 3]}, r"rows must be numbers of images, in \[0, 3\)"),
        ({"rows": [-1]}, r"rows must be numbers of images, in \[0, 3\)"),
        ({"rows": [[0]]}, r"rows must be numbers of images"),
        ({"learning_rate": 0.0}, "learning_rate must be > 0, got 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be finite, got nan"),
        ({"l1": [0.0, 0.0]}, "l1 must be 1 numbers >= 0"),
        ({"l1": [-0.1]}, "l1 must be 1 numbers >= 0"),
        ({"l1": [float("inf")]}, "l1 must be finite, got inf"),
    ],
)
def test_steps_that_cannot_be_done(changes: dict, message: str) -> None:
    arguments = {"rows": [0, 1], "learning_rate": 0.1, "l1": [0.0], **changes}
    with pytest.raises(ValueError, match=message):
        _engine().descend(arguments.pop("rows"), **arguments)


def test_no_rows_no_step() -> None:
    descent = _engine().descend([], learning_rate=0.1, l1=[0.0])
    assert (descent.loss, descent.n_active, descent.broken_step) == (0.0, (0,), None)


def test_read_only_and_strided_images_are_taken_as_they_are() -> None:
    rng = np.random.default_rng(1)
    wide = rng.random((6, 8))
    images, labels = wide[::2, ::2], np.array([0, 1, 1], np.uint8)
    images.flags.writeable = False
    results = []
    for x, y in ((images, labels), (images.astype(np.float32).copy(), labels.astype(np.int64))):
        engine = _engine(images=x, labels=y)
        results.append(engine.descend([2, 0, 1], learning_rate=0.1, l1=[0.01]).loss)
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (
            RectifierNetwork(NetworkSpec(sizes=(4, 3, 2), activation="softplus")),
            "hidden1 is Softplus, not ReLU",
        ),
        (nn.Sequential(nn.Linear(3, 2), nn.Dropout(), nn.Linear(2, 2)), "1 is Dropout, not ReLU"),
        (
            nn.Sequential(nn.Linear(3, 2), nn.ReLU()),
            "the Sequential is not Linear, ReLU, ... Linear",
        ),
        (nn.Sequential(nn.Linear(3, 2, bias=False)), "0 has no biases"),
        (nn.Sequential(nn.Linear(3, 2).double()), "the weights are not float32 on the CPU"),
        (nn.Linear(3, 2), "the Linear is not Linear, ReLU, ... Linear"),
    ],
)
def test_networks_that_the_engine_cannot_train(network: nn.Module, reason: str) -> None:
    assert why_not(network) == reason
    with pytest.raises(
        ValueError,
        match=f"the sparse engine cannot train this network: {reason}; use the torch engine",
    ):
        SparseEngine(network, np.ones((1, 3), np.float32), np.array([0]), 1)


def test_a_device_that_is_not_the_cpu() -> None:
    assert (
        why_not(RectifierNetwork(NetworkSpec(sizes=(4, 3, 2))), device="cuda")
        == "the device is cuda, not cpu"
    )
