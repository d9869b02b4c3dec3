"""Progress of long work: a callable that takes the share done and a few words."""

import sys
from collections.abc import Callable

# (share done in [0, 1], what is going on, at most 40 characters)
Progress = Callable[[float, str], None]


def quiet(done: float, text: str) -> None:
    """Report to nobody."""


def part_of(progress: Progress, low: float, high: float, name: str = "") -> Progress:
    """Return the progress of a part of the work, from the share `low` to `high` of the whole.

    Examples
    --------
    >>> part_of(lambda done, text: print(done, text), 0.5, 1.0, "seed 2")(0.5, "epoch 3")
    0.75 seed 2: epoch 3
    """
    before = f"{name}: " if name else ""
    return lambda done, text: progress(low + (high - low) * done, f"{before}{text}"[:40])


def on_stderr(done: float, text: str) -> None:
    """Show progress on one line of the error stream.

    A table that is printed can then be piped.
    """
    print(
        f"\r{100 * done:3.0f} %  {text:<60}",
        end="\n" if done == 1 else "",
        file=sys.stderr,
        flush=True,
    )
