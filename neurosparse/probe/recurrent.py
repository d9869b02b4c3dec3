"""The layers of a recurrent module that it keeps to itself: all but the last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call


def rows_of(output: object) -> Any:
    """Return the activity in what a module puts out: of a recurrent one its outputs, no states."""
    if isinstance(output, tuple) and len(output) == 2 and isinstance(output[1], Tensor):
        first = output[0]
        return first.data if isinstance(first, nn.utils.rnn.PackedSequence) else first
    return output


def with_rows(output: Any, rows: Tensor) -> Any:
    """Return what a module puts out with other activity."""
    if isinstance(output, Tensor):
        return rows
    first, *states = output
    packed = isinstance(first, nn.utils.rnn.PackedSequence)
    return (first._replace(data=rows) if packed else rows, *states)


def below(module: nn.RNN, x: Any, hx: Tensor | None = None) -> Iterator[Tensor]:
    """Yield the outputs of the layers below the last, at each step, the lowest first.

    They are computed again, without gradients, shape (..., directions * hidden) as the module puts
    out its last layer; of packed sequences the rows. Where dropout between the layers is on, as in
    training, they cannot be had again, and nothing is yielded.

    Examples
    --------
    >>> rnn = nn.RNN(3, 4, num_layers=2, nonlinearity="relu")
    >>> [tuple(output.shape) for output in below(rnn, torch.zeros(5, 2, 3))]
    [(5, 2, 4)]
    """
    if module.training and module.dropout:
        return
    directions = ("", "_reverse") if module.bidirectional else ("",)
    for k in range(module.num_layers - 1):
        one = nn.RNN(
            module.input_size if k == 0 else len(directions) * module.hidden_size,
            module.hidden_size,
            nonlinearity=module.nonlinearity,
            bias=module.bias,
            batch_first=module.batch_first,
            bidirectional=module.bidirectional,
            device="meta",
        )
        weights = {
            f"{kind}_l0{way}": getattr(module, f"{kind}_l{k}{way}").detach()
            for kind in ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") * module.bias))
            for way in directions
        }
        first = len(directions) * k
        state = None if hx is None else hx[first : first + len(directions)]
        with torch.no_grad():
            x, _ = functional_call(one, weights, (x, state))
        yield x.data if isinstance(x, nn.utils.rnn.PackedSequence) else x
