"""The look of every figure: sizes, colours, dashes and markers."""

from __future__ import annotations

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Literal, ParamSpec

from neurosparse._internal import checks, places
from neurosparse._internal.names import did_you_mean
from neurosparse._internal.types import Foreign
from neurosparse.comparison import Comparison
from neurosparse.plots.fitting import fit_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

places.house_matplotlib()

P = ParamSpec("P")
Width = Literal["single", "double"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#6E6E6E")
PARTS = ("#332288", "#CC6677", "#44AA99", "#882255", "#999933", "#AA4499", "#117733", "#88CCEE")
# for more than eight: those of the second palette that are least like the first
_MORE = (*COLOURS, *PARTS[3:], *PARTS[:3])
# one for each colour, so that whoever sees no colour reads the dash or the marker
DASHES: tuple[Foreign, ...] = (
    "-",
    "--",
    "-.",
    ":",
    (0, (8, 2, 1, 2, 1, 2)),
    (0, (10, 3)),
    (0, (1, 3)),
    (0, (6, 2, 2, 2)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
BAND_COLOUR = "#F0E442"
WIDTHS_MM: dict[str, float] = {"single": 89.0, "double": 183.0}  # of a column, and of a page
LEAST_POINTS = 6.0  # of a letter in print
MM_PER_INCH = 25.4
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "----", "++++", "oooo")
_SALT = "neurosparse"  # the same data give the same file; and the mark by which our look is known
_HEIGHTS_MM = {"single": 70.0, "double": 105.0}
_FEW = 60.0  # the longest part of a log axis with numbers between the powers of ten
_CONTRAST = 4.5  # of a text with its ground, as WCAG 2 asks for

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
    "legend.handlelength": 3.6,  # long enough for a dash to be seen as one
    "lines.linewidth": 1.8,
    "pdf.fonttype": 42,  # letters stay letters, as journals ask
    "savefig.dpi": 160,
    "svg.fonttype": "none",
    "svg.hashsalt": _SALT,
    "text.usetex": False,  # names are anyone's, and no TeX
}
_PRINT: dict[Foreign, Foreign] = {
    "axes.linewidth": 0.6,
    "axes.titlesize": 8,
    "axes.labelsize": 7,
    "axes.labelpad": 2.5,
    "font.size": 7,
    "legend.fontsize": 6.5,
    "lines.linewidth": 1.25,
    "lines.markersize": 4,
    "savefig.dpi": 600,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
}


@contextmanager
def style(width: Width | None = None) -> Iterator[None]:
    """Draw in the package's look.

    Parameters
    ----------
    width
        "single" for figures of 89 mm, one column of a journal; "double" for 183 mm, its page. All
        letters are then at least 6 points high, without scaling. None is for screens.

    Raises
    ------
    ValueError
        Where the width is another.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> with style(width="single"):
    ...     figure = plt.figure()
    >>> float(round(25.4 * figure.get_figwidth(), 1))
    89.0
    >>> plt.close(figure)
    """
    import matplotlib as mpl

    with mpl.rc_context(_STYLE | _sized(width)):
        yield


def _sized(width: str | None) -> dict[Foreign, Foreign]:
    if width is None:
        return {}
    if not isinstance(width, str) or width not in WIDTHS_MM:
        raise ValueError(
            f"width must be 'single' (89 mm) or 'double' (183 mm), got {width!r}"
            + did_you_mean(str(width), WIDTHS_MM)
        )
    size = (WIDTHS_MM[width] / MM_PER_INCH, _HEIGHTS_MM[width] / MM_PER_INCH)
    return _PRINT | {"figure.figsize": size}


def is_on() -> bool:
    """Return whether figures have the package's look just now."""
    import matplotlib as mpl

    return bool(mpl.rcParams["svg.hashsalt"] == _SALT)


def drawn(plot: Callable[P, Axes]) -> Callable[P, Axes]:
    """Decorate a plot: without axes it makes its own, in the package's look as it stands.

    Its words fit the axes once all is drawn. Where what is to be drawn is refused, no figure is
    left open.
    """
    signature = inspect.signature(plot)

    def fitted(*args: P.args, **kwargs: P.kwargs) -> Axes:
        ax = plot(*args, **kwargs)
        fit_words(ax)
        return ax

    @functools.wraps(plot)
    def draw(*args: P.args, **kwargs: P.kwargs) -> Axes:
        if signature.bind(*args, **kwargs).arguments.get("ax") is not None:
            return fitted(*args, **kwargs)
        import matplotlib.pyplot as plt

        before = plt.get_fignums()
        with nullcontext() if is_on() else style():
            try:
                return fitted(*args, **kwargs)
            except BaseException:
                for number in set(plt.get_fignums()) - set(before):
                    plt.close(number)
                raise

    return draw


def axes(ax: Axes | None) -> Axes:
    """Return the given axes, or new ones."""
    if ax is not None:
        check_axes(ax)
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots()[1]


def check_axes(ax: object) -> None:
    """Refuse what are no axes with a TypeError."""
    from matplotlib.axes import Axes

    checks.instance("ax", ax, Axes, "matplotlib.pyplot.subplots() makes them")


def scaled(points: float) -> float:
    """Return a size, made for letters of 10 points, for those of the figure."""
    import matplotlib as mpl

    return points * float(mpl.rcParams["font.size"]) / 10


def small() -> float:
    """Return the size of notes and labels in points, which can be read in print."""
    import matplotlib as mpl
    from matplotlib.font_manager import FontProperties

    size = FontProperties(size=mpl.rcParams["legend.fontsize"]).get_size_in_points()
    return max(LEAST_POINTS, float(size))


def colours(comparison: Comparison) -> dict[str, str]:
    """Return the colour that each circuit and network has in all figures of a comparison."""
    checks.instance("comparison", comparison, Comparison, "neurosparse.compare returns one")
    names = (s.name for s in (*comparison.circuits, *comparison.networks))
    return {name: _MORE[k % len(_MORE)] for k, name in enumerate(names)}


def coloured(
    names: Iterable[str], known: Mapping[str, str] | None, palette: tuple[str, ...] = _MORE
) -> list[str]:
    """Return a colour for each name: the known one, or that of its place in the palette."""
    checks.instance("names", names, Iterable)
    checks.instance("known", known, (Mapping, type(None)))
    return [(known or {}).get(name, palette[k % len(palette)]) for k, name in enumerate(names)]


def dashed(found: Sequence[str]) -> list[Foreign]:
    """Return the dash that goes with each colour; a colour that comes again gets another."""
    checks.instance("found", found, Sequence)
    return [DASHES[k] for k in _places(found)]


def marked(found: Sequence[str]) -> list[str]:
    """Return the marker that goes with each colour; a colour that comes again gets another."""
    checks.instance("found", found, Sequence)
    return [MARKERS[k] for k in _places(found)]


def hatched(found: Sequence[str]) -> list[str]:
    """Return the hatch that goes with each colour; a colour that comes again gets another."""
    return [HATCHES[k] for k in _places(found)]


def _places(found: Sequence[str]) -> list[int]:
    seen: Counter[str] = Counter()
    places = []
    for k, colour in enumerate(found):
        palette = COLOURS if colour in COLOURS else PARTS
        first = palette.index(colour) if colour in palette else k
        places.append((first + seen[colour]) % len(DASHES))
        seen[colour] += 1
    return places


def ink(colour: str) -> str:
    """Return a colour darkened until a text in it can be read on white.

    Examples
    --------
    >>> ink("#0072B2"), ink("#F0E442") == "#f0e442"
    ('#0072b2', False)
    """
    from matplotlib.colors import to_hex, to_rgb

    rgb = to_rgb(colour)
    share = 1.0
    while _contrast([share * channel for channel in rgb]) < _CONTRAST:
        share -= 0.01
    red, green, blue = (share * channel for channel in rgb)
    return to_hex((red, green, blue))


def _contrast(rgb: Sequence[float]) -> float:
    """Return the contrast with white by WCAG 2.2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    luminance = sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return 1.05 / (luminance + 0.05)


def plain(value: float, _: float) -> str:
    """Return the label of a tick without powers of ten."""
    return f"{value:,g}"


def plainly(axis: Axis) -> None:
    """Label the ticks of a log axis without powers of ten, also those of a part of a decade."""
    axis.set_major_formatter(plain)
    axis.set_minor_formatter(functools.partial(_sparse, axis))
    axis.set_tick_params(which="minor", labelsize=small())


def _sparse(axis: Axis, value: float, _: float) -> str:
    """Label twos and fives alone between the powers of ten: others run into each other.

    Over many decades the powers suffice.
    """
    low, high = sorted(axis.get_view_interval())
    digits = "25" if high < _FEW * low else ""
    return plain(value, _) if f"{value:e}"[0] in digits else ""
