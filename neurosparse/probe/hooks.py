"""Hooks that belong to one module alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

T = TypeVar("T")


class OwnHook:
    """A hook that does nothing on a copy of its module, and none that stands in a file.

    Copies of a model that trains are made to average weights or to be saved; what watches or
    steers the training must not follow them.
    """

    def __init__(self, act: Callable[..., Any]) -> None:
        self.act = act

    def __call__(self, *args: object, **kwargs: object) -> Any:
        return self.act(*args, **kwargs)

    def __reduce__(self) -> tuple[Callable[[], Callable[..., None]], tuple[()]]:
        return idle, ()


def owners(module: nn.Module, kind: type[T]) -> list[T]:
    """Return the objects of a kind whose methods are called before each pass of a module."""
    acts = [getattr(hook, "act", None) for hook in module._forward_pre_hooks.values()]
    found = [getattr(act, "__self__", None) for act in acts]
    return [one for one in found if isinstance(one, kind)]


def put_last(handle: RemovableHandle) -> None:
    """Put a module's hook behind all its others of one kind.

    Where a pass fails, torch goes through a module's hooks as they stand. A hook that removes
    others stops it, unless it is the last.
    """
    if not torch.compiler.is_compiling() and (hooks := handle.hooks_dict_ref()) is not None:
        hooks.move_to_end(handle.id)


def idle() -> Callable[..., None]:
    """Return a hook that does nothing."""
    return _nothing


def _nothing(*_: object, **__: object) -> None:
    return None
