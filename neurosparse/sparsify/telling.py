"""Blocks that say themselves what their rectifier put out, so that nobody need listen inside."""

from __future__ import annotations

from typing import Protocol, TypeGuard

from torch import Tensor, nn


class Tells(Protocol):
    """A block with one rectifier that leaves its penalty and its counts after every pass.

    `SparseFFN` is one: a hook on its rectifier would take it off its fast path.

    Attributes
    ----------
    activation
        The rectifier.
    tells
        Whether a pass is to leave `l1` and `counts`.
    l1
        The mean over samples of the sum of rectified activations, with its graph.
    counts
        The samples for which each unit was active, of int64.
    """

    activation: nn.Module
    tells: bool
    l1: Tensor | None
    counts: Tensor | None


def is_teller(block: object) -> TypeGuard[Tells]:
    """Return whether a module is such a block.

    `isinstance` does not see the submodules of a torch module from Python 3.12 on.
    """
    return all(hasattr(block, name) for name in ("activation", "tells", "l1", "counts"))


def teller(modules: dict[str, nn.Module], rectifier: str) -> str | None:
    """Return the name of the block that tells of a rectifier; None where none does."""
    name = rectifier.rpartition(".")[0]
    block = modules.get(name)
    if is_teller(block) and block.activation is modules[rectifier]:
        return name
    return None
