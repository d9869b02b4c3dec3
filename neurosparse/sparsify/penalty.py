"""Records of a layer's output in a pass: its penalty with its graph, and its counts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from neurosparse.sparsify.sites import Site
from neurosparse.sparsify.telling import Tells


class Tap:
    """Records of a layer since the last look.

    Attributes
    ----------
    mean : tensor, or None
        The mean over samples of the sum over units of abs(a), with its graph, summed over the
        passes that no penalty has used yet.
    counts : tensor of int64, shape (n_units,)
        Samples in which each unit was active.
    samples : tensor of int64
        How many samples there were.
    """

    def __init__(self, site: Site, threshold: float, device: torch.device) -> None:
        self.site, self.threshold = site, threshold
        self.mean: Tensor | None = None
        self.counts = torch.zeros(site.n_units, dtype=torch.int64, device=device)
        self.samples = torch.zeros((), dtype=torch.int64, device=device)

    def take(self, output: Tensor, *, penalise: bool) -> None:
        """Count a layer's output, and keep its penalty where there is to be one."""
        site = self.site
        n_samples = output.numel() // site.n_units
        if n_samples == 0:
            return
        if penalise:
            mean = magnitude(output, site.rectifies) / n_samples
            self.mean = mean if self.mean is None else self.mean + mean
        values = output.detach()
        on = values > self.threshold if site.rectifies else values.abs() > self.threshold
        axis = site.axis % output.ndim
        others = [k for k in range(output.ndim) if k != axis]
        # a sum of 64 bits is several times as slow
        self.counts.add_(on.sum(dim=others, dtype=torch.int32))
        self.samples.add_(n_samples)

    def take_told(self, block: Tells, n_samples: int) -> None:
        """Take what a block says of its rectifier after a pass."""
        if n_samples == 0 or block.l1 is None or block.counts is None:
            return
        self.mean = block.l1 if self.mean is None else self.mean + block.l1
        self.counts.add_(block.counts)
        self.samples.add_(n_samples)

    def reset(self) -> None:
        """Begin to count anew."""
        self.counts.zero_()
        self.samples.zero_()


def magnitude(output: Tensor, rectifies: bool) -> Tensor:
    """Return the sum of abs(a) with its graph, in single precision or better.

    Of a rectifier it saves no tensor, and of others none that gradient checkpointing counts: what
    is computed again in the backward pass has no penalty and must save as many.
    """
    dtype = torch.float64 if output.dtype == torch.float64 else torch.float32
    if rectifies:
        return output.sum(dtype=dtype)
    if torch.compiler.is_compiling():
        return output.abs().sum(dtype=dtype)
    with saved_tensors_hooks(lambda saved: saved, lambda saved: saved):
        return output.abs().sum(dtype=dtype)
