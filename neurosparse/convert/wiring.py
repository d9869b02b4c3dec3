"""Wiring of a graph: the spikes that drive each layer, and their weights.

Between two layers of neurons a network is affine but for maxima: convolutions, sums, averages,
concatenation. So the current of a neuron is a constant plus a weight for each spike that reaches
it. `Wiring.of` finds these weights as convolutions of the spikes (a fully connected layer is one
of a single pixel, a residual connection one of a diagonal kernel). What has no such form is
"separate": it is computed by itself, and whatever takes it takes its values.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np
import torch
from torch import Tensor

from neurosparse.convert.graph import (
    Add,
    AveragePool,
    Concatenate,
    Conv,
    Graph,
    Input,
    Layer,
    Linear,
    MaxPool,
    Part,
    Place,
    Reshape,
    Shape,
    Spike,
    Upsample,
)
from neurosparse.convert.windows import Pair, UnlikeError, alike, grid, pair, places, windows
from neurosparse.kernels.network.spike_pools import Windows


@dataclass(frozen=True, slots=True)
class Strand:
    """The spikes of a source, each times a factor, as the channels from `offset` on."""

    source: str
    shape: Shape  # of the source
    scale: Tensor = field(repr=False)  # broadcasts against the shape
    offset: int = 0
    flat: bool = False  # whether each of its units is a channel

    @property
    def channels(self) -> int:
        """Number of channels that it fills."""
        return prod(self.shape) if self.flat else self.shape[0]

    def channelwise(self) -> Tensor | None:
        """Return the factor of each channel of the source; None where it differs between pixels."""
        if self.scale.numel() == 1:
            return self.scale.reshape(1).expand(self.shape[0])
        by_channel = self.scale.ndim == len(self.shape) and self.scale[0].numel() == 1
        return self.scale.flatten() if by_channel else None


@dataclass(frozen=True, slots=True)
class Connection:
    """A convolution of the spikes of a source, as the channels from `offset` on."""

    source: str
    weight: Tensor = field(repr=False)  # (channels, channels of the source, rows, columns)
    grid: Pair  # of the source
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)  # zeros before the first pixel
    dilation: Pair = (1, 1)
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Form:
    """Sums of spikes that a layer gives, for whatever is not spikes to be added."""

    strands: tuple[Strand, ...] = ()
    connections: tuple[Connection, ...] = ()
    pure: bool = True  # whether nothing but spikes goes in, with factors of at least 0


@dataclass(frozen=True, slots=True)
class Pool:
    """A source of spikes that pools another one."""

    source: str
    windows: Windows
    maximum: bool


class Wiring:
    """The wiring of a graph.

    Layers in `steady` have the same values in every step. Where it is `signed` the input gives
    values, not spikes.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        steady: Collection[str],
        separate: Collection[str],
        signed: bool = False,
    ) -> None:
        self.graph = graph
        self.given = {*steady, graph.input.name} if signed else set(steady)
        self.separate = set(separate)  # layers that are computed by themselves
        self.pools: dict[str, Pool] = {}
        self._consumers: dict[str, int] = {}
        for layer in graph.layers:
            for name in layer.inputs:
                self._consumers[name] = self._consumers.get(name, 0) + 1

    def of(self, name: str, *, taken: bool = False) -> tuple[Connection, ...]:
        """Return the connections that give a layer.

        There are none where it has to be computed from the values of what it takes or, for one that
        takes it, where it is computed by itself.
        """
        layer = self.graph[name]
        if taken and (name in self.given or name in self.separate or self._shared(name)):
            return ()
        try:
            form = self._body(layer)
            strands = tuple(_connection(strand, layer.shape) for strand in form.strands)
        except UnlikeError:
            return ()
        return form.connections + strands

    def _shared(self, name: str) -> bool:
        """Say whether a layer with connections is computed by itself, for several that take it."""
        if self._consumers[name] > 1 and not isinstance(self.graph[name], Spike | Input):
            self._form(name)
        return name in self.separate

    def _form(self, name: str) -> Form:
        """Return the sums of spikes of a layer, for those who take it."""
        layer = self.graph[name]
        if name in self.given or name in self.separate:
            return Form(pure=False)
        if isinstance(layer, Spike | Input):
            return Form((Strand(name, layer.shape, torch.tensor(1.0)),))
        try:
            form = self._body(layer)
        except UnlikeError:
            form = None
        if form is None or (form.connections and self._consumers[name] > 1):
            self.separate.add(name)
            return Form(pure=False)
        return form

    def _strands(self, layer: Layer) -> Form:
        """Return what a layer with one input takes, where that is spikes alone."""
        (name,) = layer.inputs
        form = self._form(name)
        if form.connections:
            self.separate.add(name)
            return Form(pure=False)
        return form

    def _body(self, layer: Layer) -> Form:
        match layer:
            case Add():
                return self._sum(layer)
            case Concatenate():
                return self._row(layer)
            case Reshape():
                return _reshaped(layer, self._strands(layer), self.graph[layer.inputs[0]])
            case Conv() | Linear():
                before = self._strands(layer).strands
                return Form((), tuple(_connected(layer, strand) for strand in before), pure=False)
            case AveragePool() | MaxPool():
                return self._pooled(layer)
            case Place() | Upsample():
                return self._moved(layer)
            case Part():
                return _part(layer, self._form(layer.inputs[0]))
        return self._form(layer.name)

    def _sum(self, layer: Add) -> Form:
        strands: list[Strand] = []
        connections: list[Connection] = []
        for weight, name in zip(layer.weights, layer.inputs, strict=True):
            form = self._form(name)
            strands += [replace(s, scale=_scaled(s, weight, layer.shape)) for s in form.strands]
            for connection in form.connections:
                each = _by_channel(weight, layer.shape)
                part = each[connection.offset : connection.offset + len(connection.weight)]
                scaled = connection.weight * part.reshape(-1, 1, 1, 1)
                connections.append(replace(connection, weight=scaled))
        return Form(tuple(strands), tuple(connections), pure=False)

    def _row(self, layer: Concatenate) -> Form:
        forms = [self._form(name) for name in layer.inputs]
        starts = np.cumsum([0, *(self.graph[name].shape[0] for name in layer.inputs)])
        return Form(
            tuple(
                replace(s, offset=s.offset + int(start))
                for form, start in zip(forms, starts, strict=False)
                for s in form.strands
            ),
            tuple(
                replace(c, offset=c.offset + int(start))
                for form, start in zip(forms, starts, strict=False)
                for c in form.connections
            ),
            pure=all(form.pure for form in forms),
        )

    def _pooled(self, layer: AveragePool | MaxPool) -> Form:
        form = self._strands(layer)
        if isinstance(layer, MaxPool) and not form.pure:
            raise UnlikeError
        if not form.strands:
            return form
        before = self.graph[layer.inputs[0]].shape
        kernel = pair(layer.options["kernel_size"], 1, before)
        share = 1.0
        if isinstance(layer, AveragePool):
            if not alike(layer.options, kernel, before, layer.shape):
                raise UnlikeError
            share = 1 / prod(kernel)
        spans = windows(layer.options, kernel, before, layer.shape)
        return self._through(layer, form, spans, share)

    def _moved(self, layer: Place | Upsample) -> Form:
        form = self._strands(layer)
        if not form.strands:
            return form
        return self._through(layer, form, places(layer, self.graph[layer.inputs[0]].shape), 1.0)

    def _through(self, layer: Layer, form: Form, windows: Windows, share: float) -> Form:
        """Return spikes that go to the windows they lie in, each times a share."""
        strands = []
        for strand in form.strands:
            scale = strand.channelwise()
            if scale is None or strand.flat:
                raise UnlikeError
            key = f"{layer.name}({strand.source})"
            self.pools[key] = Pool(strand.source, windows, isinstance(layer, MaxPool))
            shape = (strand.shape[0], *layer.shape[1:])
            each = scale.reshape(-1, *[1] * (len(shape) - 1)) * share
            strands.append(Strand(key, shape, each, strand.offset))
        return Form(tuple(strands), pure=form.pure)


def _by_channel(weight: Tensor, shape: Shape) -> Tensor:
    """Return the factor of each channel, of a weight that broadcasts against a shape."""
    weight = weight.reshape(*[1] * (len(shape) - weight.ndim), *weight.shape)
    if weight[0].numel() > 1:
        raise UnlikeError
    return weight.flatten().expand(shape[0])


def _scaled(strand: Strand, weight: Tensor, shape: Shape) -> Tensor:
    """Return the scale of a strand, times the weight that it has in a sum of some shape."""
    part = _by_channel(weight, shape)[strand.offset : strand.offset + strand.channels]
    if strand.flat:
        return strand.scale * part.reshape(strand.shape)
    return strand.scale * part.reshape(-1, *[1] * (len(strand.shape) - 1))


def _reshaped(layer: Reshape, form: Form, before: Layer) -> Form:
    if not form.strands or layer.shape == before.shape:
        return form
    if len(layer.shape) > 1:
        raise UnlikeError
    n_pixels = prod(before.shape[1:])
    strands = tuple(replace(s, flat=True, offset=s.offset * n_pixels) for s in form.strands)
    return replace(form, strands=strands)


def _connected(layer: Conv | Linear, strand: Strand) -> Connection:
    return _convolved(layer, strand) if isinstance(layer, Conv) else _product(layer, strand)


def _product(layer: Linear, strand: Strand) -> Connection:
    """Return a fully connected layer as a convolution whose kernel covers all pixels."""
    columns = layer.weight[:, strand.offset : strand.offset + strand.channels]
    by_pixel = columns.reshape(-1, *strand.shape) * strand.scale
    n_pixels = prod(strand.shape[1:])
    return Connection(
        strand.source, by_pixel.reshape(len(columns), strand.shape[0], 1, n_pixels), (1, n_pixels)
    )


def _convolved(layer: Conv, strand: Strand) -> Connection:
    scale = strand.channelwise()
    if scale is None or strand.flat:
        raise UnlikeError
    before = strand.shape
    kernel = pair(tuple(layer.weight.shape[2:]), 1, before)
    dilation = pair(layer.dilation, 1, before)
    if layer.padding == "same":
        padding = tuple(d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True))
    else:
        padding = (0, 0) if layer.padding == "valid" else pair(layer.padding, 0, before)
    weight = _without_groups(layer)[:, strand.offset : strand.offset + strand.shape[0]]
    weight = weight.reshape(*weight.shape[:2], *kernel) * scale.reshape(-1, 1, 1)
    stride = pair(layer.stride, 1, before)
    return Connection(
        strand.source, weight, grid(before), stride, (padding[0], padding[1]), dilation
    )


def _without_groups(layer: Conv) -> Tensor:
    """Return the kernel over all input channels, zeros between groups."""
    if layer.groups == 1:
        return layer.weight
    n_out, n_in, *kernel = layer.weight.shape
    whole = layer.weight.new_zeros(n_out, n_in * layer.groups, *kernel)
    each = n_out // layer.groups
    for g in range(layer.groups):
        out = slice(g * each, (g + 1) * each)
        whole[out, g * n_in : (g + 1) * n_in] = layer.weight[out]
    return whole


def _connection(strand: Strand, shape: Shape) -> Connection:
    """Return the strand as a convolution with a diagonal kernel of one pixel."""
    scale = strand.channelwise()
    if scale is None or (strand.flat and strand.channels > strand.shape[0]):
        raise UnlikeError
    weight = torch.diag(scale).reshape(*[strand.shape[0]] * 2, 1, 1)
    return Connection(strand.source, weight, grid(shape), offset=strand.offset)


def _part(layer: Part, form: Form) -> Form:
    """Return some of the channels; a source counts as a whole or not at all."""
    end = layer.start + layer.shape[0]
    strands = []
    for strand in form.strands:
        if strand.offset >= layer.start and strand.offset + strand.channels <= end:
            strands.append(replace(strand, offset=strand.offset - layer.start))
        elif strand.offset < end and strand.offset + strand.channels > layer.start:
            raise UnlikeError
    connections = []
    for connection in form.connections:
        first = max(layer.start - connection.offset, 0)
        weight = connection.weight[first : max(end - connection.offset, 0)]
        offset = max(connection.offset - layer.start, 0)
        connections.append(replace(connection, weight=weight, offset=offset))
    return replace(form, strands=tuple(strands), connections=tuple(connections))
