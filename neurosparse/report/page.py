"""Comparison + panels -> comparison.json, activity.parquet, figures as PNG and SVG, report.html."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurosparse import plots
from neurosparse.activity import ActivityStats
from neurosparse.comparison import Comparison, percent, percents
from neurosparse.files import new_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAGE = "report.html"


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure of the page.

    Parameters
    ----------
    key
        The name of its files: figures/<key>.png and .svg.
    title, caption
        What stands above and below it; the caption is also what a screen reader says.
    draw
        Draws it on the axes it is given, side by side where there are several.
    n_axes
        How many axes `draw` takes.
    """

    key: str
    title: str
    caption: str
    draw: Callable[..., object]
    n_axes: int = 1


def main_panel(comparison: Comparison) -> Panel:
    """The figure that answers the question."""

    def draw(ax: Axes) -> None:
        plots.activity_curves(comparison, ax)

    return Panel(
        "active_fraction_over_window",
        "How many are active at once?",
        "Curves: the share of a circuit's neurons that fire at least once in a window, over the length of the window. Horizontal "
        "lines: the share of a network's units that are active for one input, which has no window. Where a line meets a curve, "
        "the circuit is as active as the network: the equivalent window. Yellow: what is said of the brain. "
        + comparison.band.caption,
        draw,
    )


def write(comparison: Comparison, directory: str | Path, panels: Sequence[Panel] = ()) -> Path:
    """Write everything into `directory` and return the path of the page.

    Parameters
    ----------
    panels
        Figures beside the main one, in order.

    Raises
    ------
    OSError
        Where the directory cannot be written.
    """
    directory = comparison.save(directory)
    figures = [(panel, _draw(panel, directory / "figures")) for panel in (main_panel(comparison), *panels)]
    with new_file(directory / PAGE) as file:
        file.write_text(_html(comparison, figures), encoding="utf-8")
    return directory / PAGE


def _draw(panel: Panel, folder: Path) -> bytes:
    """Save a panel as PNG and SVG; the SVG is returned for the page."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with plots.style():
        columns = min(panel.n_axes, 2)
        rows = -(-panel.n_axes // columns)
        figure = Figure(figsize=(7.2, 4.8) if columns == 1 else (10.4, 4.6 if rows == 1 else 3.8 * rows))
        FigureCanvasAgg(figure)
        axes = [figure.add_subplot(rows, columns, k + 1) for k in range(panel.n_axes)]
        panel.draw(*axes)
        for suffix, metadata in (("png", {}), ("svg", {"Date": None})):
            with new_file(folder / f"{panel.key}.{suffix}") as file:
                figure.savefig(file, format=suffix, metadata=metadata)
    return (folder / f"{panel.key}.svg").read_bytes()


def _html(comparison: Comparison, figures: Sequence[tuple[Panel, bytes]]) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(
        resources.files(__package__).joinpath("page.html.j2").read_text(encoding="utf-8")
    )
    return template.render(
        answer=comparison.answer(),
        bands=comparison.bands,
        figures=[
            {
                "panel": panel,
                "uri": "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii"),
            }
            for panel, svg in figures
        ],
        rows=[row(s, comparison.equivalent_window_ms) for s in comparison.stats],
        windows=comparison.windows_at_ms,
        provenance=_flat(comparison.provenance),
    )


def row(stats: ActivityStats, equivalent_window_ms: Mapping[str, Mapping[str, float | None]]) -> dict[str, str]:
    """One line of the table of results, for the page and the terminal."""
    equivalents = equivalent_window_ms.get(stats.name, {})
    error = stats.provenance.get("test error")
    return {
        "name": stats.name,
        "active means": stats.active_when.describe(),
        "active": percent(stats.active_fraction),
        "95 % interval": percents(stats.interval.low, stats.interval.high),
        "equals window": ", ".join("none" if w is None else f"{w:.3g} ms" for w in equivalents.values()) or "-",
        "test error": "-" if error is None else f"{100 * error:.1f} %",
        "never active": f"{stats.n_silent:,} of {stats.n_units:,}",
        "rate": "-" if stats.mean_rate_hz is None else f"{stats.mean_rate_hz:.2f} Hz",
        "Treves-Rolls": "-" if stats.population.treves_rolls is None else f"{stats.population.treves_rolls:.3f}",
        "Gini": "-" if stats.population.gini is None else f"{stats.population.gini:.3f}",
    }


def _flat(node: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested provenance as (dotted name, text) pairs."""
    if isinstance(node, Mapping):
        return [pair for key, child in node.items() for pair in _flat(child, f"{name}.{key}" if name else str(key))]
    return [(name, node if isinstance(node, str) else json.dumps(node))]
