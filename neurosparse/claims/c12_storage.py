"""Claim 12: a sparse code is cheaper to store."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from neurosparse.claims.frame import Claim, Criterion
from neurosparse.claims.lab import Lab, hidden

CLAIM = Claim(
    text="A sparse code is cheaper to store: the values that are not zero, and their locations.",
    source="reviewers of the paper",
    criteria=(
        Criterion(
            "share", "bytes of values and locations, of those of all values", high=50, unit="%"
        ),
    ),
    arms=("rectifier_l1", "tanh"),
    limits=(
        "Nearly an identity: with 32-bit values and a bit each for their places, half of the bytes"
        " is 47 % active. Activations in float32; what weights need is the same."
    ),
)


def measure(lab: Lab, seed: int) -> dict[str, float]:
    """Return the bytes for the hidden layers on all test images, in % of float32.

    One image at a time, without loss; compared with DEFLATE.
    """
    sparse, dense = (
        hidden(lab.network(arm, seed), lab.test_images()) for arm in ("rectifier_l1", "tanh")
    )
    rows = [row for layer in sparse for row in layer.numpy()]
    n_bytes = sum(row.nbytes for row in rows)

    def deflated(layers: list[Tensor]) -> float:
        result: float = (
            100
            * sum(len(zlib.compress(row.tobytes())) for layer in layers for row in layer.numpy())
            / n_bytes
        )
        return result

    return {
        "share": 100 * sum(len(packed(row)) for row in rows) / n_bytes,
        "deflated": deflated(sparse),
        "deflated_tanh": deflated(dense),
    }


def packed(values: NDArray[np.float32]) -> bytes:
    """Pack the values that are not 0, shape (n,), and a bit each for where they are."""
    active = values != 0
    result: bytes = np.packbits(active).tobytes() + values[active].tobytes()
    return result


def unpacked(content: bytes, n: int) -> NDArray[np.float32]:
    """Return the values that `packed` was given, of length n.

    Examples
    --------
    >>> unpacked(packed(np.array([0, 1.5, 0, -2], np.float32)), 4).tolist()
    [0.0, 1.5, 0.0, -2.0]
    """
    n_map = -(-n // 8)
    values = np.zeros(n, np.float32)
    active = np.unpackbits(np.frombuffer(content[:n_map], np.uint8), count=n).astype(bool)
    values[active] = np.frombuffer(content[n_map:], np.float32)
    return values
