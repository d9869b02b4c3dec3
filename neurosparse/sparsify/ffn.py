"""The feed-forward block of a transformer, computed over its active (token, unit) pairs alone.

    y = W_down max(0, W_up x + b_up) + b_down                       plain
    y = W_down (max(0, W_gate x + b_gate) * (W_up x + b_up)) + b_down      gated

On a CPU in float32 three of the block's products (in the gated block: all but the gate's) run over
the pairs whose rectifier is above 0, forward and backward, exactly. Everywhere else, and where too
many pairs are active, it runs as torch would; `SparseFFN.ran` says which it was, and why.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from neurosparse._internal import checks

BREAK_EVEN = 0.25  # share of active pairs from which torch's dense products are as fast
LOOKED_AT = 64  # tokens that tell whether far too many pairs are active
CALLS_AT_REST = 15  # calls that run densely unseen after one in which too many were active
LEAST_PAIRS = 2**16  # (token, unit) pairs below which a second thread is not worth waking


@dataclass(frozen=True, slots=True)
class Ran:
    """The way in which a block ran last.

    Attributes
    ----------
    path
        "active pairs" or "dense".
    why
        What kept it from running over active pairs; empty where it did.
    active
        Share of (token, unit) pairs above 0; None where the dense path did not count them.
    """

    path: str
    why: str = ""
    active: float | None = None


class SparseFFN(nn.Module):
    """A feed-forward block with a rectifier, plain or gated, that skips what is not active.

    Its state dict is that of its Linears: `up`, `down` and, where gated, `gate`.

    Parameters
    ----------
    d_model, d_ff
        Width of the tokens, and number of hidden units.
    activation
        "relu": the only one whose zeros are exact.
    gated
        Whether the rectified gate multiplies a second, linear projection (ReGLU).
    bias
        Whether the Linears have biases.
    start_active
        Share of units that are active at the start, for inputs of mean 0 and variance 1 (after a
        layer norm); it sets the bias in front of the rectifier. None leaves torch's start. Networks
        that start at 10 % active end up better and sparser than those that start at 50 %.
    dropout
        Share of hidden activations set to 0 in training.

    Raises
    ------
    ValueError, TypeError
        On another activation, sizes below 1, or a share outside (0, 1).

    Examples
    --------
    >>> block = SparseFFN(64, 256)
    >>> block(torch.randn(2, 10, 64)).shape
    torch.Size([2, 10, 64])
    >>> block.ran.path
    'active pairs'
    """

    def __init__(
        self,
        d_model: int,
        d_ff: int,
        *,
        activation: str = "relu",
        gated: bool = False,
        bias: bool = True,
        start_active: float | None = 0.10,
        dropout: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if activation != "relu":
            raise ValueError(
                f"activation must be 'relu', whose zeros are exact, got {activation!r}:"
                " keep torch's own block for others"
            )
        if not 0 <= checks.number("dropout", dropout) < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout}")
        d_model, d_ff = checks.whole("d_model", d_model), checks.whole("d_ff", d_ff)
        make: Callable[[int, int], nn.Linear] = lambda i, o: nn.Linear(  # noqa: E731
            i, o, bias=bias, device=device, dtype=dtype
        )
        self.gate = make(d_model, d_ff) if gated else None
        self.up = make(d_model, d_ff)
        self.down = make(d_ff, d_model)
        self.activation = nn.ReLU()
        self.dropout = dropout
        self.ran = Ran("dense", "it has not run yet")
        self.keeps_l1 = False  # a penalty asks for `l1`
        self.l1: Tensor | None = None  # mean over tokens of the sum of rectified activations
        self._at_rest = 0
        _store_by_unit(self.down)
        if start_active is not None:
            self.start_at(start_active)

    @classmethod
    def of(
        cls,
        up: nn.Linear,
        down: nn.Linear,
        *,
        gate: nn.Linear | None = None,
        dropout: float = 0.0,
    ) -> SparseFFN:
        """Return a block around the Linears of another one, whose parameters stay the same objects.

        Raises
        ------
        ValueError
            Where their sizes do not fit together.
        """
        first = up if gate is None else gate
        if up.weight.shape != first.weight.shape or up.weight.shape != down.weight.t().shape:
            raise ValueError(
                f"Linears of {tuple(first.weight.shape)}, {tuple(up.weight.shape)} and"
                f" {tuple(down.weight.shape)} are no feed-forward block"
            )
        block = cls(1, 1, gated=gate is not None, start_active=None, dropout=dropout)
        block.gate, block.up, block.down = gate, up, down
        _store_by_unit(down)
        return block.train(up.training)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to the last call: its graph can be neither copied nor kept."""
        return {**self.__dict__, "l1": None}

    @property
    def rectified(self) -> nn.Linear:
        """The Linear in front of the rectifier: the gate where there is one."""
        return self.up if self.gate is None else self.gate

    @torch.no_grad()
    def start_at(self, active: float) -> None:
        """Set the bias in front of the rectifier so that this share of units starts active.

        For inputs of mean 0 and variance 1: each unit's input then has the norm of its weights for
        a standard deviation.

        Raises
        ------
        ValueError
            For a share outside (0, 1), or without a bias to set.
        """
        if not 0 < checks.number("start_active", active) < 1:
            raise ValueError(f"start_active must lie between 0 and 1, got {active}")
        linear = self.rectified
        if linear.bias is None:
            raise ValueError("start_active sets a bias, and this block has none: pass bias=True")
        at = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(float(active)))
        linear.bias.copy_(at.to(linear.bias) * linear.weight.norm(dim=1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, of the shape of `x`: (..., d_model)."""
        why = self._why_dense(x)
        if why:
            self.ran = Ran("dense", why)
            return self._dense(x)
        if self._at_rest:
            self._at_rest -= 1
            return self._dense(x)
        gate = self.rectified
        up = self.up if self.gate is not None else None
        y, self.l1, active, overfull = _ActivePairs.apply(  # type: ignore[no-untyped-call]
            x.reshape(-1, x.shape[-1]), gate.weight, gate.bias,
            None if up is None else up.weight, None if up is None else up.bias,
            self.down.weight, self.down.bias, self.dropout if self.training else 0.0,
        )  # fmt: skip
        self.ran = Ran("active pairs", "", active)
        if overfull:
            self.ran = Ran(
                "dense", f"more than {100 * BREAK_EVEN:g} % of its pairs are active", active
            )
            self._at_rest = CALLS_AT_REST
        return y.view(x.shape)

    def _dense(self, x: Tensor) -> Tensor:
        """Run the block as torch would, its rectifier heard by whoever listens."""
        hidden = self.activation(self.rectified(x))
        if self.keeps_l1:
            self.l1 = hidden.sum() / max(1, hidden.numel() // hidden.shape[-1])
        if self.gate is not None:
            hidden = hidden * self.up(x)
        return self.down(functional.dropout(hidden, self.dropout, self.training))

    def _why_dense(self, x: Tensor) -> str:
        if torch.compiler.is_compiling():
            return "it is being compiled"
        if torch._C._are_functorch_transforms_active():
            return "a transform of torch.func is at work"
        tensors = [x, *self.parameters()]
        if any(t.device.type != "cpu" for t in tensors):
            return f"it runs on {next(t.device for t in tensors if t.device.type != 'cpu')}"
        if torch.is_autocast_enabled("cpu"):
            return "autocast is on"
        if any(t.dtype != torch.float32 for t in tensors):
            dtype = next(t.dtype for t in tensors if t.dtype != torch.float32)
            return f"it holds {str(dtype).removeprefix('torch.')}, not float32"
        if any(type(t) not in (Tensor, nn.Parameter) or t.layout != torch.strided for t in tensors):
            return "one of its tensors is not a plain one"
        hooked = torch.overrides._is_torch_function_mode_enabled()  # type: ignore[attr-defined]
        if hooked or _is_hooked(self):
            return "its layers are being looked at"
        return ""

    def extra_repr(self) -> str:
        """Return what is not seen from the Linears."""
        return f"dropout={self.dropout:g}" if self.dropout else ""


def _is_hooked(block: SparseFFN) -> bool:
    """Whether somebody listens to a part of the block, which the active pairs would pass by."""
    parts = [m for m in (block.gate, block.up, block.down, block.activation) if m is not None]
    return any(
        m._forward_hooks or m._forward_pre_hooks or m._backward_hooks or m._backward_pre_hooks
        for m in parts
    )


def _store_by_unit(down: nn.Linear) -> None:
    """Keep the weights that leave one unit next to each other, the shape as torch has it."""
    down.weight.data = down.weight.data.t().contiguous().t()


class _ActivePairs(torch.autograd.Function):
    """(y, mean L1 of the rectifier, share of active pairs, whether these were too many)."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        gate_weight: Tensor,
        gate_bias: Tensor | None,
        up_weight: Tensor | None,
        up_bias: Tensor | None,
        down_weight: Tensor,
        down_bias: Tensor | None,
        dropout: float,
    ) -> tuple[Tensor, Tensor, float, bool]:
        """Run the block over active pairs, or densely where these are too many."""
        x = x.contiguous()
        z = functional.linear(x, gate_weight, gate_bias)
        pairs = _Pairs.of(z)
        ctx.pairs, ctx.n_tokens = pairs, max(1, len(x))
        ctx.save_for_backward(x, gate_weight, up_weight, down_weight)
        ctx.has_bias = [b is not None for b in (gate_bias, up_bias, down_bias)]
        ctx.keep = 1.0
        if pairs is None:
            z = functional.relu_(z)
            active = int(torch.count_nonzero(z)) / max(1, z.numel())
            ctx.hidden = z
            ctx.linear = None if up_weight is None else functional.linear(x, up_weight, up_bias)
            ctx.kept = functional.dropout(torch.ones_like(z), dropout) if dropout else None
            y = functional.linear(_times(z, ctx.linear, ctx.kept), down_weight, down_bias)
            return y, z.sum() / ctx.n_tokens, active, True
        ctx.linear = None if up_weight is None else pairs.dots(x, up_weight, up_bias)
        ctx.kept = (
            functional.dropout(torch.ones(len(pairs.values)), dropout).numpy() if dropout else None
        )
        ctx.written = _times(pairs.values, ctx.linear, ctx.kept)
        y = torch.zeros_like(x) if down_bias is None else down_bias.expand_as(x).clone()
        pairs.add_rows(ctx.written, _by_unit(down_weight), y.numpy())
        return y, _scalar(pairs.values.sum() / ctx.n_tokens), pairs.active, False

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
        """Go back over the same pairs."""
        if torch.is_grad_enabled():
            raise RuntimeError(
                "a SparseFFN on active pairs has no second derivative: call it under autocast, in"
                " float64, or use torch's own block where create_graph=True is needed"
            )
        dy, d_l1 = gradients[0].contiguous(), float(gradients[1]) / ctx.n_tokens
        back = _backward_dense if ctx.pairs is None else _backward_pairs
        return (*back(ctx, dy, d_l1), None)


def _backward_dense(ctx: Any, dy: Tensor, d_l1: float) -> list[Tensor | None]:
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


def _backward_pairs(ctx: Any, dy: Tensor, d_l1: float) -> list[Tensor | None]:
    x, gate_weight, up_weight, down_weight = ctx.saved_tensors
    pairs: _Pairs = ctx.pairs
    by_unit = pairs.by_unit(len(gate_weight))
    d_rows = torch.zeros_like(down_weight.t(), memory_format=torch.contiguous_format)
    d_written = by_unit.rows_backward(
        ctx.written, _by_unit(down_weight), dy.numpy(), d_rows.numpy()
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
    ctx: Any, dx: Tensor, weights: list[Tensor | None], biases: list[Tensor | None]
) -> list[Tensor | None]:
    """Order the gradients as `forward` takes its arguments; None for a bias that is not there."""
    found = [b if has else None for b, has in zip(biases, ctx.has_bias, strict=True)]
    return [dx, *(g for pair in zip(weights, found, strict=True) for g in pair)]


def _times(first: Any, *others: Any) -> Any:
    """Multiply tensors or arrays; those that are None count as 1."""
    for other in others:
        if other is not None:
            first = first * other
    return first


def _by_unit(down_weight: Tensor) -> NDArray[np.float32]:
    """Return the weights that leave each unit as rows, (d_ff, d_model); no copy as a rule."""
    rows: NDArray[np.float32] = down_weight.detach().t().contiguous().numpy()
    return rows


def _scalar(value: Any) -> Tensor:
    return torch.tensor(float(value), dtype=torch.float32)


# ---- Active pairs as arrays, and the kernels over them in threads
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Pairs:
    """The active pairs of a batch by token: where each token's begin, their units and values."""

    start: NDArray[np.int64]  # (n_tokens + 1,)
    units: NDArray[np.int32]
    values: NDArray[np.float32]
    n_units: int

    @classmethod
    def of(cls, z: Tensor) -> _Pairs | None:
        """List the pairs above 0; None where they are more than `BREAK_EVEN` of all.

        A look at a few tokens first saves the list where it would come to nothing.
        """
        n_tokens, n_units = z.shape
        some = z[:: max(1, n_tokens // LOOKED_AT)]
        if n_tokens > LOOKED_AT and (some > 0).sum().item() > 1.2 * BREAK_EVEN * some.numel():
            return None
        most = int(BREAK_EVEN * n_tokens * n_units)
        start = np.zeros(n_tokens + 1, np.int64)
        units = np.empty(most + n_units + 1, np.int32)
        values = np.empty(most + n_units + 1, np.float32)
        count = _kernels().list_pairs(z.numpy(), most, start, units, values)
        return None if count < 0 else cls(start, units[:count], values[:count], n_units)

    @property
    def active(self) -> float:
        """The share of all pairs that is active."""
        return len(self.units) / max(1, (len(self.start) - 1) * self.n_units)

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
    """The same pairs by unit: the token of each, and its place in the lists by token."""

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


def _in_threads(kernel: Any, size: int, n_pairs: int, *arrays: Any) -> None:
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
def _kernels() -> Any:
    from neurosparse.kernels.network import active_pairs

    return active_pairs
