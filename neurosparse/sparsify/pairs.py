"""A feed-forward block's forward and backward over lists of active (token, unit) pairs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from neurosparse._internal.types import Foreign

# share of active pairs from which torch's dense products are as fast: wide vectors help those more
# than sums over pairs. Measured on one processor of each kind (`benchmarks/transformer.py`); not
# measured anew in each process, or one seed could give two trainings
_BREAK_EVENS = {"AVX512": 0.11}
BREAK_EVEN = _BREAK_EVENS.get(torch.backends.cpu.get_cpu_capability(), 0.25)
ROOM = 1.15  # of lists, over the break-even: beyond it, they are given up
LOOKED_AT = 64  # tokens that tell whether far too many pairs are active
LEAST_PAIRS = 2**16  # (token, unit) pairs below which a second thread is not worth waking


class ActivePairs(torch.autograd.Function):
    """(y, mean L1 of the rectifier, share of active pairs, whether too many, what it put out).

    The last is in a tuple of its own, since it has no gradient: all of it, or the active pairs.
    """

    @staticmethod
    def forward(
        ctx: Foreign,
        x: Tensor,
        gate_weight: Tensor,
        gate_bias: Tensor | None,
        up_weight: Tensor | None,
        up_bias: Tensor | None,
        down_weight: Tensor,
        down_bias: Tensor | None,
        dropout: float,
    ) -> tuple[Tensor, Tensor, float, bool, tuple[Tensor | Pairs]]:
        """Run the block over active pairs, or densely where these are too many."""
        x = x.contiguous()
        z = functional.linear(x, gate_weight, gate_bias)
        pairs = Pairs.of(z)
        ctx.pairs, ctx.n_tokens = pairs, max(1, len(x))
        ctx.save_for_backward(x, gate_weight, up_weight, down_weight)
        ctx.has_bias = [b is not None for b in (gate_bias, up_bias, down_bias)]
        ctx.keep = 1.0
        if pairs is None:
            z = functional.relu_(z)
            # NumPy counts ten times as fast as torch
            active = int(np.count_nonzero(z.numpy() > 0)) / max(1, z.numel())
            ctx.hidden = z
            ctx.linear = None if up_weight is None else functional.linear(x, up_weight, up_bias)
            ctx.kept = functional.dropout(torch.ones_like(z), dropout) if dropout else None
            y = functional.linear(_times(z, ctx.linear, ctx.kept), down_weight, down_bias)
            return y, z.sum() / ctx.n_tokens, active, True, (z,)
        ctx.linear = None if up_weight is None else pairs.dots(x, up_weight, up_bias)
        ctx.kept = (
            functional.dropout(torch.ones(len(pairs.values)), dropout).numpy() if dropout else None
        )
        ctx.written = _times(pairs.values, ctx.linear, ctx.kept)
        y = torch.zeros_like(x) if down_bias is None else down_bias.expand_as(x).clone()
        pairs.add_rows(ctx.written, rows_by_unit(down_weight), y.numpy())
        return y, _scalar(pairs.values.sum() / ctx.n_tokens), pairs.active, False, (pairs,)

    @staticmethod
    def backward(ctx: Foreign, *gradients: Foreign) -> tuple[Foreign, ...]:
        """Go back over the same pairs."""
        if torch.is_grad_enabled():
            raise RuntimeError(
                "a SparseFFN on active pairs has no second derivative: call it under autocast, in"
                " float64, or use torch's own block where create_graph=True is needed"
            )
        dy, d_l1 = gradients[0].contiguous(), float(gradients[1]) / ctx.n_tokens
        back = _backward_dense if ctx.pairs is None else _backward_pairs
        return (*back(ctx, dy, d_l1), None)


def _backward_dense(ctx: Foreign, dy: Tensor, d_l1: float) -> list[Tensor | None]:
    x, gate_weight, up_weight, down_weight = ctx.saved_tensors
    hidden, linear, kept = ctx.hidden, ctx.linear, ctx.kept
    written = _times(hidden, linear, kept)
    d_down, d_written = dy.t() @ written, dy @ down_weight
    d_hidden = _times(d_written, linear, kept)
    if d_l1:
        d_hidden = d_hidden + d_l1
    d_hidden = torch.ops.aten.threshold_backward(d_hidden, hidden, 0)
    dx, d_gate = d_hidden @ gate_weight, d_hidden.t() @ x
    d_up = d_up_bias = None
    if up_weight is not None:
        d_linear = _times(d_written, hidden, kept)
        dx += d_linear @ up_weight
        d_up, d_up_bias = d_linear.t() @ x, d_linear.sum(0)
    biases = [d_hidden.sum(0), d_up_bias, dy.sum(0)]
    return _in_order(ctx, dx, [d_gate, d_up, d_down], biases)


def _backward_pairs(ctx: Foreign, dy: Tensor, d_l1: float) -> list[Tensor | None]:
    x, gate_weight, up_weight, down_weight = ctx.saved_tensors
    pairs: Pairs = ctx.pairs
    by_unit = pairs.by_unit(len(gate_weight))
    d_rows = torch.zeros_like(down_weight.t(), memory_format=torch.contiguous_format)
    d_written = by_unit.rows_backward(
        ctx.written, rows_by_unit(down_weight), dy.numpy(), d_rows.numpy()
    )
    d_hidden = _times(d_written, ctx.linear, ctx.kept)
    if d_l1:
        d_hidden = d_hidden + np.float32(d_l1)
    d_gate, d_gate_bias = by_unit.weights_backward(d_hidden, x)
    dx = torch.zeros_like(x)
    pairs.add_rows(d_hidden, gate_weight.contiguous().numpy(), dx.numpy())
    d_up = d_up_bias = None
    if up_weight is not None:
        d_linear = _times(d_written, pairs.values, ctx.kept)
        d_up, d_up_bias = by_unit.weights_backward(d_linear, x)
        pairs.add_rows(d_linear, up_weight.contiguous().numpy(), dx.numpy())
    return _in_order(ctx, dx, [d_gate, d_up, d_rows.t()], [d_gate_bias, d_up_bias, dy.sum(0)])


def _in_order(
    ctx: Foreign, dx: Tensor, weights: list[Tensor | None], biases: list[Tensor | None]
) -> list[Tensor | None]:
    """Order the gradients as `forward` takes its arguments; None for a bias that is not there."""
    found = [b if has else None for b, has in zip(biases, ctx.has_bias, strict=True)]
    return [dx, *(g for pair in zip(weights, found, strict=True) for g in pair)]


def _times(first: Foreign, *others: Foreign) -> Foreign:
    """Multiply tensors or arrays; those that are None count as 1."""
    for other in others:
        if other is not None:
            first = first * other
    return first


def rows_by_unit(down_weight: Tensor) -> NDArray[np.float32]:
    """Return the weights that leave each unit as rows, (d_ff, d_model); no copy as a rule."""
    rows: NDArray[np.float32] = down_weight.detach().t().contiguous().numpy()
    return rows


def unit_counts(hidden: Tensor) -> Tensor:
    """Return the number of tokens for which each unit is above 0, (n_units,) of int64."""
    # a sum of 64 bits is several times as slow
    return (hidden > 0).flatten(0, -2).sum(0, dtype=torch.int32).long()


def _scalar(value: Foreign) -> Tensor:
    return torch.tensor(float(value), dtype=torch.float32)


# ---- Active pairs as arrays, and the kernels over them in threads
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pairs:
    """The active pairs of a batch by token: where each token's begin, their units and values."""

    start: NDArray[np.int64]  # (n_tokens + 1,)
    units: NDArray[np.int32]
    values: NDArray[np.float32]
    n_units: int

    @classmethod
    def of(cls, z: Tensor) -> Pairs | None:
        """List the pairs above 0; None where they are more than about `BREAK_EVEN` of all.

        A look at a few tokens decides first, and the list has room for more than it expects. One
        that is given up near its end would have cost as much as a whole one.
        """
        n_tokens, n_units = z.shape
        some = z[:: max(1, n_tokens // LOOKED_AT)]
        if n_tokens > LOOKED_AT and (some > 0).sum().item() > BREAK_EVEN * some.numel():
            return None
        most = int(ROOM * BREAK_EVEN * n_tokens * n_units)
        start = np.zeros(n_tokens + 1, np.int64)
        units = np.empty(most + n_units + 1, np.int32)
        values = np.empty(most + n_units + 1, np.float32)
        count = _kernels().list_pairs(z.numpy(), most, start, units, values)
        return None if count < 0 else cls(start, units[:count], values[:count], n_units)

    @property
    def active(self) -> float:
        """The share of all pairs that is active."""
        return len(self.units) / max(1, (len(self.start) - 1) * self.n_units)

    def counts(self) -> Tensor:
        """Return the number of tokens for which each unit is active, (n_units,) of int64."""
        return torch.from_numpy(np.bincount(self.units, minlength=self.n_units).astype(np.int64))

    def add_rows(
        self, values: NDArray[np.float32], rows: NDArray[np.float32], out: NDArray[np.float32]
    ) -> None:
        """Add the rows of each token's units, times `values`, to its row of `out`."""
        _in_threads(
            _kernels().add_rows, len(out), len(values), self.start, self.units, values, rows, out
        )

    def dots(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> NDArray[np.float32]:
        """Return weight[unit] . x[token] + bias[unit] for each pair."""
        out = np.empty(len(self.units), np.float32)
        rows = weight.detach().contiguous().numpy()
        _in_threads(
            _kernels().pair_dots, len(x), len(out), self.start, self.units, rows, x.numpy(), out
        )
        if bias is not None:
            out += bias.detach().numpy()[self.units]
        return out

    def by_unit(self, n_units: int) -> _ByUnit:
        """Order the pairs by unit."""
        n = len(self.units)
        ordered = _ByUnit(
            np.empty(n_units + 1, np.int64), np.empty(n, np.int32), np.empty(n, np.int64)
        )
        _kernels().order_by_unit(
            self.start, self.units, ordered.start, ordered.tokens, ordered.places
        )
        return ordered


@dataclass(frozen=True, slots=True)
class _ByUnit:
    """Active pairs by unit: the token of each, and its place in the lists by token."""

    start: NDArray[np.int64]  # (n_units + 1,)
    tokens: NDArray[np.int32]
    places: NDArray[np.int64]

    def rows_backward(
        self,
        values: NDArray[np.float32],
        rows: NDArray[np.float32],
        gradient: NDArray[np.float32],
        rows_gradient: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Return the gradient of `values`; that of `rows` is added to `rows_gradient`."""
        out = np.empty(len(values), np.float32)
        _in_threads(
            _kernels().rows_backward, len(rows), len(values),
            self.start, self.tokens, self.places, values, rows, gradient, rows_gradient, out,
        )  # fmt: skip
        return out

    def weights_backward(self, values: NDArray[np.float32], x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of weights and bias, `values` those of the pre-activations."""
        n_units = len(self.start) - 1
        weight, bias = torch.zeros(n_units, x.shape[1]), torch.zeros(n_units)
        _in_threads(
            _kernels().weights_backward, n_units, len(values),
            self.start, self.tokens, self.places, values, x.numpy(), weight.numpy(), bias.numpy(),
        )  # fmt: skip
        return weight, bias


def _in_threads(kernel: Foreign, size: int, n_pairs: int, *arrays: Foreign) -> None:
    """Run kernel(first, last, *arrays) over [0, size), in as many parts as torch has threads."""
    parts = torch.get_num_threads() if n_pairs >= LEAST_PAIRS else 1
    if parts <= 1:
        kernel(0, size, *arrays)
        return
    edges = [size * k // parts for k in range(parts + 1)]
    done = _pool(parts).map(lambda k: kernel(edges[k], edges[k + 1], *arrays), range(parts))
    for _ in done:
        pass


@cache
def _pool(parts: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(parts, thread_name_prefix="neurosparse-ffn")


@cache
def _kernels() -> Foreign:
    from neurosparse.kernels.network import active_pairs

    return active_pairs
