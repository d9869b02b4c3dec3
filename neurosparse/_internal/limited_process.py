"""Files of anyone's whose parser is native code, read by a process of their own.

That process has little time and memory, and hands them over as arrays.

Such parsers believe what a file says of itself. One that lies keeps them busy for ever, deaf to
Ctrl-C, or has them take gigabytes or break down; so none meets a file in the caller's process.
"""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import numpy as np

from neurosparse._internal.types import Array

# a path and options -> arrays by name, none of them of objects
Reader = Callable[..., Mapping[str, Array]]

MOST_BYTES = 16 * 2**30
_LEAST_MEMORY_BYTES, _MEMORY_RATIO = 512 * 2**20, 64  # for any file, and for each byte of it
_LEAST_CPU_S, _BYTES_PER_S = 5, 20_000_000
_PATIENCE = 20  # how many times its CPU time a process may take by the clock, on a busy machine
_REMEDY = "it is damaged or made to do harm; fetch or write it anew"
_SERVE = "from neurosparse._internal.limited_process import serve; serve()"


# ---- In the caller's process
# --------------------------------------------------------------------------------------------------


def read(
    path: Path,
    reader: Reader,
    *,
    options: Mapping[str, object] | None = None,
    library: str = "its parser",
    imports: tuple[str, ...] = (),
) -> dict[str, Array]:
    """Return what `reader`, a function of a module that imports fast, makes of a file or folder.

    It may take 0.5 GB of memory, 5 s of CPU time and 100 s by the clock, and more where the file is
    large. On Windows the clock alone counts, and macOS knows no limit of memory.

    Parameters
    ----------
    path
        The file or folder, handed to `reader`.
    reader
        Called as reader(path, **options) in the process; returns arrays by name.
    options
        Keyword arguments of `reader`, of plain JSON types.
    library
        How the parser is called in messages.
    imports
        Modules that are imported before the limits begin.

    Raises
    ------
    ValueError
        Where the reader refused it, a limit was reached or its library broke down; a sentence
        about "it", the file.
    RuntimeError
        Where the process failed by no fault of the file.
    """
    stored = min(path.stat().st_size, MOST_BYTES)
    most_bytes = min(_LEAST_MEMORY_BYTES + _MEMORY_RATIO * stored, 2 * MOST_BYTES)
    most_s = _LEAST_CPU_S + stored // _BYTES_PER_S
    task = {
        "module": reader.__module__, "name": reader.__name__, "options": dict(options or {}),
        "imports": list(imports),
    }  # fmt: skip
    what = [str(path), json.dumps(task), str(most_bytes), str(most_s)]
    try:
        done = _process(what, _PATIENCE * most_s)
    except subprocess.TimeoutExpired:
        raise _beyond(f"{_PATIENCE * most_s:,} s", stored) from None
    if done.returncode == errno.ENOMEM:
        raise _beyond(f"{most_bytes // 2**20:,} MB of memory", stored)
    if done.returncode < 0:
        cause = signal.Signals(-done.returncode).name
        if cause == "SIGXCPU":
            raise _beyond(f"{most_s:,} s of CPU time", stored)
        raise ValueError(f"{library} broke down on it ({cause}): {_REMEDY}")
    if done.returncode:
        raise RuntimeError(
            f"the process that reads {path} failed: {done.stderr.decode(errors='replace').strip()}"
        )
    stream = io.BytesIO(done.stdout)
    heading = json.loads(stream.readline())
    if heading["refused"]:
        raise ValueError(heading["refused"])
    return {name: np.load(stream, allow_pickle=False) for name in heading["names"]}


def _process(what: list[str], timeout_s: float) -> subprocess.CompletedProcess[bytes]:
    """Run `serve` in a process of its own, which ends with this call, and imports as we do."""
    paths = [*filter(None, sys.path), str(Path(__file__).parents[2])]
    # the memory of threads would count
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-P", "-c", _SERVE, *what],
        stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=timeout_s,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **single},
    )  # fmt: skip


def _beyond(limit: str, stored: int) -> ValueError:
    return ValueError(f"reading its {stored:,} bytes takes more than {limit}: {_REMEDY}")


# ---- In the process that reads
# --------------------------------------------------------------------------------------------------


def serve() -> None:
    """Read as the command line says, and write the arrays to standard output.

    A line of JSON comes first, then the arrays, one after another.
    """
    path, told, most_bytes, most_s = sys.argv[1:]
    task = json.loads(told)
    reader = getattr(import_module(task["module"]), task["name"])
    for module in task["imports"]:
        import_module(module)
    _limit(int(most_bytes), int(most_s))
    try:
        try:
            arrays, refused = read_here(Path(path), reader, task["options"]), ""
        except ValueError as error:
            arrays, refused = {}, str(error)
        # NumPy writes to no buffered pipe
        with open(sys.stdout.fileno(), "wb", buffering=0, closefd=False) as answer:
            answer.write(json.dumps({"refused": refused, "names": list(arrays)}).encode() + b"\n")
            for array in arrays.values():
                np.save(answer, array, allow_pickle=False)
    except MemoryError:
        sys.exit(errno.ENOMEM)


def read_here(path: Path, reader: Reader, options: Mapping[str, object]) -> Mapping[str, Array]:
    """Read as `read` does, in this process, without limits; MemoryError where it takes too much."""
    try:
        return reader(path, **options)
    except MemoryError:
        raise
    except Exception as error:  # parsers say all kinds of things of a damaged file
        if "memory allocation failed" in str(error) or "malloc of size" in str(error):
            raise MemoryError from None
        raise ValueError(_reason(error)) from None


def _limit(most_bytes: int, most_s: int) -> None:
    try:
        import resource
    except ImportError:
        return
    limits = (
        (resource.RLIMIT_AS, most_bytes),
        (resource.RLIMIT_CPU, most_s),
        (resource.RLIMIT_CORE, 0),
    )
    for kind, most in limits:
        hard = resource.getrlimit(kind)[1]
        with suppress(ValueError, OSError):  # macOS knows no limit of memory
            resource.setrlimit(
                kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
            )


def _reason(error: Exception) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    if "truncated" in text:
        return "it is cut off"
    return text if isinstance(error, ValueError) else f"it is damaged ({text})"
