"""Sparse inference gives the scores that torch gives, whichever way each layer takes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neurosparse.rectifier import NetworkSpec, RectifierNetwork, SparseNetwork, infer


def images_of(n: int, features: int, density: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], (n, features))  # inputs below 0 are inputs, not silence
    return (signs * rng.random((n, features)) * (rng.random((n, features)) < density)).astype(
        np.float32
    )


def scores_in_float64(network: nn.Module, images: np.ndarray) -> np.ndarray:
    clone = nn.Sequential(*(m for m in network.children())).double()
    with torch.no_grad():
        scores = clone(torch.tensor(images, dtype=torch.float64)).numpy()
    clone.float()
    return scores


@given(
    hidden=st.lists(st.integers(1, 150), min_size=0, max_size=5),
    ends=st.tuples(st.integers(1, 100), st.integers(1, 20)),
    n=st.sampled_from([1, 2, 5, 64, 65, 130]),
    density=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    dense_above=st.sampled_from([None, 0.0, 0.3, 1.0]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=50)
def test_scores_equal_torch(
    hidden: list[int],
    ends: tuple[int, int],
    n: int,
    density: float,
    dense_above: float | None,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    sizes = (ends[0], *hidden, ends[1])
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    images = images_of(n, ends[0], density, seed)
    expected = scores_in_float64(network, images)
    scores = SparseNetwork(network, dense_above=dense_above)(images)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("n", [1, 10, 64, 100])
def test_scores_equal_torch_at_the_papers_size(n: int) -> None:
    network = RectifierNetwork(seed=3)
    images = images_of(n, 784, 0.2, 0)
    np.testing.assert_allclose(
        infer(network, images), scores_in_float64(network, images), rtol=1e-5, atol=3e-6
    )


def test_the_way_of_each_layer_follows_its_density(monkeypatch: pytest.MonkeyPatch) -> None:
    network = RectifierNetwork(NetworkSpec(sizes=(100, 50, 40, 3)))
    with torch.no_grad():
        network.linear1.bias.fill_(10.0)  # all of the first layer is active
        network.linear2.bias.fill_(-100.0)  # none of the second
    sparse = SparseNetwork(network)
    dense: list[int] = []
    plain = SparseNetwork._dense
    monkeypatch.setattr(
        SparseNetwork, "_dense", lambda self, k, x, z: (dense.append(k), plain(self, k, x, z))
    )
    images = images_of(20, 100, 0.1, 1)
    scores = sparse(images)
    assert dense == [1]
    np.testing.assert_allclose(sparse.densities, [np.mean(images != 0), 1.0, 0.0])
    np.testing.assert_allclose(scores, scores_in_float64(network, images), rtol=1e-5, atol=1e-5)
    dense.clear()
    sparse(images[:1])
    assert dense == []  # a single image never needs all rows at once


def test_weights_are_copied_and_calls_do_not_disturb_one_another() -> None:
    network = RectifierNetwork(NetworkSpec(sizes=(20, 30, 4)))
    sparse = SparseNetwork(network)
    one, other = images_of(3, 20, 0.5, 1), images_of(70, 20, 0.5, 2)
    first = sparse(one)
    kept = first.copy()
    sparse(other)
    with torch.no_grad():
        network.linear1.weight.zero_()
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(sparse(one), kept)


@pytest.mark.parametrize("dense_above", [0.0, 1.0])
def test_nan_is_not_lost(dense_above: float) -> None:
    network = RectifierNetwork(NetworkSpec(sizes=(20, 30, 4)))
    images = images_of(6, 20, 0.5, 1)
    images[2, 3] = np.nan
    scores = SparseNetwork(network, dense_above=dense_above)(images)
    assert np.isnan(scores[2]).all()
    assert np.isfinite(np.delete(scores, 2, axis=0)).all()


def test_tensors_lists_and_other_numbers_are_taken() -> None:
    network = RectifierNetwork(NetworkSpec(sizes=(4, 8, 2)))
    expected = infer(network, np.ones((3, 4)))
    for images in (
        torch.ones(3, 4, requires_grad=True),
        [[1, 1, 1, 1]] * 3,
        np.ones((3, 8), np.int8)[:, ::2],
    ):
        np.testing.assert_array_equal(infer(network, images), expected)


@pytest.mark.parametrize(
    "images", [np.ones(4), np.ones((0, 4)), np.ones((2, 5)), np.ones((1, 2, 4))]
)
def test_images_that_do_not_fit(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"images must have shape \(n, 4\), n >= 1, got "):
        infer(RectifierNetwork(NetworkSpec(sizes=(4, 8, 2))), images)


def test_what_is_refused() -> None:
    network = RectifierNetwork(NetworkSpec(sizes=(4, 8, 2)))
    with pytest.raises(TypeError, match="images must be numbers, got dtype bool"):
        infer(network, np.ones((1, 4), bool))
    with pytest.raises(ValueError, match=r"dense_above must lie in \[0, 1\], got 1.5"):
        SparseNetwork(network, dense_above=1.5)
    with pytest.raises(
        ValueError, match="sparse inference cannot run this network: hidden1 is Tanh, not ReLU"
    ):
        SparseNetwork(RectifierNetwork(NetworkSpec(sizes=(4, 8, 2), activation="tanh")))
