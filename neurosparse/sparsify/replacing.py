"""`SparseFFN` in other people's models: where a rectifier's feed-forward block stands.

A block is known by the names of its parts (`PATTERNS`). Where it is a module of its own, it is
replaced as a whole. Where a layer runs the parts itself, the block takes the place of the first
part, and the others become identities. Either is done once the outputs were seen to be the same.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils import _pytree as pytree

from neurosparse.probe.hooks import OwnHook
from neurosparse.probe.originals import check_module, plain_name
from neurosparse.sparsify.alike import Call, why_unlike
from neurosparse.sparsify.aside import aside, evaluating, running_on_data
from neurosparse.sparsify.copies import in_single_precision
from neurosparse.sparsify.ffn import SparseFFN, is_hooked
from neurosparse.sparsify.steering import as_call


@dataclass(frozen=True, slots=True)
class Pattern:
    """The names of a block's parts, within the module that holds them."""

    whose: str
    up: str
    down: str
    activation: str
    gate: str = ""
    dropout: str = ""  # between the activation and `down`: a module, or a number
    is_module: bool = False  # whether the holder does nothing but run the block


PATTERNS = (
    Pattern("nn.TransformerEncoderLayer", "linear1", "linear2", "activation", dropout="dropout"),
    Pattern("OPT, BART", "fc1", "fc2", "activation_fn", dropout="activation_dropout"),
    Pattern("T5", "wi", "wo", "act", dropout="dropout", is_module=True),
    Pattern("T5 1.1", "wi_1", "wo", "act", gate="wi_0", dropout="dropout", is_module=True),
    Pattern("Llama", "up_proj", "down_proj", "act_fn", gate="gate_proj", is_module=True),
    Pattern("GPT-2", "c_fc", "c_proj", "act"),
    Pattern("BERT, ViT", "intermediate.dense", "output.dense", "intermediate.intermediate_act_fn"),
    Pattern("Linear, ReLU, Linear", "0", "2", "1", is_module=True),
    Pattern("Linear, ReLU, Dropout, Linear", "0", "3", "1", dropout="2", is_module=True),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Replaced:
    """The blocks of a model by name: those that were replaced, and those that were left, with why.

    Examples
    --------
    >>> print(Replaced(("layers.0",), {"layers.1": "its activation is GELU, not ReLU"}))
    1 block replaced: layers.0
    layers.1 left: its activation is GELU, not ReLU
    """

    blocks: tuple[str, ...]
    left: dict[str, str]

    def __str__(self) -> str:
        n = len(self.blocks)
        names = f": {', '.join(self.blocks)}" if n else ""
        lines = [f"{n} block{'' if n == 1 else 's'} replaced{names}"]
        return "\n".join([*lines, *(f"{name} left: {why}" for name, why in self.left.items())])


def replace_ffn(model: nn.Module, *, data: object = None) -> Replaced:
    """Put a `SparseFFN` in place of each feed-forward block with a rectifier, in the model itself.

    Outputs stay the same to 1e-5, and parameters stay the same objects, so an optimiser that has
    them goes on. Their names in the state dict change: load weights before, or save them after.

    The module that runs a block is run with the new block first, on a copy, in evaluation and in
    training. A block is left where it does not put out the same, or does not run.

    Parameters
    ----------
    model
        A model with blocks of `nn.TransformerEncoderLayer` and `nn.TransformerDecoderLayer`, of
        Hugging Face's OPT, BART, T5, Llama, BERT and ViT families, or Linear, ReLU, Linear in an
        `nn.Sequential`.
    data
        A batch of inputs, a tensor or a dict, to run blocks on what the model gives them. By
        default they are run on random tokens, which some layers do not take.

    Returns
    -------
    Replaced
        The names of the blocks that were replaced, and of those that were left, with why.

    Examples
    --------
    >>> layer = nn.TransformerEncoderLayer(32, 4, 128, batch_first=True)
    >>> print(replace_ffn(nn.Sequential(layer)))
    1 block replaced: 0
    """
    check_module(model)
    blocks, left, places = [], {}, list(_found(model))
    calls = {} if data is None else _calls(model, [holder for _, holder, _ in places], data)
    for name, holder, pattern in places:
        why = _replace(model, name, holder, pattern, calls.get(holder))
        shown = plain_name(name) or type(model).__name__
        if why:
            left[shown] = why
        else:
            blocks.append(shown)
    return Replaced(tuple(blocks), left)


def _calls(model: nn.Module, modules: Sequence[nn.Module], data: object) -> dict[nn.Module, Call]:
    """Return what a model calls some of its modules with, the first time, on a batch."""
    calls: dict[nn.Module, Call] = {}

    def keep(module: nn.Module, args: Any, kwargs: Any) -> None:
        if module not in calls:
            calls[module] = pytree.tree_map(in_single_precision, copy.deepcopy((args, kwargs)))

    handles = [
        module.register_forward_pre_hook(OwnHook(keep), with_kwargs=True) for module in modules
    ]
    args, kwargs = as_call(data)
    try:
        with running_on_data(model), aside(model), evaluating(model):
            model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _found(model: nn.Module) -> Iterator[tuple[str, nn.Module, Pattern]]:
    """Find each module that holds the parts of a block, with the pattern that it follows."""
    for name, holder in model.named_modules():
        if isinstance(holder, SparseFFN) or hasattr(holder, "_orig_mod"):
            continue  # a compiled module has the parts of the one inside of it
        for pattern in PATTERNS:
            needed = (pattern.up, pattern.down, pattern.gate or pattern.up)
            if pattern.up.isdigit() and (
                type(holder) is not nn.Sequential or len(holder) != int(pattern.down) + 1
            ):
                continue
            if isinstance(_part(holder, pattern.up), SparseFFN):
                continue
            if all(_part(holder, part) is not None for part in (*needed, pattern.activation)):
                yield name, holder, pattern
                break


def _replace(
    model: nn.Module, name: str, holder: nn.Module, pattern: Pattern, call: Call | None
) -> str:
    """Replace one block; return what kept it, or nothing where it was replaced."""
    up, down = _part(holder, pattern.up), _part(holder, pattern.down)
    gate = _part(holder, pattern.gate) if pattern.gate else None
    activation = _part(holder, pattern.activation)
    for part in (up, down, *((gate,) if pattern.gate else ())):
        if type(part) is not nn.Linear:
            return f"it has a {type(part).__name__} where a Linear is needed"
    if not _is_rectifier(activation):
        return f"its activation is {_named(activation)}, not ReLU"
    if pattern.is_module and not name:
        return "it is the model itself: take SparseFFN.of(up, down)"
    if hooked := _hooked_parts(holder, pattern):
        return f"a hook on {hooked} would be lost: remove it, and register it on the block after"
    assert isinstance(up, nn.Linear)
    replace = partial(_with_block, pattern=pattern)
    if why := why_unlike(holder, replace, up.in_features, call):
        return why
    new, _ = replace(holder)
    if new is not holder:
        for place, module in list(model.named_modules(remove_duplicate=False)):
            if module is holder:
                _put(model, place, new)
    return ""


def _with_block(holder: nn.Module, pattern: Pattern) -> tuple[nn.Module, SparseFFN]:
    """Put a block in the place of a module's parts, or of the module; return both."""
    up, down, gate = (_part(holder, part) for part in (pattern.up, pattern.down, pattern.gate))
    assert isinstance(up, nn.Linear)
    assert isinstance(down, nn.Linear)
    assert gate is None or isinstance(gate, nn.Linear)
    block = SparseFFN.of(up, down, gate=gate, dropout=_dropout(holder, pattern.dropout))
    if pattern.is_module:
        return block, block
    _put(holder, pattern.up, block)
    for part in (pattern.activation, pattern.down):
        _put(holder, part, nn.Identity())
    if (found := _part(holder, pattern.dropout)) is not None:
        _put(holder, pattern.dropout, nn.Identity() if isinstance(found, nn.Module) else 0.0)
    if hasattr(holder, "activation_relu_or_gelu"):
        # torch's fused layer would look for the weights of `linear1`
        setattr(holder, "activation_relu_or_gelu", 0)  # noqa: B010
    return holder, block


def _hooked_parts(holder: nn.Module, pattern: Pattern) -> str:
    """Return the name of a part that goes and has a hook, or nothing."""
    parts = {name: _part(holder, name) for name in (pattern.activation, pattern.dropout)}
    parts |= {"the module": holder} if pattern.is_module else {}
    hooked = (n for n, part in parts.items() if isinstance(part, nn.Module) and is_hooked(part))
    return next(hooked, "")


def _part(holder: nn.Module, path: str) -> object | None:
    found: object = holder
    for step in path.split("."):
        found = getattr(found, step, None)
    return found


def _put(holder: nn.Module, path: str, value: object) -> None:
    parent, _, child = path.rpartition(".")
    setattr(holder.get_submodule(parent), child, value)


def _is_rectifier(activation: object) -> bool:
    return isinstance(activation, nn.ReLU) or activation in (
        functional.relu,
        torch.relu,
        functional.relu_,
    )


def _named(activation: object) -> str:
    is_function = hasattr(activation, "__name__")
    return str(getattr(activation, "__name__", "")) if is_function else type(activation).__name__


def _dropout(holder: nn.Module, path: str) -> float:
    found = _part(holder, path) if path else None
    share = getattr(found, "p", found)
    return float(share) if isinstance(share, int | float) else 0.0
