"""Numbers with as many digits as say something."""

from __future__ import annotations


def three_digits(value: float) -> str:
    """Return a number with three digits, zeros too, never as a power of ten.

    '7.00', '15.2', '1,230'.
    """
    if abs(value) < 999.5:
        return f"{value:#.3g}".removesuffix(".")
    return f"{float(f'{value:.3g}'):,.0f}"
