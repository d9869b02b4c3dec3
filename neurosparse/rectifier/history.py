"""Records of a training: the course of its epochs and its result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from neurosparse._internal import cards, checks
from neurosparse._internal.types import Fields
from neurosparse.rectifier.network import RectifierNetwork
from neurosparse.rectifier.specs import TrainSpec


class DivergenceError(ValueError):
    """The loss is no longer a number; the message says where it happened and what to do."""


@dataclass(frozen=True, slots=True)
class LayerActivity:
    """Activity of a hidden layer on a set of images, by the spec's `active_threshold`."""

    active_fraction: float  # mean share of its units that are active for an image
    n_alive: int  # units that are active for at least one of the images
    n_units: int
    mean_activation: float

    @property
    def n_dead(self) -> int:
        """Units that are active for none of the images."""
        return self.n_units - self.n_alive


class _OverLayers(cards.Shown):
    """Totals over the hidden layers."""

    __slots__ = ()
    layers: dict[str, LayerActivity]

    @property
    def active_fraction(self) -> float:
        """The mean share of active units over all hidden layers together."""
        n_active = sum(layer.active_fraction * layer.n_units for layer in self.layers.values())
        return n_active / sum(layer.n_units for layer in self.layers.values())

    @property
    def n_alive(self) -> int:
        """Hidden units that are active for at least one of the images."""
        return sum(layer.n_alive for layer in self.layers.values())

    @property
    def n_dead(self) -> int:
        """Hidden units that are active for none of the images."""
        return sum(layer.n_dead for layer in self.layers.values())

    def _over_layers(self, title: str) -> cards.Card:
        rows = [
            {
                "layer": name,
                "active (%)": 100 * of.active_fraction,
                "alive": of.n_alive,
                "units": of.n_units,
            }
            for name, of in self.layers.items()
        ]
        return cards.Card(title, rows)


@dataclass(frozen=True, slots=True)
class Scores(_OverLayers):
    """Scores of a network on a set of images, whichever they are."""

    loss: float  # mean negative log-likelihood
    error: float  # share of images that are misclassified
    layers: dict[str, LayerActivity]
    # mean multiply-accumulates of an image with input and weight not 0: what cannot be left out
    active_macs: float
    dense_macs: int  # all of them

    def _card(self) -> cards.Card:
        return self._over_layers(f"Scores: error {100 * self.error:.2f} %, loss {self.loss:.4g}")


@dataclass(frozen=True, slots=True)
class Epoch(_OverLayers):
    """The state after an epoch, on the validation images; epoch 0 is the network as it starts."""

    epoch: int
    # mean negative log-likelihood while training, without the penalty; None for epoch 0
    train_loss: float | None
    validation_loss: float  # mean negative log-likelihood
    validation_error: float  # share of images that are misclassified
    layers: dict[str, LayerActivity]
    samples_per_s: float | None  # wall clock, training alone; None for epoch 0
    # mean multiply-accumulates of an image with input and weight not 0: what cannot be left out
    active_macs: float
    dense_macs: int  # all of them
    l1: tuple[float, ...]  # the weight of the penalty of each hidden layer at the end of the epoch

    @classmethod
    def of(
        cls,
        scores: Scores,
        *,
        epoch: int = 0,
        train_loss: float | None = None,
        samples_per_s: float | None = None,
        l1: tuple[float, ...] = (),
    ) -> Self:
        """Return the epoch with these scores on the validation images."""
        return cls(
            epoch=epoch,
            train_loss=train_loss,
            validation_loss=scores.loss,
            validation_error=scores.error,
            layers=scores.layers,
            samples_per_s=samples_per_s,
            active_macs=scores.active_macs,
            dense_macs=scores.dense_macs,
            l1=l1,
        )

    def _card(self) -> cards.Card:
        return self._over_layers(
            f"Epoch {self.epoch}: validation error {100 * self.validation_error:.2f} %"
        )


@dataclass(frozen=True, slots=True)
class TrainResult(cards.Shown):
    """A trained network, at its epoch of least validation error.

    Of equal epochs, that of least validation loss.

    With a target for the active share it is that of the last epoch, the first to have arrived, and
    so with averaged weights, whose average is whole only then.
    """

    network: RectifierNetwork = field(repr=False)
    spec: TrainSpec
    history: tuple[Epoch, ...] = field(repr=False)  # epoch 0 first
    best_epoch: int
    # share of test images misclassified, read once at the end; None where not asked for
    test_error: float | None
    device: str
    seconds: float
    engine: str  # "sparse" or "torch": what did the steps
    engine_note: str = ""  # why the sparse engine did not, where it was not asked for torch

    @property
    def best(self) -> Epoch:
        """The epoch whose weights the network has."""
        return self.history[self.best_epoch]

    @property
    def validation_error(self) -> float:
        """The validation error of the network."""
        return self.best.validation_error

    def _card(self) -> cards.Card:
        shown = {
            "sizes": "-".join(map(str, self.spec.network.sizes)),
            "test error (%)": None if self.test_error is None else 100 * self.test_error,
            "validation error (%)": 100 * self.validation_error,
            "best epoch": self.best_epoch,
            "active (%)": 100 * self.best.active_fraction,
            "units alive": self.best.n_alive,
            "units dead": self.best.n_dead,
            "engine": f"{self.engine}, {self.device}",
            "seconds": self.seconds,
        }
        return cards.Card("Trained network", shown, [self.engine_note] if self.engine_note else [])


def rows(history: Iterable[Epoch]) -> list[Fields]:
    """Return a row an epoch and hidden layer, for a table.

    What is of the epoch as a whole stands in each of its rows.
    """
    history = checks.instances("history", history, Epoch, "a TrainResult has it")
    return [
        {
            "epoch": epoch.epoch,
            "train_loss": epoch.train_loss,
            "validation_loss": epoch.validation_loss,
            "validation_error": epoch.validation_error,
            "samples_per_s": epoch.samples_per_s,
            "active_macs": epoch.active_macs,
            "dense_macs": epoch.dense_macs,
            "layer": name,
            "l1": l1,
            "active_fraction": layer.active_fraction,
            "mean_activation": layer.mean_activation,
            "n_units": layer.n_units,
            "n_alive": layer.n_alive,
            "n_dead": layer.n_dead,
        }
        for epoch in history
        for (name, layer), l1 in zip(epoch.layers.items(), epoch.l1, strict=True)
    ]
