"""The feed-forward block over active pairs: equal to torch's autograd, whatever the input."""

import copy

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn
from torch.nn import functional

import neurosparse as ns
from neurosparse.sparsify import SparseFFN
from neurosparse.sparsify import ffn as module
from neurosparse.sparsify.pairs import BREAK_EVEN, LEAST_PAIRS, Pairs

BIASES = ("up.bias", "down.bias", "gate.bias")


def plain(block: SparseFFN, x: Tensor) -> tuple[Tensor, Tensor]:
    """The block as torch runs it, and the mean L1 of its rectifier."""
    hidden = functional.relu(block.rectified(x))
    l1 = hidden.sum() / max(1, hidden.numel() // hidden.shape[-1])
    if block.gate is not None:
        hidden = hidden * block.up(x)
    return block.down(hidden), l1


def gradients(outputs: tuple[Tensor, Tensor], block: SparseFFN, x: Tensor) -> dict[str, Tensor]:
    """Of a loss that every output has a share in; by parameter, and of the input."""
    block.zero_grad(set_to_none=True)
    x.grad = None
    y, l1 = outputs
    weights = torch.linspace(-1, 1, y.numel()).view(y.shape)
    ((y * weights).sum() + 0.3 * l1).backward()
    found = {name: p.grad.clone() for name, p in block.named_parameters() if p.grad is not None}
    return {**found, "x": x.grad.clone()}


def both(block: SparseFFN, x: Tensor) -> float:
    """The largest difference from autograd, of outputs and gradients, relative to the largest."""
    block.tells = True
    expected = plain(block, x)
    wanted = gradients(expected, block, x)
    y = block(x)
    found = gradients((y, block.l1), block, x)
    assert found.keys() == wanted.keys()
    on = (block.rectified(x) > 0).reshape(-1, len(block.rectified.weight))
    assert torch.equal(block.counts, on.sum(0))
    differences = [relative(y, expected[0]), relative(block.l1, expected[1])]
    return max(differences + [relative(found[k], wanted[k]) for k in wanted])


def relative(found: Tensor, wanted: Tensor) -> float:
    if wanted.numel() == 0:
        return 0.0
    return float(
        (found - wanted).detach().abs().max() / wanted.detach().abs().max().clamp(min=1e-6)
    )


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    shape=st.sampled_from([(), (1,), (9,), (2, 5), (0,), (3, 0, 2)]),
    d_model=st.integers(1, 40),
    d_ff=st.integers(1, 70),
    active=st.floats(0.005, 0.9),
    gated=st.booleans(),
    bias=st.booleans(),
)
def test_outputs_and_gradients_are_those_of_autograd(
    seed, shape, d_model, d_ff, active, gated, bias
):
    torch.manual_seed(seed)
    block = SparseFFN(d_model, d_ff, gated=gated, bias=bias, start_active=None)
    if bias:
        block.start_at(active)
    x = torch.randn(*shape, d_model, requires_grad=True)
    assert both(block, x) < 5e-6


@pytest.mark.parametrize("gated", [False, True])
def test_the_sparse_path_runs_where_few_are_active_and_agrees(gated):
    torch.manual_seed(0)
    block = SparseFFN(64, 512, gated=gated, start_active=0.04)
    x = torch.randn(300, 64, requires_grad=True)
    assert both(block, x) < 2e-6
    assert block.ran.path == "active pairs"
    assert block.ran.active == float((block.rectified(x) > 0).double().mean())


def test_many_pairs_go_through_threads_and_agree():
    torch.manual_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        block = SparseFFN(16, 512, start_active=0.2)
        x = torch.randn(1500, 16, requires_grad=True)
        assert both(block, x) < 5e-6
        assert block.ran.active * x.shape[0] * 512 > LEAST_PAIRS
    finally:
        torch.set_num_threads(before)


def test_the_kernels_list_what_a_loop_lists():
    z = torch.randn(7, 21)
    z[2, 3], z[5, 20] = float("nan"), 0.0
    pairs = Pairs.of(z - 1.5)
    wanted = [(t, u) for t in range(7) for u in range(21) if not (z - 1.5)[t, u] <= 0]
    tokens = np.repeat(np.arange(7), np.diff(pairs.start))
    assert list(zip(tokens.tolist(), pairs.units.tolist(), strict=True)) == wanted


def test_nan_is_seen():
    block = SparseFFN(8, 32)
    x = torch.randn(5, 8)
    x[3, 0] = float("nan")
    y = block(x)
    assert y[3].isnan().all()
    assert not y[[0, 1, 2, 4]].isnan().any()


# ---- Which path ran, and why
# --------------------------------------------------------------------------------------------------


def test_too_many_active_run_densely_and_are_looked_at_again():
    block = SparseFFN(8, 32, start_active=0.5)
    x = torch.randn(200, 8)
    block(x)
    assert block.ran.path == "dense"
    assert f"more than {100 * BREAK_EVEN:g} % of its pairs are active" in block.ran.why
    block.start_at(0.02)
    for _ in range(module.CALLS_AT_REST):
        block(x)
    assert block.ran.path == "dense"
    block(x)
    assert block.ran.path == "active pairs"
    block.start_at(0.5)
    block(x)
    block.start_at(0.02)
    block.look_again()
    block(x)
    assert block.ran.path == "active pairs"


@pytest.mark.parametrize(
    ("prepare", "why"),
    [
        (lambda b, x: (b.double(), x.double()), "float64, not float32"),
        (lambda b, x: (b.bfloat16(), x.bfloat16()), "bfloat16, not float32"),
        (lambda b, x: (b.to("meta"), x.to("meta")), "it runs on meta"),
    ],
)
def test_other_dtypes_and_devices_run_as_torch_does(prepare, why):
    block, x = prepare(SparseFFN(8, 32), torch.randn(4, 8))
    y = block(x)
    assert y.shape == (4, 8)
    assert y.dtype == x.dtype
    assert why in block.ran.why


def test_autocast_runs_densely():
    block = SparseFFN(8, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert block(torch.randn(4, 8)).dtype == torch.bfloat16
    assert block.ran.why == "autocast is on"


def test_transforms_of_torch_func_run_densely():
    block = SparseFFN(8, 32)
    x = torch.randn(4, 8)
    jacobian = torch.func.vmap(torch.func.jacrev(block))(x)
    assert jacobian.shape == (4, 8, 8)
    assert "torch.func" in block.ran.why


def test_compiling_runs_densely_with_the_same_output():
    block = SparseFFN(8, 32)
    x = torch.randn(4, 8)
    compiled = torch.compile(block, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), block(x))


def test_the_rectifier_is_seen_by_measure():
    torch.manual_seed(0)
    block = SparseFFN(16, 64, start_active=0.05)
    x = torch.randn(500, 16)
    stats = ns.measure(nn.Sequential(block), x, active_when=ns.ActiveWhen(threshold=0))
    (layer,) = stats.values()
    assert layer.active_fraction == pytest.approx(float((block.up(x) > 0).float().mean()))


# ---- What a block is to others
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gated", "names"), [(False, "up down"), (True, "gate up down")])
def test_the_state_dict_is_that_of_linears(gated, names):
    block = SparseFFN(8, 32, gated=gated)
    linears = nn.ModuleDict(
        {n: nn.Linear(32, 8) if n == "down" else nn.Linear(8, 32) for n in names.split()}
    )
    linears.load_state_dict(block.state_dict())
    fresh = SparseFFN(8, 32, gated=gated)
    fresh.load_state_dict(linears.state_dict())
    x = torch.randn(3, 8)
    assert torch.equal(fresh(x), block(x))


def test_copies_after_a_call_that_kept_its_graph():
    block = SparseFFN(8, 32)
    block.tells = True
    x = torch.randn(3, 8, requires_grad=True)
    y = block(x)
    twin = copy.deepcopy(block)
    assert torch.equal(twin(x), y)
    assert twin.down.weight.t().is_contiguous()


def test_it_trains_as_torch_does():
    torch.manual_seed(1)
    block = SparseFFN(12, 48, start_active=0.05)
    twin = nn.Sequential(nn.Linear(12, 48), nn.ReLU(), nn.Linear(48, 12))
    twin[0].load_state_dict(block.up.state_dict())
    twin[2].load_state_dict(block.down.state_dict())
    x, wanted = torch.randn(64, 12), torch.randn(64, 12)
    for model in (block, twin):
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
        for _ in range(20):
            optimiser.zero_grad()
            functional.mse_loss(model(x), wanted).backward()
            optimiser.step()
    assert block.ran.path == "active pairs"
    torch.testing.assert_close(block(x), twin(x), atol=1e-5, rtol=1e-4)


def test_dropout_keeps_the_mean_and_its_gradient():
    torch.manual_seed(0)
    block = SparseFFN(6, 400, start_active=0.1, dropout=0.3)
    x = torch.randn(1, 6).expand(4000, 6).clone().requires_grad_()
    y = block(x)
    block.eval()
    spread = y.std(0) / 4000**0.5
    assert ((y.mean(0) - block(x[:1])[0]).abs() < 5 * spread + 1e-6).all()
    y.sum().backward()
    at_rest = x.detach()[:1].clone().requires_grad_()
    block(at_rest).sum().backward()
    torch.testing.assert_close(x.grad.mean(0), at_rest.grad[0], atol=0.05, rtol=0.15)


def test_the_share_at_the_start():
    torch.manual_seed(0)
    block = SparseFFN(256, 2000, start_active=0.1)
    block(torch.randn(400, 256))
    assert block.ran.active == pytest.approx(0.1, abs=0.01)


def test_a_second_derivative_is_refused_in_a_sentence():
    block = SparseFFN(8, 32)
    x = torch.randn(3, 8, requires_grad=True)
    with pytest.raises(RuntimeError, match="has no second derivative"):
        torch.autograd.grad(block(x).sum(), x, create_graph=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation": "gelu"}, "activation must be 'relu'"),
        ({"start_active": 0.0}, "start_active must lie between 0 and 1, got 0"),
        ({"start_active": 0.1, "bias": False}, "this block has none: pass bias=True"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        SparseFFN(8, 32, **settings)
