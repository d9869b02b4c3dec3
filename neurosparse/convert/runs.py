"""Inputs and outputs of a spiking network: tensors, and the record of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from neurosparse._internal import cards, checks
from neurosparse._internal.units import plain
from neurosparse.convert.graph import Graph
from neurosparse.data import ImageSet


@dataclass(frozen=True, slots=True)
class LayerPath:
    """The way in which the events engine computed a layer.

    Parameters
    ----------
    layer
        Its name.
    path
        "events": a sum for each spike that reaches it. "values": all of it, in torch.
    density
        Spikes that it takes, a step and a unit; None where it takes none.
    why
        In words.
    """

    layer: str
    path: Literal["events", "values"]
    density: float | None
    why: str


@dataclass(frozen=True, slots=True)
class SpikingRun(cards.Shown):
    """Record of a spiking network's run on n inputs.

    Parameters
    ----------
    outputs : tensor, shape (n, *output shape)
        The read-out's potential over the number of steps: in the units of the source network's
        output.
    spike_counts : dict of tensors, shape (n, *layer shape)
        Spikes of each neuron, by layer.
    steps, dt_ms
        How many steps, and their length.
    outputs_at : dict of tensors
        The outputs after fewer steps, where they were asked for, by the number of steps.
    spikes : dict of tensors of bool, shape (steps, n, *layer shape)
        Every spike, where they were asked for; else empty.
    paths
        How each layer that takes spikes was computed, where the events engine ran it; else empty.
    """

    outputs: Tensor = field(repr=False)
    spike_counts: dict[str, Tensor] = field(repr=False)
    steps: int
    dt_ms: float
    outputs_at: dict[int, Tensor] = field(default_factory=dict, repr=False)
    spikes: dict[str, Tensor] = field(default_factory=dict, repr=False)
    paths: tuple[LayerPath, ...] = field(default=(), repr=False)

    def _card(self) -> cards.Card:
        rows = [
            {
                "layer": name,
                "neurons": counts[0].numel(),
                "spikes an input": float(counts.sum()) / len(counts),
                "rate (Hz)": 1e3 * float(counts.double().mean()) / (self.steps * self.dt_ms),
                "spiking (%)": 100 * float((counts > 0).double().mean()),
            }
            for name, counts in self.spike_counts.items()
        ]
        return cards.Card(
            f"{len(self.outputs):,} inputs for {self.steps} steps of {self.dt_ms:g} ms", rows
        )


Run = SpikingRun  # its former name


def as_inputs(inputs: object, graph: Graph, *, name: str = "inputs") -> Tensor:
    """Return inputs as a tensor of the kind and on the device of a graph's weights.

    TypeError or ValueError where they do not fit.
    """
    x = as_tensor(inputs, name)
    like = graph.spikes[0].scale
    if tuple(x.shape[1:]) != graph.input.shape:
        wanted = ", ".join(map(str, graph.input.shape))
        raise ValueError(f"{name} must have shape (n, {wanted}), got {tuple(x.shape)}")
    return x.to(like.device, like.dtype)


def as_inputs_of(model: nn.Module, inputs: object, name: str) -> Tensor:
    """Return inputs as a tensor of the kind and on the device of a model's weights.

    Whole numbers of 64 bits stay what they are: they may be places in a table. So does a tensor
    where weights are of several kinds, its own among them.
    """
    x = as_tensor(inputs, name)
    weights = [weight for weight in model.parameters() if weight.is_floating_point()]
    own = isinstance(inputs, Tensor) and x.dtype in {weight.dtype for weight in weights}
    like = weights[0] if weights else x
    return x.to(like.device, x.dtype if own or x.dtype == torch.int64 else like.dtype)


def as_labels(labels: object, n: int, device: torch.device) -> Tensor:
    """Return the classes of n inputs as a tensor of int64; a ValueError where they are none."""
    given = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else plain("labels", labels)
    classes = np.asarray(given)
    if classes.shape != (n,) or classes.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be {n} whole numbers, one an input, got shape {classes.shape} of"
            f" {classes.dtype}"
        )
    return torch.tensor(classes.astype(np.int64), device=device)


def check_network(name: str, network: object) -> None:
    """Refuse what is no SpikingNetwork with a TypeError."""
    if not isinstance(getattr(network, "graph", None), Graph):
        raise checks.wrong_kind(
            name, "a SpikingNetwork", network, "make one by to_spiking(model, inputs)"
        )


def as_tensor(inputs: object, name: str) -> Tensor:
    """Return a tensor, an array or the images of an ImageSet as a tensor.

    They are at least one sample, all finite.
    """
    if isinstance(inputs, DataLoader | Dataset):
        batch = "loader" if isinstance(inputs, DataLoader) else "DataLoader(data, batch_size=1000)"
        raise checks.wrong_kind(
            name,
            "a tensor, an array or an ImageSet",
            inputs,
            f"give a batch of it: next(iter({batch}))[0]",
        )
    if isinstance(inputs, ImageSet):
        inputs = inputs.images
    if isinstance(inputs, Tensor):
        x = inputs.detach()
    else:
        x = torch.tensor(checks.finite_array(name, inputs))
    if x.ndim < 2 or len(x) == 0:
        raise ValueError(
            f"{name} must be at least one sample along axis 0, of at least 1 axis each, got shape"
            f" {tuple(x.shape)}"
        )
    if x.is_complex() or not bool(x.isfinite().all()):
        raise ValueError(f"{name} must be finite real numbers, got NaN, infinite or complex ones")
    return x
