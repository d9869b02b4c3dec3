"""Data -> matplotlib axes. Every function takes `ax=None`, draws one thing and returns the axes.

Figures take what `measure`, `compare` and `watch` return. `style(width="single")` draws them for a
column of a journal, `save("figure.pdf", ...)` writes them as PDF, SVG or PNG.

Colours are of two palettes that the colour-blind can tell apart. Okabe and Ito's is for what is
compared, so that a circuit or network has one colour in all figures (`colours` gives it by name).
Tol's "muted" is for what has a figure of its own, such as the populations of a raster. Each colour
has a dash and a marker of its own, for those who see no colour.
"""

from neurosparse.plots.brains import brains
from neurosparse.plots.courses import by_epoch, training
from neurosparse.plots.firing import fi_curve, raster, rate_histogram
from neurosparse.plots.fitting import End
from neurosparse.plots.fractions import activation_histogram, activity_curves, layers
from neurosparse.plots.labels import label_ends, legend_below, say
from neurosparse.plots.look import (
    BAND_COLOUR,
    COLOURS,
    DASHES,
    MARKERS,
    PARTS,
    coloured,
    colours,
    dashed,
    marked,
    style,
)
from neurosparse.plots.networks import (
    activation_functions,
    conversion,
    l1_to_spikes,
)
from neurosparse.plots.populations import rates_by_population, windows_by_population
from neurosparse.plots.writing import save

__all__ = [
    "BAND_COLOUR",
    "COLOURS",
    "DASHES",
    "MARKERS",
    "PARTS",
    "End",
    "activation_functions",
    "activation_histogram",
    "activity_curves",
    "brains",
    "by_epoch",
    "coloured",
    "colours",
    "conversion",
    "dashed",
    "fi_curve",
    "l1_to_spikes",
    "label_ends",
    "layers",
    "legend_below",
    "marked",
    "raster",
    "rate_histogram",
    "rates_by_population",
    "save",
    "say",
    "style",
    "training",
    "windows_by_population",
]
