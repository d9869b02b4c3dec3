"""What is found by name - engines, image sets, claims, kinds of runs - takes those of others too.

A module outside the package adds one of each. They are used from Python and from the command line.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest
from command_line import ask

from neurosparse import claims, data, recipes, sweep
from neurosparse._internal import registry
from neurosparse._internal.registry import Registry
from neurosparse.claims import registry as numbered
from neurosparse.cli.options import kinds_of_sweeps
from neurosparse.spiking import engines, run_circuit
from neurosparse.spiking.circuit import load as load_circuit
from neurosparse.sweep import closure, kinds

PLUGIN = '''
"""An engine, an image set, a claim and a kind of runs."""

import sys

import numpy as np

from neurosparse import claims, data, sweep
from neurosparse.activity import SpikeTrains
from neurosparse.claims import Claim, Criterion
from neurosparse.data import ImageSet, Splits
from neurosparse.spiking import engines

HERE = sys.modules[__name__]
CLAIM = Claim(
    "Two is more than one.", "this file", (Criterion("difference", "two minus one", low=0.5),)
)


class Metronome:
    """Every cell fires once a millisecond."""

    def simulate(self, circuit, *, duration_ms, seed, dt_ms=0.1, progress=lambda *_: None):
        n = sum(population.size for population in circuit.populations)
        times = np.arange(1.0, duration_ms)
        return SpikeTrains(
            np.tile(times, n),
            np.repeat(np.arange(n), len(times)),
            n_units=n,
            duration_ms=duration_ms,
            dt_ms=dt_ms,
        )


class Stripes:
    """Two classes: left half white, right half white."""

    @staticmethod
    def load(folder=None):
        labels = np.arange(40) % 2
        images = np.where(np.arange(16) // 8 == labels[:, None], 1.0, 0.0).astype(np.float32)
        part = ImageSet(images, labels, n_classes=2, shape=(4, 4))
        return Splits("stripes", part, part, part)


def measure(lab, seed):
    return {"difference": 2.0 - 1.0 + 0.001 * seed}


def resolve(recipe, settings, seed):
    return {"recipe": recipe.name, "seed": seed, **settings}


def modules(spec):
    return []


def run(spec, lock, device, progress):
    (lock.folder / "double.txt").write_text(str(2 * spec["seed"]))
    return [{"double": 2 * spec["seed"]}]


engines.register("metronome", Metronome())
data.register("stripes", Stripes)
claims.register(19, HERE)
sweep.register("double", __name__)
'''
SWEEP = 'kind = "double"\nrecipe = "rectifier"\nseeds = [3, 4]\n[sources]\n'


def files_of(package: ModuleType) -> set[str]:
    (folder,) = package.__path__
    return {path.stem for path in Path(folder).glob("*.py")} - {"__init__"}


def expected_names() -> dict[str, set[object]]:
    """Return the names of this package, by its files."""
    numbers = {int(name[1:3]) for name in files_of(claims) if re.match(r"c\d\d_", name)}
    assert {"brian2", "kernel", "nest"} <= files_of(engines)
    assert set(range(1, 19)) <= numbers
    return {
        "engine": files_of(engines),
        "image set": files_of(data.sets),
        "claim": numbers,
        "kind": files_of(kinds),
    }


REGISTRIES = (engines.registry, data.sets.registry, numbered.registry, kinds.registry)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_plugin.py").write_text(PLUGIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEUROSPARSE_PLUGINS", "my_plugin")
    entries = [dict(each._entries) for each in REGISTRIES]
    yield "my_plugin"
    for each, before in zip(REGISTRIES, entries, strict=True):
        each._entries.clear()
        each._entries.update(before)
    registry._loaded.discard("my_plugin")
    sys.modules.pop("my_plugin", None)
    closure.path_of.cache_clear()
    closure._root.cache_clear()


@pytest.mark.parametrize("found", REGISTRIES, ids=lambda r: r.what)
def test_each_file_of_the_folder_is_found_and_has_what_it_needs(found) -> None:
    assert set(found.names()) == expected_names()[found.what]
    for name in found.names():
        entry = found.get(name)
        assert entry is import_module(found.home(name))
    with pytest.raises(ValueError, match=rf"^{found.what} must be .*, got"):
        found.get(type(found.names()[0])(99))


def test_one_of_each_from_python(plugin: str, tmp_path: Path) -> None:
    for each, added in zip(REGISTRIES, ("metronome", "stripes", 19, "double"), strict=True):
        assert set(each.names()) == expected_names()[each.what] | {added}
    assert data.load("stripes").test.images.shape == (40, 16)
    circuit = load_circuit("brunel2000_ai")
    with pytest.warns(UserWarning, match="scale"):
        spikes = run_circuit(circuit, seconds=0.02, seed=1, engine="metronome", scale=0.01)
    assert len(spikes.ticks) == 20 * spikes.n_units
    assert claims.load(19).CLAIM.source == "this file"
    (finding,) = claims.run(tmp_path / "claims", [19], splits=data.load("stripes"))
    assert (finding.number, finding.verdict) == (19, "holds")
    spec = sweep.SweepSpec(kind="double", recipe="rectifier", seeds=(3, 4))
    result = sweep.run(spec, tmp_path / "sweep", workers=0)
    assert [(row["seed"], row["double"]) for row in result.rows] == [(3, 6), (4, 8)]


def test_a_shell_completes_the_recipes_of_every_kind_of_sweep(plugin, monkeypatch) -> None:
    monkeypatch.setattr(recipes, "available", lambda kind: [f"{kind}_recipe"])
    complete = kinds_of_sweeps()
    assert complete("") == [f"{kind}_recipe" for kind in kinds.names()]
    assert complete("doub") == ["double_recipe"]


def test_a_run_of_another_engine_has_another_key(plugin: str, tmp_path: Path) -> None:
    """And one whose file changes, too; runs of other engines keep theirs."""

    def codes() -> dict[str, str]:
        from neurosparse.sweep import code

        closure.source.cache_clear()
        closure.path_of.cache_clear()
        closure._root.cache_clear()
        code.fingerprint.cache_clear()
        spec = sweep.SweepSpec(
            kind="simulate", recipe="brunel2000_ai", grid={"engine": ("kernel", "metronome")}
        )
        return {task.spec["engine"]: task.code for task in sweep.plan(spec, tmp_path / "sweep")}

    before = codes()
    assert before["kernel"] != before["metronome"]
    path = tmp_path / "my_plugin.py"
    path.write_text(path.read_text().replace("np.arange(1.0, ", "np.arange(2.0, "))
    after = codes()
    assert after["kernel"] == before["kernel"]
    assert after["metronome"] != before["metronome"]


def said_by(*words: object) -> str:
    done = ask(*words)
    return f"{done.returncode} {done.stdout}{done.stderr}"


def test_one_of_each_from_the_command_line(plugin: str, tmp_path: Path) -> None:
    (tmp_path / "double.toml").write_text(SWEEP)
    help_text = " ".join(said_by("simulate", "--help").split())
    assert "metronome" in help_text
    said = said_by(
        *("simulate", "brunel2000_ai", "--engine", "metronome", "--scale", "0.01"),
        *("--seconds", "0.1", "-o", "simulated"),
    )
    assert said.startswith("0 "), said
    rates = pq.read_table(tmp_path / "simulated" / "populations.parquet").to_pylist()
    assert [row["rate_hz"] for row in rates] == pytest.approx([1000.0])
    said = said_by("claims", "--only", "19", "-o", "claims")
    assert said.startswith("0 "), said
    assert "Two is more than one." in said
    command = [sys.executable, "-m", "neurosparse.cli", "sweep", "double.toml", "-o", "runs"]
    done = subprocess.run(  # its workers compare their code with that of a new process
        [*command, "--workers", "1"], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "table.csv").read_text().split()[1].endswith(",6")
    said = said_by(
        *("train", "rectifier", "--set", 'data="stripes"', "--set", "network.sizes=[16, 8, 2]"),
        *("--set", "epochs=1", "-o", "trained.safetensors"),
    )
    assert said.startswith("0 "), said


def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugin: str) -> None:
    (tmp_path / "broken.py").write_text("raise RuntimeError('no')")
    for name, words in (
        ("absent", "NEUROSPARSE_PLUGINS names the plugin 'absent', which cannot be imported"),
        ("broken", "NEUROSPARSE_PLUGINS names the plugin 'broken'.* RuntimeError: no"),
    ):
        monkeypatch.setenv("NEUROSPARSE_PLUGINS", name)
        with pytest.raises(ValueError, match=words):
            engines.names()
    monkeypatch.setenv("NEUROSPARSE_PLUGINS", "my_plugin")
    said = said_by("simulate", "brunel2000_ai", "--engine", "metronom")
    assert said.startswith("2 "), said
    assert "got 'metronom'; did you mean metronome?" in said
    places = Registry[str, object]("place", {"here": "os.path"}, needs=("join",))
    with pytest.raises(ValueError, match="place 'here' is there already"):
        places.register("here", "json")
    with pytest.raises(TypeError, match="place 'there' needs join, got"):
        places.register("there", json)
    places.register("there", "json")
    with pytest.raises(TypeError, match="place 'there' needs join, got"):
        places.get("there")
    places.register("here", "os.path")  # the same once more is no harm


def test_an_entry_point_is_enough(tmp_path: Path) -> None:
    (tmp_path / "my_plugin.py").write_text(PLUGIN)
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[neurosparse.plugins]\nmine = my_plugin\n")
    code = "from neurosparse import data; print(data.load('stripes').name)"
    places = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": places},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.strip() == "stripes", done.stderr
