"""The brain-level study: its arms, its table, its files."""

import numpy as np
import pytest
import torch

from neurosparse import recipes
from neurosparse.rectifier import NetworkSpec, RectifierNetwork, TrainSpec
from neurosparse.sparsity.paired import crossed, mean
from neurosparse.studies import brain_level
from neurosparse.studies.brain_level import DENSE, MOVED, STUDIES
from neurosparse.studies.brain_level_results import OVER_ROTATIONS, table
from neurosparse.studies.runs import misclassified, read, started_at


def rows_of(arm: str, errors: list[float], **changes: object) -> list[dict]:
    base = {
        "test_nll": 0.3,
        "cpu_s": 100.0,
        "epochs": 20,
        "active_fraction": 0.2,
        "active_macs": 700_000.0,
    }
    base |= {"active_by_layer": [0.3, 0.2, 0.1], "alive_by_layer": [1.0, 1.0, 0.5]} | changes
    return [
        {"arm": arm, "seed": seed, "test_error": error, **base} for seed, error in enumerate(errors)
    ]


def test_the_arms_differ_from_the_dense_one_in_what_the_plan_says() -> None:
    for run in (arm for arms in STUDIES.values() for arm in arms):
        name, spec = run.arm, run.spec
        widths = spec.network.sizes[1:-1]
        assert widths == (widths[0],) * 3
        assert (spec.data, spec.batch_size, spec.average_last) == (
            "fashion_mnist",
            10,
            DENSE.average_last,
        )
        assert run.modules == (2 if "x 2" in name else 1)
        assert (spec.augmentation is not None) == name.endswith(("moved", "short", "aug"))
        if not name.startswith("dense"):
            assert np.mean(spec.targets) == pytest.approx(float(name.split()[0]) / 100)


def test_the_rotated_arms_are_the_trials_that_did_best() -> None:
    found = {run.arm: run.spec for run in STUDIES["rotated"]}
    assert {name: spec.epochs for name, spec in found.items()} == {
        "dense 40 moved": 40,
        "4 % 80 moved": 80,
        "2 % 90 moved": 90,
        "1 % 100 moved": 100,
    }
    assert {spec.label_smoothing for spec in found.values()} == {0.1}


def test_the_recipe_is_the_arm() -> None:
    assert recipes.load("fashion_4_percent").spec(TrainSpec) == MOVED[1].spec


def test_the_table_by_hand() -> None:
    rows = rows_of("dense", [0.10, 0.12]) + rows_of("4 %", [0.11, 0.14], cpu_s=50.0, test_nll=0.25)
    cost, note, activity = table(rows).split("\n\n")
    assert note == "±: half of the 95 % interval over seeds (Student's t)."
    # differences 1 and 2 points: mean 1.5, half of the interval 12.7062 * 0.70711 / sqrt 2
    assert cost.startswith("| 2 seeds |")
    assert [cell.strip() for cell in cost.splitlines()[-1].split("|")[1:-1]] == [
        *("4 %", "12.50", "+1.50 ± 6.35", "0.250", "-0.050 ± 0.000", "0.50")
    ]
    assert [cell.strip() for cell in activity.splitlines()[2].split("|")[1:-1]] == [
        *("dense", "20", "20.00", "30, 20, 10", "100, 100, 50", "700")
    ]
    assert max(map(len, table(rows).splitlines())) <= 80


def test_while_settings_are_chosen_the_table_knows_validation_images_alone() -> None:
    rows = rows_of("dense", [0.10, 0.12]) + rows_of("4 %", [0.11, 0.14])
    for row in rows:
        row |= {"validation_error": row.pop("test_error"), "validation_nll": row.pop("test_nll")}
    assert "| +1.50 ± 6.35 |" in table(rows, "validation")


def test_arms_from_10_percent_start_there() -> None:
    images = np.random.default_rng(0).random((400, 784), dtype=np.float32)
    for run in STUDIES["from_10"][1:]:
        assert (run.start_active, run.spec.target_start) == (0.1, 0.1)
    spec = TrainSpec(network=NetworkSpec(sizes=(784, 40, 30, 10)), seed=3)
    network = started_at(spec, images, 0.1)
    found = network.activations(torch.from_numpy(images))
    for layer in network.layers:
        assert float((found[layer] > 0).double().mean()) == pytest.approx(0.1, abs=0.001)
    plain = RectifierNetwork(spec.network, seed=3)
    assert all(
        torch.equal(a.weight, b.weight)
        for a, b in zip(network.linears(), plain.linears(), strict=True)
    )


def test_each_study_begins_with_a_dense_arm_of_the_same_images() -> None:
    for name, (first, *others) in STUDIES.items():
        assert not first.spec.targets
        assert all(
            (run.spec.augmentation is None) == (name in ("plain", "modules"))
            for run in (first, *others)
        )
    assert STUDIES["short"][0] == MOVED[0]
    assert all(run.spec.epochs == MOVED[0].spec.epochs for run in STUDIES["short"])
    assert all(run.spec.augmentation == MOVED[0].spec.augmentation for run in STUDIES["short"])


def test_a_study_leaves_its_files_and_is_the_same_when_repeated(tmp_path, monkeypatch) -> None:
    tiny = {"network": NetworkSpec(sizes=(784, 16, 16, 16, 10)), "data": "mnist5k", "epochs": 1}
    monkeypatch.setattr(brain_level, "_quick", lambda spec: spec.model_copy(update=tiny))
    text = brain_level.run(tmp_path, study="moved", seeds=[0, 1], quick=True)
    assert (tmp_path / "moved" / "table.md").read_text() == text + "\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["moved", "runs"]
    assert sorted(p.name for p in (tmp_path / "moved").iterdir()) == [
        "brain_level.png",
        "brain_level.svg",
        "runs.parquet",
        "table.md",
    ]
    assert brain_level.run(tmp_path, study="moved", seeds=[0, 1], quick=True) == text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"study": "moving"},
            "no study 'moving'; there are: moved, plain, modules, short, mirrored, rotated, from_10",
        ),
        ({"seeds": []}, "seeds is empty"),
        ({"study": "rotated", "images": "validation"}, "every image is a test image"),
        ({"images": "train"}, "images must be 'test' or 'validation', got 'train'"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        brain_level.run(tmp_path, **options)


# ---- Every image a test image once


@pytest.fixture
def tiny_rotated(monkeypatch) -> None:
    """A rotated study of three arms, two of them dense, whose networks are trained in a moment."""
    tiny = {"network": NetworkSpec(sizes=(784, 8, 8, 8, 10)), "data": "mnist5k", "epochs": 1}
    monkeypatch.setattr(brain_level, "_quick", lambda spec: spec.model_copy(update=tiny))
    monkeypatch.setitem(STUDIES, "rotated", (MOVED[0], *brain_level.ROTATED[:2]))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")[1:-1]]


@pytest.mark.usefixtures("tiny_rotated")
def test_the_rotated_study_tests_every_image_once(tmp_path) -> None:
    text = brain_level.run(tmp_path, study="rotated", seeds=[0, 1], quick=True)
    assert (tmp_path / "rotated" / "table.md").read_text() == text + "\n"
    assert (tmp_path / "rotated" / "brain_level.svg").stat().st_size > 1000
    rotated, note, activity = text.split("\n\n")
    assert note == "±: half of the 95 % interval over seeds and images."
    head, _, *lines = map(cells, rotated.splitlines())
    assert head[0] == "2 x 5,000 images"
    rows = read(tmp_path / "rotated" / "runs.parquet")
    assert len(rows) == 2 * 5 * 3

    def wrong(arm: str) -> np.ndarray:
        mine = [[row for row in rows if (row["arm"], row["seed"]) == (arm, k)] for k in (0, 1)]
        return np.array(
            [np.concatenate([misclassified(row) for row in of_seed]) for of_seed in mine], float
        )

    shares = {arm: wrong(arm).mean() for arm in ("dense moved", "dense 40 moved")}
    best = min(shares, key=shares.get)
    assert head[2] == f"minus {best.removesuffix(' moved')}"
    for line in lines:
        arm = f"{line[0]} moved"
        errors = [row["test_error"] for row in rows if row["arm"] == arm]
        assert float(line[1]) == pytest.approx(100 * np.mean(errors), abs=0.006)
        found = crossed(wrong(arm) - wrong(best)).describe(100)
        assert line[2] == ("" if arm == best else found)
    assert [cells(line)[0] for line in activity.splitlines()[2:]] == [line[0] for line in lines]
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.usefixtures("tiny_rotated")
def test_of_one_seed_the_rotations_tell_how_much_it_varies(tmp_path) -> None:
    text = brain_level.run(tmp_path, study="rotated", seeds=[0], quick=True)
    rotated, note, _ = text.split("\n\n")
    assert note == OVER_ROTATIONS
    head, _, *lines = map(cells, rotated.splitlines())
    assert head[0] == "5 x 1,000 images"
    rows = read(tmp_path / "rotated" / "runs.parquet")
    errors = {
        line[0]: np.array([row["test_error"] for row in rows if row["arm"] == f"{line[0]} moved"])
        for line in lines
    }
    best = head[2].removeprefix("minus ")
    for name, _, more, *_ in lines:
        assert more == ("" if name == best else mean(errors[name] - errors[best]).describe(100))


def test_long_names_of_arms_fit_80_columns() -> None:
    arms = [run.arm for run in brain_level.ROTATED]
    rows = [
        row | {"seed": 0, "rotation": k, "test_images": 16, "test_wrong": bytes([k, 7 * k])}
        for arm in arms
        for k, row in enumerate(rows_of(arm, [k / 16 for k in range(5)]))
    ]
    assert max(map(len, table(rows, "rotated").splitlines())) <= 80
