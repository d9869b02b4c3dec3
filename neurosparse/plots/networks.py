"""Networks: their units, their training, and what becomes of them as spiking ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from neurosparse._internal import checks
from neurosparse._internal.names import for_figure
from neurosparse._internal.types import Fields, Foreign
from neurosparse.plots.fitting import End
from neurosparse.plots.labels import label_ends, say
from neurosparse.plots.look import (
    COLOURS,
    PARTS,
    axes,
    coloured,
    dashed,
    drawn,
    marked,
    plain,
    scaled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from neurosparse.convert.report import ConversionReport
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


_REPORTED = "neurosparse.convert.verify returns one"
_WATCHED = "neurosparse.watch and neurosparse.sparsify keep one"


class Watched(Protocol):
    """Anything with rows of a training: `ns.watch(...)` and `ns.sparsify(...)`."""

    @property
    def history(self) -> History: ...


@drawn
def activation_functions(ax: Axes | None = None) -> Axes:
    """Draw sigmoid, tanh, softplus and rectifier (figure 1 of the paper).

    They are the units of networks with which the LIF cell is compared.
    """
    ax = axes(ax)
    x = np.linspace(-3, 3, 601)
    curves = {
        "rectifier max(0, x)": np.maximum(x, 0),
        "softplus ln(1 + exp x)": np.logaddexp(0, x),
        "sigmoid": 1 / (1 + np.exp(-x)),
        "tanh": np.tanh(x),
    }
    shades = PARTS[: len(curves)]
    ends = []
    for (name, y), colour, dash in zip(curves.items(), shades, dashed(shades), strict=True):
        ax.plot(x, y, color=colour, ls=dash, label=name)
        ends.append(End(name, x[-1], float(y[-1]), colour))
    ax.axhline(0, color="0.8", lw=0.8, zorder=0)
    ax.axvline(0, color="0.8", lw=0.8, zorder=0)
    ax.set(ylim=(-1.15, 3.15))
    say(
        ax,
        title="Of the units of networks the rectifier alone is exactly 0",
        xlabel="input x",
        ylabel="activation",
    )
    label_ends(ax, ends)
    return ax


@drawn
def by_epoch(
    courses: Mapping[str, Mapping[int, float]] | Watched | Sequence[Mapping[str, float]],
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
    if not isinstance(courses, Mapping):
        return training(courses, label, ax)
    for name, course in courses.items():
        checks.instance(f"courses[{name!r}]", course, Mapping, "a course is {epoch: value}")
    ax = axes(ax)
    shades = coloured(courses, colours)
    # layers of one network share its colour: the first has the same dash in every network
    apart = coloured(courses, None) if len(shades) > 1 and len({*shades}) == 1 else shades
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
def conversion(
    reports: ConversionReport | Sequence[ConversionReport] | Mapping[object, ConversionReport],
    ax: Axes | None = None,
) -> Axes:
    """Draw what spiking networks lose compared with their sources over time steps.

    That is accuracy where there are labels, or else agreement.

    Parameters
    ----------
    reports
        What `convert.verify` returned, one or several.
    ax
        The axes to draw on; new ones by default.
    """
    found, ax = _reports(reports), axes(ax)
    labelled = all(report.source_accuracy is not None for report in found)
    shades = coloured([report.name for report in found], None)
    ends = []
    for report, colour, dash, marker in zip(
        found, shades, dashed(shades), marked(shades), strict=True
    ):
        lost = _lost(report, labelled)
        spikes = f"{report.spikes:,.0f} spikes in {report.steps} steps"
        label = f"{for_figure(report.name)}: {spikes}, {_reached(report)}"
        steps = [at.steps for at in report.curve]
        look: Fields = {"color": colour, "ls": dash, "marker": marker, "ms": scaled(4)}
        ax.plot(steps, lost, label=label, **look)
        ends.append(End(f"{for_figure(report.name)}: {spikes}", steps[-1], lost[-1], colour))
    ax.axhspan(-0.5, 0.5, color="0.9", lw=0, zorder=0)
    ax.axhline(0, color="0.7", lw=0.8, zorder=0)
    ax.set_yscale("symlog", linthresh=1)
    ax.set_xscale("log", base=2)
    what = "accuracy lost (points)" if labelled else "inputs of another class than the source's (%)"
    reached = [report for report in found if report.fewest_steps is not None]
    title = (
        f"{for_figure(found[0].name)}: {_reached(found[0])}"
        if len(found) == 1
        else f"{len(reached)} of {len(found)} networks come within 0.5 points"
    )
    say(ax, title=title, xlabel="time steps", ylabel=what)
    ax.xaxis.set_major_formatter(plain)
    ax.yaxis.set_major_formatter(plain)
    label_ends(ax, ends)
    return ax


def _lost(report: ConversionReport, labelled: bool) -> list[float]:
    """Return what is lost after each number of steps, in points or per cent."""
    source = report.source_accuracy or 0.0
    return [
        100 * (source - (at.accuracy or 0.0) if labelled else 1 - at.agreement)
        for at in report.curve
    ]


def _reached(report: ConversionReport) -> str:
    if report.fewest_steps is None:
        return "not within 0.5 points"
    return f"within 0.5 points from {report.fewest_steps} steps"


@drawn
def l1_to_spikes(reports: Mapping[float, ConversionReport], ax: Axes | None = None) -> Axes:
    """Draw the spikes of an inference over the share of active units.

    A point is a strength of the L1 penalty, with its errors.

    Parameters
    ----------
    reports
        A report by strength, as `convert.l1.l1_to_spikes` returns them.
    ax
        The axes to draw on; new ones by default.
    """
    checks.instance("reports", reports, Mapping, "convert.l1.l1_to_spikes returns one")
    _reports(reports)
    ax = axes(ax)
    active = [100 * report.source.active_fraction for report in reports.values()]
    spikes = [report.spikes for report in reports.values()]
    ax.plot(active, spikes, "o", color=COLOURS[0], ms=scaled(6))
    ends = []
    for x, y, (l1, report) in zip(active, spikes, reports.items(), strict=True):
        errors = [
            100 * (1 - (share or 0.0))
            for share in (report.source_accuracy, report.curve[-1].accuracy)
        ]
        text = f"L1 {l1:g}: {errors[0]:.1f} % wrong, spiking {errors[1]:.1f} %"
        ends.append(End(text, x, y, COLOURS[0]))
    first = next(iter(reports.values()))
    ax.set(xlim=(0, 1.1 * max(active)), ylim=(0, 1.08 * max(spikes)))
    least, most = int(np.argmin(active)), int(np.argmax(active))
    say(
        ax,
        title=f"{active[most]:.3g} to {active[least]:.3g} % of the units active:"
        f" {spikes[most]:,.0f} to {spikes[least]:,.0f} spikes an input",
        xlabel="units active for an input (%)",
        ylabel=f"spikes in {first.steps} steps, {first.n_units:,} neurons",
    )
    label_ends(ax, ends)
    return ax


@drawn
def training(
    history: Watched | Sequence[Mapping[str, float]],
    quantity: str = "active",
    ax: Axes | None = None,
    *,
    target: float | None = None,
) -> Axes:
    """Draw one quantity of each layer over the steps of a training that was watched or steered.

    Parameters
    ----------
    history
        What `ns.watch(...)` or `ns.sparsify(...)` returned, or its `history`.
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

    rows: Foreign = getattr(history, "history", history)
    for row in checks.instances("history", rows, object, _WATCHED):
        checks.instance("each row of history", row, Mapping, _WATCHED)
    ax = axes(ax)
    label, scale = WATCHED.get(quantity, (quantity, 1.0))
    course = {
        layer: {step: scale * value for step, value in values.items()}
        for layer, values in History(map(dict, rows)).course(quantity).items()
    }
    by_epoch(course, label, ax)
    if target is not None:
        ax.axhline(scale * target, color="0.5", lw=scaled(1), ls=":", zorder=0)
    say(ax, title=_from_to(course, label), xlabel="step")
    return ax


def _from_to(course: Mapping[str, Mapping[int, float]], label: str) -> str:
    """Return the mean over layers at the first and at the last step."""
    first, last = (float(np.mean([of[end(of)] for of in course.values()])) for end in (min, max))
    unit = " %" if label.endswith("(%)") else ""
    of = f", mean of {len(course)} layers" if len(course) > 1 else ""
    return f"{label.removesuffix(' (%)').capitalize()}: {first:.3g} to {last:.3g}{unit}{of}"


def _reports(reports: object) -> list[ConversionReport]:
    if isinstance(reports, Mapping):
        reports = list(reports.values())
    found: Foreign = reports if isinstance(reports, Sequence) else [reports]
    for report in checks.instances("reports", found, object, _REPORTED):
        if not hasattr(report, "source_accuracy"):
            raise checks.wrong_kind("each of reports", "a ConversionReport", report, _REPORTED)
    return list(found)
