"""matplotlib axes -> interactive charts.

What is drawn once for paper is not described again for the screen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from neurosparse._internal.names import from_figure
from neurosparse._internal.types import Fields

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.container import BarContainer, ErrorbarContainer
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

_DASHES = {"-": "solid", "--": "dash", "-.": "dashdot", ":": "dot"}
_SYMBOLS = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "x": "x-thin-open",
}
_DIGITS = 6
_MOST_POINTS = 20_000  # beyond which a chart is slow to draw; spikes have a raster of their own
_ALONG_A_LEVEL = 60  # points of a line across the axes, each of which can be hovered over


def chart(ax: Axes) -> Fields | None:
    """Return the axes as plain JSON types.

    Title, x and y axis, traces as Plotly names them, bands behind them, notes.

    Returns None where something on the axes has no counterpart here: images, scatter and filled
    areas, symmetric-log axes. A chart that lacks a part of the figure would be wrong. Returns None
    also where there are too many points.
    """
    from matplotlib.container import BarContainer, ErrorbarContainer

    if sum(np.size(line.get_xdata()) for line in ax.lines) > _MOST_POINTS:
        return None
    if ax.images or ax.tables or not {ax.get_xscale(), ax.get_yscale()} <= {"linear", "log"}:
        return None
    traces: list[Fields] = []
    bands: list[Fields] = []
    seen: set[Artist] = set()
    for container in ax.containers:
        if isinstance(container, BarContainer):
            traces.append(_bars(container))
            seen.update(container.patches)
            if container.errorbar is not None:
                seen.update(_parts(container.errorbar))
    for container in ax.containers:
        if isinstance(container, ErrorbarContainer) and not seen.intersection(_parts(container)):
            traces.append(
                _line(ax, container.lines[0], str(container.get_label())) | _errors(container)
            )
            seen.update(_parts(container))
    if set(ax.collections) - seen:
        return None
    traces += [_line(ax, line, str(line.get_label())) for line in ax.lines if line not in seen]
    for patch in ax.patches:
        if patch in seen:
            continue
        if (found := _patch(ax, patch)) is None:
            return None
        (bands if "to" in found else traces).append(found)
    return {
        "title": ax.get_title(loc="left") or ax.get_title(),
        "x": _axis(ax.xaxis, ax.get_xscale(), ax.get_xlim()),
        "y": _axis(ax.yaxis, ax.get_yscale(), ax.get_ylim()),
        "traces": traces,
        "bands": bands,
        "notes": _notes(ax),
    }


def _line(ax: Axes, line: Line2D, name: str) -> Fields:
    x, y = (np.asarray(values, dtype=float) for values in line.get_data(orig=False))
    if line.get_transform() == ax.get_yaxis_transform("grid"):  # from edge to edge: axhline
        x = _along(ax.get_xscale(), ax.get_xlim())
        y = np.full(x.size, y[0])
    elif line.get_transform() == ax.get_xaxis_transform("grid"):  # axvline
        y = _along(ax.get_yscale(), ax.get_ylim())
        x = np.full(y.size, x[0])
    drawn, marker = line.get_linestyle() not in ("None", "none", "", " "), str(line.get_marker())
    marked = marker not in ("None", "none", "", " ")
    trace: Fields = {
        "type": "scatter",
        "name": _name(name),
        "x": _numbers(x),
        "y": _numbers(y),
    }
    trace["mode"] = (
        "+".join(mode for mode, on in (("lines", drawn), ("markers", marked)) if on) or "none"
    )
    if drawn:
        trace["line"] = {
            "color": _colour(line.get_color()),
            "dash": _dash(line),
            "width": line.get_linewidth(),
        }
    if marked:
        hollow = "-open" * (str(line.get_markerfacecolor()) == "none")
        symbol = _SYMBOLS.get(marker, "circle") + hollow
        trace["marker"] = {
            "color": _colour(line.get_color()),
            "symbol": symbol,
            "size": 1.3 * line.get_markersize(),
            **({"line": {"width": line.get_markeredgewidth()}} if hollow else {}),
        }
    return trace


def _dash(artist: Line2D | Patch) -> str:
    """Return a dash as Plotly names it, or its lengths in pixels; matplotlib's are line widths."""
    import matplotlib as mpl

    lengths = artist._unscaled_dash_pattern[1]  # type: ignore[union-attr]
    known = mpl.rcParams
    named = [
        known["lines.dashed_pattern"],
        known["lines.dashdot_pattern"],
        known["lines.dotted_pattern"],
    ]
    if lengths is None or list(lengths) in named:
        return _DASHES.get(str(artist.get_linestyle()), "solid")
    return ",".join(f"{length * artist.get_linewidth():g}px" for length in lengths)


def _bars(bars: BarContainer) -> Fields:
    flat = bars.orientation == "horizontal"
    boxes = [bar.get_bbox() for bar in bars.patches]
    at = [(b.y0 + b.y1) / 2 if flat else (b.x0 + b.x1) / 2 for b in boxes]
    length = [b.x1 if flat else b.y1 for b in boxes]
    return {
        "type": "bar",
        "orientation": "h" if flat else "v",
        "name": _name(str(bars.get_label())),
        "x": _numbers(length if flat else at),
        "y": _numbers(at if flat else length),
        "width": _numbers([b.height if flat else b.width for b in boxes]),
        "marker": {"color": _colour(bars.patches[0].get_facecolor())},
        **(_errors(bars.errorbar, length) if bars.errorbar is not None else {}),
    }


def _errors(container: ErrorbarContainer, values: ArrayLike | None = None) -> Fields:
    """Return the error bars of bars or points; one direction, the first that there is."""
    data, _, (bars, *_) = container.lines
    k, axis = (0, "x") if container.has_xerr else (1, "y")
    # without vertices where a value is NaN
    drawn = [np.asarray(segment) for segment in bars.get_segments()]
    ends = np.array([s[:, k] if s.shape == (2, 2) else (np.nan, np.nan) for s in drawn])  # (n, 2)
    middle = np.asarray(data.get_data(orig=False)[k] if values is None else values, dtype=float)
    above, below = _numbers(ends[:, 1] - middle), _numbers(middle - ends[:, 0])
    return {
        f"error_{axis}": {
            "type": "data",
            "symmetric": False,
            "array": above,
            "arrayminus": below,
            "width": 3,
        }
    }


def _parts(container: ErrorbarContainer) -> set[Artist]:
    data, caps, bars = container.lines
    return {*caps, *bars} | ({data} if data is not None else set())


def _patch(ax: Axes, patch: Patch) -> Fields | None:
    """Return a horizontal band, a stepped line, or None."""
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Polygon, Rectangle, StepPatch

    name, face = _name(str(patch.get_label())), to_rgba(patch.get_facecolor())
    if isinstance(
        patch, Rectangle
    ) and patch.get_transform() == patch.get_patch_transform() + ax.get_yaxis_transform("grid"):
        low, high = patch.get_y(), patch.get_y() + patch.get_height()
        name = name.removesuffix("*")  # the mark of a footnote, which the page's caption holds
        return {
            "name": name,
            "from": low,
            "to": high,
            "color": _colour(face),
            "opacity": round(face[3], 3),
        }
    if isinstance(patch, StepPatch):
        values, edges, _ = patch.get_data()
        steps = {"x": _numbers(edges), "y": _numbers([*values, values[-1]]), "shape": "hv"}
    # a histogram's outline; its ends stand at 0
    elif isinstance(patch, Polygon) and not patch.get_fill():
        x, y = patch.get_xy().T
        steps = {"x": _numbers(x), "y": _numbers(y), "shape": "linear"}
    else:
        return None
    filled = patch.get_fill() and isinstance(patch, StepPatch)
    look = {
        "color": _colour(face if filled else patch.get_edgecolor()),
        "width": 1.0 if filled else patch.get_linewidth(),
    }
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": steps["x"],
        "y": steps["y"],
        "line": {**look, "dash": _dash(patch), "shape": steps["shape"]},
        **({"fill": "tozeroy"} if filled else {}),
    }


def _axis(axis: Axis, scale: str, limits: tuple[float, float]) -> Fields:
    from matplotlib.ticker import FixedLocator, LogLocator

    log = scale == "log"
    ends = np.log10(limits) if log else np.asarray(limits)
    found: Fields = {"label": axis.get_label_text(), "type": scale, "range": _numbers(ends)}
    locator = axis.get_major_locator()
    base_2 = isinstance(locator, LogLocator) and getattr(axis.get_transform(), "base", 10) == 2
    if isinstance(locator, FixedLocator) or base_2:
        ticks = [t for t in axis.get_ticklocs() if min(limits) <= t <= max(limits)]
        labels = [from_figure(t) for t in axis.get_major_formatter().format_ticks(ticks)]
        found |= {"tickvals": _numbers(ticks), "ticktext": labels}
    return found


def _notes(ax: Axes) -> list[Fields]:
    """Return the annotations that belong to a point of the data."""
    from matplotlib.text import Annotation

    notes = [text for text in ax.texts if isinstance(text, Annotation) and text.xycoords == "data"]
    scales = (ax.get_xscale(), ax.get_yscale())
    return [
        {
            "text": note.get_text(),
            "at": _numbers(
                [
                    np.log10(v) if scale == "log" else v
                    for v, scale in zip(note.xy, scales, strict=True)
                ]
            ),
            "anchor": str(note.get_horizontalalignment()),
            "shift": _numbers(note.get_position()),
        }
        for note in notes
    ]


def _along(scale: str, limits: tuple[float, float]) -> np.ndarray:
    return (np.geomspace if scale == "log" else np.linspace)(*limits, _ALONG_A_LEVEL)


def _name(label: str) -> str:
    """Return a label; empty for matplotlib's own, which begin with an underscore."""
    return "" if label.startswith("_") else from_figure(label)


def _colour(colour: Any) -> str:
    from matplotlib.colors import to_hex

    return to_hex(colour)


def _numbers(values: object) -> list[float | None]:
    """Round to six digits, more than a screen shows; NaN is a gap."""
    array = np.asarray(values, dtype=float)
    return [float(f"{v:.{_DIGITS}g}") if np.isfinite(v) else None for v in array]
