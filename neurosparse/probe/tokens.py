"""The tokens of a batch: which of them are padding, and which inputs hold them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from neurosparse._internal.types import Fields, FieldsView
from neurosparse.probe.tensors import tensors_in

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


def parameters_of(model: nn.Module) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a model's forward pass, by their names.

    One that takes anything (`*args`) hands it on: to the forward of its base class, or else to the
    only module inside, as what is wrapped for several devices.

    Raises
    ------
    ValueError, TypeError
        Where Python cannot tell them.
    """
    found = inspect.signature(model.forward).parameters
    if any(p.kind is p.VAR_POSITIONAL for p in found.values()) and not positional(found):
        for kind in type(model).__mro__[1:]:
            own = vars(kind).get("forward") if kind is not nn.Module else None
            if own is not None and (names := positional(inspect.signature(own).parameters)[1:]):
                return {parameter.name: parameter for parameter in names}
        inside = list(model.children())
        if len(inside) == 1:
            return parameters_of(inside[0])
    return found


def positional(found: Mapping[str, inspect.Parameter]) -> list[inspect.Parameter]:
    """Return those parameters that take an argument by its place."""
    return [p for p in found.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def inputs_by_name(model: nn.Module, args: Sequence[Any], kwargs: FieldsView) -> Fields:
    """Return what a model is called with, by the names of its parameters.

    What is passed by a position that has no name has its number.

    Examples
    --------
    >>> inputs_by_name(nn.Linear(2, 2), (1.0, 2.0), {"more": 3.0})
    {'input': 1.0, '1': 2.0, 'more': 3.0}
    """
    if not args:
        return dict(kwargs)
    try:
        names = [parameter.name for parameter in positional(parameters_of(model))]
    except (TypeError, ValueError):
        names = []
    names += [str(k) for k in range(len(names), len(args))]
    return {**dict(zip(names, args, strict=False)), **kwargs}


def tokens_in(model: nn.Module, named: FieldsView, mask: Any = None) -> BatchTokens | None:
    """Return the tokens of a batch, None where no mask says which of them count.

    Parameters
    ----------
    model
        The model.
    named
        Its inputs by name (`inputs_by_name`); tensors may stand in lists and dicts in them.
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
    for name, part in masks.items():
        values = [
            (key, value)
            for key, value in _tensors_by_name(named)
            if _is_of_decoder(key) == (name in _OF_DECODER)
        ]
        # tokens may lie along several axes, such as those of answers to choose from
        whole = None if mask is not None and name == MASK else named.get(name)
        like = [(key, value) for key, value in values if _is_like(value, whole)]
        if {key for key, _ in like} - {name}:
            part = torch.as_tensor(whole).flatten(1) != 0
            starts |= {id(value): (first, value.ndim - 1) for _, value in like}
        starts |= {id(v): (first, 1) for _, v in values if v.shape[:2] == part.shape}
        parts.append(part.cpu())
        columns[name] = range(first, first + part.shape[1])
        first = columns[name].stop
    return BatchTokens(torch.cat(parts, dim=1), columns, starts) if parts else None


def _tensors_by_name(named: FieldsView) -> Iterator[tuple[str, Tensor]]:
    for key, value in named.items():
        if isinstance(value, dict):
            yield from _tensors_by_name(value)
        else:
            yield from ((key, tensor) for tensor in tensors_in(value))


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
