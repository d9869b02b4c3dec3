"""Statistics and reference figures side by side: a `Comparison`, in numbers and in words.

comparison.py  the comparison, bands of one's own
differences.py the difference of two fractions
sentences.py   the plain sentences
words.py       how fractions, windows and bands are said
window_intervals.py  the window that holds a fraction, and how sure it is
files.py       statistics on disk and back, exactly
"""

from neurosparse.comparison.comparison import (
    BRAIN_FRACTIONS,
    Comparison,
    compare,
    load,
    own_band,
)
from neurosparse.comparison.differences import Difference, difference
from neurosparse.comparison.window_intervals import circuit_window, window_interval
from neurosparse.comparison.words import band_in_words, milliseconds, percent, percents

said = band_in_words  # its name in version 0.1

__all__ = [
    "BRAIN_FRACTIONS",
    "Comparison",
    "Difference",
    "band_in_words",
    "circuit_window",
    "compare",
    "difference",
    "load",
    "milliseconds",
    "own_band",
    "percent",
    "percents",
    "said",
    "window_interval",
]
