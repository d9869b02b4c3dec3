"""The integral in Siegert's rate: S(a, b), the integral from a to b of erfcx(-u) = exp(u^2) (1 + erf u).

With two functions of x >= 0

    G(x) = integral from 0 to x of erfcx(u)                         (below 0 the integrand is erfcx(-u), which falls slowly)
    K(x) = exp(-x^2) integral from 0 to x of erfcx(-u) = 2 D(x) - exp(-x^2) G(x)            (D: Dawson's integral)

it is S(a, b) = G(-a) - G(-b) for a < b < 0, G(-a) + exp(b^2) K(b) for a < 0 < b, and exp(b^2) K(b) - exp(a^2) K(a) for 0 < a < b.
Both are smooth in t = x / (x + 2) on all of [0, inf), once G's logarithm and K's 1/x are taken out: a table of cubics in t gives
them to 1e-13.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_C = 2.0  # the 2 in t
_CELLS = 2048
_LARGEST = np.finfo(float).max


def integral(a: Floats, b: Floats) -> Floats:
    """S(a, b), the integral from a to b of exp(u^2) (1 + erf u).

    Parameters
    ----------
    a, b : array of float, shape (n,)
        Limits, a <= b, finite. Fastest for some ten thousand at a time, which stay in the cache.

    Returns
    -------
    array of float, shape (n,)
        To 1e-13 of the larger of 1 and the integral from 0 to b, so that intervals shorter than 1e-4 lose digits; inf where it
        exceeds the largest float (b > 26.6).

    Examples
    --------
    >>> integral(np.array([0.0]), np.array([1.0])).round(6)
    array([2.278044])
    """
    # one logarithm for both limits: no cancellation far below 0
    result = np.log((1 - np.minimum(a, 0.0)) / (1 - np.minimum(b, 0.0)))
    result *= 1 / np.sqrt(np.pi)
    with np.errstate(over="ignore"):
        result += _from_0(b)
        result -= np.minimum(_from_0(a), _LARGEST)  # where both are infinite so is the result
    return result


def _from_0(x: Floats) -> Floats:
    """The integral from 0 to x, without the logarithm in -G(-x) for x < 0."""
    inverse = 1 / (np.abs(x) + _C)
    position = x * inverse  # t, with the sign of x
    position *= _CELLS
    position += _CELLS
    cell = position.astype(np.intp)
    part = np.subtract(position, cell, out=position)
    table = _table()
    value = table[3].take(cell)
    for power in (2, 1, 0):
        value *= part
        value += table[power].take(cell)
    above = np.flatnonzero(x > 0)
    value[above] *= np.exp(np.square(x.take(above))) * inverse.take(above)
    return value


@lru_cache
def _table() -> Floats:
    """Cubics over cells of t from -1 to 1, shape (4, 2 * cells + 1): -G(-x) + ln(1 - x)/sqrt(pi), then K(x) (x + 2)."""
    from scipy import special

    nodes = (1 - np.cos(np.pi * (np.arange(4) + 0.5) / 4)) / 2  # within a cell
    t = (np.arange(_CELLS)[:, None] + nodes) / _CELLS  # from 0 to 1
    x = _C * t / (1 - t)
    smooth = _smooth_part_of_g()(2 * t - 1)
    g = smooth + np.log1p(x) / np.sqrt(np.pi)
    k = 2 * special.dawsn(x) - np.exp(-np.minimum(x * x, 700.0)) * g
    values = np.concatenate([-smooth[::-1, ::-1], k * (x + _C)])  # the nodes lie symmetrically
    cubics = np.linalg.solve(np.vander(nodes, increasing=True), values.T)
    return np.hstack([cubics, [[cubics[:, -1].sum()], [0], [0], [0]]])  # and a last cell, for t = 1


def _smooth_part_of_g() -> Any:
    """G(x) - ln(1 + x)/sqrt(pi) as a Chebyshev series in 2 t - 1, good to 1e-14."""
    from scipy import special

    degree = 24
    node = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    x = _C * (1 + node) / (1 - node)
    # with u = exp(s) - 1 the integrand is nearly constant in s
    point, weight = np.polynomial.legendre.leggauss(40)
    panels = 24
    s = np.log1p(x)[:, None, None] * (np.arange(panels)[:, None] + (point + 1) / 2) / panels
    g = np.log1p(x) * (special.erfcx(np.expm1(s)) * np.exp(s) * weight).sum(axis=(1, 2)) / (2 * panels)
    return chebyshev.Chebyshev(chebyshev.chebfit(node, g - np.log1p(x) / np.sqrt(np.pi), degree))
