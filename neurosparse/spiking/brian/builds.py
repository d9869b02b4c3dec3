"""Compiled Brian2 projects that are kept: each distinct C++ code is compiled once per machine.

A build is one executable file in the user's cache, `<key>-<digest>`. The key is a hash of all that
decides it: the sources, the makefile, Brian2's version, the compiler and the processor it compiles
for. The digest is that of the executable itself. So a build appears whole by its rename, any number
of processes may build at once, and a damaged one is known by its name.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import warnings
from functools import lru_cache
from pathlib import Path

from neurosparse._internal import places
from neurosparse._internal import whole_files as files
from neurosparse._internal.threads import cores
from neurosparse.progress import Progress, quiet

# what a project reads and writes, as opposed to what it is
_DATA_FOLDERS = ("static_arrays", "results")


class CompilationError(RuntimeError):
    """The compiler refused a project; the message carries its own last words."""


def cache_folder() -> Path | None:
    """Return where builds are kept, or None where no place can be written.

    See `places.cache_folder`.
    """
    return places.cache_folder("brian2")


def compiler() -> str | None:
    """Return the C++ compiler that `make` will call: $CXX or g++.

    None where it or `make` is missing, and on Windows.
    """
    name = os.environ.get("CXX") or "g++"
    found = os.name == "posix" and shutil.which(name.split()[0]) and shutil.which("make")
    return name if found else None


def executable(project: Path, *, version: str, progress: Progress = quiet) -> Path:
    """Return the executable of a generated Brian2 project.

    From the cache, or compiled in `project` and put there.

    Parameters
    ----------
    project
        Folder with the generated sources and makefile. Its `static_arrays` are data and do not
        count.
    version
        The version of what generated it.
    progress
        Told how far the compilation is.

    Raises
    ------
    CompilationError
        With the last lines of the compiler's output.
    """
    key = _key(project, version)
    folder = cache_folder()
    if kept := folder and _kept(folder, key):
        return kept
    progress(0.0, "compiling (once for this model)")
    made = _compile(project)
    if folder is None:
        return made
    try:
        final = folder / f"{key}-{_digest(made)}"
        with files.new_file(final) as temporary:
            shutil.copyfile(made, temporary)
        final.chmod(0o755)
    except OSError as error:
        warnings.warn(
            f"the build is not kept for the next run ({error}); set NEUROSPARSE_CACHE", stacklevel=2
        )
        return made
    return final


def _kept(folder: Path, key: str) -> Path | None:
    """Return the whole, unharmed build of `key`; harmed ones are removed."""
    for path in folder.glob(f"{key}-*"):
        if path.name == f"{key}-{_digest(path)}":
            path.chmod(0o755)
            return path
        path.unlink(missing_ok=True)
    return None


def _key(project: Path, version: str) -> str:
    digest = hashlib.sha256(f"{version}\n{_compiler_identity(compiler() or '')}\n".encode())
    for path in sorted(project.rglob("*")):
        relative = path.relative_to(project)
        if path.is_file() and relative.parts[0] not in _DATA_FOLDERS:
            digest.update(
                f"{relative.as_posix()}\n{path.stat().st_size}\n".encode() + path.read_bytes()
            )
    return digest.hexdigest()[:32]


@lru_cache
def _compiler_identity(name: str) -> str:
    """Return what the compiler says it would do for this processor.

    Its version, and every flag that -march=native stands for.
    """
    command = [*name.split(), "-march=native", "-###", "-E", "-x", "c++", os.devnull]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def _compile(project: Path) -> Path:
    command = ["make", f"-j{cores()}", f"CXX={compiler()}"]
    # the compiler's own temporary files go where the project goes
    make = subprocess.Popen(
        command,
        cwd=project,
        env={**os.environ, "TMPDIR": str(project)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = make.communicate()
    except BaseException:  # stopped: the compilers that it started stop with it
        os.killpg(make.pid, signal.SIGKILL)
        make.communicate()
        raise
    if make.returncode:
        last_words = "\n".join((err or out).strip().splitlines()[-8:])
        raise CompilationError(f"the generated C++ code does not compile:\n{last_words}")
    return project / "main"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]
