"""The networks of a study: trained once, measured as `train` does, and never chosen by what the
test images say.
"""

from pathlib import Path

import numpy as np
import pytest

from neurosparse import data
from neurosparse.rectifier import NetworkSpec, TrainSpec, train
from neurosparse.rectifier.evaluation import evaluate
from neurosparse.rectifier.specs import PretrainSpec
from neurosparse.studies import runs
from neurosparse.studies.runs import Run, done_in, finish, read, run_all, write

SMALL = NetworkSpec(sizes=(16, 24, 24, 3))


@pytest.fixture
def images(tmp_path: Path) -> str:
    """The path of a set of 200, 40 and 60 images of three classes; the first pixels give the class
    away.
    """
    return _images(tmp_path / "images.npz")


def _images(path: Path, shift: int = 0) -> str:
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 200), ("validation", 40), ("test", 60)):
        labels = rng.integers(0, 3, n)
        x = rng.random((n, 4, 4), dtype=np.float32) * 0.6
        x.reshape(n, -1)[np.arange(n), labels] += 0.4
        arrays |= {f"x_{part}": x, f"y_{part}": (labels + shift * (part == "test")) % 3}
    np.savez(path, **arrays)
    return str(path)


def spec_of(images: str, **changes: object) -> TrainSpec:
    return TrainSpec(network=SMALL, data=images, epochs=2, learning_rate=0.1).model_copy(
        update=changes
    )


def test_a_row_says_what_train_and_evaluate_say(images, tmp_path) -> None:
    spec = spec_of(images, l1=0.001, seed=3)
    (row,) = run_all([Run("one", spec)], tmp_path / "runs")
    alone = train(spec, device="cpu")
    test = evaluate(alone.network, data.load(images).test)
    assert (row["test_error"], row["validation_error"]) == (
        alone.test_error,
        alone.validation_error,
    )
    assert row["validation_nll"] == alone.best.validation_loss
    assert row["active_by_layer"] == [layer.active_fraction for layer in test.layers.values()]
    assert row["alive_by_layer"] == [layer.n_alive / 24 for layer in test.layers.values()]
    assert row["zeros_percent"] == pytest.approx(100 - 100 * test.active_fraction)
    assert (row["arm"], row["seed"], row["l1"], row["samples"]) == ("one", 3, 0.001, 200)
    assert row["cpu_s"] > 0


def test_what_is_done_is_not_done_again(images, tmp_path, monkeypatch) -> None:
    todo = [Run("a", spec_of(images, seed=seed)) for seed in range(3)]
    told = []
    first = run_all(todo[:2], tmp_path, progress=lambda done, text: told.append((done, text)))
    assert told[-1][0] == 1.0
    assert all(len(text) <= 40 for _, text in told)
    trained = []
    real = runs.train
    monkeypatch.setattr(
        runs,
        "train",
        lambda spec, *args, **options: trained.append(spec.seed) or real(spec, *args, **options),
    )
    again = run_all(todo, tmp_path)
    assert trained == [2]
    assert again[:2] == first
    assert len(list(tmp_path.glob("*.parquet"))) == 3


def test_what_is_done_elsewhere_is_not_done_again(images, tmp_path, monkeypatch) -> None:
    todo = [Run("a", spec_of(images, seed=seed)) for seed in range(2)]
    finish(run_all(todo, tmp_path / "there"), "text", tmp_path / "study")
    known = done_in(tmp_path / "study" / "runs.parquet")
    monkeypatch.setattr(runs, "train", None)
    assert run_all(todo, tmp_path / "here", done=known) == list(known.values())
    assert not (tmp_path / "here").exists()
    assert done_in(None) == {}


def test_a_file_that_holds_no_runs_is_refused(tmp_path) -> None:
    (tmp_path / "text.parquet").write_text("name,arm\n")
    write([{"arm": "a"}], tmp_path / "other.parquet")
    for name, message in (("text", "no Parquet file"), ("other", "rows without a name")):
        with pytest.raises(ValueError, match=message):
            done_in(tmp_path / f"{name}.parquet")
    with pytest.raises(FileNotFoundError):
        done_in(tmp_path / "missing.parquet")


def test_what_was_done_before_a_failure_stays(images, tmp_path) -> None:
    wrong = Run("wrong", spec_of(images, network=NetworkSpec(sizes=(17, 24, 3))))
    with pytest.raises(ValueError, match="first of the network's sizes must be 16"):
        run_all([Run("a", spec_of(images)), wrong], tmp_path)
    assert [path.name[:2] for path in tmp_path.glob("*.parquet")] == ["a-"]


def test_what_is_interrupted_ends_at_once_and_leaves_nothing(images, tmp_path) -> None:
    endless = Run("endless", spec_of(images, epochs=10**6))

    def interrupt(done: float, text: str) -> None:
        if text.startswith("short"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all([Run("short", spec_of(images)), endless], tmp_path, threads=2, progress=interrupt)
    assert list(tmp_path.glob("*.parquet")) == []


def test_networks_at_once_are_those_of_one_after_another(images, tmp_path) -> None:
    todo = [Run("a", spec_of(images, seed=seed)) for seed in range(4)]
    alone, together = (
        run_all(todo, tmp_path / "alone"),
        run_all(todo, tmp_path / "together", threads=2),
    )
    for row, other in zip(alone, together, strict=True):
        assert {**row, "cpu_s": 0} == {**other, "cpu_s": 0}


def test_test_labels_change_nothing_but_the_test(images, tmp_path) -> None:
    other = _images(tmp_path / "other.npz", shift=1)
    rows = [
        run_all([Run("a", spec_of(name, target_active=0.1))], tmp_path / "runs")[0]
        for name in (images, other)
    ]
    free = {"test_error", "test_nll", "cpu_s", "data", "spec", "name"}
    assert rows[0]["test_error"] != rows[1]["test_error"]
    assert {k: v for k, v in rows[0].items() if k not in free} == {
        k: v for k, v in rows[1].items() if k not in free
    }


def test_few_labels_and_pretraining(images, tmp_path) -> None:
    before = PretrainSpec(
        network=SMALL, data=images, epochs=1, learning_rate=0.001, reconstruction="linear"
    )
    plain, few, tuned = run_all(
        [
            Run("plain", spec_of(images)),
            Run("few", spec_of(images), n_labels=30),
            Run("tuned", spec_of(images), before, n_labels=30),
        ],
        tmp_path,
    )
    assert [row["samples"] for row in (plain, few, tuned)] == [200, 30, 30]
    assert tuned["validation_nll"] != few["validation_nll"]
    assert (few["pretraining"], PretrainSpec.model_validate_json(tuned["pretraining"])) == (
        None,
        before,
    )


def test_every_setting_has_a_file_of_its_own(images) -> None:
    spec = spec_of(images)
    several = [
        Run("a", spec),
        Run("b", spec),
        Run("a", spec_of(images, seed=1)),
        Run("a", spec_of(images, l1=0.1)),
        Run("a", spec, n_labels=10),
        Run("a", spec, PretrainSpec()),
    ]
    assert len({run.name for run in several}) == len(several)
    # defaults spelled out
    assert Run("a", TrainSpec(epochs=TrainSpec().epochs)).name == Run("a", TrainSpec()).name
    assert " " not in Run("4 %", spec).name


def test_rows_come_back_as_they_were(tmp_path) -> None:
    rows = [{"arm": "a", "shares": [0.1, 0.2], "text": None, "n": 3}]
    write(rows, tmp_path / "rows.parquet")
    assert read(tmp_path / "rows.parquet") == rows
