"""Networks: their units, their training, and what becomes of them as spiking ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from neurosparse._internal.names import for_figure
from neurosparse._internal.types import Fields
from neurosparse.plots.look import COLOURS, DASHES, PARTS, axes, coloured, legend_below, plain

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


def activation_functions(ax: Axes | None = None) -> Axes:
    """Sigmoid, tanh, softplus and rectifier: the units of networks beside which the LIF cell is set
    (figure 1 of the paper).
    """
    ax = axes(ax)
    x = np.linspace(-3, 3, 601)
    curves = {
        "rectifier max(0, x)": np.maximum(x, 0),
        "softplus ln(1 + exp x)": np.logaddexp(0, x),
        "sigmoid": 1 / (1 + np.exp(-x)),
        "tanh": np.tanh(x),
    }
    for k, (name, y) in enumerate(curves.items()):
        ax.plot(x, y, color=PARTS[k], ls=DASHES[k], label=for_figure(name))
    ax.axhline(0, color="0.8", lw=0.8, zorder=0)
    ax.axvline(0, color="0.8", lw=0.8, zorder=0)
    ax.set(xlabel="input x", ylabel="activation", title="Units of networks", ylim=(-1.15, 3))
    ax.legend(loc="upper left")
    return ax


def by_epoch(
    courses: Mapping[str, Mapping[int, float]],
    label: str,
    ax: Axes | None = None,
    *,
    colours: Mapping[str, str] | None = None,
) -> Axes:
    """How one quantity of several networks or layers changes with training:
    courses[name][epoch].
    """
    ax = axes(ax)
    found = coloured(courses, colours)
    for k, (name, course) in enumerate(courses.items()):
        look: Fields = {
            "color": found[k],
            "ls": DASHES[k % 4],
            "marker": "os^D"[k % 4],
            "ms": 3,
        }
        ax.plot(list(course), list(course.values()), label=for_figure(name), **look)
    ax.set(xlabel="epoch", ylabel=label)
    ax.locator_params(axis="x", integer=True)
    ax.legend()
    return ax


def conversion(reports: Sequence[ConversionReport], ax: Axes | None = None) -> Axes:
    """What spiking networks lose against their sources over time steps: accuracy where there are
    labels, or else agreement.
    """
    ax = axes(ax)
    labelled = all(report.source_accuracy is not None for report in reports)
    for k, report in enumerate(reports):
        lost = [
            100
            * (
                (report.source_accuracy or 0.0) - (at.accuracy or 0.0)
                if labelled
                else 1 - at.agreement
            )
            for at in report.curve
        ]
        fewest = (
            "not within 0.5"
            if report.fewest_steps is None
            else f"within 0.5 from {report.fewest_steps} steps"
        )
        spikes = f"{report.spikes:,.0f} spikes in {report.steps} steps"
        label = f"{for_figure(report.name)}: {spikes}, {fewest}"
        steps = [at.steps for at in report.curve]
        ax.plot(
            steps,
            lost,
            color=COLOURS[k % len(COLOURS)],
            ls=DASHES[k % 7],
            marker="os^Dv"[k % 5],
            ms=4,
            label=label,
        )
    ax.axhspan(-0.5, 0.5, color="0.9", lw=0, zorder=0)
    ax.axhline(0, color="0.7", lw=0.8, zorder=0)
    ax.set_yscale("symlog", linthresh=1)
    ax.set_xscale("log", base=2)
    what = "accuracy lost (points)" if labelled else "inputs of another class than the source's (%)"
    ax.set(xlabel="time steps", ylabel=what, title="What spikes cost in accuracy")
    ax.xaxis.set_major_formatter(plain)
    ax.yaxis.set_major_formatter(plain)
    legend_below(ax)
    return ax


def l1_to_spikes(reports: Mapping[float, ConversionReport], ax: Axes | None = None) -> Axes:
    """Spikes of an inference over the share of active units, a point a strength of the L1 penalty,
    with its errors.
    """
    ax = axes(ax)
    active = [100 * report.source.active_fraction for report in reports.values()]
    spikes = [report.spikes for report in reports.values()]
    ax.plot(active, spikes, "o", color=COLOURS[0])
    for x, y, (l1, report) in zip(active, spikes, reports.items(), strict=True):
        errors = [
            100 * (1 - (share or 0.0))
            for share in (report.source_accuracy, report.curve[-1].accuracy)
        ]
        text = f"L1 {l1:g}: {errors[0]:.1f} % wrong, spiking {errors[1]:.1f} %"
        ax.annotate(text, (x, y), xytext=(8, -3), textcoords="offset points", fontsize=8)
    first = next(iter(reports.values()))
    ax.set(
        xlabel="units of the source that are active for an input (%)",
        ylabel=f"spikes in {first.steps} steps, {first.n_units:,} neurons",
        title="A penalty on activations is a penalty on spikes",
        xlim=(0, 1.45 * max(active)),
        ylim=(0, None),
    )
    return ax


def training(
    history: History,
    quantity: str = "active",
    ax: Axes | None = None,
    *,
    target: float | None = None,
) -> Axes:
    """Draw one quantity of each layer over the steps of a training that was watched or steered.

    Parameters
    ----------
    history
        What `ns.watch(...)` or `ns.sparsify(...)` has as its `history`.
    quantity
        What stands before the layer in its rows: "active", "zeros", "dead", "effective_units",
        "l1", "target". Shares are drawn in per cent.
    target
        A share to be marked by a line.

    Examples
    --------
    >>> from neurosparse.probe.history import History
    >>> rows = History([{"step": 0, "active/0": 0.5}, {"step": 100, "active/0": 0.04}])
    >>> training(rows, target=0.04).get_ylabel()
    'active units (%)'
    """
    ax = axes(ax)
    label, scale = WATCHED.get(quantity, (quantity, 1.0))
    course = {
        layer: {step: scale * value for step, value in values.items()}
        for layer, values in history.course(quantity).items()
    }
    by_epoch(course, label, ax)
    if target is not None:
        ax.axhline(scale * target, color="0.6", lw=0.8, ls=":", zorder=0)
    ax.set_xlabel("step")
    return ax
