"""A training under way whose sparsity is steered: what is hooked, taken, looked at, and kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from neurosparse._internal.types import Fields, FieldsView
from neurosparse.probe.history import History, Row
from neurosparse.probe.hooks import OwnHook, owners
from neurosparse.probe.originals import check_module
from neurosparse.probe.passes import is_in_backward
from neurosparse.probe.telling import Tells, is_teller
from neurosparse.probe.tokens import Masks, has_decoder
from neurosparse.sparsify import revive, warned
from neurosparse.sparsify.aside import Run, aside, evaluating
from neurosparse.sparsify.calls import Hearing, note_of
from neurosparse.sparsify.controller import Plan, Steering
from neurosparse.sparsify.kept import checked
from neurosparse.sparsify.padding import masks_of
from neurosparse.sparsify.passes import Pass, belonging
from neurosparse.sparsify.penalty import Counted, Tap, counts_of, penalty_of, share
from neurosparse.sparsify.rows import row
from neurosparse.sparsify.settings import Settings
from neurosparse.sparsify.sites import find_sites
from neurosparse.sparsify.topk import top_k

PASSES = 4  # the newest, by which biases are settled at last


class Sparsifier:
    """A training whose sparsity is steered; made by `sparsify`.

    Attributes
    ----------
    history : History
        A row a look, for loggers and `plots.training`.
    n_steps : int
        Calls of `step()` so far.
    """

    def __init__(self, model: nn.Module, plan: Plan, settings: Settings) -> None:
        check_module(model)
        self.history, self.n_steps = History(), 0
        self._model, self._plan, self._settings = model, plan, settings
        self._taps: dict[str, Tap] = {}
        self._steering = Steering({}, {})
        self._idle: dict[str, Tensor] = {}  # looks since each unit was active
        self._hearing = self._heard(tells=False)  # of no layer so far
        self._normalises = any(isinstance(m, _BatchNorm) for m in model.modules())
        self._ready = self._taking = self._busy = False
        self._penalties, self._warned = 0, warned.Warned()  # calls since the last step
        self._pass: Pass | None = None  # the last one in training
        self._note_output = torch.compiler.disable(Pass.put_out)
        self._is_removed = self._without_gradients = False
        self._kept: FieldsView | None = None
        self._passes: deque[tuple[Run, Masks]] = deque(maxlen=PASSES if self._normalises else 1)
        self._masks: Masks = {}  # of the pass under way
        self._masks_of = partial(masks_of, model, has_decoder=has_decoder(model))
        self._known_masks: set[str] = set()
        self._handles = [model.register_forward_pre_hook(OwnHook(self._begin), with_kwargs=True)]
        self._hook_end()

    def __repr__(self) -> str:
        if not (last := self.latest):
            return f"<Sparsifier: no look yet, {self.n_steps:,} steps>"
        return f"<Sparsifier: {100 * last.get('active', 0):.3g} % active at step {last['step']:,}>"

    # ---- What a loop calls

    def penalty(self) -> Tensor:
        """Return the penalty of the passes since the last call or step, to be added to the loss.

        It is of all passes in training mode with gradients through which a loss can still go.
        Several passes of one step count together. Where gradients of several batches are added up,
        each batch may have its own call. Left out is a pass that `backward()` has gone through, as
        in the step of a generator. So is one before the last that is not finite, or whose output
        nobody holds, as of one to be logged. Under torch.compile none is left out.

        Raises
        ------
        RuntimeError
            Where there is no such pass.
        """
        taps = self._taps.values()
        self._penalties += 1
        self._warned.without_step(self._penalties)
        if self._settings.way == "top_k":
            return torch.zeros((), device=next((t.counts.device for t in taps), None))
        every = [term for tap in taps for term in tap.terms]
        passes = belonging(every)
        total = penalty_of(taps, self._steering.l1, passes)
        self.forget()
        if total is None:
            raise warned.nothing_put_out(self._is_removed, bool(every), self._without_gradients)
        self._warned.of_left_out(every, passes)
        warned.check_gradients(total)
        return total

    def forget(self) -> None:
        """Leave the passes so far out of the next penalty, as of a batch that is skipped."""
        for tap in self._taps.values():
            tap.forget()

    def step(self) -> None:
        """Note that the optimizer has made a step; at every look the weights are set anew.

        Raises
        ------
        RuntimeError
            Where `penalty()` was not called since the last step.
        """
        if not self._penalties:
            raise RuntimeError(
                "step() without penalty(): add penalty() to the loss before backward()"
            )
        self._penalties = 0
        self.forget()
        self.n_steps += 1
        if self.n_steps % self._plan.every == 0:
            self._look()

    @property
    def is_asked(self) -> bool:
        """True where `penalty()` was called since the last step."""
        return self._penalties > 0

    @property
    def active(self) -> dict[str, float]:
        """The share of units of each layer that was active between the last two looks."""
        return self._latest("active")

    @property
    def dead(self) -> dict[str, float]:
        """The share of units of each layer that has been active for no sample of the last looks."""
        return self._latest("dead")

    @property
    def l1(self) -> dict[str, float]:
        """The weight of each layer's penalty."""
        return dict(self._steering.l1) if self._settings.way != "top_k" else {}

    @property
    def latest(self) -> Row:
        """The newest row, a flat dict for a logger; empty before the first look."""
        return dict(self.history[-1]) if self.history else {}

    @property
    def note(self) -> str:
        """Cost of steering for a compiled model, in words; "" where there is none."""
        return note_of(self._hearing.of_functions)

    def remove(self) -> None:
        """Leave the model as any other; what is off under `top_k` is on again."""
        self._is_removed = True
        for handle in (*self._handles, self._end_handle):
            handle.remove()
        self._hearing.remove()
        for block in filter(is_teller, self._model.modules()):
            block.tells, block.hidden = False, None

    def state_dict(self) -> Fields:
        """Return all that a checkpoint needs so that the training goes on bit for bit.

        Batches are not in it: with batch norm the last look settles biases by the four newest.
        """
        return {
            "n_steps": self.n_steps,
            "l1": dict(self._steering.l1),
            "start": dict(self._steering.start),
            "error": dict(self._steering.error),
            "counts": {name: tap.counts.cpu().clone() for name, tap in self._taps.items()},
            "samples": {name: int(tap.samples) for name, tap in self._taps.items()},
            "idle": {name: idle.clone() for name, idle in self._idle.items()},
            "history": [dict(row) for row in self.history],
        }

    def load_state_dict(self, state: FieldsView) -> None:
        """Go on from a checkpoint; biases are then left as they are in the model.

        Raises
        ------
        ValueError
            Where it is of other layers, or damaged; before the first pass, that pass raises it.
        """
        if not self._ready and isinstance(state, Mapping):
            self._kept = state
            return
        kept = checked(state, {name: tap.site.n_units for name, tap in self._taps.items()})
        self.n_steps, self.history = kept.n_steps, History(kept.history)
        self._steering = Steering(kept.l1, kept.start, kept.error)
        for name, tap in self._taps.items():
            tap.counts.copy_(kept.counts[name])
            tap.samples.fill_(kept.samples[name])
            self._idle[name].copy_(kept.idle[name])

    @contextmanager
    def one_pass(self, run: Run, batch: Fields | None = None) -> Iterator[None]:
        """Take this block for one pass, in a loop that calls parts of the model one by one.

        Parameters
        ----------
        run
            Does the same; called once before the first pass, to find the layers.
        batch
            The inputs by their names, for an `attention_mask` among them.
        """
        if not self._ready:
            self._prepare(run, (), batch)
        self._masks = self._masks_of((), batch or {})
        self._passes.append((run, self._masks))
        self._open(self._model.training and torch.is_grad_enabled())
        self._busy = True  # the model's own hooks are not to end it
        try:
            yield
        finally:
            self._busy = False
            self._end()

    def prepare(self, args: tuple[Any, ...], kwargs: Fields) -> None:
        """Find the layers by a pass on a batch, and set the biases before them if asked to."""
        self._prepare(lambda: self._model(*args, **kwargs), args, kwargs)

    # ---- Before the first pass

    def _prepare(self, run: Run, args: tuple[Any, ...] = (), kwargs: Fields | None = None) -> None:
        settings, masks = self._settings, self._masks_of(args, kwargs or {})
        self._busy = True
        try:
            sites = find_sites(self._model, run, settings.layers, args, kwargs)
            others = [s._taps for s in owners(self._model, Sparsifier) if s is not self]
            warned.check_free([site.name for site in sites], others)
            if settings.start_active is not None and self._kept is None:
                wanted = dict.fromkeys(sites, revive.Wanted(settings.start_active))
                revive.set_biases(self._model, run, wanted, masks)
            warned.check_steerable(sites, settings)
            on = next((p.device for p in self._model.parameters()), torch.device("cpu"))
            self._taps = {site.name: Tap(site, settings.threshold, on) for site in sites}
            self._idle = {s.name: torch.zeros(s.n_units, dtype=torch.int64) for s in sites}
            values = settings.of(names := list(self._taps))
            if settings.way == "target":
                self._plan = Plan(values, self._plan.steps, self._plan.reached, self._plan.start)
            self._steering = Steering.first(names, values if settings.way == "l1" else None)
            self._hearing = self._heard(tells=settings.way != "top_k" and settings.threshold == 0)
            self._end_handle.remove()  # it comes last, also where the model itself is hooked
            self._hook_end()
            self._ready, self._known_masks = True, set(masks)
            if (kept := self._kept) is not None:
                self._kept = None
                self.load_state_dict(kept)
        except ValueError:  # no batch will: the model is left as any other
            self.remove()
            raise
        finally:
            self._busy = False

    def _heard(self, *, tells: bool) -> Hearing:
        taps = self._taps.values()
        return Hearing(self._model, taps, self._take, self._take_told, tells=tells)

    def _hook_end(self) -> None:
        self._end_handle = self._model.register_forward_hook(OwnHook(self._end), always_call=True)

    # ---- In a pass

    def _begin(self, _module: nn.Module, args: Any, kwargs: Any) -> None:
        if self._busy:
            return
        if not self._ready:
            torch.compiler.disable(self.prepare)(args, kwargs)
        self._masks = self._masks_of(args, kwargs)
        taking = self._model.training and not is_in_backward()
        if taking and not torch.compiler.is_compiling():
            self._without_gradients = not torch.is_grad_enabled()
        taking = taking and torch.is_grad_enabled()
        if taking and (self._settings.revive or self._normalises):
            self._passes.append((partial(self._model, *args, **kwargs), self._masks))
        self._open(taking)

    def _open(self, taking: bool) -> None:
        self._taking = taking
        if self._taking and not self._masks.keys() <= self._known_masks:
            raise ValueError(
                f"this batch has {', '.join(self._masks)}, and the batch that the layers were found"
                " with had not: pass one that has as data=..."
            )
        if taking and not torch.compiler.is_compiling():
            self._pass = Pass()
            for tap in self._taps.values():
                tap.under_way = self._pass
        self._hearing.open(follows=taking or self._settings.way == "top_k")

    def _end(self, *called: Any) -> None:
        if self._busy:
            return
        if self._taking and self._pass is not None and not torch.compiler.is_compiling():
            self._note_output(self._pass, called[-1] if called else None)
        self._taking = False
        self._hearing.close()

    def _take(self, tap: Tap, output: Tensor) -> Tensor | None:
        if self._settings.way == "top_k":
            output = top_k(output, self._settings.of([tap.site.name])[tap.site.name], tap.site.axis)
            if self._taking:
                tap.take(output, self._masks, penalise=False)
            return output
        if self._taking:
            tap.take(output, self._masks, penalise=True)
        return None

    def _take_told(self, block: Tells, tap: Tap, output: Tensor) -> None:
        if self._taking:
            tap.take_told(block, output.numel() // output.shape[-1])

    # ---- At a look

    def _look(self) -> None:
        counted = counts_of(self._taps)
        active = {name: share(on, n) for name, (on, n) in counted.items()}
        for name, (on, _) in counted.items():
            self._idle[name] = torch.where(on > 0, 0, self._idle[name] + 1)
        if self._settings.way == "target":
            self._steering = self._steering.after(self._plan, self.n_steps, active)
        dead = {name: float(self._dead(name).double().mean()) for name in self._taps}
        if not self._settings.revive:
            self._warned.of_dead(dead)
        if self._taps.keys() - counted.keys():
            self._warned.of_replaced(self._hearing.replaced(self._model))
        units = {name: tap.site.n_units for name, tap in self._taps.items()}
        wanted = self._plan.at(self.n_steps, self._steering.start)
        self.history.append(row(self.n_steps, active, dead, self.l1, wanted, units))
        if self._settings.revive and self._passes and any(dead.values()):
            self._revive()
        if self._settings.way == "target" and self._plan.settles(self.n_steps):
            self._settle(counted)

    def _settle(self, counted: Mapping[str, Counted]) -> None:
        """Shift biases towards the targets, with batch norm by what is active in evaluation.

        That is another share, which varies with the running statistics: the last look settles it.
        """
        taps, plan = self._taps, self._plan
        if not self._normalises:
            revive.settle_biases(taps, counted, plan.targets)
        elif 0 <= plan.steps - self.n_steps < plan.every:
            wake = partial(self._wake, shares=plan.targets, alone=True)
            wakes = wake if self._settings.revive else None
            revive.settle_at_last(taps, partial(self._evaluated, PASSES), plan.targets, wakes)
        else:
            revive.settle_biases(taps, self._evaluated(1), plan.targets)

    def _evaluated(self, n_passes: int) -> dict[str, Counted]:
        """Count what is active in evaluation, in the newest passes."""
        self._busy = True
        try:
            with aside(self._model), evaluating(self._model):
                for run, masks in list(self._passes)[-n_passes:]:
                    self._masks = masks
                    self._open(taking=True)
                    run()
        finally:
            self._busy = self._taking = False
            self._hearing.close()
        return counts_of(self._taps)

    def _dead(self, name: str) -> Tensor:
        return self._idle[name] >= self._settings.dead_after

    def _revive(self) -> None:
        """Set the biases of dead units so that they are active for the share that is wanted."""
        wanted = self._plan.at(self.n_steps, self._steering.start)
        dead = {name: self._dead(name) for name in self._taps if self._dead(name).any()}
        lost = [name for name in dead if self._taps[name].site.settable is None]
        self._warned.of_lost(lost)
        self._wake(dead, {n: wanted.get(n) or max(self.active[n], 0.01) for n in dead})
        for name in dead.keys() - lost:
            self._idle[name][dead[name]] = 0

    def _wake(
        self, units: Mapping[str, Tensor], shares: Mapping[str, float], *, alone: bool = False
    ) -> None:
        """Set the biases of units by the last batch; `alone`, as it is in evaluation."""
        wanted = revive.wanted_of(self._taps, units, shares, alone=alone)
        run, masks = self._passes[-1]
        self._busy = True
        try:
            with evaluating(self._model) if alone else nullcontext():
                revive.set_biases(self._model, run, wanted, masks)
        finally:
            self._busy = False

    def _latest(self, quantity: str) -> dict[str, float]:
        return {name: self.history.last(f"{quantity}/{name}") for name in self._taps}
