"""Layout of the output of each function of torch, from the axes of its inputs.

A function without a rule of its own is taken element by element where shapes allow it. Otherwise an
output with as many axes as its input keeps what they hold, as pooling and padding do.
"""

from neurosparse.probe.layout.calls import JOINS, WEIGHTS, Call
from neurosparse.probe.layout.places import places_of_output
from neurosparse.probe.layout.rules import KEEP_ELEMENTS, axes_of_output

__all__ = ["JOINS", "KEEP_ELEMENTS", "WEIGHTS", "Call", "axes_of_output", "places_of_output"]
