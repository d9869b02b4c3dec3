"""The parts of the page of the main job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neurosparse import plots
from neurosparse.activity import SpikeTrains
from neurosparse.comparison import Comparison
from neurosparse.measurement import measure
from neurosparse.report import Panel, row
from neurosparse.sidebyside import cost
from neurosparse.sidebyside.results import TWIN_STEPS, CircuitRun, NetworkRun
from neurosparse.spiking import load_lif


def panels(
    comparison: Comparison, circuit: CircuitRun, networks: Mapping[str, NetworkRun]
) -> list[Panel]:
    """Return figures and tables of what circuits and networks did, in the page's order."""
    layers = {n.title: n.layers for n in networks.values()}
    histories = {n.title: n.history for n in networks.values()}
    errors = {
        # untrained: at chance
        title: {at["epoch"]: 100 * at["validation_error"] for at in rows if at["epoch"]}
        for title, rows in histories.items()
    }
    fi, lif = circuit.fi, load_lif(comparison.provenance["neuron"])
    population, *columns = circuit.spikes.values()
    when, colours = comparison.circuits[0].active_when, plots.colours(comparison)
    kind_colours = dict(zip(population.populations, plots.PARTS, strict=False))  # as in the raster
    kinds = [
        measure(population.population(p), active_when=when, name=p) for p in population.populations
    ]

    def cells_and_units(left: Any, right: Any) -> None:
        plots.fi_curve(lif, fi.currents_nA, fi.rates_hz, left)
        plots.activation_functions(right)

    def courses(first: Any, *others: Any) -> None:
        plots.by_epoch(errors, "validation error (%)", first, colours=colours)
        first.set_title("Validation error")
        for ax, (title, rows) in zip(others, histories.items(), strict=True):
            by_layer: dict[str, dict[int, float]] = {}
            for at in rows:
                by_layer.setdefault(at["layer"], {})[at["epoch"]] = 100 * at["active_fraction"]
            plots.by_epoch(
                by_layer, "active units (%)", ax, colours=dict.fromkeys(by_layer, colours[title])
            )
            ax.set(title=title, ylim=(0, 60))

    return [
        cost.panel(networks, colours),
        Panel(
            "neurons_and_units",
            "A neuron and the units of networks",
            "The neuron: the firing rate of leaky integrate-and-fire cells over their input,"
            " simulated and in closed form, with parameters read off figure 1 of Glorot, Bordes &"
            " Bengio 2011. The units: activation functions. The rectifier, like the neuron, is"
            " silent on one side; the sigmoid rests in the middle of its range, tanh is"
            " antisymmetric.",
            cells_and_units,
            n_axes=2,
        ),
        Panel(
            "raster",
            "The population's spikes",
            "Every dot is a spike; each kind in proportion to its number. In print: the first"
            " second for a sample of the neurons.",
            lambda ax: plots.raster(population, ax),
            spikes=population,
        ),
        *(_column_panel(column) for column in columns),
        *(_twin_panel(n.title, n.twin) for n in networks.values() if n.twin),
        Panel(
            "rates",
            "How often a neuron fires",
            "Mean firing rates over the neurons of the population on a log axis. Lines: log-normal"
            " distributions with the mean and standard deviation of ln(rate) over the neurons that"
            " fired. A minority makes most of the spikes (Buzsaki & Mizuseki 2014).",
            lambda ax: plots.rate_histogram(kinds, ax, colours=kind_colours),
        ),
        Panel(
            "layers",
            "Sparsity per layer",
            "The share of active units for a test image, averaged over the test images, with its 95"
            " % interval. Each network states what active means for it: exact zeros are inactive in"
            " a rectifier network; a sigmoid is never exactly 0, so the share above half of its"
            " range is shown.",
            lambda ax: plots.layers(layers, comparison, ax),
            table=[
                {"network": title} | row(s, {}) for title, of in layers.items() for s in of.values()
            ],
        ),
        Panel(
            "units",
            "How often a unit is active",
            "For all hidden units of each network: the share of the test images for which a unit is"
            " active.",
            lambda ax: plots.activation_histogram(
                [n.wholes[0] for n in networks.values()], ax, colours=colours
            ),
        ),
        Panel(
            "training",
            "Training",
            "Validation error of each network from epoch 1, and active units of each of its layers;"
            " epoch 0 is the network as initialised. Each network is then measured with the weights"
            " of its epoch of least validation error.",
            courses,
            n_axes=1 + len(networks),
        ),
    ]


def _column_panel(column: SpikeTrains) -> Panel:
    return Panel(
        "column_raster",
        "A cortical column, at full scale",
        f"{column.n_units:,} neurons with all their synapses. Every dot is a spike; each population"
        " in proportion to its size. In print: the first half second for a sample of the neurons.",
        lambda ax: plots.raster(column, ax, n_units=1000, duration_ms=500.0),
        spikes=column,
    )


def _twin_panel(title: str, twin: SpikeTrains) -> Panel:
    return Panel(
        "twin_raster",
        f"{title}: as a spiking network",
        "The network with an integrate-and-fire neuron in the place of each rectifier, simulated"
        f" in Brian2: test images, shown for {TWIN_STEPS} steps of 1 ms each, in random order. A"
        " neuron fires at a rate that follows its unit's activation. In print: the first ten"
        " images.",
        lambda ax: plots.raster(twin, ax, n_units=1000, duration_ms=10.0 * TWIN_STEPS),
        spikes=twin,
    )
