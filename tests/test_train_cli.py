"""`neurosparse train`: what it shows and writes, Ctrl-C and on again, divergence, TensorBoard."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

from neurosparse import cli
from neurosparse.rectifier import Epoch, LayerActivity, load, results

SMALL = ["train", "rectifier_l1", "--set", "network.sizes=[784, 32, 32, 10]", "--device", "cpu"]


def _train(monkeypatch: pytest.MonkeyPatch, *arguments: object, expected: int = 0) -> None:
    monkeypatch.setattr(sys, "argv", ["neurosparse", *map(str, [*SMALL, *arguments])])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == expected


def test_it_shows_and_writes_every_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "weights.safetensors"
    _train(monkeypatch, "--set", "epochs=2", "--out", out, "--tensorboard", tmp_path / "runs")
    printed, shown = capfd.readouterr()
    lines = shown.splitlines()
    assert lines[0] == results.HEADING
    assert [line.split()[0] for line in lines[1:4]] == ["0", "1", "2"]
    assert max(map(len, lines)) <= 80
    assert "sparse engine" in " ".join(printed.split())

    found, table = (
        json.loads(out.with_suffix(".json").read_text()),
        pq.read_table(out.with_suffix(".parquet")).to_pylist(),
    )
    assert {file.name for file in tmp_path.iterdir()} == {
        "weights.safetensors",
        "weights.json",
        "weights.parquet",
        "runs",
    }
    assert (found["engine"], found["engine_note"], found["epochs"], found["device"]) == (
        "sparse",
        "",
        2,
        "cpu",
    )
    assert load(out).spec.model_dump(mode="json") == found["spec"]["network"]
    assert [(row["epoch"], row["layer"]) for row in table] == [
        (e, f"hidden{k}") for e in range(3) for k in (1, 2)
    ]
    best = [row for row in table if row["epoch"] == found["best_epoch"]]
    assert (
        found["n_dead"]
        == sum(row["n_dead"] for row in best)
        == 64 - sum(row["n_alive"] for row in best)
    )
    assert (
        found["active_macs"]
        == best[0]["active_macs"]
        < best[0]["dense_macs"]
        == 784 * 32 + 32 * 32 + 32 * 10
    )

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "runs")).Reload()
    errors = [event.value for event in events.Scalars("validation/error")]
    assert errors == pytest.approx([row["validation_error"] for row in table[::2]])
    alive = [event.value for event in events.Scalars("units_alive/hidden2")]
    assert alive == [row["n_alive"] for row in table[1::2]]


@pytest.mark.parametrize("recipe", ["rectifier_l1", "plays_4_percent"])
@pytest.mark.parametrize("name", ["w.txt", "w"])
def test_weights_of_another_suffix_are_refused_before_the_training(
    recipe: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["neurosparse", "train", recipe, "-o", str(tmp_path / name)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "ends in .safetensors; name it w.safetensors" in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []


def test_torch_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = ["--set", "network.activation=tanh", "--set", "epochs=1"]
    _train(monkeypatch, *settings, "--out", tmp_path / "w.safetensors")
    printed = capfd.readouterr().out
    assert "torch engine (hidden1 is Tanh, not ReLU)" in " ".join(printed.split())
    assert (
        json.loads((tmp_path / "w.json").read_text())["engine_note"] == "hidden1 is Tanh, not ReLU"
    )


def test_ctrl_c_keeps_the_last_epoch_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--set", "epochs=25", "--out", tmp_path / "w.safetensors"]
    running = subprocess.Popen(
        [sys.executable, "-m", "neurosparse.cli", *SMALL, *map(str, arguments)],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    assert running.stderr is not None
    next(line for line in running.stderr if line.startswith("    2 "))
    running.send_signal(signal.SIGINT)
    said = running.stderr.read()
    running.stderr.close()
    assert running.wait(30) == 130
    assert "stopped; the last whole epoch is in" in said
    assert [file.name for file in tmp_path.iterdir()] == ["w.checkpoint.safetensors"]
    _train(monkeypatch, *arguments)
    assert not (tmp_path / "w.checkpoint.safetensors").exists()
    _train(monkeypatch, *arguments[:-1], tmp_path / "unbroken.safetensors")
    one, other = (load_file(tmp_path / name) for name in ("w.safetensors", "unbroken.safetensors"))
    assert all(bool((one[name] == other[name]).all()) for name in other)


def test_divergence_is_one_sentence_and_leaves_nothing_that_is_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", tmp_path / "w.safetensors"]
    _train(monkeypatch, "--set", "learning_rate=1000", *out, expected=2)
    assert "neurosparse: training diverged in epoch 1, step " in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_missing_tensorboard_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    _train(
        monkeypatch,
        "--out",
        tmp_path / "w.safetensors",
        "--tensorboard",
        tmp_path / "runs",
        expected=2,
    )
    assert (
        capfd.readouterr()
        .err.strip()
        .endswith("which is not installed: pip install 'neurosparse[tensorboard]'")
    )
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    _train(
        monkeypatch,
        "--out",
        tmp_path / "w.safetensors",
        "--tensorboard",
        tmp_path / "file" / "runs",
        expected=2,
    )
    assert "neurosparse: cannot write" in capfd.readouterr().err


def test_a_line_fits_under_its_heading() -> None:
    layer = LayerActivity(1.0, 1000, 1000, 0.5)
    epoch = Epoch(
        100,
        0.1,
        2.303,
        1.0,
        {f"hidden{k}": layer for k in range(1, 5)},
        123456.0,
        1.0,
        1,
        (0.0,) * 4,
    )
    for head, columns in ((results.HEADING, 80), (results.NARROW, 60)):
        line = results.line(epoch, head)
        assert len(line) <= columns
        for heading in head.partition("   active")[0].split("  "):
            end = head.index(heading.strip()) + len(heading.strip())
            assert line[end - 1] != " "
            assert line[end] == " "
