"""A pass that leaves no trace: what a model computes, without its training noticing."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch import distributed, nn

from neurosparse._internal.names import in_words
from neurosparse.probe.eager import eagerly

Run = Callable[[], object]


@contextmanager
def aside(model: nn.Module) -> Iterator[None]:
    """Run passes in this block without gradients; random numbers and buffers are as before.

    The random numbers are those of torch, NumPy and Python. Compiled code runs eagerly, so that the
    functions it calls can be followed.
    """
    tensors = [*model.parameters(), *model.buffers()]
    accelerators = sorted({t.device.index or 0 for t in tensors if t.device.type == "cuda"})
    buffers = [
        (module, name, buffer, buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    with ExitStack() as stack:
        stack.enter_context(eagerly())
        stack.enter_context(torch.random.fork_rng(devices=accelerators))
        stack.enter_context(torch.no_grad())
        stack.callback(random.setstate, random.getstate())
        stack.callback(np.random.set_state, np.random.get_state())  # noqa: NPY002
        try:
            yield
        finally:
            for module, name, buffer, values in buffers:
                module._buffers[name] = buffer  # a pass may have set another
                if not torch.equal(buffer, values):
                    buffer.copy_(values)


@contextmanager
def running_on_data(model: nn.Module) -> Iterator[None]:
    """Make a ValueError in one sentence of what torch raises where `data` does not fit a model."""
    try:
        yield
    except (ValueError, TypeError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(
            f"{type(model).__name__} does not run on data: {in_words(error)}; pass a batch as the"
            " training gives it"
        ) from error


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model and all its modules into evaluation in this block; each is as before after it."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def same_everywhere(tensors: Sequence[torch.Tensor]) -> None:
    """Give every process of `torch.distributed` the values of the first one."""
    if distributed.is_available() and distributed.is_initialized():
        for tensor in tensors:
            distributed.broadcast(tensor, src=0)
