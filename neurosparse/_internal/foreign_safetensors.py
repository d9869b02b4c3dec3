"""Safetensors files of anyone's, with one sentence for what is none, or none of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from neurosparse._internal import pytorch_files

OURS = {  # by the format that their metadata names
    "neurosparse.rectifier/1": "weights of a rectifier network",
    "neurosparse.training/1": "a checkpoint of a rectifier network's training",
    "neurosparse.transformer/1": "weights of a transformer",
    "neurosparse.transformer.training/1": "a checkpoint of a transformer's training",
}


@contextmanager
def opened(path: Path, what: str = "weights file") -> Iterator[Any]:
    """Open a safetensors file, which is called `what` where there is none.

    FileNotFoundError where there is none, ValueError where it is not one.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no {what} {path}")
    pytorch_files.refuse(path, pytorch_files.WEIGHTS)
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise ValueError(f"{path} is truncated or not a safetensors file: {error}") from None


def check_format(metadata: Mapping[str, str], wanted: str, path: Path) -> None:
    """Refuse a file that holds something other than the format of ours that is wanted."""
    found = metadata.get("format")
    if found == wanted:
        return
    if found in OURS:
        raise ValueError(f"{path} holds {OURS[found]}, not {OURS[wanted]}")
    raise ValueError(f"{path} does not hold {OURS[wanted]}: its metadata lacks format={wanted!r}")
