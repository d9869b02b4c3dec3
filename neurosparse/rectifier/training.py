"""Training: epochs of plain stochastic gradient descent, each followed by a look at the validation images.

An engine does the steps (`steps.TorchEngine`, `sparse_training.SparseEngine`); everything else here is the same for both.
"""

from __future__ import annotations

import copy
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from neurosparse import checks, data
from neurosparse.data import ImageSet, Splits
from neurosparse.progress import Progress, quiet
from neurosparse.rectifier import checkpoints, controller, devices
from neurosparse.rectifier.checkpoints import Checkpoint
from neurosparse.rectifier.history import DivergenceError, Epoch, LayerActivity, TrainResult
from neurosparse.rectifier.network import RectifierNetwork
from neurosparse.rectifier.specs import TrainSpec
from neurosparse.rectifier.steps import Descent, Engine, TorchEngine

EVALUATION_BATCH = 1000

log = logging.getLogger(__name__)


def train(
    spec: TrainSpec,
    splits: Splits | None = None,
    *,
    device: str | torch.device = "auto",
    test: bool = True,
    start: RectifierNetwork | None = None,
    checkpoint: str | Path | None = None,
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
    start
        A network of `spec.network` to start from, such as a pre-trained one, in place of initial weights; it is left as it is.
    checkpoint
        A file that holds the training as it stands, written after every epoch. Where it exists, the training goes on from it: on
        the CPU to the same numbers, bit for bit, as if it had never stopped (`rectifier.checkpoints`).
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
        Where images and network do not fit together, there is no such device or image set, or the checkpoint is that of another
        training.
    OSError
        Where the checkpoint cannot be written.

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
    network = _first_network(spec, start, generator).to(where).eval()
    kept, keep = _checkpoints(checkpoint, spec, splits, start)
    if kept is not None:
        network.load_state_dict(kept.weights)
        generator.set_state(kept.generator)
    images, labels = _tensors(splits.train, where)
    engine, note = _engine(spec, network, images, labels)
    if note:
        log.info("trained in torch: %s", note)
        progress(0.0, f"torch: {note}"[:40])
    validation = _tensors(splits.validation, where)

    started = time.perf_counter()
    course = _Course(spec, engine, len(labels))
    if kept is None:
        history = [replace(_evaluate(network, *validation, spec.active_threshold), l1=course.l1)]
        best, best_weights = history[0], _copy(engine.weights())
    else:
        course.l1, course.n_averaged = kept.l1, kept.n_averaged
        course.mean = {name: value.to(where) for name, value in kept.mean.items()}
        history, best, best_weights = list(kept.history), kept.history[kept.best_epoch], dict(kept.best)
        started -= kept.seconds
    for epoch in range(len(history), spec.epochs + 1):
        order = torch.randperm(len(splits.train), generator=generator).to(where)
        words = f"epoch {epoch}/{spec.epochs}, error {100 * history[-1].validation_error:.1f} %"
        clock = time.perf_counter()
        train_loss = _run_epoch(course, network, images, order, epoch, partial(_say, progress, words))
        samples_per_s = len(order) / (time.perf_counter() - clock)
        network.load_state_dict(course.weights())
        state = _evaluate(network, *validation, spec.active_threshold)
        if not math.isfinite(state.validation_loss):
            raise _diverged(network, validation[0], spec, f"after epoch {epoch}")
        state = replace(state, epoch=epoch, train_loss=train_loss, samples_per_s=samples_per_s, l1=course.l1)
        history.append(state)
        if spec.targets or _rank(state) < _rank(best):
            best, best_weights = state, _copy(network.state_dict())
        keep(
            history=tuple(history), best_epoch=best.epoch, best=best_weights, generator=generator.get_state(),
            seconds=time.perf_counter() - started, l1=course.l1, n_averaged=course.n_averaged, mean=course.mean,
            weights=engine.weights(),
        )  # fmt: skip
    network.load_state_dict(best_weights)
    test_error = error(network, splits.test) if test else None
    progress(1.0, f"{spec.epochs} epochs, error {100 * best.validation_error:.1f} %")
    seconds = time.perf_counter() - started
    return TrainResult(
        *(network.cpu(), spec, tuple(history), best.epoch, test_error, str(where), seconds),
        *(engine.name, note),
    )


def train_many(
    specs: Sequence[TrainSpec],
    splits: Splits | None = None,
    *,
    threads: int | None = None,
    test: bool = True,
    progress: Progress = quiet,
) -> list[TrainResult]:
    """Train several networks on the CPU, as many at once as there are threads; each as `train` would alone.

    The sparse engine leaves Python's lock alone while it works, so two networks on two cores take about the time of one.

    Parameters
    ----------
    specs
        One for each network.
    splits
        The images of all of them; by default each has the set that its spec names.
    threads
        Networks at once; by default the number of cores.

    Returns
    -------
    list
        The results, in the order of the specs.

    Raises
    ------
    DivergenceError, ValueError
        As `train`, for the first network in order that cannot be trained; those not yet begun are not.
    """
    if not specs:
        raise ValueError("specs is empty: nothing to train")
    threads = min(len(specs), checks.whole("threads", threads or os.cpu_count() or 1))
    sets = {name: splits or data.load(name) for name in {spec.data for spec in specs}}
    shares, lock = [0.0] * len(specs), threading.Lock()

    def one(k: int) -> TrainResult:
        def part(done: float, text: str) -> None:
            with lock:
                shares[k] = done
                progress(sum(shares) / len(specs), f"{k + 1}/{len(specs)}: {text}"[:40])

        return train(specs[k], sets[specs[k].data], device="cpu", test=test, progress=part)

    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(one, k) for k in range(len(specs))]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


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


# ---- Where it starts, and where it goes on --------------------------------------------------------------------------


def _first_network(spec: TrainSpec, start: RectifierNetwork | None, generator: torch.Generator) -> RectifierNetwork:
    if start is None:
        return RectifierNetwork(spec.network, seed=generator)
    if start.spec != spec.network:
        raise ValueError(f"start must be a network of spec.network, {spec.network!r}, got {start.spec!r}")
    return copy.deepcopy(start)


def _checkpoints(
    path: str | Path | None, spec: TrainSpec, splits: Splits, start: RectifierNetwork | None
) -> tuple[Checkpoint | None, Callable[..., None]]:
    """The checkpoint to go on from, if there is one, and what writes the next."""
    if path is None:
        return None, lambda **state: None
    inputs = checkpoints.fingerprint(splits, start)

    def keep(**state: Any) -> None:
        checkpoints.save_checkpoint(checkpoints.Checkpoint(spec=spec, inputs=inputs, **state), path)

    return checkpoints.load_for(path, spec, inputs), keep


# ---- An epoch -------------------------------------------------------------------------------------------------------


def _say(progress: Progress, words: str, done: float) -> None:
    progress(done, words)


def _engine(spec: TrainSpec, network: RectifierNetwork, images: Tensor, labels: Tensor) -> tuple[Engine, str]:
    """The engine that the spec asks for, and why the sparse one was not taken where any would have done."""
    if spec.engine != "torch":
        from neurosparse.rectifier.sparse_training import SparseEngine, why_not

        reason = why_not(network, batch_size=spec.batch_size, device=images.device)
        if reason is None:
            return SparseEngine(network, images, labels, spec.batch_size), ""
        if spec.engine == "sparse":
            raise ValueError(f"engine = 'sparse' cannot train this network: {reason}; use engine = 'auto' or 'torch'")
        return TorchEngine(network, images, labels, spec.batch_size), reason
    return TorchEngine(network, images, labels, spec.batch_size), ""


class _Course:
    """A training under way: the engine, the penalties of the layers, the mean of the weights so far."""

    def __init__(self, spec: TrainSpec, engine: Engine, n_images: int) -> None:
        self.spec, self.engine = spec, engine
        self.every = controller.images_between_looks(spec, n_images)
        self.l1 = controller.first_l1(spec)
        self.mean: dict[str, Tensor] = {}
        self.n_averaged = 0

    def descend(self, rows: Tensor, before: float, after: float) -> Descent:
        """Train on the images of `rows`, which bring the training from the share `before` to `after`."""
        spec = self.spec
        found = self.engine.descend(rows, learning_rate=controller.learning_rate_at(spec, before), l1=self.l1)
        if spec.targets and found.broken_step is None:
            widths = spec.network.sizes[1:-1]
            active = [n / (len(rows) * width) for n, width in zip(found.n_active, widths, strict=True)]
            self.l1 = controller.adjusted(self.l1, active, controller.targets_at(spec, after), len(rows) / self.every)
        if after > 1 - spec.average_last:
            self._average()
        return found

    def weights(self) -> dict[str, Tensor]:
        """The mean of the weights where there is one yet, and else the weights as they stand."""
        return self.mean or self.engine.weights()

    def _average(self) -> None:
        self.n_averaged += 1
        weights = self.engine.weights()
        if not self.mean:
            self.mean = _copy(weights)
        for name, mean in self.mean.items():
            mean.lerp_(weights[name], 1 / self.n_averaged)


def _run_epoch(
    course: _Course,
    network: RectifierNetwork,
    images: Tensor,
    order: Tensor,
    epoch: int,
    report: Callable[[float], None],
) -> float:
    """One pass over the images in their order; the mean loss of an image, each in its own step.

    `network` takes the weights of a step that broke, to find the layer.
    """
    spec, n = course.spec, len(order)
    total = 0.0
    for first, stop in pairwise([*range(0, n, course.every), n]):
        before, after = ((epoch - 1 + part / n) / spec.epochs for part in (first, stop))
        found = course.descend(order[first:stop], before, after)
        if (step := found.broken_step) is not None:
            start = first + step * spec.batch_size
            network.load_state_dict(course.engine.weights())
            batch = images[order[start : start + spec.batch_size]]
            raise _diverged(network, batch, spec, f"in epoch {epoch}, step {start // spec.batch_size + 1}")
        total += found.loss
        report(after)
    return total / n


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
    loss, n_wrong, macs = 0.0, 0, 0
    fan_out = network.spec.sizes[1:]
    dense_macs = sum(n_in * n_out for n_in, n_out in pairwise(network.spec.sizes))
    n_active, total = dict.fromkeys(layers, 0), dict.fromkeys(layers, 0.0)
    alive = {name: torch.zeros(1, dtype=torch.bool, device=images.device) for name in layers}
    for x, y in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
        values = network.activations(x)
        scores = values.pop("output")
        macs += sum(int(h.count_nonzero()) * m for h, m in zip((x, *values.values()), fan_out, strict=True))
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
    return Epoch(0, None, loss / n, n_wrong / n, activity, None, macs / n, dense_macs, ())


def _tensors(images: ImageSet, where: torch.device) -> tuple[Tensor, Tensor]:
    return torch.tensor(images.images, device=where), torch.tensor(images.labels, device=where)


def _copy(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in weights.items()}


def _rank(state: Epoch) -> tuple[float, float]:
    return state.validation_error, state.validation_loss
