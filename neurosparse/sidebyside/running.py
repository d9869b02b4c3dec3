"""The main job: a spiking circuit and rectifier networks, measured the same way.

They run side by side, into one folder.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from neurosparse import claims, recipes
from neurosparse._internal import checks
from neurosparse._internal import whole_files as files
from neurosparse._internal.workers import Show, run_side_by_side
from neurosparse.activity import ActiveWhen, SpikeTrains
from neurosparse.comparison import Comparison, compare
from neurosparse.measurement import measure
from neurosparse.progress import Progress, part_of
from neurosparse.recipes import Recipe, Seed, Spec
from neurosparse.report import Panel, environment
from neurosparse.sidebyside.panels import panels
from neurosparse.sidebyside.results import TWIN_STEPS, CircuitRun, NetworkRun

if TYPE_CHECKING:
    from neurosparse.rectifier import TrainSpec

MARKER = "comparison.json"
# 0 to 2 nA: the onset and the bend of the cell's curve
FI_CURRENTS_NA = [0.002 * k for k in range(1000)]
CIRCUIT, NETWORKS = "circuit", "networks"
_IN_WORDS = {"potjans2014": "Potjans cortical column"}
NO_COLUMN = "none"
# what the images of a set show; a set that is not here has its name alone
_SHOWN = {
    "mnist5k": "handwritten digits",
    "mnist": "handwritten digits",
    "fashion_mnist": "pictures of clothes",
    "cifar10": "photographs",
    "norb": "photographs of toys",
    "smallnorb": "photographs of toys",
}


class SideBySideSpec(Spec):
    """Settings of a run side by side.

    Parameters
    ----------
    neuron, circuit, column, networks
        Names or paths of recipes: one cell for the f-I curve, a spiking population, a circuit to
        run at full scale (or "none"), networks to train.
    twin, twin_images
        Which of the networks, if it is among them, is simulated in Brian2 as a spiking one too, and
        for how many test images.
    seconds, column_seconds
        Biological time of the population and of the column, after their warm-up.
    window_ms
        The window in which a neuron must fire to be active, where one number is wanted; the curve
        has every window.
    epochs
        Training epochs, in place of each recipe's own.
    device
        auto, cpu, cuda or mps.
    data_dir
        The folder with the files of the networks' image sets, if not where they install.
    claims
        A folder that `neurosparse claims` wrote: the page shows its verdicts.
    """

    neuron: str = "lif_glorot2011"
    circuit: str = "cortical_population"
    column: str = "potjans2014"
    networks: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "rectifier_4_percent",
        "rectifier_l1",
        "rectifier",
        "sigmoid",
    )
    twin: str = "rectifier_4_percent"
    twin_images: Annotated[int, Field(ge=1)] = 500
    seconds: Annotated[float, Field(gt=0)] = 10.0
    column_seconds: Annotated[float, Field(gt=0)] = 1.0
    window_ms: Annotated[float, Field(gt=0)] = 10.0
    epochs: Annotated[int, Field(ge=1)] | None = None
    device: str = "auto"
    data_dir: Path | None = None
    claims: Path = Path("results/claims")
    seed: Seed = 1


def run(spec: SideBySideSpec, directory: str | Path, show: Show) -> Comparison:
    """Run circuit and networks in two processes, compare them, and write all into `directory`.

    Numbers, figures and the page.

    The directory appears whole, or not at all; earlier results in it are replaced.

    Raises
    ------
    ValueError, OSError
        On a recipe that is missing or wrong, an unknown device, a directory that cannot be written;
        one sentence, before any work.
    """
    directory = checks.path("directory", directory)
    check(spec, directory)
    started, clock = time.strftime("%Y-%m-%d %H:%M:%S %z"), time.monotonic()
    with files.new_folder(directory) as folder:
        results = run_side_by_side(
            {
                CIRCUIT: partial(_run_circuit, spec),
                NETWORKS: partial(_run_networks, spec, folder / "networks"),
            },
            show,
        )
        circuit, networks = results[CIRCUIT], results[NETWORKS]
        active_when = ActiveWhen(window_ms=spec.window_ms)
        comparison = compare(
            *(
                measure(spikes, active_when=active_when, name=_in_words(recipe))
                for recipe, spikes in circuit.spikes.items()
            ),
            *(
                measure(
                    n.twin,
                    active_when=active_when,
                    name=f"{n.title}, spiking",
                    provenance={"steered to": n.steered_to},
                )
                for n in networks.values()
                if n.twin
            ),
            *(whole for n in networks.values() for whole in n.wholes),
            # a sigmoid has no zeros, so its recipe means something else by active, and says so
            mixed_definitions=True,
            provenance={
                "started": started,
                "took_s": round(time.monotonic() - clock, 1),
                **spec.model_dump(mode="json"),
                "devices": {n.title: n.device for n in networks.values()},
                "f-I error": f"{100 * circuit.fi.largest_error:.2g} % at most",
                **environment(),
            },
        )
        _write(comparison, circuit, networks, claims.overview(spec.claims), folder)
    return comparison


def check(spec: SideBySideSpec, directory: str | Path) -> None:
    """Refuse what cannot run, or cannot be written, before anything is started. Errors as `run`."""
    from neurosparse import data
    from neurosparse.rectifier import resolve
    from neurosparse.rectifier.training import check_fit
    from neurosparse.spiking import CircuitSpec, PopulationSpec, load_lif

    checks.instance("spec", spec, SideBySideSpec)
    files.check_writable(checks.path("directory", directory), marker=MARKER)
    claims.overview(spec.claims)
    load_lif(spec.neuron)
    recipes.load(spec.circuit).spec(PopulationSpec)
    if spec.column != NO_COLUMN:
        recipes.load(spec.column).spec(CircuitSpec)
    device = resolve(spec.device)
    for name in spec.networks:
        training = _training(spec, recipes.load(name))
        check_fit(training, data.load(training.data, data_dir=spec.data_dir), device)


# ---- The two processes
# --------------------------------------------------------------------------------------------------


def _run_circuit(spec: SideBySideSpec, progress: Progress) -> CircuitRun:
    from neurosparse.spiking import (
        CircuitSpec,
        PopulationSpec,
        fi_curve,
        load_lif,
        run_circuit,
        simulate_population,
    )

    fi = fi_curve(load_lif(spec.neuron), FI_CURRENTS_NA, progress=part_of(progress, 0.0, 0.1))
    population, share = recipes.load(spec.circuit), 1.0 if spec.column == NO_COLUMN else 0.5
    spikes = {
        population.name: simulate_population(
            population.spec(PopulationSpec),
            duration_ms=spec.seconds * 1e3,
            seed=spec.seed,
            progress=part_of(progress, 0.1, share),
        )
    }
    if spec.column != NO_COLUMN:
        column = recipes.load(spec.column)
        spikes[column.name] = run_circuit(
            column.spec(CircuitSpec),
            seconds=spec.column_seconds,
            seed=spec.seed,
            progress=part_of(progress, share, 1.0),
        )
    return CircuitRun(spikes, fi)


def _in_words(recipe: str) -> str:
    return _IN_WORDS.get(recipe, recipe.replace("_", " "))


def _run_networks(spec: SideBySideSpec, folder: Path, progress: Progress) -> dict[str, NetworkRun]:
    import torch

    from neurosparse import data, rectifier

    torch.set_num_threads(1)  # the circuit has the other core
    runs = {}
    for k, name in enumerate(spec.networks):
        recipe = recipes.load(name)
        train_spec = _training(spec, recipe)
        splits = data.load(train_spec.data, data_dir=spec.data_dir)
        of_one = part_of(progress, k / len(spec.networks), (k + 1) / len(spec.networks), name)
        trained = rectifier.train(train_spec, splits, device=spec.device, progress=of_one)
        rectifier.save(trained.network, folder / f"{recipe.name}.safetensors", training=train_spec)
        active_when = ActiveWhen(threshold=train_spec.active_threshold)
        network, images = trained.network, splits.test.mixed()
        wholes = {recipe.title: network}
        errors = {recipe.title: trained.test_error}
        if (
            train_spec.network.activation == "sigmoid"
        ):  # the paper's 50 % is where a sigmoid network starts, not where it ends
            initial = rectifier.RectifierNetwork(train_spec.network, seed=train_spec.seed)
            wholes[f"{recipe.title}, as initialised"] = initial
        progress((k + 1) / len(spec.networks), f"{name}: Brian2" if name == spec.twin else name)
        runs[name] = NetworkRun(
            title=recipe.title,
            wholes=tuple(
                measure(
                    rectifier.record_whole(net, images, active_when, name=title),
                    provenance={
                        "recipe": recipe.name,
                        "data": splits.name,
                        "tested on": _tested_on(splits),
                        "test error": errors.get(title),
                        **train_spec.sparsity,
                    },
                )
                for title, net in wholes.items()
            ),
            layers=measure(network, images, active_when=active_when),
            history=[{"network": recipe.title, **row} for row in rectifier.rows(trained.history)],
            device=trained.device,
            seconds=trained.seconds,
            best_epoch=trained.best_epoch,
            steered_to=train_spec.sparsity["steered to"],
            twin=_twin(network, splits, spec) if name == spec.twin else None,
        )
    return runs


def _training(spec: SideBySideSpec, recipe: Recipe) -> TrainSpec:
    """Return what a network of the comparison is trained by."""
    from neurosparse.rectifier import TrainSpec

    overrides = {"seed": spec.seed} | ({} if spec.epochs is None else {"epochs": spec.epochs})
    return recipe.spec(TrainSpec, **overrides)


def _tested_on(splits: Any) -> str:
    shown = f" ({_SHOWN[splits.name]})" if splits.name in _SHOWN else ""
    return f"the {len(splits.test):,} test images of {splits.name}{shown}"


def _twin(network: Any, splits: Any, spec: SideBySideSpec) -> SpikeTrains:
    """Return what the network fires as a spiking one in Brian2.

    It is shown test images one after another.
    """
    from neurosparse.convert import run_in_brian2, to_spiking
    from neurosparse.convert.verification import spike_trains

    spiking = to_spiking(network, _some(splits.train, 1000, spec.seed))
    shown = _some(splits.test, spec.twin_images, spec.seed)
    return spike_trains(run_in_brian2(spiking, shown, TWIN_STEPS, record_spikes=True))


def _some(images: Any, n: int, seed: int) -> Any:
    """Return some images in random order.

    A set may have its classes one after the other.
    """
    return images.images[np.random.default_rng(seed).permutation(len(images))[:n]]


# ---- The folder
# --------------------------------------------------------------------------------------------------


def _write(
    comparison: Comparison,
    circuit: CircuitRun,
    networks: Mapping[str, NetworkRun],
    findings: Panel,
    folder: Path,
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from neurosparse import report
    from neurosparse.recordings import save_spikes

    for name, spikes in circuit.spikes.items():
        save_spikes(spikes, folder / "spikes" / f"{name}.npz")
    for name, network in networks.items():
        if network.twin:
            save_spikes(network.twin, folder / "spikes" / f"{recipes.load(name).name}_spiking.npz")
    history = [row for network in networks.values() for row in network.history]
    with files.new_file(folder / "training.parquet") as file:
        pq.write_table(pa.Table.from_pylist(history), file)
    report.write(comparison, folder, [*panels(comparison, circuit, networks), findings])
