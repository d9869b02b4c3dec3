"""Meaning of a word on the command line: a network or a file, the axes of layers."""

from __future__ import annotations

from pathlib import Path

from neurosparse._internal import pytorch_files


def is_network(what: str, *, has_inputs: bool) -> bool:
    """Return whether a word names a network rather than a file of spikes.

    Parameters
    ----------
    what
        A file, a folder or MODULE:FUNCTION.
    has_inputs
        Whether --data is given, which networks alone take.

    Raises
    ------
    ValueError
        Where it is a file of PyTorch's, a pickle for a network, or a module without a function; one
        sentence.
    """
    path = Path(what)
    pytorch_files.refuse(path, pytorch_files.A_FUNCTION)
    if has_inputs and path.suffix.lower() in pytorch_files.PICKLES:
        raise ValueError(
            f"{path} is a pickle, and opening one runs code: {pytorch_files.A_FUNCTION}"
        )
    if what.endswith(".safetensors"):
        return True
    if path.exists() and path.suffix != ".py":
        return False
    file, colon, function = what.partition(":")
    module = ".".join(Path(file.removesuffix(".py")).parts)
    if colon:
        if file.endswith(".py"):
            raise ValueError(f"a module is named without .py: give {module}:{function}")
        return True
    if path.suffix == ".py" or Path(f"{what}.py").is_file() or has_inputs:
        raise ValueError(
            f"{what} names no function: give MODULE:FUNCTION, such as {module}:model, which returns"
            " a torch module"
        )
    return False


def axes(words: str) -> int | dict[str, int]:
    """Return the axis of all layers, or of each by its name."""
    try:
        if "=" not in words:
            return int(words)
        pairs = [each.rpartition("=") for each in words.split(",")]
        return {name.strip(): int(axis) for name, _, axis in pairs}
    except ValueError:
        raise ValueError(
            f"--units-axis takes a whole number or such as relu1=1,relu2=-1, got {words!r}"
        ) from None
