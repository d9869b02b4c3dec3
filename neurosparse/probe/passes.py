"""Passes of a model that is watched: which count, which are left alone, which were broken off."""

from __future__ import annotations

import threading
from collections import Counter
from types import FrameType
from typing import NamedTuple

import torch
from torch import nn

from neurosparse.probe.frames import call_of_model, caller_of, is_under_way
from neurosparse.probe.tensors import tensors_in

EVALUATION, NO_GRADIENTS = "in evaluation mode", "without gradients"
AGAIN = "that are computed again"
_USUAL = {EVALUATION, NO_GRADIENTS, AGAIN}


class Pass(NamedTuple):
    """A pass that is under way.

    Attributes
    ----------
    call
        The call of the model, None for a block of the caller's.
    thread
        Where it runs.
    has_gradients
        Whether it is one to train on.
    in_backward
        It runs while gradients are computed.
    """

    call: FrameType | None
    thread: int
    has_gradients: bool
    in_backward: bool

    @classmethod
    def begun(cls, *, is_block: bool) -> Pass:
        """Return the pass that begins now, in a hook of the model's or in a block."""
        call = None if is_block else call_of_model()
        return cls(call, threading.get_ident(), torch.is_grad_enabled(), is_in_backward())

    @property
    def caller(self) -> FrameType | None:
        """The caller of the model."""
        return None if self.call is None else caller_of(self.call)

    def is_broken_off(self) -> bool:
        """Return whether the call is over, though no hook has said so."""
        if self.call is None or self.thread != threading.get_ident():
            return False
        return not is_under_way(self.call)


class LeftAlone:
    """Passes that were left alone in steps that were to be looked at, and why.

    Attributes
    ----------
    passes
        How many, by the reason in words.
    n_counted
        How many others there were.
    n_steps
        Steps of the training so far.
    """

    def __init__(self) -> None:
        self.passes: Counter[str] = Counter()
        self.n_counted = self.n_steps = 0

    @property
    def note(self) -> str:
        """Words on passes that are not counted though they may be trained on, or ""."""
        unusual = [why for why in self.passes if why not in _USUAL]
        return f"passes {' and '.join(unusual)} are not counted" if unusual else ""

    def nothing(self, model: nn.Module) -> str:
        """Return why nothing at all was counted in a training, or "" where something was."""
        if self.n_counted or not self.n_steps:
            return ""
        name, n = type(model).__name__, self.n_steps
        steps = f"{n:,} steps" if n > 1 else "the first step"
        if not self.passes:
            return (
                f"{name} was not called in {steps}, so nothing was counted: watch the module that"
                " the loop calls, or wrap each pass in one_pass()"
            )
        left = ", ".join(f"{n:,} {why}" for why, n in self.passes.items())
        return (
            f"no pass of {name} was counted in {steps} ({left}): a pass counts in training mode"
            " (model.train()) with gradients, called as it is written"
        )


def why_left_alone(model: nn.Module, inputs: object, *, in_backward: bool) -> str:
    """Return why a pass is not looked at, in words, or "" where it is.

    Parameters
    ----------
    model
        The model that is called.
    inputs
        What it is called with.
    in_backward
        Passes count also while gradients are computed, as no others of the step did.
    """
    if not model.training:
        return EVALUATION
    if not torch.is_grad_enabled():
        return NO_GRADIENTS
    if is_in_backward() and not in_backward:
        return AGAIN
    if torch._C._get_tracing_state() is not None:
        return "that torch.jit traces"
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return "under torch.func"
    if any(tensor.is_nested for tensor in tensors_in(inputs)):
        return "of nested tensors"
    return ""


def is_compiled(model: nn.Module) -> bool:
    """Return whether torch.compile runs a model or a part of it."""
    return any(
        m._compiled_call_impl is not None or hasattr(m, "_orig_mod") for m in model.modules()
    )


def is_exporting() -> bool:
    """Return whether `torch.export` is reading a model."""
    told = getattr(torch.compiler, "is_exporting", None)  # of later versions than the first read
    return told is not None and bool(told())


def is_in_backward() -> bool:
    """Return whether gradients are being computed, as where checkpointing computes a pass again."""
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1
