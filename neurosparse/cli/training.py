"""`neurosparse train`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from neurosparse.cli.boundary import keeps, results_are_written
from neurosparse.cli.display import WIDTH, bars, columns, finish, say, show_activity, show_json
from neurosparse.cli.examples import examples
from neurosparse.cli.options import (
    DataDir,
    Device,
    Json,
    Seed,
    Settings,
    kinds_of,
    overrides,
)
from neurosparse.cli.program import app


@app.command(
    short_help="Train a network and measure its layers.",
    epilog=examples(
        "neurosparse train rectifier_l1",
        "neurosparse train rectifier_l1 --set l1=0.002 --set epochs=5",
        "neurosparse train rectifier_4_percent --set target_active=0.02 --tensorboard results/runs",
    ),
)
def train(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="Name or path of the recipe of a network.",
            autocompletion=kinds_of("network", "transformer"),
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="File for the weights (.safetensors)."),
    ] = None,
    device: Device = "auto",
    seed: Seed = 1,
    data_dir: DataDir = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch the image set where it is missing.")
    ] = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="File that keeps the last whole epoch.  [default: next to --out, until done]",
            metavar="FILE",
        ),
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder for TensorBoard's event files.", metavar="FOLDER")
    ] = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Train a network and say how sparse each of its layers is on the test images.

    Writes the weights and, next to them, a summary (.json) and the epochs (.parquet). Ctrl-C keeps
    the last whole epoch, and the same command goes on from there to the same result.

    In the table of epochs "MACs %" is the share of the multiply-accumulates whose input is not 0.
    """
    from contextlib import nullcontext

    from neurosparse import data, recipes
    from neurosparse._internal import whole_files as files
    from neurosparse.activity import ActiveWhen
    from neurosparse.measurement import measure
    from neurosparse.rectifier import DivergenceError, TrainSpec, resolve, results
    from neurosparse.rectifier import train as train_network
    from neurosparse.rectifier.tensorboard import events

    loaded = recipes.load(recipe, kind=("network", "transformer"))
    if loaded.kind == "transformer":
        if download or tensorboard is not None:
            option = "--download" if download else "--tensorboard"
            raise ValueError(f"{option} is for networks of images; {recipe!r} is a transformer")
        from neurosparse.cli.transformers import train_transformer
        from neurosparse.transformer import TransformerTrainSpec

        train_transformer(
            loaded.name,
            loaded.spec(TransformerTrainSpec, **{"seed": seed, **overrides(settings)}),
            out=out, device=device, data_dir=data_dir, checkpoint=checkpoint, as_json=as_json,
        )  # fmt: skip
        return
    spec = loaded.spec(TrainSpec, **{"seed": seed, **overrides(settings)})
    out = out or Path("results") / f"{loaded.name}.safetensors"
    files.check_file(out, suffix=".safetensors")
    if download:
        with bars({spec.data: spec.data}) as show:
            splits = data.load(
                spec.data,
                data_dir=data_dir,
                download=True,
                progress=lambda done, text: show(spec.data, done, text),
            )
    else:
        splits = data.load(spec.data, data_dir=data_dir)
    where = resolve(device)
    kept = checkpoint or out.with_suffix(".checkpoint.safetensors")
    with (
        nullcontext() if tensorboard is None else events(tensorboard) as write,
        bars({recipe: loaded.name}, own_rows=True) as show,
    ):
        heading = results.HEADING if columns() >= WIDTH else results.NARROW

        def watch(epoch: Any) -> None:
            print(
                *([] if epoch.epoch else [heading]),
                results.line(epoch, heading),
                sep="\n",
                file=sys.stderr,
            )
            if write is not None:
                write(epoch)

        try:
            result = train_network(
                spec,
                splits,
                device=where,
                checkpoint=kept,
                progress=lambda done, text: show(recipe, done, text),
                watch=watch,
            )
        except KeyboardInterrupt:
            if kept.exists():
                keeps(f"the last whole epoch is in {kept}: the same command goes on from there")
            raise
        except DivergenceError:
            if checkpoint is None:
                kept.unlink(missing_ok=True)  # it would end the same way
            raise
    results.save_result(result, out)
    if checkpoint is None:
        kept.unlink(missing_ok=True)
    results_are_written()
    when = ActiveWhen(threshold=spec.active_threshold)
    layers = measure(result.network, splits.test.mixed(), active_when=when)
    if as_json:
        _show_numbers(result, layers, out)
        return
    show_activity(tuple(layers.values()))
    best, note = result.best, f" ({result.engine_note})" if result.engine_note else ""
    say(
        f"Test error {100 * (result.test_error or 0.0):.2f} %, validation error"
        f" {100 * result.validation_error:.2f} % (epoch {result.best_epoch}), {result.seconds:.0f}"
        f" s on {result.device}, {result.engine} engine{note}. On the validation images"
        f" {best.n_alive:,} units are alive and {best.n_dead:,} dead; {best.active_macs / 1e6:.3g}"
        f" of {best.dense_macs / 1e6:.3g} million multiply-accumulates (MACs) have an input that"
        " is not 0."
    )
    finish(
        f"Weights: {out}",
        f"Summary and epochs: {out.with_suffix('.json')}, {out.with_suffix('.parquet')}",
        then=f"neurosparse convert {out}",
    )


def _show_numbers(result: Any, layers: Any, out: Path) -> None:
    show_json(
        {
            "test_error": result.test_error,
            "validation_error": result.validation_error,
            "best_epoch": result.best_epoch,
            "layers": [stats.to_dict() for stats in layers.values()],
            "weights": out,
        }
    )
    finish(quiet=True)
