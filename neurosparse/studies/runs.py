"""The networks of a study, each trained from its seed, measured, and written at once.

So a study goes on where it stopped.

A run is known by what it does, not by when: a file of its own, named by its arm, its seed and the
digest of its specs, holds its row. Training never sees the test images; they are measured
afterwards and stand in columns that begin with `test_`, which nothing that chooses settings reads.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from neurosparse import data
from neurosparse._internal import checks
from neurosparse._internal import whole_files as files
from neurosparse._internal.threads import run_in_threads
from neurosparse._internal.types import Fields
from neurosparse.progress import Progress, part_of, quiet
from neurosparse.recipes import Spec
from neurosparse.rectifier import RectifierNetwork, TrainSpec, devices, joined, train
from neurosparse.rectifier.evaluation import evaluate, tensors
from neurosparse.rectifier.pretraining import pretrain
from neurosparse.rectifier.specs import PretrainSpec
from neurosparse.sparsify.revive import shift_for

Row = Fields

ROTATIONS = 5
LOOKED_AT = 1000  # images, to set biases from
NEXT_MODULE = 1000  # from the seed of a module to that of the next


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A network to train: one seed of one arm of a study."""

    arm: str
    spec: TrainSpec
    pretraining: PretrainSpec | None = None  # what it starts from, if not from initial weights
    # training images that have a label, evenly from all of them; None: all
    n_labels: int | None = None
    # so many networks of the spec, trained apart and joined; see `rectifier.modular`
    modules: int = 1
    # which of `ROTATIONS` parts of all images the test images are; None: those of the data set
    rotation: int | None = None
    # the share of images for which each unit is active at the start, by its bias; None: biases of 0
    start_active: float | None = None

    @property
    def name(self) -> str:
        """The name of its row and of its file."""
        modules = f"x{self.modules}" if self.modules > 1 else ""
        begin = "" if self.start_active is None else f"from{self.start_active:g}"
        rotation = "" if self.rotation is None else f"r{self.rotation}"
        labels = f"{self.n_labels}{modules}{rotation}{begin}"
        specs = f"{_text(self.spec)}{_text(self.pretraining)}{labels}"
        return run_name(self.arm, self.spec.seed, specs)


def run_name(arm: str, seed: int, specs: str) -> str:
    """Return the name of a run's files: its arm, its seed and the digest of its specs."""
    digest = hashlib.sha256(specs.encode()).hexdigest()[:10]
    return f"{arm}-{seed}-{digest}".replace(" ", "_")


def run_all(
    runs: Sequence[TrainingRun],
    directory: str | Path,
    *,
    done: Mapping[str, Row] | None = None,
    threads: int = 1,
    progress: Progress = quiet,
) -> list[Row]:
    """Train what is not yet in `directory`, each on one thread, and return the rows of all.

    Parameters
    ----------
    runs
        In the order in which they are trained; two that start from the same pre-training share it
        when they are neighbours.
    directory
        Has a Parquet file of one row for every run that is done; those of other studies do no harm.
    done
        Rows by their names, as `done_in` reads them: these runs are not trained.
    threads
        Networks at once.
    progress
        Told how far all runs are together.

    Returns
    -------
    list
        A row a run, in their order: `name`, `arm`, `seed`, the specs, `validation_error`,
        `validation_nll`, `test_error`, `test_nll`. Of the test images: `active_fraction`,
        `active_by_layer` and `alive_by_layer` (shares), `zeros_percent`, `active_macs`; `train_nll`
        (of the last epoch, while training; mean of the modules), `cpu_s` (of the training's
        thread), `modules`, `samples` and `engine`. Of a rotation: `rotation`, `test_images` and
        `test_wrong`; see
        `misclassified`.

    Raises
    ------
    ValueError, OSError
        As `train` and `pretrain`, and where `directory` cannot be written.
    """
    threads = checks.whole("threads", threads)
    done = done or {}
    places = [Path(directory) / f"{run.name}.parquet" for run in runs]
    missing = [
        k for k, place in enumerate(places) if runs[k].name not in done and not place.exists()
    ]
    if missing:
        files.check_file(places[missing[0]])
    to_do = part_of(progress, 1 - len(missing) / max(1, len(runs)), 1.0)

    def one(k: int, part: Progress) -> None:
        write([_row(runs[missing[k]], part)], places[missing[k]])

    # all the work of a training in its own thread, whose CPU time is then that of the training
    with devices.torch_threads(1):
        run_in_threads(
            one, [f"{runs[k].arm}, seed {runs[k].spec.seed}" for k in missing], threads, to_do
        )
    return [
        row
        for run, place in zip(runs, places, strict=True)
        for row in ([done[run.name]] if run.name in done else read(place))
    ]


def read(path: str | Path) -> list[Row]:
    """Return the rows of a Parquet file."""
    import pyarrow.parquet as pq

    rows: list[Row] = pq.read_table(path).to_pylist()
    return rows


def done_in(path: str | Path | None) -> dict[str, Row]:
    """Return the rows of a `runs.parquet` by their names, none where there is no path.

    Raises
    ------
    ValueError, OSError
        Where the file cannot be read, or has rows without a name.
    """
    if path is None:
        return {}
    import pyarrow as pa

    try:
        rows = read(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is no Parquet file: {error}") from None
    if not all(isinstance(row.get("name"), str) for row in rows):
        raise ValueError(f"{path} has rows without a name: give the runs.parquet of a study")
    return {row["name"]: row for row in rows}


def write(rows: Sequence[Row], path: Path) -> None:
    """Write rows as one Parquet file, which appears whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with files.new_file(path) as file:
        pq.write_table(pa.Table.from_pylist(list(rows)), file)


def finish(rows: Sequence[Row], text: str, directory: Path) -> None:
    """Write what every study leaves: its rows as `runs.parquet` and its table as `table.md`."""
    write(rows, directory / "runs.parquet")
    with files.new_file(directory / "table.md") as file:
        file.write_text(text + "\n", encoding="utf-8")


def _row(run: TrainingRun, progress: Progress) -> Row:
    splits = _splits(run.spec.data)
    if run.rotation is not None:
        splits = data.rotated(splits, run.rotation, ROTATIONS)
    start = None if run.pretraining is None else _pretrained(run.pretraining)
    if run.n_labels is not None:
        some = np.linspace(0, len(splits.train) - 1, run.n_labels).astype(int)
        splits = replace(splits, train=splits.train.take(some))
    clock = time.thread_time()
    results = []
    for k in range(run.modules):
        spec = run.spec.model_copy(update={"seed": run.spec.seed + k * NEXT_MODULE})
        of_one = part_of(progress, k / run.modules, (k + 1) / run.modules)
        if run.start_active is not None:
            start = started_at(spec, splits.train.images, run.start_active)
        results.append(train(spec, splits, device="cpu", test=False, start=start, progress=of_one))
    cpu_s = time.thread_time() - clock
    network = (
        results[0].network if run.modules == 1 else joined([result.network for result in results])
    )
    validation, test = (
        evaluate(network, images, run.spec.active_threshold)
        for images in (splits.validation, splits.test)
    )
    return {
        "name": run.name,
        "arm": run.arm,
        "seed": run.spec.seed,
        "data": splits.name,
        "spec": _text(run.spec),
        "pretraining": _text(run.pretraining),
        "learning_rate": run.spec.learning_rate,
        "l1": run.spec.l1,
        "epochs": run.spec.epochs,
        "samples": len(splits.train),
        "modules": run.modules,
        "train_nll": float(np.mean([result.history[-1].train_loss for result in results])),
        "validation_error": validation.error,
        "validation_nll": validation.loss,
        "test_error": test.error,
        "test_nll": test.loss,
        "active_fraction": test.active_fraction,
        "zeros_percent": 100 * (1 - test.active_fraction),
        "active_by_layer": [layer.active_fraction for layer in test.layers.values()],
        "alive_by_layer": [layer.n_alive / layer.n_units for layer in test.layers.values()],
        "active_macs": test.active_macs,
        "cpu_s": cpu_s,
        "engine": results[0].engine,
        **_of_rotation(run, network, splits),
    }


def _of_rotation(run: TrainingRun, network: RectifierNetwork, splits: data.Splits) -> Fields:
    """Return the rotation and which of its test images are misclassified, a bit each."""
    if run.rotation is None:
        return {}
    images, labels = tensors(splits.test, torch.device("cpu"))
    with torch.no_grad():
        wrong = network(images).argmax(dim=1) != labels
    return {
        "rotation": run.rotation,
        "test_images": len(splits.test),
        "test_wrong": np.packbits(wrong.numpy()).tobytes(),
    }


def misclassified(row: Row) -> NDArray[np.int8]:
    """Return 1 for each test image that a network of a rotation misclassifies, 0 for the others."""
    bits = np.unpackbits(np.frombuffer(row["test_wrong"], dtype=np.uint8))
    return bits[: row["test_images"]].astype(np.int8)


def _text(spec: Spec | None) -> str | None:
    """Return a spec by what sets it apart from the defaults.

    A setting that is added later leaves the names of files as they are.
    """
    return None if spec is None else spec.model_dump_json(exclude_defaults=True)


@torch.no_grad()
def started_at(spec: TrainSpec, images: NDArray[np.float32], active: float) -> RectifierNetwork:
    """Return the first network of a spec, its biases set from images, layer by layer.

    Parameters
    ----------
    spec
        Of its training.
    images
        Shape (n, n_inputs); a thousand of them, evenly from all, are looked at.
    active
        The share of them for which each hidden unit is to be active.
    """
    network = RectifierNetwork(spec.network, seed=spec.seed)
    some = np.linspace(0, len(images) - 1, min(LOOKED_AT, len(images))).astype(int)
    x = torch.from_numpy(np.ascontiguousarray(images[some]))
    for linear in network.linears()[:-1]:
        linear.bias.add_(shift_for(linear(x), active))
        x = linear(x).relu()
    return network


_splits = lru_cache(maxsize=2)(data.load)


@lru_cache(maxsize=2)
def _pretrained(spec: PretrainSpec) -> RectifierNetwork:
    return pretrain(spec, _splits(spec.data), device="cpu").network


Run = TrainingRun  # its name in version 0.1
