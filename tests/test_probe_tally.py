"""Counting where the tensor is equals the plain version, in any layout, precision and order."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from neurosparse import ActiveWhen, measure
from neurosparse.activity import Activations
from neurosparse.probe.tally import by_torch, on_cpu, tally
from neurosparse.sparsity import observe

SHAPES = st.lists(st.integers(1, 7), min_size=2, max_size=4).map(tuple)


def agree(found: Activations, expected: Activations) -> None:
    for name in (
        "n_samples",
        "n_repeats",
        "n_zero",
        "n_ranked",
        "n_population",
        "active_when",
    ):
        assert getattr(found, name) == getattr(expected, name), name
    for name in (
        "active_count",
        "runs",
        "magnitude_sum",
        "square_sum",
        "population_sums",
        "sample",
    ):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-12, err_msg=name
        )


@given(
    SHAPES,
    st.integers(0, 3),
    st.integers(0, 1000),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from(["f2", "f4", "f8"]),
)
def test_equal_to_the_plain_version(
    shape: tuple[int, ...], axis: int, seed: int, threshold: float, dtype: str
) -> None:
    values = np.maximum(np.random.default_rng(seed).normal(size=shape), -0.2).astype(dtype)
    values[np.abs(values) < 0.2] = 0
    when = ActiveWhen(threshold=threshold, axis=axis % len(shape))
    agree(tally(torch.from_numpy(values), when, "x"), observe(values, when, "x"))


@given(SHAPES, st.integers(0, 3), st.integers(0, 1000))
def test_both_ways_of_counting_give_the_same(shape: tuple[int, ...], axis: int, seed: int) -> None:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).relu()
    for a, b in zip(
        on_cpu(values, axis % len(shape), 0.5),
        by_torch(values, axis % len(shape), 0.5),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_any_layout_of_memory(memory_format: torch.memory_format) -> None:
    values = torch.randn(3, 4, 5, 6).to(memory_format=memory_format)
    when = ActiveWhen(threshold=0.5, axis=1)
    agree(tally(values, when, "x"), observe(values.numpy(), when, "x"))
    agree(
        tally(values[:, ::2, :, 1:], when, "x"), observe(values.numpy()[:, ::2, :, 1:], when, "x")
    )


def test_bfloat16_keeps_its_own_values() -> None:
    values = torch.randn(4, 9).to(torch.bfloat16)
    agree(
        tally(values, ActiveWhen(threshold=0.5), "x"),
        observe(values.double().numpy(), ActiveWhen(threshold=0.5), "x"),
    )


@pytest.mark.parametrize("scale", [1e-320, 1e-180, 1e69])
def test_any_scale(scale: float) -> None:
    values = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]], dtype=torch.float64) * scale
    found = tally(values, ActiveWhen(threshold=0), "x")
    assert found.population_sums[0] == pytest.approx(1 / 3 + 2 / 3)
    with pytest.raises(ValueError, match=r"activations of 'x' must be below 1e\+70"):
        tally(torch.full((2, 3), 1e71, dtype=torch.float64), ActiveWhen(threshold=0), "x")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_refused_where_it_stands(bad: float) -> None:
    values = torch.zeros(3, 4)
    values[1, 2] = bad
    with pytest.raises(
        ValueError, match=rf"^activations of 'x' must be finite, got {bad} at index 1, 2"
    ):
        tally(values, ActiveWhen(threshold=0), "x")


def test_effective_units_and_dimension_of_known_activity() -> None:
    rng = np.random.default_rng(0)
    patterns, _ = np.linalg.qr(rng.normal(size=(200, 6)))
    values = rng.normal(size=(5000, 6)) @ patterns.T  # 200 units that vary along 6 directions
    values = values[np.argsort(values[:, 0])]  # in whatever order
    model = nn.Sequential(nn.Tanh())
    stats = measure(model, torch.from_numpy(1e-3 * values), active_when=ActiveWhen(threshold=0))[
        "0"
    ]
    assert stats.effective_dimension == pytest.approx(6, rel=0.15)
    some = torch.zeros(10, 50)
    some[:, :7] = 3.0
    stats = measure(nn.Sequential(nn.ReLU()), some, active_when=ActiveWhen(threshold=0))["0"]
    assert stats.effective_units == pytest.approx(7)
    assert stats.zero_fraction == pytest.approx(43 / 50)
    assert stats.effective_dimension is None  # nothing varies


@pytest.mark.slow
def test_a_hundred_million_activations_take_constant_memory() -> None:
    import resource

    batch = torch.randn(1000, 1000, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.ReLU())

    def peak_MB(n: int) -> float:
        stats = measure(model, (batch for _ in range(n)), active_when=ActiveWhen(threshold=0))["0"]
        assert stats.n_samples == 1000 * n
        assert stats.active_fraction == pytest.approx(float((batch > 0).double().mean()), abs=1e-12)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3

    few = peak_MB(3)
    assert peak_MB(100) - few < 20  # the activations would take 400 MB
