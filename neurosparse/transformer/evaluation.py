"""Evaluation of a character transformer: bits per character, units active and alive."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from neurosparse._internal import checks
from neurosparse.probe.telling import telling
from neurosparse.sparsify import SparseFFN
from neurosparse.sparsity.paired import mean
from neurosparse.transformer.history import TransformerScores
from neurosparse.transformer.network import CharacterTransformer, Layer, check_network

AT_ONCE = 4096  # characters


def evaluate(
    network: CharacterTransformer,
    text: Sequence[int] | NDArray[np.integer],
    *,
    most_pieces: int | None = None,
) -> TransformerScores:
    """Return how a network does on a text.

    The text is cut into pieces as long as the network's context. Each is read without what stands
    before it, and the rest is left out.

    Parameters
    ----------
    network
        The network; its mode is as before afterwards.
    text
        Characters as numbers, as in a `TextSplits`.
    most_pieces
        So many pieces at most, evenly from the whole text; by default all.

    Raises
    ------
    ValueError
        Where the text is shorter than a piece, or has numbers outside the alphabet.
    TypeError
        Where an argument is of another kind.

    Examples
    --------
    >>> from neurosparse.data import texts
    >>> from neurosparse.transformer import TransformerSpec
    >>> network = CharacterTransformer(TransformerSpec(d_model=16, d_ff=32, layers=1))
    >>> evaluate(network, texts.load("plays").validation[:1000]).n_pieces
    7
    """
    check_network(network)
    found = pieces(text, network.spec, most_pieces)
    device = network.positions.device
    counts = [torch.zeros(network.spec.d_ff, dtype=torch.int64) for _ in network.layers]
    was_training, bits = network.training, []
    network.eval()
    try:
        with torch.no_grad(), _counted(network, counts):
            for part in found.split(max(1, AT_ONCE // network.spec.context)):
                x = part.to(device)
                bits.append(surprise(network(x[:, :-1]), x[:, 1:]).mean(1).double().cpu())
    finally:
        network.train(was_training)
    surprises = mean(torch.cat(bits).tolist())
    n_pairs = len(found) * network.spec.context * network.spec.d_ff
    return TransformerScores(
        bits_per_character=surprises.mean,
        low=surprises.low,
        high=surprises.high,
        n_pieces=len(found),
        active=tuple(int(of_layer.sum()) / n_pairs for of_layer in counts),
        alive=tuple(float((of_layer > 0).double().mean()) for of_layer in counts),
    )


def surprise(logits: Tensor, characters: Tensor) -> Tensor:
    """Return the bits of each character, shape (batch, n), by the logits before it."""
    nats = functional.cross_entropy(logits.transpose(1, 2), characters, reduction="none")
    return nats / math.log(2)


def pieces(text: Sequence[int] | NDArray[np.integer], spec: Any, most: int | None = None) -> Tensor:
    """Return a text as pieces, shape (n_pieces, context + 1): each ends where the next begins."""
    numbers, context = np.asarray(text), spec.context
    if numbers.ndim != 1 or not np.issubdtype(numbers.dtype, np.integer):
        raise TypeError(
            f"a text must be one row of whole numbers, got {numbers.dtype} of shape {numbers.shape}"
        )
    n = (len(numbers) - 1) // context
    if n < 1:
        raise ValueError(
            f"a text of {len(numbers)} characters is too short: a context of {context} needs"
            f" {context + 1}"
        )
    if numbers.min() < 0 or numbers.max() >= spec.alphabet:
        raise ValueError(
            f"the text has the number {max(numbers.max(), -numbers.min())}, outside the alphabet"
            f" of {spec.alphabet}"
        )
    chosen = np.arange(n)
    if most is not None and most < n:
        chosen = np.linspace(0, n - 1, checks.whole("most_pieces", most)).round().astype(int)
    places = chosen[:, None] * context + np.arange(context + 1)
    return torch.from_numpy(numbers[places].astype(np.int64))


@contextmanager
def _counted(network: CharacterTransformer, counts: Sequence[Tensor]) -> Iterator[None]:
    """Add to `counts` for how many characters each unit of each layer is not 0."""
    with ExitStack() as stack:
        for layer, of_layer in zip(network.layers, counts, strict=True):
            assert isinstance(layer, Layer)
            stack.enter_context(_layer_counted(layer, of_layer))
        yield


@contextmanager
def _layer_counted(layer: Layer, counts: Tensor) -> Iterator[None]:
    block = layer.ffn

    def told(module: SparseFFN, _args: Any, _output: Tensor) -> None:
        assert module.counts is not None
        counts.add_(module.counts.cpu())

    def count(_module: nn.Module, _args: Any, output: Tensor) -> None:
        counts.add_((output != 0).flatten(0, -2).sum(0, dtype=torch.int32).cpu())

    if isinstance(block, SparseFFN):
        handle = block.register_forward_hook(told)
    else:
        handle = layer.hidden.register_forward_hook(count)
    try:
        with telling([block]):
            yield
    finally:
        handle.remove()
