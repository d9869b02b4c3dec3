"""Sparsity that a rectifier network may have before its error rises.

Figure 3 of Glorot, Bordes & Bengio 2011, on 5,000 digits.

The networks are those of the sweep "figure3" (models/sweeps/figure3.toml); this is what is made of
their table.

The paper trained 200 rectifier networks on MNIST with L1 penalties from 0 to 0.01, without
pre-training, and drew test error over exact zeros. Here each network has a seed of its own and
learns from 3,500 digits, so that its error is some three times the paper's. What can be compared is
where the error begins to rise, and how steeply, as a multiple of what it is below `FLAT`. A network
whose error is above `COLLAPSED` has lost a layer: it stays in the figure and the table, and out of
the means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosparse import plots, reference
from neurosparse._internal import whole_files as files
from neurosparse._internal.tables import markdown
from neurosparse.sparsity.paired import Mean, unpaired
from neurosparse.studies import bits_per_atp

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from neurosparse.studies.runs import Row

IMAGES = "3,500 digits"  # that the networks of the sweep learn from
COLLAPSED = 0.2  # test error; chance is 0.9
# % zeros below which the error of the paper's networks is at its least; errors are compared with
# those there
FLAT = 80
BINS = (0, 60, 65, 70, 75, 80, 85, 90, 95, 100)  # % zeros


def write(rows: Sequence[Row], directory: str | Path) -> str:
    """Write tables and figures of error and of bits per ATP into `directory`; return the tables.

    They are `table.md`, `bits_per_atp.md`, and `figure3` and `bits_per_atp` as PNG and SVG.

    Parameters
    ----------
    rows
        Those of the sweep "figure3": `test_error`, `test_nll`, and `active_fraction` of all hidden
        units, on the test images.
    directory
        The folder, which is made where it is missing.
    """
    directory = Path(directory)
    kept = _kept(rows)
    texts = {"table.md": table(rows)}
    if kept:
        texts["bits_per_atp.md"] = (
            f"{bits_per_atp.tables(kept)}\n\nWith the networks that collapsed, which tell next to"
            f" nothing:\n\n{bits_per_atp.table(rows)}"
        )
        bits_per_atp.save(kept, directory)
    for name, text in texts.items():
        with files.new_file(directory / name) as file:
            file.write_text(text + "\n", encoding="utf-8")
    plots.save(
        directory / "figure3.png",
        partial(error_over_zeros, rows),
        partial(relative_error, rows),
        inches=(9, 3.8),
        also=[".svg"],
    )
    return "\n\n".join(texts.values())


def trained(rows: Sequence[Row]) -> tuple[Any, Any]:
    """Return the zeros and the test errors, both in %, of the networks that did not collapse."""
    kept = _kept(rows)
    return _zeros(kept), 100 * np.array([row["test_error"] for row in kept])


def table(rows: Sequence[Row]) -> str:
    """Return the test errors by bins of zeros.

    Also how far each is from the error of the networks below `FLAT`.
    """
    zeros, errors = trained(rows)
    lines = []
    for low, high, inside, above in _bins(zeros, errors):
        spread = f"{inside.std(ddof=1):.2f}" if inside.size > 1 else ""
        over = "" if above is None else above.describe()
        lines.append([f"{low}-{high}", f"{inside.size}", f"{inside.mean():.2f}", spread, over])
    text = markdown(["zeros %", "networks", "test error %", "sd", f"above those < {FLAT} %"], lines)
    return (
        f"{text}\n\n±: half of Welch's 95 % interval over networks.\n"
        f"{len(rows) - errors.size} of {len(rows)} networks collapsed (test error above"
        f" {100 * COLLAPSED:.0f} %)."
    )


def error_over_zeros(rows: Sequence[Row], ax: Axes) -> Axes:
    """Draw the test error over zeros, a dot a network, the collapsed ones as crosses.

    The paper's bins and its printed fit are drawn too.
    """
    zeros, errors = trained(rows)
    lost = [row for row in rows if row["test_error"] > COLLAPSED]
    middle, paper_mean, paper_sd = _paper_bins()
    fit = np.poly1d(reference.paper()["figure3"]["fit_error_percent"])
    line = np.linspace(middle[0], middle[-1], 100)
    ax.errorbar(
        middle,
        paper_mean,
        paper_sd,
        fmt="s",
        color=plots.COLOURS[1],
        ms=4,
        capsize=2,
        label="paper, MNIST: bins, sd",
    )
    ax.plot(line, fit(line), color=plots.COLOURS[1], lw=1, ls="--", label="paper: its fit")
    ax.plot(
        zeros,
        errors,
        "o",
        color=plots.COLOURS[0],
        ms=4,
        alpha=0.6,
        mew=0,
        label=f"{zeros.size} networks, {IMAGES}",
    )
    if lost:
        ax.plot(
            _zeros(lost),
            [100 * row["test_error"] for row in lost],
            "x",
            color=plots.COLOURS[6],
            ms=5,
            label=f"{len(lost)} collapsed",
        )
    ax.set(
        yscale="log",
        xlabel="exact zeros (%)",
        ylabel="test error (%)",
        title=_ends(zeros, errors),
        ylim=(1, 120),
    )
    ax.set_yticks([1, 2, 5, 10, 20, 50, 90], ["1", "2", "5", "10", "20", "50", "90"])
    ax.minorticks_off()
    ax.legend(loc="center left", bbox_to_anchor=(0, 0.66))  # between the trained and the collapsed
    return ax


def relative_error(rows: Sequence[Row], ax: Axes) -> Axes:
    """Draw test errors as multiples of the mean of the networks below `FLAT`.

    The paper's and those of `rows`.
    """
    zeros, errors = trained(rows)
    middle, paper_mean, paper_sd = _paper_bins()
    weights = np.array(reference.paper()["figure3"]["bins_n"])
    below = middle < FLAT
    least = np.average(paper_mean[below], weights=weights[below])
    ax.errorbar(
        middle,
        paper_mean / least,
        paper_sd / least,
        fmt="s",
        color=plots.COLOURS[1],
        ms=4,
        capsize=2,
        label="paper",
    )
    if (zeros < FLAT).any():
        ax.plot(
            zeros,
            errors / errors[zeros < FLAT].mean(),
            "o",
            color=plots.COLOURS[0],
            ms=4,
            alpha=0.6,
            mew=0,
            label=IMAGES,
        )
    ax.axhline(1, color="0.6", lw=1, ls="--", zorder=0)
    ax.set(
        xlabel="exact zeros (%)",
        ylabel=f"error / mean error below {FLAT} % zeros",
        title=_rise(zeros, errors),
    )
    ax.legend(loc="upper left")
    return ax


def _ends(zeros: Any, errors: Any) -> str:
    """Say the mean errors below `FLAT` and of the sparsest bin."""
    flat, sparsest = errors[zeros < FLAT], errors[zeros >= BINS[-2]]
    if not (flat.size and sparsest.size):
        return "Error over sparsity"
    return (
        f"Error: {flat.mean():.1f} % below {FLAT} % zeros, {sparsest.mean():.1f} % beyond"
        f" {BINS[-2]} %"
    )


def _rise(zeros: Any, errors: Any) -> str:
    """Say from which bin on the error is above that below `FLAT`, by Welch's intervals."""
    for low, _, _, above in _bins(zeros, errors):
        if above is not None and above.low > 0:
            return f"The error rises from {low} % zeros on"
    return "No rise of the error is seen"


def _bins(zeros: Any, errors: Any) -> Iterator[tuple[int, int, Any, Mean | None]]:
    """Yield the ends of each bin, its errors, and how far they are above those below `FLAT`."""
    flat = errors[zeros < FLAT]
    for low, high in pairwise(BINS):
        inside = errors[(zeros >= low) & (zeros < high)]
        if inside.size:
            compares = low >= FLAT and min(inside.size, flat.size) > 1
            yield low, high, inside, unpaired(inside, flat) if compares else None


def _kept(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["test_error"] <= COLLAPSED]


def _zeros(rows: Sequence[Row]) -> Any:
    return 100 * (1 - np.array([row["active_fraction"] for row in rows]))


def _paper_bins() -> tuple[Any, Any, Any]:
    """Return the middles of the paper's bins, their mean errors and deviations, all in %."""
    paper = reference.paper()["figure3"]
    return (
        np.mean(paper["bins_zeros_percent"], axis=1),
        np.array(paper["bins_mean_error_percent"]),
        np.array(paper["bins_sd"]),
    )
