"""NIR files (Pedersen et al. 2024, Nature Communications 15:8122): spiking networks that other simulators run, and theirs here.

What the format says, and what readers make of it, differ. A node is a differential equation; norse, snnTorch and SpikingJelly
step it by Euler's rule, v = v (1 - dt/tau) + (dt/tau) R I, put v to v_reset where it exceeds the threshold, and start at v = 0;
dt is in no file, and snnTorch takes 1e-4 s whatever was meant. So a leaky neuron is written with the tau at which Euler's rule
decays as ours, exp(-dt/tau_m), does over a step, in time of which `FILE_DT_S` is a step; R is 1 and v_leak 0. The metadata of the
graph hold what has no place in a node: dt and tau_m, the reset, the refractory period, the potential at the start.
"""

from __future__ import annotations

import json
import math
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from neurosparse import checks, files, recipes
from neurosparse.convert import nir_nodes
from neurosparse.convert.graph import Conv, Graph, Input, Layer, Linear, Reshape, Spike
from neurosparse.convert.network import SpikingNetwork
from neurosparse.convert.neurons import NeuronSpec
from neurosparse.convert.nir_nodes import FILE_DT_S
from neurosparse.convert.normalisation import Normalisation
from neurosparse.convert.rate import of_rates

if TYPE_CHECKING:
    import nir

FORMAT = "neurosparse.convert/1"
MOST_BYTES = 2**31  # of all arrays of a file together
MOST_NODES = 10_000
MOST_LEVELS = 8  # of groups within groups


# ---- Writing --------------------------------------------------------------------------------------------------------


def to_nir(spiking: SpikingNetwork, path: str | Path, *, lossy: bool = False) -> list[str]:
    """Write a spiking network as a NIR file.

    Parameters
    ----------
    spiking
        A chain of linear maps, convolutions, average pooling, flattening and neurons.
    path
        Of the file, which appears whole or not at all.
    lossy
        Whether to write also what other readers do not run alike. Here it is read back without loss, from the metadata.

    Returns
    -------
    list of str
        What is lost on other readers, a sentence each. Nothing is for neurons of kind="lif", reset="value", v_initial=0 and without
        a refractory period: norse, snnTorch and SpikingJelly run these to the spike, but for ties, where the first two stay silent.

    Raises
    ------
    ValueError
        Where a layer has no node in NIR, and, unless `lossy`, where anything is lost.
    OSError
        Where the file cannot be written.
    """
    import nir

    lost = losses(spiking.neuron)
    if lost and not lossy:
        raise ValueError(
            f"NIR cannot hold this network for other readers: {'; '.join(lost)}; pass lossy=True to write it all the same"
        )
    layers = spiking.graph.to("cpu", torch.float32).layers
    for before, layer in pairwise(layers):
        if layer.inputs != (before.name,):
            raise ValueError(
                f"layer {layer.name!r} takes {', '.join(layer.inputs)}: only chains of layers are written to NIR"
            )
    names = {layer.name: f"layer_{k}" for k, layer in enumerate(layers)}
    nodes = {
        names[layer.name]: nir_nodes.node_of(layer, before.shape, spiking.neuron) for before, layer in pairwise(layers)
    }
    _scale_inputs(nodes, spiking.graph.input.scale)
    shape, last = np.array(layers[0].shape), np.array(layers[-1].shape)
    graph = nir.NIRGraph(
        {"input": nir.Input({"input": shape}), **nodes, "output": nir.Output({"output": last})},
        list(zip(("input", *nodes), (*nodes, "output"), strict=True)),
        metadata={
            "format": FORMAT, "neuron": spiking.neuron.model_dump_json(), "names": json.dumps([layer.name for layer in layers]),
            "dt": FILE_DT_S, "reset": spiking.neuron.reset, "t_ref": spiking.neuron.t_ref_steps * FILE_DT_S,
        },
    )  # fmt: skip
    with files.new_file(Path(path)) as temporary:
        nir.write(temporary, graph)
    return lost


def losses(neuron: NeuronSpec) -> list[str]:
    """What other readers of NIR do not run as these neurons do, a sentence each."""
    lost = []
    if neuron.kind == "if":
        lost.append("snnTorch lets IF neurons leak, and norse ignores R: use kind='lif'")
    if neuron.reset == "subtract":
        lost.append("NIR resets to a value, not by subtraction: use reset='value'")
    if neuron.t_ref_steps:
        lost.append(f"NIR has no refractory period, got t_ref_ms={neuron.t_ref_ms:g}")
    if neuron.v_initial:
        lost.append(f"NIR starts at 0, got v_initial={neuron.v_initial:g}")
    if neuron.v_reset:
        lost.append(f"norse and snnTorch reset to 0 alone, got v_reset={neuron.v_reset:g}")
    return lost


def _scale_inputs(nodes: dict[str, Any], scale: float) -> None:
    """Put the division of the inputs by `scale` into the first weights; what stands before these is linear."""
    import nir

    for node in nodes.values():
        if isinstance(node, nir.Affine | nir.Conv1d | nir.Conv2d):
            node.weight = node.weight / np.float32(scale)
            return


# ---- Reading --------------------------------------------------------------------------------------------------------


def from_nir(path: str | Path, *, dt_s: float = FILE_DT_S) -> SpikingNetwork:
    """Read a NIR file as a spiking network.

    Parameters
    ----------
    path
        A chain of Affine, Linear, Conv1d, Conv2d, AvgPool2d, Flatten, IF and LIF nodes, of any thresholds and resistances.
    dt_s
        The length of a step in the time of the file, which only files of this package say themselves. Leaky neurons are stepped as
        norse, snnTorch and SpikingJelly do, by Euler's rule.

    Returns
    -------
    SpikingNetwork
        Its thresholds are 1, with what they were in the weights; its source is the same network with rates for spikes.

    Raises
    ------
    FileNotFoundError, ValueError
        One sentence: where there is no such file, it is cut off, no NIR file, too large, or holds what cannot be run here.
    """
    path = Path(path)
    checks.positive("dt_s", dt_s)
    graph = _read(path)
    order = _chain(graph, path)
    try:
        return _network(graph, order, dt_s)
    except (ValueError, TypeError, AttributeError, LookupError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be run here: {_first_line(error)}") from None


def _read(path: Path) -> nir.NIRGraph:
    import h5py
    import nir

    if not path.is_file():
        raise FileNotFoundError(f"no NIR file {path}")
    try:
        with h5py.File(path, "r") as file:
            _within_limits(file, path)
    except OSError as error:
        raise ValueError(f"{path} is cut off or not an HDF5 file: {_first_line(error)}") from None
    try:
        graph = nir.read(path)
    except Exception as error:  # asserts, missing keys and more: nir checks little itself
        raise ValueError(
            f"{path} is not a NIR file that can be read: {type(error).__name__}: {_first_line(error)}"
        ) from None
    if not isinstance(graph, nir.NIRGraph):
        raise ValueError(f"{path} holds a {type(graph).__name__}, not a graph")
    return graph


def _within_limits(group: Any, path: Path, levels: int = MOST_LEVELS) -> None:
    """Refuse what would take memory or time without bounds, or lead out of the file, before anything of it is read."""
    import h5py

    n_bytes, n_groups = 0, 0

    def visit(group: Any, levels: int) -> None:
        nonlocal n_bytes, n_groups
        n_groups += 1
        if levels == 0:
            raise ValueError(f"{path} is nested more than {MOST_LEVELS} levels deep: not a NIR file")
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{path} has a link, {name!r}, that leads elsewhere: not read")
            item = group[name]
            if isinstance(item, h5py.Group):
                visit(item, levels - 1)
                continue
            if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
                raise ValueError(f"{path} keeps {name!r} elsewhere: not read")
            n_bytes += math.prod(item.shape or ()) * item.dtype.itemsize
            if n_bytes > MOST_BYTES or n_groups > MOST_NODES:
                raise ValueError(
                    f"{path} is too large: more than {MOST_BYTES:,} bytes of arrays or {MOST_NODES:,} nodes"
                )

    visit(group, levels)


def _chain(graph: nir.NIRGraph, path: Path) -> list[str]:
    """The names of the nodes between input and output, in order."""
    before: dict[str, set[str]] = {name: set() for name in graph.nodes}
    for source, target in graph.edges:
        before[target].add(source)
    try:
        order = list(TopologicalSorter(before).static_order())
    except CycleError:
        raise ValueError(f"{path} holds a recurrent network; only chains of layers are read") from None
    kinds = [type(graph.nodes[name]).__name__ for name in order]
    if kinds[:1] != ["Input"] or kinds[-1:] != ["Output"] or set(pairwise(order)) != set(graph.edges):
        raise ValueError(f"{path} must hold one chain of layers from an Input to an Output, got {', '.join(kinds)}")
    return order


def _network(graph: nir.NIRGraph, order: list[str], dt_s: float) -> SpikingNetwork:
    import nir

    metadata = {key: _text(value) for key, value in graph.metadata.items()}
    ours = metadata.get("format") == FORMAT
    neurons = [graph.nodes[name] for name in order if isinstance(graph.nodes[name], nir.IF | nir.LIF)]
    if ours:
        spec = recipes.build(NeuronSpec, json.loads(metadata["neuron"]), what="its metadata")
        names = dict(zip(order[:-1], json.loads(metadata["names"]), strict=True))
        dt_s = FILE_DT_S
    else:
        spec, names = nir_nodes.neuron_of(neurons, dt_s), {name: name for name in order}
    layers: list[Layer] = [
        Input(name=names[order[0]], inputs=(), shape=nir_nodes.shape_of(graph.nodes[order[0]].output_type["output"]))
    ]
    for k, name in enumerate(order[1:-1], start=1):
        after = graph.nodes[order[k + 1]]
        gain, offset = nir_nodes.gain_of(after, spec, dt_s) if isinstance(after, nir.IF | nir.LIF) else (1.0, 0.0)
        layers.append(nir_nodes.layer_of(graph.nodes[name], names[name], layers[-1], gain, offset))
        if isinstance(graph.nodes[name], nir.IF | nir.LIF) and not isinstance(layers[-2], Linear | Conv):
            raise ValueError(f"the neurons {name!r} must follow an Affine, Linear or Conv node")
    if isinstance(layers[-1], Spike):  # the output is then their rate
        layers.append(Reshape(name="output", inputs=(layers[-1].name,), shape=layers[-1].shape))
    spikes = Graph(tuple(layers))
    with torch.no_grad():
        spikes(torch.zeros(1, *spikes.input.shape))  # whatever does not fit together says so now
    return SpikingNetwork(of_rates(spikes, spec), spikes, spec, Normalisation(method="none"))


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
