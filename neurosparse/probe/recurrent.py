"""The layers of a recurrent module that it keeps to itself: all but the last."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.rnn import PackedSequence


def rows_of(output: Any) -> Any:
    """Return the activity in what a module puts out: the first of several, as before states."""
    first = output
    if isinstance(output, tuple | dict) and output:  # a dict, as those of transformers
        first = next(iter(output.values() if isinstance(output, dict) else output))
    if isinstance(output, PackedSequence):
        return output.data
    if isinstance(first, PackedSequence):
        return first.data
    return first if isinstance(first, Tensor) else output


def with_rows(output: Any, rows: Tensor) -> Any:
    """Return what a module puts out with other activity."""
    if isinstance(output, Tensor):
        return rows
    if isinstance(output, PackedSequence):
        return output._replace(data=rows)
    if isinstance(output, dict):
        changed, key = copy(output), next(iter(output))
        changed[key] = with_rows(output[key], rows)
        return changed
    first, *others = output
    return (with_rows(first, rows), *others)


def drops_out(module: nn.RNN) -> bool:
    """Return whether what the layers below the last put out cannot be had again."""
    return module.training and bool(module.dropout) and module.num_layers > 1


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
    if drops_out(module):
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
        yield x.data if isinstance(x, PackedSequence) else x
