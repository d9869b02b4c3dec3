"""Inputs of plots: what `measure`, `compare`, `watch` and `verify` return, each by one name.

The key of a dict is the name. Where a key holds several, such as the layers of a network, the
layer's name follows it. What stands in no dict keeps the name it has. Names never repeat.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, ValuesView
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING

from neurosparse._internal import checks
from neurosparse._internal.types import FieldsView, Foreign
from neurosparse.activity import ActivityStats
from neurosparse.comparison import Comparison, compare

if TYPE_CHECKING:
    from neurosparse.convert.report import ConversionReport
    from neurosparse.probe.history import Row

Stats = ActivityStats | Comparison | Iterable[ActivityStats] | FieldsView

_WATCHED = "neurosparse.watch and neurosparse.sparsify return one"
SEVERAL = (list, tuple, ValuesView, Iterator)


@dataclass(frozen=True, slots=True)
class Entry:
    """Statistics that carry the name by which figures show them.

    Attributes
    ----------
    network
        The network that the layer is of; empty where it has no name.
    layer
        The name within the network.
    """

    stats: ActivityStats
    network: str
    layer: str


def entries(what: Stats) -> list[Entry]:
    """Return what `measure` or `compare` returned, or several of them, each by a name of its own.

    Raises
    ------
    TypeError, ValueError
        Where it is something else, or two have one name.
    """
    found = list(_entries(what))
    refuse_repeats([entry.stats.name for entry in found])
    return found


def statistics(what: Stats) -> list[ActivityStats]:
    """Return the statistics in what `measure` or `compare` returned, by their names in figures."""
    return [entry.stats for entry in entries(what)]


def circuits(what: Stats, plot: str) -> list[ActivityStats]:
    """Return the statistics of spikes, or refuse what has none."""
    found = [s for s in statistics(what) if s.unit_rates_hz is not None]
    if not found:
        raise ValueError(f"{plot} draws firing rates, and nothing here has spikes")
    return found


def networks(what: Stats, plot: str) -> tuple[list[Entry], list[str]]:
    """Return the statistics of activations, and the names of those that no input reached.

    Refuse what has none.
    """
    found = [entry for entry in entries(what) if entry.stats.curve is None]
    if not found:
        raise ValueError(f"{plot} draws the units of networks, and all here are spikes")
    reached = [entry for entry in found if _is_reached(entry.stats)]
    if not reached:
        raise ValueError(
            f"{plot} has nothing to draw: no input reached {found[0].stats.name!r}; measure with"
            " inputs that do"
        )
    return reached, [entry.stats.name for entry in found if not _is_reached(entry.stats)]


def comparison(what: Stats) -> tuple[Comparison, list[str]]:
    """Return a comparison as it is, and compare whatever else was measured.

    Definitions may differ: a figure names each. The names of those that no input reached follow,
    which are left out.
    """
    found = statistics(what)
    reached = [s for s in found if _is_reached(s)]
    missing = [s.name for s in found if not _is_reached(s)]
    if found and not reached:
        raise ValueError(
            f"there is nothing to draw: no input reached {missing[0]!r}; measure with inputs that"
            " do"
        )
    if isinstance(what, Comparison):
        return (replace(what, stats=tuple(reached)) if missing else what), missing
    return compare(*reached, mixed_definitions=True), missing


def reports(what: object, plot: str) -> dict[str, ConversionReport]:
    """Return what `convert.verify` returned, one or several, by name.

    Keys that are numbers, such as strengths of a penalty, are no names.
    """
    remedy = "neurosparse.convert.verify returns one"
    if isinstance(what, Mapping):
        pairs = [(key if isinstance(key, str) else None, each) for key, each in what.items()]
    else:
        pairs = [(None, each) for each in (what if isinstance(what, SEVERAL) else [what])]
    if not pairs:
        raise ValueError(f"{plot} has nothing to draw: pass a report; {remedy}")
    for _, report in pairs:
        if not hasattr(report, "source_accuracy"):
            raise checks.wrong_kind("each of reports", "a ConversionReport", report, remedy)
    names = [report.name if name is None else name for name, report in pairs]
    refuse_repeats(names)
    return dict(zip(names, (report for _, report in pairs), strict=True))


def runs(what: object) -> dict[str, list[Row]]:
    """Return the rows of what `watch` or `sparsify` returned, one or several, by name.

    One alone has no name. Frames of rows are read too.
    """
    if isinstance(what, Mapping):
        found = {str(name): _rows(f"history[{name!r}]", each) for name, each in what.items()}
    elif isinstance(what, SEVERAL) and not isinstance(what, Iterator) and _are_runs(list(what)):
        found = {f"run {k}": _rows(f"history[{k - 1}]", each) for k, each in enumerate(what, 1)}
    else:
        found = {"": _rows("history", what)}
    if not found:
        raise ValueError(f"history is empty: {_WATCHED}")
    return found


def is_run(what: object) -> bool:
    """Return whether an object is a training that was watched, or its rows or frame."""
    return hasattr(what, "history") or _is_frame(what) or isinstance(what, list | tuple)


def _are_runs(found: Sequence[object]) -> bool:
    return bool(found) and all(is_run(each) for each in found)


def _is_frame(what: object) -> bool:
    return hasattr(what, "columns") and hasattr(what, "to_dict")


def _rows(name: str, what: Foreign) -> list[Row]:
    rows: Foreign = getattr(what, "history", what)
    rows = rows.to_dict("records") if _is_frame(rows) else rows
    if not isinstance(rows, SEVERAL):
        raise checks.wrong_kind(name, "a training that was watched, or its rows", what, _WATCHED)
    return [_row(f"{name}[{k}]", row) for k, row in enumerate(rows)]


def _row(name: str, row: object) -> Row:
    if not isinstance(row, Mapping):
        raise checks.wrong_kind(name, "a row, such as {'step': 0, 'active/0': 0.5}", row, _WATCHED)
    if "step" not in row:
        raise ValueError(f"{name} has no 'step': each row of a training says after how many")
    for key, value in row.items():
        if not isinstance(value, Real):
            raise checks.wrong_kind(f"{name}[{key!r}]", "a number", value, "leave it out")
    return dict(row)


def refuse_repeats(names: Sequence[str]) -> None:
    """Refuse names of which one comes again with a ValueError."""
    if repeated := [name for k, name in enumerate(names) if name in names[:k]]:
        raise ValueError(
            f"names must differ, got {repeated[0]!r} twice: pass a dict, such as"
            " {'first': ..., 'second': ...}"
        )


def not_reached(names: Sequence[str]) -> list[str]:
    """Return what a figure says of layers that it leaves out; nothing where it leaves out none."""
    if not names:
        return []
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [f"no input reached {', '.join(names[:3])}{more}"]


def _entries(what: object) -> Iterator[Entry]:
    if isinstance(what, ActivityStats):
        yield Entry(what, "", what.name)
    elif isinstance(what, Comparison):
        yield from (Entry(s, "", s.name) for s in what.stats)
    elif isinstance(what, Mapping) and (network := _measured(what)) is not None:
        yield from (Entry(s, network, str(layer)) for layer, s in what.items())
    elif isinstance(what, Mapping):
        for key, each in what.items():
            yield from _under(str(key), each)
    elif isinstance(what, SEVERAL):
        for each in what:
            yield from _entries(each)
    else:
        raise TypeError(
            "plots take what neurosparse.measure or neurosparse.compare returned, got"
            f" {checks.kind_of(what)}: measure it first"
        )


def _under(key: str, each: object) -> Iterator[Entry]:
    """Name what stands under a key of a dict."""
    if isinstance(each, ActivityStats):
        yield Entry(_named(each, key), "", key)
        return
    found = list(_entries(each))
    apart = len({entry.network for entry in found}) > 1
    for entry in found:
        network = f"{key} {entry.network}".strip() if apart else key
        name = network if len(found) == 1 else f"{network} {entry.layer}"
        yield Entry(_named(entry.stats, name), network, entry.layer)


def _measured(layers: FieldsView) -> str | None:
    """Return the name that `measure` was given for a network, empty without one.

    None where these are no layers of one network.
    """
    names = set()
    for layer, s in layers.items():
        if not isinstance(s, ActivityStats) or s.curve is not None:
            return None
        if s.name != layer and not s.name.endswith(f" {layer}"):
            return None
        names.add(s.name.removesuffix(str(layer)).rstrip())
    return names.pop() if len(names) == 1 else None


def _named(stats: ActivityStats, name: str) -> ActivityStats:
    return stats if stats.name == name else replace(stats, name=name)


def _is_reached(stats: ActivityStats) -> bool:
    return not math.isnan(stats.active_fraction)
