"""numba's decorator for the kernels of this package.

Its cache is right and never in the way.

numba keeps a compiled function next to its source, and knows it by that source file alone. Three
things go wrong there. Where neither that folder nor the user's can be written, numba refuses to
compile. A kernel that has another one compiled into it stays as it was when only the other's file
changes, as in an upgrade of the package. And a second copy of the package, such as a new
environment, compiles all of it again. So the cache lies in a folder of its own, named after the
sources of all kernels that can reach one another and after numba's version, wherever they lie.
Where no folder can be written there is no cache. A cache that cannot be read or written stops
nothing.
"""

from __future__ import annotations

import hashlib
import inspect
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numba
from numba.core import caching, event

from neurosparse._internal import places
from neurosparse._internal.types import Foreign
from neurosparse.progress import compiling

Kernel = TypeVar("Kernel", bound=Callable[..., object])

_config: Foreign = numba.config  # made at run time, so unknown to a type checker


class _Compilations(event.Listener):
    """Tells `progress` of what numba compiles, which takes seconds; what it loads is no event."""

    def on_start(self, event: Foreign) -> None:
        compiling(event.data["dispatcher"].py_func.__name__)

    def on_end(self, event: Foreign) -> None:
        """Tell nobody: the work goes on."""


event.register("numba:compile", _Compilations())


def njit(**options: object) -> Callable[[Kernel], Kernel]:
    """Return numba's `njit` with the given options, and with a cache where one can be kept.

    NUMBA_CACHE_DIR is honoured.

    Examples
    --------
    >>> @njit(nogil=True)
    ... def twice(x):
    ...     return 2 * x
    >>> twice(3)
    6
    """

    def compiled(function: Kernel) -> Kernel:
        decorator: Foreign = numba.njit
        dispatcher = decorator(**options)(function)
        if _folder_of(function) is not None:
            cache: Foreign = _Cache
            dispatcher._cache = cache(function)
        kernel: Kernel = dispatcher
        return kernel

    return compiled


def _folder_of(function: Callable[..., object]) -> Path | None:
    return _folder(str(Path(inspect.getfile(function)).parent))


@lru_cache
def _folder(sources: str) -> Path | None:
    """Return the folder of the cache for the kernels of a folder of sources.

    None where none can be.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted({*Path(__file__).parent.glob("*.py"), *Path(sources).glob("*.py")}):
        try:
            digest.update(path.name.encode() + path.read_bytes())
        except OSError:  # an archive of sources, or none
            return None
    name = digest.hexdigest()[:16]
    chosen = _config.CACHE_DIR  # NUMBA_CACHE_DIR
    root = (chosen and places.writable(Path(chosen))) or places.cache_folder("kernels")
    return root and places.writable(root / name)


class _Place(caching._CacheLocator):
    """The folder in which numba keeps a kernel; its name says all that the code depends on."""

    def __init__(self, folder: Path, line: int) -> None:
        self._folder, self._line = folder, line

    @classmethod
    def from_function(cls, function: Callable[..., object], _file: str) -> _Place | None:
        folder = _folder_of(function)
        return None if folder is None else cls(folder, function.__code__.co_firstlineno)

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return self._folder.name

    def get_disambiguator(self) -> str:
        return str(self._line)


class _Compiled(caching.CompileResultCacheImpl):
    _locator_classes: Foreign = (_Place,)


class _Cache(caching.FunctionCache):
    """A cache that counts as empty where it cannot be read.

    One that cannot be written counts as absent.
    """

    _impl_class = _Compiled

    def load_overload(self, *arguments: object) -> object:
        """Load what was compiled for these types, if it is there."""
        try:
            load: Foreign = super().load_overload
            return load(*arguments)
        except Exception:  # damaged files raise whatever their bytes happen to mean
            flush: Foreign = self.flush
            with suppress(OSError):
                flush()  # or what is compiled anew could not be kept
            return None

    def save_overload(self, *arguments: object) -> None:
        """Save what was compiled for these types."""
        try:
            save: Foreign = super().save_overload
            save(*arguments)
        except Exception as error:
            _say_once(str(error))


@lru_cache
def _say_once(error: str) -> None:
    warnings.warn(f"compiled kernels are not kept for the next run ({error})", stacklevel=2)
