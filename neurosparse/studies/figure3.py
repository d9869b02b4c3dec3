"""How sparse may a rectifier network be before its error rises? Figure 3 of Glorot, Bordes & Bengio 2011, on 5,000 digits.

The paper trained 200 rectifier networks on MNIST with L1 penalties from 0 to 0.01, without pre-training, and drew test error over
exact zeros. Here each network has a seed of its own and learns from 3,500 digits, so that its error is some three times the
paper's. What can be compared is where the error begins to rise, and how steeply, as a multiple of what it is below `FLAT`. A
network whose error is above `COLLAPSED` has lost a layer: it stays in the figure and the table, and out of the means.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosparse import checks, files, plots, reference
from neurosparse.progress import Progress, quiet
from neurosparse.rectifier.specs import NetworkSpec, TrainSpec
from neurosparse.studies.pairs import unpaired
from neurosparse.studies.runs import Row, Run, run_all, write
from neurosparse.studies.tables import markdown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPEC = TrainSpec(network=NetworkSpec(), epochs=30, learning_rate=0.1)
QUICK = TrainSpec(network=NetworkSpec(sizes=(784, 300, 300, 300, 10)), epochs=10, learning_rate=0.1)
N, MOST_L1 = 200, 0.01  # the paper's networks
STRIDE = 53  # so that the first so many of the networks, too, spread their penalties evenly
COLLAPSED = 0.2  # test error; chance is 0.9
FLAT = 80  # % zeros below which the error of the paper's networks is at its least; errors are compared with those there
BINS = (0, 60, 65, 70, 75, 80, 85, 90, 95, 100)  # % zeros


def run(directory: str | Path, *, n: int = N, quick: bool = False, threads: int = 1, progress: Progress = quiet) -> str:
    """Train what is missing and write `runs.parquet`, `table.md` and `figure3.png` into `directory`.

    Parameters
    ----------
    n
        How many of the `N` networks, whose penalties lie evenly from 0 to `MOST_L1`.
    quick
        300 units a layer and 10 epochs.
    threads
        Networks at once.

    Returns
    -------
    str
        The table.
    """
    if checks.whole("n", n, least=1) > N:
        raise ValueError(f"n must be at most {N}, got {n}")
    spec, directory = QUICK if quick else SPEC, Path(directory)
    penalties = [MOST_L1 * (seed * STRIDE % N) / (N - 1) for seed in range(n)]
    runs = [Run("L1", spec.model_copy(update={"l1": l1, "seed": seed})) for seed, l1 in enumerate(penalties)]
    rows = run_all(runs, directory / "runs", threads=threads, progress=progress)
    write(rows, directory / "runs.parquet")
    text = table(rows)
    with files.new_file(directory / "table.md") as file:
        file.write_text(text + "\n", encoding="utf-8")
    figure(rows, directory / "figure3.png")
    return text


def trained(rows: Sequence[Row]) -> tuple[Any, Any]:
    """The zeros and the test errors, both in %, of the networks that did not collapse."""
    kept = [row for row in rows if row["test_error"] <= COLLAPSED]
    return np.array([row["zeros_percent"] for row in kept]), 100 * np.array([row["test_error"] for row in kept])


def table(rows: Sequence[Row]) -> str:
    """Test errors by bins of zeros, and how far each is from the error of the networks below `FLAT`."""
    zeros, errors = trained(rows)
    flat = errors[zeros < FLAT]
    lines = []
    for low, high in pairwise(BINS):
        inside = errors[(zeros >= low) & (zeros < high)]
        if inside.size:
            spread = f"{inside.std(ddof=1):.2f}" if inside.size > 1 else ""
            over = unpaired(inside, flat).describe() if low >= FLAT and min(inside.size, flat.size) > 1 else ""
            lines.append([f"{low}-{high}", f"{inside.size}", f"{inside.mean():.2f}", spread, over])
    text = markdown(["zeros %", "networks", "test error %", "sd", f"above those < {FLAT} %"], lines)
    return f"{text}\n\n{len(rows) - errors.size} of {len(rows)} networks collapsed (test error above {100 * COLLAPSED:.0f} %)."


def figure(rows: Sequence[Row], path: Path) -> None:
    """All networks beside the paper's, and both as multiples of their errors below `FLAT`."""
    plots.save(path, partial(error_over_zeros, rows), partial(relative_error, rows), inches=(9, 3.8))


def error_over_zeros(rows: Sequence[Row], ax: Axes) -> Axes:
    """Test error over zeros, a dot a network, the collapsed ones as crosses; the paper's bins and its printed fit."""
    zeros, errors = trained(rows)
    lost = [row for row in rows if row["test_error"] > COLLAPSED]
    middle, paper_mean, paper_sd = _paper_bins()
    fit = np.poly1d(reference.paper()["figure3"]["fit_error_percent"])
    line = np.linspace(middle[0], middle[-1], 100)
    ax.errorbar(
        middle, paper_mean, paper_sd, fmt="s", color=plots.COLOURS[1], ms=4, capsize=2, label="paper, MNIST: bins, sd"
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
        label=f"{zeros.size} networks, {_images(rows)}",
    )
    if lost:
        crosses = [row["zeros_percent"] for row in lost], [100 * row["test_error"] for row in lost]
        ax.plot(*crosses, "x", color=plots.COLOURS[6], ms=5, label=f"{len(lost)} collapsed")
    ax.set(yscale="log", xlabel="exact zeros (%)", ylabel="test error (%)", title="Error over sparsity", ylim=(1, 120))
    ax.set_yticks([1, 2, 5, 10, 20, 50, 90], ["1", "2", "5", "10", "20", "50", "90"])
    ax.minorticks_off()
    ax.legend(loc="center left", bbox_to_anchor=(0, 0.66))  # between the trained and the collapsed
    return ax


def relative_error(rows: Sequence[Row], ax: Axes) -> Axes:
    """Test errors as multiples of the mean of the networks below `FLAT`, the paper's and those of `rows`."""
    zeros, errors = trained(rows)
    middle, paper_mean, paper_sd = _paper_bins()
    weights = np.array(reference.paper()["figure3"]["bins_n"])
    below = middle < FLAT
    least = np.average(paper_mean[below], weights=weights[below])
    ax.errorbar(
        middle, paper_mean / least, paper_sd / least, fmt="s", color=plots.COLOURS[1], ms=4, capsize=2, label="paper"
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
            label=_images(rows),
        )
    ax.axhline(1, color="0.6", lw=1, ls="--", zorder=0)
    ax.set(xlabel="exact zeros (%)", ylabel=f"error / mean error below {FLAT} % zeros", title="Where it begins to rise")
    ax.legend(loc="upper left")
    return ax


def _images(rows: Sequence[Row]) -> str:
    return f"{rows[0]['samples']:,} images of {rows[0]['data']}"


def _paper_bins() -> tuple[Any, Any, Any]:
    """The middles of the paper's bins, the mean errors and their standard deviations, all in %."""
    paper = reference.paper()["figure3"]
    return (
        np.mean(paper["bins_zeros_percent"], axis=1),
        np.array(paper["bins_mean_error_percent"]),
        np.array(paper["bins_sd"]),
    )
