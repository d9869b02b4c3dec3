"""The row of a look, for loggers and `plots.training`."""

from __future__ import annotations

from collections.abc import Mapping

from neurosparse.probe.history import Row


def row(
    step: int,
    active: Mapping[str, float],
    dead: Mapping[str, float],
    l1: Mapping[str, float],
    wanted: Mapping[str, float],
    units: Mapping[str, int],
) -> Row:
    """Return the row of a look, a flat dict.

    Parameters
    ----------
    step
        Steps so far.
    active
        The active share of each layer that put anything out.
    dead, l1, wanted, units
        Of each layer: the share of dead units, the weight of its penalty, the share wanted by then,
        and how many units there are. What is not there is left out.
    """
    found: Row = {"step": step}
    if active:
        n_units = sum(units[name] for name in active)
        found["active"] = sum(part * units[name] for name, part in active.items()) / n_units
    for name, part in active.items():
        found[f"active/{name}"], found[f"dead/{name}"] = part, dead[name]
        for quantity, values in (("l1", l1), ("target", wanted)):
            if name in values:
                found[f"{quantity}/{name}"] = values[name]
    return found
