"""The command line: the main job on small recipes, bad input in one sentence, Ctrl-C without
orphans.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command_line import ask
from safetensors.torch import load_file

from neurosparse import claims, cli
from neurosparse._internal import share

PROGRAM = [sys.executable, "-m", "neurosparse.cli"]
ENVIRONMENT = {**os.environ, "COLUMNS": "80", "OMP_NUM_THREADS": "1"}
SMALL = ["--set", "network.sizes=[784, 32, 32, 10]", "--set", "epochs=1"]


@pytest.fixture(scope="module")
def small_network(tmp_path_factory):
    """The rectifier recipe with small layers."""
    text = (share.folder("models") / "networks" / "rectifier_l1.toml").read_text()
    assert "[784, 1000, 1000, 1000, 10]" in text
    path = tmp_path_factory.mktemp("recipes") / "small.toml"
    path.write_text(text.replace("[784, 1000, 1000, 1000, 10]", "[784, 48, 48, 10]"))
    return path


# ---- the main job ----


@pytest.fixture(scope="module")
def compared(small_network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare") / "out"
    quick = ("--seconds", 1, "--column", "none", "--epochs", 1, "--network", small_network)
    done = ask("compare", *quick, "--claims", folder.parent / "none", "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_compare_writes_one_folder(compared):
    folder, _ = compared
    names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    wanted = {
        "comparison.json",
        "curves.npz",
        "activity.parquet",
        "report.html",
        "spikes/cortical_population.npz",
        "training.parquet",
        "networks/small.safetensors",
    }
    assert wanted <= names
    figures = {Path(name).stem for name in names if name.startswith("figures/")}
    assert figures == {
        "active_fraction_over_window", "neurons_and_units", "raster", "rates", "layers", "units", "training", "cost"
    }  # fmt: skip
    # nothing temporary is left beside it
    assert not [p for p in folder.parent.iterdir() if p != folder]


def test_compare_says_what_was_measured_within_80_columns(compared):
    folder, done = compared
    lines = [line for line in done.stdout.splitlines() if str(folder) not in line]
    assert max(map(len, lines)) <= 80
    assert "…" not in done.stdout
    assert "report.html" in done.stdout
    saved = json.loads((folder / "comparison.json").read_text())
    circuit, network = saved["stats"]
    assert circuit["kind"] == "spikes"
    assert network["kind"] == "activations"
    assert 0 < circuit["active_fraction"] < 0.2
    assert saved["equivalent_window_ms"][network["name"]][circuit["name"]] > 0
    data = "the 1,000 test images of mnist5k (handwritten digits)"
    assert (network["provenance"]["data"], network["provenance"]["tested on"]) == ("mnist5k", data)
    assert f"Wrong class, of {data}: " in " ".join(done.stdout.split())
    assert saved["provenance"]["seed"] == 1
    assert saved["provenance"]["versions"]["brian2"]
    assert saved["provenance"]["seconds"] == 1
    # the claims, with the remedy
    untested = (
        f"{len(claims.names())} claims of Glorot, Bordes and Bengio (2011) are not tested yet"
    )
    assert (folder / "report.html").read_text().count(untested) == 1


def test_earlier_results_are_replaced_and_foreign_folders_are_not(
    compared, tmp_path, small_network
):
    (tmp_path / "thesis.tex").write_text("years of work")
    done = ask("compare", "--network", small_network, "--out", tmp_path)
    assert done.returncode == 2
    assert "holds files but no comparison.json" in done.stderr
    assert (tmp_path / "thesis.tex").exists()


def test_simulate_then_measure(tmp_path):
    out = tmp_path / "out"
    done = ask(
        "simulate",
        "cortical_population",
        "--seconds",
        1,
        "--seeds",
        2,
        "--spikes",
        "nwb",
        "--out",
        out,
    )
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.split("Numbers")[0].splitlines())) <= 80
    rows = pq.read_table(out / "populations.parquet").to_pylist()
    assert [(row["seed"], row["population"]) for row in rows] == [
        (s, p) for s in (1, 2) for p in ("all", "E", "I")
    ]
    again = ask("measure", out / "spikes.nwb")
    assert again.returncode == 0, again.stderr
    for row in rows[:3]:  # what is read back is what was simulated
        assert f"{row['rate_hz']:.2f} Hz" in again.stdout


def test_train_writes_weights_that_load(tmp_path):
    out = tmp_path / "weights.safetensors"
    done = ask("train", "rectifier_l1", *SMALL, "--device", "cpu", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "hidden2" in done.stdout
    from neurosparse.rectifier import load

    assert load(out).spec.sizes == (784, 32, 32, 10)


def test_a_stopped_training_goes_on_from_its_checkpoint(tmp_path):
    arguments = [
        "train",
        "rectifier_l1",
        *SMALL[:2],
        "--set",
        "epochs=2",
        "--device",
        "cpu",
        "--out",
    ]
    done = ask(*arguments, tmp_path / "a.safetensors", "--checkpoint", tmp_path / "c.safetensors")
    assert done.returncode == 0, done.stderr
    again = ask(*arguments, tmp_path / "b.safetensors", "--checkpoint", tmp_path / "c.safetensors")
    assert again.returncode == 0, again.stderr
    first, second = (load_file(tmp_path / name) for name in ("a.safetensors", "b.safetensors"))
    assert all(bool((first[name] == second[name]).all()) for name in first)
    other = ask(
        *arguments,
        tmp_path / "c2.safetensors",
        "--seed",
        9,
        "--checkpoint",
        tmp_path / "c.safetensors",
    )
    assert other.returncode == 2
    assert "c.safetensors" in other.stderr


# ---- bad input: one sentence, exit code 2, nothing written ----


BAD_INPUTS = {  # {here} holds truncated.npz, wrong.toml and a_file
    "unknown recipe": ("train nonsense", "no recipe 'nonsense'"),
    "unknown key": ("train {here}/wrong.toml", "unknown key 'learning_speed'"),
    "unknown key by --set": ("train rectifier_l1 --set l2=1", "unknown key 'l2'"),
    "negative rate": ("train rectifier_l1 --set learning_rate=-1", "learning_rate"),
    "not a number": ("train rectifier_l1 --set l1=nan", "l1"),
    "not a setting": ("train rectifier_l1 --set l1", "--set takes key=value"),
    "unknown device": (
        "train rectifier_l1 --device tpu",
        "device must be auto, cpu, cuda, mps, got 'tpu'",
    ),
    "unknown device, compare": ("compare --device tpu --out {here}/o", "device must be"),
    "absent device": ("compare --device cuda:99 --out {here}/o", "not available"),
    "out is a file": ("compare --out {here}/a_file", "a file of that name stands there"),
    "out below a file": ("compare --out {here}/a_file/o", "cannot write"),
    "missing file": ("measure {here}/none.npz", "none.npz"),
    "truncated file": ("measure {here}/truncated.npz", "truncated.npz"),
    "a network to simulate": ("simulate rectifier_l1", "rectifier_l1"),
    "a circuit to train": (
        "compare --network cortical_population --out {here}/o",
        "cortical_population",
    ),
    "no time": ("compare --seconds 0 --out {here}/o", "seconds"),
    "negative window": ("compare --window-ms=-3 --out {here}/o", "--window-ms"),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_one_sentence(case, tmp_path, monkeypatch, capfd):
    (tmp_path / "truncated.npz").write_bytes(b"PK\x03\x04 and then nothing")
    (tmp_path / "wrong.toml").write_text('kind = "network"\ntitle = "x"\nlearning_speed = 0.1\n')
    (tmp_path / "a_file").write_text("")
    command, message = BAD_INPUTS[case]
    monkeypatch.setattr(
        sys, "argv", ["neurosparse", *(word.format(here=tmp_path) for word in command.split())]
    )
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capfd.readouterr()
    assert ended.value.code == 2, out + err
    said = err.strip().splitlines()
    assert len(said) == 1, err
    assert said[0].startswith("neurosparse: ")
    assert message in said[0]
    assert sorted(tmp_path.rglob("*")) == before


def test_the_process_exits_with_that_code_and_no_traceback():
    done = subprocess.run(
        [*PROGRAM, "simulate", "nonsense"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("neurosparse: no recipe 'nonsense'; there are: ")
    assert "Traceback" not in done.stderr


# ---- help, and Ctrl-C ----


@pytest.mark.parametrize("command", ["compare", "simulate", "train", "measure"])
def test_help_has_examples(command):
    done = ask(command, "--help")
    assert done.returncode == 0
    assert "Example" in done.stdout
    assert f"neurosparse {command}" in done.stdout


def children(pid):
    """Every process below `pid`, from /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
        if parent == pid:
            found += [int(stat.parent.name), *children(int(stat.parent.name))]
    return found


def test_ctrl_c_leaves_neither_processes_nor_files(small_network, tmp_path):
    command = [
        *PROGRAM,
        "compare",
        "--seconds",
        "500",
        "--column",
        "none",
        "--network",
        str(small_network),
        "--out",
        str(tmp_path / "out"),
    ]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    end = time.monotonic() + 60
    while len(below := children(running.pid)) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    assert len(below) >= 2
    time.sleep(3)  # well into the work
    below = children(running.pid)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert said.strip().endswith(
        "stopped; no result was written, and older results are as they were"
    )
    end = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in below) and time.monotonic() < end:
        time.sleep(0.05)
    assert not [pid for pid in below if Path(f"/proc/{pid}").exists()]
    assert list(tmp_path.iterdir()) == []
