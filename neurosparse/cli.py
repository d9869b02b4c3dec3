"""The command line: parse, call one function, show progress, print where the results are."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from neurosparse.activity import ActivityStats
    from neurosparse.simulation import Simulation
    from neurosparse.workers import Show

WIDTH = 80
BAD_INPUT, INTERRUPTED = 2, 130
CONVERSION = "conversion.json"

app = typer.Typer(
    name="neurosparse",
    help="How sparse is it: a spiking circuit, a rectifier network and a brain, measured the same way.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: rich takes as long to load as all the rest
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; bad input is one sentence and exit code 2, Ctrl-C is exit code 130, a bug is a traceback."""
    try:
        app()
    except (ValueError, OSError) as error:
        print(f"neurosparse: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            print("neurosparse: stopped; what was complete and checkpoints are kept", file=sys.stderr)
        raise


Out = Annotated[
    Path, typer.Option("--out", "-o", help="Folder for the results; replaced as a whole.", show_default=True)
]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Window = Annotated[float, typer.Option(help="Window in which a spike counts as active, in ms.")]
Threshold = Annotated[float, typer.Option(help="A unit of a network is active where abs(a) is above this.")]
DataDir = Annotated[
    Path | None, typer.Option(help="Folder with the files of the image set, if not where they install.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a value of the recipe; may be given again."),
]


@app.command(
    epilog="Examples:\n\nneurosparse compare\n\n"
    "neurosparse compare --seconds 2 --epochs 3 --network rectifier_l1 -o results/quick\n\n"
    "neurosparse compare results/potjans2014 session.nwb results/rectifier_l1.safetensors --only all\n\n"
    "neurosparse compare results/a results/b --band 'mine=0.02-0.05' -o results/a_and_b"
)
def compare(
    context: typer.Context,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[A B C ...]",
            help="Folders of results, spike files, recordings, weights that `train` wrote.  [default: run the main job]",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for the results; replaced as a whole.  [default: results/compare; none for A B C]",
        ),
    ] = None,
    window_ms: Window = 10.0,
    threshold: Threshold = 0.0,
    band: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=LOW-HIGH", help="For A B C: a band of your own, in fractions; may be given again."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="For A B C: keep these alone; may be given again.")
    ] = None,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="For A B C: allow unlike definitions of active, each with its own.")
    ] = False,
    circuit: Annotated[str, typer.Option(help="Recipe of the spiking population.")] = "cortical_population",
    column: Annotated[str, typer.Option(help="Recipe of a circuit to run at full scale, or none.")] = "potjans2014",
    network: Annotated[
        list[str] | None,
        typer.Option(help="Recipe of a network to train; may be given again.  [default: four of them]"),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Biological time of the circuit.")] = 10.0,
    epochs: Annotated[int | None, typer.Option(help="Training epochs, in place of the recipes' own.")] = None,
    device: Device = "auto",
    data_dir: DataDir = None,
    seed: Seed = 1,
) -> None:
    """Relate circuits, networks and recordings to each other and to the brain's 1-4 %.

    Without A B C it is the main job: a circuit and networks are run side by side. Writes comparison.json, activity.parquet, spikes,
    weights, figures and report.html, a page that opens offline. With A B C those are compared, and nothing is run.
    """
    main_job = {"circuit", "column", "network", "seconds", "epochs", "device", "data_dir", "seed"}
    others = main_job if sources else {"threshold", "band", "only", "mixed"}
    if given := [name for name in context.params if name in others and _is_given(context, name)]:
        remedy = "leave A B C out" if sources else "name what to compare"
        raise ValueError(f"--{given[0].replace('_', '-')} does nothing here: {remedy}, or leave the option out")
    if sources:
        _compare_sources(sources, out, window_ms, threshold, band or [], only or [], mixed)
        return
    out = out or Path("results/compare")
    from neurosparse import recipes, sidebyside
    from neurosparse.report import PAGE

    values: dict[str, Any] = {
        "circuit": circuit,
        "column": column,
        "seconds": seconds,
        "window_ms": window_ms,
        "epochs": epochs,
        "device": device,
        "data_dir": data_dir,
        "seed": seed,
    }
    if network:
        values["networks"] = tuple(network)
    spec = recipes.build(sidebyside.SideBySideSpec, values, what="compare")
    sidebyside.check(spec, out)
    with _bars({sidebyside.CIRCUIT: "circuit", sidebyside.NETWORKS: "networks"}) as show:
        comparison = sidebyside.run(spec, out, show)
    _print(_table(comparison.stats, comparison.equivalent_window_ms))
    for sentence in comparison.answer()[: len(comparison.circuits)]:
        _print(sentence)
    errors = {n.name: n.provenance["test error"] for n in comparison.networks if n.provenance["test error"] is not None}
    _print("Test error: " + ", ".join(f"{name} {100 * error:.1f} %" for name, error in errors.items()) + ".")
    _print(f"\nNumbers and figures: {out}\nPage: {(out / PAGE).resolve()}")


@app.command(
    epilog="Examples:\n\nneurosparse simulate cortical_population\n\n"
    "neurosparse simulate potjans2014 --seconds 1\n\n"
    "neurosparse simulate potjans2014 --scale 0.1 --engine brian2 --seeds 3\n\n"
    "neurosparse simulate brunel2000_ai --set projections.inhibitory.weight_mV=-0.6 --spikes nwb"
)
def simulate(
    recipe: Annotated[str, typer.Argument(help="Name or path of the recipe of a circuit or population.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the results; replaced as a whole.  [default: results/RECIPE]"),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Biological time to record, after the warm-up.")] = 2.0,
    engine: Annotated[str, typer.Option(help="kernel, brian2, nest, or auto.")] = "auto",
    scale: Annotated[float, typer.Option(help="Below 1: a smaller circuit, which is another one.")] = 1.0,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the engines kernel and nest.  [default: one a core]")
    ] = None,
    exact_weights: Annotated[
        bool, typer.Option("--exact-weights", help="Refuse a circuit whose weights the kernel would round.")
    ] = False,
    window_ms: Window = 10.0,
    seed: Seed = 1,
    seeds: Annotated[int, typer.Option(help="How many seeds to run, from --seed on.")] = 1,
    spikes: Annotated[str, typer.Option(help="Format of the spikes: npz or nwb.")] = "npz",
    settings: Settings = None,
) -> None:
    """Simulate a spiking circuit and say how many of its neurons are active at once, population by population.

    Writes comparison.json, populations.parquet, activity.parquet, the spikes, figures and report.html.
    """
    from neurosparse import recipes, simulation
    from neurosparse.report import PAGE

    values: dict[str, Any] = {
        "recipe": recipe, "seconds": seconds, "seeds": range(seed, seed + seeds), "engine": engine,
        "scale": scale, "n_threads": threads, "exact_weights": exact_weights, "window_ms": window_ms,
        "settings": _overrides(settings),
    }  # fmt: skip
    spec = recipes.build(simulation.SimulationSpec, values, what="simulate")
    name = recipes.load(recipe).name
    out = out or Path("results") / name
    simulation.check(spec, out, spikes)
    with _bars({recipe: name}) as show:
        result = simulation.run(spec, out, spikes_format=spikes, progress=lambda done, text: show(recipe, done, text))
    _print(_population_table(result, window_ms))
    for line in (*result.comparison.answer()[:1], *result.notes):
        _print(line)
    _print(f"\nNumbers, spikes and figures: {out}\nPage: {(out / PAGE).resolve()}")


@app.command(
    epilog="Examples:\n\nneurosparse train rectifier_l1\n\nneurosparse train rectifier_l1 --set l1=0.002 --set epochs=5\n\n"
    "neurosparse train rectifier_4_percent --set target_active=0.02 --tensorboard results/runs"
)
def train(
    recipe: Annotated[str, typer.Argument(help="Name or path of the recipe of a network.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File for the weights (.safetensors).")] = None,
    device: Device = "auto",
    seed: Seed = 1,
    data_dir: DataDir = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch the image set where it is missing.")] = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="File that keeps the last whole epoch.  [default: beside --out, until it is done]", metavar="FILE"
        ),
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder for TensorBoard's event files.", metavar="DIR")
    ] = None,
    settings: Settings = None,
) -> None:
    """Train a network and say how sparse each of its layers is on the test images.

    Writes the weights and, beside them, a summary (.json) and the epochs (.parquet). Ctrl-C keeps the last whole epoch, and the
    same command goes on from there to the same result.
    """
    from contextlib import nullcontext

    from neurosparse import data, files, recipes
    from neurosparse.activity import ActiveWhen
    from neurosparse.measurement import measure
    from neurosparse.rectifier import DivergenceError, TrainSpec, resolve, results
    from neurosparse.rectifier import train as train_network
    from neurosparse.rectifier.tensorboard import events

    loaded = recipes.load(recipe)
    spec = loaded.spec(TrainSpec, **{"seed": seed, **_overrides(settings)})
    if download:
        with _bars({spec.data: spec.data}) as show:
            splits = data.load(
                spec.data,
                data_dir=data_dir,
                download=True,
                progress=lambda done, text: show(spec.data, done, text),
            )
    else:
        splits = data.load(spec.data, data_dir=data_dir)
    out = out or Path("results") / f"{loaded.name}.safetensors"
    where = resolve(device)
    files.check_file(out)
    kept = checkpoint or out.with_suffix(".checkpoint.safetensors")
    with nullcontext() if tensorboard is None else events(tensorboard) as write, _bars({recipe: loaded.name}) as show:

        def watch(epoch: Any) -> None:
            print(*([] if epoch.epoch else [results.HEADING]), results.line(epoch), sep="\n", file=sys.stderr)
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
                print(f"The last whole epoch is in {kept}: the same command goes on from there.", file=sys.stderr)
            raise
        except DivergenceError:
            if checkpoint is None:
                kept.unlink(missing_ok=True)  # it would end the same way
            raise
    results.save_result(result, out)
    if checkpoint is None:
        kept.unlink(missing_ok=True)
    layers = measure(result.network, splits.test, active_when=ActiveWhen(threshold=spec.active_threshold))
    _print(_table(tuple(layers.values()), {}))
    best, note = result.best, f" ({result.engine_note})" if result.engine_note else ""
    _print(
        f"Test error {100 * (result.test_error or 0.0):.2f} %, validation error {100 * result.validation_error:.2f} % "
        f"(epoch {result.best_epoch}), {result.seconds:.0f} s on {result.device}, {result.engine} engine{note}. "
        f"On the validation images {best.n_alive:,} units are alive and {best.n_dead:,} dead; {best.active_macs / 1e6:.3g} of "
        f"{best.dense_macs / 1e6:.3g} million multiply-accumulates have an input that is not 0."
        f"\n\nWeights: {out.resolve()}\nSummary and epochs: {out.stem}.json, {out.stem}.parquet beside them"
    )


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _compare_sources(
    sources: list[str],
    out: Path | None,
    window_ms: float,
    threshold: float,
    bands: list[str],
    only: list[str],
    mixed: bool,
) -> None:
    from neurosparse import files, reference
    from neurosparse import sources as anything
    from neurosparse.comparison import compare as compare_stats
    from neurosparse.comparison import own_band

    known = [*map(own_band, bands), *reference.bands().values()]
    if out is not None:
        files.check_writable(out, marker="comparison.json")
    stats = anything.read_all(sources, window_ms=window_ms, threshold=threshold, only=only)
    try:
        comparison = compare_stats(*stats, reference=known, mixed_definitions=mixed, provenance={"sources": sources})
    except ValueError as error:
        raise ValueError(str(error).replace("mixed_definitions=True", "--mixed")) from None
    _print(_table(comparison.stats, comparison.equivalent_window_ms))
    _print(_beyond_table(comparison.stats))
    for line in (*comparison.answer(), *(d.sentence() for d in comparison.differences()), "", *comparison.in_bands()):
        _print(line)
    if out is not None:
        _print(f"\nNumbers and figures: {out}\nPage: {anything.write(comparison, out).resolve()}")


@app.command(
    name="measure",
    epilog="Examples:\n\nneurosparse measure results/spikes.npz --window-ms 5\n\n"
    "neurosparse measure session.nwb --where quality=good --where 'isi_violations<0.5' --out results/session\n\n"
    "neurosparse measure mynet:make --weights mynet.safetensors --data inputs.npy --threshold 0.01\n\n"
    "neurosparse measure torchvision.models:resnet18 --data mnist5k --input-shape 1,28,28",
)
def measure_file(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|MODULE:FACTORY",
            help="Spikes: .npz, .nwb, or what Neo reads. Weights that `train` wrote: .safetensors. "
            "Or a function that returns a torch module: its module is imported, which runs its code.",
        ),
    ],
    window_ms: Window = 10.0,
    threshold: Threshold = 0.0,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For MODULE:FACTORY: its weights, .safetensors; no code in it is run."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="For networks: an image set, .npy, or .npz of one array or of several by their names; no code in it is run."
        ),
    ] = None,
    input_shape: Annotated[
        str | None,
        typer.Option(metavar="C,H,W", help="For networks: the shape of one input, where data are stored flat."),
    ] = None,
    device: Device = "auto",
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE", help="Only units that meet this (also !=, <, <=, >, >=); may be given again."
        ),
    ] = None,
    populations: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column that names the populations.")
    ] = None,
    start_s: Annotated[float | None, typer.Option(help="Start of the part to read, in the file's own time.")] = None,
    duration_s: Annotated[
        float | None, typer.Option(help="Length of the part to read; needed where the file does not state one.")
    ] = None,
    energy: Annotated[bool, typer.Option("--energy", help="Also say what the spikes cost in ATP.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for numbers, figures and a page; replaced as a whole.")
    ] = None,
) -> None:
    """Say how sparse the spikes in a file are, or the layers of a network.

    Spikes: one unbroken stretch in which all the units were observed; those outside it are left out and counted. Networks: each
    non-linearity and gated unit is a layer; every axis but that of its units holds samples: inputs, positions, tokens.
    """
    of_spikes = {"window_ms", "where", "populations", "start_s", "duration_s", "energy"}
    of_networks = {"threshold", "weights", "data", "input_shape", "device"}
    is_network = what.endswith(".safetensors") or (":" in what and not Path(what).exists())
    if given := [
        name
        for name in context.params
        if name in (of_spikes if is_network else of_networks) and _is_given(context, name)
    ]:
        kinds = ("networks", "spikes") if is_network else ("spikes", "networks")
        raise ValueError(f"--{given[0].replace('_', '-')} is for {kinds[1]}, and {what} is of {kinds[0]}: leave it out")
    if is_network:
        _measure_network(what, weights, data, input_shape, threshold, device, out)
        return
    file = Path(what)
    from neurosparse import files, recordings, report
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
    stats = _print_spikes(recording.spikes, active_when, measure, provenance=recording.provenance)
    _print("")
    for line in recording.lines():
        _print(line)
    for key in budgets() if energy else ():
        _print(energy_use(recording.spikes, key).sentence())
    if out is not None:
        comparison = compare_stats(*stats, provenance={"recording": recording.provenance})
        with files.new_folder(out) as folder:
            report.write(comparison, folder, _spike_panels(recording.spikes, stats))
        _print(f"\nNumbers and figures: {out}\nPage: {(out / report.PAGE).resolve()}")


def _measure_network(
    what: str,
    weights: Path | None,
    data: str | None,
    shape: str | None,
    threshold: float,
    device: str,
    out: Path | None,
) -> None:
    from neurosparse import files, sources
    from neurosparse.activity import ActiveWhen
    from neurosparse.comparison import compare as compare_stats
    from neurosparse.measurement import measure
    from neurosparse.rectifier import load as load_network
    from neurosparse.rectifier import loading, resolve

    if data is None:
        raise ValueError("a network needs inputs to be measured on: give --data, an image set or a .npy or .npz file")
    try:
        sizes = None if shape is None else tuple(int(size) for size in shape.split(","))
    except ValueError:
        raise ValueError(f"--input-shape takes whole numbers such as 1,28,28, got {shape!r}") from None
    if out is not None:
        files.check_writable(out, marker="comparison.json")
    network = load_network(what) if what.endswith(".safetensors") else loading.build(what, weights)
    layers = measure(
        network.to(resolve(device)),
        loading.inputs(data, sizes),
        active_when=ActiveWhen(threshold=threshold),
        provenance={"network": what, "weights": None if weights is None else str(weights), "data": data},
    )
    _print(_layer_table(tuple(layers.values())))
    first = next(iter(layers.values()))
    _print(f"Active: {first.active_when.describe()}. Axis: that of the units; every other holds samples.")
    _print(_beyond_table(tuple(layers.values())))
    if out is not None:
        comparison = compare_stats(layers)
        _print(f"\nNumbers and figures: {out}\nPage: {sources.write(comparison, out).resolve()}")


def _spike_panels(spikes: Any, stats: tuple[ActivityStats, ...]) -> list[Any]:
    """The figures of a recording beside the main one; rates only of populations that fire."""
    from neurosparse import plots
    from neurosparse.report import Panel

    firing = [s for s in stats[1:] or stats if s.n_spikes]
    raster = Panel(
        "raster",
        "The spikes",
        "Every dot is a spike; each population in proportion to its size. In print: the first second for a sample of the units.",
        lambda ax: plots.raster(spikes, ax),
        spikes=spikes,
    )
    rates = Panel(
        "rates",
        "How often a unit fires",
        "Mean firing rates over the units on a log axis. Lines: log-normal distributions of the same log mean and spread.",
        lambda ax: plots.rate_histogram(firing, ax),
    )
    return [raster, rates] if firing else [raster]


@app.command(
    epilog="Examples:\n\nneurosparse convert results/rectifier_l1.safetensors\n\n"
    "neurosparse convert results/rectifier_l1.safetensors --set neuron.kind=lif --steps 128 --nir twin.nir"
)
def convert(
    weights: Annotated[Path, typer.Argument(help="Weights that `train` wrote (.safetensors).")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for the report; replaced as a whole.  [default: results/NAME_spiking]"
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="Time steps an image is shown for.")] = 64,
    coding: Annotated[str, typer.Option(help="constant: images as currents; poisson: as spikes.")] = "constant",
    images: Annotated[int | None, typer.Option(help="Only the first of the test images.  [default: all]")] = None,
    data: Annotated[str | None, typer.Option(help="Image set.  [default: the one it was trained on]")] = None,
    data_dir: DataDir = None,
    nir: Annotated[Path | None, typer.Option(help="Also write the spiking network as a NIR file.")] = None,
    lossy: Annotated[
        bool, typer.Option("--lossy", help="Let the NIR file leave out what the format cannot say.")
    ] = False,
    seed: Seed = 1,
    settings: Settings = None,
) -> None:
    """Turn a rectifier network into a spiking one, and say how well they agree and what the spikes cost.

    --set takes neuron.KEY and normalisation.KEY. Writes conversion.json and conversion.png.
    """
    from neurosparse import checks, files, plots, recipes, rectifier
    from neurosparse import convert as converters
    from neurosparse import data as image_sets
    from neurosparse.rectifier.weights import load_training_spec

    chosen: dict[str, dict[str, Any]] = {"neuron": {}, "normalisation": {}}
    for name, value in _overrides(settings).items():
        table, _, key = name.partition(".")
        if table not in chosen or not key:
            raise ValueError(f"--set takes neuron.KEY=VALUE or normalisation.KEY=VALUE, got {name}")
        chosen[table][key] = value
    neuron = recipes.build(converters.NeuronSpec, chosen["neuron"], what="neuron")
    normalisation = recipes.build(converters.Normalisation, chosen["normalisation"], what="normalisation")
    if images is not None:
        checks.whole("--images", images)
    network = rectifier.load(weights)
    if data is None:
        training = load_training_spec(weights)
        if training is None:
            raise ValueError(f"{weights} does not say what the network was trained on; name the image set with --data")
        data = training.data
    splits = image_sets.load(data, data_dir=data_dir)
    out = out or Path("results") / f"{weights.stem}_spiking"
    files.check_writable(out, marker=CONVERSION)
    if nir is not None:
        files.check_file(nir)
    spiking = converters.to_spiking(network, splits.train, neuron, normalisation=normalisation)
    left_out = [] if nir is None else converters.to_nir(spiking, nir, lossy=lossy)
    shown = splits.test if images is None else splits.test.take(slice(images))
    with _bars({"convert": weights.stem}) as show:
        report = converters.verify(
            spiking, shown, steps=steps, coding=cast(Any, coding), seed=seed, name=weights.stem,
            progress=lambda done, text: show("convert", done, text),
        )  # fmt: skip
    print(report.table(), end="\n\n")
    for sentence in report.sentences():
        _print(sentence)
    with files.new_folder(out) as folder:
        report.save(folder / CONVERSION)
        plots.save(folder / "conversion.png", partial(plots.conversion, [report]))
    _print(f"\nReport and figure: {out.resolve()}")
    if nir is not None:
        _print("\n".join([f"NIR file: {nir.resolve()}", *(f"Left out of it: {what}" for what in left_out)]))


@app.command(
    epilog="Examples:\n\nneurosparse sweep figure3.toml\n\nneurosparse sweep figure3.toml --workers 4 --retry-failed\n\n"
    "neurosparse sweep figure3.toml --scheduler tcp://10.0.0.1:8786"
)
def sweep(
    file: Annotated[Path, typer.Argument(metavar="SPEC.toml", help="What to run: kind, recipe, grid, random, seeds.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of the runs; what is complete stays.  [default: results/NAME]"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes, of one thread each; 0: this one.  [default: the cores]")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler, to use its workers.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try again what failed before.")] = False,
) -> None:
    """Run many networks or simulations; run it again to go on after whatever happened.

    Writes runs/KEY/ for each run, table.parquet and table.csv. Exit code 1 where runs failed.
    """
    from neurosparse import sweep as sweeps

    spec, place = sweeps.load(file), out or Path("results") / file.stem
    with _bars({"sweep": file.stem}) as show:
        result = sweeps.run(
            *(spec, place),
            workers=workers,
            scheduler=scheduler,
            retry_failed=retry_failed,
            progress=lambda done, text: show("sweep", done, text),
        )
    for line in result.lines():
        _print(line)
    _print(f"\nTable: {(place / sweeps.TABLE).resolve()}")
    if result.failures:
        raise typer.Exit(1)


@app.command(
    epilog="Examples:\n\nneurosparse claims\n\nneurosparse claims --only 8 --only 15\n\n"
    "neurosparse claims --full -o results/claims_full"
)
def claims(
    only: Annotated[list[int] | None, typer.Option(metavar="N", help="Number of a claim; may be given again.")] = None,
    full: Annotated[
        bool, typer.Option("--full/--quick", help="Fashion-MNIST and 1,000 units a layer, or 5,000 digits and 300.")
    ] = False,
    threads: Annotated[int, typer.Option(help="Networks trained at once.")] = 2,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the results; trained networks in it are used again.")
    ] = Path("results/claims"),
) -> None:
    """Put the 18 claims of Glorot, Bordes & Bengio 2011 to the test, each against a criterion written down beforehand.

    Quick takes minutes, full hours. Writes claims.json, claims.parquet, claims.md and a figure for each claim.
    """
    from neurosparse import claims as paper

    with _bars({"claims": "claims"}) as show:
        findings = paper.run(
            *(out, only or ()),
            spec=paper.FULL if full else paper.QUICK,
            threads=threads,
            progress=lambda done, text: show("claims", done, text),
        )
    _print(_claims_table(findings))
    _print(f"Numbers and figures: {out}")


runs_app = typer.Typer(
    help="What a sweep has run: list, show, verify, export.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(runs_app, name="runs")
Runs = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of a sweep.")]


@runs_app.command("list", epilog="Example:\n\nneurosparse runs list results/figure3")
def runs_list(folder: Runs) -> None:
    """A line a run: key, kind, time, size, and what sets it apart; then what failed and what is damaged."""
    from neurosparse import store

    n_complete, damaged = 0, []
    for name, run in store.runs(store.existing(folder)):
        if isinstance(run, store.DamageError):
            damaged.append(f"{name[:8]:<8}  damaged: {run}")
            continue
        n_complete += 1
        label = ", ".join(f"{name}={value}" for name, value in run.label.items())
        print(f"{name[:8]}  {run.kind:<8} {run.seconds:>8.1f} s {run.n_bytes / 1e6:>8.1f} MB  {label}")
    failed = store.failures(folder)
    for line in (*(f"{key[:8]}  failed: {failure.error}" for key, failure in failed.items()), *damaged):
        print(line)
    print(f"{n_complete} complete, {len(failed)} failed, {len(damaged)} damaged")


@runs_app.command("show", epilog="Example:\n\nneurosparse runs show results/figure3 79bc65")
def runs_show(folder: Runs, key: Annotated[str, typer.Argument(help="Key of a run, or the start of it.")]) -> None:
    """All that is known of a run: what was asked for, what came out, its files; or why it failed."""
    from neurosparse import store

    found = store.find(store.existing(folder), key)
    run = store.read(folder, found)
    if run is not None:
        print(run.model_dump_json(indent=1))
        print(f"Files: {(folder / 'runs' / found).resolve()}")
    else:
        failure = store.failures(folder)[found]
        print(f"{found}: {failure.label}\n{failure.error}\n\n{failure.details}")


@runs_app.command("verify", epilog="Example:\n\nneurosparse runs verify results/figure3")
def runs_verify(folder: Runs) -> None:
    """Read every byte of every run; what is damaged or foreign goes into quarantine, with the reason. Exit code 1 then."""
    from neurosparse import store

    damaged = store.verify(store.open_directory(store.existing(folder)))
    for name, reason in damaged.items():
        print(f"{name}: {reason}")
    n = sum(1 for _ in store.runs(folder))
    print(f"{n} runs are whole; {len(damaged)} went into {folder / 'quarantine'}")
    if damaged:
        raise typer.Exit(1)


@runs_app.command("export", epilog="Example:\n\nneurosparse runs export results/figure3 figure3.csv")
def runs_export(folder: Runs, file: Annotated[Path, typer.Argument(help="Table to write: .parquet or .csv.")]) -> None:
    """Write the rows of every complete run, of all sweeps in the folder, as one table."""
    from neurosparse import files, store

    found = [run for _, run in store.runs(store.existing(folder)) if isinstance(run, store.Run)]
    if not found:
        raise ValueError(f"{folder} holds no complete run")
    with files.new_file(file) as temporary:
        store.export([row for run in found for row in run.table()], temporary)
    print(f"{len(found)} runs: {file.resolve()}")


# ---- Shown on the terminal ------------------------------------------------------------------------------------------


@contextmanager
def _bars(jobs: dict[str, str]) -> Iterator[Show]:
    """A progress bar a job, on the error stream, so that what is printed can be piped."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<9.9}"),
        BarColumn(20),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
    )
    words = TextColumn("{task.fields[text]}", table_column=_shrinking())
    with Progress(*columns, words, console=Console(stderr=True)) as progress:
        tasks = {job: progress.add_task(label, total=1.0, text="starting") for job, label in jobs.items()}
        yield lambda job, done, text: progress.update(tasks[job], completed=done, text=text)


def _shrinking() -> Any:
    from rich.table import Column

    return Column(no_wrap=True, overflow="ellipsis", ratio=1)


def _table(stats: tuple[ActivityStats, ...], equivalents: dict[str, dict[str, float | None]]) -> Table:
    from rich import box
    from rich.table import Table

    from neurosparse.report import row

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = ["name", "active means", "active", "95 % interval", "never active"]
    if equivalents:
        columns[4:] = ["equals window"]
    for column in columns:
        words = column in columns[:2]
        table.add_column(column, overflow="fold", no_wrap=not words, justify="left" if words else "right")
    for s in stats:
        cells = row(s, equivalents)
        table.add_row(*(cells[c] for c in columns))
    return table


def _layer_table(stats: tuple[ActivityStats, ...]) -> Table:
    """A line a layer of any network."""
    from neurosparse.comparison import percent

    return _rows_table(
        [
            {
                "layer": s.name,
                "units": f"{s.n_units:,}",
                "axis": str(s.active_when.axis),
                "samples": f"{s.n_samples:,}",
                "active": percent(s.active_fraction),
                "exact 0": "-" if s.zero_fraction is None else percent(s.zero_fraction),
                "eff. units": "-" if s.effective_units is None else f"{s.effective_units:.3g}",
                "dead": f"{s.n_silent:,}",
            }
            for s in stats
        ]
    )


def _beyond_table(stats: tuple[ActivityStats, ...]) -> Table:
    """What the mean does not say; a line each."""
    from neurosparse.distributions import row

    return _rows_table([row(s) for s in stats])


def _rows_table(rows: list[dict[str, str]]) -> Table:
    """Rows of text, the first column to the left."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for k, heading in enumerate(rows[0]):
        table.add_column(
            heading, overflow="fold", no_wrap=k > 0, justify="right" if k else "left", min_width=0 if k else 15
        )
    for row in rows:
        table.add_row(*row.values())
    return table


def _population_table(result: Simulation, window_ms: float) -> Table:
    """A line a population; the windows with their spread over seeds, or over time where there is one seed."""
    from rich import box
    from rich.table import Table

    from neurosparse.comparison import BRAIN_FRACTIONS, percent

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("population", "Hz", "CV", "sync.", f"in {window_ms:g} ms"):
        table.add_column(heading, justify="left" if heading == "population" else "right")
    for fraction in BRAIN_FRACTIONS:
        table.add_column(f"{100 * fraction:g} % (ms)", justify="right")
    for name in result.populations:
        row = next(row for row in result.rows if row["population"] == name)
        cells = [f"{result.over_seeds(name, 'rate_hz')[0]:.2f}"]
        cells += ["-" if row[key] is None else f"{row[key]:.2f}" for key in ("isi_cv", "synchrony")]
        cells.append(percent(result.over_seeds(name, "active_fraction")[0]))
        for fraction in BRAIN_FRACTIONS:
            key = f"window_ms_at_{100 * fraction:g}_percent"
            mean, spread = result.over_seeds(name, key)
            cells.append(_plus_minus(mean, row[f"{key}_sd_over_time"] if math.isnan(spread) else spread))
        table.add_row(name, *cells)
    return table


def _claims_table(findings: Any) -> Table:
    """A line a claim with its verdict, and below it one for each criterion: what was found, and the range in which it holds."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "claim, and what is measured: mean [95 % interval] over seeds", "verdict"):
        table.add_column(heading, no_wrap=heading == "verdict", justify="left" if heading else "right")
    for finding in findings:
        table.add_row(str(finding.number), finding.claim.text, finding.verdict)
        for effect in finding.effects:
            table.add_row("", f"- {effect.criterion.text}: {effect.describe()}; holds if {effect.criterion.range()}")
    return table


def _plus_minus(mean: float, spread: float) -> str:
    """'3.7±0.1', '22±6': the spread to one digit, the mean as far as that; the mean alone where the spread is not known."""
    if math.isnan(mean):
        return "none"
    if math.isnan(spread) or spread == 0:
        return f"{mean:.3g}"
    decimals = min(max(-math.floor(math.log10(spread)), 0), 3)
    return f"{mean:.{decimals}f}±{spread:.{decimals}f}"


def _print_spikes(
    spikes: Any, active_when: Any, measure: Any, provenance: dict[str, Any] | None = None
) -> tuple[ActivityStats, ...]:
    """Print how sparse spikes are, all of them and each population, and return it."""
    parts = {"all": spikes, **{name: spikes.population(name) for name in spikes.populations}}
    stats = tuple(
        measure(part, active_when=active_when, name=name, provenance=provenance) for name, part in parts.items()
    )
    _print(_table(stats, {}))
    for s in stats:
        cv = "-" if s.isi_cv is None else f"{s.isi_cv:.2f}"
        windows = ", ".join(
            f"{100 * f:g} % in " + ("no window" if (w := s.curve.window_ms(f)) is None else f"{w:.3g} ms")
            for f in (0.01, 0.02, 0.04)
        )
        _print(f"{s.name}: {s.mean_rate_hz:.2f} Hz (median {s.median_rate_hz:.2f}), ISI CV {cv}; active {windows}")
    return stats


def _print(what: Any) -> None:
    from rich.console import Console

    Console(width=min(WIDTH, Console().width), highlight=False, soft_wrap=False).print(what, markup=False)


def _overrides(settings: list[str] | None) -> dict[str, Any]:
    """`--set key=value` as values: TOML where it parses as such, text otherwise."""
    import tomllib

    values: dict[str, Any] = {}
    for setting in settings or []:
        key, sign, text = setting.partition("=")
        if not sign or not key:
            raise ValueError(f"--set takes key=value, got {setting!r}")
        try:
            values[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            values[key] = text
    return values


if __name__ == "__main__":
    main()
