"""Blocks that say themselves what their rectifier put out, so that nobody need listen inside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn


class Listed(Protocol):
    """The output of a rectifier as lists of what is above 0, sample by sample.

    Attributes
    ----------
    start : array of int64, shape (n_samples + 1,)
        Where the entries of each sample begin.
    units : array of int32
        The unit of each entry.
    values : array of float32
        Its activation; NaN is listed too.
    n_units : int
        The width of the layer.
    """

    @property
    def start(self) -> NDArray[np.int64]: ...
    @property
    def units(self) -> NDArray[np.int32]: ...
    @property
    def values(self) -> NDArray[np.float32]: ...
    @property
    def n_units(self) -> int: ...


class Tells(Protocol):
    """A block with one rectifier that leaves what this put out, and its penalty, after every pass.

    `SparseFFN` is one: a hook on its rectifier would take it off its fast path.

    Attributes
    ----------
    activation
        The rectifier.
    tells
        Whether a pass is to leave `hidden`.
    l1
        The mean over samples of the sum of rectified activations, with its graph.
    hidden
        What the rectifier put out, whole or as a list.
    counts
        The samples for which each unit was active, of int64.
    """

    activation: nn.Module
    tells: bool
    l1: Tensor | None
    hidden: Tensor | Listed | None

    @property
    def counts(self) -> Tensor | None: ...


def is_teller(block: object) -> TypeGuard[Tells]:
    """Return whether a module is such a block.

    `isinstance` does not see the submodules of a torch module from Python 3.12 on.
    """
    return all(hasattr(block, name) for name in ("activation", "tells", "l1", "hidden"))


def tellers(model: nn.Module) -> dict[nn.Module, nn.Module]:
    """Return the blocks of a model that tell, by their rectifiers."""
    return {block.activation: module for module in model.modules() if is_teller(block := module)}


@contextmanager
def telling(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Let those of the modules that can tell do so in this block."""
    before = [(module, module.tells) for module in modules if is_teller(module)]
    for block, _ in before:
        block.tells = True
    try:
        yield
    finally:
        for block, told in before:
            block.tells = told
            if not told:
                block.hidden = None
