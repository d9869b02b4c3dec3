"""Each write, rename, sync and request for memory of each command made to fail once: one sentence,
nothing half-made, and what stood there before stands there still.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import world

# a run in the suite takes so many calls of each job, spread over all; the slow test all of them
N_FAST, N_SLOW = 2, 400

JOBS = {
    "measure": "measure spikes.npz -o out",
    "measure a network": "measure models_of_mine:fits --data inputs.npy -o out",
    "compare": "compare spikes.npz comparison -o out",
    "train": "train small.toml -o out/a.safetensors",
    "train with events": "train small.toml -o out/a.safetensors --tensorboard out/events",
    "simulate": "simulate circuit.toml --seconds 0.02 -o out",
    "simulate to NWB": "simulate circuit.toml --seconds 0.02 --spikes nwb -o out",
    "convert": "convert net.safetensors --images 10 --steps 8 -o out",
    "convert to NIR": "convert net.safetensors --images 10 --steps 8 --nir out/a.nir --lossy -o out/a",
    "sweep": "sweep sweep.toml -o out --workers 0",
}
ERRORS = ("ENOSPC", "EIO", "memory")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[world.Server]:
    server = world.Server(tmp_path_factory.mktemp("failing"))
    yield server
    server.end()


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder, by their paths in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def calls(server: world.Server, job: str, error: str) -> list[int]:
    """Return the numbers of the calls of a job that can fail so, two of those that are alike."""
    for _ in range(2):  # the first may compile, and import
        whole = server.ask(
            *JOBS[job].split(), fail={"at": 0, "error": error}, stop_s=world.PATIENCE_S
        )
        assert (whole["code"], world.faults(whole)) == (0, []), whole["err"]
    assert whole["calls"]
    return list(whole["calls"])


def tried(server: world.Server, job: str, error: str, at: int) -> world.Tried:
    """Let call number `at` of a job fail."""
    before, place = contents(server.model), server.fresh()
    outcome = server.ask(*JOBS[job].split(), place=place, fail={"at": at, "error": error})
    found = world.faults(outcome, codes=world.CODES_OF_RUNS if job == "sweep" else world.CODES)
    after = contents(place / "here")
    if changed := [name for name, content in before.items() if after.get(name) != content]:
        found.append(f"it changed {changed}")
    # half a result is none: a job that is refused leaves a checkpoint or complete runs at most
    new = [name for name in after if name not in before and "checkpoint" not in name]
    if outcome["code"] and new and not job.startswith(("sweep", "train", "convert to")):
        found.append(f"it left {new}")
    shutil.rmtree(place)
    said, ended = outcome["err"][-600:], f"exit code {outcome['code']}"
    return world.Tried(f"{job}: {error} of call {at}", found, said, outcome["cpu_s"], ended)


def check(server: world.Server, job: str, error: str, n: int) -> int:
    """Let calls of a job fail, one at a time; how many did."""
    numbers = calls(server, job, error)
    if len(numbers) > n:
        numbers = [numbers[k * len(numbers) // n] for k in range(n)]
    wrong = [each for at in numbers if (each := tried(server, job, error, at)).faults]
    assert not wrong, wrong
    return len(numbers)


@pytest.mark.parametrize(
    ("job", "error"),
    [("measure", "memory"), ("measure a network", "EIO"), ("compare", "EIO"), ("train", "ENOSPC")],
)
def test_calls_that_fail(server: world.Server, job: str, error: str) -> None:
    assert check(server, job, error, N_FAST)


@pytest.mark.slow
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("job", JOBS)
def test_every_call_fails(server: world.Server, job: str, error: str) -> None:
    assert check(server, job, error, N_SLOW)
