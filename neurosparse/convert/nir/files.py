"""NIR files: spiking networks that other simulators run, and theirs here.

Pedersen et al. 2024, Nature Communications 15:8122.

What the format says, and what readers make of it, differ. A node is a differential equation. The
readers norse, snnTorch and SpikingJelly step it by Euler's rule, v = v (1 - dt/tau) + (dt/tau) R I,
put v to v_reset where it exceeds the threshold, and start at v = 0. But dt is in no file, and
snnTorch takes 1e-4 s whatever was meant. So a leaky neuron is written with the tau at which Euler's
rule decays as ours, exp(-dt/tau_m), does over a step. A step takes `FILE_DT_S` there. R is 1 and
v_leak 0. The metadata of the graph hold what has no place in a node: dt and tau_m, the reset, the
refractory period, the potential at the start.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from neurosparse import recipes
from neurosparse._internal import checks
from neurosparse._internal import foreign_hdf5 as hdf5
from neurosparse._internal import whole_files as files
from neurosparse._internal.imports import need
from neurosparse._internal.types import Fields, Foreign
from neurosparse.convert.graph import (
    Add,
    AveragePool,
    Conv,
    Graph,
    Input,
    Layer,
    Linear,
    Reshape,
    Spike,
)
from neurosparse.convert.network import SpikingNetwork
from neurosparse.convert.neurons import NeuronSpec
from neurosparse.convert.nir import contents as nir_contents
from neurosparse.convert.nir import nodes as nir_nodes
from neurosparse.convert.nir.nodes import FILE_DT_S
from neurosparse.convert.normalisation import Normalisation
from neurosparse.convert.rate import of_rates
from neurosparse.convert.runs import check_network
from neurosparse.convert.tracing import fused

if TYPE_CHECKING:
    import nir

FORMAT = "neurosparse.convert/2"


# ---- Writing
# --------------------------------------------------------------------------------------------------


def to_nir(spiking: SpikingNetwork, path: str | Path, *, lossy: bool = False) -> list[str]:
    """Write a spiking network as a NIR file.

    Parameters
    ----------
    spiking
        A graph of linear maps, convolutions, average pooling, flattening, sums and neurons.
    path
        Of the file, which appears whole or not at all.
    lossy
        Whether to write also what other readers do not run alike. Here it is read back without
        loss, from the metadata.

    Returns
    -------
    list of str
        What is lost on other readers, a sentence each. Nothing is for neurons of kind="lif",
        reset="value", v_initial=0 and without a refractory period, in layers one after another. The
        readers norse, snnTorch and SpikingJelly run these to the spike, but for ties, where the
        first two stay silent. Branches that meet again are lost on norse alone.

    Raises
    ------
    ValueError
        Where a layer has no node in NIR, and, unless `lossy`, where anything is lost.
    OSError
        Where the file cannot be written.
    TypeError
        Where an argument is of another kind.
    """
    check_network("spiking", spiking)
    nir = need("nir", "writing NIR", "nir")
    graph = _without_input_scale(spiking.graph.to("cpu", torch.float32))
    lost = losses(spiking.neuron, graph.layers)
    if lost and not lossy:
        raise ValueError(
            f"NIR cannot hold this network for other readers: {'; '.join(lost)}; pass lossy=True to"
            " write it all the same"
        )
    nodes, edges, names = _nodes(graph, spiking.neuron)
    written = nir.NIRGraph(
        nodes, edges,
        metadata={
            "format": FORMAT, "neuron": spiking.neuron.model_dump_json(), "names": json.dumps(names),  # noqa: E501
            "dt": FILE_DT_S, "reset": spiking.neuron.reset, "t_ref": spiking.neuron.t_ref_steps * FILE_DT_S,  # noqa: E501
        },
    )  # fmt: skip
    with files.new_file(checks.path("path", path)) as temporary:
        nir.write(temporary, written)
    return lost


def losses(neuron: NeuronSpec, layers: Collection[Layer] = ()) -> list[str]:
    """Say what other readers of NIR do not run as these neurons and layers do.

    A sentence for each difference.
    """
    lost = []
    if any(isinstance(layer, Add) and len(layer.inputs) > 1 for layer in layers):
        lost.append("where branches meet, norse lets one of them come a step late")
    if any(isinstance(layer, Conv | AveragePool) and len(layer.shape) == 2 for layer in layers):
        lost.append("norse and snnTorch have no convolution in one dimension")
    if neuron.kind == "if":
        lost.append("snnTorch lets IF neurons leak, and norse ignores R: use kind='lif'")
    if neuron.reset == "subtract":
        lost.append("NIR resets to a value, not by subtraction: use reset='value'")
    if neuron.tau_syn_ms is not None:
        lost.append("readers differ in whether a CubaLIF steps its current before its potential")
    if neuron.t_ref_steps:
        lost.append(f"NIR has no refractory period, got t_ref_ms={neuron.t_ref_ms:g}")
    if neuron.v_initial:
        lost.append(f"NIR starts at 0, got v_initial={neuron.v_initial:g}")
    if neuron.v_reset:
        lost.append(f"norse and snnTorch reset to 0 alone, got v_reset={neuron.v_reset:g}")
    return lost


def _without_input_scale(graph: Graph) -> Graph:
    """Return a graph of the same function without the scale of its inputs.

    The division by it is in the weights that the inputs meet first.
    """
    bare = {graph.input.name}
    layers: list[Layer] = [replace(graph.input, scale=1.0)]
    for layer in graph.layers[1:]:
        if isinstance(layer, Linear | Conv) and bare.issuperset(layer.inputs):
            layer = replace(layer, weight=layer.weight / graph.input.scale)
        elif isinstance(layer, Add):
            scales = [graph.input.scale if name in bare else 1.0 for name in layer.inputs]
            layer = replace(
                layer, weights=tuple(w / s for w, s in zip(layer.weights, scales, strict=True))
            )
        elif bare.intersection(layer.inputs):
            bare.add(layer.name)  # pooled or in another shape
        layers.append(layer)
    return Graph(tuple(layers))


def _nodes(
    graph: Graph, neuron: NeuronSpec
) -> tuple[Fields, list[tuple[str, str]], dict[str, str]]:
    """Return the nodes by name, the edges, and the layer that each node stands for."""
    import nir

    nodes: Fields = {"input": nir.Input({"input": np.array(graph.input.shape)})}
    edges: list[tuple[str, str]] = []
    names = {"input": graph.input.name}
    ends = {graph.input.name: ["input"]}  # the nodes whose sum a layer's output is

    def add(name: str, node: object, before: list[str]) -> list[str]:
        nodes[name] = node
        edges.extend((end, name) for end in before)
        return [name]

    for k, layer in enumerate(graph.layers[1:], start=1):
        if isinstance(layer, Add):
            terms = zip(nir_nodes.terms_of(layer), layer.inputs, strict=True)
            ends[layer.name] = [
                end
                for j, (node, before) in enumerate(terms)
                for end in add(f"layer_{k}_{j}", node, ends[before])
            ]
        else:
            before = layer.inputs[0]  # what takes several is a sum, or has no node
            node = nir_nodes.node_of(layer, graph[before].shape, neuron)
            ends[layer.name] = add(f"layer_{k}", node, ends[before])
            names[f"layer_{k}"] = layer.name
    last = graph.layers[-1]
    add("output", nir.Output({"output": np.array(last.shape)}), ends[last.name])
    return nodes, edges, names


# ---- Reading
# --------------------------------------------------------------------------------------------------


def from_nir(path: str | Path, *, dt_s: float = FILE_DT_S) -> SpikingNetwork:
    """Read a NIR file as a spiking network.

    Parameters
    ----------
    path
        A graph without loops of Affine, Linear, Scale, Conv1d, Conv2d, AvgPool2d, SumPool2d,
        Flatten, IF, LIF and CubaLIF nodes, of any thresholds and resistances. In a step the current
        of a CubaLIF comes before its potential, as in snnTorch. A node that several lead to gets
        their sum.
    dt_s
        The length of a step in the time of the file, which only files of this package say
        themselves. Leaky neurons are stepped as norse, snnTorch and SpikingJelly do, by Euler's
        rule.

    Returns
    -------
    SpikingNetwork
        Its thresholds are 1, with what they were in the weights; its source is the same network
        with rates for spikes.

    Raises
    ------
    FileNotFoundError, ValueError
        One sentence: where there is no such file, it is cut off, no NIR file, too large, or holds
        what cannot be run here.
    """
    path = checks.path("path", path)
    dt_s = checks.positive("dt_s", dt_s)
    graph = _read(path)
    before = _before(graph, path)
    try:
        return _network(graph, before, dt_s)
    except (ValueError, TypeError, AttributeError, LookupError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be run here: {_first_line(error)}") from None


def _read(path: Path) -> nir.NIRGraph:
    nir = need("nir", "reading NIR", "nir")
    if not path.is_file():
        raise FileNotFoundError(f"no NIR file {path}")
    try:
        arrays = hdf5.read(path, nir_contents.contents)
    except ValueError as error:
        raise ValueError(f"cannot read a network from {path}: {error}") from None
    try:
        graph = nir.dict2NIRNode(nir_contents.tree(arrays))
    except Exception as error:  # asserts, missing keys and more: nir checks little itself
        raise ValueError(
            f"{path} is not a NIR file that can be read: {type(error).__name__}:"
            f" {_first_line(error)}"
        ) from None
    if not isinstance(graph, nir.NIRGraph):
        raise ValueError(f"{path} holds a {type(graph).__name__}, not a graph")
    return graph


def _before(graph: nir.NIRGraph, path: Path) -> dict[str, list[str]]:
    """Return the nodes that lead to each node, from the input to the output.

    They are in an order in which they can be computed.
    """
    before: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        before[target].append(source)
    try:
        order = list(TopologicalSorter(before).static_order())
    except CycleError:
        raise ValueError(
            f"{path} holds a recurrent network; only networks without loops are read"
        ) from None
    kinds = [type(graph.nodes[name]).__name__ for name in order]
    if kinds[:1] + kinds[-1:] != ["Input", "Output"] or {"Input", "Output"}.intersection(
        kinds[1:-1]
    ):
        raise ValueError(f"{path} must lead from one Input to one Output, got {', '.join(kinds)}")
    return {name: before[name] for name in order}


def _network(graph: nir.NIRGraph, before: dict[str, list[str]], dt_s: float) -> SpikingNetwork:
    import nir

    metadata = {key: _text(value) for key, value in graph.metadata.items()}
    if metadata.get("format") == FORMAT:
        spec = recipes.build(NeuronSpec, json.loads(metadata["neuron"]), what="its metadata")
        names, dt_s = json.loads(metadata["names"]), FILE_DT_S
    else:
        neurons = [
            node
            for node in graph.nodes.values()
            if isinstance(node, nir.IF | nir.LIF | nir.CubaLIF)
        ]
        spec, names = nir_nodes.neuron_of(neurons, dt_s), {}
    first, *others, last = before
    shape = nir_nodes.shape_of(graph.nodes[first].output_type["output"])
    layers: list[Layer] = [Input(name=names.get(first, first), inputs=(), shape=shape)]
    ends = {first: layers[0]}  # what gives the output of each node

    def incoming(name: str) -> Layer:
        sources = tuple(ends[each] for each in before[name])
        if len(sources) == 1:
            return sources[0]
        if len({source.shape for source in sources}) > 1:
            raise ValueError(
                f"node {name!r} adds values of shapes"
                f" {', '.join(str(source.shape) for source in sources)}"
            )
        ones, zero = (torch.tensor(1.0),) * len(sources), torch.tensor(0.0)
        inputs = tuple(source.name for source in sources)
        layers.append(
            Add(name=f"{name}.sum", inputs=inputs, shape=sources[0].shape, weights=ones, bias=zero)
        )
        return layers[-1]

    for name in others:
        layers += nir_nodes.layers_of(
            graph.nodes[name], names.get(name, name), incoming(name), spec, dt_s
        )
        ends[name] = layers[-1]
    end = incoming(last)
    if isinstance(end, Spike) or end is not layers[-1]:  # the output is then their rate
        layers.append(Reshape(name="output", inputs=(end.name,), shape=end.shape))
    spikes = fused(layers).to(torch.float32)
    with torch.no_grad():
        spikes(torch.zeros(1, *spikes.input.shape))  # whatever does not fit together says so now
    return SpikingNetwork(of_rates(spikes, spec), spikes, spec, Normalisation(method="none"))


def _text(value: object) -> Foreign:
    return value.decode() if isinstance(value, bytes) else value


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
