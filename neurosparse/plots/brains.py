"""Measured brains on the axis of active fractions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosparse._internal import checks
from neurosparse._internal.names import for_figure
from neurosparse.activity import ActivityStats
from neurosparse.comparison import Comparison
from neurosparse.plots.fitting import cell_width, figure_of, wrapped
from neurosparse.plots.inputs import SEVERAL, Stats, statistics
from neurosparse.plots.labels import grow, legend_below, make_room, say
from neurosparse.plots.look import BAND_COLOUR, COLOURS, axes, drawn, plain, scaled, small
from neurosparse.reference import MeasuredBrain, bands, recordings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend

_NARROW = 360.0  # points; in a narrower place, a legend has no room beside the names
_NAMES = 0.42  # of the width, that names may take
_LINE = 1.3  # the height of a line of a name, as a part of the letters' height
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
    beside: Mapping[str, float] | Stats = (),
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
        Other active fractions by name, such as those of circuits and networks, or what `measure`
        or `compare` returned for them; drawn below.

    Examples
    --------
    >>> brains().get_xlabel()
    'active, as each source counts it (%)'
    """
    window_ms, others = checks.positive("window_ms", window_ms), _fractions(beside)
    rows = [
        brain
        for brain in (recordings().values() if measured is None else measured)
        if brain.kind != "shape"
    ]
    ax = axes(ax)
    make_room(ax)
    figure, size, width = figure_of(ax), min(7.0, small()), cell_width(ax)
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
    for y, (name, fraction) in enumerate(others.items(), len(rows)):
        look = {"color": COLOURS[6], "clip_on": False}
        if 100 * fraction >= _LEAST:
            ax.plot([100 * fraction], [y], "*", ms=8, **look)
        else:  # below what a log axis can show
            ax.plot([_LEAST], [y], "<", ms=4.5, **look)
            ax.annotate(
                f"{100 * fraction:.2g} %",
                (_LEAST, y),
                (5, 0),
                textcoords="offset points",
                va="center",
                fontsize=size,
            )
        names.append(name)
    labels = [wrapped(for_figure(name, most=70), _NAMES * width, size) for name in names]
    ax.set_yticks(np.arange(len(names)), labels)
    ax.tick_params(axis="y", labelsize=size)
    ax.set(xscale="log", xlim=(_LEAST, _MOST), ylim=(len(names) - 0.4, -0.6))
    ax.xaxis.set_major_formatter(plain)
    say(
        ax,
        title="Measured brains: what counts as active differs",
        xlabel="active, as each source counts it (%)",
    )
    if len(figure.axes) == 1 and width < _NARROW:
        legend: Legend | None = figure.legend(loc="outside lower left", fontsize=small())
    else:
        legend_below(ax)
        legend = ax.get_legend()
    texts = legend.get_texts() if legend else []
    n_lines = sum(1 + text.get_text().count("\n") for text in texts)
    tallest = max((1 + label.count("\n") for label in labels), default=1)
    inside = _LINE * size * tallest * len(labels)
    grow(ax, inside=inside, below=1.5 * small() * n_lines + scaled(40))
    return ax


def _fractions(beside: object) -> dict[str, float]:
    """Return active fractions by name."""
    if isinstance(beside, (ActivityStats, Comparison, *SEVERAL)):
        return {s.name: s.active_fraction for s in statistics(beside)}
    checks.instance("beside", beside, Mapping, "pass active fractions by name")
    found: dict[str, float] = {}
    for name, each in beside.items():  # type: ignore[attr-defined]
        if isinstance(each, (ActivityStats, Comparison, Mapping, *SEVERAL)):
            found |= _fractions(statistics({name: each}))
            continue
        found[str(name)] = checks.not_negative(f"beside[{name!r}]", each)
        if found[str(name)] > 1:
            raise ValueError(f"beside[{name!r}] must be a share from 0 to 1, got {each}")
    return found


def _shares(brain: MeasuredBrain, window_ms: float) -> tuple[float | None, float | None]:
    """Return the share of active cells, from rates by the law of Poisson firing."""
    if brain.kind != "rate":
        return brain.low, brain.high
    return tuple(  # type: ignore[return-value]
        None if rate is None else -brain.share * float(np.expm1(-rate * window_ms * 1e-3))
        for rate in (brain.low, brain.high)
    )
