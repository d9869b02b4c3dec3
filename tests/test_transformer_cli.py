"""`neurosparse train` on a text, and `neurosparse generate`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from neurosparse import cli, recipes
from neurosparse.transformer import TransformerTrainSpec, load, results
from neurosparse.transformer.speed import as_dense

SIZES = {"d_model": 16, "d_ff": 48, "layers": 2, "heads": 2, "context": 16}


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat. " * 150)
    settings = [f"network.{name}={value}" for name, value in SIZES.items()]
    settings += [f"data={text}", "steps=20", "validated_every=10"]
    sets = [word for setting in settings for word in ("--set", setting)]
    out = str(tmp_path / "w.safetensors")
    return ["train", "plays_4_percent", "--device", "cpu", "--out", out, *sets]


def called(monkeypatch: pytest.MonkeyPatch, words: list[str], expected: int = 0) -> None:
    monkeypatch.setattr(sys, "argv", ["neurosparse", *words])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == expected


def test_it_trains_and_then_writes_text(tmp_path, monkeypatch, capfd, command):
    called(monkeypatch, command)
    printed, shown = capfd.readouterr()
    lines = shown.splitlines()
    assert lines[0] == results.HEADING
    assert [line.split()[0] for line in lines[1:4]] == ["0", "10", "20"]
    assert "bits per character on the validation text" in " ".join(printed.split())
    assert "MACBETH. " in printed
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"text.txt", "w.safetensors", "w.json", "w.parquet"}
    found = json.loads((tmp_path / "w.json").read_text())
    assert found["spec"]["network"]["alphabet"] == len(load(tmp_path / "w.safetensors").alphabet)

    words = ["generate", str(tmp_path / "w.safetensors"), "--prompt", "the c", "-n", "30"]
    called(monkeypatch, words)
    printed, shown = capfd.readouterr()
    assert printed.startswith("the c")
    assert len(printed) == 36
    assert "layers.1.ffn: " in shown
    assert "times dense" in shown
    called(monkeypatch, [*words, "--dense"])
    dense, shown = capfd.readouterr()
    assert dense == printed
    assert shown == ""
    called(monkeypatch, [*words, "--json"])
    assert json.loads(capfd.readouterr().out)["text"] == printed[:-1]


def test_ctrl_c_keeps_the_last_look_and_the_same_command_goes_on(tmp_path, monkeypatch, command):
    command = [word.replace("steps=20", "steps=300") for word in command]
    running = subprocess.Popen(
        [sys.executable, "-m", "neurosparse.cli", *command],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    next(line for line in running.stderr if line.startswith("   20 "))
    running.send_signal(signal.SIGINT)
    said = running.stderr.read()
    running.stderr.close()
    assert running.wait(60) == 130
    assert "the same command goes on from there" in " ".join(said.split())
    assert (tmp_path / "w.checkpoint.safetensors").exists()
    called(monkeypatch, command)
    assert not (tmp_path / "w.checkpoint.safetensors").exists()


@pytest.mark.parametrize("option", [["--download"], ["--tensorboard", "runs"]])
def test_options_for_images_are_refused(monkeypatch, capfd, command, option):
    called(monkeypatch, [*command, *option], expected=2)
    assert f"{option[0]} is for networks of images" in capfd.readouterr().err


def test_weights_without_an_alphabet_cannot_write(tmp_path, monkeypatch, capfd, command):
    called(monkeypatch, command)
    network = load(tmp_path / "w.safetensors")
    network.alphabet = ""
    from neurosparse.transformer import save

    save(network, tmp_path / "w.safetensors")
    called(monkeypatch, ["generate", str(tmp_path / "w.safetensors")], expected=2)
    assert "the network has no alphabet" in capfd.readouterr().err


def test_the_recipe_is_the_default_network_at_4_percent():
    recipe = recipes.load("plays_4_percent")
    spec = recipe.spec(TransformerTrainSpec)
    assert spec == TransformerTrainSpec(target_active=0.04)
    assert recipe.sources.keys() == {
        *(f"network.{name}" for name in recipe.values["network"]),
        *(set(recipe.values) - {"network"}),
    }


def test_the_dense_twin_computes_what_the_network_does():
    torch.manual_seed(0)
    from neurosparse.transformer import CharacterTransformer, TransformerSpec

    network = CharacterTransformer(TransformerSpec(**SIZES)).eval()
    twin = as_dense(network)
    x = torch.randint(0, 82, (3, 16))
    torch.testing.assert_close(twin(x), network(x), atol=1e-5, rtol=1e-5)
    assert twin.layers[0].ffn[2].weight.is_contiguous()
    assert not network.layers[0].ffn.down.weight.is_contiguous()
