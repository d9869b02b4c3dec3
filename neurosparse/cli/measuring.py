"""`neurosparse measure`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neurosparse.cli.display import (
    finish,
    measure_parts,
    say,
    show_beyond,
    show_json,
    show_layers,
    show_spikes,
)
from neurosparse.cli.options import Device, Json, Open, Threshold, Window, is_given
from neurosparse.cli.program import app


@app.command(
    name="measure",
    short_help="Measure spikes in a file, or a network.",
    epilog=(
        "Examples:\n\nneurosparse measure results/spikes.npz --window-ms 5\n\nneurosparse measure"
        " session.nwb --where quality=good --where 'isi_violations<0.5' --out"
        " results/session\n\nneurosparse measure mynet:make --weights mynet.safetensors --data"
        " inputs.npy --threshold 0.01\n\nneurosparse measure torchvision.models:resnet18 --data"
        " mnist5k --input-shape 1,28,28"
    ),
)
def measure_file(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|MODULE:FACTORY",
            help="Spikes: .npz, .nwb, or what Neo reads. Weights that `train` wrote: .safetensors. "
            "Or a function that returns a torch module: its module is imported, which runs its"
            " code.",
        ),
    ],
    window_ms: Window = 10.0,
    threshold: Threshold = 0.0,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="For MODULE:FACTORY: its weights, .safetensors; no code in it is run.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help=(
                "For networks: an image set, .npy, or .npz of one array or of several by their"
                " names; no code in it is run."
            )
        ),
    ] = None,
    input_shape: Annotated[
        str | None,
        typer.Option(
            metavar="C,H,W",
            help="For networks: the shape of one input, where data are stored flat.",
        ),
    ] = None,
    device: Device = "auto",
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE",
            help="Only units that meet this (also !=, <, <=, >, >=); may be given again.",
        ),
    ] = None,
    populations: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column that names the populations.")
    ] = None,
    start_s: Annotated[
        float | None, typer.Option(help="Start of the part to read, in the file's own time.")
    ] = None,
    duration_s: Annotated[
        float | None,
        typer.Option(help="Length of the part to read; needed where the file does not state one."),
    ] = None,
    energy: Annotated[
        bool, typer.Option("--energy", help="Also say what the spikes cost in ATP.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for numbers, figures and a page; replaced as a whole."
        ),
    ] = None,
    as_json: Json = False,
    open_page: Open = False,
) -> None:
    """Say how sparse the spikes in a file are, or the layers of a network.

    Spikes: one unbroken stretch in which all the units were observed; those outside it are left out
    and counted. Networks: each non-linearity and gated unit is a layer; every axis but that of its
    units holds samples: inputs, positions, tokens.
    """
    of_spikes = {"window_ms", "where", "populations", "start_s", "duration_s", "energy"}
    of_networks = {"threshold", "weights", "data", "input_shape", "device"}
    is_network = what.endswith(".safetensors") or (":" in what and not Path(what).exists())
    if given := [
        name
        for name in context.params
        if name in (of_spikes if is_network else of_networks) and is_given(context, name)
    ]:
        kinds = ("networks", "spikes") if is_network else ("spikes", "networks")
        raise ValueError(
            f"--{given[0].replace('_', '-')} is for {kinds[1]}, and {what} is of {kinds[0]}: leave"
            " it out"
        )
    if is_network:
        page = _measure_network(
            what, weights, data, input_shape, threshold, device, out, as_json=as_json
        )
        if out is not None:
            _finish(out, page, open_page=open_page, quiet=as_json)
        return
    file = Path(what)
    from neurosparse import recordings, report
    from neurosparse._internal import whole_files as files
    from neurosparse.activity import ActiveWhen
    from neurosparse.comparison import compare as compare_stats
    from neurosparse.energy import budgets, energy_use
    from neurosparse.measurement import measure

    active_when = ActiveWhen(window_ms=window_ms)
    if out is not None:
        files.check_writable(out, marker="comparison.json")
    recording = recordings.read(
        file, where=where or (), populations=populations, start_s=start_s, duration_s=duration_s
    )
    stats = measure_parts(recording.spikes, active_when, measure, recording.provenance)
    costs = [energy_use(recording.spikes, key) for key in budgets()] if energy else []
    if as_json:
        show_json(
            {
                "stats": [s.to_dict() for s in stats],
                "notes": recording.lines(),
                "energy": [cost.sentence() for cost in costs],
            }
        )
    else:
        for line in recording.lines():
            say(line)
        for cost in costs:
            say(cost.sentence())
        show_spikes(stats)
    if out is not None:
        comparison = compare_stats(
            *stats, provenance={"recording": recording.provenance, **report.environment()}
        )
        with files.new_folder(out) as folder:
            report.write(comparison, folder, _spike_panels(recording.spikes, comparison))
        _finish(out, out / report.PAGE, open_page=open_page, quiet=as_json)


def _finish(out: Path, page: Path | None, *, open_page: bool, quiet: bool) -> None:
    finish(
        f"Numbers and figures: {out}",
        page=page,
        then=f"neurosparse compare {out} ANOTHER_FOLDER_OR_FILE",
        open_page=open_page,
        quiet=quiet,
    )


def _measure_network(
    what: str,
    weights: Path | None,
    data: str | None,
    shape: str | None,
    threshold: float,
    device: str,
    out: Path | None,
    *,
    as_json: bool,
) -> Path | None:
    from neurosparse import data as image_sets
    from neurosparse import report, sources
    from neurosparse._internal import whole_files as files
    from neurosparse.activity import ActiveWhen
    from neurosparse.comparison import compare as compare_stats
    from neurosparse.measurement import measure
    from neurosparse.probe import loading
    from neurosparse.rectifier import load as load_network
    from neurosparse.rectifier import resolve

    if data is None:
        raise ValueError(
            "a network needs inputs to be measured on: give --data, an image set"
            f" ({', '.join(image_sets.NAMES)}) or a .npy or .npz file"
        )
    try:
        sizes = None if shape is None else tuple(int(size) for size in shape.split(","))
    except ValueError:
        raise ValueError(
            f"--input-shape takes whole numbers such as 1,28,28, got {shape!r}"
        ) from None
    if out is not None:
        files.check_writable(out, marker="comparison.json")
    network = load_network(what) if what.endswith(".safetensors") else loading.build(what, weights)
    where = resolve(device)
    provenance = {
        "network": what,
        "weights": None if weights is None else str(weights),
        "data": data,
    }
    layers = measure(
        network.to(where),
        loading.inputs(data, sizes),
        active_when=ActiveWhen(threshold=threshold),
        provenance=provenance,
    )
    if as_json:
        show_json({"stats": [s.to_dict() for s in layers.values()]})
    else:
        show_layers(tuple(layers.values()))
        show_beyond(tuple(layers.values()))
    if out is None:
        return None
    comparison = compare_stats(
        layers, provenance={**provenance, "device": str(where), **report.environment()}
    )
    return sources.write(comparison, out)


def _spike_panels(spikes: Any, comparison: Any) -> list[Any]:
    """The figures of a recording beside the main one; rates only of populations that fire."""
    from neurosparse import plots
    from neurosparse.report import Panel

    stats, colours = comparison.stats, plots.colours(comparison)
    firing = [s for s in stats[1:] or stats if s.n_spikes]
    raster = Panel(
        "raster",
        "The spikes",
        "Every dot is a spike; each population in proportion to its size. In print: the first"
        " second for a sample of the units.",
        lambda ax: plots.raster(spikes, ax, colours=colours),
        spikes=spikes,
    )
    rates = Panel(
        "rates",
        "How often a unit fires",
        "Mean firing rates over the units on a log axis. Lines: log-normal distributions of the"
        " same log mean and spread.",
        lambda ax: plots.rate_histogram(firing, ax, colours=colours),
    )
    return [raster, rates] if firing else [raster]
