"""Batches of inputs, and how each is given to a model; one that is not understood is refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from neurosparse._internal.types import Fields
from neurosparse._internal.units import plain
from neurosparse.data import ImageSet
from neurosparse.probe.tokens import (
    TARGETS,
    BatchTokens,
    inputs_by_name,
    parameters_of,
    positional,
    tokens_in,
)

MOST_SAMPLES = 500  # at a time
_MOST_NUMBERS, _MOST_WORDS = 2**22, 2**14  # in a batch of images, of texts


class Inputs(NamedTuple):
    """A call of a model."""

    args: tuple[Any, ...]
    kwargs: Fields
    tokens: BatchTokens | None = None  # where a mask says which of them count


def batches(data: Any, batch_size: int | None, mask: Any = None) -> Iterator[tuple[Any, Any]]:
    """Yield `data` as batches, each with its part of the mask."""
    if isinstance(data, ImageSet):
        data = data.images
    if isinstance(data, Mapping):
        data = {key: _of_samples(key, value) for key, value in data.items()}
        parted = {key: value for key, value in data.items() if np.ndim(value)}
        lengths = {key: len(value) for key, value in parted.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(
                f"the inputs in data must be of one length along axis 0, got {lengths or 'none'}"
            )
        n = next(iter(lengths.values()))
        step = batch_size or _fitting([np.shape(v) for v in parted.values()], _all_whole(parted))
        mask = _checked(mask, n)
        for i in range(0, n, step):
            part = slice(i, i + step)
            batch = data | {key: value[part] for key, value in parted.items()}
            yield batch, _part(mask, part, batch)
        return
    if isinstance(data, Tensor | np.ndarray):
        _check_dense(data)
        if data.ndim < 2:
            raise ValueError(
                "data must have samples along axis 0 and at least 2 axes, got shape"
                f" {tuple(data.shape)}"
            )
        step = batch_size or _fitting([tuple(data.shape)], _all_whole({"data": data}))
        mask = _checked(mask, len(data))
        for i in range(0, len(data), step):
            batch = data[i : i + step]
            yield batch, _part(mask, slice(i, i + step), batch)
        return
    if isinstance(data, Dataset):
        raise TypeError(
            "data is a torch Dataset, which yields single samples; wrap it: DataLoader(data,"
            " batch_size=...)"
        )
    if not isinstance(data, Iterable) or isinstance(data, str | bytes):
        raise TypeError(
            "data must be a tensor, an array, an ImageSet, a dict of them or an iterable of"
            f" batches, got {type(data).__name__}"
        )
    if batch_size is not None:
        raise ValueError(
            f"batch_size is for inputs in one piece, got batch_size={batch_size} for data that come"
            " in batches: leave it out"
        )
    if mask is not None and not callable(mask):
        if not isinstance(mask, Iterable) or isinstance(mask, str | bytes | Tensor | np.ndarray):
            raise ValueError(
                "where data come in batches, mask is an iterable of one mask a batch, or a function"
                f" of a batch; got {type(mask).__name__}"
            )
        yield from zip(data, mask, strict=True)
        return
    for batch in data:
        yield batch, None if mask is None else mask(batch)


def _of_samples(key: object, value: Any) -> Any:
    """Return an input of a dict as samples along axis 0; a setting of the model as it is."""
    if not isinstance(value, list | tuple):
        return value
    try:
        return np.asarray(value)
    except ValueError:
        raise ValueError(
            f"input {key!r} is a list of entries of unequal length: pad them, and give a mask"
        ) from None


def _part(mask: Any, part: slice, batch: object) -> Any:
    """Return the mask of a batch."""
    return mask(batch) if callable(mask) else None if mask is None else mask[part]


def _fitting(shapes: Iterable[tuple[int, ...]], whole: bool) -> int:
    """Return how many samples fit a batch: fewer of large ones, since layers are larger still."""
    most = _MOST_WORDS if whole else _MOST_NUMBERS
    largest = max(prod(shape[1:]) for shape in shapes)
    return max(1, min(MOST_SAMPLES, most // max(1, largest)))


def _all_whole(data: Mapping[str, object]) -> bool:
    """Return whether all inputs are whole numbers, as words are; bytes are those of images."""
    kinds = {str(getattr(value, "dtype", "float")).rpartition(".")[2] for value in data.values()}
    return all(kind.startswith(("int", "bool")) for kind in kinds)


def _checked(mask: object, n: int) -> Any:
    if mask is None or callable(mask):
        return mask
    if not isinstance(mask, Tensor | np.ndarray):
        mask = np.asarray(mask)
    if mask.ndim != 2 or len(mask) != n:
        raise ValueError(
            f"mask must have shape ({n}, tokens), a row for each sample, got {tuple(mask.shape)}"
        )
    if bool(torch.isnan(torch.as_tensor(mask)).any()):
        raise ValueError("mask must hold numbers, got NaN")
    return mask


def inputs_of(
    model: nn.Module,
    batch: object,
    mask: object,
    like: Tensor,
    forward: Callable[..., Any] | None,
    runs_on: Callable[[Any], bool] = lambda _batch: False,
) -> Inputs:
    """Return how a batch is given to a model, on the device and in the precision of `like`.

    A dict is given by its names, without labels that the model does not take. Of a tuple or a list
    the model gets as many as it needs, and a mask if it takes one by that name. A pair for a model
    of one input is (inputs, targets). Tensors of samples are a list for a model that `runs_on` one.

    Raises
    ------
    ValueError, TypeError
        For a batch that is empty, or not understood.
    """
    args: tuple[Any, ...]
    kwargs: Fields
    if forward is None:
        _check_dense(batch)
    if forward is not None:
        args, kwargs = (_moved(batch, like, strict=False),), {}
    elif isinstance(batch, Mapping):
        args, kwargs = (), _moved(_accepted(model, batch), like)
    elif isinstance(batch, tuple | list) and len(batch):
        args, kwargs = _of_sequence(model, batch, like, runs_on)
    else:
        args, kwargs = (_moved(batch, like),), {}
    whole = args[0] if forward is not None else None
    named = whole if isinstance(whole, dict) else inputs_by_name(model, args, kwargs)
    return Inputs(args, kwargs, tokens_in(model, named, mask))


def _check_dense(batch: Any) -> None:
    """Refuse tensors whose samples cannot be told apart by their strides."""
    if isinstance(batch, Mapping):
        batch = list(batch.values())
    for each in batch if isinstance(batch, tuple | list) else (batch,):
        if isinstance(each, Tensor) and each.is_nested:
            raise ValueError(
                "a batch must be a dense tensor, got a nested one: pass"
                " torch.nested.to_padded_tensor(x, 0.0) and a mask"
            )
        if isinstance(each, Tensor) and each.layout != torch.strided:
            layout = str(each.layout).removeprefix("torch.")
            raise ValueError(
                f"a batch must be a dense tensor, got a {layout} one: pass x.to_dense()"
            )


def _of_sequence(
    model: nn.Module, batch: Any, like: Tensor, runs_on: Callable[[Any], bool]
) -> tuple[tuple[Any, ...], Any]:
    names, n_needed, n_most = _parameters(model)
    first = batch[0]
    if isinstance(first, int | float):
        raise TypeError(
            f"a batch must be a tensor or an array, got a list of {type(first).__name__}"
        )
    if len(batch) < n_needed and not isinstance(first, Mapping):
        raise ValueError(
            f"{type(model).__name__} takes {n_needed} inputs ({', '.join(names[:n_needed])}),"
            f" and a batch has {len(batch)}"
        )
    if len(batch) == 1 or n_most == 1:
        second = batch[1] if len(batch) > 1 else None
        if all(isinstance(each, Tensor | np.ndarray) and each.ndim > 1 for each in batch):
            whole = [_moved(each, like) for each in batch]
            if runs_on(whole):
                return (whole,), {}
        if _same_kind(first, second):
            raise ValueError(
                f"a batch of {len(batch)} tensors of one shape {tuple(first.shape)} does not say"
                f" what {type(model).__name__} takes: pass forward=lambda model, batch: ..."
            )
        if isinstance(first, Mapping):
            return (), _moved(_accepted(model, first), like)
        return (_moved(first, like),), {}
    if isinstance(first, Mapping):
        return (), _moved(_accepted(model, first), like)
    if n_needed > 1 or (n_needed == 0 and n_most is None):
        return tuple(_entry(each, like) for each in batch[: max(n_needed, 1)]), {}
    # one input is needed and others may be given: a mask by its name, targets left out
    kwargs, rest = {}, list(batch[1:])
    masks = [name for name in names[1:] if name.endswith("mask")]
    if rest and masks and _is_mask(rest[0], first):
        kwargs[masks[0]] = rest.pop(0)
    if len(rest) > 1 or (rest and not _are_targets(rest[0], first, names)):
        raise ValueError(
            f"a batch of {len(batch)} entries does not say which of the inputs"
            f" ({', '.join(names[:4])}) of {type(model).__name__} they are: pass dicts, or"
            " forward=lambda model, batch: ..."
        )
    if kwargs:
        return (), _moved({names[0]: first, **kwargs}, like)
    return (_moved(first, like),), {}


def _parameters(model: nn.Module) -> tuple[list[str], int, int | None]:
    """Return the names of a model's positional inputs, how many it needs, and how many it takes."""
    try:
        found = parameters_of(model)
    except (TypeError, ValueError):
        return [], 1, 1
    placed = positional(found)
    needed = sum(p.default is p.empty for p in placed)
    endless = any(p.kind is p.VAR_POSITIONAL for p in found.values())
    most = None if endless else len(placed)
    if endless and not placed:
        return [], 1, 1
    return [p.name for p in placed], needed, most


def _accepted(model: nn.Module, batch: Mapping[str, object]) -> Fields:
    """Return the inputs by name, without the labels that a model does not take."""
    try:
        own, found = inspect.signature(model.forward).parameters, parameters_of(model)
    except (TypeError, ValueError):
        return dict(batch)
    if any(p.kind is p.VAR_KEYWORD for p in own.values()):
        return {
            key: value
            for key, value in batch.items()
            if key in found or not key.startswith(TARGETS)
        }
    for key in batch:
        if key not in found and not key.startswith(TARGETS):
            raise ValueError(
                f"{type(model).__name__} takes no input {key!r}; it takes {', '.join(found)}"
            )
    return {key: value for key, value in batch.items() if key in found}


def _same_kind(a: object, b: object) -> bool:
    return (
        isinstance(a, Tensor | np.ndarray)
        and isinstance(b, Tensor | np.ndarray)
        and tuple(a.shape) == tuple(b.shape)
        and a.ndim > 1
        and a.dtype == b.dtype
    )


def _is_mask(value: Any, first: Any) -> bool:
    if not isinstance(value, Tensor | np.ndarray) or value.shape != first.shape[:2]:
        return False
    return bool(((value == 0) | (value == 1)).all())


def _are_targets(value: object, first: object, names: list[str]) -> bool:
    """Return whether a second entry can be the targets: one a sample, or the model names them."""
    if any(name.startswith((*TARGETS, "y")) for name in names[1:2]):
        return True
    return isinstance(value, Tensor | np.ndarray) and value.ndim <= 1


def _entry(value: object, like: Tensor, strict: bool = True) -> Any:
    """Return one of several inputs; a setting or a state of the model goes along as it is."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    holds = isinstance(value, Tensor | list | tuple | set | bytes | Mapping | Iterator)
    if not holds and not hasattr(value, "__array__"):  # such as a cache of keys and values
        return value
    return _moved(value, like, strict)


def _moved(batch: object, like: Tensor, strict: bool = True) -> Any:
    """Return inputs on the model's device, floats in the model's precision."""
    if isinstance(batch, Mapping):
        return {key: _entry(value, like, strict) for key, value in batch.items()}
    if isinstance(batch, tuple | list) and not strict:
        return [_moved(value, like, strict) for value in batch]
    if not isinstance(batch, Tensor | np.ndarray):
        if not strict:
            return batch
        raise TypeError(
            "a batch must be a tensor, an array, a dict of them or an (inputs, targets) pair, got"
            f" {type(batch).__name__}"
        )
    if batch.ndim and len(batch) == 0:
        raise ValueError(f"a batch is empty, shape {tuple(batch.shape)}: nothing to measure")
    # a copy: the array may be read-only
    tensor = batch if isinstance(batch, Tensor) else _tensor(plain("data", batch))
    floats = tensor.is_floating_point() and like.is_floating_point()
    moved = tensor.to(like.device, like.dtype if floats else tensor.dtype)
    return moved.view_as(moved) if moved is batch else moved


def _tensor(array: Any) -> Tensor:
    """Return a copy of an array in any order of bytes and with any strides."""
    if array.dtype.kind not in "biufc":
        raise TypeError(f"data must be numbers, got an array of {array.dtype}")
    return torch.tensor(np.ascontiguousarray(array, array.dtype.newbyteorder("=")))
