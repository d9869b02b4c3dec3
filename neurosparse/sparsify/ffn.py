"""The feed-forward block of a transformer, computed over its active (token, unit) pairs alone.

    y = W_down max(0, W_up x + b_up) + b_down                       plain
    y = W_down (max(0, W_gate x + b_gate) * (W_up x + b_up)) + b_down      gated

On a CPU in float32 three of the block's products run over the pairs whose rectifier is above 0,
forward and backward, exactly. In the gated block these are all but the gate's. Everywhere else, and
where too many pairs are active, it runs as torch would; `SparseFFN.ran` says which it was, and why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurosparse._internal import checks
from neurosparse._internal.types import Fields
from neurosparse.sparsify.pairs import BREAK_EVEN, ActivePairs, Pairs, unit_counts

CALLS_AT_REST = 15  # calls that run densely unseen after one in which too many were active


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
        layer norm). It sets the bias in front of the rectifier. None leaves torch's start. Networks
        that start at 10 % active end up better and sparser than those that start at 50 %.
    dropout
        Share of hidden activations set to 0 in training.

    Attributes
    ----------
    ran : Ran
        The way in which it ran last.
    tells : bool
        Whether every pass leaves `l1` and `hidden`, for a penalty or whoever counts. To listen to
        `activation` by a hook instead takes the block off its fast path.
    l1 : tensor, or None
        The mean over tokens of the sum of rectified activations, with its graph.
    hidden : tensor, Pairs, or None
        What the rectifier put out: all of it, or a list of what is active.

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
        self.tells = False
        self.l1: Tensor | None = None
        self.hidden: Tensor | Pairs | None = None
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

    def __getstate__(self) -> Fields:
        """Leave out what belongs to the last call: its graph can be neither copied nor kept."""
        return {**self.__dict__, "l1": None, "hidden": None}

    @property
    def counts(self) -> Tensor | None:
        """The tokens for which each unit was active, (d_ff,) of int64; None where untold."""
        if self.hidden is None:
            return None
        return self.hidden.counts() if isinstance(self.hidden, Pairs) else unit_counts(self.hidden)

    @property
    def rectified(self) -> nn.Linear:
        """The Linear in front of the rectifier: the gate where there is one."""
        return self.up if self.gate is None else self.gate

    def start_at(self, active: float) -> None:
        """Set the bias in front of the rectifier so that this share of units starts active.

        For inputs of mean 0 and variance 1: each unit's input then has the norm of its weights for
        a standard deviation.

        Raises
        ------
        ValueError
            For a share outside (0, 1), or without a bias to set.
        """
        start_at(self.rectified, active)

    def look_again(self) -> None:
        """Have the next pass look whether few units are active, however many were in the last.

        After one with too many, the block runs densely for a while without a look. Both ways give
        the same but for rounding. So where a training is to go on bit for bit from a checkpoint,
        call this whenever one is written.
        """
        self._at_rest = 0

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
        y, self.l1, active, overfull, hidden = ActivePairs.apply(  # type: ignore[no-untyped-call]
            x.reshape(-1, x.shape[-1]), gate.weight, gate.bias,
            None if up is None else up.weight, None if up is None else up.bias,
            self.down.weight, self.down.bias, self.dropout if self.training else 0.0,
        )  # fmt: skip
        self.hidden = hidden[0] if self.tells else None
        self.ran = Ran("active pairs", "", active)
        if overfull:
            self.ran = Ran(
                "dense", f"more than {100 * BREAK_EVEN:g} % of its pairs are active", active
            )
            self._at_rest = CALLS_AT_REST
        result: Tensor = y.view(x.shape)
        return result

    def _dense(self, x: Tensor) -> Tensor:
        """Run the block as torch would, with its rectifier called as a module."""
        hidden = self.activation(self.rectified(x))
        if self.tells:
            self.l1 = hidden.sum() / max(1, hidden.numel() // hidden.shape[-1])
            self.hidden = hidden.detach()
        if self.gate is not None:
            hidden = hidden * self.up(x)
        result: Tensor = self.down(functional.dropout(hidden, self.dropout, self.training))
        return result

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
        parts = [m for m in (self.gate, self.up, self.down, self.activation) if m is not None]
        if hooked or any(map(is_hooked, parts)):
            return "its layers are being looked at"
        return ""

    def extra_repr(self) -> str:
        """Return what is not seen from the Linears."""
        return f"dropout={self.dropout:g}" if self.dropout else ""


@torch.no_grad()
def start_at(linear: nn.Linear, active: float) -> None:
    """Set the bias in front of a rectifier; see `SparseFFN.start_at`."""
    if not 0 < checks.number("start_active", active) < 1:
        raise ValueError(f"start_active must lie between 0 and 1, got {active}")
    if linear.bias is None:
        raise ValueError("start_active sets a bias, and this block has none: pass bias=True")
    at = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(float(active)))
    linear.bias.copy_(at.to(linear.bias) * linear.weight.norm(dim=1))


def is_hooked(module: nn.Module) -> bool:
    """Return whether somebody listens to a module itself, which would be passed by."""
    m = module
    hooks = (m._forward_hooks, m._forward_pre_hooks, m._backward_hooks, m._backward_pre_hooks)
    return any(hooks)


def _store_by_unit(down: nn.Linear) -> None:
    """Keep the weights that leave one unit next to each other, the shape as torch has it."""
    down.weight.data = down.weight.data.t().contiguous().t()
