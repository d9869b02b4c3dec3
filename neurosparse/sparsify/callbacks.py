"""Trainings of other frameworks watched and steered: Lightning, Hugging Face, TensorBoard.

Lightning and transformers are imported when their callback is made.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from torch import nn

from neurosparse._internal.imports import need
from neurosparse._internal.types import Fields, Foreign
from neurosparse.probe.history import Row
from neurosparse.probe.watch import Watch, watch
from neurosparse.sparsify.hugging_face import Loss, as_text, kept_in
from neurosparse.sparsify.sparsifier import Sparsifier
from neurosparse.sparsify.steering import sparsify


def tensorboard(writer: Foreign, prefix: str = "sparsity") -> Callable[[Row], None]:
    """Return what `ns.watch(model, log=...)` calls to write its rows to TensorBoard.

    Parameters
    ----------
    writer
        A `torch.utils.tensorboard.SummaryWriter`, or anything with its `add_scalar`.
    prefix
        What stands before the names of all scalars.

    Examples
    --------
    >>> class Prints:
    ...     def add_scalar(self, tag, value, step):
    ...         print(tag, value, step)
    >>> tensorboard(Prints())({"step": 3, "active/1": 0.25})
    sparsity/active/1 0.25 3
    """

    def write(row: Row) -> None:
        for key, value in row.items():
            if key != "step":
                writer.add_scalar(f"{prefix}/{key}", value, int(row["step"]))

    return write


class _Training:
    """State that both callbacks hold: a watch, and a sparsifier where there is a target."""

    def __init__(self, every: int, settings: Fields) -> None:
        self.every, self.settings = every, settings
        self.watch: Watch | None = None
        self.sparsity: Sparsifier | None = None
        self.kept: Foreign = None  # of a checkpoint that was read before the training began

    @property
    def steers(self) -> bool:
        """True where anything is to be steered."""
        return bool(self.settings.keys() & {"target", "l1", "top_k"})

    def begin(self, model: nn.Module, steps: int, log: Callable[[Row], object]) -> None:
        """Attach hooks to the model; those of a training before, if it broke off, are removed."""
        self.end()
        if self.sparsity is not None:
            self.sparsity.remove()
            self.sparsity = None
        self.watch = watch(model, self.every, log=log, layers=self.settings.get("layers"))
        try:
            if self.steers:
                self.sparsity = sparsify(model, **{"steps": max(1, steps), **self.settings})
                if self.kept is not None:
                    self.sparsity.load_state_dict(self.kept)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Leave the model as it was; a network of the largest alone stays one."""
        if self.watch is not None:
            self.watch.close()
        if self.sparsity is not None and "top_k" not in self.settings:
            self.sparsity.remove()

    def step(self) -> None:
        """Note a step of the optimizer."""
        if self.sparsity is not None:
            self.sparsity.step()


def LightningSparsity(every: int = 100, **settings: Foreign) -> Foreign:
    """Return a Lightning callback that watches a training and, where asked to, steers it.

    The penalty is added to what `training_step` returns; rows go to the trainer's loggers. The
    state of the steering is in Lightning's checkpoints.

    Parameters
    ----------
    every
        Steps from look to look.
    settings
        `target`, `l1` or `top_k` and more, as for `ns.sparsify`; without them the training is only
        watched. `steps` is the trainer's, unless given.

    Raises
    ------
    MissingPackageError
        Where Lightning is not installed.

    Notes
    -----
    `training_step` runs once more before the first step, to find the layers, with its `log` silent.
    """
    return _lightning()(every, settings)


def TransformersSparsity(
    every: int = 100, *, log: Callable[[Row], object] | None = None, **settings: Foreign
) -> Foreign:
    """Return a callback of Hugging Face's Trainer that watches and, where asked to, steers.

    The penalty is added to the loss that the model returns; rows go to the Trainer's log history.
    Where `compute_loss` computes another, let it take the labels out of the inputs, and return
    `loss + callback.sparsity.penalty()`. The state of the steering is in the Trainer's checkpoints.

    Parameters
    ----------
    every
        Steps from look to look.
    log
        Called with each row as well: `log=wandb.log`.
    settings
        `target`, `l1` or `top_k` and more, as for `ns.sparsify`; without them the training is only
        watched. `steps` is the Trainer's, unless given.

    Raises
    ------
    MissingPackageError
        Where transformers is not installed.
    """
    return _transformers(every, settings, log)


@functools.cache
def _lightning() -> Foreign:
    try:
        import lightning.pytorch as lightning
    except ImportError:
        lightning = need("pytorch_lightning", "LightningSparsity", extra="lightning")
    base: Foreign = lightning.Callback

    class Lightning(base):  # type: ignore[misc]
        def __init__(self, every: int, settings: Fields) -> None:
            self.training = _Training(every, settings)

        watch = property(lambda self: self.training.watch)
        sparsity = property(lambda self: self.training.sparsity)
        state_key = "LightningSparsity"

        def on_fit_start(self, trainer: Foreign, pl_module: Foreign) -> None:
            if "training_step" in vars(pl_module):
                raise ValueError("this LightningModule has a LightningSparsity already")
            if self.training.settings and not pl_module.automatic_optimization:
                raise ValueError(
                    "LightningSparsity steers automatic optimization alone: with manual"
                    " optimization use ns.sparsify(self, ...) in your training_step"
                )

            def log(row: Row) -> None:
                for logger in trainer.loggers:
                    logger.log_metrics(row, step=int(row["step"]))

            steps = trainer.estimated_stepping_batches
            self.training.begin(pl_module, int(steps) if steps > 0 else 1000, log)
            self._plain = pl_module.training_step
            pl_module.training_step = self._steered(pl_module)
            self._n_steps = trainer.global_step

        def _steered(self, module: Foreign) -> Callable[..., Foreign]:
            plain, training = self._plain, self.training

            @functools.wraps(plain)
            def training_step(*args: Foreign, **kwargs: Foreign) -> Foreign:
                def run() -> object:
                    with _silent(module):
                        return plain(*args, **kwargs)

                assert training.watch is not None
                training.watch.at_step(module.trainer.global_step)
                given = (*args, *kwargs.values())
                batch = next((dict(each) for each in given if isinstance(each, Mapping)), None)
                with ExitStack() as stack:
                    if training.sparsity is not None:
                        stack.enter_context(training.sparsity.one_pass(run, batch))
                    outputs = stack.enter_context(training.watch.one_pass(batch))
                    outputs.append(output := plain(*args, **kwargs))
                if training.sparsity is None:
                    return output
                if output is None:  # the batch is skipped
                    training.sparsity.forget()
                    return None
                penalty = training.sparsity.penalty()
                if isinstance(output, dict):
                    return {**output, "loss": output["loss"] + penalty}
                return output + penalty

            return training_step

        def on_train_batch_end(self, trainer: Foreign, *_: Foreign) -> None:
            if trainer.global_step > self._n_steps:
                self._n_steps = trainer.global_step
                if self.training.sparsity is not None and self.training.sparsity.is_asked:
                    self.training.step()  # else all its batches were skipped

        def on_fit_end(self, trainer: Foreign, pl_module: Foreign) -> None:
            self._leave(pl_module)

        def on_exception(self, trainer: Foreign, pl_module: Foreign, exception: Foreign) -> None:
            self._leave(pl_module)

        def _leave(self, module: Foreign) -> None:
            module.__dict__.pop("training_step", None)
            self.training.end()

        def state_dict(self) -> Fields:
            steered = self.training.sparsity
            return {} if steered is None else steered.state_dict()

        def load_state_dict(self, state_dict: Fields) -> None:
            if state_dict and self.training.sparsity is not None:
                self.training.sparsity.load_state_dict(state_dict)
            elif state_dict:
                self.training.kept = state_dict

    return Lightning


@contextmanager
def _silent(module: Foreign) -> Iterator[None]:
    """Keep a LightningModule from logging in this block."""
    module.log = module.log_dict = lambda *_, **__: None
    try:
        yield
    finally:
        del module.log, module.log_dict


def _transformers(every: int, settings: Fields, log: Callable[[Row], object] | None) -> Foreign:
    base: Foreign = need(
        "transformers", "TransformersSparsity", extra="transformers"
    ).TrainerCallback
    exportable: Foreign = sys.modules[base.__module__].ExportableState

    class TransformersSparsity(base, exportable):  # type: ignore[misc]
        """A callback whose state is in the Trainer's own, and so in its checkpoints."""

        def __init__(self) -> None:
            self.training, self.loss = _Training(every, settings), Loss()
            self._handle: Foreign = None

        def state(self) -> Fields:
            steered = self.training.sparsity
            kept = None if steered is None else as_text(steered.state_dict())
            return {"args": {}, "attributes": {"kept": kept}}

        watch = property(lambda self: self.training.watch)
        sparsity = property(lambda self: self.training.sparsity)

        def on_train_begin(
            self, args: Foreign, state: Foreign, control: Foreign, **kwargs: Foreign
        ) -> None:
            if self.training.settings and args.label_smoothing_factor:
                raise ValueError(
                    "TransformersSparsity adds its penalty to the loss that the model returns, and"
                    " label_smoothing_factor computes another: leave it at 0"
                )
            model = kwargs["model"]
            if state.global_step and self.training.steers:
                self.training.kept = kept_in(state)

            def log_row(row: Row) -> None:
                state.log_history.append({**row, "step": int(row["step"])})
                if log is not None:
                    log(row)

            self._leave()  # a training that broke off has had no end
            self.training.begin(model, state.max_steps, log_row)
            if self.training.sparsity is not None:
                parts = args.gradient_accumulation_steps
                add = functools.partial(self.loss.add, self.training.sparsity, parts)
                self._handle = model.register_forward_hook(add, with_kwargs=True)

        def on_step_begin(
            self, args: Foreign, state: Foreign, control: Foreign, **kwargs: Foreign
        ) -> None:
            if self.training.watch is not None:
                self.training.watch.at_step(state.global_step)

        def on_step_end(
            self, args: Foreign, state: Foreign, control: Foreign, **kwargs: Foreign
        ) -> None:
            if self.training.sparsity is not None:
                self.loss.check(self.training.sparsity)
            self.training.step()

        def on_train_end(
            self, args: Foreign, state: Foreign, control: Foreign, **kwargs: Foreign
        ) -> None:
            self._leave()
            self.training.end()

        def _leave(self) -> None:
            if self._handle is not None:
                self._handle.remove()

    return TransformersSparsity()
