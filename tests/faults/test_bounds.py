"""What is too much, or too full, is said before the work: seeds, epochs, disks."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from test_disk import small_disk

from neurosparse import recipes, rectifier
from neurosparse._internal import whole_files
from neurosparse.claims.lab import LabSpec
from neurosparse.data import ImageSet, Splits
from neurosparse.recordings import selection
from neurosparse.rectifier import PretrainSpec, TrainSpec, pretrain
from neurosparse.sidebyside import SideBySideSpec
from neurosparse.simulation import SimulationSpec
from neurosparse.sweep import SweepSpec

TOO_LARGE = 2**63


@pytest.mark.parametrize("seed", [TOO_LARGE, -1, 10**400])
@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (SimulationSpec, lambda s: {"recipe": "x", "seeds": (1, s)}),
        (SideBySideSpec, lambda s: {"seed": s}),
        (TrainSpec, lambda s: {"seed": s}),
        (PretrainSpec, lambda s: {"seed": s}),
        (SweepSpec, lambda s: {"kind": "train", "recipe": "x", "seeds": (s,)}),
        (
            SweepSpec,
            lambda s: {
                "kind": "train", "recipe": "x", "random": {"n": 1, "seed": s, "values": {"l1": (0,)}},
            },
        ),
    ],
)  # fmt: skip
def test_seeds_are_bounded_before_any_work(spec: Any, values: Any, seed: int) -> None:
    with pytest.raises(ValueError, match="seed"):
        recipes.build(spec, values(seed), what="the spec")
    recipes.build(spec, values(TOO_LARGE - 1), what="the spec")


def test_many_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="seeds"):
        recipes.build(SimulationSpec, {"recipe": "x", "seeds": range(10_001)}, what="the spec")
    with pytest.raises(ValueError, match="n_seeds"):
        recipes.build(LabSpec, {"n_seeds": 10**9}, what="the spec")


@pytest.fixture
def splits() -> Splits:
    images = ImageSet(
        np.random.default_rng(1).random((12, 4), dtype=np.float32), np.arange(12) % 2, 2, (4,)
    )
    return Splits("toy", images, images, images)


def test_trainings_without_end_are_refused_with_their_time(splits: Splits, tmp_path: Path) -> None:
    sizes = {"sizes": (4, 3, 2)}
    endless = TrainSpec(network=sizes, epochs=10**13)
    with pytest.raises(ValueError, match=r"10,000,000,000,000 epochs takes about .* take fewer"):
        rectifier.train(endless, splits, checkpoint=tmp_path / "kept.safetensors")
    with pytest.raises(ValueError, match="take fewer epochs"):
        rectifier.train_many([endless, endless], splits)
    with pytest.raises(ValueError, match="take fewer epochs"):
        pretrain(PretrainSpec(network=sizes, epochs=10**13), splits)
    assert list(tmp_path.iterdir()) == []


def test_a_network_of_another_kind_is_no_start(splits: Splits) -> None:
    start: Any = torch.nn.Sequential(torch.nn.Linear(4, 3))
    with pytest.raises(TypeError, match="start must be a RectifierNetwork, got a Sequential"):
        rectifier.train(TrainSpec(network={"sizes": (4, 3, 2)}), splits, start=start)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SafetensorError("I/O error: No space left on device (os error 28)"), "No space left"),
        (OSError("65536 requested and 512 written"), "No space left"),
        (OSError(errno.EIO, "a text of a library\nin two lines"), "Input/output error"),
        (OSError(errno.EFBIG, "x"), "File too large"),
    ],
)
def test_a_full_disk_is_named_whoever_finds_it(
    error: Exception, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "a" / "x.safetensors"
    with pytest.raises(OSError, match=words) as caught, whole_files.new_file(path):
        raise error
    assert str(caught.value).startswith(f"cannot write {path}: ")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_a_writer_stay_as_they_are(tmp_path: Path) -> None:
    for error in (SafetensorError("a tensor is shared"), KeyError("x"), OSError(errno.ENOENT, "x")):
        with pytest.raises(type(error)) as caught, whole_files.new_file(tmp_path / "x"):
            raise error
        assert caught.value is error


def test_weights_for_a_full_disk(tmp_path: Path) -> None:
    network = rectifier.RectifierNetwork(rectifier.NetworkSpec(sizes=(400, 300, 10)))
    place = tmp_path / "disk"
    with small_disk(place, "80k"):
        with pytest.raises(OSError, match=r"cannot write .*net\.safetensors: No space left on dev"):
            rectifier.save(network, place / "net.safetensors")
        assert os.listdir(place) == []  # noqa: PTH208


def test_a_misspelt_column_gets_the_nearest() -> None:
    columns = {"quality": np.array(["good"]), "firing_rate": np.array([1.0])}
    with pytest.raises(ValueError, match=r"no column 'qualty'.*did you mean 'quality'\?"):
        selection._meets(columns, "qualty=good")
