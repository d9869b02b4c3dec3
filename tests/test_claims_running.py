"""All claims on small networks: what is measured, written, read again, and what happens to those
that cannot be trained.
"""

import json
from concurrent.futures import CancelledError
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from neurosparse import claims, data
from neurosparse.claims import lab as lab_module
from neurosparse.claims import running
from neurosparse.cli import app
from neurosparse.data import Splits
from neurosparse.rectifier import DivergenceError, RectifierNetwork

SPEC = claims.LabSpec(width=64, epochs=1, pretraining_epochs=1, n_seeds=2)


@pytest.fixture(scope="module")
def splits() -> Splits:
    whole = data.load("mnist5k")
    parts = (
        whole.train.take(slice(None, None, 10)),
        *(p.take(slice(None, None, 5)) for p in (whole.validation, whole.test)),
    )
    return Splits(whole.name, *parts)


def not_pretrained(spec, *_, **__) -> SimpleNamespace:
    """Pre-training wants more images than a quick test has time for: here it only leads to other
    weights.
    """
    return SimpleNamespace(network=RectifierNetwork(spec.network, seed=spec.seed + 1000))


@pytest.fixture(scope="module")
def every(splits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("claims")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lab_module, "pretrain", not_pretrained)
        return folder, claims.run(folder, spec=SPEC, splits=splits)


@pytest.mark.slow
def test_all_of_it_on_small_networks(tmp_path) -> None:
    findings = claims.run(tmp_path, spec=SPEC)
    assert [finding.left_out for finding in findings] == [()] * len(claims.names())
    assert {finding.number: finding.verdict for finding in findings}[15] == "holds"


def test_every_claim_is_measured(every) -> None:
    _, findings = every
    assert [finding.number for finding in findings] == list(claims.names())
    for finding in findings:
        assert {effect.mean.n for effect in finding.effects} == {2}
        assert finding.claim == claims.load(finding.number).CLAIM


def test_what_follows_from_formulas_holds_on_any_network(every) -> None:
    verdicts = {finding.number: finding.verdict for finding in every[1]}
    assert (verdicts[1], verdicts[15]) == ("holds", "holds")


def test_files(every) -> None:
    folder, findings = every
    again = claims.read(folder)
    assert again == findings
    table = pq.read_table(folder / "claims.parquet").to_pylist()
    values = {(row["claim"], row["seed"], row["quantity"]): row["value"] for row in table}
    for finding in findings:
        for effect in finding.effects:
            assert [
                values[finding.number, seed, effect.criterion.quantity] for seed in (1, 2)
            ] == list(effect.values)
    assert len((folder / "claims.md").read_text().splitlines()) == 2 + sum(
        len(f.effects) for f in findings
    )
    assert sorted(path.name for path in (folder / "figures").iterdir()) == [
        f"claim_{n:02}.png" for n in claims.names()
    ]


def test_networks_are_trained_once(every, splits, monkeypatch) -> None:
    folder, findings = every
    monkeypatch.setattr(lab_module, "train", lambda *_, **__: pytest.fail("trained again"))
    assert claims.run(folder, [5, 3, 5], spec=SPEC, splits=splits) == [findings[2], findings[4]]


def test_the_findings_of_other_claims_stay(every, splits, tmp_path) -> None:
    _, findings = every
    claims.run(tmp_path, [1, 15, 2], spec=SPEC, splits=splits)
    path = tmp_path / running.RESULT
    aged = json.loads(path.read_text())
    for entry in aged["findings"]:  # as if both had been measured otherwise
        entry["seeds"] = {seed: dict.fromkeys(row, 7.0) for seed, row in entry["seeds"].items()}
    path.write_text(json.dumps(aged))
    assert claims.run(tmp_path, [2], spec=SPEC, splits=splits) == [findings[1]]
    one, two, fifteen = claims.read(tmp_path)
    assert (one.effects[0].values, two, fifteen.effects[0].values) == (
        (7.0, 7.0),
        findings[1],
        (7.0, 7.0),
    )
    rows = pq.read_table(tmp_path / "claims.parquet").to_pylist()
    assert {row["value"] == 7.0 for row in rows if row["claim"] != 2} == {True}
    assert len((tmp_path / "claims.md").read_text().splitlines()) == 2 + sum(
        len(f.effects) for f in (one, two, fifteen)
    )


@pytest.mark.parametrize("numbers", [[2], []])
def test_findings_of_another_spec_are_not_mixed_nor_replaced(
    every, splits, tmp_path, numbers
) -> None:
    claims.run(tmp_path, [2], spec=SPEC, splits=splits)
    before = (tmp_path / running.RESULT).read_bytes()
    other = SPEC.model_copy(update={"width": 32})
    with pytest.raises(
        ValueError,
        match=r"holds findings of width 64, not 32: give these a folder of their own \(-o\)",
    ):
        claims.run(tmp_path, numbers, spec=other, splits=splits)
    fewer = Splits(splits.name, splits.train.take(slice(50)), splits.validation, splits.test)
    with pytest.raises(ValueError, match=r"holds findings of images [0-9a-f]{12}, not "):
        claims.run(tmp_path, numbers, spec=SPEC, splits=fewer)
    assert (tmp_path / running.RESULT).read_bytes() == before


def test_other_settings_are_other_networks(splits, tmp_path) -> None:
    paths = {
        claims.Lab(spec, splits, tmp_path).path(arm, seed)
        for spec in (
            SPEC,
            *(
                SPEC.model_copy(update={key: 9})
                for key in ("width", "epochs", "pretraining_epochs")
            ),
        )
        for arm in lab_module.ARMS
        for seed in (1, 2)
    }
    same = len(lab_module.ARMS) - 2  # arms that a longer pre-training leaves alone
    assert len(paths) == 2 * (4 * len(lab_module.ARMS) - same)


def test_threads_change_nothing(splits, tmp_path) -> None:
    labs = [claims.Lab(SPEC, splits, tmp_path / name) for name in ("one", "two")]
    for lab, threads in zip(labs, (1, 2), strict=True):
        assert lab.prepare(["tanh", "few_labels"], threads=threads) == {}
    for arm in ("tanh", "few_labels"):
        first, second = (lab.network(arm, 2).state_dict() for lab in labs)
        assert all(torch.equal(first[name], second[name]) for name in first)


def diverging(*broken: int):
    """`train`, but for some seeds."""
    train = lab_module.train

    def sometimes(spec, *args, **options):
        if spec.seed in broken:
            raise DivergenceError("training diverged")
        return train(spec, *args, **options)

    return sometimes


def test_a_seed_that_cannot_be_trained_is_left_out_and_named(splits, tmp_path, monkeypatch) -> None:
    spec = SPEC.model_copy(update={"n_seeds": 3})
    monkeypatch.setattr(lab_module, "train", diverging(2))
    found = claims.run(tmp_path, [2, 4], spec=spec, splits=splits)
    assert [finding.effects[0].mean.n for finding in found] == [3, 2]  # claim 2 needs no training
    assert found[1].left_out == ("seed 2: training diverged",)
    assert claims.read(tmp_path) == found
    assert "Left out: seed 2: training diverged." in claims.panels(found)[2].caption
    monkeypatch.setattr(lab_module, "train", diverging(1, 2, 3))
    with pytest.raises(ValueError, match="claim 5 has no seed left: training diverged"):
        claims.run(tmp_path / "none", [5], spec=spec, splits=splits)


def test_panels(every) -> None:
    import matplotlib.pyplot as plt

    head, *others = claims.panels(every[1])
    assert [(row["claim"], row["verdict"]) for row in head.table] == [
        (f.number, f.verdict) for f in every[1]
    ]
    for row, finding in zip(head.table, every[1], strict=True):
        assert all(effect.describe() in row["found"] for effect in finding.effects)
    held = sum(finding.verdict == "holds" for finding in every[1])
    assert head.caption.startswith(f"Claims that hold: {held} of {len(claims.names())}; ")
    for panel, finding in zip(others, every[1], strict=True):
        assert panel.n_axes == len(finding.effects)
        assert finding.claim.text in panel.caption
    _, axes = plt.subplots(1, others[6].n_axes)
    others[6].draw(*axes)
    for ax, effect in zip(axes, every[1][6].effects, strict=True):
        assert list(ax.lines[0].get_ydata()) == list(effect.values)
        assert ax.get_ylim()[0] < effect.mean.low < effect.mean.high < ax.get_ylim()[1]
    plt.close("all")
    with pytest.raises(ValueError, match="findings is empty"):
        claims.panels([])


def test_overview(every, tmp_path) -> None:
    folder, _ = every
    shown = claims.overview(folder)
    assert shown.table == claims.panels(claims.read(folder))[0].table
    assert "three layers of 64 units, trained on mnist5k" in shown.caption
    untested = claims.overview(tmp_path)
    assert "Run “neurosparse claims”" in untested.caption
    assert [(row["claim"], row["verdict"]) for row in untested.table] == [
        (n, "not tested yet") for n in claims.names()
    ]
    (tmp_path / running.RESULT).write_text("{}")
    with pytest.raises(ValueError, match="was not written by `neurosparse claims`"):
        claims.overview(tmp_path)


def test_a_finding_in_a_notebook(every) -> None:
    finding = every[1][1]
    shown = finding._repr_html_()
    assert f"Claim 2: {finding.verdict}" in shown
    assert finding.effects[0].describe() in shown


def test_some_test_images_are_of_all_classes(splits, tmp_path) -> None:
    some = claims.Lab(SPEC, splits, tmp_path).some_test_images(100)
    assert set(some.labels) == set(splits.test.labels)


def test_what_is_stopped_goes_on(splits, tmp_path, monkeypatch) -> None:
    """The networks that are done stay; those under way end at their next report, so that Ctrl-C
    needs no patience.
    """
    lab = claims.Lab(SPEC, splits, tmp_path)
    train, trained, cut_short = lab_module.train, [], []

    def interrupted(spec, *args, progress, **options):
        trained.append(spec.seed)
        if len(trained) == 3:  # the other thread has a network that only a stop can end
            raise KeyboardInterrupt
        if len(trained) == 2:
            try:
                while True:
                    progress(0.5, "under way")
            except CancelledError:
                cut_short.append(spec.seed)
                raise
        return train(spec, *args, progress=progress, **options)

    monkeypatch.setattr(lab_module, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lab.prepare(["rectifier", "zeros_98"], threads=2)
    assert (len(trained), len(cut_short)) == (3, 1)
    assert len(lab.missing(["rectifier", "zeros_98"])) == 3
    monkeypatch.setattr(
        lab_module, "train", lambda spec, *a, **o: trained.append(spec.seed) or train(spec, *a, **o)
    )
    assert lab.prepare(["rectifier", "zeros_98"]) == {}
    assert len(trained) == 6
    assert lab.missing(["rectifier", "zeros_98"]) == []


def test_the_networks_of_one_seed_start_from_one(splits, tmp_path, monkeypatch) -> None:
    pretrained = []
    monkeypatch.setattr(
        lab_module,
        "pretrain",
        lambda spec, *_, **__: pretrained.append(spec.seed) or not_pretrained(spec),
    )
    claims.Lab(SPEC, splits, tmp_path).prepare(["pretrained", "pretrained_few_labels"], threads=2)
    assert sorted(pretrained) == [1, 2]


def test_the_page_of_the_docs_has_the_criteria_of_the_code() -> None:
    text = (Path(__file__).parents[1] / "docs" / "claims.md").read_text(encoding="utf-8")
    for number in claims.names():
        claim = claims.load(number).CLAIM
        part = text.split(f"**{number}. ")[1].split(f"**{number + 1}.")[0]
        for words in (
            claim.text,
            claim.source,
            claim.limits,
            *(f"- {c.text}: {c.range()}" for c in claim.criteria),
        ):
            assert words in part


@pytest.mark.parametrize(
    ("number", "error", "message"),
    [
        (0, ValueError, "must be >= 1, got 0"),
        (99, ValueError, "claim must be 1 to 18, got 99"),
        (1.0, TypeError, "whole number"),
    ],
)
def test_claims_that_there_are_not(number, error, message) -> None:
    with pytest.raises(error, match=message):
        claims.load(number)


NO_SEEDS = (
    '{"format": "neurosparse claims 1", "findings": [{"number": 1, "claim": {"criteria": [],'
    ' "arms": []}, "seeds": 3}]}'
)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "another"}', NO_SEEDS])
def test_files_of_others_are_refused(tmp_path, content) -> None:
    with pytest.raises(FileNotFoundError, match="run `neurosparse claims` first"):
        claims.read(tmp_path)
    (tmp_path / running.RESULT).write_text(content)
    with pytest.raises(ValueError, match="was not written by `neurosparse claims`"):
        claims.read(tmp_path)


def test_on_the_command_line(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(claims, "QUICK", SPEC, raising=False)
    done = CliRunner().invoke(app, ["claims", "--only", "2", "--only", "1", "-o", str(tmp_path)])
    assert done.exit_code == 0, done.output
    # a path is not broken, whatever its length
    assert max(map(len, done.stdout.replace(str(tmp_path), "out").splitlines())) <= 80
    assert "holds" in done.stdout
    assert [
        each["number"] for each in json.loads((tmp_path / "claims.json").read_text())["findings"]
    ] == [1, 2]
    again = CliRunner().invoke(app, ["claims", "--only", "2", "-o", str(tmp_path)])
    assert "Kept from before: claim 1." in again.stdout
    assert [
        each["number"] for each in json.loads((tmp_path / "claims.json").read_text())["findings"]
    ] == [1, 2]
    refused = CliRunner().invoke(app, ["claims", "--only", "99", "-o", str(tmp_path)])
    assert "must be 1 to 18" in str(refused.exception)
