"""The cost of being as sparse as a brain in a transformer: 4, 2 and 1 % active units.

The recipe plays_4_percent in arms: Shakespeare's plays, 3 layers, width 96, feed-forward blocks of
768 units, 1,000 steps of 1,024 characters. The plan, written before a test play was read, stands in
docs/transformers.md. No arm has settings of its own: learning rate, weight decay and course of the
target are the recipe's, except for what its name says.

A network that is trained stands in a folder with its weights, and with what it does on the
validation plays. The test plays are read when the study is written, after all of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurosparse import plots
from neurosparse._internal.tables import markdown
from neurosparse.data import texts
from neurosparse.progress import Progress, part_of, quiet
from neurosparse.reference import bands
from neurosparse.sparsity.paired import OVER_SEEDS, difference, mean
from neurosparse.studies.runs import Row, done_in, finish, run_name
from neurosparse.transformer import TransformerSpec, TransformerTrainSpec, evaluate, load, train
from neurosparse.transformer.results import save_result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from neurosparse.data.texts import TextSplits


def _arm(
    steps: int = 1000, target: float | None = None, *, revive: bool = False, **network: object
) -> TransformerTrainSpec:
    """Return an arm's settings: the recipe's, but for those that are given."""
    return TransformerTrainSpec(
        network=TransformerSpec.model_validate(network),
        steps=steps,
        target_active=target,
        revive=revive,
        validated_every=250,
    )


WIDE = 4 * TransformerSpec().d_ff
ARMS = {
    "GELU": _arm(activation="gelu"),
    "ReLU from 50 %": _arm(start_active=0.5),
    "ReLU from 10 %": _arm(),
    "4 %": _arm(target=0.04),
    "2 %": _arm(target=0.02),
    "1 %": _arm(target=0.01),
    "4 %, same time": _arm(1250, 0.04),
    "2 %, same time": _arm(1400, 0.02),
    "1 %, same time": _arm(1500, 0.01),
    "1 %, 4x wide": _arm(target=0.01, d_ff=WIDE, revive=True),
    "4x wide": _arm(d_ff=WIDE),
    "top-k, 1 %": _arm(top_k=0.01),
    "1 %, 4x wide, same time": _arm(700, 0.01, d_ff=WIDE, revive=True),
}
LONG_STEPS = 5000  # until the validation loss has flattened
LONG = {
    name: ARMS[name].model_copy(update={"steps": LONG_STEPS})
    for name in ("GELU", "ReLU from 50 %", "ReLU from 10 %", "4 %", "1 %, 4x wide")
}
STUDIES = {"arms": ARMS, "long": LONG}
DENSE = ("GELU", "ReLU from 50 %")  # whichever does better on the validation plays
UNSTEERED = "ReLU from 10 %"
# of the figure: arms that belong together, from the least sparse one
SERIES = {
    "GELU": ("GELU",),
    "ReLU from 50 %, not steered": ("ReLU from 50 %",),
    "ReLU from 10 %: not steered, 4, 2, 1 %": (UNSTEERED, "4 %", "2 %", "1 %"),
    "4, 2, 1 % in the dense network's time": tuple(f"{p} %, same time" for p in (4, 2, 1)),
    "four times wider: not steered, 1 %": ("4x wide", "1 %, 4x wide"),
    "four times wider, 1 %, 700 steps": ("1 %, 4x wide, same time",),
    "top-k of 1 %": ("top-k, 1 %",),
}
# shares of active units that others published, of other networks on other data
PUBLISHED = {
    "ViT-B/16\n6.3 %": 0.063,  # Li et al. 2023, arXiv:2210.06313
    "T5-Base\n3.0 %": 0.030,
    "L1 language\nmodels: < 1 %": 0.01,  # arXiv:2603.23198
}
TICKS = (1, 2, 4, 10, 20, 50, 100)


def run(
    directory: str | Path,
    *,
    study: str = "arms",
    seeds: Sequence[int] = tuple(range(5)),
    quick: bool = False,
    trained_only: bool = False,
    done: str | Path | None = None,
    progress: Progress = quiet,
) -> str:
    """Train what is missing in `directory/runs` and write the study into `directory/study`.

    It holds `runs.parquet`, `table.md` and `transformers.png`. A training that was stopped goes on
    from its last look. The test plays are read after the last training.

    Parameters
    ----------
    directory
        Where networks and study are kept.
    study
        One of `STUDIES`.
    seeds
        Of the networks; arms share them, and each seed passes through all arms before the next.
    quick
        Networks of 32 units and 20 steps instead: to see that it runs, not to learn from.
    trained_only
        Whether to train nothing, and to write the study of the networks that there are.
    done
        A `runs.parquet` of networks that are trained: they are not trained again.
    progress
        Told how far the study is.

    Returns
    -------
    str
        The tables.

    Raises
    ------
    ValueError, OSError
        On an unknown study, no seeds, no trained network where no other is wanted, plays that are
        not there, a file that is no `runs.parquet`, and a directory that cannot be written.
    """
    if study not in STUDIES:
        raise ValueError(f"no study {study!r}; there are: {', '.join(STUDIES)}")
    if not seeds:
        raise ValueError("seeds is empty: nothing to train")
    directory, known = Path(directory), done_in(done)
    arms = STUDIES[study].items()
    todo = [_Training(arm, seed, spec, quick) for seed in seeds for arm, spec in arms]
    text = _short(texts.load("plays")) if quick else texts.load("plays")
    if not trained_only:
        for k, training in enumerate(todo):
            part = part_of(progress, k / len(todo), (k + 1) / len(todo), training.arm)
            if training.name not in known:
                training.train(directory / "runs", text, part)
    there = [one for one in todo if one.name in known or one.summary(directory / "runs").exists()]
    rows = []
    for k, one in enumerate(there):
        progress(k / len(there), f"reads the test plays: {one.arm}"[:40])
        rows.append(known.get(one.name) or one.row(directory / "runs", text))
    if not rows:
        raise ValueError(f"{directory / 'runs'} has no trained network of the study {study!r}")
    tables = table(rows)
    finish(rows, tables, directory / study)
    figure(rows, directory / study / "transformers.png")
    return tables


class _Training:
    """One seed of one arm."""

    def __init__(self, arm: str, seed: int, spec: TransformerTrainSpec, quick: bool) -> None:
        spec = _quick(spec) if quick else spec
        self.arm, self.spec = arm, spec.model_copy(update={"seed": seed})
        self.name = run_name(arm, seed, self.spec.model_dump_json(exclude_defaults=True))

    def summary(self, directory: Path) -> Path:
        """Return the file that is written once the network is trained."""
        return directory / f"{self.name}.json"

    def train(self, directory: Path, text: TextSplits, progress: Progress) -> None:
        """Train the network, unless it is there."""
        if self.summary(directory).exists():
            return
        checkpoint = directory / f"{self.name}.checkpoint"
        found = train(self.spec, text, device="cpu", checkpoint=checkpoint, progress=progress)
        save_result(found, directory / f"{self.name}.safetensors")
        checkpoint.unlink(missing_ok=True)

    def row(self, directory: Path, text: TextSplits) -> Row:
        """Read the test plays with the trained network, and return all that is known of it."""
        known = json.loads(self.summary(directory).read_text(encoding="utf-8"))
        network = load(directory / f"{self.name}.safetensors")
        validation, test = known["validation"], evaluate(network, text.test)
        return {
            "name": self.name,
            "arm": self.arm,
            "seed": self.spec.seed,
            "spec": self.spec.model_dump_json(exclude_defaults=True),
            "steps": self.spec.steps,
            "d_ff": self.spec.network.d_ff,
            "n_parameters": sum(p.numel() for p in network.parameters()),
            "validation_bits": validation["bits_per_character"],
            "test_bits": test.bits_per_character,
            "active_fraction": test.active_fraction,
            "active_by_layer": list(test.active),
            "alive_by_layer": list(test.alive),
            "cpu_s": known["cpu_s"],
        }


def _quick(spec: TransformerTrainSpec) -> TransformerTrainSpec:
    network = spec.network.model_copy(
        update={"d_model": 16, "d_ff": spec.network.d_ff // 24, "heads": 2, "context": 32}
    )
    return spec.model_copy(update={"network": network, "steps": spec.steps // 50})


def _short(text: TextSplits) -> TextSplits:
    return replace(text, validation=text.validation[:4000], test=text.test[:4000])


def dense_arm(rows: Sequence[Row]) -> str:
    """Return the dense arm that does best on the validation plays.

    Raises
    ------
    ValueError
        Where there is none.
    """
    found = {arm: _of(rows, arm, "validation_bits") for arm in DENSE}
    there = {arm: float(np.mean(bits)) for arm, bits in found.items() if bits}
    if not there:
        raise ValueError(f"none of the dense arms is trained: {' and '.join(DENSE)}")
    return min(there, key=lambda arm: there[arm])


def table(rows: Sequence[Row]) -> str:
    """Return two Markdown tables of at most 88 columns, of the test plays.

    What an arm costs compared with the best dense one and with the one that is not steered, paired
    by seed; and how active it is.
    """
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    dense = dense_arm(rows)
    dense_s = np.mean(_of(rows, dense, "cpu_s"))
    cost, activity = [], []
    for arm in arms:
        mine = [row for row in rows if row["arm"] == arm]
        cost.append(
            [
                arm,
                f"{len(mine)}",
                f"{mean(_of(rows, arm, 'test_bits')).mean:.3f}",
                *(_compared(rows, arm, other) for other in (dense, UNSTEERED)),
                f"{np.mean(_of(rows, arm, 'cpu_s')) / dense_s:.2f}",
            ]
        )
        activity.append(
            [
                arm,
                f"{mine[0]['steps']:,}",
                f"{100 * np.mean(_of(rows, arm, 'active_fraction')):.2f}",
                _by_layer(mine, "active_by_layer"),
                _by_layer(mine, "alive_by_layer"),
                f"{np.mean(_of(rows, arm, 'validation_bits')):.3f}",
            ]
        )
    head = ["bits a character", "seeds", "test", f"from {dense}", f"from {UNSTEERED}", "time"]
    other = ["arm", "steps", "active %", "by layer", "alive % by layer", "validation"]
    return f"{markdown(head, cost)}\n\n{OVER_SEEDS}\n\n{markdown(other, activity)}"


def _of(rows: Sequence[Row], arm: str, quantity: str) -> list[float]:
    return [row[quantity] for row in rows if row["arm"] == arm]


def _compared(rows: Sequence[Row], arm: str, other: str) -> str:
    """Return the difference of an arm from another, over the seeds that both have."""
    if arm == other or not {row["seed"] for row in rows if row["arm"] == arm} & {
        row["seed"] for row in rows if row["arm"] == other
    }:
        return ""
    found = difference(rows, arm, other, "test_bits")
    return found.describe(1, 3) if found.n > 1 else f"{found.mean:+.3f}"


def _by_layer(rows: Sequence[Row], name: str) -> str:
    """Return the mean share of each layer in per cent, with two digits or as a whole number."""
    shares = 100 * np.mean([row[name] for row in rows], axis=0)
    return ", ".join(f"{share:.0f}" if share >= 10 else f"{share:.2g}" for share in shares)


def figure(rows: Sequence[Row], path: Path) -> None:
    """Write the figure of `bits_over_active`, as PNG and SVG."""
    plots.save(path, lambda ax: bits_over_active(rows, ax), inches=(7, 5.2), also=[".svg"])


def bits_over_active(rows: Sequence[Row], ax: Axes) -> Axes:
    """Draw bits per character on the test plays over the share of active units.

    A small dot a seed, a large one an arm's mean, with its 95 % interval over seeds where there are
    several. Published shares are marks above: their networks and data are others.
    """
    band = bands()["glorot2011"]
    ends = {"xmin": 100 * band.low, "xmax": 100 * band.high}
    ax.axvspan(**ends, color=plots.BAND_COLOUR, alpha=0.45, lw=0, label="brain: 1-4 %")
    for k, (name, arms) in enumerate(SERIES.items()):
        there = [arm for arm in arms if _of(rows, arm, "test_bits")]
        if not there:
            continue
        colour, marker = plots.COLOURS[k], plots.MARKERS[k]
        for arm in there:
            shares = 100 * np.array(_of(rows, arm, "active_fraction"))
            ax.plot(shares, _of(rows, arm, "test_bits"), ".", color=colour, ms=4, alpha=0.5)
        means = [mean(_of(rows, arm, "test_bits")) for arm in there]
        ax.errorbar(
            [100 * np.mean(_of(rows, arm, "active_fraction")) for arm in there],
            [each.mean for each in means],
            None if any(each.n == 1 for each in means) else [m.high - m.mean for m in means],
            fmt=marker, color=colour, ms=6, lw=1, capsize=3, label=name,
        )  # fmt: skip
    _mark_published(ax)
    ax.set(xscale="log", xlim=(0.7, 140), xticks=TICKS, ylabel="bits per character, test plays")
    ax.set_xlabel("active units (%)")
    if finding := _finding(rows):
        ax.set_title(finding, pad=30, loc="left")
    ax.xaxis.set_major_formatter(plots.look.plain)
    ax.minorticks_off()
    plots.legend_below(ax, ncols=2)
    return ax


def _finding(rows: Sequence[Row]) -> str:
    """Return what the sparsest arm gains in the dense network's time; nothing where it is not."""
    arms = ("GELU", "1 %, same time")
    dense, sparse = (_of(rows, arm, "test_bits") for arm in arms)
    if not (dense and sparse):
        return ""
    fewer = np.mean(dense) - np.mean(sparse)
    than = f"{abs(fewer):.2f} bits {'fewer' if fewer > 0 else 'more'} than GELU"
    return f"1 % active, trained for no longer: {than}"


def _mark_published(ax: Axes) -> None:
    """Mark published shares above the axes, since they have no bits per character."""
    where = ax.get_xaxis_transform()
    for name, share in PUBLISHED.items():
        marker = "<" if "<" in name else "v"
        ax.plot([100 * share], [1], marker, color="0.3", ms=5, clip_on=False, transform=where)
        ax.annotate(
            name, (100 * share, 1), xycoords=where, xytext=(0, 5), textcoords="offset points",
            fontsize=7, color="0.3", ha="center", va="bottom",
        )  # fmt: skip
