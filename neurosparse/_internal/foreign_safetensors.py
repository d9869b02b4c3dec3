"""Safetensors files of anyone's, opened with one sentence for what is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from neurosparse._internal import pytorch_files


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a safetensors file.

    FileNotFoundError where there is none, ValueError where it is not one.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no weights file {path}")
    pytorch_files.refuse(path, pytorch_files.WEIGHTS)
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise ValueError(f"{path} is truncated or not a safetensors file: {error}") from None
