"""A trained network on disk and on the terminal.

Weights, a summary in JSON, the epochs in Parquet; a line an epoch.
"""

from __future__ import annotations

import json
from pathlib import Path

from neurosparse._internal import checks
from neurosparse._internal import whole_files as files
from neurosparse._internal.types import Fields
from neurosparse.rectifier.history import Epoch, TrainResult, rows
from neurosparse.rectifier.weights import save

HEADING = "epoch  error %   loss  alive  dead  MACs %  samples/s   active %, by layer"
NARROW = "epoch  error %  dead  MACs %   active %, by layer"


def line(epoch: Epoch, heading: str = HEADING) -> str:
    """Return an epoch on the validation images, under `HEADING` or `NARROW`.

    At most 80 or 60 columns for up to four hidden layers.

    MACs are the multiply-accumulates whose input is not 0, in per cent of all.
    """
    speed = "" if epoch.samples_per_s is None else f"{epoch.samples_per_s:,.0f}"
    macs = 100 * epoch.active_macs / epoch.dense_macs
    error, loss = f"{100 * epoch.validation_error:>9.2f}", f"{epoch.validation_loss:>7.3f}"
    active = "".join(f"{100 * layer.active_fraction:>6.1f}" for layer in epoch.layers.values())
    if heading == NARROW:
        return f"{epoch.epoch:>5}{error}{epoch.n_dead:>6}{macs:>8.1f} {active}"
    return (
        f"{epoch.epoch:>5}{error}{loss}{epoch.n_alive:>7}{epoch.n_dead:>6}{macs:>8.1f}{speed:>11} "
        + active
    )


def summary(result: TrainResult) -> Fields:
    """Return a training in numbers that JSON can hold.

    Its spec, what trained it, and how the network does on validation images.
    """
    best = result.best
    return {
        "spec": result.spec.model_dump(mode="json"),
        "engine": result.engine,
        "engine_note": result.engine_note,
        "device": result.device,
        "seconds": result.seconds,
        "epochs": result.history[-1].epoch,
        "best_epoch": result.best_epoch,
        "validation_error": best.validation_error,
        "validation_loss": best.validation_loss,
        "test_error": result.test_error,
        "active_fraction": best.active_fraction,
        "active_macs": best.active_macs,
        "dense_macs": best.dense_macs,
        "n_alive": best.n_alive,
        "n_dead": best.n_dead,
        "layers": {
            name: {
                "active_fraction": layer.active_fraction,
                "mean_activation": layer.mean_activation,
                "n_units": layer.n_units,
                "n_alive": layer.n_alive,
                "n_dead": layer.n_dead,
            }
            for name, layer in best.layers.items()
        },
    }


def save_result(result: TrainResult, path: str | Path) -> None:
    """Write the weights to `path`, and beside it the `summary` and the rows of the epochs.

    These are of the suffixes .json and .parquet.

    Raises
    ------
    OSError
        Where a file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = checks.path("path", path)
    save(result.network, path, training=result.spec)
    with files.new_file(path.with_suffix(".json")) as file:
        file.write_text(json.dumps(summary(result), indent=1, allow_nan=False), encoding="utf-8")
    with files.new_file(path.with_suffix(".parquet")) as file:
        pq.write_table(pa.Table.from_pylist(rows(result.history)), file)
