"""The rule by which claims are judged."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from neurosparse.claims import Claim, Criterion, examine, stored
from neurosparse.sparsity.paired import Mean, crossed, mean

NUMBERS = st.floats(-100, 100).map(lambda x: round(x, 3))
VALUES = st.lists(NUMBERS, min_size=2, max_size=9)


def one(low=-math.inf, high=math.inf) -> Claim:
    return Claim("text", "source", (Criterion("x", "x of a", low, high),))


def verdict(values, **ends) -> str:
    return examine(1, one(**ends), [{"x": value} for value in values]).verdict


@given(VALUES, NUMBERS)
def test_a_bound_is_judged_as_students_test_would(values, bound) -> None:
    if len(set(values)) == 1:
        values = [*values, values[0] + 1]
    more = stats.ttest_1samp(values, bound, alternative="greater").pvalue
    expected = "holds" if more <= 0.025 else "does not hold here" if more >= 0.975 else "undecided"
    assert verdict(values, low=bound) == expected
    mirrored = {
        "holds": "does not hold here",
        "does not hold here": "holds",
        "undecided": "undecided",
    }
    assert verdict(values, high=bound) == mirrored[expected]


@given(VALUES, NUMBERS, st.floats(0, 50))
def test_a_range_holds_only_where_both_of_its_ends_do(values, low, width) -> None:
    ends = {verdict(values, low=low), verdict(values, high=low + width)}
    both = verdict(values, low=low, high=low + width)
    assert (both == "holds") == (ends == {"holds"})
    assert (both == "does not hold here") == ("does not hold here" in ends)


@pytest.mark.parametrize(
    ("effect", "expected"),
    [
        ((0.0, 1.0), "holds"),
        ((-0.1, 1.0), "undecided"),
        ((-2.0, -0.1), "does not hold here"),
        ((0.5, 1.1), "undecided"),
    ],
)
def test_ends_belong_to_the_range(effect, expected) -> None:
    assert (
        Criterion("x", "x", low=0.0, high=1.0).judge(Mean(sum(effect) / 2, *effect, n=5))
        == expected
    )


def test_one_seed_decides_nothing() -> None:
    assert verdict([5.0], low=0.0) == "undecided"


def test_one_criterion_that_fails_is_enough_and_all_must_hold() -> None:
    claim = Claim("text", "source", (Criterion("a", "a", low=0.0), Criterion("b", "b", low=0.0)))

    def judged(a, b) -> str:
        return examine(1, claim, [{"a": a, "b": b}, {"a": a + 0.01, "b": b + 0.01}]).verdict

    assert (judged(1.0, 1.0), judged(1.0, -1.0), judged(1.0, 0.0)) == (
        "holds",
        "does not hold here",
        "undecided",
    )
    assert judged(0.0, -1.0) == "does not hold here"


def test_what_no_criterion_asks_for_is_kept() -> None:
    found = examine(
        4, one(low=0.0), [{"x": 1.0, "y": 2.0}, {"x": 3.0, "y": 4.0}], ["seed 3: diverged"]
    )
    assert found.effects[0].values == (1.0, 3.0)
    assert {name: mean.mean for name, mean in found.also.items()} == {"y": 3.0}
    assert (found.number, found.left_out) == (4, ("seed 3: diverged",))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "claim 7: nothing was measured"),
        (
            [{"x": 1.0}, {"x": math.nan}],
            r"claim 7: 'x' must be a finite number for every seed, got \[1.0, nan\]",
        ),
        (
            [{"x": 1.0, "y": 1.0}, {"x": 1.0}],
            r"claim 7: 'y' must be a finite number for every seed, got \[1.0, None\]",
        ),
        ([{"y": 1.0}], "claim 7: 'x' was not measured, there are: y"),
    ],
)
def test_measurements_that_cannot_be_judged_are_refused(rows, message) -> None:
    with pytest.raises(ValueError, match=message):
        examine(7, one(low=0.0), rows)


@pytest.mark.parametrize("ends", [{}, {"low": 1.0, "high": 0.0}, {"low": math.nan}])
def test_a_criterion_that_nothing_or_everything_meets_is_refused(ends) -> None:
    with pytest.raises(ValueError, match="needs low <= high, one of them finite"):
        Criterion("x", "x", **ends)


def test_words() -> None:
    ranges = [
        Criterion("x", "x", low=0.5).range(),
        Criterion("x", "x", high=5, unit="%").range(),
        Criterion("x", "x", -1, 1, "points").range(),
    ]
    assert ranges == ["at least 0.5", "at most 5 %", "-1 to 1 points"]
    effect = examine(1, one(low=0.0), [{"x": value} for value in (1.0, 2.0, 3.0)]).effects[0]
    assert effect.describe() == "2 [-0.484, 4.48]"


# ---- Errors, of which each test image is told


def test_errors_are_judged_over_seeds_and_test_images() -> None:
    rng = np.random.default_rng(0)
    wrong = (rng.random((5, 200)) < 0.1 + 0.3 * (rng.random(200) < 0.2)).astype(np.int8)
    claim = Claim("few are wrong", "here", (Criterion("error", "test error", high=50),))
    found = examine(1, claim, [{"error": each, "loss": 0.5 + k} for k, each in enumerate(wrong)])
    (effect,) = found.effects
    assert effect.mean == crossed(100.0 * wrong)
    assert effect.values == pytest.approx(100 * wrong.mean(axis=1))
    assert found.also["loss"] == mean([0.5 + k for k in range(5)])
    alone = mean(list(effect.values))
    assert effect.mean.high - effect.mean.low > alone.high - alone.low


def test_one_seed_has_no_interval_over_images_either() -> None:
    claim = Claim("few are wrong", "here", (Criterion("error", "test error", high=50),))
    (effect,) = examine(1, claim, [{"error": np.array([1, 0, 0, 0], dtype=np.int8)}]).effects
    assert effect.values == (25.0,)
    assert np.isnan(effect.mean.low)
    assert effect.verdict == "undecided"


def test_what_each_image_adds_is_stored_and_read() -> None:
    claim = Claim("few are wrong", "here", (Criterion("error", "test error", high=50),))
    rows = {seed: {"error": np.array([1, 0, -1, seed], dtype=np.int8)} for seed in (0, 1)}
    finding = examine(1, claim, list(rows.values()))
    entry = json.loads(json.dumps(stored.entry_of(finding, rows)))
    assert entry["seeds"] == {"0": {"error": "+0-0"}, "1": {"error": "+0-+"}}
    assert stored.finding_of(entry) == finding
    entry["seeds"]["0"]["error"] = "+0?0"
    with pytest.raises(ValueError, match=r"test images are told by 0, \+ and -, got '\?'"):
        stored.finding_of(entry)
