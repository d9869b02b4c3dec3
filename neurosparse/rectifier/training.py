"""Training: epochs of plain stochastic gradient descent.

Each is followed by a look at the validation images.

An engine does the steps (`steps.TorchEngine`, `sparse_training.SparseEngine`); everything else here
is the same for both.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from neurosparse import data
from neurosparse._internal import checks
from neurosparse._internal.threads import cores, run_in_threads
from neurosparse.data import Splits
from neurosparse.data.augmentation import augmented
from neurosparse.progress import Progress, part_of, quiet, shortened
from neurosparse.recipes import check_spec
from neurosparse.rectifier import checkpoints, devices, stacked
from neurosparse.rectifier.checkpoints import Checkpoint
from neurosparse.rectifier.course import Course, check_fit
from neurosparse.rectifier.evaluation import error, evaluate, tensors
from neurosparse.rectifier.history import Epoch, TrainResult
from neurosparse.rectifier.network import RectifierNetwork
from neurosparse.rectifier.specs import TrainSpec
from neurosparse.rectifier.steps import TorchEngine, TrainingEngine

if TYPE_CHECKING:
    from neurosparse.rectifier.sparse_training import SparseEngine

__all__ = ["check_fit", "error", "evaluate", "train", "train_many"]

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
    watch: Callable[[Epoch], None] | None = None,
) -> TrainResult:
    """Train the network of `spec` from its seed.

    On the CPU torch works with one thread meanwhile, so that the same spec gives the same numbers
    on any number of cores.

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
        A network of `spec.network` to start from, such as a pre-trained one, in place of initial
        weights; it is left as it is.
    checkpoint
        A file that holds the training as it stands, written after every epoch. Where it exists, the
        training goes on from it: on the CPU to the same numbers, bit for bit, as if it had never
        stopped (`rectifier.checkpoints`).
    progress
        Told how far it is.
    watch
        Called with every epoch as it ends, and first with those that the checkpoint holds or with
        that of the start.

    Returns
    -------
    TrainResult
        The network on the CPU, in evaluation mode.

    Raises
    ------
    DivergenceError
        A ValueError with the epoch, step and layer at which the loss stopped being finite, and the
        remedy.
    ValueError
        Where images and network do not fit together, there is no such device or image set, or the
        checkpoint is that of another training.
    OSError
        Where the checkpoint cannot be written.
    TypeError
        Where an argument is of another kind.

    Examples
    --------
    >>> from neurosparse.rectifier import NetworkSpec
    >>> small = NetworkSpec(sizes=(784, 32, 10))
    >>> result = train(TrainSpec(network=small, epochs=1), device="cpu")
    >>> result.validation_error < 0.5
    True
    """
    check_spec(spec, TrainSpec)
    where = devices.resolve(device)
    splits = data.load(spec.data) if splits is None else splits
    check_fit(spec, splits, where)
    generator = torch.Generator().manual_seed(spec.seed)
    network = _first_network(spec, start, generator).to(where).eval()
    kept, keep = _checkpoints(checkpoint, spec, splits, start)
    if kept is not None:
        network.load_state_dict(kept.weights)
        generator.set_state(kept.generator)
    images, labels = tensors(splits.train, where)
    engine, note = _engine(spec, network, images, labels)
    if note:
        log.info("trained in torch: %s", note)
        progress(0.0, shortened(f"torch: {note}"))

    # more threads of torch would spend their time in waiting, awake, while the sparse engine works
    with devices.one_thread(where):
        started = time.perf_counter() - (0.0 if kept is None else kept.seconds)
        course = Course(
            spec, network, engine.weights, images, tensors(splits.validation, where), kept
        )
        tell = watch or (lambda epoch: None)
        for state in course.history:
            tell(state)
        while not course.over:
            order = torch.randperm(len(splits.train), generator=generator).to(where)
            error_so_far = f"error {100 * course.history[-1].validation_error:.1f} %"
            words = f"epoch {course.epoch}/{spec.epochs}, {error_so_far}, {engine.name}"
            clock = time.perf_counter()
            if spec.augmentation is not None:
                # by the seed and the epoch alone, so that a training goes on from a checkpoint as
                # it was
                chance = np.random.default_rng([spec.seed, course.epoch])
                images.copy_(
                    torch.from_numpy(
                        augmented(splits.train, chance, **spec.augmentation.model_dump())
                    )
                )
            train_loss = _run_epoch(course, engine, order, partial(_say, progress, words))
            tell(course.end_epoch(train_loss, len(order) / (time.perf_counter() - clock)))
            keep(
                generator=generator.get_state(),
                seconds=time.perf_counter() - started,
                **course.state(),
            )
        network = course.best_network()
        test_error = error(network, splits.test) if test else None
        progress(
            1.0, f"{course.epoch - 1} epochs, error {100 * course.best.validation_error:.1f} %"
        )
        seconds = time.perf_counter() - started
        return TrainResult(
            network=network.cpu(),
            spec=spec,
            history=tuple(course.history),
            best_epoch=course.best.epoch,
            test_error=test_error,
            device=str(where),
            seconds=seconds,
            engine=engine.name,
            engine_note=note,
        )


def train_many(
    specs: Sequence[TrainSpec],
    splits: Splits | None = None,
    *,
    threads: int | None = None,
    device: str | torch.device = "auto",
    test: bool = True,
    progress: Progress = quiet,
) -> list[TrainResult]:
    """Train several networks at once, each as `train` would alone.

    On the CPU a thread each, on CUDA stacked.

    The sparse engine leaves Python's lock alone while it works, so threads on two cores keep both
    busy. On CUDA the networks that differ in no more than penalties, learning rates, targets and
    seeds share their steps (`rectifier.stacked`); with altered images or dropout each has its own.

    Parameters
    ----------
    specs
        One for each network.
    splits
        The images of all of them; by default each has the set that its spec names.
    threads
        Networks at once on the CPU; by default the number of cores.
    device
        Where: "auto" (CUDA where it is there, else the CPU), or as in `train`.
    test
        Whether to measure the networks on the test images.
    progress
        Told how far all are together.

    Returns
    -------
    list
        The results, in the order of the specs.

    Raises
    ------
    DivergenceError, ValueError
        As `train`, for the first network that cannot be trained; those not yet begun are not.
    TypeError
        Where an argument is of another kind.
    """
    specs = checks.instances("specs", specs, TrainSpec)
    if not specs:
        raise ValueError("specs is empty: nothing to train")
    threads = min(len(specs), checks.whole("threads", threads or cores()))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    where = devices.resolve(device)
    sets = {name: splits or data.load(name) for name in {spec.data for spec in specs}}
    if where.type == "cuda":
        return _train_in_stacks(specs, sets, where, test, progress)

    def one(k: int, progress: Progress) -> TrainResult:
        return train(specs[k], sets[specs[k].data], device=where, test=test, progress=progress)

    names = [f"{k}/{len(specs)}" for k in range(1, len(specs) + 1)]
    with devices.torch_threads(1):  # so that the threads do not undo each other's number
        return run_in_threads(one, names, threads, progress)


def _train_in_stacks(
    specs: Sequence[TrainSpec],
    sets: dict[str, Splits],
    where: torch.device,
    test: bool,
    progress: Progress,
) -> list[TrainResult]:
    """Train the networks of one shape together, one shape after another."""
    stacks: dict[Any, list[int]] = {}
    for k, spec in enumerate(specs):
        alone = k if stacked.why_alone(spec) else None
        stacks.setdefault((alone, *(getattr(spec, key) for key in stacked.SHARED)), []).append(k)
    results: dict[int, TrainResult] = {}
    for stack in stacks.values():
        of_one = part_of(
            progress, len(results) / len(specs), (len(results) + len(stack)) / len(specs)
        )
        splits = sets[specs[stack[0]].data]
        if stacked.why_alone(specs[stack[0]]):
            together = [train(specs[stack[0]], splits, device=where, test=test, progress=of_one)]
        else:
            together = stacked.train_stacked(
                [specs[k] for k in stack], splits, device=where, test=test, progress=of_one
            )
        results |= dict(zip(stack, together, strict=True))
    return [results[k] for k in range(len(specs))]


# ---- Where it starts, and where it goes on
# --------------------------------------------------------------------------------------------------


def _first_network(
    spec: TrainSpec, start: RectifierNetwork | None, generator: torch.Generator
) -> RectifierNetwork:
    if start is None:
        return RectifierNetwork(spec.network, seed=generator)
    checks.instance(
        "start",
        start,
        RectifierNetwork,
        "steer the training of a network of your own by neurosparse.sparsify",
    )
    if start.spec != spec.network:
        raise ValueError(
            f"start must be a network of spec.network, {spec.network!r}, got {start.spec!r}"
        )
    return copy.deepcopy(start)


def _checkpoints(
    path: str | Path | None, spec: TrainSpec, splits: Splits, start: RectifierNetwork | None
) -> tuple[Checkpoint | None, Callable[..., None]]:
    """Return the checkpoint to go on from, if there is one, and what writes the next."""
    if path is None:
        return None, lambda **state: None
    inputs = checkpoints.fingerprint(splits, start)

    def keep(**state: Any) -> None:
        checkpoints.save_checkpoint(checkpoints.Checkpoint(spec=spec, inputs=inputs, **state), path)

    return checkpoints.load_for(path, spec, inputs), keep


# ---- An epoch
# --------------------------------------------------------------------------------------------------


def _say(progress: Progress, words: str, done: float) -> None:
    progress(done, words)


def _engine(
    spec: TrainSpec, network: RectifierNetwork, images: Tensor, labels: Tensor
) -> tuple[TrainingEngine, str]:
    """Return the engine that the spec asks for, and why it is not the sparse one.

    The reason is given where any engine would have done.
    """
    kind: type[SparseEngine] | type[TorchEngine] = TorchEngine
    note = ""
    if spec.engine != "torch":
        from neurosparse.rectifier.sparse_training import SparseEngine, why_not

        reason = why_not(network, batch_size=spec.batch_size, device=images.device)
        if reason is None:
            kind = SparseEngine
        elif spec.engine == "sparse":
            raise ValueError(
                f"engine = 'sparse' cannot train this network: {reason}; use engine = 'auto' or"
                " 'torch'"
            )
        else:
            note = reason
    engine = kind(
        network,
        images,
        labels,
        spec.batch_size,
        smoothing=spec.label_smoothing,
        dropout=spec.dropout,
    )
    return engine, note


def _run_epoch(
    course: Course, engine: TrainingEngine, order: Tensor, report: Callable[[float], None]
) -> float:
    """Pass once over the images in their order; return the mean loss of an image.

    Each image's loss is that in its own step.
    """
    total = 0.0
    for part in course.parts():
        rows = order[part.first : part.stop]
        found = engine.descend(
            rows,
            learning_rate=course.learning_rate(part),
            l1=course.l1,
            draw=course.draw(part),
        )
        course.add_descent(found, part, order)
        total += found.loss
        report(part.after)
    return total / len(order)
