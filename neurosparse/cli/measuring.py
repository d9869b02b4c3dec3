"""`neurosparse measure`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neurosparse._internal.types import FieldsView
from neurosparse.cli import meant
from neurosparse.cli.boundary import worded
from neurosparse.cli.display import finish, say, show_beyond, show_json
from neurosparse.cli.examples import examples
from neurosparse.cli.layers import of_experts, say_answer, show_layers
from neurosparse.cli.options import (
    READING,
    Device,
    Duration,
    Json,
    Layout,
    NUnits,
    Open,
    Populations,
    Start,
    Threshold,
    Times,
    TimeUnit,
    Units,
    Where,
    Window,
    is_given,
    reading,
)
from neurosparse.cli.program import app
from neurosparse.cli.spikes import measure_parts, show_spikes


@app.command(
    name="measure",
    short_help="Measure spikes in a file, or a network.",
    epilog=examples(
        "neurosparse measure results/spikes.npz --window-ms 5",
        "neurosparse measure kilosort_folder --duration-s 600 --where group=good",
        "neurosparse measure session.nwb --where quality=good --where 'isi_violations<0.5'"
        " --out results/session",
        "neurosparse measure mynet:make --weights mynet.safetensors --data inputs.npy"
        " --threshold 0.01",
        "neurosparse measure results/rectifier_l1.safetensors --data mnist5k",
        "neurosparse measure results/plays_4_percent.safetensors",
        "neurosparse measure mynet:lm --data tokens.npz --threshold .1 --relative",
    ),
)
def measure_file(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|FOLDER|MODULE:FACTORY",
            help="Spikes: NWB, .npz, SONATA, CSV, Parquet, .mat, NEST's recorder files, a folder of"
            " Kilosort, phy or the IBL, or what Neo reads. Weights that `train` wrote:"
            " .safetensors. Or a function that returns a torch module: its module is imported,"
            " which runs its code.",
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
            metavar="NAME|FILE",
            help=(
                "For networks: an image set, .npy, or .npz of one array or of several by their"
                " names; no code in it is run. For transformers of `neurosparse train`: a text"
                " too. By default what `neurosparse train` used."
            ),
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
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME",
            help="For networks: these layers alone, modules of any kind or functions.",
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="For networks: samples at a time; by default as many as fit.", min=1
        ),
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="For networks: .npy of shape (samples, tokens), 0 for padding, which is left out."
            " By default attention_mask in --data.",
        ),
    ] = None,
    forward: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:FUNCTION",
            help="For networks: a function (model, batch) that runs the model on a batch.",
        ),
    ] = None,
    units_axis: Annotated[
        str | None,
        typer.Option(
            metavar="AXIS|LAYER=AXIS[,]",
            help="For networks: the axis of the units where it cannot be known, of all layers or by"
            " their names.",
        ),
    ] = None,
    relative: Annotated[
        bool,
        typer.Option(
            "--relative",
            help="For networks: the threshold is a multiple of the layer's root mean square.",
        ),
    ] = False,
    where: Where = None,
    populations: Populations = None,
    start_s: Start = None,
    duration_s: Duration = None,
    n_units: NUnits = None,
    time_unit: TimeUnit = None,
    times: Times = None,
    units: Units = None,
    layout: Layout = None,
    energy: Annotated[
        bool, typer.Option("--energy", help="Also say what the spikes cost in ATP.")
    ] = False,
    missed_below_hz: Annotated[
        float | None,
        typer.Option(
            metavar="HZ",
            help="Sorted recordings: cells that fire more rarely are not in the file. Also say what"
            " is active with them, if rates are log-normal.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            help="Folder for numbers, figures and a page; replaced as a whole.",
        ),
    ] = None,
    as_json: Json = False,
    open_page: Open = False,
) -> None:
    """Say how sparse the spikes in a file are, or the layers of a network.

    Spikes: all the time in which all the units were observed, windows within its pieces; those
    outside it are left out and counted. Networks: each non-linearity and gated unit is a layer;
    every axis but that of its units holds samples: inputs, positions, tokens.
    """
    of_spikes = {"window_ms", "energy", "missed_below_hz", *READING}
    of_networks = {"threshold", "weights", "data", "input_shape", "device", "layers"} | {
        "batch_size",
        "mask",
        "forward",
        "units_axis",
        "relative",
    }
    is_network = meant.is_network(what, has_inputs=data is not None)
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
            what,
            weights,
            data,
            input_shape,
            device,
            out,
            as_json=as_json,
            threshold=threshold,
            relative=relative,
            layers=None if layers is None else [name.strip() for name in layers.split(",")],
            batch_size=batch_size,
            mask=mask,
            forward=forward,
            units_axis=None if units_axis is None else meant.axes(units_axis),
        )
        _finish(out, page, open_page=open_page, quiet=as_json)
        return
    file = Path(what)
    from neurosparse import recordings, report
    from neurosparse._internal import whole_files as files
    from neurosparse.activity import ActiveWhen
    from neurosparse.comparison import compare as compare_stats
    from neurosparse.energy import budgets, energy_use
    from neurosparse.measurement import measure
    from neurosparse.sparsity import with_missed

    active_when = ActiveWhen(window_ms=window_ms)
    if out is not None:
        files.check_writable(out, marker="comparison.json")
    recording = recordings.read(file, **reading(context))
    stats = measure_parts(recording.spikes, active_when, measure, recording.provenance)
    if missed_below_hz is not None:
        stats = tuple(with_missed(each, missed_below_hz) for each in stats)
    lines = [*recording.lines(), *(n for n in stats[0].notes if n not in recording.said)]
    costs = [energy_use(recording.spikes, key) for key in budgets()] if energy else []
    if as_json:
        show_json(
            {
                "stats": [s.to_dict() for s in stats],
                "notes": lines,
                "energy": [cost.sentence() for cost in costs],
            }
        )
    else:
        for line in lines:
            say(line)
        for cost in costs:
            say(cost.sentence())
        show_spikes(stats)
    page = None
    if out is not None:
        comparison = compare_stats(
            *stats, provenance={"recording": recording.provenance, **report.environment()}
        )
        with files.new_folder(out) as folder:
            report.write(comparison, folder, _spike_panels(recording.spikes, comparison))
        page = out / report.PAGE
    _finish(out, page, open_page=open_page, quiet=as_json)


def _finish(out: Path | None, page: Path | None, *, open_page: bool, quiet: bool) -> None:
    if out is None:
        finish(then="add --out FOLDER for numbers, figures and a page", quiet=quiet)
        return
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
    device: str,
    out: Path | None,
    *,
    as_json: bool,
    threshold: float,
    relative: bool,
    layers: list[str] | None,
    batch_size: int | None,
    mask: str | None,
    forward: str | None,
    units_axis: int | dict[str, int] | None,
) -> Path | None:
    import warnings

    from neurosparse import data as image_sets
    from neurosparse import report, sources, trained
    from neurosparse._internal import whole_files as files
    from neurosparse.activity import ActiveWhen
    from neurosparse.comparison import compare as compare_stats
    from neurosparse.measurement import measure
    from neurosparse.probe import loading
    from neurosparse.rectifier import resolve

    try:
        sizes = None if shape is None else tuple(int(size) for size in shape.split(","))
    except ValueError:
        raise ValueError(
            f"--input-shape takes whole numbers such as 1,28,28, got {shape!r}"
        ) from None
    if out is not None:
        files.check_writable(out, marker="comparison.json")
    cause: FieldsView = {}
    if what.endswith(".safetensors"):
        found = trained.read(what, data=data, shape=sizes)
        network, inputs, data, cause = found.network, found.inputs, found.data, found.sparsity
    elif data is None:
        raise ValueError(
            "a network needs inputs to be measured on: give --data, an image set"
            f" ({', '.join(image_sets.NAMES)}) or a .npy or .npz file"
        )
    else:
        network, inputs = loading.build(what, weights), loading.inputs(data, sizes)
    where = resolve(device)
    provenance = {
        "network": what,
        "weights": None if weights is None else str(weights),
        "data": data,
        **cause,
    }
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always", UserWarning)
        stats = measure(
            network.to(where),
            inputs,
            active_when=ActiveWhen(threshold=threshold, relative=relative),
            provenance=provenance,
            layers=layers,
            batch_size=batch_size,
            mask=None if mask is None else loading.inputs(mask),
            forward=None if forward is None else loading.function(forward),
            units_axis=units_axis,
        )
    reached = tuple(s for s in stats.values() if s.n_samples)
    notes = dict.fromkeys(worded(str(w.message)) for w in noted if w.category is UserWarning)
    if as_json:
        show_json({"stats": [s.to_dict() for s in reached]})
    else:
        show_layers(reached)
        show_beyond(reached)
        for line in of_experts(stats.values()):
            say(line)
        for words in notes:
            say(f"Note: {words}")
        say_answer(reached)
    if out is None:
        return None
    comparison = compare_stats(
        {name: s for name, s in stats.items() if s.n_samples},
        provenance={**provenance, "device": str(where), **report.environment()},
    )
    return sources.write(comparison, out)


def _spike_panels(spikes: Any, comparison: Any) -> list[Any]:
    """Return the figures of a recording other than the main one.

    Rates are drawn only of populations that fire.
    """
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
