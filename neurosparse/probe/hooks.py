"""Hooks that belong to one module alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


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


def idle() -> Callable[..., None]:
    """Return a hook that does nothing."""
    return _nothing


def _nothing(*_: object, **__: object) -> None:
    return None
