"""The share of active neurons that a mean rate goes with: as a duty fraction, and in a window."""

from __future__ import annotations

import numpy as np

from neurosparse._internal import checks


def duty_fraction(mean_rate_hz: float, rate_while_active_hz: float) -> float:
    """Return the share of neurons that are "active at once" in Lennie's reading.

    It is the mean rate over the rate of a neuron while it is active.

    Raises
    ------
    ValueError
        Where the mean rate is above the rate while active: more than all neurons would be active.
    """
    mean, active = (
        checks.not_negative("mean_rate_hz", mean_rate_hz),
        checks.positive("rate_while_active_hz", rate_while_active_hz),
    )
    if mean > active:
        raise ValueError(
            f"mean_rate_hz={mean:g} is above rate_while_active_hz={active:g}: no share of the"
            " neurons gives it"
        )
    return mean / active


def rate_while_active_hz(mean_rate_hz: float, fraction: float) -> float:
    """Return the rate while active at which a duty fraction uses up a mean rate.

    The inverse of `duty_fraction`.
    """
    return checks.not_negative("mean_rate_hz", mean_rate_hz) / _fraction(fraction)


def active_in_window(rate_hz: float, window_ms: float) -> float:
    """Return the share of neurons with at least one spike in a window, 1 - exp(-r w).

    For Poisson firing at one rate.

    1 - exp(-r w) is concave in r, so at the same mean rate neurons of differing rates give less.
    """
    return float(
        -np.expm1(
            -checks.not_negative("rate_hz", rate_hz)
            * checks.positive("window_ms", window_ms)
            * 1e-3
        )
    )


def window_ms_for(rate_hz: float, fraction: float) -> float:
    """Return the window in ms in which a share of Poisson neurons fires.

    The inverse of `active_in_window`.
    """
    fraction = _fraction(fraction)
    if fraction == 1:
        raise ValueError("no window is long enough for all neurons to have fired, got fraction=1")
    return float(-np.log1p(-fraction) / checks.positive("rate_hz", rate_hz) * 1e3)


def _fraction(fraction: float) -> float:
    fraction = checks.number("fraction", fraction)
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must lie in (0, 1], got {fraction}")
    return fraction
