"""Networks: their units, and what becomes of them as spiking ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from neurosparse._internal import checks
from neurosparse._internal.names import for_figure
from neurosparse._internal.types import Fields
from neurosparse.plots.fitting import End
from neurosparse.plots.inputs import reports as named_reports
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
def conversion(
    reports: ConversionReport | Sequence[ConversionReport] | Mapping[object, ConversionReport],
    ax: Axes | None = None,
) -> Axes:
    """Draw what spiking networks lose compared with their sources over time steps.

    That is accuracy where there are labels, or else agreement.

    Parameters
    ----------
    reports
        What `convert.verify` returned, one or several; the keys of a dict are the names.
    ax
        The axes to draw on; new ones by default.
    """
    found, ax = named_reports(reports, "conversion"), axes(ax)
    labelled = all(report.source_accuracy is not None for report in found.values())
    shades = coloured(found, None)
    ends, every = [], []
    for (name, report), colour, dash, marker in zip(
        found.items(), shades, dashed(shades), marked(shades), strict=True
    ):
        lost = _lost(report, labelled)
        spikes = f"{report.spikes:,.0f} spikes in {report.steps} steps"
        label = f"{for_figure(name)}: {spikes}, {_reached(report)}"
        steps = [at.steps for at in report.curve]
        look: Fields = {"color": colour, "ls": dash, "marker": marker, "ms": scaled(4)}
        ax.plot(steps, lost, label=label, clip_on=False, zorder=3, **look)
        ends.append(End(f"{for_figure(name)}: {spikes}", steps[-1], lost[-1], colour))
        every += lost
    ax.axhspan(-0.5, 0.5, color="0.9", lw=0, zorder=0)
    ax.axhline(0, color="0.7", lw=0.8, zorder=0)
    ax.set_yscale("symlog", linthresh=1)
    ax.set_xscale("log", base=2)
    least, most = min(0.0, *every), max(1.0, *every)
    ax.set_ylim(1.5 * least - (0.5 if least else 0.0), 1.5 * most)
    what = "accuracy lost (points)" if labelled else "inputs of another class than the source's (%)"
    reached = [report for report in found.values() if report.fewest_steps is not None]
    name, first = next(iter(found.items()))
    title = (
        f"{for_figure(name)}: {_reached(first)}"
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

    A point is a strength of the L1 penalty, with its errors where there were labels.

    Parameters
    ----------
    reports
        A report by strength, as `convert.l1.l1_to_spikes` returns them.
    ax
        The axes to draw on; new ones by default.
    """
    checks.instance("reports", reports, Mapping, "convert.l1.l1_to_spikes returns one")
    named_reports({str(l1): report for l1, report in reports.items()}, "l1_to_spikes")
    ax = axes(ax)
    active = [100 * report.source.active_fraction for report in reports.values()]
    spikes = [report.spikes for report in reports.values()]
    ax.plot(active, spikes, "o", color=COLOURS[0], ms=scaled(6))
    ends = []
    for x, y, (l1, report) in zip(active, spikes, reports.items(), strict=True):
        text = f"L1 {checks.number('each key of reports', l1):g}"
        right = [s for s in (report.source_accuracy, report.curve[-1].accuracy) if s is not None]
        if len(right) == 2:
            wrong, spiking = (100 * (1 - share) for share in right)
            text += f": {wrong:.1f} % wrong, spiking {spiking:.1f} %"
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
