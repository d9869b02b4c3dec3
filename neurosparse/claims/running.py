"""Run claims, and write what came out: claims.json, claims.parquet, a table and a figure each."""

from __future__ import annotations

import json
import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from neurosparse import data, plots, recipes
from neurosparse._internal import checks
from neurosparse._internal import whole_files as files
from neurosparse._internal.names import for_figure
from neurosparse._internal.tables import markdown
from neurosparse._internal.types import Fields, FieldsView
from neurosparse.claims.frame import Effect, Finding, examine, in_points
from neurosparse.claims.lab import QUICK, Lab, LabSpec
from neurosparse.claims.registry import load, names
from neurosparse.claims.stored import File, entry_of, finding_of, quantity_of
from neurosparse.data import Splits
from neurosparse.data.images import check_splits
from neurosparse.progress import Progress, part_of, quiet
from neurosparse.rectifier.checkpoints import fingerprint
from neurosparse.report import Measured, Panel, Verdict, environment
from neurosparse.studies.runs import write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RESULT, TABLE = "claims.json", "claims.md"
_FORMAT = "neurosparse claims 1"
_TRAINING = 0.9  # of the time, or more, where all networks have to be trained
_HEADING = "The paper's claims, put to the test"


def run(
    directory: str | Path,
    numbers: Sequence[int] = (),
    *,
    spec: LabSpec = QUICK,
    splits: Splits | None = None,
    threads: int = 1,
    progress: Progress = quiet,
) -> list[Finding]:
    """Put claims to the test.

    Networks that a claim needs and that are not yet in `directory`/networks are trained, and stay
    there. So a run that was stopped goes on, and a second one with the same spec and images trains
    nothing. The findings of other claims that stand in `directory` stay there too, and the files
    hold all of them.

    Parameters
    ----------
    directory
        Gets claims.json, claims.parquet (a row a claim, seed and quantity), claims.md and
        figures/claim_NN.png.
    numbers
        Of the claims; by default all.
    spec
        Images, networks and seeds: `QUICK`, `FULL`, or another.
    splits
        The images, in place of those of `spec.data`.
    threads
        Networks trained at once.
    progress
        Told the share that is done, and what is done now.

    Raises
    ------
    ValueError, OSError
        For a claim that there is not, and where every seed of a claim has a training that diverges.
        Where `directory` holds findings of another spec or other images, and as `Lab.prepare`.
    """
    directory = checks.path("directory", directory)
    chosen = {number: load(number) for number in sorted(set(numbers)) or names()}
    files.check_file(directory / RESULT)
    splits = data.load(spec.data) if splits is None else splits
    check_splits(splits)
    images = fingerprint(splits)[:12]
    before = _found_before(directory / RESULT, spec, images)
    lab = Lab(spec, splits, directory / "networks" / images)
    arms = list(dict.fromkeys(arm for module in chosen.values() for arm in module.CLAIM.arms))
    training = _TRAINING if lab.missing(arms) else 0.0
    failures = lab.prepare(arms, threads=threads, progress=part_of(progress, 0.0, training))
    lost = {
        number: {
            seed: str(error) for (arm, seed), error in failures.items() if arm in module.CLAIM.arms
        }
        for number, module in chosen.items()
    }
    if hopeless := [number for number, seeds in lost.items() if len(seeds) == spec.n_seeds]:
        raise ValueError(f"claim {hopeless[0]} has no seed left: {min(lost[hopeless[0]].values())}")
    found, entries = [], {each["number"]: each for each in before}
    for k, (number, module) in enumerate(chosen.items()):
        rows = {}
        for i, seed in enumerate(seed for seed in spec.seeds if seed not in lost[number]):
            done = (k + i / spec.n_seeds) / len(chosen)
            progress(training + (1 - training) * done, f"claim {number}, seed {seed}")
            rows[seed] = module.measure(lab, seed)
        left_out = [f"seed {seed}: {why}" for seed, why in sorted(lost[number].items())]
        found.append(examine(number, module.CLAIM, list(rows.values()), left_out))
        entries[number] = entry_of(found[-1], rows)
    for panel in panels(found)[1:]:
        _figure(panel, directory / "figures" / f"{panel.key}.png")
    _write(directory, spec, images, [entries[number] for number in sorted(entries)])
    progress(1.0, f"{len(found)} of {len(chosen)} claims")
    return found


def read(directory: str | Path) -> list[Finding]:
    """Read the findings that `run` wrote into a folder, with the criteria of then.

    Raises
    ------
    FileNotFoundError, ValueError
        Where there are none, or the file is not one of these; one sentence.
    """
    return _read(checks.path("directory", directory) / RESULT)[1]


def overview(directory: str | Path) -> Panel:
    """Show what `run` wrote into a folder as one part of a page.

    Every claim with its verdict, or how to get there.

    Raises
    ------
    ValueError
        Where the file is not one of these; one sentence.
    """
    path = checks.path("directory", directory) / RESULT
    if not path.is_file():
        untested: list[FieldsView] = [
            {"claim": number, "says": load(number).CLAIM.text, "verdict": "not tested yet"}
            for number in names()
        ]
        remedy = (
            "Run “neurosparse claims”, which takes minutes, and then “neurosparse compare” again."
        )
        return Panel("claims", _HEADING, remedy, table=untested, section="claims")
    content, findings = _read(path)
    spec, head = LabSpec(**content["lab"]), panels(findings)[0]
    on = (
        f"Networks of three layers of {spec.width:,} units, trained on {spec.data}. A figure for"
        f" each is in {path.parent}/figures."
    )
    return replace(head, caption=f"{head.caption} {on}")


def _found_before(path: Path, spec: LabSpec, images: str) -> list[Fields]:
    """Return the findings of a file as it has them.

    Refused where they could not stand next to those of this spec and these images.
    """
    if not path.is_file():
        return []
    content, _ = _read(path)
    then = LabSpec(**content["lab"]).model_dump() | {"images": content.get("images", images)}
    now = spec.model_dump() | {"images": images}
    if other := [
        f"{name} {then[name]}, not {value}" for name, value in now.items() if then[name] != value
    ]:
        raise ValueError(
            f"{path} holds findings of {'; '.join(other)}: give these a folder of their own (-o)"
        )
    findings: list[Fields] = content["findings"]
    return findings


def _read(path: Path) -> tuple[Fields, list[Finding]]:
    if not path.is_file():
        raise FileNotFoundError(f"no findings in {path}: run `neurosparse claims` first")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise ValueError(f"its format is not {_FORMAT!r}")
        recipes.build(File, content, what="it")
        return content, [finding_of(each) for each in content["findings"]]
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        message = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path} was not written by `neurosparse claims`: {message}") from None
    except (RecursionError, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None


def table(findings: Sequence[Finding]) -> str:
    """Format findings as a Markdown table, a line for each criterion."""
    findings = _checked(findings)
    lines = [
        [
            str(finding.number),
            finding.verdict,
            effect.criterion.text,
            effect.describe(),
            effect.criterion.range(),
        ]
        for finding in findings
        for effect in finding.effects
    ]
    head = ["claim", "verdict", "measured", "effect [95 %]", "holds if"]
    return markdown(head, lines, texts=3)


def panels(findings: Sequence[Finding]) -> list[Panel]:
    """Return the parts of the page: all findings as one table, then a figure for each."""
    findings = _checked(findings)
    if not findings:
        raise ValueError("findings is empty: nothing to show")
    n_seeds = findings[0].effects[0].mean.n
    found = Counter(finding.verdict for finding in findings)
    head = Panel(
        "claims",
        _HEADING,
        f"Claims that hold: {found['holds']} of {len(findings)}; that do not hold here:"
        f" {found['does not hold here']}; undecided: {found['undecided']}. Each effect is a mean"
        f" over {n_seeds} seeds with its 95 % interval, that of an error over test images as well."
        " A claim holds where the interval lies within the range that was written down beforehand."
        " It does not hold here where the interval lies outside, and is undecided otherwise. Of"
        " several criteria all must hold.",
        table=[
            {
                "claim": finding.number,
                "says": finding.claim.text,
                "verdict": finding.verdict,
                "found": "; ".join(
                    f"{effect.criterion.text}: {effect.describe()}, holds if"
                    f" {effect.criterion.range()}"
                    for effect in finding.effects
                ),
            }
            for finding in findings
        ],
        section="claims",
        verdicts=[_verdict(finding) for finding in findings],
    )
    return [head, *(_panel(finding) for finding in findings)]


def _verdict(finding: Finding) -> Verdict:
    """Return a finding as a chip of the page."""
    return Verdict(
        finding.number,
        finding.claim.text,
        finding.verdict,
        tuple(
            Measured(
                text=e.criterion.text,
                effect=e.describe(),
                holds_if=e.criterion.range(),
                mean=e.mean.mean,
                low=e.mean.low,
                high=e.mean.high,
                least=e.criterion.low,
                most=e.criterion.high,
            )
            for e in finding.effects
        ),
        limits=finding.claim.limits,
    )


def _panel(finding: Finding) -> Panel:
    claim = finding.claim
    also = "; ".join(
        f"{name.replace('_', ' ')} {value.mean:.3g}" for name, value in finding.also.items()
    )
    words = [
        f"{claim.text} ({claim.source}.) Here: {finding.verdict}.",
        claim.limits,
        also and f"Also measured: {also}.",
        *(f"Left out: {each}." for each in finding.left_out),
    ]

    def draw(*axes: Axes) -> None:
        for effect, ax in zip(finding.effects, axes, strict=True):
            draw_effect(effect, ax)
        axes[0].legend(loc="best")

    title = f"Claim {finding.number}: {finding.verdict}"
    return Panel(
        f"claim_{finding.number:02}",
        title,
        " ".join(filter(None, words)),
        draw,
        len(finding.effects),
    )


def draw_effect(effect: Effect, ax: Axes) -> None:
    """Draw the values of the seeds, their mean and its interval.

    The range in which the claim holds is shaded.
    """
    criterion, mean = effect.criterion, effect.mean
    seeds = range(1, len(effect.values) + 1)
    ax.plot(seeds, effect.values, "o", color=plots.COLOURS[0], label="a seed")
    ax.axhline(mean.mean, color=plots.COLOURS[0], lw=1.2, label="mean, 95 % interval")
    if math.isfinite(mean.low):
        ax.axhspan(mean.low, mean.high, color=plots.COLOURS[0], alpha=0.15, lw=0)
    ends = [end for end in (criterion.low, criterion.high) if math.isfinite(end)]
    ax.set(xlabel="seed", xticks=list(seeds), ylabel=for_figure(criterion.unit or "value"))
    low, high = min([*effect.values, mean.low, *ends]), max([*effect.values, mean.high, *ends])
    room = 0.15 * (high - low) or 0.5
    ax.set_ylim(low - room, high + room)
    ax.axhspan(
        max(criterion.low, low - room),
        min(criterion.high, high + room),
        color=plots.COLOURS[2],
        alpha=0.15,
        lw=0,
        label="holds",
    )
    for end in ends:
        ax.axhline(end, color=plots.COLOURS[2], lw=1, ls="--")
    title = for_figure(criterion.text, most=400)
    ax.set_title("\n".join(textwrap.wrap(title, 44)), fontsize=9)


def _write(directory: Path, spec: LabSpec, images: str, entries: Sequence[FieldsView]) -> None:
    content = {
        "format": _FORMAT,
        "lab": spec.model_dump(mode="json"),
        "images": images,
        "provenance": environment(),
        "findings": entries,
    }
    with files.new_file(directory / RESULT) as file:
        file.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
    with files.new_file(directory / TABLE) as file:
        file.write_text(table([finding_of(each) for each in entries]) + "\n", encoding="utf-8")
    long = [
        {
            "claim": each["number"],
            "seed": int(seed),
            "quantity": name,
            "value": in_points(quantity_of(value)),
        }
        for each in entries
        for seed, row in each["seeds"].items()
        for name, value in ((name, in_points(quantity_of(each))) for name, each in row.items())
    ]
    write(long, directory / "claims.parquet")


def _figure(panel: Panel, path: Path) -> None:
    import matplotlib.pyplot as plt

    with plots.style(), files.new_file(path) as file:
        fig, axes = plt.subplots(1, panel.n_axes, figsize=(4.2 * panel.n_axes, 3.4), squeeze=False)
        try:
            if panel.draw is not None:
                panel.draw(*axes[0])
            fig.suptitle(panel.title, x=0.01, ha="left")
            fig.savefig(file, format="png")
        finally:
            plt.close(fig)


def _checked(findings: object) -> list[Finding]:
    return checks.instances("findings", findings, Finding, "neurosparse.claims.run returns them")
