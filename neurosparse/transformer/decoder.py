"""Reading a text character by character: by torch, or with far fewer calls on a CPU.

One character is little work, so the calls themselves take much of torch's time. `Decoder` keeps
torch's products with weights and the network's feed-forward blocks. All between them is compiled.
Keys and values are kept in place; torch's way copies them for every character.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from neurosparse.kernels.network import one_token
from neurosparse.kernels.network.layout import Floats
from neurosparse.transformer.network import CharacterTransformer, Layer, State
from neurosparse.transformer.specs import BEFORE


def reader_of(network: CharacterTransformer) -> Reader | Decoder:
    """Return the faster reader of those that suit a network."""
    return Decoder(network) if Decoder.suits(network) else Reader(network)


class Reader:
    """A text read piece by piece, by torch on any device, and the character expected after it."""

    def __init__(self, network: CharacterTransformer) -> None:
        self._network, self._cache = network, network.new_cache()

    @property
    def n(self) -> int:
        """The number of characters read."""
        return self._cache[0].n

    @torch.no_grad()
    def read(self, characters: list[int]) -> Tensor:
        """Return the logits of the character after these, (alphabet,), on the CPU."""
        numbers = torch.tensor([characters], device=self._network.positions.device)
        logits: Tensor = self._network(numbers, self._cache)[0, -1].cpu()
        return logits


class Decoder:
    """A text read by a network in float32 on a CPU; single characters cost few calls.

    Torch reads the first piece. Characters after it are read one by one, and give the same logits
    to the rounding of float32. Of the network's modules only the feed-forward blocks are called.
    """

    def __init__(self, network: CharacterTransformer) -> None:
        self.n = 0
        self._network = network
        self._steps = [Step(layer, network.spec.context) for layer in network.layers]  # type: ignore[arg-type]
        self._norm = Norm(network.norm)
        self._tables = [_array(table.weight) for table in network.embeddings]  # type: ignore[arg-type]
        self._positions = _array(network.positions)
        self._before = [network.spec.alphabet] * BEFORE  # the last characters, the newest first
        self._normalised = torch.empty(network.spec.d_model)

    @staticmethod
    def suits(network: CharacterTransformer) -> bool:
        """Return whether a network is in float32 on a CPU, with no hooks that would be missed."""
        called = {id(m) for layer in network.layers for m in layer.ffn.modules()}  # type: ignore[union-attr]
        missed = (m for m in network.modules() if id(m) not in called)
        return not any(m._forward_hooks or m._forward_pre_hooks for m in missed) and all(
            p.dtype == torch.float32 and p.device.type == "cpu" for p in network.parameters()
        )

    @torch.no_grad()
    def read(self, characters: list[int]) -> Tensor:
        """Return the logits of the character after these, (alphabet,)."""
        if self.n == 0:
            logits = self._first(characters)
        else:
            for character in characters:
                logits = self._next(character)
        return logits

    def _first(self, characters: list[int]) -> Tensor:
        cache = self._network.new_cache()
        logits: Tensor = self._network(torch.tensor([characters]), cache)[0, -1]
        for step, state in zip(self._steps, cache, strict=True):
            step.go_on_from(state)
        self.n = len(characters)
        self._before = [*reversed(characters), *self._before][:BEFORE]
        return logits

    def _next(self, character: int) -> Tensor:
        known = [character, *self._before]
        x = self._positions[self.n].copy()
        for table, k in zip(self._tables, known, strict=True):
            x += table[k]
        written = np.zeros_like(x)
        for step in self._steps:
            written = step(x, written, self.n)
        self._norm(x, written, self._normalised)
        self.n, self._before = self.n + 1, known[:BEFORE]
        return torch.mv(self._network.output.weight, self._normalised)


class Step:
    """A layer that reads one token after the other."""

    def __init__(self, layer: Layer, context: int) -> None:
        d, heads = layer.mix.shape[1], layer.heads
        self._layer = layer
        self._attend_norm, self._write_norm = Norm(layer.attend_norm), Norm(layer.write_norm)
        self._mix, self._before = _array(layer.mix), np.zeros((BEFORE, d), np.float32)
        self._keys = np.zeros((heads, context, d // heads), np.float32)
        self._values = np.zeros_like(self._keys)
        self._scores = np.empty(context, np.float32)
        self._normalised, self._found, self._attended = (torch.empty(d) for _ in range(3))
        self._split = torch.empty(3 * d)

    def go_on_from(self, state: State) -> None:
        """Take over what torch read."""
        assert state.keys is not None
        assert state.values is not None
        assert state.tokens is not None
        n = state.keys.shape[2]
        self._keys[:, :n], self._values[:, :n] = state.keys[0].numpy(), state.values[0].numpy()
        self._before[:] = state.tokens[0].numpy()

    def __call__(self, x: Floats, written: Floats, place: int) -> Floats:
        """Add to the stream x, (d,), `written` and what attention finds; return the block's output.

        `place` is the token's, from 0.
        """
        layer = self._layer
        self._attend_norm(x, written, self._normalised)
        one_token.mix_in(self._normalised.numpy(), self._before, self._mix)
        torch.mv(layer.attend_in.weight, self._normalised, out=self._split)
        split = self._split.numpy().reshape(3, layer.heads, -1)
        one_token.attend(split, self._keys, self._values, place, self._scores, self._found.numpy())
        torch.mv(layer.attend_out.weight, self._found, out=self._attended)
        self._write_norm(x, self._attended.numpy(), self._normalised)
        block: Floats = layer.ffn(self._normalised[None]).numpy()[0]
        return block


class Norm:
    """A layer norm of one token."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        self._weight, self._bias, self._eps = _array(norm.weight), _array(norm.bias), norm.eps

    def __call__(self, x: Floats, written: Floats, out: Tensor) -> None:
        """Add `written` to the stream x, and put the norm of x into `out`; all are (d,)."""
        one_token.add_and_normalise(x, written, self._weight, self._bias, self._eps, out.numpy())


def _array(weight: Tensor) -> Floats:
    array: Floats = weight.detach().contiguous().numpy()
    return array
