"""Comparison + panels -> comparison.json, activity.parquet, figures as PNG and SVG, report.html."""

from __future__ import annotations

import base64
import gzip
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from neurosparse import plots
from neurosparse._internal import checks
from neurosparse._internal.cards import look
from neurosparse._internal.types import Fields
from neurosparse._internal.whole_files import new_file
from neurosparse.comparison import Comparison, band_in_words, milliseconds
from neurosparse.comparison.differences import unlike
from neurosparse.report import answer, brains, methods
from neurosparse.report.charts import chart
from neurosparse.report.live import MOST_SPIKES, MOST_SPIKES_OF_A_PAGE, raster, windows
from neurosparse.report.panel import Panel, cells, row
from neurosparse.report.provenance import flat, in_words
from neurosparse.report.verdict import by_verdict, strip

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

PAGE = "report.html"
_SCRIPT = ("base", "tables", "window", "axes", "charts", "strip", "raster", "files", "start")
# colours that are too dark on a dark page, by the name of the style that replaces them
_AT_NIGHT = {
    "#000000": "var(--text)",
    "#0072b2": "var(--blue)",
    "#6e6e6e": "var(--soft)",
    "#332288": "var(--indigo)",
    "#882255": "var(--wine)",
    "#117733": "var(--green)",
}
_NUMBER_WITH_UNIT = re.compile(r"(?<![\w.])((?:&[lg]t; )?[\d.,-]*\d) (%|ms|Hz|of [\d,]+)(?!\w)")


@dataclass(frozen=True, slots=True)
class _Figure:
    """A panel as drawn: for paper, and for the screen where it can be had."""

    svg: bytes
    charts: list[Fields]


def write(comparison: Comparison, directory: str | Path, panels: Sequence[Panel] = ()) -> Path:
    """Write everything into `directory` and return the path of the page.

    The page is one file that asks for nothing from anywhere. Its figures and tables are there
    without scripts and in print; in a browser they become charts, and a slider moves the window.

    Parameters
    ----------
    comparison
        What was measured.
    directory
        Where the page and its files go.
    panels
        Figures and tables besides the main figure; each stands in its section, in order.

    Raises
    ------
    ValueError
        Where two panels have one key.
    OSError
        Where the directory cannot be written.
    TypeError
        Where an argument is of another kind.
    """
    checks.instance("comparison", comparison, Comparison, "neurosparse.compare returns one")
    panels = checks.instances("panels", panels, Panel)
    parts = (_main_panel(comparison), *panels)
    keys = [panel.key for panel in parts]
    if repeated := sorted({key for key in keys if keys.count(key) > 1}):
        raise ValueError(f"keys of panels must differ, got {repeated[0]!r} twice")
    directory = comparison.save(directory)
    figures = {
        panel.key: _draw(panel, directory / "figures") for panel in parts if panel.draw is not None
    }
    with new_file(directory / PAGE) as file:
        file.write_text(_html(comparison, parts, figures), encoding="utf-8")
    return directory / PAGE


def _main_panel(comparison: Comparison) -> Panel:
    """Return the figure with the window."""

    def draw(ax: Axes) -> None:
        plots.activity_curves(comparison, ax)

    return Panel(
        "active_fraction_over_window",
        "Active fraction over the window",
        "Curves: the share of a circuit's neurons that fire at least once in a window, over the"
        " length of the window. Horizontal lines: the share of a network's units that are active"
        " for one input, which has no window. Where a line meets a curve, the circuit is as active"
        " as the network: the equivalent window. Yellow: what is said of the brain. "
        + comparison.band.caption,
        draw,
        section="window",
    )


def _draw(panel: Panel, folder: Path) -> _Figure:
    """Save a panel as PNG and SVG, and read off its axes what charts need."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    if panel.draw is None:
        raise ValueError(f"panel {panel.key!r} has no figure")
    with plots.style(), rc_context({"figure.constrained_layout.use": False, "axes.titley": 1.0}):
        columns = min(panel.n_axes, 2)
        rows = -(-panel.n_axes // columns)
        figure = Figure(
            figsize=(7.2, 5.2) if columns == 1 else (10.4, 4.6 if rows == 1 else 3.8 * rows)
        )
        FigureCanvasAgg(figure)
        axes = [figure.add_subplot(rows, columns, k + 1) for k in range(panel.n_axes)]
        panel.draw(*axes)
        # once for both files, for it takes as long as drawing
        ConstrainedLayoutEngine().execute(figure)
        for suffix, how in (
            ("png", {"pil_kwargs": {"compress_level": 1}}),
            ("svg", {"metadata": {"Date": None}}),
        ):
            with new_file(folder / f"{panel.key}.{suffix}") as file:
                figure.savefig(file, format=suffix, **how)
        charts = [] if panel.spikes is not None else [chart(ax) for ax in axes]
    svg = (folder / f"{panel.key}.svg").read_bytes()
    return _Figure(svg, [c for c in charts if c is not None] if None not in charts else [])


def _html(comparison: Comparison, panels: Sequence[Panel], figures: dict[str, _Figure]) -> str:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["whole"] = _whole
    environment.filters["strip"] = strip
    environment.filters["themed"] = lambda colour: _AT_NIGHT.get(colour.lower(), colour)
    template = environment.from_string(_text("page.html.j2"))
    data = _data(comparison, panels, figures)
    spikes = [panel for panel in panels if panel.spikes is not None]
    return template.render(
        style=Markup(f"{look()}{_text('page.css')}"),
        script=Markup(_script()),
        data=Markup(
            json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
        ),
        plotly=_plotly(),
        subject=answer.subject(comparison),
        when=comparison.provenance.get("started") or time.strftime("%Y-%m-%d %H:%M %z"),
        command=comparison.provenance.get("command"),
        commit=comparison.provenance.get("commit"),
        said=band_in_words(comparison.band),
        mixed=unlike(comparison.stats) is not None,
        sentences=answer.sentences(comparison),
        details=comparison.answer(),
        overview=answer.overview(comparison),
        live=data["windows"],
        strip_of=spikes[0] if spikes else None,
        band_windows={c.name: answer.band_windows(comparison, c) for c in comparison.circuits},
        main=panels[0],
        panels={
            section: [p for p in panels[1:] if p.section == section]
            for section in ("window", "cost", "inside", "claims")
        },
        verdicts=by_verdict(v for panel in panels for v in panel.verdicts),
        images={
            key: "data:image/svg+xml;base64," + base64.b64encode(f.svg).decode()
            for key, f in figures.items()
        },
        drawn=set(data["charts"]),
        tables={panel.key: cells(panel.table) for panel in panels},
        rows=cells([_row(comparison, k) for k in range(len(comparison.stats))]),
        windows_at=cells(
            [{"circuit": c} | _windows_at(at) for c, at in comparison.windows_at_ms.items()]
        ),
        brains_said=cells(brains.said_rows(comparison.bands)),
        brains_measured=cells(brains.measured_rows()),
        methods=methods.paragraph(comparison),
        bibtex=methods.bibtex(comparison),
        files=methods.files(comparison),
        provenance=[(in_words(key), text) for key, text in flat(comparison.provenance)],
    )


def _data(comparison: Comparison, panels: Sequence[Panel], figures: dict[str, _Figure]) -> Fields:
    """Return what the script computes with."""
    rasters = {panel.key: panel.spikes for panel in panels if panel.spikes is not None}
    most = min(MOST_SPIKES, MOST_SPIKES_OF_A_PAGE // max(1, len(rasters)))
    colours = plots.colours(comparison)
    return {
        "windows": windows(comparison),
        "charts": {key: figure.charts for key, figure in figures.items() if figure.charts},
        "rasters": {key: raster(spikes, most, colours) for key, spikes in rasters.items()},
    }


def _row(comparison: Comparison, k: int) -> dict[str, str]:
    """Return a row of the numbers: how the share came about stands beside it."""
    stats = comparison.stats[k]
    found = row(stats, comparison.equivalent_window_ms)
    return {
        column: text
        for name, cell in found.items()
        for column, text in (
            [(name, cell), ("share", answer.how(stats))] if name == "active" else [(name, cell)]
        )
    }


def _windows_at(windows_ms: dict[float, float | None]) -> dict[str, str]:
    return {
        f"{100 * f:g} %": "none" if w is None else milliseconds(w) for f, w in windows_ms.items()
    }


def _whole(text: str) -> Markup:
    """Return text in which no line breaks between a number and its unit."""
    from markupsafe import Markup, escape

    return Markup(_NUMBER_WITH_UNIT.sub(r'<span class="n">\1 \2</span>', str(escape(text))))


def _script() -> str:
    """Return the modules of the script, in one scope of their own."""
    parts = [_text(f"script/{name}.js") for name in _SCRIPT]
    return "\n".join(['"use strict";', "(() => {", *parts, "})();"])


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _plotly() -> str:
    """Return Plotly, compressed to a third: all else is at work before it is unpacked."""
    return base64.b64encode(
        gzip.compress(_text("vendored/plotly-basic.min.js").encode(), 6, mtime=0)
    ).decode("ascii")
