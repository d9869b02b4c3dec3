"""What the claims measure, each against a closed form or another way to the same number."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from torch.nn import functional

from neurosparse.claims import Lab, LabSpec, load
from neurosparse.data import ImageSet, Splits
from neurosparse.rectifier import NetworkSpec, RectifierNetwork

RNG = np.random.default_rng(0)
ONE_SIDED, CONSERVED, SIZE, SEPARABLE, ROBUST, STORAGE, COMPUTING, GRADIENTS, LINEAR = map(
    load, (1, 8, 9, 10, 11, 12, 13, 14, 15)
)


def network(activation="rectifier", sizes=(6, 16, 12, 3), seed=1) -> RectifierNetwork:
    return RectifierNetwork(NetworkSpec(sizes=sizes, activation=activation), seed=seed).eval()


def images(n=20, seed=0) -> torch.Tensor:
    return torch.rand((n, 6), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_one_sidedness_of_known_functions() -> None:
    z = RNG.normal(size=50)
    assert ONE_SIDED.one_sidedness(lambda x: 3 * x + 2, z) == pytest.approx(0.0, abs=1e-12)
    assert ONE_SIDED.one_sidedness(lambda x: np.maximum(x, 0), z) == pytest.approx(1.0)
    leaky = ONE_SIDED.one_sidedness(lambda x: np.where(x > 0, x, 0.2 * x), z)  # (1 - a) / (1 + a)
    assert leaky == pytest.approx(0.8 / 1.2)


def test_overlap_by_hand() -> None:
    first = [torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[2.0], [1.0]])]
    second = [torch.tensor([[5.0, 3.0], [0.0, 0.0]]), torch.tensor([[1.0], [-1.0]])]
    assert CONSERVED.overlap(first, second) == pytest.approx(100 * (2 / 3 + 1) / 2)
    silent = [torch.zeros(2, 3)]
    assert CONSERVED.overlap(silent, silent) == 0.0  # no unit is conserved where none is active


def test_a_change_counts_beyond_a_tenth_of_the_layers_spread() -> None:
    a = torch.randn(50, 40, generator=torch.Generator().manual_seed(1))
    for by, expected in ((0.09, 0.0), (0.11, 100.0)):
        assert CONSERVED.share_changed([a], [a + by * a.std()]) == expected


def test_information_is_the_size_of_the_compressed_image() -> None:
    noisy, plain = RNG.random((1, 784)), np.full((1, 784), 0.5)
    sizes = SIZE.compressed_bytes(np.concatenate([plain, noisy]).astype(np.float32))
    assert sizes[0] < 30
    assert sizes[1] > 784  # bytes drawn at random do not compress


def test_the_partial_correlation_is_that_of_the_residuals() -> None:
    z = RNG.normal(size=200)
    x, y = z + RNG.normal(size=200), z + RNG.normal(size=200)
    ones = np.stack([np.ones(200), z], axis=1)
    residuals = [v - ones @ np.linalg.lstsq(ones, v, rcond=None)[0] for v in (x, y)]
    pairs = [stats.pearsonr(*pair).statistic for pair in ((x, y), (x, z), (y, z))]
    assert SIZE.partial(*pairs) == pytest.approx(stats.pearsonr(*residuals).statistic)
    assert SIZE.partial(1.0, 1.0, 1.0) == 0.0


def test_what_never_varies_goes_along_with_nothing() -> None:
    assert SIZE.rank_correlation(np.zeros(5), np.arange(5)) == 0.0
    assert SIZE.rank_correlation(np.arange(5) ** 3, np.arange(5)) == pytest.approx(1.0)


def test_a_probe_separates_what_is_linear_and_guesses_at_noise(tmp_path) -> None:
    def part(n: int, informed: bool) -> ImageSet:
        labels = np.arange(n) % 3
        pixels = 0.2 * RNG.random((n, 6))
        if informed:
            pixels[np.arange(n), labels] += 0.7
        return ImageSet(pixels, labels, n_classes=3, shape=(6,))

    for informed, low, high in ((True, 0, 0), (False, 50, 84)):
        splits = Splits("made", *(part(n, informed) for n in (60, 60, 300)))
        lab = Lab(LabSpec(), splits, tmp_path)
        assert low <= 100 * SEPARABLE.probe_wrong(lab, None).mean() <= high


def test_what_is_discarded_is_a_share_and_noise_has_its_size() -> None:
    values = torch.rand(400, 250) + 1.0
    kept = ROBUST.discard(values, 0.1, torch.Generator().manual_seed(1))
    lost = kept == 0
    assert float(lost.float().mean()) == pytest.approx(0.1, abs=0.005)  # 5 standard deviations
    assert torch.equal(kept[~lost], values[~lost])
    noise = ROBUST.add_noise(values, 0.1, torch.Generator().manual_seed(1)) - values
    assert float(noise.std() / values.square().mean().sqrt()) == pytest.approx(0.1, rel=0.02)


def test_a_network_that_nothing_disturbs_is_itself() -> None:
    net, x = network().double(), images()
    assert torch.equal(ROBUST.run_disturbed(net, x, lambda values: values), net(x))
    silenced = ROBUST.run_disturbed(net, x, torch.zeros_like)
    assert torch.equal(silenced, net.output.bias.expand(20, 3))


@given(
    arrays(np.float32, st.integers(1, 40), elements=st.sampled_from([0.0, -0.0, 1.5, -2.25, 1e-30]))
)
def test_values_and_locations_are_all_that_is_needed(values) -> None:
    content = STORAGE.packed(values)
    assert np.array_equal(STORAGE.unpacked(content, values.size), values)
    assert len(content) == -(-values.size // 8) + 4 * np.count_nonzero(values)


def test_the_dense_twin_has_no_silent_unit() -> None:
    net = network()
    twin = COMPUTING.all_active(net)
    assert all(
        bool((layer > 0).all()) for layer in list(twin.activations(images().float()).values())[:-1]
    )
    # the network itself is as it was
    assert torch.equal(net.output.weight, network().output.weight)


def test_gradients_by_the_chain_rule() -> None:
    net, x, labels = network().double(), images(), torch.arange(20) % 3
    values = net.activations(x)
    by_scores = (functional.softmax(values["output"], dim=1) - functional.one_hot(labels, 3)) / 20
    last = by_scores @ net.output.weight  # (n, 12)
    first = (last * (values["hidden2"] > 0)) @ net.linear2.weight
    expected = torch.log10(first.norm() / last.norm())
    assert GRADIENTS.kept_by_depth(net, x, labels) == pytest.approx(expected.item())


def test_the_linear_map_of_an_active_set_and_of_no_other_network() -> None:
    x = images()
    near = x + 1e-6 * images(seed=1)
    assert LINEAR.linear_error(network().double(), x, near) < 1e-8
    assert LINEAR.linear_error(network().double(), x, 1 - x) > 1e-3  # other active sets
    small, larger = (
        LINEAR.linear_error(network("tanh").double(), x, x + step * images(seed=1))
        for step in (1e-3, 1e-2)
    )
    assert larger == pytest.approx(10 * small, rel=0.3)  # what a first-order expansion leaves out
