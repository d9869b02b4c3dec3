"""One step of gradient descent, with an L1 penalty on the activations.

Every weight is read and written once a step, and with minibatches of 10 that traffic is the cost.
So the gradient is written out by hand and goes straight into the weights (`addmm_`), without the
gradient matrices that autograd and an optimiser would write and read again. The tests hold it to
autograd with torch.optim.SGD.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from neurosparse.rectifier.dropout import masks as dropout_masks
from neurosparse.rectifier.network import RectifierNetwork, mirror
from neurosparse.rectifier.specs import NetworkSpec


@dataclass(frozen=True, slots=True)
class Descent:
    """Outcome of some steps of gradient descent."""

    # negative log-likelihood, summed over the images, each in its own step; without the penalty
    loss: float
    n_active: tuple[int, ...]  # (hidden layers) pairs of an image and a unit that is not 0 for it
    broken_step: int | None = (
        None  # the step, from 0, whose loss is not finite, if there is one; none was done after it
    )


class TrainingEngine(Protocol):
    """A trainer of a network, which holds the weights and the images as they stand.

    It goes on with what is written into them.
    """

    name: str

    def descend(
        self, rows: Tensor, *, learning_rate: float, l1: Sequence[float], draw: int
    ) -> Descent:
        """Descend along the images of `rows`, a minibatch at a time.

        `l1` has a weight for each hidden layer. `draw` decides which units dropout leaves out.
        """
        ...

    def weights(self) -> dict[str, Tensor]:
        """Return the weights as they stand, by the names of `RectifierNetwork.state_dict`.

        Views, not copies.
        """
        ...


class TorchEngine:
    """Steps in torch, on the device of the network.

    Parameters
    ----------
    network
        Any `RectifierNetwork`, where the weights start; it is left as it is.
    images : tensor, shape (n, features)
    labels : tensor of int64, shape (n,)
        The class of each image.
    batch_size
        Images a step.
    smoothing, dropout
        `TrainSpec.label_smoothing` and `TrainSpec.dropout`.
    """

    name = "torch"

    def __init__(
        self,
        network: RectifierNetwork,
        images: Tensor,
        labels: Tensor,
        batch_size: int,
        *,
        smoothing: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        self._network = copy.deepcopy(network)
        self._images, self._labels, self._batch_size = images, labels, batch_size
        self._smoothing, self._dropout = smoothing, dropout

    def descend(
        self, rows: Tensor, *, learning_rate: float, l1: Sequence[float], draw: int = 0
    ) -> Descent:
        """Descend along the images of `rows`, a minibatch at a time.

        `l1` has a weight for each hidden layer. `draw` decides which units dropout leaves out.
        """
        images, labels = (
            self._images[rows].split(self._batch_size),
            self._labels[rows].split(self._batch_size),
        )
        n_active = torch.zeros(len(l1), dtype=torch.int64, device=rows.device)
        total = 0.0
        for step, (x, y) in enumerate(zip(images, labels, strict=True)):
            loss = float(
                sgd_step(
                    self._network,
                    x,
                    y,
                    learning_rate=learning_rate,
                    l1=l1,
                    n_active=n_active,
                    smoothing=self._smoothing,
                    masks=self._masks(draw, step * self._batch_size, x),
                )
            )
            if not math.isfinite(loss):
                return Descent(total, tuple(n_active.tolist()), step)
            total += loss * len(y)
        return Descent(total, tuple(n_active.tolist()))

    def weights(self) -> dict[str, Tensor]:
        """Return the weights as they stand, by the names of `RectifierNetwork.state_dict`.

        Views, not copies.
        """
        return self._network.state_dict()

    def _masks(self, draw: int, first: int, images: Tensor) -> list[Tensor] | None:
        if not self._dropout:
            return None
        places, widths = range(first, first + len(images)), self._network.spec.sizes[1:-1]
        return dropout_masks(self._dropout, draw, places, widths, images)


# The slope of each activation, from its value h; a is the sharpness of the softplus
_SLOPES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "rectifier": lambda h, a: h > 0,
    "softplus": lambda h, a: -torch.expm1(-a * h),
    "tanh": lambda h, a: 1 - h * h,
    "sigmoid": lambda h, a: h * (1 - h),
}


def slope(spec: NetworkSpec, values: Tensor) -> Tensor:
    """Return the slope of the hidden units where they put out `values`, shape (..., units).

    A mirrored unit's is turned round.
    """
    if not spec.mirrored:
        return _SLOPES[spec.activation](values, spec.sharpness)
    sign = mirror(values.shape[-1], values.device).to(values.dtype)
    return _SLOPES[spec.activation](values * sign, spec.sharpness) * sign


def _forward(
    network: RectifierNetwork, images: Tensor, masks: Sequence[Tensor] | None
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Return what goes into each linear map, what each hidden layer puts out, and the scores."""
    if masks is None:
        *hidden, scores = network.activations(images).values()
        return [images, *hidden], hidden, scores
    *linears, output = network.linears()
    values, hidden = [images], []
    for layer, linear, mask in zip(network.layers, linears, masks, strict=True):
        hidden.append(network.get_submodule(layer)(linear(values[-1])))
        values.append(hidden[-1] * mask)
    return values, hidden, output(values[-1])


@torch.no_grad()
def sgd_step(
    network: RectifierNetwork,
    images: Tensor,
    labels: Tensor,
    *,
    learning_rate: float,
    l1: float | Sequence[float] = 0.0,
    n_active: Tensor | None = None,
    smoothing: float = 0.0,
    masks: Sequence[Tensor] | None = None,
) -> Tensor:
    """Do one step of gradient descent on a minibatch, in place.

    Where the loss is not finite, the weights stay as they are.

    Parameters
    ----------
    network
        The network; its weights are changed.
    images : tensor, shape (n, features)
        The inputs of the minibatch.
    labels : tensor of int64, shape (n,)
        The class of each image.
    learning_rate
        The weights move by minus this times the gradient.
    l1
        Weight of the penalty, one for all hidden layers or one for each: the gradient that each
        activation h gets besides is l1 sign(h) / n.
    n_active : tensor of int64, shape (hidden layers,)
        To which the (image, unit) pairs of each layer that are not 0 are added, where it is given.
    smoothing
        The share of each label that is spread evenly over the classes.
    masks
        What the outputs of each hidden layer are multiplied by, shape (n, units); None for 1. The
        penalty is on what comes of it.

    Returns
    -------
    Tensor
        The mean negative log-likelihood before the step, of the labels as they are and without the
        penalty.
    """
    n = len(labels)
    linears = network.linears()
    penalties = [l1] * (len(linears) - 1) if isinstance(l1, float | int) else l1
    # values[k] goes into linears[k]; hidden[k] are the outputs of a layer before its mask
    values, hidden, scores = _forward(network, images, masks)
    if n_active is not None:
        n_active += torch.stack([h.count_nonzero() for h in hidden])
    log_likelihood = functional.log_softmax(scores, dim=1)
    loss = functional.nll_loss(log_likelihood, labels)
    if not bool(loss.isfinite()):
        return loss
    delta = log_likelihood.exp()  # (n, classes): d loss / d scores = (softmax - label) / n
    delta[torch.arange(n, device=delta.device), labels] -= 1 - smoothing
    delta.sub_(smoothing / delta.shape[1]).div_(n)
    for k in range(len(linears) - 1, -1, -1):
        weight, bias, below = linears[k].weight, linears[k].bias, values[k]
        delta_below = delta @ weight if k else None  # before the weight moves
        weight.addmm_(delta.t(), below, alpha=-learning_rate)
        bias.sub_(delta.sum(0), alpha=learning_rate)
        if delta_below is not None:
            delta = delta_below.add_(below.sign(), alpha=penalties[k - 1] / n)
            if masks is not None:
                delta.mul_(masks[k - 1])
            delta.mul_(slope(network.spec, hidden[k - 1]))
    return loss
