"""The course of a training for TensorBoard: an extra, `pip install 'neurosparse[tensorboard]'`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neurosparse._internal import checks
from neurosparse._internal import whole_files as files
from neurosparse._internal.imports import need
from neurosparse.rectifier.history import Epoch


@contextmanager
def events(directory: str | Path) -> Iterator[Callable[[Epoch], None]]:
    """Return what `train(spec, watch=...)` calls with every epoch.

    It writes event files into `directory`.

    A training that goes on from a checkpoint replaces what TensorBoard shows of it.

    Raises
    ------
    MissingPackageError
        A ValueError that names the extra, where TensorBoard is not installed.
    OSError
        Where the folder cannot be written.
    """
    need("tensorboard", "watching a training in TensorBoard", extra="tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    files.check_file(checks.path("directory", directory) / "events")
    writer: Any = SummaryWriter(str(directory), purge_step=0)
    try:
        yield lambda epoch: _write(writer, epoch)
    finally:
        writer.close()


def _write(writer: Any, epoch: Epoch) -> None:
    values = {
        "validation/error": epoch.validation_error,
        "validation/loss": epoch.validation_loss,
        "validation/active_macs": epoch.active_macs,
    }
    if epoch.train_loss is not None and epoch.samples_per_s is not None:
        values |= {"train/loss": epoch.train_loss, "train/samples_per_s": epoch.samples_per_s}
    for (name, layer), l1 in zip(epoch.layers.items(), epoch.l1, strict=True):
        values |= {
            f"active_fraction/{name}": layer.active_fraction,
            f"units_alive/{name}": layer.n_alive,
            f"l1/{name}": l1,
        }
    for tag, value in values.items():
        writer.add_scalar(tag, value, epoch.epoch)
    writer.flush()
