"""SIGTERM at a random moment, as Slurm and containers send it: nothing is left half-made, and the
command goes on to the result of one that was never stopped.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import world

N_FAST, N_SLOW = 1, 100  # of each job

JOBS = {
    "train": "train long.toml -o out/a.safetensors",
    "sweep": "sweep long_sweep.toml -o out --workers 0",
    "simulate": "simulate circuit.toml --seconds 0.2 -o out",
    "measure": "measure spikes.npz -o out",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[world.Server]:
    server = world.Server(tmp_path_factory.mktemp("signals"))
    text = (server.model / "small.toml").read_text().replace("epochs = 2", "epochs = 60")
    (server.model / "long.toml").write_text(text)
    sweep = (server.model / "sweep.toml").read_text().replace("small.toml", "long.toml")
    (server.model / "long_sweep.toml").write_text(sweep)
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
    found["weights"].sort(key=str)
    return found


def check(server: world.Server, job: str, n: int, seed: int) -> int:
    """Stop a job `n` times, and let it go on each time; how often it was stopped under way."""
    words, draw, stopped = JOBS[job].split(), random.Random(seed), 0
    place = server.fresh()
    whole = server.ask(*words, place=place, stop_s=world.PATIENCE_S)
    assert (whole["code"], world.faults(whole)) == (0, []), whole["err"]
    right = results(place / "here" / "out")
    assert any(right.values())
    shutil.rmtree(place)
    for _ in range(n):
        place = server.fresh()
        outcome = server.ask(*words, place=place, stop_s=draw.uniform(0, whole["seconds"]))
        assert world.faults(outcome) == [], json.dumps(outcome, indent=1)
        stopped += outcome["code"] == 143
        again = server.ask(*words, place=place, stop_s=world.PATIENCE_S)
        assert (again["code"], world.faults(again)) == (0, []), json.dumps(again, indent=1)
        assert results(place / "here" / "out") == right
        shutil.rmtree(place)
    return stopped


@pytest.mark.parametrize("job", JOBS)
def test_sigterm_at_a_random_moment(server: world.Server, job: str) -> None:
    check(server, job, N_FAST, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
def test_many_more_sigterms(server: world.Server, job: str) -> None:
    assert check(server, job, N_SLOW, seed=2) > N_SLOW // 4
