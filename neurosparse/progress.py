"""How long work tells how far it is: a callable that takes the share done and a few words."""

from collections.abc import Callable

Progress = Callable[[float, str], None]  # (share done in [0, 1], what is going on, at most 40 characters)


def quiet(done: float, text: str) -> None:
    """The progress that nobody watches."""
