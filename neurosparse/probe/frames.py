"""Places of calls in the code, and calls that are still under way."""

from __future__ import annotations

import sys
from types import FrameType

Place = tuple[str, str, int, int]  # file, function, its first line, the instruction in it
_OWN = "neurosparse.probe"


def place_of_call(caller: FrameType | None = None) -> Place | None:
    """Return the place outside torch and this package that is being run.

    Parameters
    ----------
    caller
        Who called the model: what it runs itself is no place of the model's.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame is not caller:
        if not _name(frame).startswith(("torch.", _OWN)):
            code = frame.f_code
            return code.co_filename, code.co_qualname, code.co_firstlineno, frame.f_lasti
        frame = frame.f_back
    return None


def call_of_model() -> FrameType:
    """Return the call of the module whose hook this package is running."""
    frame = sys._getframe(1)
    while _name(frame).startswith(_OWN) and frame.f_back is not None:
        frame = frame.f_back
    return frame


def caller_of(call: FrameType) -> FrameType | None:
    """Return who made a call, outside torch."""
    frame: FrameType | None = call
    while frame is not None and _name(frame).startswith("torch."):
        frame = frame.f_back
    return frame


def is_under_way(call: FrameType) -> bool:
    """Return whether a call of this thread has not ended yet."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame is not call:
        frame = frame.f_back
    return frame is not None


def _name(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
