"""The synapses of the kernels: every one once, where its rule wants it, whatever the partitions and
threads.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, norm

from neurosparse.kernels.circuit import bit_rows, single_pass
from neurosparse.kernels.circuit import synapses as wiring
from neurosparse.kernels.circuit.partitions import ALIGN, MOST_LOCAL, Layout, layout
from neurosparse.kernels.circuit.synapse_draws import IN_DEGREE, PAIRWISE, TOTAL, Bundle
from neurosparse.kernels.circuit.synapses import Synapses
from neurosparse.spiking.engines import kernel as kernel_engine


def quiet(done: float) -> None:
    pass


def bundle(
    pre: int, post: int, rule: int, number: float, delay: int = 1, weight: int = 1
) -> Bundle:
    return Bundle(
        pre, post, rule, number, np.array([delay], np.uint16), np.array([weight], np.int16)
    )


def built(
    sizes: list[int], bundles: list[Bundle], *, seed: int = 1, partitions: int = 1, threads: int = 1
) -> tuple[Layout, Synapses, np.ndarray]:
    cells = layout(sizes, partitions)
    drawn = wiring.build(cells, bundles, seed=seed, n_threads=threads, progress=quiet)
    table = np.array(wiring.listed(cells, drawn))
    return cells, drawn, table[:, np.lexsort(table)]


# --------------------------------------------------------------------------------------------------
# where neurons live
@given(sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=8), partitions=st.integers(1, 7))
def test_every_cell_has_a_place_of_its_own(sizes: list[int], partitions: int) -> None:
    cells = layout(sizes, partitions)
    places = cells.partition_of.astype(np.int64) * MOST_LOCAL + cells.local_of
    assert np.unique(places).size == sum(sizes) == cells.n_units
    for p in range(cells.n_partitions):
        mine = cells.partition_of == p
        assert mine.sum() == np.diff(cells.bounds, axis=1)[:, p].sum()
        # populations stand one after the other, each from its offset, on whole groups
        local, population = cells.local_of[mine].astype(np.int64), cells.population_of[mine]
        assert (local >= cells.offset[p, population]).all()
        assert (local < cells.offset[p, population + 1]).all()
    assert (cells.offset % ALIGN == 0).all()
    assert (cells.bounds[:, :-1] % ALIGN == 0).all()


@pytest.mark.parametrize("sizes", [[65_536], [65_000], [131_072, 1], [20_000] * 9 + [17]])
def test_more_partitions_where_targets_do_not_fit_16_bits(sizes: list[int]) -> None:
    cells = layout(sizes, 1)
    assert cells.n_local <= MOST_LOCAL
    places = cells.partition_of.astype(np.int64) * MOST_LOCAL + cells.local_of
    assert np.unique(places).size == sum(sizes)


def test_refuses_more_than_it_can_number() -> None:
    with pytest.raises(ValueError, match="at most 255 populations"):
        layout([1] * 256)
    with pytest.raises(ValueError, match="at most 255 populations and 255 partitions"):
        layout([17_000_000])


# --------------------------------------------------------------------------------------------------
# rules
@settings(max_examples=25)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=2, max_size=3),
    total=st.integers(0, 300),
    in_degree=st.integers(0, 12),
    partitions=st.integers(1, 3),
    delays=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)),
    weights=st.tuples(*[st.integers(-127, 127)] * 3),
    seed=st.integers(0, 1000),
)
def test_every_rule_is_kept_to_the_synapse(
    sizes, total, in_degree, partitions, delays, weights, seed
) -> None:  # type: ignore[no-untyped-def]
    bundles = [
        bundle(0, 1, TOTAL, total, delays[0], weights[0]),
        bundle(1, 0, IN_DEGREE, in_degree, delays[1], weights[1]),
        bundle(0, 0, PAIRWISE, 1.0, delays[2], weights[2]),
    ]
    cells, drawn, (source, target, delay, weight) = built(
        sizes, bundles, seed=seed, partitions=partitions
    )
    assert drawn.n_synapses == source.size == total + in_degree * sizes[0] + sizes[0] ** 2
    of = cells.population_of
    for x, expected in zip(bundles, (total, in_degree * sizes[0], sizes[0] ** 2), strict=True):
        mine = (of[source] == x.pre) & (of[target] == x.post)
        assert mine.sum() == expected
        assert (delay[mine] == x.delays[0]).all()
        assert (weight[mine] == x.weights[0]).all()
    into_first = (of[source] == 1) & (of[target] == 0)
    assert (np.bincount(target[into_first], minlength=sizes[0])[: sizes[0]] == in_degree).all()
    pairs = (of[source] == 0) & (of[target] == 0)
    assert np.unique(source[pairs] * 1000 + target[pairs]).size == sizes[0] ** 2


MIXED = [
    Bundle(
        0,
        1,
        TOTAL,
        4000,
        kernel_engine.delay_table(1.5, 0.5, 0.1),
        kernel_engine.weight_table(2.0, 0.1, 0.1),
    ),
    Bundle(
        1,
        0,
        IN_DEGREE,
        30,
        kernel_engine.delay_table(0.8, 0.5, 0.1),
        kernel_engine.weight_table(-4.0, 0.1, 0.1),
    ),
    Bundle(
        0,
        0,
        PAIRWISE,
        0.2,
        kernel_engine.delay_table(0.8, 0.0, 0.1),
        kernel_engine.weight_table(2.0, 0.0, 0.1),
    ),
]


@pytest.mark.parametrize(("partitions", "threads"), [(2, 2), (3, 1), (5, 4)])
def test_the_circuit_does_not_depend_on_partitions_and_threads(
    partitions: int, threads: int
) -> None:
    sizes = [200, 100]
    _, _, alone = built(sizes, MIXED)
    _, _, shared = built(sizes, MIXED, partitions=partitions, threads=threads)
    np.testing.assert_array_equal(alone, shared)
    _, _, other = built(sizes, MIXED, seed=2)
    assert alone.shape != other.shape or (alone != other).any()


def test_partners_are_drawn_evenly() -> None:
    _, _, (source, target, *_) = built([40, 50], [bundle(0, 1, TOTAL, 400_000)])
    assert chisquare(np.bincount(source)).pvalue > 1e-3
    assert chisquare(np.bincount(target - 40)).pvalue > 1e-3
    # pairs: no source favours a target
    assert chisquare(np.bincount(source * 50 + target - 40)).pvalue > 1e-3
    _, _, (source, target, *_) = built([40, 50], [bundle(0, 1, IN_DEGREE, 8000)])
    assert chisquare(np.bincount(source * 50 + target - 40)).pvalue > 1e-3


def test_pairs_are_connected_independently() -> None:
    _, _, (source, target, *_) = built([300, 400], [bundle(0, 1, PAIRWISE, 0.07)])
    n, p = 300 * 400, 0.07
    assert abs(source.size - n * p) < 4 * np.sqrt(n * p * (1 - p))
    out_degree = np.bincount(source, minlength=300)
    assert out_degree.var() == pytest.approx(400 * p * (1 - p), rel=0.3)
    assert np.unique(source * 1000 + target).size == source.size


def test_delays_and_weights_are_as_wide_as_they_should_be() -> None:
    wide = Bundle(
        0,
        0,
        TOTAL,
        500_000,
        kernel_engine.delay_table(1.5, 0.5, 0.1),
        kernel_engine.weight_table(1.0, 0.1, 1 / 22),
    )
    _, _, (source, target, delay, weight) = built([100], [wide])
    below = norm.cdf((0.05 - 1.5) / 0.75)
    steps = np.arange(1, 48)
    seen = np.cumsum(np.bincount(delay, minlength=60))[steps] / delay.size
    expected = (norm.cdf(((steps + 0.5) * 0.1 - 1.5) / 0.75) - below) / (1 - below)
    np.testing.assert_allclose(seen, expected, atol=3e-3)
    assert delay.min() == 1
    quanta = np.arange(10, 35)
    seen = np.cumsum(np.bincount(weight, minlength=60))[quanta] / weight.size
    np.testing.assert_allclose(seen, norm.cdf((quanta + 0.5 - 22) / 2.2), atol=3e-3)
    assert weight.mean() == pytest.approx(22, abs=0.02)
    assert weight.var() == pytest.approx(2.2**2 + 1 / 12, rel=0.01)  # rounding adds quantum^2 / 12
    assert abs(np.corrcoef(delay, weight)[0, 1]) < 5e-3
    assert abs(np.corrcoef(target, weight)[0, 1]) < 5e-3
    assert abs(np.corrcoef(source, delay)[0, 1]) < 5e-3


def test_one_weight_a_source_needs_no_weights() -> None:
    _, alike, _ = built(
        [50, 50], [bundle(0, 1, TOTAL, 500, weight=3), bundle(1, 0, TOTAL, 500, weight=-300)]
    )
    assert alike.weight_of_source.tolist() == [3] * 50 + [-300] * 50
    _, unlike, _ = built(
        [50, 50], [bundle(0, 1, TOTAL, 500, weight=3), bundle(0, 0, TOTAL, 500, weight=4)]
    )
    assert unlike.weight_of_source.size == 0
    assert unlike.words.size > alike.words.size


# --------------------------------------------------------------------------------------------------
# one pass
def _tables() -> list[Bundle]:
    delays = [kernel_engine.delay_table(mean, 0.5, 0.1) for mean in (1.5, 0.8)]
    weights = [kernel_engine.weight_table(mean, 0.1, 1.0) for mean in (88.0, -60.0)]
    return [
        Bundle(0, 0, TOTAL, 9000, delays[0], weights[0]),
        Bundle(0, 1, PAIRWISE, 0.1, delays[0], weights[0]),
        Bundle(1, 0, TOTAL, 4001, delays[1], weights[1]),
        Bundle(1, 1, PAIRWISE, 1.0, delays[1], weights[1]),
    ]


@pytest.mark.parametrize("room", [10.0, -5.0], ids=["room", "no room"])
@pytest.mark.parametrize(("partitions", "threads"), [(1, 1), (2, 2), (3, 5), (4, 1)])
@pytest.mark.parametrize("kind", ["own weights", "alike", "bits"])
def test_one_pass_lays_out_what_two_do(
    kind: str, partitions: int, threads: int, room: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundles = {
        "own weights": _tables(),
        "alike": [bundle(b, 0, TOTAL, 9000, delay=1 + 4 * b) for b in range(2)],
        "bits": [bundle(0, 1, TOTAL, 9000, 3), bundle(1, 0, PAIRWISE, 0.4, 7), *_tables()[:1]],
    }[kind]
    how = {"partitions": partitions, "threads": threads}
    if kind != "bits":
        monkeypatch.setattr(wiring, "DENSE", 2.0)
    monkeypatch.setattr(single_pass, "DEVIATIONS", room)
    cells, once, _ = built([300, 120], bundles, **how)
    monkeypatch.setattr(wiring, "_drawn_once", lambda *_: None)
    _, twice, _ = built([300, 120], bundles, **how)
    assert (twice.bits.weight.size > 0) == (kind == "bits")
    np.testing.assert_array_equal(once.start, twice.start)
    np.testing.assert_array_equal(once.bits.rows, twice.bits.rows)
    # in the same order
    np.testing.assert_array_equal(wiring.listed(cells, once), wiring.listed(cells, twice))


def test_what_is_drawn_by_targets_is_drawn_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("drawn once")

    monkeypatch.setattr(wiring, "_drawn_once", never)
    mixed = [bundle(0, 0, TOTAL, 900), bundle(0, 0, IN_DEGREE, 9, 2)]
    assert built([100], mixed)[1].n_synapses == 1800
    with pytest.raises(AssertionError, match="drawn once"):
        built([100], mixed[:1])


# --------------------------------------------------------------------------------------------------
# bits
DENSE = [
    bundle(0, 0, IN_DEGREE, 90, delay=3, weight=2),  # of 300: many pairs have several
    bundle(0, 1, IN_DEGREE, 60, delay=3, weight=2),
    bundle(1, 0, TOTAL, 9000, delay=7, weight=-5),
    bundle(1, 1, PAIRWISE, 0.4, delay=7, weight=-5),
    bundle(1, 0, TOTAL, 100, delay=2, weight=-5),  # sparse
]


@pytest.mark.parametrize(("partitions", "threads"), [(1, 1), (2, 2), (5, 3)])
def test_bits_hold_the_same_synapses_as_lists(
    partitions: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [300, 120]
    _, bits, table = built(sizes, DENSE, partitions=partitions, threads=threads)
    monkeypatch.setattr(wiring, "DENSE", 2.0)
    _, lists, expected = built(sizes, DENSE)
    assert lists.bits.weight.size == 0
    assert bits.bits.weight.tolist() == [2, -5]
    assert bits.n_synapses == lists.n_synapses == expected.shape[1]
    assert (
        bits.slice_sizes().sum() < 0.25 * expected.shape[1]
    )  # what several synapses of a pair leave over, and the sparse ones
    np.testing.assert_array_equal(table, expected)


def test_bits_where_they_are_shorter_than_lists() -> None:
    def n_groups(*bundles: Bundle) -> int:
        return built([1000, 100], list(bundles))[1].bits.weight.size

    assert n_groups(bundle(0, 0, IN_DEGREE, 60)) == 0  # 60,000 synapses, 1,100,000 bits
    assert n_groups(bundle(0, 0, IN_DEGREE, 70)) == 1
    # populations of targets share a row where they share delay and weight
    assert n_groups(bundle(0, 0, IN_DEGREE, 66), bundle(0, 1, IN_DEGREE, 66)) == 1
    assert n_groups(bundle(0, 0, IN_DEGREE, 66), bundle(0, 1, IN_DEGREE, 66, delay=2)) == 0
    random = Bundle(
        0, 0, IN_DEGREE, 500, kernel_engine.delay_table(1.5, 0.5, 0.1), np.ones(1, np.int16)
    )
    assert n_groups(random) == 0


@pytest.mark.parametrize("n_due", [0, 1, 7, 8, 9, 247, 248, 249, 1000])
@pytest.mark.parametrize("dtype", [np.int16, np.int32])
def test_rows_of_bits_add_up(n_due: int, dtype: type) -> None:
    rng = np.random.default_rng(n_due)
    n_cells, n_rows = 2500, 40
    n_words = -(-n_cells // bit_rows.CELLS) * bit_rows.WORDS
    is_set = rng.random((n_rows + 1, n_cells)) < 0.3
    is_set[-1] = False
    bits = bit_rows.BitRows(
        np.zeros((1, (n_rows + 1) * n_words), np.uint64),
        n_words,
        *(np.zeros(1, np.int64) for _ in range(6)),
    )
    for row, cell in np.argwhere(is_set):
        assert bit_rows.claim(bits, 0, 0, row, cell)
        assert not bit_rows.claim(bits, 0, 0, row, cell)
    due = np.full(n_due + bit_rows.AT_ONCE, -1)
    due[:n_due] = rng.integers(0, n_rows, n_due)
    planes = np.zeros(bit_rows.PLANES * n_words, np.uint64)
    sums = np.full(n_cells, 7, dtype)
    bit_rows.add_rows(bits.rows[0], n_words, due, n_due, planes, np.int64(-3), sums)
    np.testing.assert_array_equal(sums, 7 - 3 * is_set[due[:n_due]].sum(axis=0))
    assert not planes.any()


def test_no_synapses_at_all() -> None:
    _, drawn, table = built([10], [])
    assert drawn.n_synapses == table.shape[1] == 0


# --------------------------------------------------------------------------------------------------
# faults
@pytest.mark.parametrize(
    ("bundles", "message"),
    [
        ([bundle(0, 0, TOTAL, 9, delay=0)], "delays must be at least one step, got 0"),
        (
            [bundle(0, 0, TOTAL, 9, weight=128), bundle(0, 0, TOTAL, 9, weight=1)],
            "weights must be at most 127 quanta",
        ),
        ([bundle(0, 0, IN_DEGREE, 40_000, weight=32_767)], "could receive 1.31e.09 quanta at once"),
        (
            [Bundle(0, 0, TOTAL, 9, np.ones(3, np.uint16), np.ones(1, np.int16))],
            "a table has 1 or 65536 values, got 3",
        ),
    ],
)
def test_refuses_in_one_sentence(bundles: list[Bundle], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        built([10], bundles)


def test_a_partition_holds_what_32_bits_can_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "MOST_WORDS", 1000)
    with pytest.raises(
        ValueError, match="1,000 synapses in one partition are too many; use more threads"
    ):
        built([200], [bundle(0, 0, TOTAL, 1000)])
    built([200], [bundle(0, 0, TOTAL, 1000)], partitions=2)
