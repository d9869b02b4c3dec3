"""Screened decoding: no active unit is missed, whatever the weights and the input."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import nn
from torch.nn.utils import prune

from neurosparse.kernels.network import screening
from neurosparse.sparsify import ScreenedFFN, SparseFFN, screened, screenings
from neurosparse.sparsify import decoding as module


def candidates_of(weights, bias, x):
    """The candidates, as a set."""
    units = np.empty(len(weights) + 1, np.int32)
    whole = np.empty(weights.shape[1], np.int16)
    n = screening.candidates(screening.screen_of(weights), bias, x, whole, units)
    return set(units[:n].tolist())


def active_of(weights, bias, x):
    """The units that are active in exact arithmetic, or in torch's."""
    exact = weights.astype(np.float64) @ x.astype(np.float64) + bias
    theirs = nn.functional.linear(*map(torch.from_numpy, (x, weights, bias))).numpy()
    return set(np.flatnonzero(exact > 0).tolist()) | set(np.flatnonzero(theirs > 0).tolist())


def random_case(seed, n_inputs, kind):
    """Weights, biases and an input that are hard on a bound, by kind."""
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((200, n_inputs)).astype(np.float32)
    x = rng.standard_normal(n_inputs).astype(np.float32)
    bias = rng.standard_normal(200).astype(np.float32)
    if kind == "outliers":
        weights[:, 0] *= 1000
        x[-1] *= 1000
    elif kind == "scales":
        weights *= np.logspace(-18, 15, 200, dtype=np.float32)[:, None]
        bias *= np.logspace(-18, 15, 200, dtype=np.float32)
    elif kind == "edge":  # every unit sits on its threshold, to the rounding of a float32
        bias = -(weights.astype(np.float64) @ x.astype(np.float64)).astype(np.float32)
        bias = np.nextafter(bias, rng.choice([-np.inf, np.inf], 200)).astype(np.float32)
    elif kind == "aligned":  # what rounding left of each weight points along the input
        x = np.sign(weights[0]).astype(np.float32) + np.float32(0.49)
        bias = -(weights.astype(np.float64) @ x.astype(np.float64)).astype(np.float32) * 0.999
    elif kind == "tiny":
        weights *= np.float32(1e-30)
        x *= np.float32(1e-12)
        bias *= np.float32(1e-40)
    return weights, bias.astype(np.float32), x


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    n_inputs=st.sampled_from([1, 3, 64, 500, 2048]),
    kind=st.sampled_from(["normal", "outliers", "scales", "edge", "aligned", "tiny"]),
)
def test_no_active_unit_is_missed(seed, n_inputs, kind):
    weights, bias, x = random_case(seed, n_inputs, kind)
    assert active_of(weights, bias, x) <= candidates_of(weights, bias, x)


def test_the_bound_leaves_most_silent_units_out():
    weights, _, x = random_case(0, 768, "normal")
    bias = np.full(200, -3 * np.linalg.norm(x), np.float32)
    assert not candidates_of(weights, bias - 10, x)
    assert len(candidates_of(weights, bias * 0.6, x)) < 30


def test_sums_of_the_widest_inputs_do_not_overflow():
    n = 40_000
    weights, x = np.ones((2, n), np.float32), np.ones(n, np.float32)
    weights[1] = -1
    assert screening.screen_of(weights).input_levels * 127 * n < 2**31
    assert candidates_of(weights, np.zeros(2, np.float32), x) == {0}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nothing_is_proven_of_an_input_that_is_not_finite(bad):
    weights, bias, x = random_case(0, 16, "normal")
    x[3] = bad
    assert len(candidates_of(weights, bias, x)) == len(weights)


def test_a_silent_input_leaves_the_biases():
    weights, bias, x = random_case(0, 16, "normal")
    assert candidates_of(weights, bias, 0 * x) >= set(np.flatnonzero(bias > 0).tolist())
    assert not candidates_of(0 * weights, -np.abs(bias) - 1, x)


# ---- Blocks and models
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("d_model", [1, 33, 512])
def test_a_screened_block_gives_the_same_output(d_model, gated, bias):
    torch.manual_seed(0)
    block = SparseFFN(d_model, 300, gated=gated, bias=bias, start_active=None)
    if bias:
        block.start_at(0.03)
    block.eval()
    fast = screened(block)
    with torch.no_grad():
        for x in (torch.randn(d_model), torch.randn(1, d_model), torch.randn(2, 2, d_model)):
            torch.testing.assert_close(fast(x), block._dense(x), atol=1e-5, rtol=1e-5)
    assert fast.screening.tokens == 6
    assert fast.screening.active <= fast.screening.candidates


def test_more_tokens_than_a_few_run_in_the_block_itself():
    block = SparseFFN(16, 64, start_active=0.02).eval()
    fast = screened(block)
    x = torch.randn(10, 16)
    with torch.no_grad():
        assert torch.equal(fast(x), block(x))
    assert fast.screening.tokens == 0


def test_a_block_that_does_not_pay_is_left_to_torch():
    block = SparseFFN(16, 64, start_active=0.6).eval()
    fast = screened(block)
    for _ in range(module.JUDGED_AFTER + 5):
        fast(torch.randn(1, 16))
    assert fast.screening.tokens == module.JUDGED_AFTER
    assert not fast.pays


def test_a_model_is_copied_and_not_changed():
    model = nn.Sequential(nn.Linear(8, 16), SparseFFN(16, 64, start_active=0.02)).eval()
    fast = screened(model)
    assert isinstance(model[1], SparseFFN)
    assert isinstance(fast[1], ScreenedFFN)
    x = torch.randn(1, 8)
    with torch.no_grad():
        torch.testing.assert_close(fast(x), model(x))
    assert screenings(fast)["1"].tokens == 1
    assert "1 tokens" in str(screenings(fast)["1"])


def test_a_model_that_keeps_what_it_computed_is_copied():
    """`copy.deepcopy` refuses what a pass left: the weight of a pruned layer, an activation."""
    model = nn.Sequential(prune.l1_unstructured(nn.Linear(16, 16), "weight", 0.5), SparseFFN(16, 8))
    x = torch.randn(1, 16)
    model.kept = model(x)
    torch.testing.assert_close(screened(model)(x), model(x).detach(), atol=1e-5, rtol=1e-5)


def test_a_block_in_two_places_is_screened_in_both():
    block = SparseFFN(16, 8)
    fast = screened(nn.Sequential(block, nn.Tanh(), block))
    assert fast[0] is fast[2]
    assert isinstance(fast[2], ScreenedFFN)
    assert not any(module.training for module in fast.modules())


def test_weights_that_changed_are_taken_anew():
    block = SparseFFN(8, 32, start_active=0.02).eval()
    fast = screened(block)
    with torch.no_grad():
        fast.block.up.bias.fill_(1.0)
        fast.renew()
        x = torch.randn(1, 8)
        torch.testing.assert_close(fast(x), fast.block._dense(x))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Linear(3, 3), "Linear has no SparseFFN to screen"),
        (SparseFFN(4, 8).double(), "only a block in float32 on a CPU"),
    ],
)
def test_what_cannot_be_screened_is_refused(model, message):
    with pytest.raises(ValueError, match=message):
        screened(model)
