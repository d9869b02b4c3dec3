"""Measured brains on the axis of active fractions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosparse._internal import checks
from neurosparse._internal.names import for_figure
from neurosparse.plots.fitting import wrapped
from neurosparse.plots.labels import figure_of, legend_below, make_room
from neurosparse.plots.look import BAND_COLOUR, COLOURS, axes, drawn, plain, small
from neurosparse.reference import MeasuredBrain, bands, recordings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NARROW_INCHES = 5.0  # in a narrower figure, title and legend have no room beside the names
_NAMES, _TITLE = 0.42, 0.55  # of the width, that names and the title may take
_LINE_INCHES, _REST_INCHES = 0.125, 1.4  # of each name; of the axis, the title and the legend
_LEAST, _MOST = 0.002, 130.0  # per cent: the ends of the axis, where open ranges end
_LOOKS = {
    "fraction": ("share of cells, as counted by the source", "o", COLOURS[0]),
    "rate": ("share with a spike in {window:g} ms, from rates by 1 - exp(-r w)", "s", COLOURS[1]),
    "sparseness": ("Treves-Rolls sparseness A", "D", COLOURS[2]),
}


@drawn
def brains(
    ax: Axes | None = None,
    *,
    measured: Sequence[MeasuredBrain] | None = None,
    window_ms: float = 10.0,
    beside: Mapping[str, float] = {},
) -> Axes:
    """Draw how sparse measured brains are, a row a source, over the band of 1 to 4 %.

    What is counted differs from row to row. Rates are turned into the share of cells with a spike
    in one window. An arrow ends a range that its source leaves open. Faint rows have trust C.

    Parameters
    ----------
    ax
        To draw on; new ones if None.
    measured
        Those to draw; all that come with the package if None. Rows without a number are left out.
    window_ms
        For rates.
    beside
        Other active fractions by name, such as those of circuits and networks, drawn on top.

    Examples
    --------
    >>> brains().get_xlabel()
    'active, as each source counts it (%)'
    """
    window_ms = checks.positive("window_ms", window_ms)
    rows = [
        brain
        for brain in (recordings().values() if measured is None else measured)
        if brain.kind != "shape"
    ]
    ax = axes(ax)
    make_room(ax)
    figure, size = figure_of(ax), min(7.0, small())
    alone, narrow = len(figure.axes) == 1, figure.get_figwidth() < _NARROW_INCHES
    points = 72 * figure.get_figwidth()  # of its width
    band = bands()["glorot2011"]
    label = f"brain: {for_figure(band.label)}"
    ax.axvspan(100 * band.low, 100 * band.high, color=BAND_COLOUR, alpha=0.45, lw=0, label=label)
    named: set[str] = set()
    for y, brain in enumerate(rows):
        words, marker, colour = _LOOKS[brain.kind]
        look: dict[str, Any] = {"color": colour, "alpha": 0.4 if brain.trust == "C" else 1.0}
        low, high = _shares(brain, window_ms)
        ends = [_LEAST if low is None else 100 * low, _MOST if high is None else 100 * high]
        ax.plot(ends, [y, y], "-", lw=1.6, **look)
        stated = [end for end, share in zip(ends, (low, high), strict=True) if share is not None]
        new = brain.kind not in named
        named.add(brain.kind)
        ax.plot(
            stated,
            [y] * len(stated),
            marker,
            ms=4.5,
            label=words.format(window=window_ms) if new else None,
            **look,
        )
        for end, share, arrow in zip(ends, (low, high), "<>", strict=True):
            if share is None:
                ax.plot([end], [y], arrow, ms=4.5, clip_on=False, **look)
    names = [f"{brain.species}, {brain.area} ({brain.key})" for brain in rows]
    for k, (name, fraction) in enumerate(beside.items()):
        ax.plot([100 * fraction], [len(rows) + k], "*", color=COLOURS[6], ms=8)
        names.append(name)
    labels = [wrapped(for_figure(name, most=70), _NAMES * points, size) for name in names]
    title = "Measured brains: what counts as active differs"
    if narrow:
        title = wrapped(title, _TITLE * points, float(ax.title.get_fontsize()))
    ax.set_yticks(np.arange(len(names)), labels)
    ax.tick_params(axis="y", labelsize=size)
    if alone:
        lines = sum(1 + label.count("\n") for label in labels)
        figure.set_figheight(max(_REST_INCHES + lines * _LINE_INCHES, figure.get_figheight()))
    ax.invert_yaxis()
    ax.set(
        xscale="log",
        xlim=(_LEAST, _MOST),
        xlabel="active, as each source counts it (%)",
        title=title,
    )
    ax.xaxis.set_major_formatter(plain)
    if alone and narrow:
        figure.legend(loc="outside lower left", fontsize=small())
    else:
        legend_below(ax)
    return ax


def _shares(brain: MeasuredBrain, window_ms: float) -> tuple[float | None, float | None]:
    """Return the share of active cells, from rates by the law of Poisson firing."""
    if brain.kind != "rate":
        return brain.low, brain.high
    return tuple(  # type: ignore[return-value]
        None if rate is None else -brain.share * float(np.expm1(-rate * window_ms * 1e-3))
        for rate in (brain.low, brain.high)
    )
