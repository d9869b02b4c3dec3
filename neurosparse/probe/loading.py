"""Networks of anyone's from the command line.

A module's factory, weights in safetensors, inputs in .npy and .npz files.

Files of weights and inputs are data, whoever wrote them: pickle is never opened. A factory is code,
and is run.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from neurosparse import data
from neurosparse._internal import foreign_npz as archives
from neurosparse._internal.foreign_safetensors import opened
from neurosparse._internal.imports import working_folder
from neurosparse._internal.names import in_words


def build(factory: str, weights: str | Path | None = None) -> nn.Module:
    """Return the network that "package.module:factory" names.

    A factory is a function that returns a torch module, a class of one, or one itself.

    Parameters
    ----------
    factory
        Where it is found, in the folder that one works in or among installed packages. Importing it
        runs its code.
    weights
        A safetensors file of its parameters and buffers, all of them and no others.

    Raises
    ------
    ValueError, FileNotFoundError
        Where there is no such module or name, it gives no network, or the weights do not fit; one
        sentence.
    """
    network = _found(factory)
    if callable(network) and not isinstance(network, nn.Module):
        with working_folder():
            network = _run_factory(f"{factory} failed", network)
    if not isinstance(network, nn.Module):
        raise ValueError(f"{factory} must give a torch module, got {type(network).__name__}")
    if weights is not None:
        _load_weights(network, Path(weights))
    return network


def function(place: str) -> Callable[..., Any]:
    """Return the function that "package.module:function" names; importing it runs its code.

    Raises
    ------
    ValueError
        Where there is no such module or name, or it is none; one sentence.
    """
    found = _found(place)
    if not callable(found):
        raise ValueError(f"{place} must be a function, got {type(found).__name__}")
    result: Callable[..., Any] = found
    return result


def _found(place: str) -> Any:
    module_name, colon, name = place.partition(":")
    if not (module_name and colon and name):
        raise ValueError(f"a network is named as module:factory, got {place!r}")
    with working_folder():
        try:
            made: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
                raise ValueError(
                    f"no module {error.name!r} in {Path.cwd()} or among the installed packages"
                ) from None
            raise ValueError(f"module {module_name!r} cannot be imported: {error}") from error
        except (Exception, SystemExit) as error:
            raise ValueError(
                f"module {module_name!r} cannot be imported: {in_words(error)}"
            ) from error
    for part in name.split("."):
        if not hasattr(made, part):
            raise ValueError(f"module {module_name!r} has no {name!r}")
        made = getattr(made, part)
    return made


def _run_factory(what: str, call: Callable[[], Any]) -> Any:
    """Return what a user's function gives; its errors become one sentence."""
    try:
        return call()
    except (Exception, SystemExit) as error:
        raise ValueError(f"{what}: {in_words(error)}") from error


def _load_weights(network: nn.Module, path: Path) -> None:
    with opened(path) as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    for name in wanted.keys() - found.keys():
        raise ValueError(f"{path} has no {name!r}, which {type(network).__name__} needs")
    for name in found.keys() - wanted.keys():
        raise ValueError(f"{path} has {name!r}, which {type(network).__name__} has no place for")
    for name, shape in wanted.items():
        if tuple(found[name].shape) != shape:
            raise ValueError(
                f"{name!r} must have shape {shape}, got {tuple(found[name].shape)} in {path}"
            )
    network.load_state_dict(found)


def inputs(source: str, shape: tuple[int, ...] | None = None) -> Any:
    """Return inputs for a network, samples along axis 0.

    They are an array, or a dict of arrays by name.

    Parameters
    ----------
    source
        The name of an image set, whose test images are taken in a random order; a .npy file; or a
        .npz file. The latter holds one array, or several that the network takes by their names,
        such as input_ids and attention_mask.
    shape
        The shape of one input, such as (1, 28, 28) for images that are stored flat.

    Raises
    ------
    ValueError, FileNotFoundError
        Where there are none, or they have another size; one sentence.
    """
    if source in data.names():
        found: Any = data.load(source).test.mixed().images
    else:
        path = Path(source)
        if path.suffix not in (".npy", ".npz"):
            raise ValueError(
                f"data are an image set ({', '.join(data.names())}), a .npy or a .npz file, got"
                f" {source!r}"
            )
        found = _arrays(path)
    if shape is None:
        return found
    if isinstance(found, dict):
        raise ValueError(
            f"a shape is for one array of inputs, and {source} holds several: {', '.join(found)}"
        )
    try:
        return found.reshape(len(found), *shape)
    except ValueError:
        raise ValueError(
            f"inputs of shape {found.shape[1:]} do not have the shape {shape}"
        ) from None


def _arrays(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    try:
        arrays = archives.load(path)
    except ValueError as error:
        raise ValueError(f"cannot read arrays from {path}: {error}") from None
    if not arrays:
        raise ValueError(f"{path} holds no arrays")
    return arrays if len(arrays) > 1 else next(iter(arrays.values()))
