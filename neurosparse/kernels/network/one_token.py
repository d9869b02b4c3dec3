"""One token through a transformer's layer: all that lies between its products with weights.

A token's layer norm, its mixing with the tokens before and its attention are a few thousand
operations each. As a library's separate calls they cost more time than the work itself. Sums of the
layer norm are of 64 bits, as they are short.

Nothing here checks an index: `transformer.decoder` makes the arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurosparse.kernels.network.layout import Floats
from neurosparse.kernels.network.sparse_rows import jit

Cache = NDArray[np.float32]  # (heads, context, width of a head)


@jit
def add_and_normalise(
    x: Floats, written: Floats, weight: Floats, bias: Floats, eps: float, out: Floats
) -> None:
    """Add what was written to the stream x, (d,), and put its layer norm into `out`."""
    d = len(x)
    total = np.float64(0)
    for j in range(d):
        x[j] += written[j]
        total += np.float64(x[j])
    mean = total / d
    square = np.float64(0)
    for j in range(d):
        off = np.float64(x[j]) - mean
        square += off * off
    scale = 1 / np.sqrt(square / d + eps)
    for j in range(d):
        out[j] = np.float32((np.float64(x[j]) - mean) * scale) * weight[j] + bias[j]


@jit
def mix_in(x: Floats, before: Floats, share: Floats) -> None:
    """Add to x, (d,), the tokens before it, and keep x as it was as the last of them.

    `before` is (n, d), the last token at its end; `share` is (n, d), that of the last token first.
    """
    n, d = before.shape
    for j in range(d):
        here = x[j]
        mixed = here
        for k in range(n):
            mixed += before[n - 1 - k, j] * share[k, j]
        for k in range(n - 1):
            before[k, j] = before[k + 1, j]
        before[n - 1, j] = here
        x[j] = mixed


@jit
def attend(
    split: Floats, keys: Cache, values: Cache, place: int, scores: Floats, out: Floats
) -> None:
    """Let the token at `place` attend to those up to itself; put what it found into `out`, (d,).

    `split` is (3, heads, width): its query, key and value, which are put into the caches first.
    `scores` is scratch, (context,).
    """
    heads, _, width = keys.shape
    scale = np.float32(1) / np.float32(np.sqrt(width))
    for h in range(heads):
        for j in range(width):
            keys[h, place, j], values[h, place, j] = split[1, h, j], split[2, h, j]
            out[h * width + j] = 0
        largest = np.float32(-np.inf)
        for k in range(place + 1):
            score = np.float32(0)
            for j in range(width):
                score += split[0, h, j] * keys[h, k, j]
            scores[k] = score * scale
            largest = max(largest, scores[k])
        total = np.float32(0)
        for k in range(place + 1):
            scores[k] = np.exp(scores[k] - largest)
            total += scores[k]
        for k in range(place + 1):
            share = scores[k] / total
            for j in range(width):
                out[h * width + j] += share * values[h, k, j]
