"""The largest activations of each sample, the others 0."""

from __future__ import annotations

import torch
from torch import Tensor


def top_k(output: Tensor, share: float, axis: int) -> Tensor:
    """Keep the largest activations of each sample, by magnitude; the gradient goes through them.

    Parameters
    ----------
    output
        The activations, units along `axis`.
    share
        The share of units to keep, in (0, 1]: at least one unit. Of equal ones exactly as many.
    axis
        The axis of the units.

    Examples
    --------
    >>> top_k(torch.tensor([[3.0, 1.0, 2.0, 0.0]]), share=0.5, axis=-1)
    tensor([[3., 0., 2., 0.]])
    """
    k = max(1, round(share * output.shape[axis]))
    index = output.detach().abs().topk(k, dim=axis, sorted=False).indices
    kept = torch.zeros_like(output, dtype=torch.bool).scatter_(axis, index, True)
    return torch.where(kept, output, torch.zeros((), dtype=output.dtype, device=output.device))
