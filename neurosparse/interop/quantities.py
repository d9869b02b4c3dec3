"""Arrays with a unit of time (Brian2, quantities, pint, astropy): the spikes of one unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurosparse._internal import checks, units
from neurosparse.recordings.columns import Told
from neurosparse.recordings.recording import UnitTable

TYPES = (
    "brian2.Quantity", "brian2.VariableView", "quantities.Quantity", "pint.Quantity",
    "astropy.Quantity", "unyt.unyt_array",
)  # fmt: skip


def tables(what: object, told: Told) -> Sequence[UnitTable]:
    """Return one unit with the times of the array; a list of such arrays is one unit each."""
    times = checks.finite_array("times", units.plain("times_s", what))
    if times.ndim != 1:
        raise ValueError(f"times of a unit must be 1-D, got shape {times.shape}")
    return [
        UnitTable(
            format="array with a unit",
            n_units=1,
            times_s=times,
            units=np.zeros(times.size, dtype=np.int64),
        )
    ]
