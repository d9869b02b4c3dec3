"""Pre-training by stacked denoising auto-encoders, without labels.

One hidden layer after another; then `train` fine-tunes.

Vincent, Larochelle, Bengio & Manzagol 2008 (ICML); for rectifiers Glorot, Bordes & Bengio 2011,
section 3.2. Each layer in turn learns to reconstruct what comes into it, x, from a copy x~ in which
every value was set to 0 with the probability `corruption`:

    h = activation(W x~ + b),  f = V h + c,
    minimise the mean over images of the sum over inputs of the cost

    reconstruction   of the inputs by   cost            targets t
    softplus         ln(1 + exp f)      (t - it)^2      x
    scaled           1 / (1 + exp -f)   cross-entropy   x / (its largest value)
    linear           f                  (t - it)^2      x
    rectifier        max(0, f)          (t - it)^2      x
    cross_entropy    1 / (1 + exp -f)   cross-entropy   x; of a tanh (1 + x) / 2

The first four are the paper's, in its order: "softplus" is best for images, "scaled" for text.
"cross_entropy" is for tanh and sigmoid networks.

V is a matrix of its own, as the paper writes it, and is thrown away with c. Where units are
mirrored, t is their magnitude. In "scaled" the targets alone are scaled: the encoder sees values as
the network has them, so that nothing needs undoing afterwards.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurosparse import data
from neurosparse._internal import cards
from neurosparse.data import Splits
from neurosparse.data.images import check_splits
from neurosparse.progress import Progress, quiet
from neurosparse.recipes import check_spec
from neurosparse.rectifier import devices
from neurosparse.rectifier.course import check_length
from neurosparse.rectifier.history import DivergenceError
from neurosparse.rectifier.network import RectifierNetwork, linear_map, mirror
from neurosparse.rectifier.specs import PretrainSpec
from neurosparse.rectifier.steps import slope

REPORT_EVERY_STEPS = 50
ENCODING_BATCH = 1000


@dataclass(frozen=True, slots=True)
class LayerPretraining:
    """Course of the pre-training of one layer."""

    layer: str
    # of each epoch: mean over images of the cost, summed over inputs; without the penalty
    losses: tuple[float, ...]
    # share of its units that are not 0 for a training image, uncorrupted, afterwards
    active_fraction: float
    n_alive: int  # units that are not 0 for at least one of them


@dataclass(frozen=True, slots=True)
class PretrainResult(cards.Shown):
    """A pre-trained network, its read-out still as initialised.

    `train(spec, splits, start=result.network)` fine-tunes it.
    """

    network: RectifierNetwork = field(repr=False)
    spec: PretrainSpec
    layers: tuple[LayerPretraining, ...]
    device: str
    seconds: float

    def _card(self) -> cards.Card:
        rows = [
            {
                "layer": at.layer,
                "loss": at.losses[-1],
                "active (%)": 100 * at.active_fraction,
                "alive": at.n_alive,
            }
            for at in self.layers
        ]
        return cards.Card(f"Pre-trained network: {self.seconds:.3g} s, {self.device}", rows)


def pretrain(
    spec: PretrainSpec,
    splits: Splits | None = None,
    *,
    device: str | torch.device = "auto",
    progress: Progress = quiet,
) -> PretrainResult:
    """Pre-train the network of `spec` layer by layer as denoising auto-encoders, from its seed.

    Parameters
    ----------
    spec
        What to pre-train, and how.
    splits
        The images; by default the set that the spec names. Its training images are used, and no
        labels.
    device
        Where: "auto", "cpu", "cuda" or "mps" (`rectifier.resolve`).
    progress
        Told how far it is.

    Returns
    -------
    PretrainResult
        The network on the CPU, in evaluation mode.

    Raises
    ------
    DivergenceError
        A ValueError that names the layer, the epoch and the step at which the cost stopped being
        finite, or the layer all of whose units fell silent, and the remedy.
    ValueError
        Where images and network do not fit together, or there is no such device or image set.
    TypeError
        Where an argument is of another kind.

    Examples
    --------
    >>> from neurosparse.rectifier import NetworkSpec
    >>> small = NetworkSpec(sizes=(784, 100, 10))
    >>> result = pretrain(PretrainSpec(network=small, epochs=2), device="cpu")
    >>> first, second = result.layers[0].losses
    >>> second < first
    True
    """
    check_spec(spec, PretrainSpec)
    where = devices.resolve(device)
    splits = data.load(spec.data) if splits is None else splits
    check_splits(splits)
    if spec.network.sizes[0] != splits.n_features:
        raise ValueError(
            f"the first of the network's sizes must be {splits.n_features} for {splits.name!r}, got"
            f" {spec.network.sizes[0]}"
        )
    check_length(spec.epochs, len(splits.train), spec.batch_size)
    started = time.perf_counter()
    generator = torch.Generator().manual_seed(spec.seed)
    network = RectifierNetwork(spec.network, seed=generator).to(where).eval()
    # what comes into the layer, (n, inputs)
    values = torch.tensor(splits.train.images, device=where)
    found, layers = [], spec.network.layers
    for k, name in enumerate(layers):

        def report(done: float, epoch: int, k: int = k, name: str = name) -> None:
            progress((k + done) / len(layers), f"{name}, epoch {epoch}/{spec.epochs}")

        with devices.one_thread(where):
            losses = _pretrain_layer(network, k, values, spec, generator, report)
            values = _encoded(network, k, values)
        found.append(_described(name, losses, values, spec))
    progress(1.0, f"{len(layers)} layers pre-trained")
    return PretrainResult(
        network.cpu(), spec, tuple(found), str(where), time.perf_counter() - started
    )


def _described(
    name: str, losses: tuple[float, ...], values: Tensor, spec: PretrainSpec
) -> LayerPretraining:
    active = values != 0  # (n, units)
    n_alive = int(active.any(dim=0).sum())
    if n_alive == 0:
        raise DivergenceError(
            f"pre-training left {name} silent: none of its {values.shape[1]} units is active for"
            f" any image; use a smaller learning_rate (it is {spec.learning_rate:g}), more units,"
            f" or another reconstruction than {spec.cost!r}"
        )
    return LayerPretraining(name, losses, float(active.sum()) / active.numel(), n_alive)


# ---- A layer
# --------------------------------------------------------------------------------------------------


def _pretrain_layer(
    network: RectifierNetwork,
    k: int,
    values: Tensor,
    spec: PretrainSpec,
    generator: torch.Generator,
    report: Callable[[float, int], None],
) -> tuple[float, ...]:
    """Train linear map k of the network in place; the mean cost of an image in each epoch."""
    n, n_inputs = values.shape
    encoder, activation = network[2 * k : 2 * k + 2]
    decoder = linear_map(spec.network, encoder.out_features, n_inputs, generator).to(values.device)
    to_target = _targets(spec, k, values)
    losses = []
    for epoch in range(1, spec.epochs + 1):
        total = 0.0
        order = torch.randperm(n, generator=generator).to(values.device)
        for step, rows in enumerate(order.split(spec.batch_size), start=1):
            x = values[rows]
            kept = (torch.rand(x.shape, generator=generator) >= spec.corruption).to(x.device)
            loss = float(
                denoising_step(
                    spec,
                    encoder,
                    activation,
                    decoder,
                    x * kept,
                    to_target(x),
                    learning_rate=spec.learning_rate,
                    l1=spec.l1,
                )
            )
            if not math.isfinite(loss):
                raise DivergenceError(
                    f"pre-training diverged in hidden{k + 1}, epoch {epoch}, step {step}: the cost"
                    " is no longer finite; use a smaller learning_rate (it is"
                    f" {spec.learning_rate:g})"
                )
            total += loss * len(rows)
            if step % REPORT_EVERY_STEPS == 0:
                report((epoch - 1 + step * spec.batch_size / n) / spec.epochs, epoch)
        losses.append(total / n)
    return tuple(losses)


@torch.no_grad()
def denoising_step(
    spec: PretrainSpec,
    encoder: nn.Linear,
    activation: nn.Module,
    decoder: nn.Linear,
    corrupted: Tensor,
    targets: Tensor,
    *,
    learning_rate: float,
    l1: float = 0.0,
) -> Tensor:
    """Do one step of gradient descent on a minibatch, in place.

    It is written out by hand, as in `steps.sgd_step`.

    Parameters
    ----------
    spec
        What the pre-training is.
    encoder, activation, decoder
        The layer, and the linear map back to its inputs; both maps are changed.
    corrupted : tensor, shape (n, inputs)
        What the encoder sees.
    targets : tensor, shape (n, inputs)
        What is to be reconstructed; in [0, 1] where the cost is the cross-entropy.
    learning_rate
        The weights move by minus this times the gradient.
    l1
        Weight of the penalty on the code.

    Returns
    -------
    Tensor
        The mean over the images of the cost, summed over the inputs, before the step and without
        the penalty.
    """
    n = len(corrupted)
    h = activation(encoder(corrupted))
    f = decoder(h)
    loss, delta = _cost(spec.cost, f, targets)
    delta /= n
    delta_h = delta @ decoder.weight
    decoder.weight.addmm_(delta.t(), h, alpha=-learning_rate)
    decoder.bias.sub_(delta.sum(0), alpha=learning_rate)
    delta_h.add_(h.sign(), alpha=l1 / n).mul_(slope(spec.network, h))
    encoder.weight.addmm_(delta_h.t(), corrupted, alpha=-learning_rate)
    encoder.bias.sub_(delta_h.sum(0), alpha=learning_rate)
    return loss / n


def _cost(cost: str, f: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cost of reconstructions from f, summed over all, and its derivative by f."""
    if cost in ("scaled", "cross_entropy"):
        loss = functional.binary_cross_entropy_with_logits(f, targets, reduction="sum")
        return loss, torch.sigmoid(f).sub_(targets)
    made, by_f = {
        "softplus": lambda: (functional.softplus(f), torch.sigmoid(f)),
        "rectifier": lambda: (f.clamp(min=0), (f > 0).to(f)),
        "linear": lambda: (f, torch.ones_like(f)),
    }[cost]()
    difference = made - targets
    return difference.square().sum(), by_f.mul_(difference).mul_(2)


def _targets(spec: PretrainSpec, k: int, values: Tensor) -> Callable[[Tensor], Tensor]:
    """Return what is to be reconstructed, from what comes into layer k.

    Images as they are, units by their magnitude and range.
    """
    scale = 1.0
    if spec.cost == "scaled":
        # a layer that is silent throughout is its own target
        scale = float(values.abs().max()) or 1.0
    if k == 0:
        return lambda x: x / scale
    sign = mirror(values.shape[1]).to(values) if spec.network.mirrored else torch.ones(1).to(values)
    if spec.network.activation == "tanh":
        return lambda x: (1 + x * sign) / 2
    return lambda x: x * sign / scale


@torch.no_grad()
def _encoded(network: RectifierNetwork, k: int, values: Tensor) -> Tensor:
    """Return what layer k puts out for what comes into it, uncorrupted."""
    layer = network[2 * k : 2 * k + 2]
    return torch.cat([layer(part) for part in values.split(ENCODING_BATCH)])
