"""Warnings and refusals for a loop that steers, where it would go wrong without a word."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from neurosparse.sparsify.passes import Pass, Term
from neurosparse.sparsify.settings import Settings
from neurosparse.sparsify.sites import Site

MANY_PENALTIES = 200  # more than batches whose gradients are added up
MANY_DEAD = 0.5


def check_free(names: Iterable[str], others: Collection[Collection[str]]) -> None:
    """Refuse layers that another sparsifier of the model steers."""
    if both := [name for name in names if any(name in taken for taken in others)]:
        raise ValueError(
            f"{', '.join(both)}: steered by another sparsify already; call its remove() first"
        )


def check_steerable(sites: Iterable[Site], settings: Settings) -> None:
    """Refuse a target for layers of which all is active, whatever the penalty."""
    if settings.way != "target" or settings.threshold > 0:
        return
    if all_active := [s.name for s in sites if not (s.rectifies or s.has_zeros)]:
        raise ValueError(
            f"{', '.join(all_active)}: nothing there is exactly 0, so that all units are active"
            " whatever the penalty; pass a higher threshold, active_when=ActiveWhen(threshold=...)"
        )


def check_gradients(penalty: Tensor) -> None:
    """Refuse a penalty that no gradient goes through."""
    if torch.is_grad_enabled() and not penalty.requires_grad:
        raise RuntimeError(
            "the steered layers were computed without gradients, as gradient checkpointing with"
            " use_reentrant=True does: pass use_reentrant=False, or train weights before them"
        )


def nothing_put_out(removed: bool, used: bool, without_gradients: bool) -> RuntimeError:
    """Return an error that says why there is nothing that a penalty could be of.

    Parameters
    ----------
    removed
        `remove()` was called.
    used
        `backward()` has gone through all passes.
    without_gradients
        The last pass in training mode had none.
    """
    if removed:
        why = (
            "penalty() after remove(): this steering has ended; leave the penalty out, or call"
            " ns.sparsify again"
        )
    elif used:
        why = (
            "backward() has gone through all passes since the last penalty() already: add penalty()"
            " to the loss before backward()"
        )
    elif without_gradients:
        why = (
            "the last pass in training mode had no gradients, as under torch.no_grad() or gradient"
            " checkpointing with use_reentrant=True: run it with them, or pass use_reentrant=False"
        )
    else:
        why = (
            "no steered layer has put anything out since the last penalty(): call the model that"
            " was given to sparsify, in training mode, before each penalty()"
        )
    return RuntimeError(why)


class Warned:
    """The warnings of a steering, each of which is given once."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def _once(self, what: str, message: str) -> None:
        if what not in self._given:
            self._given.add(what)
            warnings.warn(message, stacklevel=5)

    def without_step(self, n_penalties: int) -> None:
        """Warn where `step()` seems to be forgotten."""
        if n_penalties == MANY_PENALTIES:
            self._once(
                "step",
                f"penalty() was called {n_penalties} times without step(), so that nothing is"
                " steered: call step() after each step of the optimizer",
            )

    def of_dead(self, dead: Mapping[str, float]) -> None:
        """Warn of layers in which many units are dead."""
        many = {name: share for name, share in dead.items() if share > MANY_DEAD}
        if many:
            layers = ", ".join(f"{100 * share:.0f} % in {name}" for name, share in many.items())
            self._once(
                "dead",
                f"many units have been active for no sample of the last looks: {layers}. With"
                " start_active=0.1, revive=True few units die",
            )

    def of_lost(self, names: Iterable[str]) -> None:
        """Warn of layers whose dead units cannot be revived."""
        if layers := ", ".join(names):
            self._once(
                "dead",
                f"dead units stay dead in {layers}: there is no bias before them, or a frozen one,"
                " that could be set",
            )

    def of_replaced(self, names: Sequence[str]) -> None:
        """Warn of layers whose modules stand no longer in the model."""
        if names:
            self._once(
                "replaced",
                f"{', '.join(names)}: the module was replaced, and is steered no longer; call"
                " remove(), and ns.sparsify again",
            )

    def of_left_out(self, terms: Sequence[Term], passes: Sequence[Pass]) -> None:
        """Warn of passes that are held, and are left out of a penalty."""
        left_out = {each for each, _ in terms if each.is_held and each not in passes}
        if left_out:
            self._once(
                "left out",
                f"{len(left_out)} pass(es) before the last were left out of penalty():"
                " backward() had gone through them already, or they were not finite",
            )
