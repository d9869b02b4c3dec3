"""A network watched while it trains, on the batches that it is trained on anyway."""

from __future__ import annotations

import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from neurosparse._internal import checks
from neurosparse._internal.types import FieldsView
from neurosparse.activity import ActiveWhen
from neurosparse.activity.given import check_active_when
from neurosparse.probe import axes as ax
from neurosparse.probe import heard as heard_layers
from neurosparse.probe.eager import eagerly
from neurosparse.probe.history import History, Row
from neurosparse.probe.hooks import OwnHook, put_last
from neurosparse.probe.known_pass import Blocks, KnownLayer, KnownPass, PlainLook, blocks_noted
from neurosparse.probe.nonlinear import LayerOutput, Monitor, monitoring
from neurosparse.probe.originals import check_followed, unwrapped
from neurosparse.probe.running import Running, is_first_process, over_processes
from neurosparse.probe.telling import Listed
from neurosparse.probe.tokens import inputs_by_name, tokens_in

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
        The layers to watch, named as `measure` names them. By default every non-linearity.
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
        self._model, self._layers = unwrapped(model), layers
        self._every, self._active_when, self._log, self._reduce = every, active_when, log, reduce
        self._running: dict[str, Running] = {}
        # which units were active in each of the last looks
        self._alive: dict[str, deque[NDArray[np.bool_]]] = {}
        self._window, self._looking = window, True
        self._n_passes = 0
        self._mask: Tensor | None = None  # (inputs, tokens): those that are no padding
        self._inside: list[bool] = []  # of each pass under way, whether it has gradients
        self._heard: list[KnownLayer] = []  # in the pass that is followed
        self._known: KnownPass | None = None
        self._plain: PlainLook | None = None  # of the pass under way, if hooks count it
        self._blocks: Blocks = {}
        self._varies = self._is_lost = False
        self._monitor: Monitor | None = None  # of the pass that is followed
        self._unheard = ""  # of the first pass, what a look lacks
        self._monitoring, self._eager = ExitStack(), ExitStack()
        self._clock: weakref.ref[Optimizer] | None = None
        self._closed = False
        self._compiled = any(m._compiled_call_impl is not None for m in model.modules())
        self._compiled |= self._model is not model and hasattr(model, "_orig_mod")
        self._handles = [
            self._model.register_forward_pre_hook(
                OwnHook(lambda _, args, kwargs: self._begin_pass(args, kwargs)), with_kwargs=True
            ),
            self._model.register_forward_pre_hook(OwnHook(lambda *_: put_last(self._handles[-2]))),
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
        self._monitoring.close()
        self._eager.close()
        for handle in self._handles:
            handle.remove()
        self._end_look()

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
        """Difference of the watched training in steps that are looked at, in words, or ""."""
        parts = [self._unheard] * bool(self._unheard)
        return "; ".join([*parts, *[COMPILED] * self._compiled, *[VARIES] * self._varies])

    def step(self) -> None:
        """Say that a step is over, in a loop without a torch optimizer."""
        if self._closed:
            return
        missed = self._looking and not self._end_look()
        self.n_steps += 1
        self._n_passes = 0
        self._looking = missed or self.n_steps % self._every == 0
        self._eager.close()
        self._hold_compiled()

    @contextmanager
    def one_pass(self, batch: FieldsView | None = None) -> Iterator[list[object]]:
        """Take this block for one pass, in a loop that calls parts of the model one by one.

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
        self._begin_pass((), batch)
        try:
            yield outputs
        finally:
            self._end_pass(outputs or None)

    def _begin_pass(self, args: tuple[Any, ...] = (), kwargs: FieldsView | None = None) -> None:
        if torch.compiler.is_compiling():
            self._compiled = True
            return
        self._inside.append(torch.is_grad_enabled())
        trains = self._model.training and self._inside[-1]
        if len(self._inside) > 1 or not self._looking or not trains or self._closed:
            return
        self._n_passes += 1
        if self._n_passes == MANY_PASSES and self._clock is None and self.n_steps == 0:
            warnings.warn(NO_STEPS, stacklevel=2)
        kwargs = kwargs or {}
        tokens = tokens_in(self._model, inputs_by_name(self._model, args, kwargs))
        self._mask = None if tokens is None else tokens.mask
        self._blocks = self._monitoring.enter_context(blocks_noted(self._model))
        in_full = len(self.history) % LOOKS_FOR_ONE_IN_FULL == 0
        if self._known is not None and self._mask is None and not in_full:
            self._plain = PlainLook(self._known, self._count, self._count_list)
            self._monitoring.enter_context(self._plain.hooked())
            return
        monitor = self._monitoring.enter_context(
            monitoring(self._model, self._hear, self._layers, asks=False)
        )
        monitor.looks_for_zeros, self._monitor = False, monitor
        if args or kwargs:
            monitor.begin((args, kwargs), tokens)

    def _end_pass(self, output: object) -> None:
        if torch.compiler.is_compiling():
            return
        del self._inside[-1:]
        if not self._inside:
            self._monitoring.close()
            self._learn(output)

    def _learn(self, output: object) -> None:
        """Note what a pass that was followed has shown, and whether one by hooks did the same."""
        plain, heard, blocks = self._plain, self._heard, self._blocks
        monitor, self._monitor = self._monitor, None
        self._plain, self._heard, self._blocks = None, [], {}
        if monitor is not None and output is not None and not self.history and not self._unheard:
            self._unheard = heard_layers.unheard(self._model, self._layers, monitor.fired)
            if self._unheard:
                warnings.warn(self._unheard, stacklevel=2)
        if output is None or self._mask is not None or self._varies:  # None: it was broken off
            return
        if plain is not None:
            self._varies = self._is_lost = not plain.agrees(output, blocks)
        elif heard:
            found = KnownPass.of(self._model, heard, output, blocks)
            self._varies = self._known is not None and found != self._known
            self._known = found
        if self._varies:
            self._known = None

    def _hear(self, layer: LayerOutput) -> None:
        """Count a layer of a pass that is followed."""
        if self._inside[-1:] != [True]:  # a pass within, such as one that finds layers
            return
        name, output, axis = layer.name, layer.output.detach(), layer.shown_axis
        self._heard.append(KnownLayer.of(name, output, axis))
        if self._mask is None or layer.axes is None or not ax.of_tokens(layer.axes):
            self._count(name, output, axis)
            return
        with torch._C.DisableTorchFunction():
            tokens, _ = ax.rows(output, layer.axes, self._mask, layer.place)
            found = Running.of(tokens, self._active_when, -1)
        self._add(name, replace(found, n_inputs=len(self._mask)))

    def _count(self, name: str, output: Tensor, axis: int) -> None:
        if self._inside[-1:] == [True]:
            with torch._C.DisableTorchFunction():
                self._add(name, Running.of(output, self._active_when, axis))

    def _count_list(self, name: str, output: Listed, n_inputs: int) -> None:
        if self._inside[-1:] == [True]:
            found = Running.of_list(output, self._active_when)
            self._add(name, replace(found, n_inputs=n_inputs))

    def _add(self, name: str, found: Running) -> None:
        self._running[name] = self._running[name] + found if name in self._running else found

    def _end_look(self) -> bool:
        """Make a row of what was counted since the step began; return whether there is one."""
        running, self._running = self._running, {}
        if self._is_lost:  # hooks did not hear all that there was
            running, self._is_lost = {}, False
        if self._reduce and self._looking:
            running = over_processes(running)
        if not running:
            return False
        row: Row = {"step": self.n_steps, "samples": max(one.n_inputs for one in running.values())}
        n_units = sum(one.n_units for one in running.values())
        row["active"] = sum(one.active * one.n_units for one in running.values()) / n_units
        for name, one in running.items():
            alive = self._alive.setdefault(name, deque(maxlen=self._window))
            alive.append(one.counts > 0)
            row[f"active/{name}"] = one.active
            row[f"zeros/{name}"] = one.zeros
            row[f"dead/{name}"] = 1 - float(np.any(alive, axis=0).mean())
            row[f"effective_units/{name}"] = one.effective_units
        self.history.append(row)
        if self._log is not None and is_first_process():
            self._log(dict(row))
        return True

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
