"""Warnings and refusals for a loop that steers, where it would go wrong without a word."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping

MANY_PENALTIES = 200  # more than batches whose gradients are added up
MANY_DEAD = 0.5


def check_free(names: Iterable[str], others: Collection[Collection[str]]) -> None:
    """Refuse layers that another sparsifier of the model steers."""
    if both := [name for name in names if any(name in taken for taken in others)]:
        raise ValueError(
            f"{', '.join(both)}: steered by another sparsify already; call its remove() first"
        )


def warn_without_step(n_penalties: int) -> None:
    """Warn where `step()` seems to be forgotten."""
    if n_penalties == MANY_PENALTIES:
        warnings.warn(
            f"penalty() was called {n_penalties} times without step(), so that nothing is steered:"
            " call step() after each step of the optimizer",
            stacklevel=3,
        )


def warn_of_dead(dead: Mapping[str, float]) -> bool:
    """Warn of layers in which many units are dead, and return whether there are any."""
    many = {name: share for name, share in dead.items() if share > MANY_DEAD}
    if many:
        layers = ", ".join(f"{100 * share:.0f} % in {name}" for name, share in many.items())
        warnings.warn(
            f"many units have been active for no sample of the last looks: {layers}. With"
            " start_active=0.1, revive=True few units die",
            stacklevel=4,
        )
    return bool(many)


def warn_of_lost(names: Iterable[str]) -> bool:
    """Warn of layers whose dead units cannot be revived, and return whether there are any."""
    if layers := ", ".join(names):
        warnings.warn(
            f"dead units stay dead in {layers}: there is no bias before them, or a frozen one, that"
            " could be set",
            stacklevel=5,
        )
    return bool(layers)
