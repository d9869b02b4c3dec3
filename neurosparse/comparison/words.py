"""Numbers and bands in words, one way for terminal, figures and page."""

from __future__ import annotations

import math
from numbers import Real

from neurosparse._internal import checks
from neurosparse.reference import Band, bands

STEERED = "steered to"  # in a provenance: the share that a network was trained to have


def quoted(name: str) -> str:
    """Return a name for a list with commas: in quotes where it has a comma itself.

    Examples
    --------
    >>> quoted("circuit"), quoted("network, 4 % active")
    ('circuit', "'network, 4 % active'")
    """
    return f"'{name}'" if "," in name else name


def band_in_words(band: Band) -> str:
    """Return a band in words: "1-4 % said of the brain"; a band of the user's own by its label."""
    checks.instance("band", band, Band, "neurosparse.reference.bands() has them")
    range_ = f"{100 * band.low:g}-{100 * band.high:g} %"
    if band.key in bands():
        return f"{range_} said of the brain"
    return f"{range_} of {band.label.removesuffix(f' ({range_})')}"


def percent(fraction: float) -> str:
    """Return a fraction in percent with the two or three digits that mean something.

    '0.33 %', '4.0 %', '51.2 %'.
    """
    value = 100 * checks.number("fraction", fraction)
    return (
        f"{value:#.2g} %"
        if 0 < value < 9.95
        else f"{value:.0f} %"
        if value in (0, 100)
        else f"{value:.1f} %"
    )


def percents(low: float, high: float) -> str:
    """Return a range in percent, such as '2.7-2.8 %', or 'none' where its ends are NaN.

    Ends that differ and would look alike have a digit more: '1.88-1.91 %'.
    """
    for name, end in (("low", low), ("high", high)):
        checks.instance(name, end, Real)
    if math.isnan(low) or math.isnan(high):
        return "none"
    ends = [percent(low), percent(high)]
    if low < high and ends[0] == ends[1]:
        digits = 3 if 100 * low < 9.95 else 4
        ends = [f"{100 * end:#.{digits}g} %" for end in (low, high)]
    return f"{ends[0].removesuffix(' %')}-{ends[1]}"


def milliseconds(window_ms: float) -> str:
    """Return a window with three digits, never as a power of ten: '3.77 ms', '11,400 ms'."""
    digits = f"{checks.number('window_ms', window_ms):.3g}"
    return f"{float(digits):,.10g} ms"
