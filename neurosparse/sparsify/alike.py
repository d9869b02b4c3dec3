"""A module with a `SparseFFN` in it, compared with the module as it was.

Both are run, on copies, in evaluation and in training. Their parameters are moved first, alike,
for a weight of 0 hides what stands before it. Dropout is replaced by factors that are known, so
that what is dropped at another place is seen.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from neurosparse._internal.names import in_words
from neurosparse._internal.types import Fields
from neurosparse.sparsify import copies
from neurosparse.sparsify.aside import aside
from neurosparse.sparsify.ffn import SparseFFN

TOLERANCE = 1e-5
Call = tuple[tuple[Any, ...], Fields]  # the arguments of a forward pass
# puts a block into a module; returns what stands for the module then, and the block
Replace = Callable[[nn.Module], tuple[nn.Module, SparseFFN]]

_DROPOUT = inspect.signature(functional.dropout)


def why_unlike(holder: nn.Module, replace: Replace, width: int, call: Call | None = None) -> str:
    """Return why a module may compute something else with a block in it; "" where it does not.

    Parameters
    ----------
    holder
        The module; it is left as it is.
    replace
        Puts the block into a copy of it.
    width
        The features of a token.
    call
        What the module is called with. By default random tokens are tried.
    """
    kind = type(holder).__name__
    try:
        before = copies.in_single_precision(copies.copied(holder))
        _move(before)
        after, block = replace(copy.deepcopy(before))
    except (TypeError, ValueError) as error:
        return str(error)
    ran, errors = block.ran, list[Exception]()
    with aside(before), _KnownDropout():
        for arguments in _tried(before, width) if call is None else [call]:
            try:
                expected = _outputs(before, arguments)
            except Exception as error:  # of other people's code: it wants other arguments
                errors.append(error)
                continue
            try:
                found = _outputs(after, arguments)
            except Exception:  # what the block puts out has another shape than it would
                return f"{kind} does more than its block"
            if block.ran is ran:
                return f"{kind} does not run its block itself"
            return "" if _same(expected, found) else f"{kind} does more than its block"
    return (
        f"{kind} does not run on random tokens ({in_words(errors[0])}), so that its outputs cannot"
        " be compared: pass data=..., a batch that the model runs on"
    )


class _KnownDropout(TorchFunctionMode):
    """Dropout as a factor for each feature, from 1 to 1 - p."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is not functional.dropout:
            return function(*args, **(kwargs or {}))
        given = _DROPOUT.bind(*args, **(kwargs or {}))
        given.apply_defaults()
        x, p, training, _ = given.arguments.values()
        falling = 1 - p * torch.linspace(0, 1, x.shape[-1], dtype=x.dtype, device=x.device)
        return x * falling if training else x


@torch.no_grad()
def _move(module: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    for p in module.parameters():
        if p.is_floating_point():
            scale = sqrt(max(1, p.shape[-1] if p.ndim else 1))
            p.add_(torch.randn(p.shape, generator=generator).to(p) / scale)


def _tried(module: nn.Module, width: int) -> list[Call]:
    """Return arguments that a module may want: tokens first; for all else it needs, none, or these.

    Tokens are of two sentences, or a list.
    """
    parameters = list(inspect.signature(module.forward).parameters.values())
    needed = [p for p in parameters if p.kind < p.VAR_POSITIONAL and p.default is p.empty]
    like = next(module.parameters())
    tokens = torch.randn(2, 4, width, generator=torch.Generator().manual_seed(1)).to(like)
    more = max(0, len(needed) - 1)
    return [
        ((x, *[other] * more), {})
        for x in (tokens, tokens.flatten(0, 1))
        for other in (([None, x]) if more else [None])
    ]


def _outputs(module: nn.Module, call: Call) -> list[Tensor]:
    """Return all tensors that a module puts out, in evaluation and in training."""
    found = []
    for training in (False, True):
        module.train(training)
        torch.manual_seed(0)
        args, kwargs = copy.deepcopy(call)
        found += [t for t in pytree.tree_leaves(module(*args, **kwargs)) if isinstance(t, Tensor)]
    return found


def _same(expected: Sequence[Tensor], found: Sequence[Tensor]) -> bool:
    if [t.shape for t in expected] != [t.shape for t in found]:
        return False
    return all(
        bool((a - b).abs().max() <= TOLERANCE * max(1.0, float(a.abs().max())))
        for a, b in zip(expected, found, strict=True)
        if a.is_floating_point() and a.numel()
    )
