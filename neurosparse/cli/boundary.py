"""The boundary of the program: every error ends in one sentence and an exit code.

A signal removes what is half-made. An output that nobody reads is no failure of the work.
"""

from __future__ import annotations

import codecs
import os
import shutil
import signal
import sys
import textwrap
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, TextIO

from neurosparse._internal import names, scratch
from neurosparse._internal.imports import explained
from neurosparse.cli import wording

BAD_INPUT, INTERRUPTED, BUG_HINT = 2, 130, " (--debug shows where)"
_LONGEST = 1500
_AGAIN_S = 0.05
_ERRORS = "neurosparse.plain"  # how a character is written that the terminal does not have
_NOTHING = "no result was written, and older results are as they were"
_PLAIN = {"±": "+-", "–": "-", "—": "-", "≤": "<=", "≥": ">=", "µ": "u", "μ": "u", "…": "...",
          "×": "x", "→": "->", "²": "2", "°": "deg"}  # fmt: skip


@dataclass(slots=True)
class Ending:
    """State of the program that decides how it ends."""

    signal: int | None = None  # that stopped it
    written: bool = False  # whether results are in their place
    kept: str = ""  # what is kept where it is stopped
    options: dict[str, tuple[str, str]] = field(default_factory=dict)  # flag and metavar, by name
    streams: list[Patient] = field(default_factory=list)


class Patient:
    """A stream that remembers that it cannot be written, and lets the work go on."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        self._try(lambda: self.stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self.stream.flush)

    def _try(self, act: Callable[[], object]) -> None:
        if self.error is None:
            try:
                act()
            except OSError as error:
                self.error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


ending = Ending()


def run(program: Callable[[], int | None], *, debug: bool) -> int:
    """Run a program and return its exit code.

    The code is 2 after one sentence on the error stream where the program failed, and 128 + N where
    signal N stopped it.
    """
    global ending
    ending = Ending()
    with _streams(), _signals():
        try:
            code = _code(program, debug=debug)
        finally:
            with _deaf():
                scratch.clean_up(for_good=ending.signal is not None)
        return _after_output(code)


def results_are_written() -> None:
    """Note that the results are in their place.

    What cannot be printed from here on, for want of memory or room, is no failure.
    """
    ending.written = True


def keeps(what: str) -> None:
    """Note what a command that is stopped leaves, such as "networks that are trained are kept"."""
    ending.kept = what


def takes(options: dict[str, tuple[str, str]]) -> None:
    """Note the options of the command that runs, for `worded`: flag and metavar by name."""
    ending.options = options


def worded(text: str) -> str:
    """Return a sentence of the library's as the command that runs says it, on one line."""
    return names.one_line(wording.in_options(text, ending.options))


def _code(program: Callable[[], int | None], *, debug: bool) -> int:
    try:
        code = int(program() or 0)
    except SystemExit as ended:
        if not (ended.code is None or isinstance(ended.code, int)):
            return _fail(names.one_line(str(ended.code)))
        code = ended.code or 0
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BaseException as error:
        if ending.signal is None:
            if debug:
                traceback.print_exc()
            if hasattr(error, "exit_code"):
                return _usage(error)
            if ending.written:
                _say(f"{sentence(error)}; the results are in their place")
                return 0 if isinstance(error, MemoryError | OSError) else BAD_INPUT
            return _fail(sentence(error))
        code = INTERRUPTED  # a library made something else of the signal
    if code == INTERRUPTED:
        left = "the results are in their place" if ending.written else ending.kept or _NOTHING
        print(f"neurosparse: stopped; {left}", file=sys.stderr)
        return INTERRUPTED if ending.signal is None else 128 + ending.signal
    return code


def sentence(error: BaseException) -> str:
    """Return what happened, in one line that a terminal can show."""
    if isinstance(error, ModuleNotFoundError):
        error = explained(error, "this command")
    kind, text = type(error).__name__, _told(error)
    if isinstance(error, MemoryError):
        sentence = f"there is not enough memory{text and ': '}{text}"
    elif isinstance(error, RecursionError):
        sentence = f"something is nested too deeply ({text})" + BUG_HINT
    elif text and (
        isinstance(error, OSError | ValueError) or type(error).__module__.startswith("neurosparse.")
    ):
        sentence = text
    else:
        sentence = (f"{kind}: {text}" if text else kind) + BUG_HINT
    line = worded(sentence)
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"


def _told(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return str(error)


def _usage(error: Any) -> int:
    """Report an error in the words on the command line, which Typer has found."""
    if type(error).__name__.startswith("NoArgs"):  # of a group of commands: it is the help
        print(error.format_message())
        return 0
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "neurosparse"
    sentence = names.one_line(error.format_message()).rstrip(".") + _given(error)
    return _fail(f"{sentence}{'' if sentence.endswith('?') else ';'} see `{path} --help`")


def _given(error: object) -> str:
    """Return the value of the option that an error is about, which Typer leaves out."""
    options = getattr(getattr(error, "param", None), "opts", [])
    words = sys.argv[1:]
    for option, value in zip(words, [*words[1:], ""], strict=True):
        name, equals, inline = option.partition("=")
        if name in options and name.startswith("-"):
            return f", got {inline if equals else value!r}"
    return ""


def _fail(sentence: str) -> int:
    _say(sentence)
    return BAD_INPUT


def _say(sentence: str) -> None:
    """Print a sentence on the error stream; a terminal gets it with its words whole."""
    text = f"neurosparse: {sentence}"
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns
        text = textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
    print(text, file=sys.stderr)


def _after_output(code: int) -> int:
    """Flush the output and return the exit code; say what could not be printed."""
    for stream in ending.streams:
        stream.flush()
    out, errors = ending.streams
    for stream in ending.streams:
        if stream.error is not None:
            _silence(stream.stream)
    if out.error is None or isinstance(out.error, BrokenPipeError) or code:
        return code  # whoever read the output has enough of it
    written = "; the results are in their place" if ending.written else ""
    print(f"neurosparse: cannot print: {out.error.strerror}{written}", file=errors)
    return 0 if ending.written else BAD_INPUT


def _silence(stream: TextIO) -> None:
    """Let what is left in a stream's buffer go nowhere, or Python fails on it at its end."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextmanager
def _streams() -> Iterator[None]:
    """Make the output and the error stream patient, and able to write every character.

    Warnings become one line each.
    """
    codecs.register_error(_ERRORS, _in_plain_letters)
    before = sys.stdout, sys.stderr, warnings.showwarning
    kept = []
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
        kept.append((stream, getattr(stream, "errors", None)))
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_ERRORS)
        ending.streams.append(Patient(stream))
        setattr(sys, name, ending.streams[-1])
    warnings.showwarning = _show_warning
    try:
        yield
    finally:
        sys.stdout, sys.stderr, warnings.showwarning = before
        for stream, errors in kept:
            with suppress(OSError, ValueError):
                if hasattr(stream, "reconfigure"):
                    stream.reconfigure(errors=errors)


def _in_plain_letters(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(_PLAIN.get(c, "?") for c in bad), error.end


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if issubclass(category, UserWarning | RuntimeWarning):
        _say(f"note: {worded(str(message))}")


@contextmanager
def _signals() -> Iterator[None]:
    """Let SIGTERM, and a terminal that is closed, end the work as Ctrl-C does.

    Python drops an exception in a callback from C, such as a compiler's. A signal that is lost so
    is sent again. What else is dropped after a signal is not told: objects that were being made
    cannot be taken down in order.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        ending.signal = number
        raise KeyboardInterrupt

    def ignore(number: int, frame: FrameType | None) -> None:
        """Do nothing: Brian2 calls the handler that it finds, and SIG_IGN cannot be called."""

    def lost(what: sys.UnraisableHookArgs) -> None:
        if ending.signal is None:
            hook(what)
        elif issubclass(what.exc_type, KeyboardInterrupt):
            again = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), ending.signal))
            again.daemon = True
            again.start()

    def lost_in_thread(what: threading.ExceptHookArgs) -> None:
        if ending.signal is None:
            hook_of_threads(what)

    before = {}
    hook, sys.unraisablehook = sys.unraisablehook, lost
    hook_of_threads, threading.excepthook = threading.excepthook, lost_in_thread
    for number in _stopping():
        ignored = signal.getsignal(number) is signal.SIG_IGN  # nohup, or started with & in a script
        with suppress(ValueError):  # not in the main thread
            before[number] = signal.signal(number, ignore if ignored else stop)
    try:
        yield
    finally:
        if ending.signal is None:  # else the process is about to end
            sys.unraisablehook, threading.excepthook = hook, hook_of_threads
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _deaf() -> Iterator[None]:
    """Let no further signal end what is put in order."""
    before = {}
    for number in _stopping():
        with suppress(ValueError):
            before[number] = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stopping() -> list[signal.Signals]:
    known = "SIGINT", "SIGTERM", "SIGHUP"
    return [signal.Signals[name] for name in known if hasattr(signal, name)]
