"""Weights that `neurosparse train` wrote are measured on what they were trained on, whatever kind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import run
from safetensors.torch import save_file

from neurosparse import rectifier, sources, trained, transformer
from neurosparse.data import texts

NETWORK = transformer.TransformerSpec(d_model=16, d_ff=32, layers=2, heads=2, context=20)
SPEC = transformer.TransformerTrainSpec(network=NETWORK, target_active=0.04)
TEXT = "To be, or not to be, that is the question. " * 100


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = texts.load("plays")
    spec = SPEC.model_copy(
        update={"network": NETWORK.model_copy(update={"alphabet": len(text.alphabet)})}
    )
    network = transformer.CharacterTransformer(spec.network)
    network.alphabet = text.alphabet
    path = tmp_path_factory.mktemp("trained") / "net.safetensors"
    transformer.save(network, path, training=spec)
    return path


def test_a_transformer_is_measured_on_its_test_text(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("measure", weights, "--json") == 0
    found = {s["name"]: s for s in json.loads(capsys.readouterr().out)["stats"]}
    network, text = transformer.load(weights), texts.load("plays").test
    scores = transformer.evaluate(network, text, most_pieces=trained.PIECES)
    assert [s["active_fraction"] for s in found.values()] == pytest.approx(scores.active, rel=1e-6)
    for stats in found.values():
        assert stats["n_samples"] == 20 * trained.PIECES
        assert stats["provenance"]["data"] == "plays"
        assert stats["provenance"]["steered to"] == 0.04


def test_a_text_or_numbers_of_ones_own_are_read(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text(TEXT)
    mine = trained.read(weights, data=str(tmp_path / "mine.txt"))
    network = mine.network
    assert isinstance(network, transformer.CharacterTransformer)
    last = TEXT[-len(TEXT) // 10 :]
    assert "".join(network.alphabet[k] for k in mine.inputs.flatten()) in last
    numbers = np.arange(60, dtype=np.int64).reshape(3, 20)
    np.save(tmp_path / "mine.npy", numbers)
    given = trained.read(weights, data=str(tmp_path / "mine.npy")).inputs
    np.testing.assert_array_equal(given, numbers)
    with pytest.raises(ValueError, match="--input-shape is for arrays, and plays is a text"):
        trained.read(weights, shape=(20,))


def test_compare_has_a_row_for_each_block(weights: Path) -> None:
    stats = sources.read_all([weights])
    assert [s.name for s in stats] == [f"net: layers.{k}.ffn.activation" for k in range(2)]
    assert {s.provenance["steered to"] for s in stats} == {0.04}


def test_a_transformer_is_not_converted(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("convert", weights) == 2
    error = capsys.readouterr().err
    assert "net.safetensors is a transformer, which has no spiking form here" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("kind", ["transformer", "rectifier"])
def test_weights_that_do_not_say_what_they_were_trained_on_need_data(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "untold.safetensors"
    if kind == "transformer":
        transformer.save(transformer.CharacterTransformer(NETWORK), path)
    else:
        rectifier.save(rectifier.RectifierNetwork(rectifier.NetworkSpec(sizes=(4, 3, 2))), path)
    with pytest.raises(ValueError, match="does not say what it was trained on: give --data"):
        trained.read(path)


def test_weights_of_others_are_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file(torch.nn.Linear(3, 2).state_dict(), path)
    for data in (None, "mnist5k"):
        with pytest.raises(ValueError, match=r"did not write.*MODULE:FUNCTION with --weights"):
            trained.read(path, data=data)


def test_a_rectifier_network_gets_its_test_images(tmp_path: Path) -> None:
    spec = rectifier.TrainSpec(network=rectifier.NetworkSpec(sizes=(784, 8, 10)), l1=1e-4)
    path = tmp_path / "net.safetensors"
    rectifier.save(rectifier.RectifierNetwork(spec.network), path, training=spec)
    found = trained.read(path)
    assert found.data == spec.data
    assert found.sparsity == {"steered to": None, "penalty": 1e-4}
    assert found.inputs.shape[1:] == (784,)
