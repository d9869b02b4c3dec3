"""The course of a training: one quantity of networks and their layers over epochs or steps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Protocol

import numpy as np

from neurosparse._internal import checks
from neurosparse._internal.names import for_figure
from neurosparse._internal.types import Fields, Foreign
from neurosparse.plots.fitting import End
from neurosparse.plots.inputs import is_run, not_reached, runs
from neurosparse.plots.labels import label_ends, notes_below, say
from neurosparse.plots.look import axes, coloured, dashed, drawn, marked, scaled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from neurosparse.probe.history import History

# the axis of a quantity of a training, and what it is multiplied by
WATCHED = {
    "active": ("active units (%)", 100.0),
    "zeros": ("exact zeros (%)", 100.0),
    "dead": ("dead units (%)", 100.0),
    "target": ("wanted share of active units (%)", 100.0),
    "effective_units": ("effective units", 1.0),
    "l1": ("weight of the L1 penalty", 1.0),
}
_FEW_POINTS = 30  # of a line, up to which each has a marker

Course = Mapping[int, float]


class Watched(Protocol):
    """Anything with rows of a training: `ns.watch(...)` and `ns.sparsify(...)`."""

    @property
    def history(self) -> History: ...


Training = Watched | Sequence[Mapping[str, float]] | Foreign  # or the frame of its rows


@drawn
def by_epoch(
    courses: Mapping[str, Course] | Training | Mapping[str, Training],
    label: str = "active",
    ax: Axes | None = None,
    *,
    colours: Mapping[str, str] | None = None,
) -> Axes:
    """Draw how one quantity of several networks or layers changes with training.

    Parameters
    ----------
    courses
        courses[name][epoch]; or what `ns.watch` or `ns.sparsify` returned, for `training`.
    label
        What stands at the y axis; for a training that was watched, its quantity.
    ax
        The axes to draw on; new ones by default.
    colours
        A colour for each name, such as `colours(comparison)`.

    Examples
    --------
    >>> by_epoch({"net": {1: 5.2, 2: 4.9}}, "error (%)").get_xlabel()
    'epoch'
    """
    if not isinstance(courses, Mapping) or any(is_run(each) for each in courses.values()):
        return training(courses, label, ax)
    _check(courses)
    ax = axes(ax)
    shades = coloured(courses, colours)
    # layers of one network share its colour: dashes then go by their place
    apart = shades if len({*shades}) == len(shades) else coloured(courses, None)
    ends = []
    for (name, course), colour, dash, marker in zip(
        courses.items(), shades, dashed(apart), marked(apart), strict=True
    ):
        look: Fields = {"color": colour, "ls": dash}
        look |= {"marker": marker, "ms": scaled(4)} if len(course) <= _FEW_POINTS else {}
        ax.plot(list(course), list(course.values()), label=for_figure(name), **look)
        if course:
            last = max(course)
            ends.append(End(for_figure(name), last, course[last], colour))
    say(ax, xlabel="epoch", ylabel=label)
    ax.locator_params(axis="x", integer=True)
    label_ends(ax, ends if len(ends) > 1 else [])
    if len(ends) == 1:
        say(ax, title=for_figure(next(iter(courses))))
    return ax


@drawn
def training(
    history: Training | Mapping[str, Training] | Sequence[Training],
    quantity: str = "active",
    ax: Axes | None = None,
    *,
    target: float | None = None,
) -> Axes:
    """Draw one quantity of each layer over the steps of a training that was watched or steered.

    Several trainings have a colour each.

    Parameters
    ----------
    history
        What `ns.watch(...)` or `ns.sparsify(...)` returned, its `history`, or the frame of it. Or
        several of them by name, such as {"dense": ns.watch(...), "sparse": ns.sparsify(...)}.
    quantity
        What stands before the layer in its rows: "active", "zeros", "dead", "effective_units",
        "l1", "target". Shares are drawn in per cent.
    ax
        The axes to draw on; new ones by default.
    target
        A share to be marked by a line.

    Examples
    --------
    >>> rows = [{"step": 0, "active/0": 0.5}, {"step": 100, "active/0": 0.04}]
    >>> training(rows, target=0.04).get_ylabel()
    'active units (%)'
    """
    from neurosparse.probe.history import History

    found = runs(history)
    target = None if target is None else checks.number("target", target)
    label, scale = WATCHED.get(quantity, (quantity, 1.0))
    courses: dict[str, dict[str, dict[int, float]]] = {}
    missing = []
    for run, rows in found.items():
        of_run = courses.setdefault(run, {})
        of_layers = History(rows).course(quantity)
        for layer, values in of_layers.items():
            name = (run if len(of_layers) == 1 and run else f"{run} {layer}").strip()
            known = {step: scale * v for step, v in values.items() if not math.isnan(v)}
            if known:
                of_run[name] = known
            else:
                missing.append(name)
    if not any(courses.values()):
        raise ValueError(
            f"there is nothing to draw: {quantity!r} of {missing[0]!r} is NaN in each row"
        )
    ax = axes(ax)
    flat = {name: course for of_run in courses.values() for name, course in of_run.items()}
    shades = coloured(courses, None)
    colour_of = {
        name: colour for of, colour in zip(courses.values(), shades, strict=True) for name in of
    }
    by_epoch(flat, label, ax, colours=colour_of if len(courses) > 1 else None)
    if target is not None:
        ax.axhline(scale * target, color="0.5", lw=scaled(1), ls=":", zorder=0)
    ends = {run: _from_to(of.values(), label) for run, of in courses.items() if of}
    each = "; ".join(f"{for_figure(run)} {words}" if run else words for run, words in ends.items())
    say(ax, title=f"{label.removesuffix(' (%)').capitalize()}: {each}", xlabel="step")
    if missing:
        notes_below(ax, [f"Not drawn: {words}." for words in not_reached(missing)])
    return ax


def _from_to(courses: Iterable[Course], label: str) -> str:
    """Return the mean over layers at the first and at the last step that all of them have."""
    found = list(courses)
    steps = set.intersection(*(set(course) for course in found))
    of = f", mean of {len(found)} layers" if len(found) > 1 else ""
    if not steps:
        return f"{len(found)} layers, seen at different steps"
    ends = dict.fromkeys((min(steps), max(steps)))
    means = [float(np.mean([course[step] for course in found])) for step in ends]
    unit = " %" if label.endswith("(%)") else ""
    return " to ".join(f"{mean:.3g}" for mean in means) + unit + of


def _check(courses: Mapping[str, object]) -> None:
    example = "such as {'net': {1: 5.2, 2: 4.9}}"
    if not courses:
        raise ValueError(f"courses is empty: pass values by name and epoch, {example}")
    for name, course in courses.items():
        checks.instance(f"courses[{name!r}]", course, Mapping, f"a course is a dict, {example}")
        for epoch, value in course.items():  # type: ignore[attr-defined]
            if not isinstance(epoch, Real):
                raise checks.wrong_kind(f"each epoch of courses[{name!r}]", "a number", epoch)
            if not isinstance(value, Real):
                raise checks.wrong_kind(f"courses[{name!r}][{epoch!r}]", "a number", value)
