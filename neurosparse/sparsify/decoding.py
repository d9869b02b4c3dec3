"""Exact decoding of one token at a time: most units are proven silent before they are computed.

`screened` copies a model for inference, its feed-forward blocks with an 8-bit copy of the weights
in front of the rectifier. What the 8 bits cannot prove silent is computed in float32, so the output
is that of the block itself, to the rounding of float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurosparse._internal import checks
from neurosparse.kernels.network import active_pairs, screening
from neurosparse.probe.originals import check_module
from neurosparse.sparsify.copies import copied
from neurosparse.sparsify.ffn import SparseFFN
from neurosparse.sparsify.pairs import rows_by_unit

MOST_TOKENS = 4  # of a batch that is screened token by token; more are a dense product's work
BREAK_EVEN = 0.35  # share of candidates from which the dense block is as fast
JUDGED_AFTER = 64  # tokens after which a block is judged by its candidates


@dataclass(frozen=True, slots=True)
class Screening:
    """The shares of units that were candidates and active in the tokens screened so far."""

    tokens: int
    candidates: float
    active: float

    def __str__(self) -> str:
        return (
            f"{self.tokens:,} tokens: {100 * self.candidates:.2f} % of the units were candidates,"
            f" {100 * self.active:.2f} % active"
        )


class ScreenedFFN(nn.Module):
    """A feed-forward block for inference whose silent units are proven silent in 8 bits.

    Parameters
    ----------
    block
        The block; its weights are shared, not copied. The 8-bit copy needs a quarter of the memory
        of the weights in front of the rectifier.

    Raises
    ------
    ValueError
        Where the block is not in float32 on a CPU.
    TypeError
        Where an argument is of another kind.
    """

    def __init__(self, block: SparseFFN) -> None:
        super().__init__()
        checks.instance("block", block, SparseFFN, "replace_ffn(model) puts them into a model")
        if any(p.dtype != torch.float32 or p.device.type != "cpu" for p in block.parameters()):
            raise ValueError("only a block in float32 on a CPU can be screened")
        self.block = block.eval()
        self._tokens = self._candidates = self._active = 0
        self.renew()

    def renew(self) -> None:
        """Take the block's weights anew, after they were changed."""
        first = self.block.rectified
        self._weights = first.weight.detach().contiguous().numpy()
        self._bias = _bias_of(first)
        self._screen = screening.screen_of(self._weights)
        self._rows = rows_by_unit(self.block.down.weight)
        up = self.block.up if self.block.gate is not None else None
        self._up = None if up is None else up.weight.detach().contiguous().numpy()
        self._up_bias = np.zeros(0, np.float32) if up is None else _bias_of(up)
        n_units, n_inputs = self._weights.shape
        self._whole = np.empty(n_inputs, np.int16)
        self._units = np.empty(n_units + 1, np.int32)
        self._values = np.empty(n_units + 1, np.float32)

    @property
    def screening(self) -> Screening:
        """The candidates and active units so far."""
        pairs = max(1, self._tokens * len(self._weights))
        return Screening(self._tokens, self._candidates / pairs, self._active / pairs)

    @property
    def pays(self) -> bool:
        """True where few candidates make screening faster than computing all units."""
        return self._tokens < JUDGED_AFTER or self.screening.candidates < BREAK_EVEN

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, of the shape of `x`: (..., d_model)."""
        flat = x.reshape(-1, x.shape[-1])
        if len(flat) > MOST_TOKENS or x.dtype != torch.float32 or not self.pays:
            dense: Tensor = self.block(x)
            return dense
        y = torch.empty_like(flat)
        inputs, outputs = flat.contiguous().numpy(), y.numpy()
        for k in range(len(inputs)):
            self._one(inputs[k], outputs[k : k + 1])
        return y.view(x.shape)

    def _one(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> None:
        units, values = self._units, self._values
        found = screening.candidates(self._screen, self._bias, x, self._whole, units)
        count = screening.active_of(self._weights, self._bias, x, found, units, values)
        if self._up is not None:
            screening.multiply_by(self._up, self._up_bias, x, count, units, values)
        y[0] = 0.0 if self.block.down.bias is None else self.block.down.bias.detach().numpy()
        start = np.array([0, count])
        active_pairs.add_rows(0, 1, start, units, values, self._rows, y)
        self._tokens += 1
        self._candidates += found
        self._active += count


def screened(model: nn.Module) -> nn.Module:
    """Return a copy of a model for inference in which feed-forward blocks are screened.

    Every `SparseFFN` of the model becomes a `ScreenedFFN`; `replace_ffn` puts such blocks into
    other people's models. The model itself is not changed.

    Raises
    ------
    ValueError
        Where the model has no `SparseFFN`, or one that is not in float32 on a CPU.
    TypeError
        Where an argument is of another kind.

    Examples
    --------
    >>> block = SparseFFN(64, 256, start_active=0.04).eval()
    >>> fast, x = screened(block), torch.randn(1, 64)
    >>> bool(torch.allclose(fast(x), block(x), atol=1e-5))
    True
    """
    twin = copied(model)
    if isinstance(twin, SparseFFN):
        return ScreenedFFN(twin).eval()
    blocks = {m: ScreenedFFN(m) for m in twin.modules() if isinstance(m, SparseFFN)}
    if not blocks:
        raise ValueError(
            f"{type(model).__name__} has no SparseFFN to screen: neurosparse.sparsify.replace_ffn"
            " puts them where rectifier blocks stand"
        )
    for name, module in list(twin.named_modules(remove_duplicate=False)):
        if module in blocks:
            parent, _, child = name.rpartition(".")
            setattr(twin.get_submodule(parent), child, blocks[module])
    return twin.eval()


def screenings(model: nn.Module) -> dict[str, Screening]:
    """Return what was screened so far, by the name of the block."""
    check_module(model)
    return {n: m.screening for n, m in model.named_modules() if isinstance(m, ScreenedFFN)}


def _bias_of(linear: nn.Linear) -> NDArray[np.float32]:
    if linear.bias is None:
        return np.zeros(linear.out_features, np.float32)
    bias: NDArray[np.float32] = linear.bias.detach().numpy()
    return bias
