"""Hooks that belong to one module alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

from torch import nn

T = TypeVar("T")


class OwnHook:
    """A hook that does nothing on a copy of its module, and none that stands in a file.

    Copies of a model that trains are made to average weights or to be saved; what watches or
    steers the training must not follow them. A file names nothing but Python's own modules, so
    that it is read where this package is not.
    """

    def __init__(self, act: Callable[..., Any]) -> None:
        self.act = act

    def __call__(self, *args: object, **kwargs: object) -> Any:
        return self.act(*args, **kwargs)

    def __deepcopy__(self, _memo: object) -> Callable[..., None]:
        return _nothing

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, str]]:
        return getattr, (nullcontext(), "__exit__")  # it takes anything and does nothing

    @property
    def __name__(self) -> str:
        """The name that `torch.jit.script` asks for, of hooks that it could compile."""
        raise AttributeError(
            "the model is watched or steered, and torch.jit.script cannot compile the hooks for"
            " that: close the watch or remove the sparsifier first"
        )


def owners(module: nn.Module, kind: type[T]) -> list[T]:
    """Return the objects of a kind whose methods are called before each pass of a module."""
    acts = [getattr(hook, "act", None) for hook in module._forward_pre_hooks.values()]
    found = [getattr(act, "__self__", None) for act in acts]
    return [one for one in found if isinstance(one, kind)]


def _nothing(*_: object, **__: object) -> None:
    return None
