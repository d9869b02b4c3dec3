"""Many networks of one shape trained at once, each as `train` would alone.

Their weights are stacked, and a step serves all of them.

On a GPU a network of the paper's size leaves most of the device idle, and a step is bound by the
launching of its kernels. Here the matrices of n networks are one [n, inputs, outputs], a product
serves all networks (`baddbmm`), weights are updated in place, and on CUDA a step is one graph,
captured once. Learning rate, penalties, seed and so the order of the images are each network's own.
On a CPU the same code runs plainly: it is tested there, but `training.train_many` is the faster
way.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurosparse import data
from neurosparse._internal import checks
from neurosparse.data import Splits
from neurosparse.progress import Progress, quiet
from neurosparse.rectifier import devices
from neurosparse.rectifier.course import Course, check_fit
from neurosparse.rectifier.evaluation import error, tensors
from neurosparse.rectifier.history import TrainResult
from neurosparse.rectifier.network import RectifierNetwork
from neurosparse.rectifier.specs import TrainSpec
from neurosparse.rectifier.steps import Descent, slope

# what networks in one stack have in common
SHARED = ("network", "data", "epochs", "batch_size", "label_smoothing")
WARM_UP_STEPS = 3  # before a graph is captured, so that libraries have their workspace


class StackedEngine:
    """Steps of n networks at once, on the device of the images.

    Parameters
    ----------
    networks
        `RectifierNetwork`s of one spec, where the weights start; they are left as they are.
    images : tensor, shape (images, features)
    labels : tensor of int64, shape (images,)
    batch_size
        Images a step, of each network.
    smoothing
        `TrainSpec.label_smoothing`.
    """

    name = "stacked"

    def __init__(
        self,
        networks: Sequence[RectifierNetwork],
        images: Tensor,
        labels: Tensor,
        batch_size: int,
        *,
        smoothing: float = 0.0,
    ) -> None:
        n, first, where = len(networks), networks[0], images.device
        # of each layer, n of them
        linears = list(zip(*(network.linears() for network in networks), strict=True))
        self._spec = first.spec
        self._names = [
            name for name, module in first.named_children() if isinstance(module, nn.Linear)
        ]
        hidden = [module for module in first.children() if not isinstance(module, nn.Linear)]
        self._activations = [*(copy.deepcopy(module).to(where) for module in hidden), nn.Identity()]
        with torch.no_grad():
            self._weights = [
                torch.stack([linear.weight.t() for linear in layer]).to(where) for layer in linears
            ]
            self._biases = [
                torch.stack([linear.bias[None] for linear in layer]).to(where) for layer in linears
            ]
        self._images, self._labels, self._batch_size = images, labels, batch_size
        self._smoothing = smoothing
        # what a step reads and writes stays in place, so that a graph finds it there
        self._rows = torch.zeros((n, batch_size), dtype=torch.int64, device=where)
        self._rates = torch.zeros((n, 1, 1), dtype=images.dtype, device=where)
        self._l1 = torch.zeros((len(hidden), n, 1, 1), dtype=images.dtype, device=where)
        self._loss = torch.zeros(n, dtype=images.dtype, device=where)
        self._n_active = torch.zeros((n, len(hidden)), dtype=torch.int64, device=where)
        self._step_number = torch.zeros((), dtype=torch.int64, device=where)
        # the step, from 0; -1 for none
        self._broken = torch.zeros(n, dtype=torch.int64, device=where)
        self._reset()
        self._graph = self._captured() if where.type == "cuda" else None

    def descend(
        self, rows: Tensor, *, learning_rates: Sequence[float], l1: Sequence[Sequence[float]]
    ) -> list[Descent]:
        """Descend along the images of `rows`, shape (n, images), each network along its own.

        `l1` is by network and layer.

        A network whose loss is not finite keeps its weights from that step on.
        """
        self._reset()
        self._rates.copy_(torch.tensor(learning_rates, dtype=self._rates.dtype)[:, None, None])
        self._l1.copy_(torch.tensor(l1, dtype=self._l1.dtype).t()[:, :, None, None])
        for batch in rows.split(self._batch_size, dim=1):
            if self._graph is not None and batch.shape == self._rows.shape:
                self._rows.copy_(batch)
                self._graph.replay()
            else:
                self._step(batch)
        found = zip(
            self._loss.tolist(), self._n_active.tolist(), self._broken.tolist(), strict=True
        )
        return [
            Descent(loss, tuple(n_active), None if step < 0 else step)
            for loss, n_active, step in found
        ]

    def weights(self, k: int) -> dict[str, Tensor]:
        """Return the weights of network k as they stand, by the names of its state dict.

        Views, not copies.
        """
        found: dict[str, Tensor] = {}
        for name, weight, bias in zip(self._names, self._weights, self._biases, strict=True):
            found |= {f"{name}.weight": weight[k].t(), f"{name}.bias": bias[k, 0]}
        return found

    @torch.no_grad()
    def _step(self, rows: Tensor) -> None:
        """Do `steps.sgd_step` for all networks, without a look at any number on the way.

        rows has the shape (n, images).
        """
        n_images = rows.shape[1]
        values = [self._images[rows]]  # values[k] goes into layer k, (n, images, inputs)
        for weight, bias, activation in zip(
            self._weights, self._biases, self._activations, strict=True
        ):
            values.append(activation(torch.baddbmm(bias, values[-1], weight)))
        log_likelihood = functional.log_softmax(values.pop(), dim=2)
        labels = self._labels[rows][:, :, None]
        loss = -log_likelihood.gather(2, labels).sum(dim=(1, 2))  # (n,)
        stopped = (self._broken >= 0) | ~loss.isfinite()
        self._broken.copy_(
            torch.where(stopped & (self._broken < 0), self._step_number, self._broken)
        )
        self._step_number += 1
        self._loss += loss.masked_fill(stopped, 0)
        self._n_active += torch.stack([(h != 0).sum(dim=(1, 2)) for h in values[1:]], dim=1)
        delta = log_likelihood.exp()
        lowered = torch.full_like(labels, self._smoothing - 1, dtype=delta.dtype)
        delta.scatter_add_(2, labels, lowered)
        delta.sub_(self._smoothing / delta.shape[2]).div_(n_images)
        stopped = stopped[:, None, None]
        for k in range(len(self._weights) - 1, -1, -1):
            weight, below = self._weights[k], values[k].masked_fill(stopped, 0)
            delta_below = delta @ weight.transpose(1, 2) if k else None  # before the weight moves
            change = (delta * self._rates).masked_fill_(stopped, 0)
            weight.baddbmm_(below.transpose(1, 2), change, alpha=-1)
            self._biases[k] -= change.sum(dim=1, keepdim=True)
            if delta_below is not None:
                delta = delta_below.add_(below.sign() * (self._l1[k - 1] / n_images)).mul_(
                    slope(self._spec, below)
                )

    def _reset(self) -> None:
        for counter in (self._loss, self._n_active, self._step_number):
            counter.zero_()
        self._broken.fill_(-1)

    def _captured(self) -> torch.cuda.CUDAGraph:
        """Return a whole step as a graph.

        The learning rates are still 0, so that trying it out leaves the weights as they are.
        """
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_STEPS):
                self._step(self._rows)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step(self._rows)
        return graph


def train_stacked(
    specs: Sequence[TrainSpec],
    splits: Splits | None = None,
    *,
    device: str | torch.device = "auto",
    test: bool = True,
    progress: Progress = quiet,
) -> list[TrainResult]:
    """Train networks of one shape at once.

    Each gets the numbers of `train` alone, but for the rounding of float32.

    Parameters
    ----------
    specs
        One for each network, equal in what `SHARED` names.
    splits
        The images of all of them; by default the set that the specs name.
    device
        Where: "auto", "cpu", "cuda" or "mps" (`rectifier.resolve`).
    test
        Whether to read the test errors, once, at the end.
    progress
        Told how far it is.

    Returns
    -------
    list
        The results, in the order of the specs; `seconds` and `samples_per_s` are of the stack as a
        whole.

    Raises
    ------
    DivergenceError
        For the first network whose loss stopped being finite; the message is that of `train`.
    ValueError
        Where the specs differ in what a stack has in common, ask for the sparse engine, altered
        images or dropout, or do not fit the images.
    """
    spec = check_stack(specs)
    where = devices.resolve(device)
    splits = data.load(spec.data) if splits is None else splits
    check_fit(spec, splits, where)
    generators = [torch.Generator().manual_seed(s.seed) for s in specs]
    networks = [RectifierNetwork(spec.network, seed=generator) for generator in generators]
    images, labels = tensors(splits.train, where)
    started = time.perf_counter()
    engine = StackedEngine(
        networks, images, labels, spec.batch_size, smoothing=spec.label_smoothing
    )
    network, validation = networks[0].to(where).eval(), tensors(splits.validation, where)
    courses = [
        Course(s, network, partial(engine.weights, k), images, validation)
        for k, s in enumerate(specs)
    ]
    while under_way := [k for k, course in enumerate(courses) if not course.over]:
        order = torch.stack(
            [torch.randperm(len(labels), generator=generator) for generator in generators]
        ).to(where)
        losses, clock, epoch = [0.0] * len(specs), time.perf_counter(), courses[under_way[0]].epoch
        for part in courses[under_way[0]].parts():
            found = engine.descend(
                order[:, part.first : part.stop],
                learning_rates=[course.learning_rate(part) for course in courses],
                l1=[course.l1 for course in courses],
            )
            for k in under_way:
                courses[k].add_descent(found[k], part, order[k])
                losses[k] += found[k].loss
            progress(part.after, f"epoch {epoch}/{spec.epochs}, {len(under_way)} networks")
        samples_per_s = order.numel() / (time.perf_counter() - clock)
        for k in under_way:
            courses[k].end_epoch(losses[k] / len(labels), samples_per_s)
    results = []
    for course in courses:
        best = copy.deepcopy(course.best_network())
        test_error = error(best, splits.test) if test else None
        seconds = time.perf_counter() - started
        results.append(
            TrainResult(
                network=best.cpu(),
                spec=course.spec,
                history=tuple(course.history),
                best_epoch=course.best.epoch,
                test_error=test_error,
                device=str(where),
                seconds=seconds,
                engine=engine.name,
            )
        )
    progress(1.0, f"{len(results)} networks trained")
    return results


def check_stack(specs: Sequence[TrainSpec]) -> TrainSpec:
    """Return what a stack has in common: the first of the specs.

    Raises ValueError as `train_stacked` does.
    """
    specs = checks.instances("specs", specs, TrainSpec)
    if not specs:
        raise ValueError("specs is empty: nothing to train")
    for spec in specs:
        if different := [key for key in SHARED if getattr(spec, key) != getattr(specs[0], key)]:
            ours, theirs = (getattr(s, different[0]) for s in (specs[0], spec))
            raise ValueError(
                f"the networks of a stack must have one {different[0]}, got {ours!r} and {theirs!r}"
            )
        if spec.engine == "sparse":
            raise ValueError(
                "engine = 'sparse' cannot train a stack; use engine = 'auto' or 'torch'"
            )
        if reason := why_alone(spec):
            raise ValueError(f"{reason}; use train_many")
    return specs[0]


def why_alone(spec: TrainSpec) -> str:
    """Return what keeps a network out of any stack; empty where nothing does."""
    if spec.augmentation is not None:
        return "the networks of a stack share their images, so augmentation must be left out"
    if spec.dropout:
        return "the networks of a stack keep all their units, so dropout must be left out"
    return ""
