"""Data -> matplotlib axes. Every function takes `ax=None`, draws one thing and returns the axes.

Colours are of two palettes that the colour-blind can tell apart: Okabe and Ito's for what is
compared, so that a circuit or network has one colour in all figures (`colours` gives it by name),
and Tol's "muted" for what has a figure of its own, such as the populations of a raster. What is
compared also differs in dash or marker.
"""

from neurosparse.plots.brains import brains
from neurosparse.plots.firing import fi_curve, raster, rate_histogram, rates_by_population
from neurosparse.plots.fractions import (
    activation_histogram,
    activity_curves,
    layers,
    windows_by_population,
)
from neurosparse.plots.look import (
    BAND_COLOUR,
    COLOURS,
    DASHES,
    PARTS,
    coloured,
    colours,
    save,
    style,
)
from neurosparse.plots.networks import (
    activation_functions,
    by_epoch,
    conversion,
    l1_to_spikes,
    training,
)

__all__ = [
    "BAND_COLOUR",
    "COLOURS",
    "DASHES",
    "PARTS",
    "activation_functions",
    "activation_histogram",
    "activity_curves",
    "brains",
    "by_epoch",
    "coloured",
    "colours",
    "conversion",
    "fi_curve",
    "l1_to_spikes",
    "layers",
    "raster",
    "rate_histogram",
    "rates_by_population",
    "save",
    "style",
    "training",
    "windows_by_population",
]
