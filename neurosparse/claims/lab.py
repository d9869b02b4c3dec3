"""The networks that the claims share: each trained once from its seed, and kept.

All arms have the same schedule. The learning rate is constant for half of the training and then
falls linearly. Weights are averaged over the last quarter. So every network is that of its last
step, and none was chosen by a score.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from neurosparse._internal.sizes import MOST_SEEDS
from neurosparse._internal.threads import run_in_threads
from neurosparse._internal.types import Fields
from neurosparse.data import ImageSet, Splits
from neurosparse.progress import Progress, quiet
from neurosparse.recipes import Spec
from neurosparse.rectifier import (
    DivergenceError,
    NetworkSpec,
    PretrainSpec,
    RectifierNetwork,
    TrainSpec,
    devices,
    load,
    pretrain,
    save,
    train,
)
from neurosparse.rectifier.evaluation import error, evaluate, tensors

# the arms with few labels have those of one training image in so many, and so many times the epochs
FEW = 10

ARMS: dict[str, Fields] = {  # what sets each arm apart
    "rectifier": {},
    "rectifier_l1": {"l1": 0.001},
    "tanh": {"activation": "tanh"},
    "softplus": {"activation": "softplus"},
    "zeros_85": {"target_active": 0.15},
    "zeros_96": {"target_active": 0.04},
    "zeros_98": {"target_active": 0.02},
    "pretrained": {"pretrained": True},
    "few_labels": {"few": True},
    "pretrained_few_labels": {"few": True, "pretrained": True},
}


class LabSpec(Spec):
    """Images and networks on which the claims are put to the test.

    Parameters
    ----------
    data
        The name of the image set.
    width
        Units in each of the three hidden layers.
    epochs, pretraining_epochs
        Passes over the training images; in pre-training, for each layer.
    n_seeds
        Every claim is measured with seeds 1 to `n_seeds`.
    """

    data: str = "mnist5k"
    width: Annotated[int, Field(ge=8)] = 300
    epochs: Annotated[int, Field(ge=1)] = 10
    pretraining_epochs: Annotated[int, Field(ge=1)] = 5
    n_seeds: Annotated[int, Field(ge=2, le=MOST_SEEDS)] = 8

    @property
    def seeds(self) -> range:
        """The seeds."""
        return range(1, self.n_seeds + 1)


QUICK = LabSpec()
FULL = LabSpec(data="fashion_mnist", width=1000, epochs=10, pretraining_epochs=3, n_seeds=4)


@dataclass(frozen=True, slots=True)
class Lab:
    """Laboratory of the claims: the images, and the folder that keeps the trained networks.

    Parameters
    ----------
    spec
        What is trained.
    splits
        The images of `spec.data`.
    folder
        Has a safetensors file for each network.
    """

    spec: LabSpec
    splits: Splits
    folder: Path

    def sizes(self, depth: int = 3) -> tuple[int, ...]:
        """Return the layer sizes of a network with so many hidden layers."""
        return (self.splits.n_features, *[self.spec.width] * depth, self.splits.n_classes)

    def untrained(self, seed: int, *, depth: int = 3, **settings: object) -> RectifierNetwork:
        """Return a network as it starts; `settings` are those of `NetworkSpec`."""
        return RectifierNetwork(NetworkSpec(sizes=self.sizes(depth), **settings), seed=seed).eval()

    def training(self, arm: str, seed: int) -> TrainSpec:
        """Return the settings with which a network of an arm is trained."""
        values = {k: v for k, v in ARMS[arm].items() if k in TrainSpec.model_fields}
        return TrainSpec(
            network=NetworkSpec(
                sizes=self.sizes(), activation=ARMS[arm].get("activation", "rectifier")
            ),
            data=self.spec.data,
            epochs=self.spec.epochs * (FEW if "few" in ARMS[arm] else 1),
            learning_rate=0.1,
            learning_rate_end=0.002,
            average_last=0.25,
            target_start=0.2,
            target_reached=0.3,
            seed=seed,
            **values,
        )

    def path(self, arm: str, seed: int) -> Path:
        """Return the file of a network, named by all that decides its weights."""
        specs = [self.training(arm, seed).model_dump_json()]
        if "pretrained" in ARMS[arm]:
            specs.append(self._pretraining(seed).model_dump_json())
        return self._file(arm, seed, *specs)

    def network(self, arm: str, seed: int) -> RectifierNetwork:
        """Load a trained network; FileNotFoundError where `prepare` has not trained it."""
        return load(self.path(arm, seed))

    def missing(self, arms: Sequence[str]) -> list[tuple[str, int]]:
        """List arm and seed of the networks that are still to be trained, by seed."""
        return [
            (arm, seed)
            for seed in self.spec.seeds
            for arm in arms
            if not self.path(arm, seed).exists()
        ]

    def prepare(
        self, arms: Sequence[str], *, threads: int = 1, progress: Progress = quiet
    ) -> dict[tuple[str, int], DivergenceError]:
        """Train the networks of some arms that are not there yet, on the CPU.

        `threads` of them are trained at once.

        Each is kept as soon as it is trained, so that whatever stops this loses one network a
        thread. As every seed has the same arms, the share of the networks that are trained soon is
        that of the time.

        Returns
        -------
        dict
            Why there is no network, for each arm and seed whose training diverged.

        Raises
        ------
        ValueError, OSError
            As `rectifier.train` and `rectifier.pretrain`, and where the folder cannot be written.
        """
        jobs = self.missing(arms)
        failures: dict[tuple[str, int], DivergenceError] = {}
        # two arms want one pre-trained network
        starting = {seed: threading.Lock() for seed in self.spec.seeds}

        def one(k: int, part: Progress) -> None:
            try:
                self._train(*jobs[k], starting[jobs[k][1]], part)
            except DivergenceError as error:
                failures[jobs[k]] = error

        with devices.torch_threads(1):
            run_in_threads(one, ["{}, seed {}".format(*job) for job in jobs], threads, progress)
        return failures

    def test_images(self) -> Tensor:
        """Return the test images, shape (n, features)."""
        return tensors(self.splits.test, torch.device("cpu"))[0]

    def some_test_images(self, n: int) -> ImageSet:
        """Return some test images, of all classes: in a set they may stand class after class."""
        return self.splits.test.mixed().take(slice(n))

    def misclassified(self, arm: str, seed: int) -> NDArray[np.int8]:
        """Return 1 for each test image that a trained network misclassifies, 0 for the others."""
        with torch.no_grad():
            return self.wrong(self.network(arm, seed)(self.test_images()))

    def wrong(self, scores: Tensor) -> NDArray[np.int8]:
        """Return 1 for each test image whose scores are misclassified, shape (n,), else 0."""
        predicted = scores.argmax(dim=1).numpy()
        return np.asarray(predicted != self.splits.test.labels, dtype=np.int8)

    def validation_error(self, arm: str, seed: int) -> float:
        """Return the error on the validation images, in %."""
        return 100 * error(self.network(arm, seed), self.splits.validation)

    def zeros(self, arm: str, seed: int) -> float:
        """Return the hidden activations on the test images that are exactly 0, in %."""
        return 100 * (1 - evaluate(self.network(arm, seed), self.splits.test).active_fraction)

    def _train(self, arm: str, seed: int, starting: threading.Lock, progress: Progress) -> None:
        splits, spec = self.splits, self.training(arm, seed)
        if "few" in ARMS[arm]:
            some = np.linspace(0, len(splits.train) - 1, len(splits.train) // FEW).astype(int)
            splits = replace(splits, train=splits.train.take(some))
        start = None
        if "pretrained" in ARMS[arm]:
            with starting:
                start = self._start(seed, progress)
        result = train(spec, splits, device="cpu", test=False, start=start, progress=progress)
        save(result.network, self.path(arm, seed), training=spec)

    def _pretraining(self, seed: int) -> PretrainSpec:
        return PretrainSpec(
            network=NetworkSpec(sizes=self.sizes()),
            data=self.spec.data,
            epochs=self.spec.pretraining_epochs,
            seed=seed,
        )

    def _start(self, seed: int, progress: Progress) -> RectifierNetwork:
        """Return the pre-trained network that both arms start from."""
        spec = self._pretraining(seed)
        path = self._file("start", seed, spec.model_dump_json())
        if not path.exists():
            pretrained = pretrain(
                spec, self.splits, device="cpu", progress=lambda _, text: progress(0.0, text)
            )
            save(pretrained.network, path)
        return load(path)

    def _file(self, name: str, seed: int, *specs: str) -> Path:
        digest = hashlib.sha256("\n".join(specs).encode()).hexdigest()[:12]
        return self.folder / f"{name}-{seed}-{digest}.safetensors"


def hidden(network: RectifierNetwork, images: Tensor) -> list[Tensor]:
    """Return the output of each hidden layer, shape (n, units) each, without gradients."""
    with torch.no_grad():
        values = network.activations(images)
    return [values[name] for name in network.layers]
