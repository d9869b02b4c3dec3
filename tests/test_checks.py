"""Each refusal names the thing and the value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurosparse._internal import checks


@pytest.mark.parametrize("value", [1, 1.5, np.int32(3), np.float32(2.5), np.uint8(7)])
def test_numbers_of_every_kind_become_floats(value: Any) -> None:
    assert checks.number("x", value) == float(value)
    assert type(checks.number("x", value)) is float


@pytest.mark.parametrize("value", [True, np.True_, "1", None, 1j, [1.0], np.array(1.0)])
def test_what_is_no_number(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^x must be a number, got "):
        checks.number("x", value)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), np.float32("nan"), 10**400]
)
def test_what_is_not_finite(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^x must be finite, got .{1,45}$"):
        checks.number("x", value)


def test_bounds() -> None:
    assert checks.positive("x", 1e-300) == 1e-300
    assert checks.not_negative("x", 0) == 0.0
    with pytest.raises(ValueError, match=r"^tau_m_ms must be > 0, got -5\.0$"):
        checks.positive("tau_m_ms", -5.0)
    with pytest.raises(ValueError, match=r"^x must be > 0, got 0$"):
        checks.positive("x", 0)
    with pytest.raises(ValueError, match=r"^x must be >= 0, got -1$"):
        checks.not_negative("x", -1)


def test_whole_numbers() -> None:
    assert type(checks.whole("n", np.int64(4))) is int
    with pytest.raises(ValueError, match=r"^n must be >= 1, got 0$"):
        checks.whole("n", 0)
    for value in (1.0, True, "1", None):
        with pytest.raises(TypeError, match=r"^n must be a whole number, got "):
            checks.whole("n", value)


def test_arrays_are_named_where_they_are_not_finite() -> None:
    with pytest.raises(
        ValueError, match=r"^x must be finite, got nan at index 0, 1 \(2 such values\)$"
    ):
        checks.finite_array("x", [[0.0, np.nan], [np.inf, 1.0]])
    with pytest.raises(ValueError, match=r"^x must be finite, got inf$"):
        checks.finite_array("x", np.inf)


@pytest.mark.parametrize("values", [[True, False], ["a"], [1j], [None], [{}]])
def test_arrays_of_something_else(values: Any) -> None:
    with pytest.raises(TypeError, match=r"^x must be numbers, got .* of dtype "):
        checks.finite_array("x", values)


def test_dates_are_no_numbers() -> None:
    with pytest.raises(TypeError, match=r"^x must be without a unit, got array\(\['2020"):
        checks.finite_array("x", np.array(["2020"], dtype="datetime64[Y]"))
    with pytest.raises(TypeError, match=r"^times_ms must be in ms, or in a unit that converts"):
        checks.finite_array("times_ms", np.array(["2020"], dtype="datetime64[Y]"))


def test_ragged_rows() -> None:
    with pytest.raises(
        ValueError, match=r"^x must be an array of numbers, got \[\[1\], \[1, 2\]\]$"
    ):
        checks.finite_array("x", [[1], [1, 2]])


def test_rates() -> None:
    with pytest.raises(ValueError, match=r"^r must be >= 0, got -1\.0; pass magnitudes"):
        checks.rates_array("r", [1.0, -1.0], -1)
    with pytest.raises(ValueError, match=r"^r is empty, shape \(0,\): nothing to measure$"):
        checks.rates_array("r", [], -1)
    with pytest.raises(ValueError, match=r"^axis 2 does not exist in r of shape \(1, 1\)$"):
        checks.rates_array("r", [[1.0]], 2)
    with pytest.raises(ValueError, match=r"^axis -1 does not exist in r of shape \(\)$"):
        checks.rates_array("r", 1.0, -1)
