"""`neurosparse convert`: weights in, a report, a figure and a NIR file out."""

import json
from html import escape
from pathlib import Path

import pytest
from command_line import run

from neurosparse import cli, convert, data, rectifier
from neurosparse.rectifier import NetworkSpec, RectifierNetwork, TrainSpec


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "net.safetensors"
    network = RectifierNetwork(NetworkSpec(sizes=(784, 30, 20, 10)), seed=1)
    rectifier.save(network, path, training=TrainSpec(network=network.spec, data="mnist5k"))
    return path


def test_report_figure_and_nir_file(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, nir = tmp_path / "report", tmp_path / "net.nir"
    settings = (
        "--set",
        "neuron.kind=lif",
        "--set",
        "neuron.reset=value",
        "--set",
        "neuron.v_initial=0",
    )
    assert (
        run(
            "convert",
            weights,
            "--out",
            out,
            "--images",
            "40",
            "--steps",
            "16",
            "--nir",
            nir,
            *settings,
        )
        == 0
    )
    written = json.loads((out / "conversion.json").read_text())
    splits = data.load("mnist5k")
    neuron = convert.NeuronSpec(kind="lif", reset="value", v_initial=0.0)
    spiking = convert.to_spiking(rectifier.load(weights), splits.train, neuron)
    again = spiking.report(splits.test.mixed().take(slice(40)), steps=16, seed=1, name="net")
    assert written["curve"] == again.to_dict()["curve"]
    assert written["n_inputs"] == 40
    assert (out / "conversion.png").stat().st_size > 5000
    assert convert.from_nir(nir).graph.input.shape == (784,)
    printed = capsys.readouterr().out
    assert again.sentences()[0].split(",")[0] in " ".join(printed.split())
    assert all(layer.name in printed for layer in again.layers)
    written_page = (out / "report.html").read_text()
    assert all(escape(sentence) in written_page for sentence in again.sentences())
    assert len(printed.splitlines()) < 30
    assert max(map(len, printed.split("Report and figure")[0].splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("--set", "epochs=3"),
            "--set takes neuron.KEY=VALUE or normalisation.KEY=VALUE, got epochs",
        ),
        (("--set", "neuron.threshold=-1"), "threshold"),
        (("--images", "0"), "--images must be"),
        (("--coding", "morse"), "coding must be one of constant, poisson, got 'morse'"),
    ],
)
def test_bad_input_is_one_sentence(
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    sentence: str,
) -> None:
    out = tmp_path / "report"
    assert run("convert", weights, "--out", out, *words) == cli.BAD_INPUT
    assert sentence in capsys.readouterr().err
    assert not out.exists()


def test_weights_that_do_not_say_their_image_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.safetensors"
    rectifier.save(RectifierNetwork(NetworkSpec(sizes=(784, 30, 10))), path)
    assert run("convert", path) == cli.BAD_INPUT
    assert "name the image set with --data" in capsys.readouterr().err
