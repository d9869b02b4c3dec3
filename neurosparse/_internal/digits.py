"""Numbers with as many digits as say something."""

from __future__ import annotations


def three_digits(value: float) -> str:
    """Return a number with three digits, zeros too, never as a power of ten.

    '7.00', '15.2', '1,230'.
    """
    if abs(value) < 999.5:
        return f"{value:#.3g}".removesuffix(".")
    return f"{float(f'{value:.3g}'):,.0f}"


def to_a_microsecond(seconds: float) -> str:
    """Return a time in s with at most six decimals, so that it can be copied from a sentence.

    Examples
    --------
    >>> to_a_microsecond(1.7e9 + 0.25), to_a_microsecond(2.0)
    ('1700000000.25', '2')
    """
    return f"{seconds:.6f}".rstrip("0").rstrip(".")


def counted(n: int, what: str) -> str:
    """Return a number of things in words.

    Examples
    --------
    >>> counted(1, "cell"), counted(1200, "cell")
    ('1 cell', '1,200 cells')
    """
    return f"{n:,} {what}{'' if n == 1 else 's'}"
