"""Rectifier, tanh and softplus, with and without pre-training.

Table 1 and figure 4 of Glorot, Bordes & Bengio 2011.

Arms share their seeds. The learning rate of each arm is that of least mean validation error over
the seeds, of `LEARNING_RATES` (the paper's grid without what is too slow to learn here). The
columns of the test are not read for it. One seed would not do: there two rates may differ by one of
500 validation digits, and rounding decides, which is not the same on all processors.
Pre-training is of denoising auto-encoders, softplus reconstruction for rectifier and softplus,
cross-entropy for tanh, on all training images without labels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from neurosparse import plots, reference
from neurosparse._internal.tables import markdown
from neurosparse.progress import Progress, quiet
from neurosparse.rectifier.specs import NetworkSpec, PretrainSpec, TrainSpec
from neurosparse.sparsity.paired import OVER_SEEDS, Mean, difference, mean
from neurosparse.studies.runs import Row, TrainingRun, finish, run_all

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACTIVATIONS = ("rectifier", "tanh", "softplus")
LEARNING_RATES = (0.1, 0.01)
LABELS = (100, 500, 3500)  # of figure 4
EPOCHS = {100: 60, 500: 30}  # where labels are few; else `TrainSpec.epochs` as below
FULL, QUICK = NetworkSpec(), NetworkSpec(sizes=(784, 300, 300, 300, 10))
PRETRAINED = " (pre)"  # what the name of a pre-trained arm ends in


def table1(
    directory: str | Path,
    *,
    data: str = "mnist5k",
    pretrained: bool = True,
    seeds: Sequence[int] = tuple(range(5)),
    quick: bool = False,
    threads: int = 1,
    progress: Progress = quiet,
) -> str:
    """Train what is missing and write `runs.parquet`, `table.md` and `table1.png` into `directory`.

    Parameters
    ----------
    directory
        Where runs, table and figure are written.
    data
        "mnist5k" or any other set of 784 pixels and 10 classes.
    pretrained
        Whether to have the pre-trained networks next to those without.
    seeds
        Of the networks; arms share them.
    quick
        300 units a layer, and at most 10,000 training images with labels.
    threads
        Networks at once.
    progress
        Told how far the study is.

    Returns
    -------
    str
        The table: test errors, and differences from the rectifier with and without pre-training.
    """
    n_labels = 10_000 if quick and data != "mnist5k" else None
    arms = [
        (activation, before, n_labels)
        for activation in ACTIVATIONS
        for before in (False, True)[: 1 + pretrained]
    ]
    rows = _train(
        arms, directory, data=data, seeds=seeds, quick=quick, threads=threads, progress=progress
    )
    text = _table1(rows)
    finish(rows, text, Path(directory))
    plots.save(
        Path(directory) / "table1.png", partial(errors_by_arm, rows), inches=(6, 3.4), also=[".svg"]
    )
    return text


def few_labels(
    directory: str | Path,
    *,
    seeds: Sequence[int] = tuple(range(5)),
    quick: bool = False,
    threads: int = 1,
    progress: Progress = quiet,
) -> str:
    """Train what is missing on 100, 500 and all 3,500 labels and write the results.

    They are `runs.parquet`, `table.md` and `figure4.png`.

    The parameters are those of `table1`.
    """
    arms = [
        (activation, pretrained, n)
        for n in LABELS
        for activation in ACTIVATIONS[:2]
        for pretrained in (False, True)
    ]
    rows = _train(
        arms,
        directory,
        data="mnist5k",
        seeds=seeds,
        quick=quick,
        threads=threads,
        progress=progress,
    )
    text = _few_labels(rows)
    finish(rows, text, Path(directory))
    plots.save(
        Path(directory) / "figure4.png",
        partial(errors_over_labels, rows),
        inches=(6, 3.6),
        also=[".svg"],
    )
    return text


# ---- Training
# --------------------------------------------------------------------------------------------------


def _train(
    arms: Iterable[tuple[str, bool, int | None]],
    directory: str | Path,
    *,
    data: str,
    seeds: Sequence[int],
    quick: bool,
    threads: int,
    progress: Progress,
) -> list[Row]:
    """Return the rows of all arms and seeds, each arm with its best learning rate."""
    if not seeds:
        raise ValueError("seeds is empty: nothing to train")
    network, arms, place = QUICK if quick else FULL, list(arms), Path(directory) / "runs"

    def run_of(
        activation: str, pretrained: bool, n_labels: int | None, rate: float, seed: int
    ) -> TrainingRun:
        net = network.model_copy(update={"activation": activation})
        spec = TrainSpec(
            network=net,
            data=data,
            epochs=EPOCHS.get(n_labels or 0, 15),
            learning_rate=rate,
            seed=seed,
        )
        before = PretrainSpec(
            network=net, data=data, epochs=5 if data == "mnist5k" else 1, seed=seed
        )
        return TrainingRun(
            _name(activation, pretrained, n_labels), spec, before if pretrained else None, n_labels
        )

    # what starts from one pre-training stands together: it is done once
    runs = [run_of(*arm, rate, seed) for seed in seeds for arm in arms for rate in LEARNING_RATES]
    trials = run_all(runs, place, threads=threads, progress=progress)
    rates = chosen(trials)
    return [row for row in trials if row["learning_rate"] == rates[row["arm"]]]


def chosen(rows: Sequence[Row]) -> dict[str, float]:
    """Return the learning rate of least mean validation error of each arm.

    Of equals, that of least mean validation NLL.
    """
    trials: dict[tuple[str, float], list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        score = row["validation_error"], row["validation_nll"]
        trials[row["arm"], row["learning_rate"]].append(score)
    best_first = sorted(trials, key=lambda at: tuple(map(fmean, zip(*trials[at], strict=True))))
    return dict(reversed(best_first))


def _name(activation: str, pretrained: bool, n_labels: int | None) -> str:
    labels = f", {n_labels} labels" if n_labels in LABELS else ""
    return f"{activation}{PRETRAINED if pretrained else ''}{labels}"


# ---- Tables and figures
# --------------------------------------------------------------------------------------------------


def _table1(rows: Sequence[Row]) -> str:
    lines = []
    for name in dict.fromkeys(row["arm"] for row in rows):
        activation, pretrained = name.removesuffix(PRETRAINED), name.endswith(PRETRAINED)
        rectifier = "rectifier" + PRETRAINED * pretrained
        error, rate = _error(rows, name)
        against = (
            difference(rows, name, rectifier, "test_error").describe(100)
            if name != rectifier
            else ""
        )
        gain = difference(rows, name, activation, "test_error").describe(100) if pretrained else ""
        lines.append(
            [
                name,
                f"{rate:g}",
                f"{100 * error.mean:.2f}",
                against,
                gain,
                _papers(activation, pretrained),
            ]
        )
    head = ["network", "rate", "error %", "minus rectifier", "minus plain", "paper"]
    notes = (
        "Rate: of learning, chosen on validation images. (pre): pre-trained.\n"
        "Minus: the error minus the rectifier's, or minus that without (pre); points.\n"
        "Paper: its error on MNIST in %, * unverified."
    )
    return f"{markdown(head, lines)}\n\n{notes}\n{OVER_SEEDS}"


def _few_labels(rows: Sequence[Row]) -> str:
    lines = []
    for n in LABELS:
        for activation in ACTIVATIONS[:2]:
            without, tuned = (_name(activation, pretrained, n) for pretrained in (False, True))
            errors = [f"{100 * _error(rows, name)[0].mean:.2f}" for name in (without, tuned)]
            lines.append(
                [
                    f"{n:,}",
                    activation,
                    *errors,
                    difference(rows, tuned, without, "test_error").describe(100),
                ]
            )
    head = ["labels", "network", "without: error %", "pre-trained", "difference"]
    return f"{markdown(head, lines, texts=2)}\n\n{OVER_SEEDS}"


def _error(rows: Sequence[Row], arm: str) -> tuple[Mean, float]:
    """Return the test error of an arm, and its learning rate."""
    mine = [row for row in rows if row["arm"] == arm]
    return mean([row["test_error"] for row in mine]), mine[0]["learning_rate"]


def _papers(activation: str, pretrained: bool) -> str:
    """Return the paper's error on MNIST, with a mark where it is unverified."""
    for entry in reference.paper()["table1"]:
        if (entry["net"], entry["pretrained"]) == (activation, pretrained) and "MNIST" in entry[
            "test_error_percent"
        ]:
            result: str = f"{entry['test_error_percent']['MNIST']:.2f}" + "*" * (
                entry["trust"] == "C"
            )
            return result
    return ""


def _least_error(rows: Sequence[Row]) -> str:
    """Return which network has the least mean test error, for the title of a figure."""
    names = list(dict.fromkeys(row["arm"] for row in rows))
    least = min(names, key=lambda name: _error(rows, name)[0].mean)
    return f"least error: {least}, {100 * _error(rows, least)[0].mean:.1f} %"


def errors_by_arm(rows: Sequence[Row], ax: Axes) -> Axes:
    """Test errors: a dot a seed, the mean with its interval beside."""
    names = list(dict.fromkeys(row["arm"] for row in rows))
    for k, name in enumerate(names):
        each = [100 * row["test_error"] for row in rows if row["arm"] == name]
        whole, colour = mean(each), plots.COLOURS[ACTIVATIONS.index(name.removesuffix(PRETRAINED))]
        ax.plot(each, [k - 0.12] * len(each), "o", color=colour, ms=4, alpha=0.5, mew=0)
        ax.errorbar(
            whole.mean,
            k + 0.12,
            xerr=whole.high - whole.mean,
            fmt="D",
            color=colour,
            ms=5,
            capsize=3,
        )
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    title = f"Trained on {rows[0]['samples']:,} images; {_least_error(rows)}"
    ax.set(xlabel="test error (%)", title=title)
    return ax


def errors_over_labels(rows: Sequence[Row], ax: Axes) -> Axes:
    """Test error over the number of labels, with and without pre-training, with intervals."""
    ends = []
    for k, activation in enumerate(ACTIVATIONS[:2]):
        for pretrained in (False, True):
            wholes = [_error(rows, _name(activation, pretrained, n))[0] for n in LABELS]
            middle, half = (
                100 * np.array(v)
                for v in zip(*((w.mean, w.high - w.mean) for w in wholes), strict=True)
            )
            at = np.array(LABELS) * (
                1 + 0.03 * (2 * k + pretrained - 1.5)
            )  # side by side, so that the intervals can be told apart
            look = {
                "color": plots.COLOURS[k],
                "ls": plots.DASHES[int(pretrained)],
                "marker": "os"[k],
                "capsize": 3,
            }
            label = activation + PRETRAINED * pretrained
            ax.errorbar(at, middle, half, label=label, **look)
            ends.append(plots.End(label, at[-1], middle[-1], plots.COLOURS[k]))
    ax.set(xscale="log", yscale="log")
    plots.say(ax, title=_gains(rows), xlabel="digits with a label", ylabel="test error (%)")
    ax.set_xticks(LABELS, [f"{n:,}" for n in LABELS])
    ax.set_yticks([5, 10, 20, 30], ["5", "10", "20", "30"])
    ax.minorticks_off()
    plots.label_ends(ax, ends)
    return ax


def _gains(rows: Sequence[Row]) -> str:
    """Return what pre-training changes with the fewest labels and with the most, in points."""
    found = []
    for activation in ACTIVATIONS[:2]:
        gains = [
            100
            * difference(
                rows, _name(activation, True, n), _name(activation, False, n), "test_error"
            ).mean
            for n in (LABELS[0], LABELS[-1])
        ]
        found.append(f"{activation} {gains[0]:+.1f} and {gains[1]:+.1f}")
    at = f"{LABELS[0]:,} and {LABELS[-1]:,} labels"
    return f"Pre-training changes the error by points, with {at}: {', '.join(found)}"
