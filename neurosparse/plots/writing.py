"""Figures as files: PDF, SVG and PNG."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from neurosparse._internal import checks
from neurosparse._internal.types import Fields
from neurosparse._internal.whole_files import new_file
from neurosparse.plots.look import Width, is_on, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# by suffix, what is said to the writer so that the same data give the same file
_KINDS: dict[str, Fields] = {
    ".pdf": {"metadata": {"CreationDate": None}},
    ".svg": {"metadata": {"Date": None}},
    ".png": {},
}
_DPI = 600  # of PNG files, and of what is of dots in the others
_LEAST_INCHES = 3.0  # of axes that stand beside others


def save(
    path: str | Path,
    *draw: Callable[[Axes], object] | Axes | Figure,
    inches: tuple[float, float] | None = None,
    width: Width | None = None,
    also: str | Sequence[str] = (),
) -> None:
    """Write a figure as PDF, SVG or PNG, by its suffix; it appears whole or not at all.

    A PNG has 600 dots an inch, as journals ask; one that is drawn here for screens has 160. Where a
    link stands at the path, the file that it leads to is written.

    Parameters
    ----------
    path
        The file, named .pdf, .svg or .png.
    *draw
        Functions that draw on the axes they are given. Each has axes of its own, side by side, or
        one above another where the figure is narrow. Or one figure, or axes of it, that was drawn
        already. Without any, the current figure of pyplot is written.
    inches, width
        The size of a figure that is drawn here: in inches, or "single" (89 mm) or "double"
        (183 mm) as in `style`.
    also
        Suffix of a further file with the same figure, or several, such as [".svg"].

    Raises
    ------
    ValueError
        Where the suffix is another, or there is nothing to write.
    OSError
        Where the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from neurosparse import plots
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plots.save(f"{folder}/units.pdf", plots.activation_functions, width="single")
    """
    import matplotlib as mpl

    path = checks.path("path", path)
    suffixes = [also] if isinstance(also, str) else checks.instances("also", also, str)
    places = [path, *(path.with_suffix(_suffix(suffix, path)) for suffix in suffixes)]
    _suffix(path.suffix, path)
    made = _made(draw)
    if made is not None and (inches, width) != (None, None):
        raise ValueError(
            f"inches and width are for a figure that save draws itself: draw {path.name} within"
            " plots.style(width=...) instead"
        )
    if inches is not None and width is not None:
        raise ValueError(f"pass inches or width, not both, got {inches!r} and {width!r}")
    inches = _size(inches)
    with nullcontext() if is_on() and width is None else style(width):
        # one that was drawn already may have been for print
        dots = mpl.rcParams["savefig.dpi"] if made is None else _DPI
        figure = made or _drawn([each for each in draw if callable(each)], inches)
        with ExitStack() as stack:  # all of them appear, or none
            for place in places:
                file = stack.enter_context(new_file(Path(os.path.realpath(place))))
                kind = place.suffix.lower()
                figure.savefig(file, format=kind[1:], dpi=dots, **_KINDS[kind])


def _size(inches: object) -> tuple[float, float] | None:
    """Return width and height in inches, or refuse what is no such pair."""
    if inches is None:
        return None
    if not isinstance(inches, tuple | list) or len(inches) != 2:
        raise ValueError(f"inches must be a width and a height, such as (7, 5), got {inches!r}")
    wide, high = (checks.positive("each of inches", side) for side in inches)
    return wide, high


def _suffix(suffix: str, path: Path) -> str:
    """Return a suffix that can be written, or refuse it."""
    if suffix.lower() not in _KINDS:
        raise ValueError(
            f"cannot write {path}: figures are written as {', '.join(_KINDS)}, got"
            f" {suffix or 'no suffix'}"
        )
    return suffix


def _made(draw: Sequence[object]) -> Figure | None:
    """Return the figure that was drawn already; None where functions are to draw it."""
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    if not draw:
        import matplotlib.pyplot as plt

        if not plt.get_fignums():
            raise ValueError(
                "there is no figure to write: draw one before, or pass a function that draws on"
                " axes, such as save('f.pdf', lambda ax: plots.raster(spikes, ax))"
            )
        return plt.gcf()
    if all(callable(each) for each in draw):
        return None
    if len(draw) > 1 or not isinstance(draw[0], Axes | Figure):
        kinds = ", ".join(type(each).__name__ for each in draw)
        raise TypeError(f"save takes functions that draw, or one figure or axes, got {kinds}")
    figure = draw[0] if isinstance(draw[0], Figure) else draw[0].get_figure(root=True)
    if figure is None:
        raise ValueError("these axes belong to no figure any more: draw them again")
    return figure


def _drawn(draw: Sequence[Callable[[Axes], object]], inches: tuple[float, float] | None) -> Figure:
    """Draw each on axes of its own: beside one another, or in rows where there is little width."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    wide, high = mpl.rcParams["figure.figsize"]
    columns = len(draw) if inches else min(len(draw), max(1, int(wide // _LEAST_INCHES)))
    rows = -(-len(draw) // columns)
    figure = Figure(figsize=inches or (wide, high * (1 if columns == 1 else 0.8) * rows))
    cells = [figure.add_subplot(rows, columns, k + 1) for k in range(len(draw))]
    for draw_on, ax in zip(draw, cells, strict=True):
        draw_on(ax)
    return figure
