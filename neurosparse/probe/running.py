"""The counts of a layer that is watched, added up batch by batch and process by process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from neurosparse.activity import ActiveWhen
from neurosparse.kernels.network.margins import add_margins_of_list
from neurosparse.probe.tally import by_torch, on_cpu
from neurosparse.probe.telling import Listed
from neurosparse.sparsity import units_axis

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Running:
    """Counts of a layer in the batches of a look.

    They are less than `Activations`, and faster to count.
    """

    counts: NDArray[np.float64]  # (n_units,) samples in which the unit is active
    n_samples: int  # inputs times positions
    n_zero: int  # (sample, unit) pairs that are exactly 0
    effective_sum: float  # sum over samples of (sum |a|)^2 / sum a^2
    n_population: int  # samples with any activity, over which effective_sum runs

    @classmethod
    def of(cls, output: Tensor, active_when: ActiveWhen, axis: int) -> Running:
        """Count one batch of a layer's output, units along `axis` unless the definition says."""
        output = output.detach()
        output = output if output.is_floating_point() else output.float()
        output = output if output.ndim > 1 else output.reshape(1, -1)
        active_when = _along(active_when, axis)
        if not output.numel():
            n_units = output.shape[active_when.axis or 0]
            return cls(np.zeros(n_units), 0, 0, 0.0, 0)
        axis = units_axis(active_when, output.ndim, output.shape)
        threshold = active_when.threshold or 0.0
        if output.device.type == "cpu" and not active_when.relative:
            units, samples, n_zero = on_cpu(output, axis, threshold)
        else:
            units, samples, n_zero = by_torch(output, axis, threshold, active_when.relative)
        return cls(units[0], samples[0].size, n_zero, *_effective(samples[1], samples[2]))

    @classmethod
    def of_list(cls, output: Listed, active_when: ActiveWhen) -> Running:
        """Count one batch of a rectifier's output that is a list; each sample is an input."""
        n_samples, counts = len(output.start) - 1, np.zeros(output.n_units)
        samples, threshold = np.zeros((2, n_samples)), active_when.threshold or 0.0
        add_margins_of_list(output.start, output.units, output.values, threshold, counts, samples)
        if active_when.relative:
            scale = np.repeat(np.sqrt(samples[1] / output.n_units), np.diff(output.start))
            is_active = np.abs(output.values) > threshold * scale
            counts = np.bincount(output.units[is_active], minlength=output.n_units).astype(float)
        n_zero = n_samples * output.n_units - len(output.values)
        return cls(counts, n_samples, n_zero, *_effective(*samples))

    def __add__(self, other: Running) -> Running:
        if self.n_units != other.n_units:
            raise ValueError(f"a layer has {self.n_units:,} units and then {other.n_units:,}")
        return Running(
            self.counts + other.counts,
            self.n_samples + other.n_samples,
            self.n_zero + other.n_zero,
            self.effective_sum + other.effective_sum,
            self.n_population + other.n_population,
        )

    @property
    def n_units(self) -> int:
        """The width of the layer."""
        return self.counts.size

    @property
    def active(self) -> float:
        """The share of (sample, unit) pairs that are active; NaN where one is not finite."""
        if np.isnan(self.effective_sum):
            return float("nan")
        return float(self.counts.sum() / max(1, self.n_samples * self.n_units))

    @property
    def zeros(self) -> float:
        """The share of (sample, unit) pairs that are exactly 0; NaN where one is not finite."""
        if np.isnan(self.effective_sum):
            return float("nan")
        return self.n_zero / max(1, self.n_samples * self.n_units)

    @property
    def effective_units(self) -> float:
        """The participation ratio of a sample, as `ActivityStats.effective_units` has it."""
        return self.effective_sum / max(1, self.n_population)


def _effective(magnitudes: NDArray[np.float64], squares: NDArray[np.float64]) -> tuple[float, int]:
    """Return the sum of samples' effective units, and how many samples have any activity."""
    alive = squares != 0  # NaN counts, so that it is seen
    with np.errstate(invalid="ignore"):  # inf / inf: NaN says it
        effective = magnitudes * (magnitudes / np.where(alive, squares, 1.0))
    return float(effective.sum()), int(np.count_nonzero(alive))


@lru_cache
def _along(active_when: ActiveWhen, axis: int) -> ActiveWhen:
    """Return the definition with the axis of the units, unless it names one itself."""
    return active_when if active_when.axis is not None else replace(active_when, axis=axis)


def from_all_processes(mine: T) -> list[T]:
    """Return what all processes of `torch.distributed` have; without any, what this one has."""
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return [mine]
    parts: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(parts, mine)
    return parts


def is_first_process() -> bool:
    """Return whether this is the process that speaks for all of them."""
    from torch import distributed

    together = distributed.is_available() and distributed.is_initialized()
    return not together or distributed.get_rank() == 0
