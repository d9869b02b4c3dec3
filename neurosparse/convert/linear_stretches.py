"""Linear stretches of a graph, between two layers of neurons: their sums, and their matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import torch
from torch import Tensor

from neurosparse.convert.graph import Add, Conv, Graph, Input, Layer, Linear, MaxPool, Spike


def neurons_before(graph: Graph, name: str) -> list[Layer]:
    """Return the input and the layers of neurons on which a layer depends through linear ones.

    Raises
    ------
    ValueError
        Where there is max pooling between them.
    """
    layer = graph[name]
    if isinstance(layer, MaxPool):
        raise ValueError(
            f"{name} is max pooling, which Brian2 is not given: use average pooling, or run it in"
            " torch"
        )
    found: list[Layer] = []
    for each in layer.inputs:
        found += (
            [graph[each]] if isinstance(graph[each], Spike | Input) else neurons_before(graph, each)
        )
    return list(dict.fromkeys(found))


def value_of(graph: Graph, name: str, given: Mapping[str, Tensor]) -> Tensor:
    """Return the output of a layer where others put out what is given."""
    if name in given:
        return given[name]
    layer = graph[name]
    return layer(*(value_of(graph, each, given) for each in layer.inputs))


def currents_of(graph: Graph, spike: Spike, values: Mapping[str, Tensor]) -> Tensor:
    """Return the currents of a layer of neurons, shape (steps, n, *shape).

    Of shape (1, n, *shape) where they are steady.
    """
    (name,) = spike.inputs
    given = {each.name: values[each.name] for each in neurons_before(graph, name)}
    steps, n = max(map(len, given.values())), next(iter(given.values())).shape[1]
    flat = {
        each: value.expand(steps, *value.shape[1:]).flatten(0, 1) for each, value in given.items()
    }
    result: Tensor = value_of(graph, name, flat).unflatten(0, (steps, n))
    return result


def matrix_of(graph: Graph, name: str, source: Layer, like: Tensor) -> Tensor:
    """Return the weights from each unit of `source` to each of a layer, (source units, units).

    Each unit of `source` is set to 1 in turn, unless the layer is one product of weights.
    """
    last = graph[name]
    if isinstance(last, Linear) and last.inputs == (source.name,) and len(source.shape) == 1:
        return last.weight.detach().t().to(like.dtype).contiguous()
    layers = (
        (
            replace(layer, bias=torch.zeros_like(layer.bias))
            if isinstance(layer, Linear | Conv | Add)
            else layer
        )
        for layer in graph.layers
    )
    graph = Graph(tuple(layers))
    n = prod(source.shape)
    given = {each.name: like.new_zeros(n, *each.shape) for each in neurons_before(graph, name)}
    given[source.name] = torch.eye(n, dtype=like.dtype).reshape(n, *source.shape)
    return value_of(graph, name, given).flatten(1)
