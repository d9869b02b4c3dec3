"""`SparseFFN` in other people's models: where a rectifier's feed-forward block stands.

A block is known by the names of its parts (`PATTERNS`). Where it is a module of its own, it is
replaced as a whole, once its output was seen to be the same. Where a layer runs the parts itself,
the block takes the place of the first part, and the others become identities.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurosparse.probe.originals import check_module
from neurosparse.sparsify.ffn import SparseFFN

TOLERANCE = 1e-5


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


def replace_ffn(model: nn.Module) -> Replaced:
    """Put a `SparseFFN` in place of each feed-forward block with a rectifier, in the model itself.

    Outputs stay the same to 1e-5, and parameters stay the same objects, so an optimiser that has
    them goes on. Their names in the state dict change: load weights before, or save them after.

    Parameters
    ----------
    model
        A model with blocks of `nn.TransformerEncoderLayer` and `nn.TransformerDecoderLayer`, of
        Hugging Face's OPT, BART, T5, Llama, BERT and ViT families, or Linear, ReLU, Linear in an
        `nn.Sequential`.

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
    blocks, left = [], {}
    for name, holder, pattern in list(_found(model)):
        why = _replace(model, name, holder, pattern)
        if why:
            left[name or type(model).__name__] = why
        else:
            blocks.append(name or type(model).__name__)
    return Replaced(tuple(blocks), left)


def _found(model: nn.Module) -> Iterator[tuple[str, nn.Module, Pattern]]:
    """Find each module that holds the parts of a block, with the pattern that it follows."""
    for name, holder in model.named_modules():
        if isinstance(holder, SparseFFN):
            continue
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


def _replace(model: nn.Module, name: str, holder: nn.Module, pattern: Pattern) -> str:
    """Replace one block; return what kept it, or nothing where it was replaced."""
    up, down = _part(holder, pattern.up), _part(holder, pattern.down)
    gate = _part(holder, pattern.gate) if pattern.gate else None
    activation = _part(holder, pattern.activation)
    for part in (up, down, *((gate,) if pattern.gate else ())):
        if type(part) is not nn.Linear:
            return f"it has a {type(part).__name__} where a Linear is needed"
    if not _is_rectifier(activation):
        return f"its activation is {_named(activation)}, not ReLU"
    assert isinstance(up, nn.Linear)
    assert isinstance(down, nn.Linear)
    assert gate is None or isinstance(gate, nn.Linear)
    try:
        block = SparseFFN.of(up, down, gate=gate, dropout=_dropout(holder, pattern.dropout))
    except ValueError as error:
        return str(error)
    if not pattern.is_module:
        _put(holder, pattern.up, block)
        for part in (pattern.activation, pattern.down):
            _put(holder, part, nn.Identity())
        if pattern.dropout and (found := _part(holder, pattern.dropout)) is not None:
            _put(holder, pattern.dropout, nn.Identity() if isinstance(found, nn.Module) else 0.0)
        if hasattr(holder, "activation_relu_or_gelu"):
            # torch's fused layer would look for the weights of `linear1`
            setattr(holder, "activation_relu_or_gelu", 0)  # noqa: B010
        return ""
    if not name:
        return "it is the model itself: take SparseFFN.of(up, down)"
    if not _alike(holder, block):
        return f"{type(holder).__name__} does more than its block"
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, block)
    return ""


@torch.no_grad()
def _alike(holder: nn.Module, block: SparseFFN) -> bool:
    """Return whether module and block give the same output for a few random tokens."""
    weight = block.rectified.weight
    tokens = torch.randn(4, weight.shape[1], generator=torch.Generator().manual_seed(0))
    x, training = tokens.to(weight), holder.training
    try:
        expected = holder.eval()(x)
    except Exception:  # of other people's code: it wants other arguments
        return False
    finally:
        holder.train(training)
    found = block.eval()(x)
    block.train(training)
    if not isinstance(expected, Tensor) or expected.shape != found.shape:
        return False
    scale = max(1.0, float(expected.abs().max()))
    return bool((expected - found).abs().max() <= TOLERANCE * scale)


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
