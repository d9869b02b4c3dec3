"""Text from a character transformer, one character at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import SupportsIndex

import torch

from neurosparse._internal import checks
from neurosparse.transformer.decoder import reader_of
from neurosparse.transformer.network import CharacterTransformer, check_network


@torch.no_grad()
def generate(
    network: CharacterTransformer,
    prompt: list[int],
    n: int,
    *,
    temperature: float = 0.8,
    seed: int = 0,
) -> Iterator[int]:
    """Yield `n` characters that follow a prompt.

    Where the context is full, its later half is read anew and the text goes on from there. A copy
    by `sparsify.screened` gives the same characters faster, up to ties by the rounding of float32.

    Parameters
    ----------
    network
        The network, in evaluation mode.
    prompt
        Characters as numbers, at least one; of a long prompt the last `context` - 1 are read.
    n
        The number of characters.
    temperature
        By which logits are divided before a character is drawn; 0 takes the likeliest.
    seed
        Of the draws.

    Raises
    ------
    ValueError, TypeError
        On an empty prompt, numbers outside the alphabet, or a negative temperature.
    """
    check_network(network)
    for k in checks.instances("prompt", prompt, object, "network.alphabet numbers characters"):
        checks.instance("each of prompt", k, SupportsIndex)
    checks.whole("n", n, least=0)
    checks.not_negative("temperature", temperature)
    spec = network.spec
    if not prompt:
        raise ValueError("the prompt is empty: give at least one character")
    if not all(0 <= k < spec.alphabet for k in prompt):
        raise ValueError(f"the prompt has numbers outside the alphabet of {spec.alphabet}")
    generator = torch.Generator().manual_seed(checks.whole("seed", seed, least=0))
    text = list(prompt)
    reader, unread = reader_of(network), text[-(spec.context - 1) :]
    for _ in range(n):
        if reader.n + len(unread) > spec.context:
            reader, unread = reader_of(network), text[-(spec.context // 2) :]
        logits = reader.read(unread)
        if temperature == 0:
            k = int(logits.argmax())
        else:
            shares = torch.softmax(logits.double() / temperature, -1)
            k = int(torch.multinomial(shares, 1, generator=generator))
        text.append(k)
        unread = [k]
        yield k
