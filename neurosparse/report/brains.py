"""The section Brains: what is said of brains, and what was measured in them."""

from __future__ import annotations

from collections.abc import Iterable

from neurosparse import reference
from neurosparse.reference import Band, MeasuredBrain
from neurosparse.reference.brains import window_words

_ACCOUNTS = {"A": "two accounts or more", "B": "one account", "C": "none: unverified"}
_READ = {"A": "the source itself", "B": "another's account", "C": "not at all: unverified"}


def said_rows(bands: Iterable[Band]) -> list[dict[str, str]]:
    """Return a row for each band: what is said of the brain, what it means, and its source."""
    return [
        {
            "figure": band.label,
            "what it means": band.caption,
            "source": band.source,
            "read in": _ACCOUNTS[band.trust],
        }
        for band in bands
    ]


def measured_rows(brains: Iterable[MeasuredBrain] | None = None) -> list[dict[str, str]]:
    """Return a row for each measured brain: what was counted, in which window, and its source.

    Parameters
    ----------
    brains
        Those to show; all that come with the package if None.

    Examples
    --------
    >>> measured_rows()[0]["measured"]
    '< 5 %'
    """
    shown = reference.recordings().values() if brains is None else brains
    return [
        {
            "area": brain.area,
            "measured": brain.measured(),
            "counted": brain.counted,
            "window": brain.window,
            "species": f"{brain.species}, {brain.state}",
            "method": brain.method,
            "1 % in": window_words(brain.windows_ms(0.01)),
            "4 % in": window_words(brain.windows_ms(0.04)),
            "source": f"{brain.source} (doi:{brain.doi})" if brain.doi else brain.source,
            "read in": _READ[brain.trust],
        }
        for brain in shown
    ]
