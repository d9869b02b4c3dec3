"""SIGTERM at a random moment, as Slurm and containers send it: nothing is left half-made, and the
command goes on to the result of one that was never stopped.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import world

N_FAST, N_SLOW = 1, 100  # of each job

JOBS = {
    "train": "train long.toml -o out/a.safetensors",
    "sweep": "sweep long_sweep.toml -o out --workers 0",
    "simulate": "simulate circuit.toml --seconds 0.05 -o out",
    "measure": "measure spikes.npz -o out",
    "convert": "convert net.safetensors --images 10 --steps 8 --nir out/a.nir --lossy -o out/a",
}


def make_server(folder: Path) -> world.Server:
    """Return a server whose folder has longer jobs too."""
    server = world.Server(folder)
    text = (server.model / "small.toml").read_text().replace("epochs = 2", "epochs = 60")
    (server.model / "long.toml").write_text(text)
    sweep = (server.model / "sweep.toml").read_text().replace("small.toml", "long.toml")
    (server.model / "long_sweep.toml").write_text(sweep.replace("[1, 2]", "[1]"))
    return server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[world.Server]:
    server = make_server(tmp_path_factory.mktemp("signals"))
    yield server
    server.end()


def results(out: Path) -> dict[str, Any]:
    """The numbers that a command wrote."""
    import pandas as pd
    from safetensors.numpy import load_file

    found: dict[str, Any] = {"weights": []}
    for path in sorted(out.rglob("*")):
        if path.suffix == ".safetensors":
            loaded = load_file(path)
            found["weights"].append({name: array.tobytes() for name, array in loaded.items()})
        elif path.name == "table.csv":  # the key of a run depends on where its images lie
            found["table"] = pd.read_csv(path).drop(columns="run").to_json()
        elif path.name in ("populations.parquet", "activity.parquet"):
            found[path.name] = pd.read_parquet(path).to_json()
        elif path.suffix == ".nir" or path.name == "conversion.json":
            found[path.name] = path.read_bytes()
    found["weights"].sort(key=str)
    return found


@dataclass(frozen=True, slots=True)
class Whole:
    """A job that nothing happened to."""

    cpu_s: float
    results: dict[str, Any]


def undisturbed(server: world.Server, job: str) -> Whole:
    """Run a job in peace, twice: the first may compile."""
    for _ in range(2):
        place = server.fresh()
        outcome = server.ask(*JOBS[job].split(), place=place, stop_s=world.PATIENCE_S)
        assert (outcome["code"], world.faults(outcome)) == (0, []), outcome["err"]
        found = results(place / "here" / "out")
        shutil.rmtree(place)
    assert any(found.values())
    return Whole(outcome["work_cpu_s"], found)


def tried(server: world.Server, job: str, whole: Whole, seed: int, k: int) -> world.Tried:
    """Stop a job at moment `k` of a seed, and let it go on."""
    words, place = JOBS[job].split(), server.fresh()
    stop_s = random.Random(f"{seed} {k}").uniform(0, whole.cpu_s)
    first = server.ask(*words, place=place, stop_s=world.PATIENCE_S, stop_cpu_s=stop_s)
    again = server.ask(*words, place=place, stop_s=world.PATIENCE_S)
    found = world.faults(first) + [f"then: {fault}" for fault in world.faults(again)]
    if again["code"] != 0:
        found.append(f"then: exit code {again['code']}")
    elif results(place / "here" / "out") != whole.results:
        found.append("then: other results")
    shutil.rmtree(place)
    ended = "stopped" if first["code"] == 143 else "complete"
    said, cpu_s = first["err"][-600:] + again["err"][-600:], first["cpu_s"] + again["cpu_s"]
    return world.Tried(f"{job} after {stop_s:.4f} s of CPU", found, said, cpu_s, ended)


def check(server: world.Server, job: str, n: int, seed: int) -> int:
    """Stop a job `n` times, and let it go on each time; how often it was stopped under way."""
    whole = undisturbed(server, job)
    all_tried = [tried(server, job, whole, seed, k) for k in range(n)]
    assert not [each for each in all_tried if each.faults], [t for t in all_tried if t.faults]
    return sum(each.ended == "stopped" for each in all_tried)


@pytest.mark.parametrize("job", JOBS)
def test_sigterm_at_a_random_moment(server: world.Server, job: str) -> None:
    check(server, job, N_FAST, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
def test_many_more_sigterms(server: world.Server, job: str) -> None:
    assert check(server, job, N_SLOW, seed=2) > N_SLOW // 4
