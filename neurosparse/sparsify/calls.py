"""The calls of modules and functions in a pass, each by its place in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from neurosparse.probe.recurrent import rows_of, with_rows
from neurosparse.sparsify.penalty import Tap
from neurosparse.sparsify.sites import Function, name_of


class Calls:
    """The calls of one module in a pass, and what each puts out."""

    def __init__(
        self, taps: Mapping[int, Tap], take: Callable[[Tap, Tensor], Tensor | None]
    ) -> None:
        self.taps, self.take, self.n = taps, take, 0

    def __call__(self, _module: nn.Module, _args: Any, output: Any) -> Any:
        self.n += 1
        tap = self.taps.get(self.n)
        instead = None if tap is None else self.take(tap, rows_of(output))
        return None if instead is None else with_rows(output, instead)


class Functions(TorchFunctionMode):
    """The calls of functions in a pass, by their place in it."""

    def __init__(
        self, taps: Mapping[Function, Tap], take: Callable[[Tap, Tensor], Tensor | None]
    ) -> None:
        super().__init__()
        self.taps, self.take = taps, take
        self.kinds = {kind for kind, _ in taps}
        self.n_calls: Counter[str] = Counter()

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        output = function(*args, **(kwargs or {}))
        kind = name_of(function)
        if kind in self.kinds:
            self.n_calls[kind] += 1
            tap = self.taps.get((kind, self.n_calls[kind]))
            if tap is not None:
                instead = self.take(tap, output)
                return output if instead is None else instead
        return output


def note_of(names: Sequence[str]) -> str:
    """Return what steering calls of functions costs a compiled model; "" where none are."""
    if not names:
        return ""
    return (
        f"calls of functions are steered ({', '.join(names)}): under torch.compile each pass has a"
        " graph break at its beginning; modules (nn.ReLU) have none"
    )
