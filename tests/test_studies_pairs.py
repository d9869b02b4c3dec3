"""Means, paired differences and tables of studies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from neurosparse._internal.tables import markdown
from neurosparse.sparsity.paired import difference, mean, unpaired

NUMBERS = st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=2, max_size=20)


def rows_of(arm, values, first_seed=0):
    return [{"arm": arm, "seed": first_seed + k, "error": value} for k, value in enumerate(values)]


@given(NUMBERS)
def test_the_interval_is_that_of_students_test(values) -> None:
    found = mean(values)
    if np.ptp(values):
        ends = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
        assert np.allclose((found.low, found.high), ends)
    else:
        assert np.allclose((found.low, found.high), values[0])
    assert found.n == len(values)


def test_by_hand() -> None:
    found = mean([1.0, 2.0, 3.0])  # sd 1, so that half of the interval is 4.3027 / sqrt 3
    assert (found.mean, found.n) == (2.0, 3)
    assert found.high - 2.0 == pytest.approx(4.302653 / 3**0.5, rel=1e-6)


def test_one_seed_has_no_interval() -> None:
    assert mean([2.0]).mean == 2.0
    assert np.isnan([mean([2.0]).low, mean([2.0]).high]).all()


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [[1.0, 2.0]]])
def test_what_has_no_mean_is_refused(values) -> None:
    with pytest.raises(ValueError, match="values must be at least one finite number"):
        mean(values)


@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10)), min_size=2, max_size=9))
def test_differences_are_paired(pairs) -> None:
    first, second = zip(*pairs, strict=True)
    rows = rows_of("a", first) + rows_of("b", second)[::-1]
    found, back = difference(rows, "a", "b", "error"), difference(rows, "b", "a", "error")
    expected = mean([a - b for a, b in pairs])
    assert (found.mean, found.low, found.high) == pytest.approx(
        (expected.mean, expected.low, expected.high), abs=1e-12
    )
    assert (found.mean, found.low) == pytest.approx((-back.mean, -back.high))


def test_seeds_of_one_arm_alone_are_left_out() -> None:
    rows = rows_of("a", [1.0, 2.0, 9.0]) + rows_of("b", [0.0, 0.0])
    assert (difference(rows, "a", "b", "error").mean, difference(rows, "a", "b", "error").n) == (
        1.5,
        2,
    )


def test_pairs_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="'a' and 'b' have no seed in common"):
        difference(rows_of("a", [1.0]) + rows_of("b", [1.0], first_seed=5), "a", "b", "error")
    with pytest.raises(ValueError, match="arm 'a' has a seed twice"):
        difference(
            rows_of("a", [1.0]) + rows_of("a", [2.0]) + rows_of("b", [1.0]), "a", "b", "error"
        )


def test_welch_by_its_formula() -> None:
    first, second = np.array([1.0, 3.0, 5.0, 9.0]), np.array([2.0, 2.5, 3.0])
    a, b = first.var(ddof=1) / 4, second.var(ddof=1) / 3
    half = stats.t.ppf(0.975, (a + b) ** 2 / (a**2 / 3 + b**2 / 2)) * (a + b) ** 0.5
    found = unpaired(first, second)
    assert (found.mean, found.low, found.high) == pytest.approx((2.0, 2.0 - half, 2.0 + half))


def test_a_table_has_columns_of_one_width() -> None:
    lines = markdown(["arm", "error %"], [["dense", "9.65"], ["2 % and more", "10"]]).splitlines()
    assert {len(line) for line in lines} == {len(lines[0])}
    assert lines[1] == "|--------------|--------:|"
    assert [line.count("|") for line in lines] == [3] * 4
