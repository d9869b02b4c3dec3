"""Comparison + panels -> comparison.json, activity.parquet, figures as PNG and SVG, report.html."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from neurosparse import plots
from neurosparse._internal.types import Fields
from neurosparse._internal.whole_files import new_file
from neurosparse.comparison import Comparison, band_in_words, milliseconds
from neurosparse.report.charts import chart
from neurosparse.report.live import MOST_SPIKES, MOST_SPIKES_OF_A_PAGE, raster, windows
from neurosparse.report.panel import Panel, cells, headline, main_panel, row
from neurosparse.report.provenance import flat

PAGE = "report.html"


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
    panels
        Figures and tables beside the main figure, in order.

    Raises
    ------
    ValueError
        Where two panels have one key.
    OSError
        Where the directory cannot be written.
    """
    parts = (main_panel(comparison), *panels)
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
    template = environment.from_string(_text("page.html.j2"))
    live = windows(comparison)
    rasters = {panel.key: panel.spikes for panel in panels if panel.spikes is not None}
    most = min(MOST_SPIKES, MOST_SPIKES_OF_A_PAGE // max(1, len(rasters)))
    data = {
        "windows": live,
        "charts": {key: figure.charts for key, figure in figures.items() if figure.charts},
        "rasters": {
            key: raster(spikes, most, plots.colours(comparison)) for key, spikes in rasters.items()
        },
    }
    return template.render(
        style=Markup(_text("page.css")),
        script=Markup(_text("page.js")),
        data=Markup(
            json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
        ),
        plotly=_plotly(),
        headline=headline(comparison),
        said=band_in_words(comparison.band),
        answer=comparison.answer(),
        bands=comparison.bands,
        live=live,
        main=panels[0],
        panels=panels[1:],
        images={
            key: "data:image/svg+xml;base64," + base64.b64encode(f.svg).decode()
            for key, f in figures.items()
        },
        tables={panel.key: cells(panel.table) for panel in panels},
        rows=cells([row(s, comparison.equivalent_window_ms) for s in comparison.stats]),
        windows_at=cells(
            [{"circuit": c} | _windows_at(at) for c, at in comparison.windows_at_ms.items()]
        ),
        provenance=flat(comparison.provenance),
    )


def _windows_at(windows_ms: dict[float, float | None]) -> dict[str, str]:
    return {
        f"{100 * f:g} %": "none" if w is None else milliseconds(w) for f, w in windows_ms.items()
    }


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _plotly() -> str:
    """Plotly, compressed to a third: all else is at work before it is unpacked."""
    return base64.b64encode(
        gzip.compress(_text("vendored/plotly-basic.min.js").encode(), 6, mtime=0)
    ).decode("ascii")
