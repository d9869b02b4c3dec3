"""numba's decorator for the kernels of this package.

Its cache is right and never in the way.

numba keeps a compiled function next to its source, and knows it by that source file alone. Two
things go wrong there. Where neither that folder nor the user's can be written, numba refuses to
compile. And a kernel that has another one compiled into it stays as it was when only the other's
file changes, as in an upgrade of the package. So the cache lies in a folder of its own, named after
the sources of all kernels that can reach one another and after numba's version. Where no folder can
be written there is no cache. A cache that cannot be read or written stops nothing.
"""

from __future__ import annotations

import hashlib
import inspect
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numba

from neurosparse._internal import places
from neurosparse._internal.types import Foreign

Kernel = TypeVar("Kernel", bound=Callable[..., object])

_config: Foreign = numba.config  # made at run time, so unknown to a type checker
_lock = threading.Lock()  # numba takes the folder from a variable of the process


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
        folder = _folder(str(Path(inspect.getfile(function)).parent))
        kept = None if folder is None else _kept(decorator(cache=True, **options), function, folder)
        plain: Kernel = decorator(**options)(function) if kept is None else kept
        return plain

    return compiled


def _kept(decorate: Foreign, function: Kernel, folder: Path) -> Kernel | None:
    """Return the kernel, which keeps its code in `folder`; None where the folder went away."""
    with _lock:
        before, _config.CACHE_DIR = _config.CACHE_DIR, str(folder)
        try:
            dispatcher: Foreign = decorate(function)
        except RuntimeError:  # "no locator available"
            return None
        finally:
            _config.CACHE_DIR = before
    _forgiving(dispatcher._cache)
    kernel: Kernel = dispatcher
    return kernel


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


def _forgiving(cache: Foreign) -> None:
    """Make a cache that cannot be read count as empty.

    One that cannot be written counts as absent.
    """
    load, save = cache.load_overload, cache.save_overload

    def loaded(*arguments: object) -> object:
        try:
            return load(*arguments)
        except Exception:  # damaged files raise whatever their bytes happen to mean
            with suppress(OSError):
                cache.flush()  # or what is compiled anew could not be kept
            return None

    def saved(*arguments: object) -> None:
        try:
            save(*arguments)
        except Exception as error:
            _say_once(str(error))

    cache.load_overload, cache.save_overload = loaded, saved


@lru_cache
def _say_once(error: str) -> None:
    warnings.warn(f"compiled kernels are not kept for the next run ({error})", stacklevel=2)
