"""A copy of any torch module to work on, so that the module itself stays as it is.

`copy.deepcopy` refuses tensors that a computation gave. Modules hold such tensors: pruned ones and
those with the older weight and spectral normalisation keep the weight that they made last, others
keep an activation. Here these are copied by their values.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from types import MethodType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from neurosparse.probe.originals import check_module

M = TypeVar("M", bound=nn.Module)

_HALF = (torch.float16, torch.bfloat16)
_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def copied(model: M) -> M:
    """Return a deep copy of a module, without its compiled and its parallel wrappers.

    Parameters
    ----------
    model
        Any module of Python; it is left as it is.

    Raises
    ------
    TypeError
        For what is no module of Python: scripted, exported.
    ValueError
        For a module whose weights do not exist yet or have no values, or that holds something that
        cannot be copied.

    Examples
    --------
    >>> from torch.nn.utils import prune
    >>> model = prune.l1_unstructured(nn.Linear(2, 2), "weight", 0.5)
    >>> copied(model).weight.count_nonzero().item()
    2
    """
    plain: Any = _unwrapped(model)
    _check(plain)
    try:
        own = copy.deepcopy(plain, {id(t): t.detach().clone() for t in _computed(plain)})
    except Exception as error:  # the model's own parts: locks, open files, sockets
        raise ValueError(
            f"{type(plain).__name__} holds something that cannot be copied ({error}): take it out"
            " before"
        ) from error
    for name, child in reversed(list(own.named_modules())):
        if (inner := _unwrapped(child)) is not child:
            parent, _, last = name.rpartition(".")
            setattr(own.get_submodule(parent), last, inner)
    result: M = own
    return result


def in_single_precision(values: object) -> Any:
    """Return a tensor or a module in float32 where it is in half precision.

    A module is changed in place.
    """
    if isinstance(values, Tensor):
        return values.float() if values.dtype in _HALF else values
    if isinstance(values, nn.Module) and any(
        t.dtype in _HALF for t in (*values.parameters(), *values.buffers())
    ):
        return values.float()
    return values


def _unwrapped(model: object) -> Any:
    """Return the module inside of what `torch.compile` and parallel training put around it."""
    while True:
        if isinstance(model, _WRAPPERS):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            return model


def _check(model: object) -> None:
    kind = type(model).__name__
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError(f"{kind} is scripted: give the module that it was made from")
    check_module(model)
    assert isinstance(model, nn.Module)
    for name, t in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(t):
            raise ValueError(
                f"{kind} has weights that do not exist yet ({name}): run it once on inputs"
            )
        if t.is_meta:
            raise ValueError(f"{kind} has weights without values ({name} is meta): load them first")


def _computed(root: object) -> Iterator[Tensor]:
    """Yield the tensors that a computation gave, wherever a module holds them.

    They are in its attributes, and in containers and objects there.
    """
    seen: set[int] = set()
    waiting: list[Any] = [root]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            if not value.is_leaf:
                yield value
            continue
        if isinstance(value, type) or (callable(value) and not hasattr(value, "__dict__")):
            continue
        if isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            waiting.extend(value)
        elif isinstance(value, MethodType):
            waiting.append(value.__self__)
        waiting.extend(getattr(value, name, None) for name in _slots(type(value)))
        waiting.extend(getattr(value, "__dict__", {}).values())


def _slots(kind: type) -> Iterator[str]:
    for cls in kind.__mro__:
        names = cls.__dict__.get("__slots__", ())
        yield from [names] if isinstance(names, str) else names
