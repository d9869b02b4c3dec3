"""Checkpoints: a training that stopped, was interrupted or killed ends with the same bits; foreign
files are one sentence.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from neurosparse import data
from neurosparse.data import Splits
from neurosparse.rectifier import NetworkSpec, RectifierNetwork, TrainResult, TrainSpec, train
from neurosparse.rectifier.checkpoints import fingerprint, load_checkpoint, save_checkpoint

SMALL = NetworkSpec(sizes=(784, 48, 32, 10))
SPEC = TrainSpec(network=SMALL, epochs=3, learning_rate=0.1, l1=0.001, seed=5)


def _few() -> Splits:
    digits = data.load("mnist5k")
    return Splits("few", digits.train.take(slice(None, None, 7)), digits.validation, digits.test)


@pytest.fixture(scope="module")
def few() -> Splits:
    return _few()


@pytest.fixture
def path(tmp_path: Path, few: Splits) -> Path:
    """The checkpoint of a training that was interrupted in its third epoch."""
    path = tmp_path / "run.safetensors"
    _interrupted(SPEC, few, path, epoch=3)
    return path


def _interrupted(spec: TrainSpec, splits: Splits, path: Path, *, epoch: int) -> None:
    """Ctrl-C within an epoch, after part of it was trained."""

    def stop(done: float, text: str) -> None:
        if text.startswith(f"epoch {epoch}/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(spec, splits, device="cpu", test=False, checkpoint=path, progress=stop)


def _same(one: TrainResult, other: TrainResult) -> None:
    assert (one.best_epoch, one.test_error, one.engine) == (
        other.best_epoch,
        other.test_error,
        other.engine,
    )
    clockless = [
        [replace(epoch, samples_per_s=None) for epoch in result.history] for result in (one, other)
    ]
    assert clockless[0] == clockless[1]
    weights, others = one.network.state_dict(), other.network.state_dict()
    assert all(torch.equal(value, others[name]) for name, value in weights.items())


# ---- To the bit
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"engine": "torch"},
        {"engine": "sparse"},
        {"target_active": 0.1, "average_last": 0.6, "learning_rate_end": 0.01},
        {"augmentation": {"flipped": 0.5, "shifted": 0.3, "shift_px": 2}},
        {
            "network": NetworkSpec(sizes=(784, 32, 10), activation="softplus", mirrored=True),
            "average_last": 0.9,
        },
    ],
)
@pytest.mark.parametrize("epochs", [[2], [3, 4]])
def test_an_interrupted_training_ends_as_if_it_had_not_been(
    few: Splits, tmp_path: Path, changes: dict, epochs: list[int]
) -> None:
    spec = TrainSpec(
        **{**SPEC.model_dump(exclude={"network"}), "network": SMALL, "epochs": 4, **changes}
    )
    unbroken = train(spec, few, device="cpu")
    path = tmp_path / "run.safetensors"
    for epoch in epochs:
        _interrupted(spec, few, path, epoch=epoch)
        assert load_checkpoint(path).epoch == epoch - 1
    _same(train(spec, few, device="cpu", checkpoint=path), unbroken)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_early_stopping_survives_an_interruption(few: Splits, tmp_path: Path) -> None:
    spec = SPEC.model_copy(update={"epochs": 30, "patience": 2, "learning_rate": 0.3})
    unbroken = train(spec, few, device="cpu")
    last, path = unbroken.history[-1].epoch, tmp_path / "run.safetensors"
    assert last == unbroken.best_epoch + 2 < 30
    _interrupted(spec, few, path, epoch=last)
    _same(train(spec, few, device="cpu", checkpoint=path), unbroken)
    _same(train(spec, few, device="cpu", checkpoint=path), unbroken)  # over, and not a step further


def test_checkpoints_do_not_change_a_training(few: Splits, tmp_path: Path) -> None:
    with_file = train(SPEC, few, device="cpu", checkpoint=tmp_path / "new" / "run.safetensors")
    _same(with_file, train(SPEC, few, device="cpu"))


def test_a_training_that_is_over_is_read_from_its_file(few: Splits, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    first = train(SPEC, few, device="cpu", checkpoint=path)
    told = []
    again = train(
        SPEC, few, device="cpu", checkpoint=path, progress=lambda done, text: told.append(text)
    )
    _same(again, first)
    assert len(told) == 1  # the last word; nothing was trained
    checkpoint = load_checkpoint(path)
    assert checkpoint.epoch == 3
    assert 0 < checkpoint.seconds <= again.seconds
    found, expected = checkpoint.network().state_dict(), first.network.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_killed_process_goes_on_from_its_last_epoch(few: Splits, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    spec = SPEC.model_copy(update={"epochs": 6, "engine": "torch"})
    script = (
        "import sys, time\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_rectifier_checkpoints import _few\n"
        "from neurosparse.rectifier import TrainSpec, train\n"
        "def slowly(done, text):\n"
        # so that it is killed within an epoch, not after the last
        "    time.sleep(0.2 if done > 0.3 else 0)\n"
        f"train(TrainSpec.model_validate_json({spec.model_dump_json()!r}), _few(), device='cpu',"
        f" checkpoint={str(path)!r},\n"
        "      progress=slowly)\n"
    )
    # with other threads of torch than here: the numbers do not depend on them
    threads = "1" if torch.get_num_threads() > 1 else "2"
    process = subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "OMP_NUM_THREADS": threads}
    )
    try:
        deadline = time.monotonic() + 60
        while not (path.exists() and load_checkpoint(path).epoch >= 2):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    assert 2 <= load_checkpoint(path).epoch < 6
    _same(train(spec, few, device="cpu", checkpoint=path), train(spec, few, device="cpu"))


def test_starting_from_a_network(few: Splits, tmp_path: Path) -> None:
    start = RectifierNetwork(SMALL, seed=99)
    before = {name: value.clone() for name, value in start.state_dict().items()}
    path = tmp_path / "run.safetensors"
    unbroken = train(SPEC, few, device="cpu", start=start)
    assert unbroken.history[0] != train(SPEC, few, device="cpu").history[0]
    assert all(torch.equal(value, before[name]) for name, value in start.state_dict().items())

    def stop(done: float, text: str) -> None:
        if text.startswith("epoch 2/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(SPEC, few, device="cpu", start=start, checkpoint=path, progress=stop)
    _same(train(SPEC, few, device="cpu", start=start, checkpoint=path), unbroken)
    with pytest.raises(
        ValueError, match=r"is of a training on other images, or from another network; remove it"
    ):
        train(SPEC, few, device="cpu", checkpoint=path)
    with pytest.raises(
        ValueError,
        match=r"start must be a network of spec.network, NetworkSpec\(.*got NetworkSpec\(",
    ):
        train(SPEC, few, device="cpu", start=RectifierNetwork(NetworkSpec(sizes=(784, 5, 10))))
    with pytest.raises(TypeError, match="start must be a RectifierNetwork, got a Linear: steer"):
        train(SPEC, few, device="cpu", start=torch.nn.Linear(784, 10))


# ---- The file
# --------------------------------------------------------------------------------------------------


def test_round_trip(path: Path, tmp_path: Path) -> None:
    one = load_checkpoint(path)
    assert (one.spec, one.epoch, len(one.l1)) == (SPEC, 2, 2)
    save_checkpoint(one, tmp_path / "again.safetensors")
    two = load_checkpoint(tmp_path / "again.safetensors")
    for name in ("spec", "inputs", "history", "best_epoch", "seconds", "l1", "n_averaged"):
        assert getattr(one, name) == getattr(two, name)
    for name in ("weights", "best", "mean"):
        assert all(
            torch.equal(value, getattr(two, name)[key]) for key, value in getattr(one, name).items()
        )
    assert torch.equal(one.generator, two.generator)


def test_the_checkpoint_of_another_training_is_refused(path: Path, few: Splits) -> None:
    before = path.read_bytes()
    for changes, message in (
        (
            {"epochs": 9},
            (
                r"run.safetensors is of another training: its epochs is 3, not 9; remove it, or"
                r" name another"
            ),
        ),
        ({"seed": 6}, r"its seed is 5, not 6"),
        ({"l1": 0.0}, r"its l1 is 0.001, not 0.0"),
    ):
        with pytest.raises(ValueError, match=message):
            train(SPEC.model_copy(update=changes), few, device="cpu", checkpoint=path)
    others = Splits("others", few.validation, few.validation, few.test)
    with pytest.raises(
        ValueError, match=r"is of a training on other images, or from another network"
    ):
        train(SPEC, others, device="cpu", checkpoint=path)
    assert path.read_bytes() == before


def test_the_fingerprint_is_of_what_is_trained_on(few: Splits) -> None:
    assert fingerprint(few) == fingerprint(
        Splits("renamed", few.train, few.validation, few.train)
    )  # test images: no say
    others = {
        fingerprint(few),
        fingerprint(Splits("few", few.validation, few.validation, few.test)),
        fingerprint(Splits("few", few.train, few.test, few.test)),
        fingerprint(few, RectifierNetwork(SMALL, seed=1)),
        fingerprint(few, RectifierNetwork(SMALL, seed=2)),
    }
    assert len(others) == 5


def test_a_place_that_cannot_be_written_is_said_before_training(
    few: Splits, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    told = []
    for bad in (tmp_path / "file" / "run.safetensors", tmp_path):
        with pytest.raises(OSError, match=r"^cannot write "):
            train(
                SPEC,
                few,
                device="cpu",
                checkpoint=bad,
                progress=lambda done, text: told.append(text),
            )
    assert told == []


@pytest.mark.parametrize("keep", [0, 8, 100, -1])
def test_truncated_files(path: Path, few: Splits, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        ValueError, match=r"run.safetensors is truncated or not a safetensors file: "
    ) as error:
        train(SPEC, few, device="cpu", checkpoint=path)
    assert "\n" not in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^no checkpoint .*absent.safetensors$"):
        load_checkpoint(tmp_path / "absent.safetensors")


def _metadata(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return file.metadata()


def _numbers(path: Path, **changes: object) -> dict[str, str]:
    metadata = _metadata(path)
    return {**metadata, "numbers": json.dumps({**json.loads(metadata["numbers"]), **changes})}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (
            lambda p: {},
            r"does not hold a checkpoint of a rectifier network's training: its metadata lacks",
        ),
        (lambda p: {"format": "neurosparse.training/1"}, r"is a damaged checkpoint: 'training'"),
        (lambda p: {**_metadata(p), "numbers": "{"}, r"is a damaged checkpoint: "),
        (lambda p: {**_metadata(p), "numbers": "[]"}, r"is a damaged checkpoint: "),
        (
            lambda p: {**_metadata(p), "training": '{"epochs": 0}'},
            r"the spec in .*run.safetensors: epochs: ",
        ),
        (lambda p: _numbers(p, extra=1), r"is a damaged checkpoint: .*extra"),
        (lambda p: _numbers(p, history=[]), r"its history is of the epochs \[\]"),
        (
            lambda p: _numbers(p, best_epoch=7),
            r"is a damaged checkpoint: its history is of the epochs \[0, 1, 2\]",
        ),
    ],
)
def test_foreign_metadata(path: Path, metadata, message: str) -> None:
    save_file(load_file(path), path, metadata=metadata(path))
    with pytest.raises(ValueError, match=message) as error:
        load_checkpoint(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"weights.output.bias": torch.zeros(4)}, r"does not hold the weights of the network"),
        ({"best.extra": torch.zeros(4)}, r"does not hold the weights of the network"),
        ({"mean.output.bias": torch.zeros(10)}, r"does not hold the weights of the network"),
        (
            {"weights.output.bias": torch.full((10,), float("nan"))},
            r"holds weights that are NaN or infinite",
        ),
        ({"generator": torch.zeros(3, dtype=torch.uint8)}, r"it holds no state of a generator"),
        ({"other.output.bias": torch.zeros(10)}, r"is a damaged checkpoint: 'other'"),
    ],
)
def test_foreign_tensors(path: Path, tensors: dict, message: str) -> None:
    save_file({**load_file(path), **tensors}, path, metadata=_metadata(path))
    with pytest.raises(ValueError, match=message):
        load_checkpoint(path)
