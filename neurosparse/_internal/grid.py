"""Times on a grid of steps: one rule for what lies on it."""

from __future__ import annotations

import math

NANOSECOND_MS = 1e-6  # a tick of exact times
GRID_TOLERANCE = 1e-3  # of a step: what float64 leaves of t = k * dt after hours of simulated time


def on_grid(name: str, value_ms: float, dt_ms: float) -> int:
    """Return a time as whole steps of dt; refuse one that does not lie on the grid.

    Examples
    --------
    >>> on_grid("delay_ms", 1.5, 0.1)
    15
    """
    exact = value_ms / dt_ms
    if not math.isfinite(exact):
        raise ValueError(f"{name} must be a number of steps of dt_ms={dt_ms:g}, got {value_ms!r}")
    steps = round(exact)
    if abs(exact - steps) > GRID_TOLERANCE:
        raise ValueError(off_grid(name, value_ms, dt_ms))
    return steps


def off_grid(name: str, value_ms: float, dt_ms: float) -> str:
    """Return the sentence about a time that does not lie on the grid."""
    return f"{name} must be a whole multiple of dt_ms={dt_ms:g}, got {float(value_ms)!r}"
