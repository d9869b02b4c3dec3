"""How every figure looks, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from neurosparse._internal import whole_files as files
from neurosparse._internal.types import Foreign

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from neurosparse.comparison import Comparison

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C8C")
PARTS = ("#332288", "#CC6677", "#44AA99", "#882255", "#999933", "#AA4499", "#117733", "#88CCEE")
DASHES: tuple[Foreign, ...] = (
    "-",
    "--",
    "-.",
    ":",
    (0, (8, 2, 1, 2, 1, 2)),
    (0, (1, 3)),
    (0, (10, 4)),
)
BAND_COLOUR = "#F0E442"
_STYLE: dict[Foreign, Foreign] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "figure.dpi": 110,
    "figure.figsize": (7.2, 4.4),
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "savefig.dpi": 160,
    "svg.fonttype": "none",
    "svg.hashsalt": "neurosparse",  # the same data give the same file
}


@contextmanager
def style() -> Iterator[None]:
    """The package's look, for `with style(): fig, ax = plt.subplots(); ...`."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        yield


def save(
    path: str | Path, *draw: Callable[[Axes], object], inches: tuple[float, float] = (6.4, 4.4)
) -> None:
    """Write a figure as PNG, which appears whole or not at all; each of `draw` is given axes of its
    own, side by side.
    """
    import matplotlib.pyplot as plt

    with style(), files.new_file(Path(path)) as file:
        fig, axes = plt.subplots(1, len(draw), figsize=inches, squeeze=False)
        for draw_on, ax in zip(draw, axes[0], strict=True):
            draw_on(ax)
        fig.savefig(file, format="png")
        plt.close(fig)


def colours(comparison: Comparison) -> dict[str, str]:
    """The colour that each circuit and network has in all figures of a comparison, by name."""
    names = (s.name for s in (*comparison.circuits, *comparison.networks))
    return {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(names)}


def coloured(
    names: Iterable[str], known: Mapping[str, str] | None, palette: tuple[str, ...] = COLOURS
) -> list[str]:
    """A colour for each name: the known one, or else that of its place in the palette."""
    return [(known or {}).get(name, palette[k % len(palette)]) for k, name in enumerate(names)]


def axes(ax: Axes | None) -> Axes:
    """The given axes, or new ones of the package's look."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    with style():
        return plt.subplots()[1]


def plain(value: float, _: float) -> str:
    """Tick labels without powers of ten."""
    return f"{value:g}"


def legend_below(
    ax: Axes, *, points: float = 40, ncols: int = 1, marker_size: float | None = None
) -> None:
    """A legend under the axes, so many points below their lower edge: as a rule ticks and a label
    come between.
    """
    from matplotlib.transforms import ScaledTranslation

    below = ax.transAxes + ScaledTranslation(0, -points / 72, ax.figure.dpi_scale_trans)
    legend = ax.legend(
        loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=below, ncols=ncols, borderaxespad=0
    )
    for line in legend.get_lines() if marker_size else ():
        line.set(markersize=marker_size, markeredgewidth=2)
