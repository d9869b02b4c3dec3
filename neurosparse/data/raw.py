"""Binary files that say how much they hold, read exactly, compressed by gzip or not.

They are refused before memory is asked for.

A header is a promise. What the file cannot hold is refused from its size alone. What it holds
besides is refused after one byte more. So neither a lying header nor a gzip bomb costs more memory
than an honest file of that header would.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from neurosparse._internal.types import Array

MOST_BYTES = 2**31  # of one file, unpacked; the largest part of NORB has 680 million
_DEFLATE_RATIO = 1040  # a little over what deflate can reach
_CHUNK_BYTES = 2**20
_GZIP_MAGIC = b"\x1f\x8b"

Take = Callable[[int], bytes]  # the next so many bytes of a header
ReadHeader = Callable[[Take], tuple[tuple[int, ...], np.dtype[Any]]]


def read_array(path: Path, read_header: ReadHeader) -> tuple[Array, str]:
    """Read the array that a file's header describes, and the SHA-256 of its unpacked content.

    Parameters
    ----------
    path
        The file; one that starts as a gzip file does is unpacked on the way.
    read_header
        Takes the header's bytes from a callable and returns the shape and dtype of what follows.
        Raises ValueError where it is no such header, in words that go on from "cannot read PATH: ".

    Raises
    ------
    ValueError
        One sentence that names the file: cut off, altered, of another format, or with more or less
        in it than it promises.
    """
    packed = path.stat().st_size
    digest = hashlib.sha256()
    try:
        with _opened(path) as (stream, is_gzip):

            def take(n_bytes: int) -> bytes:
                content = stream.read(n_bytes)
                if len(content) < n_bytes:
                    raise ValueError("it ends within its header")
                digest.update(content)
                return content

            shape, dtype = read_header(take)
            promised = dtype.itemsize * math.prod(shape)  # Python's integers do not overflow
            if promised > MOST_BYTES:
                raise ValueError(
                    f"its header promises {promised:,} bytes, more than {MOST_BYTES:,}"
                )
            if promised > packed * (_DEFLATE_RATIO if is_gzip else 1):
                raise ValueError(
                    f"its header promises {promised:,} bytes, which a file of {packed:,} cannot"
                    " hold"
                )
            content = _read(stream, promised)
            if len(content) < promised:
                raise ValueError(
                    f"its header promises {promised:,} bytes and {len(content):,} follow: it is"
                    " cut off"
                )
            if stream.read(1):
                raise ValueError(
                    f"it holds more than the {promised:,} bytes that its header promises"
                )
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"cannot read {path}: it is cut off or altered ({error})") from None
    except ValueError as error:
        raise ValueError(f"cannot read {path}: {error}") from None
    digest.update(content)
    return np.frombuffer(content, dtype).reshape(shape), digest.hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, bool]]:
    """Open the unpacked stream of a file; also say whether the file is packed."""
    with path.open("rb") as file:
        is_gzip = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        yield (cast(BinaryIO, gzip.GzipFile(fileobj=file)) if is_gzip else file), is_gzip


def _read(stream: BinaryIO, n_bytes: int) -> bytearray:
    """Read at most so many bytes, taking memory only for what is there."""
    content = bytearray()
    while len(content) < n_bytes and (
        chunk := stream.read(min(_CHUNK_BYTES, n_bytes - len(content)))
    ):
        content += chunk
    return content
