"""PyTorch's own files, which are pickles: known by name or first bytes, and never opened."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = (".pt", ".pt2", ".pth", ".ckpt")
PICKLES = (".pkl", ".pickle")  # of anything, models too
_OLD = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # the number that torch.save began with
_ZIP, _INSIDE, _HEAD_BYTES = b"PK\x03\x04", b"/data.pkl", 256
THE_MODEL = (
    "give the model itself to `measure`, or `neurosparse measure MODULE:FUNCTION` a function that"
    " returns it"
)
A_FUNCTION = (
    "write a function that returns the model and give MODULE:FUNCTION, with --weights that"
    " safetensors.torch.save_file wrote"
)
WEIGHTS = "save the weights by safetensors.torch.save_file(model.state_dict(), FILE) and give those"


def fits(path: Path) -> bool:
    """Return whether a file is one of PyTorch's, such as `torch.save` writes."""
    if not path.is_file():
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return head.startswith(_OLD) or (head.startswith(_ZIP) and _INSIDE in head)


def refuse(path: Path, remedy: str = THE_MODEL) -> None:
    """Refuse a file of PyTorch's with the way out.

    Raises
    ------
    ValueError
        Where it is one; one sentence.
    """
    if fits(path):
        raise ValueError(f"{path} is a PyTorch file, and opening one runs code: {remedy}")
