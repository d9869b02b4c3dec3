"""The place of each cell.

Neurons are dealt out to partitions, one a thread, each with its share of every population.

A partition is so small that a target within it fits 16 bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ALIGN = 16  # cells: shares of populations are cut and padded to whole groups of so many
MOST_LOCAL = 1 << 16  # cells of a partition, its padding included


@dataclass(frozen=True, slots=True)
class Layout:
    """The partition in which each neuron lives, and its place there.

    Units are numbered through the populations, in order.
    """

    sizes: NDArray[np.int64]  # (n_populations,)
    first: NDArray[np.int64]  # (n_populations + 1,) the first unit of each population
    # (n_populations, n_partitions + 1) population b in partition p: bounds[b, p : p + 2]
    bounds: NDArray[np.int64]
    # (n_partitions, n_populations + 1) local index of each population's first cell
    offset: NDArray[np.int64]
    partition_of: NDArray[np.uint8]  # (n_units,)
    local_of: NDArray[np.uint16]  # (n_units,)
    population_of: NDArray[np.uint8]  # (n_units,)

    @property
    def n_partitions(self) -> int:
        """The number of partitions."""
        return int(self.offset.shape[0])

    @property
    def n_units(self) -> int:
        """The number of neurons."""
        return int(self.first[-1])

    @property
    def n_local(self) -> int:
        """The largest number of cells of a partition, padding included."""
        return int(self.offset[:, -1].max())


def layout(sizes: Sequence[int], n_partitions: int = 1) -> Layout:
    """Deal the cells of all populations out to at least `n_partitions` partitions.

    To more where targets would not fit 16 bits.

    Parameters
    ----------
    sizes
        Cells of each population.
    n_partitions
        The least number of partitions: as many as threads.

    Raises
    ------
    ValueError
        More than 255 populations or partitions.
    """
    n_cells = np.asarray(sizes, np.int64)
    room = MOST_LOCAL - 2 * ALIGN * n_cells.size
    n = max(n_partitions, math.ceil(n_cells.sum() / max(room, 1)))
    if n_cells.size > 255 or n > 255 or room <= 0:
        raise ValueError(
            f"at most 255 populations and 255 partitions of {MOST_LOCAL:,} cells, got"
            f" {n_cells.size} populations of {n_cells.sum():,} cells"
        )
    first = np.concatenate([[0], np.cumsum(n_cells)])
    bounds = n_cells[:, None] * np.arange(n + 1) // n // ALIGN * ALIGN
    bounds[:, -1] = n_cells
    share = np.diff(bounds, axis=1)  # (n_populations, n)
    padded = -(-share // ALIGN) * ALIGN
    offset = np.zeros((n, n_cells.size + 1), np.int64)
    offset[:, 1:] = np.cumsum(padded, axis=0).T
    partition_of, local_of = np.empty(first[-1], np.uint8), np.empty(first[-1], np.uint16)
    for b in range(n_cells.size):
        for p in range(n):
            cells = slice(first[b] + bounds[b, p], first[b] + bounds[b, p + 1])
            partition_of[cells] = p
            local_of[cells] = np.arange(offset[p, b], offset[p, b] + share[b, p])
    return Layout(
        sizes=n_cells,
        first=first,
        bounds=bounds,
        offset=offset,
        partition_of=partition_of,
        local_of=local_of,
        population_of=np.repeat(np.arange(n_cells.size, dtype=np.uint8), n_cells),
    )
