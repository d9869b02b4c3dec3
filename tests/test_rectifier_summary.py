"""The table of trained networks, and the script that prints it."""

import subprocess
import sys

import pytest

from neurosparse._internal import share
from neurosparse.rectifier import NetworkSpec, TrainSpec, train
from neurosparse.rectifier.summary import table, train_recipes

SCRIPT = share.folder("simulations") / "03_rectifier_network.py"


@pytest.fixture
def small(tmp_path):
    """A small network as a recipe of one's own."""
    path = tmp_path / "small.toml"
    path.write_text(
        'kind = "network"\nepochs = 1\n[network]\nsizes = [784, 16, 12, 8, 10]\n[sources]\n'
    )
    return path


def test_recipes_are_trained_one_after_another(small) -> None:
    told = []
    results = train_recipes(
        [str(small)], seed=3, device="cpu", progress=lambda done, text: told.append((done, text))
    )
    assert list(results) == ["small"]
    (result,) = results.values()
    assert result.spec == TrainSpec(
        network=NetworkSpec(sizes=(784, 16, 12, 8, 10)), epochs=1, seed=3
    )
    alone = train(result.spec, device="cpu")
    assert (alone.validation_error, alone.test_error) == (
        result.validation_error,
        result.test_error,
    )
    parts = [done for done, _ in told]
    assert parts == sorted(parts)
    assert parts[-1] == 1.0
    assert all(text.startswith("small: ") and len(text) <= 40 for _, text in told)


def test_two_recipes_of_one_name_are_refused(small) -> None:
    with pytest.raises(ValueError, match=r"^recipes must have different names, got small, small$"):
        train_recipes([str(small), str(small)])


def test_the_table_has_the_numbers_and_fits_the_terminal(small) -> None:
    (result,) = train_recipes([str(small)], device="cpu").values()
    lines = table({"small": result}).splitlines()
    assert max(len(line) for line in lines) <= 80
    start, end = (line.split() for line in lines[2:4])
    assert start[:3] == ["small", "0", f"{100 * result.history[0].validation_error:.1f}"]
    assert end[:3] == [
        "1",
        f"{100 * result.validation_error:.1f}",
        f"{100 * result.test_error:.1f}",
    ]
    layers = result.best.layers.values()
    assert end[3:6] == [f"{100 * layer.active_fraction:.1f}" for layer in layers]
    assert end[6:9] == [f"{layer.mean_activation:.2f}" for layer in layers]
    assert int(end[9]) == sum(layer.n_alive for layer in layers)
    assert lines[-1] == "small: active means abs(output) > 0 for one validation image"


def _script(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False
    )


def test_the_script(small) -> None:
    run = _script(str(small), "--device", "cpu")
    assert run.returncode == 0, run.stderr
    assert "active means abs(output) > 0" in run.stdout
    assert len(SCRIPT.read_text().splitlines()) <= 55


def test_the_script_on_bad_input() -> None:
    run = _script("--device", "tpu")
    assert run.returncode == 2
    assert "device must be auto, cpu, cuda, mps, got 'tpu'" in run.stderr
    assert "Traceback" not in run.stderr
