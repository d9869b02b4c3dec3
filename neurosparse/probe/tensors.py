"""Tensors in containers, and what they hold."""

from __future__ import annotations

from math import gcd
from typing import Any

import torch
from torch import Tensor

_SEQUENCES: tuple[type[Any], ...] = (list, tuple, type({}.values()))


def tensors_in(values: object) -> list[Tensor]:
    """Return the tensors in arguments, lists and dicts, in their order."""
    if isinstance(values, Tensor):
        return [values]
    found: list[Tensor] = []
    _gather(values, found)
    return found


def _gather(values: Any, found: list[Tensor]) -> None:
    if isinstance(values, dict):
        values = values.values()
    elif not isinstance(values, _SEQUENCES):
        return
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        else:
            _gather(value, found)


def holds_numbers(tensor: Tensor) -> bool:
    """Return whether a tensor has numbers of its own: not on the meta device, nor in `vmap`."""
    return not (tensor.is_meta or torch._C._functorch.is_functorch_wrapped_tensor(tensor))


def zero_share(tensor: Tensor) -> float:
    """Return the share of exact zeros in a sample of a tensor, outside any mode."""
    with torch._C.DisableTorchFunctionSubclass():
        if tensor.numel() == 0 or not holds_numbers(tensor) or tensor.is_sparse:
            return 0.0
        values = tensor.detach()
        if values.layout == torch.strided and not values.is_contiguous():
            # as it lies in memory, or all of it would be copied
            strides = values.stride()
            values = values.permute(sorted(range(values.ndim), key=lambda k: -strides[k]))
        flat = values.reshape(-1)
        step = max(1, flat.numel() // 4096)
        while gcd(step, flat.numel()) > 1:  # along every axis all entries have their turn
            step += 1
        flat = flat[::step]
        if flat.is_quantized:
            flat = flat.dequantize()
        return 1 - int(torch.count_nonzero(flat)) / len(flat)


def is_all_zero(tensor: Tensor) -> bool:
    """Return whether a tensor is 0 everywhere; most that are not are known by a sample."""
    return zero_share(tensor) == 1 and not bool(tensor.any())
