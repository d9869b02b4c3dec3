"""Tensors in containers, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd

import torch
from torch import Tensor


def tensors_in(values: object) -> Iterator[Tensor]:
    """Yield the tensors in arguments, lists and dicts, in their order."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, dict):
        yield from tensors_in(values.values())
    elif isinstance(values, list | tuple) or type(values) is type({}.values()):
        for value in values:
            yield from tensors_in(value)


def holds_numbers(tensor: Tensor) -> bool:
    """Return whether a tensor has numbers of its own: not on the meta device, nor in `vmap`."""
    return not (tensor.is_meta or torch._C._functorch.is_functorch_wrapped_tensor(tensor))


def zero_share(tensor: Tensor) -> float:
    """Return the share of exact zeros in a sample of a tensor, outside any mode."""
    with torch._C.DisableTorchFunctionSubclass():
        if tensor.numel() == 0 or not holds_numbers(tensor) or tensor.is_sparse:
            return 0.0
        flat = tensor.detach().reshape(-1)
        step = max(1, flat.numel() // 4096)
        while gcd(step, flat.numel()) > 1:  # along every axis all entries have their turn
            step += 1
        flat = flat[::step]
        if flat.is_quantized:
            flat = flat.dequantize()
        return float((flat == 0).double().mean())


def is_all_zero(tensor: Tensor) -> bool:
    """Return whether a tensor is 0 everywhere; most that are not are known by a sample."""
    return zero_share(tensor) == 1 and not bool(tensor.any())
