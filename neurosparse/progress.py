"""Progress of long work: a callable that takes the share done and a few words."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MOST = 40
# (share done in [0, 1], what is going on, at most `MOST` characters)
Progress = Callable[[float, str], None]


def quiet(done: float, text: str) -> None:
    """Report to nobody."""


def check_progress(progress: object) -> None:
    """Refuse what cannot be told about progress with a TypeError."""
    if not callable(progress):
        raise TypeError(
            "progress must be a function of the share done and a few words, got"
            f" {progress!r}: leave it out to be told nothing"
        )


def shortened(text: str, most: int = MOST) -> str:
    """Return a text of at most `most` characters, cut at a comma or else between two words.

    No number is cut, unless a word alone is longer.

    Examples
    --------
    >>> shortened("rectifier_l1: seed 12, epoch 11/20, error 9.87 %")
    'rectifier_l1: seed 12, epoch 11/20'
    """
    if len(text) <= most:
        return text
    for between, least in ((", ", most // 2), (" ", 1)):
        before = text[: most + len(between)].rpartition(between)[0]
        if len(before) >= least:
            return before.rstrip(" ,:;")
    return text[:most]


def part_of(progress: Progress, low: float, high: float, name: str = "") -> Progress:
    """Return the progress of a part of the work, from the share `low` to `high` of the whole.

    Examples
    --------
    >>> part_of(lambda done, text: print(done, text), 0.5, 1.0, "seed 2")(0.5, "epoch 3")
    0.75 seed 2: epoch 3
    """
    before = f"{name}: " if name else ""
    return lambda done, text: progress(low + (high - low) * done, shortened(before + text))


_hearers: list[Callable[[str], None]] = []


@contextmanager
def with_compilation(progress: Progress) -> Iterator[Progress]:
    """Give a progress that also says which kernel is compiled, while the work stands still.

    Examples
    --------
    >>> with with_compilation(lambda done, text: print(done, text)) as told:
    ...     told(0.5, "epoch 3")
    ...     compiling("add_rows")
    0.5 epoch 3
    0.5 compiling, once: add_rows
    """
    share = 0.0

    def kept(done: float, text: str) -> None:
        nonlocal share
        share = done
        progress(done, text)

    def hear(name: str) -> None:
        progress(share, shortened(f"compiling, once: {name}"))

    _hearers.append(hear)
    try:
        yield kept
    finally:
        _hearers.remove(hear)


def compiling(name: str) -> None:
    """Tell who listens that a kernel is being compiled."""
    for hear in _hearers:
        hear(name)


class OnStderr:
    """Show progress on the error stream, so that a table that is printed can be piped.

    On a terminal one line is written over and over. In a file, such as the log of a batch job, each
    per cent has a line.
    """

    def __init__(self) -> None:
        self._per_cent = -1  # of the last line

    def __call__(self, done: float, text: str) -> None:
        """Show the share that is done, in [0, 1], and what is going on."""
        per_cent = int(100 * done + 1e-9)
        if sys.stderr.isatty():
            end = "\n" if done == 1 else ""
            print(f"\r{per_cent:3d} %  {text:<60}", end=end, file=sys.stderr, flush=True)
        elif per_cent != self._per_cent:
            print(f"{per_cent:3d} %  {text}", file=sys.stderr, flush=True)
        self._per_cent = per_cent


on_stderr = OnStderr()
