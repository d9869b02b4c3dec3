"""Weights on disk: back to the bit, and each kind of bad file one sentence."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from neurosparse.rectifier import NetworkSpec, RectifierNetwork, TrainSpec, load, save
from neurosparse.rectifier.weights import load_training_spec

SPEC = NetworkSpec(sizes=(8, 7, 6, 3), activation="softplus")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "net.safetensors"
    save(RectifierNetwork(SPEC, seed=3), path, training=TrainSpec(network=SPEC, l1=0.1))
    return path


def test_round_trip(path: Path) -> None:
    network, original = load(path), RectifierNetwork(SPEC, seed=3)
    assert network.spec == SPEC
    assert not network.training
    assert all(
        torch.equal(a, b) for a, b in zip(network.parameters(), original.parameters(), strict=True)
    )
    assert load_training_spec(path) == TrainSpec(network=SPEC, l1=0.1)


def test_the_file_is_plain_safetensors(path: Path) -> None:
    assert {name: tuple(value.shape) for name, value in load_file(path).items()} == {
        "linear1.weight": (7, 8),
        "linear1.bias": (7,),
        "linear2.weight": (6, 7),
        "linear2.bias": (6,),
        "output.weight": (3, 6),
        "output.bias": (3,),
    }


def test_without_a_training_spec(tmp_path: Path) -> None:
    save(RectifierNetwork(SPEC), tmp_path / "net.safetensors")
    assert load_training_spec(tmp_path / "net.safetensors") is None


def test_saving_replaces_whole_files(path: Path) -> None:
    save(RectifierNetwork(SPEC, seed=4), path)
    assert torch.equal(load(path).linear1.weight, RectifierNetwork(SPEC, seed=4).linear1.weight)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    (path.parent / "plain").touch()
    # for others to read as any other file
    assert path.stat().st_mode == (path.parent / "plain").stat().st_mode


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"^cannot write .*file/net.safetensors: "):
        save(RectifierNetwork(SPEC), tmp_path / "file" / "net.safetensors")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^no weights file .*absent.safetensors$"):
        load(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("keep", [0, 4, 8, 100, -1])
def test_truncated_files(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    for read in (load, load_training_spec):
        with pytest.raises(
            ValueError, match=r"net.safetensors is truncated or not a safetensors file: "
        ) as error:
            read(path)
        assert "\n" not in str(error.value)


def _rewrite(path: Path, metadata: dict | None = None, **weights: torch.Tensor) -> None:
    spec = {"format": "neurosparse.rectifier/1", "network": SPEC.model_dump_json()}
    save_file({**load_file(path), **weights}, path, metadata=spec if metadata is None else metadata)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, r"does not hold weights of a rectifier network: its metadata lacks format="),
        ({"format": "pt"}, r"does not hold weights of a rectifier network"),
        ({"format": "neurosparse.transformer/1"}, r"holds weights of a transformer, not weights"),
        ({"format": "neurosparse.rectifier/1"}, r"its spec is not JSON"),
        (
            {"format": "neurosparse.rectifier/1", "network": "[1]"},
            r"the spec in .*net.safetensors: ",
        ),
        (
            {
                "format": "neurosparse.rectifier/1",
                "network": json.dumps({"sizes": [8, 7, 3], "width": 1}),
            },
            r"unknown key 'width'",
        ),
        (
            {"format": "neurosparse.rectifier/1", "network": json.dumps({"sizes": [8, 7, 3]})},
            r"does not hold the weights of",
        ),
    ],
)
def test_foreign_metadata(path: Path, metadata: dict, message: str) -> None:
    _rewrite(path, metadata)
    with pytest.raises(ValueError, match=message):
        load(path)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"extra": torch.zeros(2)}, r"does not hold the weights of the network"),
        ({"output.bias": torch.zeros(4)}, r"does not hold the weights of the network"),
        (
            {"output.bias": torch.zeros(3, dtype=torch.float16)},
            r"does not hold the weights of the network",
        ),
        (
            {"output.bias": torch.tensor([0.0, float("nan"), 0.0])},
            r"holds weights that are NaN or infinite",
        ),
    ],
)
def test_foreign_weights(path: Path, weights: dict, message: str) -> None:
    _rewrite(path, **weights)
    with pytest.raises(ValueError, match=message):
        load(path)
