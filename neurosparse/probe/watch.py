"""A network watched while it trains, on the batches that it is trained on anyway."""

from __future__ import annotations

import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from neurosparse._internal import checks
from neurosparse._internal.types import FieldsView
from neurosparse.activity import ActiveWhen
from neurosparse.activity.given import check_active_when
from neurosparse.probe.eager import eagerly
from neurosparse.probe.follower import Follower
from neurosparse.probe.history import History, Row
from neurosparse.probe.hooks import OwnHook
from neurosparse.probe.looks import Look, Rows
from neurosparse.probe.originals import check_followed, unwrapped
from neurosparse.probe.passes import LeftAlone, Pass, is_compiled, is_exporting, why_left_alone
from neurosparse.probe.running import is_first_process

Log = Callable[[Row], object]

COMPILED = (
    "torch.compile is in use: in the steps that are looked at the compiled code runs eagerly"
    " (stance force_eager); no graph is broken and nothing is compiled again"
)
VARIES = (
    "what the model computes differs from pass to pass: every look follows all functions, which"
    " takes longer"
)
# of so many looks one follows every function, also where hooks on modules count the same
LOOKS_FOR_ONE_IN_FULL = 50
# passes of one step after which it is likely that nobody says when a step is over
MANY_PASSES = 100
NO_STEPS = (
    f"{MANY_PASSES} training passes, and no torch optimizer has stepped on the parameters of the"
    " watched model: call step() after each update"
)


def watch(
    model: nn.Module,
    every: int = 100,
    *,
    active_when: ActiveWhen | None = None,
    layers: tuple[str, ...] | None = None,
    window: int = 10,
    log: Log | None = None,
    reduce: bool = False,
) -> Watch:
    """Watch how sparse a network is while it trains, in anybody's loop.

    At every so many steps the activity of each layer is counted in the batch that is trained on.
    No further pass is run. A pass counts in training mode with gradients; what gradient
    checkpointing computes again does not. A step is one of the first torch optimizer that holds a
    parameter of the model, and all passes before it belong to it (gradient accumulation).
    Without such an optimizer, call `step()` after each update. Tokens that are 0 in an
    `attention_mask` among the model's inputs are not counted, and of a decoder beside an encoder
    those that are 0 in its `decoder_attention_mask`, or without one have the label -100.

    The first look follows every function. Where each layer is the output of a module, hooks on
    these modules then count the same, and one look in 50 follows all. A pass that computes anything
    else is seen by its graph: it has no row, `note` says so, and every later look follows all.

    Parameters
    ----------
    model
        The module that the loop calls, compiled or not, wrapped for distributed training or not.
    every
        Look at steps 0, every, 2 every, ...
    active_when
        A threshold; 0 by default: everything but exact zeros is active.
    layers
        The layers to watch, named as `measure` names them: "name" is all layers of that name,
        "name#2" the second alone. By default every non-linearity.
    window
        A unit is dead which was active for no sample of the last `window` looks.
    log
        Called with each new row, a flat dict: `log=wandb.log`. With several processes the first
        one alone calls it.
    reduce
        Sum over all processes of `torch.distributed`, instead of each one's own batches.

    Returns
    -------
    Watch
        To be used in a `with` block, or closed with `close()`.

    Raises
    ------
    ValueError, TypeError
        Where an argument is out of range, or `model` is no module.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> with watch(model, every=1) as w:
    ...     model(torch.ones(16, 4)).square().mean().backward()
    ...     optimizer.step()
    >>> sorted(w.latest)
    ['active', 'active/1', 'dead/1', 'effective_units/1', 'samples', 'step', 'zeros/1']
    """
    check_followed(model)
    active_when = ActiveWhen(threshold=0) if active_when is None else active_when
    check_active_when(active_when)
    if active_when.threshold is None:
        raise ValueError(
            f"active_when must have a threshold to watch a network, got {active_when.describe()!r}"
        )
    if layers is not None and (isinstance(layers, str) or not layers):
        raise ValueError(f"layers must be a sequence of at least one name, got {layers!r}")
    return Watch(
        model,
        every=checks.whole("every", every),
        active_when=active_when,
        layers=layers,
        window=checks.whole("window", window),
        log=log,
        reduce=reduce,
    )


class Watch:
    """A training that is being watched; made by `watch`.

    Attributes
    ----------
    history : History
        A row a look.
    n_steps : int
        Steps of the optimizer so far.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        every: int,
        active_when: ActiveWhen,
        layers: tuple[str, ...] | None,
        window: int,
        log: Log | None,
        reduce: bool,
    ) -> None:
        self.history, self.n_steps = History(), 0
        self._model = unwrapped(model)
        self._follower = Follower(self._model, active_when, layers)
        self._every, self._log, self._reduce = every, log, reduce
        self._rows, self._look, self._looking = Rows(layers, window), Look(), True
        self._n_passes = self._n_looked = 0  # in the step: outside of a backward pass, and all
        self._n_due = 0  # steps that wait for the end of a pass
        self._passes: list[Pass] = []  # under way, each in the one before
        self._left_alone = LeftAlone()
        self._eager = ExitStack()
        self._clock: weakref.ref[Optimizer] | None = None
        self._closed = False
        self._compiled = is_compiled(model)
        self._handles = [
            self._model.register_forward_pre_hook(
                OwnHook(lambda _, args, kwargs: self._begin_pass(args, kwargs)), with_kwargs=True
            ),
            self._model.register_forward_hook(
                OwnHook(lambda _module, _args, output: self._end_pass(output)), always_call=True
            ),
            register_optimizer_step_post_hook(_ticking(weakref.ref(self))),
        ]
        weakref.finalize(self, self._handles[-1].remove)
        self._hold_compiled()

    def __repr__(self) -> str:
        if not self.history:
            return f"<Watch: no look yet, {self.n_steps:,} steps>"
        share = 100 * float(self.history[-1]["active"])
        return f"<Watch: {share:.3g} % active at step {self.history[-1]['step']:,}>"

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the model as it was; a look that is under way becomes the last row."""
        if self._closed:
            return
        self._closed = True
        self._follower.end(None, self._look, broken_off=True)
        self._eager.close()
        for handle in self._handles:
            handle.remove()
        self._end_look()
        if nothing := self._nothing_counted():
            warnings.warn(nothing, stacklevel=2)

    @property
    def latest(self) -> Row:
        """The newest row, a flat dict for a logger; empty before the first look is over.

        "step" counts the steps before it, "samples" the inputs of the look. For each layer there
        are "active/<layer>", the share of its units that is active, and "zeros/<layer>", the share
        of exact zeros. Then "dead/<layer>", the share of its units that no sample of the last looks
        made active. And "effective_units/<layer>", the units that carry the activity
        (`ActivityStats`). "active" is the share of all units of all layers.
        """
        return dict(self.history[-1]) if self.history else {}

    @property
    def note(self) -> str:
        """Words on what the rows lack, or what differs in steps that are looked at, or ""."""
        told, left = self._follower, self._nothing_counted() or self._left_alone.note
        compiled, varies = COMPILED * self._compiled, VARIES * told.varies
        return "; ".join(filter(None, [told.unheard, *told.said, left, compiled, varies]))

    def step(self) -> None:
        """Say that a step is over, in a loop without a torch optimizer.

        Within a pass, as where several optimizers step in one `one_pass`, it is over with the pass.
        """
        if self._closed:
            return
        self._forget_broken_off()
        if self._passes:
            self._n_due += 1
        else:
            self._left_alone.n_steps += 1
            self._go_to(self.n_steps + 1)

    def at_step(self, step: int) -> None:
        """Say which step comes next, where somebody else counts: a trainer, or after a resume."""
        if checks.whole("step", step, least=0) != self.n_steps and not self._closed:
            self._go_to(step)

    def _go_to(self, step: int) -> None:
        missed = self._looking and not self._end_look()
        self.n_steps, self._n_passes, self._n_looked = step, 0, 0
        self._looking = missed or step % self._every == 0
        self._eager.close()
        self._hold_compiled()

    @contextmanager
    def one_pass(self, batch: FieldsView | None = None) -> Iterator[list[object]]:
        """Take this block for one pass, in a loop that calls parts of the model one by one.

        Functions that the block itself calls may be those of a loss: they are layers where weights
        take what they put out.

        Parameters
        ----------
        batch
            The inputs by their names, for an `attention_mask` among them.

        Yields
        ------
        list
            For what comes of the pass, such as its loss. It may be left empty; looks then take
            longer.
        """
        outputs: list[object] = []
        self._begin_pass((), batch, is_block=True)
        broken_off = True
        try:
            yield outputs
            broken_off = False
        finally:
            self._end_pass(outputs or None, broken_off)

    def _begin_pass(
        self, args: tuple[Any, ...], kwargs: FieldsView | None, *, is_block: bool = False
    ) -> None:
        if torch.compiler.is_compiling():
            if not is_exporting():
                self._compiled = True
            return
        self._forget_broken_off()
        begun = Pass.begun(is_block=is_block)
        self._passes.append(begun)
        if len(self._passes) > 1 or not self._looking or self._closed:
            return
        if why := why_left_alone(self._model, (args, kwargs), in_backward=self._n_passes == 0):
            self._left_alone.passes[why] += 1
            return
        self._n_passes += not begun.in_backward
        self._n_looked += 1
        self._left_alone.n_counted += 1
        if self._left_alone.n_counted == MANY_PASSES and not (self._clock or self.n_steps):
            warnings.warn(NO_STEPS, stacklevel=2)
        in_full = len(self.history) % LOOKS_FOR_ONE_IN_FULL == 0
        self._follower.begin(begun, args, kwargs, in_full=in_full, counts_now=self._is_trained_on)

    def _is_trained_on(self) -> bool:
        """Return whether the innermost pass has gradients."""
        return bool(self._passes) and self._passes[-1].has_gradients

    def _end_pass(self, output: object, broken_off: bool | None = None) -> None:
        if torch.compiler.is_compiling():
            return
        del self._passes[-1:]
        if self._passes:
            return
        if broken_off is None:  # torch has no output where the model raises an error
            broken_off = output is None and sys.exc_info()[0] is not None
        self._follower.end(output, self._look, broken_off=broken_off)
        while self._n_due:
            self._n_due -= 1
            self.step()

    def _forget_broken_off(self) -> None:
        """Leave a pass of which torch did not say that it ended, as after Ctrl-C."""
        while self._passes and self._passes[-1].is_broken_off():
            del self._passes[-1:]
            if not self._passes:
                self._follower.end(None, self._look, broken_off=True)

    def _end_look(self) -> bool:
        """Make a row of what was counted since the step began; return whether the look is over.

        It is not where no pass was looked at, or hooks did not hear all of one. Processes that are
        summed do the same, so there it is over where there is a row.
        """
        look, self._look = self._look, Look()
        told, is_over = self._follower, self._n_looked > 0 and not self._reduce
        if told.is_lost or told.has_failed:
            look, is_over = Look(), is_over and not told.is_lost
            told.is_lost = told.has_failed = False
        if self._reduce and self._looking:
            look = look.over_processes()
        row = self._rows.of(self.n_steps, look)
        if not row:
            return is_over
        self.history.append(row)
        if self._log is not None and is_first_process():
            self._log(dict(row))
        return True

    def _nothing_counted(self) -> str:
        """Return why a training has no row, in words, "" where it has one or more is said."""
        if self.history or self._follower.unheard or self._follower.said:
            return ""
        return self._left_alone.nothing(self._model)

    def _hold_compiled(self) -> None:
        """Let what was compiled run eagerly in a step that is looked at."""
        if self._looking:
            self._eager.enter_context(eagerly())

    def _tick(self, optimizer: Optimizer) -> None:
        """Take a step of an optimizer for a step of the training, if it is the model's first."""
        if self._clock is None or self._clock() is None:
            ours = {id(parameter) for parameter in self._model.parameters()}
            if not any(id(p) in ours for group in optimizer.param_groups for p in group["params"]):
                return
            self._clock = weakref.ref(optimizer)
        if self._clock() is optimizer:
            self.step()


def _ticking(watched: weakref.ref[Watch]) -> Callable[[Optimizer, Any, Any], None]:
    """Return the hook on every optimizer's steps; it keeps no watch and no model alive."""

    def hook(optimizer: Optimizer, _args: object, _kwargs: object) -> None:
        if (watch_ := watched()) is not None:
            watch_._tick(optimizer)

    return hook
