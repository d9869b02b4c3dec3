"""Random input of cells as functions for Brian2's code.

They are a few times faster than its own `poisson` and `randn`.

Poisson counts come from a table: a 16-bit random number picks the cell of the table that holds its
count. Where the cumulative distribution steps inside that cell, 48 more bits decide, so that
probabilities are right to 2^-53, the precision of float64.

White noise is the sum of four uniform numbers at each step: mean 0 and variance 1 exactly. A
membrane sums hundreds of steps, so what it sees is Gaussian (its excess kurtosis is -0.3 dt / tau).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from neurosparse._internal.types import Fields, Foreign
from neurosparse.spiking.brian.state import brian2

_CELLS = 65536
_STEPS = 256  # of the cumulative distribution; the counts of a table are below it
_MOST_KEPT = 127  # the largest count that a cell of 8 bits can hold
MOST_MEAN = 120.0  # P(count >= 256) is below 2^-64 here

# xorshift64* (Vigna 2016), seeded from Brian2's own generator;
# a name tells the states of the two functions apart.
_RANDOM = """
static uint64_t _%(name)s_state = 0;
static inline uint64_t _%(name)s_random(const int _vectorisation_idx)
{
    if (_%(name)s_state == 0)
        _%(name)s_state = 1 + (uint64_t)(_rand(_vectorisation_idx) * 9.0e15) * 1024;
    _%(name)s_state ^= _%(name)s_state >> 12;
    _%(name)s_state ^= _%(name)s_state << 25;
    _%(name)s_state ^= _%(name)s_state >> 27;
    return _%(name)s_state * 2685821657736338717ULL;
}
"""
_POISSON = """
static inline double table_poisson(const int table, const int _vectorisation_idx)
{
    const uint64_t draw = _poisson_random(_vectorisation_idx);
    int count = _namespacepoisson_table[table * 65536 + (int)(draw >> 48)];
    if (count < 0)
        for (count = ~count; draw >= _namespacepoisson_steps[table * 256 + count]; count++)
            if (_namespacepoisson_steps[table * 256 + count] == 18446744073709551615ULL)
                break;  // the largest draw of all: no step is above it
    return count;
}
"""
_NOISE = """
static inline double white_noise(const int _vectorisation_idx)
{
    const uint64_t r = _noise_random(_vectorisation_idx);
    const int sum = (int)(r & 65535) + (int)((r >> 16) & 65535) + (int)((r >> 32) & 65535) + (int)(r >> 48);
    return (sum - 131070) * 2.6429171592e-05;  // sqrt(3 / (65536^2 - 1))
}
"""  # noqa: E501


def poisson_tables(means: Sequence[float]) -> tuple[NDArray[np.int8], NDArray[np.uint64]]:
    """Return tables for the given means.

    Returns
    -------
    table : int8, shape (n_means, 65536)
        The count of each cell, or ~c where it holds more than one or one above 127. Here c is the
        count from which to search, at most 127.
    steps : uint64, shape (n_means, 256)
        2^64 times the cumulative distribution, the last entries just below 2^64.

    Raises
    ------
    ValueError
        On a mean that is negative or above MOST_MEAN.
    """
    mean = np.asarray(means, dtype=np.float64)
    if not (mean.size and (mean >= 0).all() and (mean <= MOST_MEAN).all()):
        raise ValueError(
            f"the mean number of external spikes in a step must lie in [0, {MOST_MEAN:g}], got"
            f" {means}; take a smaller dt_ms"
        )
    # what lies above, since float64 is coarse just below 1
    above = stats.poisson.sf(np.arange(_STEPS), mean[:, None])  # (n_means, 256)
    steps = np.array(
        [[min(2**64 - int(a * 2.0**64), 2**64 - 1) for a in row] for row in above], np.uint64
    )
    steps[:, -1] = 2**64 - 1
    first = np.arange(_CELLS, dtype=np.uint64) << np.uint64(48)
    last = first + np.uint64(2**48 - 1)
    table = np.empty((mean.size, _CELLS), dtype=np.int8)
    for row, step in zip(table, steps, strict=True):
        least, most = (np.searchsorted(step, draw, side="right") for draw in (first, last))
        sure = (least == np.minimum(most, _STEPS - 1)) & (least <= _MOST_KEPT)
        row[:] = np.where(sure, least, ~np.minimum(least, _MOST_KEPT))
    return table, steps


def table_poisson(means: Sequence[float]) -> Foreign:
    """Make a Brian2 function `f(table)` that draws a Poisson count with the mean `means[table]`.

    Each call draws independently.

    Give it the name `table_poisson` in a group's namespace. The tables are data: other means need
    no new build.
    """
    b2 = brian2()
    table, steps = poisson_tables(means)

    def draw(table: Foreign, vectorisation_idx: Foreign) -> Foreign:
        return np.random.poisson(np.asarray(means)[np.asarray(table)], np.shape(vectorisation_idx))  # noqa: NPY002

    function = b2.Function(
        draw,
        arg_units=[1],
        return_unit=1,
        arg_types=["integer"],
        return_type="float",
        stateless=False,
        auto_vectorise=True,
    )
    return _implemented(
        function,
        draw,
        _POISSON,
        "poisson",
        {"poisson_table": table.ravel(), "poisson_steps": steps.ravel()},
    )


def white_noise() -> Foreign:
    """Make a Brian2 function `f()` that draws a number of mean 0 and variance 1.

    Each call draws independently.

    Give it the name `white_noise` in a group's namespace.
    """

    def draw(vectorisation_idx: Foreign) -> Foreign:
        return np.random.standard_normal(np.shape(vectorisation_idx))  # noqa: NPY002

    function = brian2().Function(
        draw,
        arg_units=[],
        return_unit=1,
        arg_types=[],
        return_type="float",
        stateless=False,
        auto_vectorise=True,
    )
    return _implemented(function, draw, _NOISE, "noise", {})


def _implemented(function: Foreign, draw: Foreign, code: str, name: str, arrays: Fields) -> Foreign:
    function.implementations.add_implementation("numpy", draw)
    function.implementations.add_implementation(
        "cpp",
        _RANDOM % {"name": name} + code,
        dependencies={"_rand": brian2().DEFAULT_FUNCTIONS["rand"]},
        namespace=arrays,
        name={"poisson": "table_poisson", "noise": "white_noise"}[name],
    )
    return function
