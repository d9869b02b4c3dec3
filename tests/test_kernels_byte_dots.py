"""Products of bytes with whole numbers of 16 bits: exact, whatever the numbers."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from numba import njit

from neurosparse.kernels.network.byte_dots import BLOCK, dot_of_blocks


@njit
def dot(rows, start, whole, n):
    return dot_of_blocks(rows, start, whole, n)


@given(n_blocks=st.integers(0, 5), start=st.integers(0, 70), seed=st.integers(0, 2**16))
def test_it_is_the_sum_of_products(n_blocks, start, seed):
    chance, n = np.random.default_rng(seed), n_blocks * BLOCK
    rows = chance.integers(-128, 128, start + n + 3).astype(np.int8)
    whole = chance.integers(-(2**15), 2**15, n + 1).astype(np.int16)
    exact = rows[start : start + n].astype(np.int64) @ whole[:n].astype(np.int64)
    assert dot(rows, start, whole, n) == exact


@pytest.mark.parametrize("byte", [-128, 127])
@pytest.mark.parametrize("value", [-(2**15), 2**15 - 1])
def test_the_largest_numbers_fit(byte, value):
    n = 4 * BLOCK
    rows, whole = np.full(n, byte, np.int8), np.full(n, value, np.int16)
    assert dot(rows, 0, whole, n) == n * byte * value
