"""A folder of small files of each kind, and a server that runs command lines in copies of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import neurosparse as ns
from neurosparse._internal import share

CODES = {0, 2, 130, 143}
# a sweep says with 1 that runs failed, and `runs verify` that some are damaged
CODES_OF_RUNS = CODES | {1}
MOST_MB = 2048
PATIENCE_S = 300.0  # for a command that compiles, on a busy machine

NETWORK = """
kind = "network"
title = "Small"
data = "images.npz"
epochs = 2
learning_rate = 0.1
network.sizes = [36, 12, 8, 3]
"""
CIRCUIT = """
kind = "circuit"
title = "Small"
[cell]
tau_m_ms = 20.0
e_leak_mV = 0.0
v_threshold_mV = 20.0
v_reset_mV = 10.0
t_ref_ms = 2.0
[synapse]
model = "delta"
[drive]
in_degree = 100
rate_hz = 20
weight_mV = 1.0
[populations.E]
size = 80
v_init_mV = 5.0
[populations.I]
size = 20
v_init_mV = 5.0
[projections.all]
pre = "E"
post = ["E", "I"]
in_degree = 10
weight_mV = 0.2
delay_ms = 1.5
"""
SWEEP = """
kind = "train"
recipe = "small.toml"
seeds = [1, 2]
grid.l1 = [0.0, 0.01]
"""
MODEL = """
import torch
def fits(): return torch.nn.Sequential(torch.nn.Linear(36, 5), torch.nn.ReLU())
def wrong(): return torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.ReLU())
def fails(): return 1 / 0
def none(): return None
"""


def make(folder: Path) -> None:
    """Fill a folder: recipes, spikes, images, a network, a comparison, a model, damaged files."""
    from neurosparse import recordings, rectifier

    rng = np.random.default_rng(1)
    labels = np.arange(120) % 3
    images = np.clip(rng.random((3, 36))[labels] + 0.3 * rng.standard_normal((120, 36)), 0, 1)
    np.savez(folder / "images.npz", x=images.astype(np.float32), y=labels)
    np.save(folder / "inputs.npy", images[:20].astype(np.float32))
    for name, text in (("small", NETWORK), ("circuit", CIRCUIT), ("sweep", SWEEP)):
        (folder / f"{name}.toml").write_text(text)
    population = share.folder("models") / "circuits" / "cortical_population.toml"
    text = population.read_text().replace("value = 4000,", "value = 80,")
    text = text.replace("value = 1000,", "value = 20,").replace("value = 400,", "value = 8,")
    text = text.replace("value = 100,", "value = 4,").replace("value = 500.0,", "value = 5.0,")
    (folder / "population.toml").write_text(text)
    (folder / "models_of_mine.py").write_text(MODEL)
    times, units = np.sort(rng.uniform(0, 999, 200)).round(1), rng.integers(0, 9, 200)
    spikes = ns.SpikeTrains(times, units, n_units=9, duration_ms=1000.0, dt_ms=0.1)
    recordings.save_spikes(spikes, folder / "spikes.npz")
    lines = [f"{t / 1e3:.4f},{u}\n" for t, u in zip(times, units, strict=True)]
    (folder / "spikes.csv").write_text("time_s,unit\n" + "".join(lines))
    (folder / "spikes.txt").write_text("".join(lines).replace(",", "\t"))
    ns.compare(ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=10.0), name="E")).save(
        folder / "comparison"
    )
    network = rectifier.RectifierNetwork(rectifier.NetworkSpec(sizes=(36, 12, 8, 3)), seed=1)
    training = rectifier.TrainSpec(
        network={"sizes": (36, 12, 8, 3)}, data=str(folder / "images.npz"), epochs=1
    )
    rectifier.save(network, folder / "net.safetensors", training=training)
    whole = (folder / "spikes.npz").read_bytes()
    (folder / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (folder / "cut.safetensors").write_bytes((folder / "net.safetensors").read_bytes()[:200])
    (folder / "empty").write_bytes(b"")
    (folder / "noise.nwb").write_bytes(rng.bytes(500))
    (folder / "noise.toml").write_bytes(rng.bytes(200))
    (folder / "folder").mkdir()


@dataclass(frozen=True, slots=True)
class Tried:
    """One try of a harness: what it was, what was wrong, what was said, and how it ended."""

    what: str
    faults: list[str]
    said: str
    cpu_s: float
    ended: str


# what compiles the kernels, and builds what is kept between runs
COMPILING = (
    "train small.toml -o a.safetensors", "simulate circuit.toml --seconds 0.02",
    "simulate population.toml --seconds 0.02", "convert net.safetensors --images 10 --steps 8",
)  # fmt: skip


class Server:
    """Runs command lines, each in a copy of a folder."""

    def __init__(self, place: Path) -> None:
        self.place, self.model = place, place / "model"
        self.model.mkdir()
        make(self.model)
        self.command = [sys.executable, str(Path(__file__).with_name("forked.py"))]
        self.process: subprocess.Popen[str] | None = None

    def fresh(self) -> Path:
        """A copy of the folder, alone in a folder of its own with one for temporary files."""
        place = Path(tempfile.mkdtemp(dir=self.place))
        shutil.copytree(self.model, place / "here")
        (place / "tmp").mkdir()
        return place

    def ask(self, *words: str, place: Path | None = None, **job: Any) -> dict[str, Any]:
        """What comes of a command line; `left` are the files that should be gone."""
        own = place is None
        place = place or self.fresh()
        if self.process is None:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
            )
        here, tmp = place / "here", place / "tmp"
        line = json.dumps({"words": words, "folder": str(here), "tmp": str(tmp), **job})
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(line, file=self.process.stdin, flush=True)
        outcome = json.loads(self.process.stdout.readline())
        hidden = [p.name for p in here.rglob(".*") if p.name.startswith(".")]
        outcome["left"] = [*sorted(p.name for p in tmp.iterdir()), *hidden]
        if own:
            shutil.rmtree(place)
        return outcome

    def compile(self) -> None:
        """Compile all kernels, once for all commands."""
        for words in COMPILING:
            outcome = self.ask(*words.split(), stop_s=PATIENCE_S)
            assert outcome["code"] == 0, outcome

    def end(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                assert pipe is not None
                pipe.close()
            self.process = None


def faults(outcome: dict[str, Any], *, codes: set[int] = CODES) -> list[str]:
    """What is wrong with the end of a command."""
    found = []
    if outcome["code"] not in codes:
        found.append(f"exit code {outcome['code']}")
    if "Traceback" in outcome["err"] + outcome["out"]:
        found.append("a traceback")
    if "\x1b" in outcome["err"] + outcome["out"]:
        found.append("a command to the terminal")
    if outcome["code"] == 2:
        last = (outcome["err"].splitlines() or [""])[-1]
        if not last.startswith("neurosparse: "):
            found.append("no sentence")
        if "(--debug shows where)" in last:
            found.append("an error that nobody foresaw")
    if outcome["hangs"]:
        found.append("it did not stop on SIGTERM")
    if outcome["stopped"] and outcome["code"] == -15:
        found.append("it was ended by SIGTERM, unheard")
    if outcome["most_mb"] > MOST_MB:
        found.append(f"{outcome['most_mb']:.0f} MB")
    if outcome["left"]:
        found.append(f"it left {outcome['left']}")
    return found
