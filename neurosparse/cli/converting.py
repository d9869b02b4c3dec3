"""`neurosparse convert`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from neurosparse._internal.names import did_you_mean
from neurosparse._internal.types import Fields
from neurosparse.cli.boundary import results_are_written
from neurosparse.cli.display import bars, finish, say, show, show_json
from neurosparse.cli.examples import examples
from neurosparse.cli.options import DataDir, Json, Open, Seed, Settings, overrides
from neurosparse.cli.program import app

if TYPE_CHECKING:
    from collections.abc import Callable

    from neurosparse.convert import SpikingNetwork
    from neurosparse.data import Splits

    # images, the usual number of steps, what converts
    Source = tuple[Splits, int, Callable[..., SpikingNetwork]]

CONVERSION, FIGURE, PAGE = "conversion.json", "conversion.png", "report.html"


@app.command(
    short_help="Turn a network into a spiking one.",
    epilog=examples(
        "neurosparse convert results/rectifier_l1.safetensors",
        "neurosparse convert results/rectifier_l1.safetensors --set neuron.kind=lif"
        " --steps 128 --nir twin.nir --lossy",
        "neurosparse convert lif_rates --set tau_m_ms=50",
    ),
)
def convert(
    weights: Annotated[
        Path,
        typer.Argument(
            metavar="WEIGHTS",
            help=(
                "Weights that `train` wrote (.safetensors); or a recipe of LIF rates, trained"
                " first."
            ),
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            help="Folder for the report; replaced as a whole.  [default: results/NAME_spiking]",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Time steps an image is shown for.  [default: 64, or the recipe's]",
        ),
    ] = None,
    coding: Annotated[
        str,
        typer.Option(metavar="CODING", help="constant: images as currents; poisson: as spikes."),
    ] = "constant",
    images: Annotated[
        int | None,
        typer.Option(metavar="N", help="So many test images, of all classes.  [default: all]"),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Image set.  [default: the one it was trained on]"),
    ] = None,
    data_dir: DataDir = None,
    nir: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the spiking network as a NIR file."),
    ] = None,
    lossy: Annotated[
        bool, typer.Option("--lossy", help="Let the NIR file leave out what the format cannot say.")
    ] = False,
    seed: Seed = 1,
    settings: Settings = None,
    as_json: Json = False,
    open_page: Open = False,
) -> None:
    """Turn a rectifier network into a spiking one, and compare the two.

    The report says how well they agree and what the spikes cost.

    --set takes neuron.KEY and normalisation.KEY; for a recipe, its keys. Writes conversion.json,
    conversion.png and report.html.
    """
    from neurosparse import convert as converters
    from neurosparse import plots
    from neurosparse._internal import checks, pytorch_files
    from neurosparse._internal import whole_files as files

    if images is not None:
        checks.whole("--images", images)
    pytorch_files.refuse(weights, "in Python neurosparse.convert.to_spiking takes the model itself")
    if weights.suffix in ("", ".toml"):
        splits, usual_steps, convert_it = _of_recipe(
            weights, {"tuning.seed": seed, **overrides(settings)}, data, data_dir
        )
    else:
        splits, usual_steps, convert_it = _of_weights(weights, overrides(settings), data, data_dir)
    out = out or Path("results") / f"{weights.stem}_spiking"
    files.check_writable(out, marker=CONVERSION)
    if nir is not None:
        files.check_file(nir)
    shown = splits.test if images is None else splits.test.mixed().take(slice(images))
    with bars({"convert": weights.stem}) as show_progress:

        def tell(done: float, text: str) -> None:
            show_progress("convert", done, text)

        spiking = convert_it(progress=tell)
        left_out = [] if nir is None else converters.to_nir(spiking, nir, lossy=lossy)
        report = converters.verify(
            spiking, shown, steps=usual_steps if steps is None else steps, coding=cast(Any, coding), seed=seed,  # noqa: E501
            name=weights.stem, progress=tell,
        )  # fmt: skip
    with files.new_folder(out) as folder:
        report.save(folder / CONVERSION)
        plots.save(folder / FIGURE, partial(plots.conversion, [report]))
        (folder / PAGE).write_text(
            converters.conversion_page(report, folder / FIGURE), encoding="utf-8"
        )
    results_are_written()
    if as_json:
        show_json(report.to_dict())
    else:
        show(
            [
                {
                    "layer": layer.name,
                    "active %": f"{100 * layer.source_active:.1f}",
                    "in a step %": f"{100 * layer.active_per_step:.2f}",
                    "in all %": f"{100 * layer.active_per_inference:.1f}",
                    "spikes": f"{layer.spikes:,.0f}",
                    "error %": f"{100 * layer.error:.1f}",
                }
                for layer in report.layers
            ]
        )
        say(
            "active: units of the source for an image; in a step, in all: neurons that spike;"
            " error: of the rates, compared with the activations."
        )
        for sentence in report.sentences()[:3]:
            say(sentence)
    written = [] if nir is None else [f"NIR file: {nir}"]
    finish(
        f"Report and figure: {out}",
        *written,
        *(f"Left out of it: {what}" for what in left_out),
        page=out / PAGE,
        open_page=open_page,
        quiet=as_json,
    )


def _of_weights(weights: Path, settings: Fields, data: str | None, data_dir: Path | None) -> Source:
    from neurosparse import convert as converters
    from neurosparse import data as image_sets
    from neurosparse import recipes, rectifier, trained
    from neurosparse.rectifier.weights import load_training_spec

    if trained.is_transformer(weights):
        raise ValueError(
            f"{weights} is a transformer, which has no spiking form here: measure it with"
            f" `neurosparse measure {weights}`"
        )
    chosen: dict[str, Fields] = {"neuron": {}, "normalisation": {}}
    for name, value in settings.items():
        table, _, key = name.partition(".")
        if table not in chosen or not key:
            raise ValueError(
                f"--set takes neuron.KEY=VALUE or normalisation.KEY=VALUE, got {name}"
                f"{did_you_mean(table, chosen)}"
            )
        chosen[table][key] = value
    neuron = recipes.build(converters.NeuronSpec, chosen["neuron"], what="neuron")
    normalisation = recipes.build(
        converters.Normalisation, chosen["normalisation"], what="normalisation"
    )
    network = rectifier.load(weights)
    if data is None:
        training = load_training_spec(weights)
        if training is None:
            raise ValueError(
                f"{weights} does not say what the network was trained on; name the image set with"
                " --data"
            )
        data = training.data
    splits = image_sets.load(data, data_dir=data_dir)
    return (
        splits,
        64,
        partial(converters.to_spiking, network, splits.train, neuron, normalisation=normalisation),
    )


def _of_recipe(recipe: Path, settings: Fields, data: str | None, data_dir: Path | None) -> Source:
    from neurosparse import convert as converters
    from neurosparse import data as image_sets
    from neurosparse import recipes

    loaded = recipes.load(recipe, kind="lif_network")
    spec = loaded.spec(
        converters.LIFNetworkSpec, **({} if data is None else {"data": data}), **settings
    )
    splits = image_sets.load(spec.data, data_dir=data_dir)
    return splits, spec.steps, partial(converters.train_lif_network, spec, splits)
