"""The study of transformers: its arms, its tables, its figure, its files."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pytest

from neurosparse import recipes
from neurosparse.studies import transformers
from neurosparse.studies.transformers import ARMS, SERIES, STUDIES, bits_over_active, dense_arm
from neurosparse.transformer import TransformerTrainSpec

RECIPE = recipes.load("plays_4_percent").spec(TransformerTrainSpec)


def rows_of(arm: str, bits: list[float], active: float = 0.5, **changes: object) -> list[dict]:
    base = {"steps": 1000, "cpu_s": 80.0, "active_fraction": active}
    base |= {"active_by_layer": [active, active / 2], "alive_by_layer": [1.0, 0.5]} | changes
    return [
        {"arm": arm, "seed": seed, "test_bits": each, "validation_bits": each + 0.1, **base}
        for seed, each in enumerate(bits)
    ]


def test_the_arms_differ_from_the_recipe_in_what_their_names_say() -> None:
    same = {"learning_rate", "weight_decay", "batch_size", "target_reached", "l1", "data"}
    for name, spec in ARMS.items():
        assert spec.model_dump(include=same) == RECIPE.model_dump(include=same)
        target = name.split(" %")[0] if name[0].isdigit() and " %" in name else None
        assert spec.target_active == (target and float(target) / 100)
        assert (spec.network.d_ff == 4 * 768) == ("4x wide" in name)
        assert (spec.network.top_k is not None) == name.startswith("top-k")
        assert (spec.steps == 1000) == ("same time" not in name)
    assert ARMS["4 %"].model_dump(exclude={"validated_every"}) == RECIPE.model_dump(
        exclude={"validated_every"}
    )


def test_each_arm_is_drawn_once_and_each_study_has_its_references() -> None:
    drawn = [arm for arms in SERIES.values() for arm in arms]
    assert sorted(drawn) == sorted(ARMS)
    for arms in STUDIES.values():
        assert {*transformers.DENSE, transformers.UNSTEERED} <= set(arms)


def test_the_dense_arm_is_chosen_on_validation_plays() -> None:
    rows = rows_of("GELU", [2.5]) + rows_of("ReLU from 50 %", [2.4], validation_bits=2.7)
    rows[0]["validation_bits"] = 2.6
    assert dense_arm(rows) == "GELU"
    rows[1]["validation_bits"] = 2.55
    assert dense_arm(rows) == "ReLU from 50 %"
    with pytest.raises(ValueError, match="none of the dense arms is trained"):
        dense_arm(rows_of("4 %", [2.5]))


def test_the_tables_by_hand() -> None:
    rows = rows_of("GELU", [2.50, 2.52], 1.0) + rows_of("ReLU from 10 %", [2.48])
    rows += rows_of("4 %", [2.51, 2.54], 0.04, cpu_s=60.0)
    cost, note, activity = transformers.table(rows).split("\n\n")
    assert note == "±: half of the 95 % interval over seeds (Student's t)."
    cells = [[c.strip() for c in line.split("|")[1:-1]] for line in cost.splitlines()]
    assert cells[0][3:5] == ["from GELU", "from ReLU from 10 %"]
    # differences 0.01 and 0.02: mean 0.015, half of the interval 12.7062 * 0.0070711 / sqrt 2
    assert cells[-1] == ["4 %", "2", "2.525", "+0.015 ± 0.064", "+0.030", "0.75"]
    assert cells[2][3:5] == ["", "+0.020"]
    last = [cell.strip() for cell in activity.splitlines()[-1].split("|")[1:-1]]
    assert last == ["4 %", "1,000", "4.00", "4, 2", "100, 50", "2.625"]
    assert max(map(len, transformers.table(rows).splitlines())) <= 88


def test_the_figure_has_every_network_where_it_belongs() -> None:
    rows = rows_of("GELU", [2.50, 2.52], 1.0) + rows_of("4 %", [2.51, 2.54], 0.04)
    ax = bits_over_active(rows, plt.figure().subplots())
    dots = [line.get_xydata() for line in ax.lines if line.get_marker() == "."]
    np.testing.assert_allclose(dots[0], [[100, 2.50], [100, 2.52]])
    np.testing.assert_allclose(dots[1], [[4, 2.51], [4, 2.54]])
    marks = [line.get_xdata()[0] for line in ax.lines if line.get_marker() in "<v"]
    np.testing.assert_allclose(marks, [6.3, 3.0, 1.0])
    assert ax.get_xscale() == "log"
    plt.close("all")


def test_a_study_goes_on_where_it_stopped_and_reads_test_plays_last(tmp_path, monkeypatch) -> None:
    few = {name: ARMS[name] for name in ("GELU", "ReLU from 10 %", "1 %")}
    monkeypatch.setitem(STUDIES, "arms", few)
    read: list[int] = []
    real = transformers.evaluate
    monkeypatch.setattr(
        transformers,
        "evaluate",
        lambda network, text: (
            read.append(len(list((tmp_path / "runs").glob("*.json")))) or real(network, text)
        ),
    )
    with pytest.raises(ValueError, match="has no trained network"):
        transformers.run(tmp_path, seeds=[0], quick=True, trained_only=True)
    tables = transformers.run(tmp_path, seeds=[0], quick=True)
    assert read == [3, 3, 3]  # all were trained
    study = tmp_path / "arms"
    assert (study / "table.md").read_text() == tables + "\n"
    left = ["runs.parquet", "table.md", "transformers.png", "transformers.svg"]
    assert sorted(p.name for p in study.iterdir()) == left
    kept = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "runs").iterdir()}
    assert not any("checkpoint" in name for name in kept)
    assert transformers.run(tmp_path, seeds=[0], quick=True) == tables
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "runs").iterdir()} == kept
    done = study / "runs.parquet"
    assert transformers.run(tmp_path / "b", seeds=[0], quick=True, done=done) == tables
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["arms"]
    (gone,) = (tmp_path / "runs").glob("1_%-0-*.json")
    text = json.loads(gone.read_text())
    assert text["test"] is None  # what is stored with a network does not know the test plays
    gone.unlink()
    two = transformers.run(tmp_path, seeds=[0], quick=True, trained_only=True)
    assert "\n| 1 %" not in two


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"study": "arm"}, "no study 'arm'; there are: arms, long"),
        ({"seeds": []}, "seeds is empty"),
    ],
)
def test_what_cannot_be_trained_is_refused(tmp_path, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        transformers.run(tmp_path, **options)
