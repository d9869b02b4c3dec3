"""The definition of "active"."""

from __future__ import annotations

from dataclasses import dataclass

from neurosparse._internal import checks

WINDOW_TOLERANCE = 0.01  # of a window, by which the nearest on a grid may miss it


@dataclass(frozen=True, slots=True)
class ActiveWhen:
    """The definition of "active".

    No fraction exists without one, and two fractions with different ones are never compared
    silently.

    Parameters
    ----------
    window_ms
        For spikes: a unit is active in a window of this length in which it fires at least once.
    threshold
        For activations: a unit is active for a sample where abs(a) > threshold. 0 counts everything
        but exact zeros.
    axis
        For activations: the axis of an activation tensor that holds the units (-1: the features of
        a linear layer, 1: the channels of a convolution). Every other axis holds samples: inputs,
        positions, tokens. None: as each layer of a model lays out its units, and -1 for an array.
    relative
        The threshold is a multiple of the layer's scale: of the root mean square over its units,
        sample by sample. The right choice for SiLU and GELU, whose outputs are hardly ever 0.

    Examples
    --------
    >>> ActiveWhen(window_ms=10).describe()
    'at least one spike in 10 ms'
    >>> ActiveWhen(threshold=0).describe()
    'abs(a) > 0'
    >>> ActiveWhen(threshold=0.1, relative=True).describe()
    'abs(a) > 0.1 rms of the layer'
    """

    window_ms: float | None = None
    threshold: float | None = None
    axis: int | None = None
    relative: bool = False

    def __post_init__(self) -> None:
        if (self.window_ms is None) == (self.threshold is None):
            raise ValueError(
                "ActiveWhen takes exactly one of window_ms (for spikes) and threshold (for"
                f" activations), got window_ms={self.window_ms}, threshold={self.threshold}"
            )
        if self.window_ms is not None:
            object.__setattr__(self, "window_ms", checks.positive("window_ms", self.window_ms))
        if self.threshold is not None:
            object.__setattr__(self, "threshold", checks.not_negative("threshold", self.threshold))
        if self.relative and self.threshold is None:
            raise ValueError(
                "relative is for thresholds of activations, and this definition has a window of"
                f" {self.window_ms:g} ms: leave it out"
            )
        if self.axis is not None:
            checks.whole("axis", self.axis, least=-16)

    def is_like(self, other: ActiveWhen) -> bool:
        """Return whether two definitions mean the same.

        Windows may differ by 1 %, as the nearest on a grid does.

        Examples
        --------
        >>> ActiveWhen(window_ms=10).is_like(ActiveWhen(window_ms=9.994))
        True
        """
        if self.window_ms is None or other.window_ms is None:
            return self.describe() == other.describe()
        return abs(self.window_ms - other.window_ms) <= WINDOW_TOLERANCE * max(
            self.window_ms, other.window_ms
        )

    def describe(self) -> str:
        """Return the definition in words, for axes, tables and captions."""
        if self.window_ms is not None:
            return f"at least one spike in {self.window_ms:g} ms"
        return f"abs(a) > {self.threshold:g}" + (" rms of the layer" if self.relative else "")
