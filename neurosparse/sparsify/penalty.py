"""Records of a layer's output in a pass: its penalty with its graph, and its counts."""

from __future__ import annotations

import functools
import operator
from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, distributed
from torch.autograd.graph import saved_tensors_hooks

from neurosparse.probe.telling import Tells
from neurosparse.probe.tokens import Masks
from neurosparse.sparsify.passes import Pass, Term
from neurosparse.sparsify.sites import Site

# for how many samples each unit of a layer was active, and how many samples there were
Counted: TypeAlias = tuple[Tensor, int]


class Tap:
    """Records of a layer since the last look.

    Attributes
    ----------
    terms : list of (pass, tensor)
        The mean over samples of the sum over units of abs(a), with its graph, of each call that no
        penalty has used yet.
    mean : tensor, or None
        The same of what ran as compiled code, summed.
    magnitude : tensor, or None
        The same of the last pass, without its graph.
    counts : tensor of int64, shape (n_units,)
        Samples in which each unit was active.
    samples : tensor of int64
        How many samples there were.
    """

    def __init__(self, site: Site, threshold: float, device: torch.device) -> None:
        self.site, self.threshold = site, threshold
        self.under_way: Pass | None = None
        self.terms: list[Term] = []
        self.mean: Tensor | None = None
        self.magnitude: Tensor | None = None
        self.counts = torch.zeros(site.n_units, dtype=torch.int64, device=device)
        self.samples = torch.zeros((), dtype=torch.int64, device=device)

    def take(self, output: Tensor, masks: Masks, *, penalise: bool) -> None:
        """Count a layer's output, and keep its penalty where there is to be one.

        Parameters
        ----------
        output
            Of the layer.
        masks
            The attention masks of the batch: what is 0 in them is not counted and has no penalty.
        penalise
            Whether there is to be a penalty.
        """
        site = self.site
        n_samples: int | Tensor = output.numel() // site.n_units
        if n_samples == 0:
            return
        axis = site.axis % output.ndim
        if output.shape[axis] != site.n_units:
            raise ValueError(
                f"layer {site.name!r} has {output.shape[axis]} units and had {site.n_units} when it"
                " was found: call remove(), and steer the model as it is now"
            )
        others = [k for k in range(output.ndim) if k != axis]
        kept = None
        if site.tokens is not None and masks:
            kept = site.tokens.kept(masks, [output.shape[k] for k in others]).to(output.device)
            n_samples, kept = kept.sum().clamp_min(1), kept.unsqueeze(axis)
        if penalise:
            self._add(mean_magnitude(output, n_samples, site.rectifies, kept))
        values = output.detach()
        on = values > self.threshold if site.rectifies else values.abs() > self.threshold
        on = on if kept is None else on & kept
        # a sum of 64 bits is several times as slow
        self.counts.add_(on.sum(dim=others, dtype=torch.int32))
        self.samples.add_(n_samples)

    def take_told(self, block: Tells, n_samples: int) -> None:
        """Take what a block says of its rectifier after a pass."""
        counts = block.counts
        if n_samples == 0 or block.l1 is None or counts is None:
            return
        self._add(block.l1)
        self.counts.add_(counts)
        self.samples.add_(n_samples)

    def _add(self, mean: Tensor) -> None:
        if torch.compiler.is_compiling() or self.under_way is None:
            self.mean = mean if self.mean is None else self.mean + mean
        else:
            self.terms.append((self.under_way, mean))
        self.magnitude = mean.detach()

    def of(self, passes: Collection[Pass]) -> Tensor | None:
        """Return the mean of what these passes and compiled code put out; None where nothing."""
        means = [mean for each, mean in self.terms if each in passes]
        means = means if self.mean is None else [self.mean, *means]
        return functools.reduce(operator.add, means) if means else None

    def forget(self) -> None:
        """Leave out of the penalty what was put out so far."""
        self.mean = None
        self.terms.clear()

    def reset(self) -> None:
        """Begin to count anew."""
        self.forget()
        self.counts.zero_()
        self.samples.zero_()


def counts_of(taps: Mapping[str, Tap]) -> dict[str, Counted]:
    """Return what taps have counted in all processes, and begin to count anew.

    A layer that put nothing out is left out.
    """
    found = {}
    for name, tap in taps.items():
        counts = torch.cat([tap.counts, tap.samples[None]])
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(counts)
        tap.reset()
        on, n_samples = counts[:-1].cpu(), int(counts[-1])
        if n_samples:
            found[name] = (on, n_samples)
    return found


def share(on: Tensor, n_samples: int) -> float:
    """Return the share of (sample, unit) pairs that is active."""
    return int(on.sum()) / (n_samples * len(on))


def penalty_of(
    taps: Iterable[Tap], l1: Mapping[str, float], passes: Collection[Pass]
) -> Tensor | None:
    """Return the penalty of some passes, by the weight of each layer's; None where nothing is."""
    taken = [(l1[tap.site.name], tap.of(passes)) for tap in taps]
    terms = [weight * mean for weight, mean in taken if mean is not None]
    return torch.stack([term.to(terms[0].device) for term in terms]).sum() if terms else None


def mean_magnitude(
    output: Tensor, n_samples: int | Tensor, rectifies: bool, kept: Tensor | None = None
) -> Tensor:
    """Return the sum of abs(a) over units, a mean over samples, in single precision or better.

    Of a rectifier it saves no tensor, and of others none that gradient checkpointing counts: what
    is computed again in the backward pass has no penalty and must save as many.

    Parameters
    ----------
    output
        The activations, with their graph.
    n_samples
        How many samples count.
    rectifies
        None of the activations is negative.
    kept
        Those that count, in a shape that broadcasts; None: all.
    """
    dtype = torch.float64 if output.dtype == torch.float64 else torch.float32
    if rectifies and kept is None:
        return output.sum(dtype=dtype) / n_samples

    def mean() -> Tensor:
        values = output.abs()
        values = values if kept is None else values.masked_fill(~kept, 0.0)
        return values.sum(dtype=dtype) / n_samples

    if torch.compiler.is_compiling():
        return mean()
    with saved_tensors_hooks(lambda saved: saved, lambda saved: saved):
        return mean()
