"""Pooling of spikes, as lists: each spike goes to the windows that it lies in.

Nothing here checks an index: `convert.events` makes the arrays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosparse.kernels.network.sparse_rows import Ints
from neurosparse.kernels.network.spike_rows import Spikes, jit


class Windows(NamedTuple):
    """The windows `window[start[p] : start[p + 1]]` that pixel p lies in, of n in all."""

    start: NDArray[np.int64]
    window: NDArray[np.int64]
    n: int


@jit
def pool(
    spikes: Spikes, windows: Windows, n_images: int, n_steps: int, channels: int, maximum: bool
) -> Spikes:
    """Return the spikes of the windows, ordered by window.

    Without `maximum` a window spikes as often as its pixels do, so that its sum over a step may be
    more than 1. With it a window spikes where the largest of the sums of its pixels, over all steps
    so far, grows by 1.
    """
    n_pixels = len(windows.start) - 1
    widest = 0
    for p in range(n_pixels):
        widest = max(widest, windows.start[p + 1] - windows.start[p])
    units = np.empty(len(spikes.units) * widest, np.int32)
    first = np.zeros(n_images * n_steps * windows.n + 1, np.int32)
    totals = np.empty(n_pixels * channels if maximum else 0, np.int32)
    largest = np.empty(windows.n * channels if maximum else 0, np.int32)
    found = np.empty(len(units), np.int32)  # of one step, in the order of the pixels
    n = 0
    for image in range(n_images):
        totals[:] = 0
        largest[:] = 0
        for t in range(n_steps):
            frame = image * n_steps + t
            n_found = go_through(
                spikes, windows, frame * n_pixels, channels, maximum, totals, largest, found
            )
            put_in_order(found, n_found, n, channels, first, frame * windows.n, windows.n, units)
            n += n_found
    return Spikes(units[:n], first)


@jit
def go_through(
    spikes: Spikes,
    windows: Windows,
    at: int,
    channels: int,
    maximum: bool,
    totals: Ints,
    largest: Ints,
    found: Ints,
) -> int:
    """Write the spikes of the windows in a step to `found`, and return how many there are."""
    n = 0
    for p in range(len(windows.start) - 1):
        for s in range(spikes.first[at + p], spikes.first[at + p + 1]):
            unit = spikes.units[s]
            channel = unit - p * channels
            if maximum:
                totals[unit] += 1
            for w in range(windows.start[p], windows.start[p + 1]):
                pooled = windows.window[w] * channels + channel
                if maximum:
                    if totals[unit] <= largest[pooled]:
                        continue
                    largest[pooled] = totals[unit]
                found[n] = pooled
                n += 1
    return n


@jit
def put_in_order(
    found: Ints, n: int, before: int, channels: int, first: Ints, at: int, n_windows: int, out: Ints
) -> None:
    """Order spikes by window into out[before:], and write where each window ends to `first`."""
    for s in range(n):
        first[at + 1 + found[s] // channels] += 1
    end = before
    for w in range(n_windows):
        end += first[at + 1 + w]
        first[at + 1 + w] = end
    for s in range(n - 1, -1, -1):
        w = found[s] // channels
        # from the back: `first` holds the ends, and is put right afterwards
        first[at + 1 + w] -= 1
        out[first[at + 1 + w]] = found[s]
    for w in range(n_windows - 1):
        first[at + 1 + w] = first[at + 2 + w]
    first[at + n_windows] = end
