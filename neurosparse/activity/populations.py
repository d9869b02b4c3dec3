"""Names of groups of units, each a range of units that follow one another."""

from __future__ import annotations

from collections.abc import Mapping

from neurosparse._internal import checks
from neurosparse._internal.names import clean

WHOLE = "all"  # how all units together are called, where they stand beside populations


def checked_populations(
    populations: Mapping[str, tuple[int, int]], n_units: int
) -> dict[str, tuple[int, int]]:
    """Return populations under names that can be shown; refuse those that cannot be.

    Parameters
    ----------
    populations
        Name -> (first unit, one past the last).
    n_units
        The units that there are.

    Raises
    ------
    ValueError
        Where a name is that of all units together, or a range is empty or not one of the units.
    """
    if WHOLE in populations:
        raise ValueError(
            f"no population may be called {WHOLE!r}, the name of all units together in every"
            " table: give it another name"
        )
    found: dict[str, tuple[int, int]] = {}
    for name, bounds in populations.items():
        try:
            first, stop = (checks.whole(f"population {name!r}", bound, least=0) for bound in bounds)
        except (TypeError, ValueError):
            raise ValueError(
                f"population {name!r} must be (first unit, one past the last), whole numbers,"
                f" got {bounds!r}"
            ) from None
        if not first < stop <= n_units:
            raise ValueError(
                f"population {name!r} must lie in [0, n_units={n_units}], got {first} to {stop}"
            )
        label, k = clean(name), 1
        while label in {*found, WHOLE}:  # two names that differ in what cannot be shown
            label, k = f"{clean(name)} ({k + 1})", k + 1
        found[label] = (first, stop)
    return found
