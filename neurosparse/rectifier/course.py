"""A training under way.

What the loop around the steps keeps for one network, whoever does the steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from neurosparse._internal import sizes
from neurosparse._internal.types import Fields
from neurosparse.data import Splits
from neurosparse.data.augmentation import check_shape
from neurosparse.data.images import check_splits
from neurosparse.rectifier import controller
from neurosparse.rectifier.checkpoints import Checkpoint
from neurosparse.rectifier.evaluation import EVALUATION_BATCH, diverged, look
from neurosparse.rectifier.history import Epoch
from neurosparse.rectifier.network import RectifierNetwork
from neurosparse.rectifier.specs import TrainSpec
from neurosparse.rectifier.steps import Descent

Weights = dict[str, Tensor]

_LEAST_STEP_S = 1e-6  # no step of any engine takes less


@dataclass(frozen=True, slots=True)
class Part:
    """The images of an epoch between two looks, and their share of the training.

    Images are named by their place in the epoch's order.
    """

    first: int
    stop: int
    before: float  # the share of the training that is over where they begin
    after: float  # and where they end


class Course:
    """The state of a training between its steps.

    The penalties of the layers, the mean of the weights so far, the epochs, and the weights of the
    best of them.

    Parameters
    ----------
    spec
        What is trained, and how.
    network
        Takes the weights of each epoch, to be looked at.
    weights
        The weights as they stand: views, by the names of `RectifierNetwork.state_dict`.
    images, validation
        The training images, shape (n, features), and the validation images with their labels.
    kept
        Where it goes on, if it does not begin.
    """

    def __init__(
        self,
        spec: TrainSpec,
        network: RectifierNetwork,
        weights: Callable[[], Weights],
        images: Tensor,
        validation: tuple[Tensor, Tensor],
        kept: Checkpoint | None = None,
    ) -> None:
        self.spec, self.network, self._weights = spec, network, weights
        self._images, self._validation = images, validation
        self._every = controller.images_between_looks(spec, len(images))
        self.l1 = controller.first_l1(spec)
        self.mean: Weights = {}
        self.n_averaged = 0
        if kept is None:
            network.load_state_dict(weights())
            scores = look(network, *validation, spec.active_threshold)
            self.history = [Epoch.of(scores, l1=self.l1)]
            self.best, self.best_weights = self.history[0], _copy(weights())
        else:
            self.l1, self.n_averaged = kept.l1, kept.n_averaged
            self.mean = {name: value.to(images.device) for name, value in kept.mean.items()}
            self.history, self.best = list(kept.history), kept.history[kept.best_epoch]
            self.best_weights = dict(kept.best)

    @property
    def epoch(self) -> int:
        """The epoch that comes next."""
        return len(self.history)

    @property
    def over(self) -> bool:
        """Return whether the training is at its end.

        All epochs are done, or so many were no better that the spec's patience is at an end.
        """
        since_best, patience = self.epoch - 1 - self.best.epoch, self.spec.patience
        return self.epoch > self.spec.epochs or (patience is not None and since_best >= patience)

    def parts(self) -> Iterator[Part]:
        """Return the parts of the coming epoch."""
        n, done = len(self._images), self.epoch - 1
        for first, stop in pairwise([*range(0, n, self._every), n]):
            yield Part(
                first, stop, *((done + place / n) / self.spec.epochs for place in (first, stop))
            )

    def learning_rate(self, part: Part) -> float:
        """Return the learning rate of that part."""
        return controller.learning_rate_at(self.spec, part.before)

    def draw(self, part: Part) -> int:
        """Return the number that decides which units dropout leaves out in that part.

        It is a function of the seed, the epoch and the part alone, so that a training goes on from
        a checkpoint as it was.
        """
        state = np.random.SeedSequence([self.spec.seed, self.epoch, part.first])
        return int(state.generate_state(1, np.uint64)[0])

    def add_descent(self, found: Descent, part: Part, order: Tensor) -> None:
        """Take in what the steps along a part of this epoch's `order` of the images came to.

        Raises
        ------
        DivergenceError
            Where the loss of one of them is not finite.
        """
        spec, n = self.spec, part.stop - part.first
        if found.broken_step is not None:
            self.network.load_state_dict(self._weights())
            first = part.first + found.broken_step * spec.batch_size
            batch = self._images[order[first : first + spec.batch_size]]
            raise diverged(
                self.network,
                batch,
                spec,
                f"in epoch {self.epoch}, step {first // spec.batch_size + 1}",
            )
        if spec.targets:
            widths = spec.network.sizes[1:-1]
            active = [
                n_active / (n * width)
                for n_active, width in zip(found.n_active, widths, strict=True)
            ]
            self.l1 = controller.adjusted(
                self.l1, active, controller.targets_at(spec, part.after), n / self._every
            )
        self._decay(part)
        if part.after > 1 - spec.average_last:
            self._average()

    def end_epoch(self, train_loss: float, samples_per_s: float) -> Epoch:
        """Look at the validation images, and note the epoch.

        Raises
        ------
        DivergenceError
            Where their loss is not finite.
        """
        spec, network = self.spec, self.network
        network.load_state_dict(self.mean or self._weights())
        scores = look(network, *self._validation, spec.active_threshold)
        if not math.isfinite(scores.loss):
            raise diverged(network, self._validation[0], spec, f"after epoch {self.epoch}")
        state = Epoch.of(
            scores,
            epoch=self.epoch,
            train_loss=train_loss,
            samples_per_s=samples_per_s,
            l1=self.l1,
        )
        self.history.append(state)
        if spec.targets or spec.average_last or _rank(state) < _rank(self.best):
            self.best, self.best_weights = state, _copy(network.state_dict())
        return state

    def best_network(self) -> RectifierNetwork:
        """Return the network with the weights of the best epoch."""
        self.network.load_state_dict(self.best_weights)
        return self.network

    def state(self) -> Fields:
        """Return what a checkpoint holds of it."""
        return {
            "history": tuple(self.history),
            "best_epoch": self.best.epoch,
            "l1": self.l1,
            "n_averaged": self.n_averaged,
            "weights": self._weights(),
            "best": self.best_weights,
            "mean": self.mean,
        }

    def _decay(self, part: Part) -> None:
        """Shrink the weights, but not the biases, for all steps of a part at once."""
        spec = self.spec
        if not spec.weight_decay:
            return
        steps = math.ceil((part.stop - part.first) / spec.batch_size)
        factor = (1 - self.learning_rate(part) * spec.weight_decay) ** steps
        for name, values in self._weights().items():
            if name.endswith(".weight"):
                values.mul_(factor)

    def _average(self) -> None:
        self.n_averaged += 1
        weights = self._weights()
        if not self.mean:
            self.mean = _copy(weights)
        for name, mean in self.mean.items():
            mean.lerp_(weights[name], 1 / self.n_averaged)


def check_fit(spec: TrainSpec, splits: Splits, device: torch.device | None = None) -> None:
    """Refuse a network whose inputs and outputs are not those of the images.

    Also images that cannot be altered as the spec says, and a training that is too long or, on the
    CPU (the default), too large.
    """
    check_splits(splits)
    for what, size, wanted in (
        ("first", spec.network.sizes[0], splits.n_features),
        ("last", spec.network.sizes[-1], splits.n_classes),
    ):
        if size != wanted:
            raise ValueError(
                f"the {what} of the network's sizes must be {wanted} for {splits.name!r}, got"
                f" {size}"
            )
    check_length(spec.epochs, len(splits.train), spec.batch_size)
    if device is None or device.type == "cpu":
        _check_memory(spec, len(splits.validation))
    if spec.augmentation is not None:
        check_shape(splits.train.shape, spec.augmentation.shifted, spec.augmentation.shift_px)


def check_length(epochs: int, n_images: int, batch_size: int) -> None:
    """Refuse a training of more than a month."""
    seconds = epochs * math.ceil(n_images / batch_size) * _LEAST_STEP_S
    sizes.check_time(f"a training of {epochs:,} epochs", seconds, "take fewer epochs")


def _check_memory(spec: TrainSpec, n_validation: int) -> None:
    """Refuse a training whose weights and looks need more memory than there is."""
    network = spec.network
    rows = min(n_validation, EVALUATION_BATCH)
    sizes.check_memory(
        f"a training of {'-'.join(map(str, network.sizes))} units",
        # the engine's weights, those that are looked at, and those of the best epoch
        3 * sizes.bytes_of(network.shapes) + 4.0 * rows * sum(network.sizes),
        "take smaller layers",
    )


def _copy(weights: Weights) -> Weights:
    return {name: value.detach().clone() for name, value in weights.items()}


def _rank(state: Epoch) -> tuple[float, float]:
    return state.validation_error, state.validation_loss
