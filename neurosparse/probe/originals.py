"""The model as it was written, if it is compiled; a refusal where it cannot be followed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any

import torch
from torch import nn

from neurosparse._internal import checks
from neurosparse.probe.eager import eagerly

_COMPILED = "_orig_mod"


def plain_name(name: str) -> str:
    """Return a module's name without what `torch.compile` adds to it."""
    return ".".join(part for part in name.split(".") if part != _COMPILED)


def original(model: Any) -> nn.Module:
    """Return the module behind a compiled model or an exported program.

    Raises
    ------
    ValueError
        For a model that runs outside Python, or on no device; one sentence.
    TypeError
        For what is no torch module.
    """
    if type(model).__name__ == "ExportedProgram":
        model = model.module()
    check_module(model)
    while hasattr(model, _COMPILED):
        model = model._orig_mod
    check_followed(model)
    if any(t.is_meta for t in chain(model.parameters(), model.buffers())):
        raise ValueError(
            f"{type(model).__name__} has parameters on the meta device, which hold no numbers: load"
            " its weights first"
        )
    result: nn.Module = model
    return result


def check_module(model: object, name: str = "model") -> None:
    """Refuse what is no torch module with a TypeError."""
    checks.instance(name, model, nn.Module, "give the module itself")


def check_followed(model: nn.Module) -> None:
    """Refuse a model that runs outside Python, in part or as a whole, with a ValueError.

    What is no torch module is refused with a TypeError.
    """
    check_module(model)
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            what = f"module {name!r} of the network" if name else "the network"
            raise ValueError(
                f"{what} is a scripted or traced one, whose layers cannot be followed: take the"
                " module that it was made from"
            )


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the module inside what torch.compile and data parallelism wrap around it."""
    while True:
        if isinstance(inner := getattr(model, "_orig_mod", None), nn.Module) or (
            isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel)
            and isinstance(inner := model.module, nn.Module)
        ):
            model = inner
        else:
            return model


@contextmanager
def as_written(model: nn.Module) -> Iterator[None]:
    """Run what was compiled as it was written, and experts one by one, in this block."""
    with ExitStack() as stack:
        stack.enter_context(eagerly())
        for module in model.modules():
            if getattr(module, "_compiled_call_impl", None) is not None:
                stack.callback(setattr, module, "_compiled_call_impl", module._compiled_call_impl)
                module._compiled_call_impl = None
            # transformers runs experts in one product unless it is told otherwise
            config = getattr(module, "config", None)
            attribute = "_experts_implementation_internal"
            if getattr(config, attribute, None) not in (None, "eager"):
                stack.callback(setattr, config, attribute, getattr(config, attribute))
                setattr(config, attribute, "eager")
        yield
