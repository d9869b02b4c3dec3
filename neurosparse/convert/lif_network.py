"""LIF-aware training as a recipe.

A network of LIF rates is trained, and then spikes at these rates.

Nothing is fitted to data on the way from rates to spikes: the cell that was trained with is the
cell that spikes. So what is left between the two are the steps of time and the spikes' noise, which
the report of the conversion shows.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from neurosparse import data
from neurosparse.convert.network import SpikingNetwork, to_spiking
from neurosparse.convert.rate import LIFRate, Variant
from neurosparse.convert.tuning import Tuning, tune
from neurosparse.data import Splits
from neurosparse.data.images import check_splits
from neurosparse.lif import LIF
from neurosparse.progress import Progress, quiet
from neurosparse.recipes import Spec, check_spec
from neurosparse.rectifier import NetworkSpec, RectifierNetwork

Positive = Annotated[float, Field(gt=0)]


class LIFNetworkSpec(Spec):
    """A network of LIF rates, its training, and the steps in which it spikes.

    A recipe of kind "lif_network" holds these values.

    Parameters
    ----------
    sizes
        Inputs, the width of each hidden layer, classes.
    data
        The name of the image set (`neurosparse.data.load`).
    tau_m_ms, t_ref_ms
        Of the cells.
    scale_hz
        The rate that counts as an activation of 1.
    variant
        The rate to train with: "exact", "soft" or "siegert" (`LIFRate`).
    dt_ms
        Length of a step of the spiking cells; t_ref is a whole number of these.
    steps
        How many steps an image is to be shown for.
    tuning
        The training; its seed is also that of the initial weights.
    """

    sizes: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=3)] = (
        784,
        300,
        300,
        10,
    )
    data: str = "mnist5k"
    tau_m_ms: Positive = 20.0
    t_ref_ms: Annotated[float, Field(ge=0)] = 2.0
    scale_hz: Positive = 100.0
    variant: Variant = "exact"
    dt_ms: Positive = 0.5
    steps: Annotated[int, Field(ge=1)] = 512
    tuning: Tuning = Tuning(epochs=10, learning_rate=3e-3)

    def cell(self) -> LIFRate:
        """Return the activation of a hidden layer."""
        lif = LIF(tau_m_ms=self.tau_m_ms, t_ref_ms=self.t_ref_ms)
        return LIFRate(lif, scale_hz=self.scale_hz, variant=self.variant)


def train_lif_network(
    spec: LIFNetworkSpec, splits: Splits | None = None, *, progress: Progress = quiet
) -> SpikingNetwork:
    """Train a network of LIF rates, and convert it.

    Parameters
    ----------
    spec
        The network, its cells and its training.
    splits
        The images; by default the set that the spec names.
    progress
        Told how far it is.

    Returns
    -------
    SpikingNetwork
        Its source is the network of rates, with layers "linear1", "hidden1", ..., "output".

    Raises
    ------
    ValueError
        Where images and sizes do not fit together, and where the training diverges.
    TypeError
        Where an argument is of another kind.

    Examples
    --------
    >>> spec = LIFNetworkSpec(sizes=(784, 20, 10), tuning=Tuning(epochs=1))
    >>> [spike.name for spike in train_lif_network(spec).source.spikes]
    ['hidden1']
    """
    check_spec(spec, LIFNetworkSpec)
    splits = data.load(spec.data) if splits is None else splits
    check_splits(splits)
    train = splits.train
    if (spec.sizes[0], spec.sizes[-1]) != (train.images.shape[1], train.n_classes):
        raise ValueError(
            f"sizes must begin with {train.images.shape[1]} and end with {train.n_classes} for"
            f" {splits.name!r}, got {spec.sizes}"
        )
    neuron = spec.cell().neuron(spec.dt_ms)
    start = RectifierNetwork(NetworkSpec(sizes=spec.sizes), seed=spec.tuning.seed)
    layers = {
        name: spec.cell() if name in start.layers else module
        for name, module in start.named_children()
    }
    images, labels = (torch.tensor(values) for values in (train.images, train.labels))
    model = tune(nn.Sequential(OrderedDict(layers)), images, labels, spec.tuning, progress=progress)
    return to_spiking(model, train, neuron)
