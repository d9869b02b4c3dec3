"""Bits that a network tells of its input for each molecule of ATP, over its active share.

Levy & Baxter 1996 (Neural Computation 8:531) argue that neurons should be active as rarely as is
best for bits per energy. A binary neuron that is active with probability p tells H(p) bits. It
costs 1 + (r - 1) p, where r is what an active neuron costs over a resting one.

Here the bits are those that a trained network tells of the class of an image, at least H - NLL
(Barber & Agakov 2003, NeurIPS 16:201). The cost is that of its hidden units by a budget of
`energy`: rest for the time of an image, and a spike for each active unit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar

from neurosparse import plots
from neurosparse._internal.tables import markdown
from neurosparse.energy import budgets
from neurosparse.plots.labels import legend_below
from neurosparse.plots.look import axes, drawn
from neurosparse.progress import Progress, quiet
from neurosparse.rectifier import NetworkSpec, TrainSpec
from neurosparse.sparsity.paired import Mean, mean
from neurosparse.studies.runs import Row, TrainingRun, finish, run_all

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZES = (784, 300, 300, 300, 10)
TARGETS = (
    None,
    0.3,
    0.2,
    0.15,
    0.1,
    0.07,
    0.05,
    0.04,
    0.03,
    0.02,
    0.01,
)  # active share; None: free
IMAGES_MS = (10.0, 100.0)  # the time of an image, in which an active unit fires once
CLASSES = 10
BINS = (0, 1, 2, 4, 7, 10, 15, 20, 30, 100)  # active units, in %, of networks that no arms join
BITS_PER_ATP = "bits per 10^12 ATP"  # the head of a column
_TICKS = (1, 2, 4, 10, 20, 40)  # active units, in %


@dataclass(frozen=True, slots=True)
class Arm:
    """Networks of one target or bin: their active share and bits per 10^12 ATP."""

    name: str
    active_fraction: float
    bits: Mean


def runs(seeds: Sequence[int], epochs: int = 10) -> list[TrainingRun]:
    """Return networks of 3 x 300 units on 5,000 digits, an arm for each of `TARGETS`."""
    return [
        TrainingRun(
            "free" if target is None else f"{100 * target:g} %",
            TrainSpec(
                network=NetworkSpec(sizes=SIZES),
                data="mnist5k",
                epochs=epochs,
                learning_rate=0.1,
                learning_rate_end=0.002,
                average_last=0.25,
                target_active=target,
                target_start=0.2,
                target_reached=0.3,
                seed=seed,
            ),
        )
        for seed in seeds
        for target in TARGETS
    ]


def ratio(budget: str, image_ms: float) -> float | None:
    """Return what an active unit costs over a resting one; None where a budget has no rest."""
    costs = budgets()[budget]
    if costs.resting_ATP_per_s is None:
        return None
    return 1 + costs.spike_ATP / (costs.resting_ATP_per_s * image_ms * 1e-3)


def best_share(r: float) -> float:
    """Return the active share that is best for bits per energy of a binary neuron.

    Examples
    --------
    >>> round(best_share(1.0), 2), round(best_share(161.0), 3)
    (0.5, 0.023)
    """

    def negative(p: float) -> float:
        return (p * math.log(p) + (1 - p) * math.log1p(-p)) / (1 + (r - 1) * p)

    return float(minimize_scalar(negative, bounds=(1e-6, 0.5), options={"xatol": 1e-8}).x)


def bits_per_ATP(row: Row, budget: str, image_ms: float) -> float:
    """Return the bits that a network tells of the class of an image, per 10^12 ATP.

    The row is one of `studies.runs`, of networks of `SIZES`, or of a sweep, with its `n_units`. A
    budget without rest counts spikes alone, and says so where it is shown.
    """
    costs = budgets()[budget]
    n_units = row.get("n_units", sum(SIZES[1:-1]))
    rest = (costs.resting_ATP_per_s or 0.0) * image_ms * 1e-3
    return float(1e12 * _bits(row) / (n_units * (rest + row["active_fraction"] * costs.spike_ATP)))


def _bits(row: Row) -> float:
    """Return the bits that a network tells of the class of an image: at least so many."""
    return float(math.log2(CLASSES) - row["test_nll"] / math.log(2))


def groups(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows of each arm; where no arms join them, of each of `BINS` of active units."""
    if all("arm" in row for row in rows):
        names = dict.fromkeys(row["arm"] for row in rows)
        return {name: [row for row in rows if row["arm"] == name] for name in names}
    found = {
        f"{low}-{high} %": [row for row in rows if low <= 100 * row["active_fraction"] < high]
        for low, high in pairwise(BINS)
    }
    return {name: inside for name, inside in found.items() if inside}


def arms(rows: Sequence[Row], budget: str, image_ms: float) -> list[Arm]:
    """Return the arms or bins of a study, the densest first."""
    found = []
    for name, inside in groups(rows).items():
        share = float(np.mean([row["active_fraction"] for row in inside]))
        bits = mean([bits_per_ATP(row, budget, image_ms) for row in inside])
        found.append(Arm(name, share, bits))
    return sorted(found, key=lambda arm: -arm.active_fraction)


def best(found: Sequence[Arm]) -> tuple[Arm, list[Arm]]:
    """Return the arm with the most bits per ATP, and all whose interval reaches its lower end."""
    top = max(found, key=lambda arm: arm.bits.mean)
    least = top.bits.low if math.isfinite(top.bits.low) else top.bits.mean
    return top, [arm for arm in found if not arm.bits.high < least]


def table(rows: Sequence[Row]) -> str:
    """Format where bits per ATP peak, a line a budget and time of an image."""
    lines = []
    for budget in budgets():
        for image_ms in IMAGES_MS:
            found = arms(rows, budget, image_ms)
            top, alike = best(found)
            shares = [100 * arm.active_fraction for arm in alike]
            r = ratio(budget, image_ms)
            lines.append(
                [
                    budgets()[budget].authors,
                    f"{image_ms:g}",
                    "spikes alone" if r is None else f"{r:.3g}",
                    "-" if r is None else f"{100 * best_share(r):.2g}",
                    f"{100 * top.active_fraction:.2g}",
                    f"{min(shares):.2g} to {max(shares):.2g}",
                    _in_words(top.bits),
                ]
            )
    heads = ["budget", "image (ms)", "active over resting", "a neuron's best %", "best active %"]
    return markdown([*heads, "not told apart from it %", BITS_PER_ATP], lines)


def by_group(rows: Sequence[Row], budget: str = "attwell2001", image_ms: float = 10.0) -> str:
    """Format active units, error and bits of each arm or bin, by one budget."""
    lines, inside = [], groups(rows)
    for arm in arms(rows, budget, image_ms):
        of_arm = inside[arm.name]
        lines.append(
            [
                arm.name,
                f"{len(of_arm)}",
                f"{100 * arm.active_fraction:.2g}",
                f"{100 * float(np.mean([row['test_error'] for row in of_arm])):.1f}",
                f"{float(np.mean([_bits(row) for row in of_arm])):.2f}",
                _in_words(arm.bits),
            ]
        )
    heads = ["networks", "n", "active %", "test error %", "bits of 3.32", BITS_PER_ATP]
    return markdown(heads, lines)


def tables(rows: Sequence[Row]) -> str:
    """Format where bits per ATP peak by every budget, and all arms or bins by the first one."""
    first = budgets()["attwell2001"].authors
    by_time = [
        f"By {first}, {image_ms:g} ms an image:\n\n{by_group(rows, image_ms=image_ms)}"
        for image_ms in IMAGES_MS
    ]
    return "\n\n".join([table(rows), *by_time])


def _in_words(bits: Mean) -> str:
    """Return a mean with its interval, where there is one."""
    ends = f" [{bits.low:.3g}, {bits.high:.3g}]" if math.isfinite(bits.low) else ""
    return f"{bits.mean:.3g}{ends}"


@drawn
def draw(rows: Sequence[Row], ax: Axes | None = None, *, image_ms: float = 10.0) -> Axes:
    """Draw bits per ATP over the active share, as shares of the most, a line a budget."""
    ax, peaks = axes(ax), []
    ax.axvspan(1, 4, color=plots.BAND_COLOUR, alpha=0.45, lw=0, label="said of the brain: 1-4 %")
    for k, budget in enumerate(budgets()):
        found = arms(rows, budget, image_ms)
        top = best(found)[0].bits.mean
        low, high = (
            [abs(getattr(arm.bits, end) - arm.bits.mean) / top for arm in found]
            for end in ("low", "high")
        )
        ax.errorbar(
            [100 * arm.active_fraction for arm in found],
            [arm.bits.mean / top for arm in found],
            [low, high],
            fmt="o-",
            ms=3,
            capsize=2,
            color=plots.COLOURS[k],
            label=budgets()[budget].authors + ("" if ratio(budget, image_ms) else ", spikes alone"),
        )
        peaks.append(100 * best(found)[0].active_fraction)
    ax.set(xscale="log", xlabel="active units (%)", ylabel="bits per ATP, of the most")
    ax.set_xticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
    ax.minorticks_off()
    shares = " to ".join(dict.fromkeys(f"{peak:.2g}" for peak in (min(peaks), max(peaks))))
    title = f"Most bits per ATP at {shares} % active units,\n{image_ms:g} ms an image"
    ax.set(title=title, ylim=(0, None))
    legend_below(ax)
    return ax


def bits_per_atp(
    directory: str | Path,
    *,
    seeds: Sequence[int] = (1, 2, 3),
    epochs: int = 10,
    threads: int = 1,
    progress: Progress = quiet,
) -> str:
    """Train what is missing in `directory`/networks, write tables and figure, return the tables.

    Parameters
    ----------
    directory
        Gets runs.parquet, table.md and bits_per_atp.png and .svg.
    seeds
        Networks an arm.
    epochs
        Of each network.
    threads
        Networks trained at once.
    progress
        Told the share that is done.
    """
    directory = Path(directory)
    rows = run_all(runs(seeds, epochs), directory / "networks", threads=threads, progress=progress)
    text = tables(rows)
    finish(rows, text, directory)
    save(rows, directory)
    return text


def save(rows: Sequence[Row], directory: Path) -> None:
    """Write bits_per_atp.png and .svg, axes for each time of an image, into `directory`."""
    both = [partial(draw, rows, image_ms=image_ms) for image_ms in IMAGES_MS]
    plots.save(directory / "bits_per_atp.png", *both, inches=(9, 4.2), also=[".svg"])
