"""Confidence of the window in which a circuit is as active as something else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from neurosparse._internal import checks
from neurosparse._internal.types import Fields
from neurosparse.activity import ActivityStats, Interval
from neurosparse.activity.given import check_stats


def window_interval(circuit: ActivityStats, fraction: float | ActivityStats) -> Interval | None:
    """Return the interval in ms of the window that holds an active fraction.

    The relative errors of the circuit's active fraction, and of a network's where one is given, add
    up as squares. The curve, which rises with the window, turns the fraction into the window.

    Parameters
    ----------
    circuit
        Statistics of spikes, with their curve.
    fraction
        In (0, 1), or the statistics of a network whose active fraction is meant.

    Returns
    -------
    Interval or None
        In ms. An end is NaN where no window of the record reaches it, or one of the two has no
        interval. None where the fraction has no window.

    Examples
    --------
    >>> import neurosparse as ns
    >>> spikes = ns.simulate("cortical_population", seconds=2.0)
    >>> stats = ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=10.0))
    >>> window_interval(stats, 0.02).over
    'these cells, over time'
    """
    check_stats("circuit", circuit)
    if circuit.curve is None:
        raise ValueError(f"{circuit.name!r} is of {circuit.kind}: only spikes have windows")
    network = fraction if isinstance(fraction, ActivityStats) else None
    q = (
        fraction.active_fraction
        if isinstance(fraction, ActivityStats)
        else checks.number("fraction", fraction)
    )
    if not 0 < q < 1 or circuit.curve.window_ms(q) is None:
        return None
    own = circuit.interval
    p = circuit.active_fraction
    below, above = _relative(p, own.low), _relative(own.high, p)
    if network is not None:
        below = math.hypot(below, _relative(network.interval.high, q))
        above = math.hypot(above, _relative(q, network.interval.low))
    # a circuit that is truly more active needs a shorter window
    low, high = (_window(circuit, q * math.exp(e)) for e in (-above, below))
    over = own.over if network is None else f"{own.over}; {network.interval.over}"
    method = "the curve at the ends of the interval of the active fraction"
    return Interval(low, high, own.level, method, over)


def window_intervals(
    circuits: Iterable[ActivityStats],
    networks: Sequence[ActivityStats],
    fractions: Iterable[float],
) -> dict[str, dict[str, Fields | None]]:
    """Return the intervals of windows of each circuit, by active fraction and by network.

    As plain JSON types: an end that is not known is None.
    """
    wanted: dict[str, float | ActivityStats] = {f"{f:g}": f for f in fractions}
    wanted |= {s.name: s for s in networks}
    return {
        c.name: {
            name: None if found is None else without_nan(asdict(found))
            for name, fraction in wanted.items()
            for found in [window_interval(c, fraction)]
        }
        for c in circuits
    }


def without_nan(values: Fields) -> Fields:
    """Return the values with None for what JSON has no number for."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }


def _relative(more: float, less: float) -> float:
    """Return how much larger one fraction is, as the logarithm of the ratio; NaN if unknown."""
    if math.isnan(more) or math.isnan(less):
        return math.nan
    return math.log(more / less) if less > 0 else math.inf


def _window(circuit: ActivityStats, fraction: float) -> float:
    """Return the window in ms that holds a fraction; NaN where there is none."""
    if circuit.curve is None or math.isnan(fraction) or fraction > 1:
        return math.nan
    if fraction == 0:
        return 0.0
    window = circuit.curve.window_ms(fraction)
    return math.nan if window is None else window


def circuit_window(circuit: ActivityStats, fraction: float) -> float | None:
    """Return the window in ms in which a circuit is as active as `fraction`.

    None where no window is, 0 for a fraction of 0.
    """
    check_stats("circuit", circuit)
    if circuit.curve is None:
        raise ValueError(f"{circuit.name!r} has no curve over the window: it is not a circuit")
    fraction = checks.number("fraction", fraction)
    return circuit.curve.window_ms(fraction) if fraction > 0 else 0.0
