"""A causal transformer over characters, its feed-forward blocks `SparseFFN`.

The input of each place is the sum of the embeddings of the last three characters. Every layer mixes
in the two tokens before, channel by channel (as Primer does, So et al. 2021). Without these a
character model spends most of a short training on learning pairs of letters.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurosparse._internal import checks, sizes
from neurosparse.sparsify.ffn import SparseFFN, start_at
from neurosparse.sparsify.topk import top_k
from neurosparse.transformer.specs import BEFORE, TransformerSpec


class CharacterTransformer(nn.Module):
    """A transformer from characters (numbers) to the logits of the character after each.

    Parameters
    ----------
    spec
        Sizes and activation.
    seed
        Of the initial weights.

    Attributes
    ----------
    spec : TransformerSpec
        Its sizes and activation.
    alphabet : str
        The characters by their numbers; empty where they are not known.

    Examples
    --------
    >>> network = CharacterTransformer(TransformerSpec(d_model=16, d_ff=32, layers=1))
    >>> network(torch.zeros(2, 5, dtype=torch.long)).shape
    torch.Size([2, 5, 82])
    """

    def __init__(self, spec: TransformerSpec, *, seed: int = 0) -> None:
        super().__init__()
        checks.instance("spec", spec, TransformerSpec)
        sizes.check_memory(
            "a transformer of this size", sizes.bytes_of(spec.shapes), "take smaller layers"
        )
        self.spec, self.alphabet = spec, ""
        self.embeddings = nn.ModuleList(
            nn.Embedding(spec.alphabet + 1, spec.d_model) for _ in range(BEFORE + 1)
        )
        self.positions = nn.Parameter(torch.empty(spec.context, spec.d_model))
        self.layers = nn.ModuleList(Layer(spec) for _ in range(spec.layers))
        self.norm = nn.LayerNorm(spec.d_model)
        self.output = nn.Linear(spec.d_model, spec.alphabet, bias=False)
        self._initialise(torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator) -> None:
        """Draw weights of variance 1 / fan-in; what adds to the residual stream starts smaller."""
        residual = 1 / math.sqrt(2 * self.spec.layers)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                module.weight.normal_(0, 1 / math.sqrt(module.in_features), generator=generator)
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, nn.Embedding):
                module.weight.normal_(0, 0.3, generator=generator)
        self.positions.normal_(0, 0.02, generator=generator)
        for layer in self.layers:
            assert isinstance(layer, Layer)
            layer.attend_out.weight.mul_(residual)
            layer.write_out.mul_(residual)
            layer.start_at(self.spec.start_active)

    def forward(self, characters: Tensor, cache: list[State] | None = None) -> Tensor:
        """Return the logits of the next character at each place.

        Parameters
        ----------
        characters
            Integers, (batch, n), n at most `spec.context`.
        cache
            What a previous call left of the characters before: `new_cache()` at first. It is
            changed in place, so that a text can be read piece by piece.

        Raises
        ------
        ValueError
            Where there are more characters than the context holds.
        """
        begin = 0 if cache is None else cache[0].n
        end = begin + characters.shape[1]
        if end > self.spec.context:
            raise ValueError(f"{end} characters are more than the context of {self.spec.context}")
        x = self._embedded(characters, None if cache is None else cache[0])
        x = x + self.positions[begin:end]
        for k, layer in enumerate(self.layers):
            x = layer(x, None if cache is None else cache[k])
        if cache is not None:
            cache[0].n = end
        logits: Tensor = self.output(self.norm(x))
        return logits

    def new_cache(self) -> list[State]:
        """Return an empty cache for `forward`."""
        return [State() for _ in self.layers]

    def _embedded(self, characters: Tensor, state: State | None) -> Tensor:
        nothing = characters.new_full((len(characters), BEFORE), self.spec.alphabet)
        past = nothing if state is None or state.characters is None else state.characters
        known = torch.cat([past, characters], 1)
        if state is not None:
            state.characters = known[:, -BEFORE:]
        n = characters.shape[1]
        parts = [e(known[:, BEFORE - k : BEFORE - k + n]) for k, e in enumerate(self.embeddings)]
        return torch.stack(parts).sum(0)


class State:
    """Memory of one layer of the characters read so far."""

    def __init__(self) -> None:
        self.n = 0
        self.characters: Tensor | None = None  # the last two; of the first layer's state alone
        self.tokens: Tensor | None = None  # the last two, normalised
        self.keys: Tensor | None = None
        self.values: Tensor | None = None


class TopK(nn.Module):
    """A rectifier that passes the largest activations of each token and no others."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Return the largest of `x`, the others 0."""
        return top_k(functional.relu(x), self.share, -1)


class Layer(nn.Module):
    """Attention and a feed-forward block, each added to the stream after a layer norm."""

    def __init__(self, spec: TransformerSpec) -> None:
        super().__init__()
        d = spec.d_model
        self.heads = spec.heads
        self.attend_norm, self.write_norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.mix = nn.Parameter(torch.zeros(BEFORE, d))
        self.attend_in = nn.Linear(d, 3 * d, bias=False)
        self.attend_out = nn.Linear(d, d, bias=False)
        self.ffn: nn.Module = SparseFFN(d, spec.d_ff, start_active=None)
        if spec.activation != "relu" or spec.top_k is not None:
            hidden = nn.GELU() if spec.top_k is None else TopK(spec.top_k)
            self.ffn = nn.Sequential(nn.Linear(d, spec.d_ff), hidden, nn.Linear(spec.d_ff, d))

    @property
    def hidden(self) -> nn.Module:
        """The module that puts out the hidden activations."""
        module = self.ffn.activation if isinstance(self.ffn, SparseFFN) else self.ffn[1]  # type: ignore[index]
        assert isinstance(module, nn.Module)
        return module

    @property
    def write_out(self) -> Tensor:
        """The weights by which the block writes to the stream."""
        last = self.ffn.down if isinstance(self.ffn, SparseFFN) else self.ffn[2]  # type: ignore[index]
        weight: Tensor = last.weight
        return weight

    def start_at(self, active: float) -> None:
        """Let the block start with this share of its units active; one of GELU starts as usual."""
        if active == 0.5:
            return
        if isinstance(self.ffn, SparseFFN):
            self.ffn.start_at(active)
        elif isinstance(self.hidden, TopK):
            start_at(self.ffn[0], active)  # type: ignore[index]

    def forward(self, x: Tensor, state: State | None = None) -> Tensor:
        """Return the stream, (batch, n, d_model), after this layer."""
        x = x + self._attended(self._mixed(self.attend_norm(x), state), state)
        written: Tensor = x + self.ffn(self.write_norm(x))
        return written

    def _mixed(self, x: Tensor, state: State | None) -> Tensor:
        """Add the two tokens before each, channel by channel."""
        nothing = x.new_zeros(len(x), BEFORE, x.shape[2])
        past = nothing if state is None or state.tokens is None else state.tokens
        known, n = torch.cat([past, x], 1), x.shape[1]
        if state is not None:
            state.tokens = known[:, -BEFORE:]
        for k in range(BEFORE):
            x = x + known[:, BEFORE - 1 - k : BEFORE - 1 - k + n] * self.mix[k]
        return x

    def _attended(self, x: Tensor, state: State | None) -> Tensor:
        batch, n, d = x.shape
        split = self.attend_in(x).view(batch, n, 3, self.heads, d // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        is_first = state is None or state.keys is None
        if state is not None:
            if state.keys is not None and state.values is not None:
                key = torch.cat([state.keys, key], 2)
                value = torch.cat([state.values, value], 2)
            state.keys, state.values = key, value
        mask = None
        if not is_first and n > 1:
            seen = key.shape[2] - n
            mask = torch.ones(n, seen + n, dtype=torch.bool).tril(seen).to(x.device)
        found = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=is_first and n > 1
        )
        out: Tensor = self.attend_out(found.transpose(1, 2).reshape(batch, n, d))
        return out


def check_network(network: object) -> None:
    """Refuse what is no CharacterTransformer with a TypeError."""
    checks.instance(
        "network",
        network,
        CharacterTransformer,
        "neurosparse.transformer.train makes one, neurosparse.transformer.load reads one",
    )
