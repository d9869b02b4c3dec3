"""Training: epochs of plain stochastic gradient descent, each followed by a look at the validation images."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional

from neurosparse import data
from neurosparse.data import ImageSet, Splits
from neurosparse.progress import Progress, quiet
from neurosparse.rectifier import devices
from neurosparse.rectifier.network import RectifierNetwork
from neurosparse.rectifier.specs import TrainSpec
from neurosparse.rectifier.steps import sgd_step

REPORT_EVERY_STEPS = 50
EVALUATION_BATCH = 1000


class DivergenceError(ValueError):
    """The loss is no longer a number; the message says where it happened and what to do."""


@dataclass(frozen=True, slots=True)
class LayerActivity:
    """How active a hidden layer is on a set of images, by the spec's `active_threshold`."""

    active_fraction: float  # mean share of its units that are active for an image
    n_alive: int  # units that are active for at least one of the images
    n_units: int
    mean_activation: float


@dataclass(frozen=True, slots=True)
class Epoch:
    """The state after an epoch, on the validation images; epoch 0 is the network as initialised."""

    epoch: int
    train_loss: float | None  # mean negative log-likelihood while training, without the penalty; None for epoch 0
    validation_loss: float  # mean negative log-likelihood
    validation_error: float  # share of images that are misclassified
    layers: dict[str, LayerActivity]
    samples_per_s: float | None  # wall clock, training alone; None for epoch 0

    @property
    def active_fraction(self) -> float:
        """The mean share of active units over all hidden layers together."""
        n_active = sum(layer.active_fraction * layer.n_units for layer in self.layers.values())
        return n_active / sum(layer.n_units for layer in self.layers.values())


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A trained network, at its epoch of least validation error (of equals, of least validation loss)."""

    network: RectifierNetwork = field(repr=False)
    spec: TrainSpec
    history: tuple[Epoch, ...] = field(repr=False)  # epoch 0 first
    best_epoch: int
    test_error: float | None  # share of test images misclassified, read once at the end; None where not asked for
    device: str
    seconds: float

    @property
    def best(self) -> Epoch:
        """The epoch whose weights the network has."""
        return self.history[self.best_epoch]

    @property
    def validation_error(self) -> float:
        """The validation error of the network."""
        return self.best.validation_error


def train(
    spec: TrainSpec,
    splits: Splits | None = None,
    *,
    device: str | torch.device = "auto",
    test: bool = True,
    progress: Progress = quiet,
) -> TrainResult:
    """Train the network of `spec` from its seed.

    Parameters
    ----------
    spec
        What to train, and how.
    splits
        The images; by default the set that the spec names.
    device
        Where: "auto", "cpu", "cuda" or "mps" (`rectifier.resolve`).
    test
        Whether to read the test error, once, at the end. False while choosing settings.
    progress
        Told how far it is.

    Returns
    -------
    TrainResult
        The network on the CPU, in evaluation mode.

    Raises
    ------
    DivergenceError
        A ValueError with the epoch, step and layer at which the loss stopped being finite, and the remedy.
    ValueError
        Where images and network do not fit together, or there is no such device or image set.

    Examples
    --------
    >>> from neurosparse.rectifier import NetworkSpec
    >>> small = NetworkSpec(sizes=(784, 32, 10))
    >>> result = train(TrainSpec(network=small, epochs=1), device="cpu")
    >>> result.validation_error < 0.5
    True
    """
    where = devices.resolve(device)
    splits = data.load(spec.data) if splits is None else splits
    check_fit(spec, splits)
    generator = torch.Generator().manual_seed(spec.seed)
    network = RectifierNetwork(spec.network, seed=generator).to(where).eval()
    images, labels = _tensors(splits.train, where)
    validation = _tensors(splits.validation, where)

    started = time.perf_counter()
    history = [_evaluate(network, *validation, spec.active_threshold)]
    best, best_weights = history[0], _copy_of_weights(network)
    for epoch in range(1, spec.epochs + 1):
        order = torch.randperm(len(labels), generator=generator).to(where)

        def report(part: float, done: int = epoch - 1, latest: Epoch = history[-1]) -> None:
            words = f"epoch {done + 1}/{spec.epochs}, error {100 * latest.validation_error:.1f} %"
            progress((done + part) / spec.epochs, words)

        clock = time.perf_counter()
        train_loss = _run_epoch(network, images[order], labels[order], spec, epoch, report)
        samples_per_s = len(labels) / (time.perf_counter() - clock)
        state = _evaluate(network, *validation, spec.active_threshold)
        if not math.isfinite(state.validation_loss):
            raise _diverged(network, validation[0], spec, f"after epoch {epoch}")
        state = replace(state, epoch=epoch, train_loss=train_loss, samples_per_s=samples_per_s)
        history.append(state)
        if (state.validation_error, state.validation_loss) < (best.validation_error, best.validation_loss):
            best, best_weights = state, _copy_of_weights(network)
    network.load_state_dict(best_weights)
    test_error = error(network, splits.test) if test else None
    progress(1.0, f"{spec.epochs} epochs, error {100 * best.validation_error:.1f} %")
    return TrainResult(
        network.cpu(), spec, tuple(history), best.epoch, test_error, str(where), time.perf_counter() - started
    )


def check_fit(spec: TrainSpec, splits: Splits) -> None:
    """Refuse a network whose inputs and outputs are not those of the images."""
    for what, size, wanted in (
        ("first", spec.network.sizes[0], splits.n_features),
        ("last", spec.network.sizes[-1], splits.n_classes),
    ):
        if size != wanted:
            raise ValueError(f"the {what} of the network's sizes must be {wanted} for {splits.name!r}, got {size}")


def error(network: RectifierNetwork, images: ImageSet) -> float:
    """The share of `images` that `network` misclassifies, in [0, 1]."""
    where = next(network.parameters()).device
    return _evaluate(network, *_tensors(images, where), 0.0).validation_error


# ---- An epoch -------------------------------------------------------------------------------------------------------


def _run_epoch(
    network: RectifierNetwork,
    images: Tensor,
    labels: Tensor,
    spec: TrainSpec,
    epoch: int,
    report: Callable[[float], None],
) -> float:
    """One pass over the images in their order; the mean loss of an image, each in its own step."""
    total = 0.0
    batches = zip(images.split(spec.batch_size), labels.split(spec.batch_size), strict=True)
    for step, (x, y) in enumerate(batches, start=1):
        loss = float(sgd_step(network, x, y, learning_rate=spec.learning_rate, l1=spec.l1))
        if not math.isfinite(loss):
            raise _diverged(network, x, spec, f"in epoch {epoch}, step {step}")
        total += loss * len(y)
        if step % REPORT_EVERY_STEPS == 0:
            report(step * spec.batch_size / len(labels))
    return total / len(labels)


def _diverged(network: RectifierNetwork, images: Tensor, spec: TrainSpec, when: str) -> DivergenceError:
    with torch.no_grad():
        values = network.activations(images)
    layer = next((name for name, value in values.items() if not bool(value.isfinite().all())), "output")
    remedy = f"a smaller learning_rate (it is {spec.learning_rate:g})"
    if spec.l1:
        remedy += f" or a smaller l1 (it is {spec.l1:g})"
    return DivergenceError(f"training diverged {when}: {layer} is no longer finite; use {remedy}")


# ---- Evaluation -----------------------------------------------------------------------------------------------------


@torch.no_grad()
def _evaluate(network: RectifierNetwork, images: Tensor, labels: Tensor, threshold: float) -> Epoch:
    """The state of a network on images; counts as `probe.record` does, without the sorting that an epoch can do without."""
    n, layers = len(labels), network.layers
    loss, n_wrong = 0.0, 0
    n_active, total = dict.fromkeys(layers, 0), dict.fromkeys(layers, 0.0)
    alive = {name: torch.zeros(1, dtype=torch.bool, device=images.device) for name in layers}
    for x, y in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
        values = network.activations(x)
        scores = values.pop("output")
        loss += float(functional.cross_entropy(scores, y, reduction="sum"))
        n_wrong += int((scores.argmax(dim=1) != y).sum())
        for name, value in values.items():
            active = value.abs() > threshold  # (n, units)
            n_active[name] += int(active.sum())
            total[name] += float(value.sum())
            alive[name] = alive[name] | active.any(dim=0)
    activity = {
        name: LayerActivity(n_active[name] / (n * width), int(alive[name].sum()), width, total[name] / (n * width))
        for name, width in zip(layers, network.spec.sizes[1:-1], strict=True)
    }
    return Epoch(0, None, loss / n, n_wrong / n, activity, None)


def _tensors(images: ImageSet, where: torch.device) -> tuple[Tensor, Tensor]:
    return torch.tensor(images.images, device=where), torch.tensor(images.labels, device=where)


def _copy_of_weights(network: RectifierNetwork) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
