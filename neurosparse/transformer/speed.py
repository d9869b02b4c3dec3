"""Speed of a network that writes, compared with its dense twin, measured in turn."""

from __future__ import annotations

import copy
import statistics
import time
from dataclasses import dataclass

from torch import nn

from neurosparse._internal import checks
from neurosparse.sparsify import SparseFFN
from neurosparse.transformer.generation import generate
from neurosparse.transformer.network import CharacterTransformer


@dataclass(frozen=True, slots=True)
class Speeds:
    """Characters a second of a network and of its dense twin, and the median of their ratios."""

    characters_per_s: float
    dense_characters_per_s: float
    ratio: float

    def __str__(self) -> str:
        return (
            f"{self.characters_per_s:,.0f} characters a second, dense"
            f" {self.dense_characters_per_s:,.0f}: {self.ratio:.2f} times dense"
        )


def as_dense(network: CharacterTransformer) -> CharacterTransformer:
    """Return a copy for inference whose blocks are torch's own, their weights row by row."""
    twin = copy.deepcopy(network).eval()
    for layer in twin.layers:
        block = layer.ffn
        if isinstance(block, SparseFFN):
            up, down = block.up, block.down
            down.weight.data = down.weight.data.contiguous()
            layer.ffn = nn.Sequential(up, nn.ReLU(), down)
    return twin


def compared(
    network: CharacterTransformer,
    dense: CharacterTransformer,
    prompt: list[int],
    *,
    n: int = 48,
    rounds: int = 5,
) -> Speeds:
    """Return how fast two networks write, each `n` characters, in turn, so many times.

    Parameters
    ----------
    network, dense
        The networks; the second is what the first is compared with.
    prompt
        Characters as numbers.
    n, rounds
        Characters a round, and rounds; one more round before them is not counted.
    """
    n, rounds = checks.whole("n", n), checks.whole("rounds", rounds)
    pairs = [(_seconds(network, prompt, n), _seconds(dense, prompt, n)) for _ in range(rounds + 1)]
    ours, theirs = zip(*pairs[1:], strict=True)
    return Speeds(
        n / statistics.median(ours),
        n / statistics.median(theirs),
        statistics.median(b / a for a, b in pairs[1:]),
    )


def _seconds(network: CharacterTransformer, prompt: list[int], n: int) -> float:
    begin = time.perf_counter()
    for _ in generate(network, prompt, n, temperature=0):
        pass
    return time.perf_counter() - begin
