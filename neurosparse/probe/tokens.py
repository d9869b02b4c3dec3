"""The tokens of a batch: which of them are padding, and which inputs hold them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from neurosparse._internal.types import FieldsView

TARGETS = ("label", "target")
MASK, DECODER_MASK = "attention_mask", "decoder_attention_mask"
# names of masks of an encoder and of a decoder; those of padding are True where others are 0
_OF_ENCODER = (MASK, "src_key_padding_mask", "key_padding_mask")
_OF_DECODER = (DECODER_MASK, "tgt_key_padding_mask")
NOT_SCORED = -100  # in labels, as `torch.nn.CrossEntropyLoss` has it


class BatchTokens(NamedTuple):
    """The tokens of all inputs of a batch, the decoder's after the encoder's.

    Attributes
    ----------
    mask : tensor of bool, shape (n_inputs, n_tokens)
        Those that count.
    columns
        The tokens of each mask among the inputs, by its name.
    starts
        Of each tensor that holds the tokens of a mask, by its id: the first of them, and along how
        many axes they lie, from axis 1 on.
    """

    mask: Tensor
    columns: Mapping[str, range]
    starts: Mapping[int, tuple[int, int]]


Masks = Mapping[str, Tensor]  # (inputs, tokens) of bool, by the names of the inputs that they are


def masks_in(named: FieldsView, *, has_decoder: bool = False) -> dict[str, Tensor]:
    """Return the masks of tokens among the inputs of a model, by their names.

    A mask is 0 for padding. One of real numbers, none above 0, is added to scores: 0 is a token. A
    `key_padding_mask`, as torch has it, is True for padding. Of a mask for each pair of tokens
    those that none may look at are padding.

    A decoder without a mask of its own has that of its labels: a token whose label is -100 is
    padding, for nothing is predicted there.

    Parameters
    ----------
    named
        The inputs by their names.
    has_decoder
        Whether `labels` are those of a decoder beside an encoder (`has_decoder`). In other models
        they say nothing about padding.

    Examples
    --------
    >>> masks_in({"attention_mask": torch.tensor([[1, 1, 0]]), "labels": None})
    {'attention_mask': tensor([[ True,  True, False]])}
    """
    found = {}
    for names in (_OF_ENCODER, _OF_DECODER):
        for name in names:
            mask = named.get(name)
            if isinstance(mask, Tensor | np.ndarray) and 2 <= mask.ndim <= 4:
                found[name] = _kept(
                    torch.as_tensor(mask), of_padding=name not in (MASK, DECODER_MASK)
                )
                break
    if has_decoder and not found.keys() & set(_OF_DECODER):
        labels = named.get("labels")
        if isinstance(labels, Tensor) and labels.ndim == 2 and not labels.is_floating_point():
            found[DECODER_MASK] = labels != NOT_SCORED
    return found


def _kept(mask: Tensor, *, of_padding: bool) -> Tensor:
    """Return which tokens count, bool of shape (inputs, tokens)."""
    kept = (mask == 0) if of_padding else (mask != 0)
    if mask.is_floating_point():
        kept = torch.where((mask > 0).any(), kept, mask == 0)
    return kept if mask.ndim == 2 else kept.flatten(1, -2).any(dim=1)


def has_decoder(model: nn.Module) -> bool:
    """Return whether a model, or one that it wraps, has a decoder beside an encoder."""
    return any(_takes_decoder_inputs(type(module).forward) for module in model.modules())


def tokens_in(
    model: nn.Module,
    args: tuple[Any, ...],
    named: FieldsView,
    kwargs: FieldsView,
    mask: Any = None,
) -> BatchTokens | None:
    """Return the tokens of a batch, None where no mask says which of them count.

    Parameters
    ----------
    model, args, kwargs
        The model, and what it is called with.
    named
        Where an attention mask may stand by its name, as it does in `kwargs`.
    mask
        Given by the user, shape (n_inputs, tokens): it stands for `attention_mask`. False: none.
    """
    if mask is False:
        return None
    masks = masks_in(named, has_decoder="labels" in named and has_decoder(model))
    if mask is not None:
        own = {MASK: torch.as_tensor(mask) != 0}
        masks = own | {name: of for name, of in masks.items() if name in _OF_DECODER}
    parts, columns, starts, first = [], dict[str, range](), dict[int, tuple[int, int]](), 0
    positional = ((f"{k}", value) for k, value in enumerate(args))
    everything = [*(kwargs or named).items(), *positional]
    for name, part in masks.items():
        values = {
            key: value
            for key, value in everything
            if isinstance(value, Tensor) and _is_of_decoder(key) == (name in _OF_DECODER)
        }
        # tokens may lie along several axes, such as those of answers to choose from
        whole = None if mask is not None and name == MASK else named.get(name)
        like = {key: value for key, value in values.items() if _is_like(value, whole)}
        if like.keys() - {name}:
            part = torch.as_tensor(whole).flatten(1) != 0
            starts |= {id(value): (first, value.ndim - 1) for value in like.values()}
        starts |= {id(v): (first, 1) for v in values.values() if v.shape[:2] == part.shape}
        if not starts and not args:
            continue
        parts.append(part.cpu())
        columns[name] = range(first, first + part.shape[1])
        first = columns[name].stop
    return BatchTokens(torch.cat(parts, dim=1), columns, starts) if parts else None


def _is_like(value: Tensor, mask: object) -> bool:
    return isinstance(mask, Tensor) and mask.ndim > 2 and value.shape == mask.shape


def _is_of_decoder(key: str) -> bool:
    """Return whether an input's name is that of a decoder's, which may read its labels."""
    return key.startswith(("decoder_", "tgt", *TARGETS))


@lru_cache
def _takes_decoder_inputs(forward: Callable[..., Any]) -> bool:
    try:
        return "decoder_input_ids" in inspect.signature(forward).parameters
    except (TypeError, ValueError):
        return False
