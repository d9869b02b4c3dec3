"""What the tests of faults share: a sweep of small trainings with checkpoints, its table when
nothing happens, and a way to run it in a process of its own that can be killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neurosparse import store, sweep

RUN = """
import sys
from neurosparse import sweep
if __name__ == "__main__":
    folder, spec, workers, scheduler = sys.argv[1:]
    result = sweep.run(sweep.load(spec), folder, workers=int(workers), scheduler=scheduler or None)
    print(*result.lines(), sep="\\n")
"""

SWEEP = """
kind = "train"
recipe = "small.toml"
seeds = {seeds}
grid.l1 = [0.0, 0.01]
attempts = 1000
"""

RECIPE = """
kind = "network"
title = "Small"
data = "{data}"
epochs = {epochs}
learning_rate = 0.1
network.sizes = [36, 12, 8, 3]
"""


class Field:
    """A sweep in files, and what it must come to."""

    def __init__(self, folder: Path, *, seeds: list[int], epochs: int) -> None:
        generator = np.random.default_rng(1)
        labels = np.arange(300) % 3
        images = np.clip(
            generator.random((3, 36))[labels] + 0.3 * generator.standard_normal((300, 36)), 0, 1
        )
        np.savez(folder / "images.npz", x=images.astype(np.float32), y=labels)
        (folder / "small.toml").write_text(RECIPE.format(data=folder / "images.npz", epochs=epochs))
        self.file = folder / "sweep.toml"
        self.file.write_text(SWEEP.format(seeds=seeds))
        (folder / "run.py").write_text(RUN)
        self.spec = sweep.load(self.file)
        self.undisturbed = folder / "undisturbed"
        self.rows = sweep.run(self.spec, self.undisturbed, workers=0).rows

    def start(
        self, folder: Path, *, workers: int = 2, scheduler: str = "", **options: object
    ) -> subprocess.Popen:
        """The sweep into `folder`, in a process of its own."""
        command = [sys.executable, str(self.file.with_name("run.py")), str(folder), str(self.file)]
        return subprocess.Popen(
            [*command, str(workers), scheduler],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            **options,
        )

    def check(self, folder: Path, **options: object) -> sweep.Sweep:
        """Run the sweep once more: its table must be that of the undisturbed one, and nothing else
        be left.
        """
        result = sweep.run(self.spec, folder, workers=0, **options)
        assert result.failures == ()
        assert result.rows == self.rows
        assert sorted(p.name for p in (folder / "runs").iterdir()) == sorted(
            row["run"] for row in self.rows
        )
        assert store.verify(folder) == {}
        left = [p for place in ("partial", "locks", "failed") for p in (folder / place).iterdir()]
        assert left == []
        assert list(folder.rglob(".*")) == []
        assert {p.name for p in folder.iterdir() if p.is_file()} == {"table.parquet", "table.csv"}
        return result


@pytest.fixture(scope="session")
def field(tmp_path_factory):
    """Eight runs of a moment each."""
    return Field(tmp_path_factory.mktemp("field"), seeds=[1, 2, 3, 4], epochs=30)
