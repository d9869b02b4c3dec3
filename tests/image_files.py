"""Files of images as the published sets have them, written here from random bytes."""

import gzip
import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from neurosparse.data import idx

RNG = np.random.default_rng(0)


@contextmanager
def allocates_less_than(n_bytes: float) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < n_bytes


def random_bytes(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def idx_file(array: np.ndarray) -> bytes:
    return (
        struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        + array.astype(np.uint8).tobytes()
    )


def matrix_file(array: np.ndarray, magic: int) -> bytes:
    lengths = (*array.shape, 1, 1)[: max(3, array.ndim)]
    return struct.pack(f"<II{len(lengths)}I", magic, array.ndim, *lengths) + array.tobytes()


def write_idx(
    folder: Path, *, packed: bool = False, dotted: bool = False, n: tuple[int, int] = (60, 20)
) -> dict:
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for (images, labels), count in zip((idx.STEMS[:2], idx.STEMS[2:]), n, strict=True):
        arrays[images], arrays[labels] = random_bytes(count, 28, 28), np.arange(count) % 10
    for stem, array in arrays.items():
        name = stem.replace("-idx", ".idx") if dotted else stem
        content = idx_file(array)
        (
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            if packed
            else (folder / name).write_bytes(content)
        )
    return arrays
