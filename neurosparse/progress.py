"""How long work tells how far it is: a callable that takes the share done and a few words."""

import sys
from collections.abc import Callable

Progress = Callable[[float, str], None]  # (share done in [0, 1], what is going on, at most 40 characters)


def quiet(done: float, text: str) -> None:
    """The progress that nobody watches."""


def on_stderr(done: float, text: str) -> None:
    """Progress on one line of the error stream, so that a table that is printed can be piped."""
    print(f"\r{100 * done:3.0f} %  {text:<60}", end="\n" if done == 1 else "", file=sys.stderr, flush=True)
