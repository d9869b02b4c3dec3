"""Anything is compared with anything: saved results, spike files, weights; on the command line too,
where networks are measured.
"""

import json
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

import neurosparse as ns
from neurosparse import sources
from neurosparse.cli import app
from neurosparse.probe import loading
from neurosparse.recordings import save_spikes
from neurosparse.rectifier import NetworkSpec, RectifierNetwork, TrainSpec, save


def spikes(rate_hz: float = 5.0, seed: int = 0) -> ns.SpikeTrains:
    rng = np.random.default_rng(seed)
    n = rng.poisson(rate_hz * 400)
    return ns.SpikeTrains(
        rng.integers(0, 20_000, n) * 0.1,
        rng.integers(0, 200, n),
        n_units=200,
        duration_ms=2000.0,
        dt_ms=0.1,
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a circuit, weights, a saved comparison and somebody's own
    network.
    """
    save_spikes(spikes(), tmp_path / "circuit.npz")
    save_spikes(spikes(9.0, seed=1), tmp_path / "faster.npz")
    network = NetworkSpec(sizes=(784, 30, 20, 10))
    training = TrainSpec(network=network, data="mnist5k")
    save(RectifierNetwork(network, seed=1), tmp_path / "net.safetensors", training=training)
    save(RectifierNetwork(network, seed=1), tmp_path / "untold.safetensors")
    stats = ns.measure(
        spikes(7.0, seed=2), active_when=ns.ActiveWhen(window_ms=10.0), name="circuit"
    )
    ns.compare(stats).save(tmp_path / "run")
    (tmp_path / "own_network.py").write_text(
        "from torch import nn\n\n\ndef make():\n    return nn.Sequential(nn.Conv2d(1, 3, 5),"
        " nn.ReLU(), nn.Flatten(), nn.Linear(1728, 7), nn.Sigmoid())\n\n\nnumber = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_kind_of_source_is_what_measure_gives(folder: Path) -> None:
    (circuit,) = sources.read("circuit.npz", window_ms=5.0)
    expected = ns.measure(spikes(), active_when=ns.ActiveWhen(window_ms=5.0), name="circuit")
    assert (circuit.active_fraction, circuit.name) == (expected.active_fraction, "circuit")
    assert circuit.curve == expected.curve
    for place in ("run", "run/comparison.json"):
        (run,) = sources.read(place)
        assert run == ns.measure(spikes(7.0, seed=2), active_when=run.active_when, name="circuit")
    (net,) = sources.read("net.safetensors", threshold=0.5)
    assert (net.name, net.n_units, net.n_samples, net.active_when.threshold) == (
        "net",
        50,
        1000,
        0.5,
    )


def test_names_that_repeat_are_told_apart_and_some_can_be_kept(folder: Path) -> None:
    everything = ["circuit.npz", "run", "net.safetensors"]
    assert [s.name for s in sources.read_all(everything)] == [
        "circuit: circuit",
        "run: circuit",
        "net",
    ]
    assert [s.name for s in sources.read_all(everything, only=["net"])] == ["net"]
    assert [s.name for s in sources.read_all(everything, only=["circuit"])] == [
        "circuit: circuit",
        "run: circuit",
    ]
    assert [s.name for s in sources.read_all(everything, only=["run: circuit"])] == ["run: circuit"]
    with pytest.raises(
        ValueError,
        match=r"^none is called 'other'; there are: circuit: circuit, run: circuit, net$",
    ):
        sources.read_all(everything, only=["other"])


def test_a_circuit_and_its_populations_are_called_by_their_source(folder: Path) -> None:
    parts = [
        ns.measure(spikes(), active_when=ns.ActiveWhen(window_ms=10), name=name)
        for name in ("all", "E")
    ]
    ns.compare(*parts).save("mine")
    assert [s.name for s in sources.read_all(["mine", "run"])] == ["mine", "mine: E", "circuit"]
    assert [s.name for s in sources.read_all(["mine"], only=["all"])] == ["mine"]
    wholes = sources.read_all(["mine", "circuit.npz", "net.safetensors"], only=["all"])
    assert [s.name for s in wholes] == ["mine", "circuit", "net"]


def test_weights_that_do_not_say_what_they_were_trained_on(folder: Path) -> None:
    with pytest.raises(
        ValueError, match=r"untold.safetensors does not say what it was trained on: measure it with"
    ):
        sources.read("untold.safetensors")


# ---- Anyone's network
# --------------------------------------------------------------------------------------------------


def test_a_factory_and_its_weights(folder: Path) -> None:
    network = loading.build("own_network:make")
    save_file(
        {name: torch.full_like(value, 0.5) for name, value in network.state_dict().items()},
        "half.safetensors",
    )
    assert all(
        (value == 0.5).all()
        for value in loading.build("own_network:make", "half.safetensors").parameters()
    )
    assert isinstance(loading.build("torch.nn:ReLU"), nn.ReLU)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("nowhere_at_all:make", r"^no module 'nowhere_at_all' in "),
        ("own_network:other", r"^module 'own_network' has no 'other'$"),
        ("own_network:number", r"^own_network:number must give a torch module, got int$"),
        ("own_network", r"^a network is named as module:factory, got 'own_network'$"),
    ],
)
def test_what_is_no_network_is_refused(folder: Path, factory: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loading.build(factory)


def test_weights_that_do_not_fit_are_refused(folder: Path) -> None:
    state = loading.build("own_network:make").state_dict()
    for changed, message in (
        (
            {"0.bias": torch.zeros(4)},
            r"^'0.bias' must have shape \(3,\), got \(4,\) in w.safetensors$",
        ),
        (
            {"more": torch.zeros(1)},
            r"^w.safetensors has 'more', which Sequential has no place for$",
        ),
    ):
        save_file({**state, **changed}, "w.safetensors")
        with pytest.raises(ValueError, match=message):
            loading.build("own_network:make", "w.safetensors")
    save_file({name: value for name, value in state.items() if name != "0.bias"}, "w.safetensors")
    with pytest.raises(
        ValueError, match=r"^w.safetensors has no '0.bias', which Sequential needs$"
    ):
        loading.build("own_network:make", "w.safetensors")


def test_inputs_from_files(folder: Path) -> None:
    x = np.arange(24.0).reshape(2, 12)
    np.save("x.npy", x)
    np.savez("one.npz", whatever=x)
    np.savez("two.npz", input_ids=x, attention_mask=x > 3)
    for source in ("x.npy", "one.npz"):
        np.testing.assert_array_equal(loading.inputs(source, (3, 4)), x.reshape(2, 3, 4))
    assert list(loading.inputs("two.npz")) == ["input_ids", "attention_mask"]
    assert loading.inputs("mnist5k", (1, 28, 28)).shape == (1000, 1, 28, 28)
    np.save("objects.npy", np.array([{}]), allow_pickle=True)
    Path("empty.npy").write_bytes(b"")
    for source, shape, message in (
        ("x.npy", (5, 5), r"^inputs of shape \(12,\) do not have the shape \(5, 5\)$"),
        ("two.npz", (3, 4), r"^a shape is for one array of inputs, and two.npz holds several"),
        ("objects.npy", None, r"^cannot read arrays from objects.npy: "),
        ("empty.npy", None, r"^cannot read arrays from empty.npy: "),
        ("x.txt", None, r"^data are an image set \(.*mnist5k.* got 'x.txt'$"),
    ):
        with pytest.raises(ValueError, match=message):
            loading.inputs(source, shape)
    with pytest.raises(FileNotFoundError, match=r"^no file none.npy$"):
        loading.inputs("none.npy")


# ---- On the command line
# --------------------------------------------------------------------------------------------------


def run(*arguments: object):
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "80"})


def test_anyones_network_is_measured(folder: Path) -> None:
    done = run(
        "measure",
        "own_network:make",
        "--data",
        "mnist5k",
        "--input-shape",
        "1,28,28",
        "--threshold",
        0.2,
        "-o",
        "out",
    )
    assert done.exit_code == 0, done.output
    assert max(len(line) for line in done.stdout.splitlines() if "report.html" not in line) <= 80
    saved = json.loads(Path("out/comparison.json").read_text())
    assert (saved["provenance"]["network"], saved["provenance"]["device"]) == (
        "own_network:make",
        "cpu",
    )
    assert saved["provenance"]["versions"]["torch"] == metadata.version("torch")
    layers = {s["name"]: s for s in saved["stats"]}
    assert {
        name: (s["active_when"]["axis"], s["n_units"], s["n_samples"]) for name, s in layers.items()
    } == {
        "1": (1, 3, 576_000),
        "4": (-1, 7, 1000),
    }
    assert "576,000" in done.stdout
    assert Path("out/report.html").is_file()


def test_weights_are_measured_on_the_images_that_they_were_trained_on(folder: Path) -> None:
    done = run("measure", "net.safetensors", "--json")
    assert done.exit_code == 0, done.output
    layers = json.loads(done.stdout)["stats"]
    assert {layer["provenance"]["data"] for layer in layers} == {"mnist5k"}
    assert "give --data" in str(run("measure", "untold.safetensors").exception)


def test_anything_is_compared(folder: Path) -> None:
    done = run(
        "compare",
        "circuit.npz",
        "faster.npz",
        "net.safetensors",
        "--band",
        "mine=0.05-0.2",
        "-o",
        "out",
    )
    assert done.exit_code == 0, done.output
    assert max(len(line) for line in done.stdout.splitlines() if "report.html" not in line) <= 80
    text = " ".join(done.stdout.split())
    assert "faster less circuit: +" in text
    assert "mine (5-20 %): circuit in windows of " in text
    for part in (
        "1-4 % of neurons active at once",
        "fewer than 1 %",
        "at most 15 %",
        "An estimate by way of an energy budget",
    ):
        assert part in text
    assert [s.name for s in ns.comparison.load("out").stats] == ["circuit", "faster", "net"]


def test_unlike_definitions_are_refused_with_the_remedy(folder: Path) -> None:
    mixed = run("compare", "circuit.npz", "run", "--window-ms", 5)
    assert isinstance(mixed.exception, ValueError)
    assert "mean different things by active: measure both alike, or pass --mixed" in str(
        mixed.exception
    )
    assert run("compare", "circuit.npz", "run", "--window-ms", 5, "--mixed").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "circuit.npz", "--epochs", 3], "--epochs does nothing here: leave A B C out"),
        (["compare", "--threshold", 0.5], "--threshold does nothing here: name what to compare"),
        (["compare", "none.npz"], "no file or folder none.npz"),
        (["measure", "own_network:make"], "a network needs inputs to be measured on: give --data"),
        (
            ["measure", "own_network:make", "--energy", "--data", "mnist5k"],
            "--energy is for spikes",
        ),
        (["measure", "circuit.npz", "--data", "mnist5k"], "--data is for networks"),
        (
            ["measure", "own_network:make", "--data", "mnist5k", "--input-shape", "a"],
            "--input-shape takes whole numbers",
        ),
    ],
)
def test_options_that_do_nothing_are_refused(folder: Path, arguments: list, message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 1
    assert message in str(done.exception)
