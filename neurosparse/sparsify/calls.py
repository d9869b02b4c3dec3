"""The steered layers of a model, heard call by call while it runs."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from neurosparse.probe.hooks import OwnHook
from neurosparse.probe.recurrent import rows_of, with_rows
from neurosparse.probe.telling import Tells, is_teller, tellers
from neurosparse.sparsify.penalty import Tap
from neurosparse.sparsify.sites import Numbered
from neurosparse.sparsify.sources import LAYERS, Call, Sources, Weights, name_of

Take = Callable[[Tap, Tensor], Tensor | None]
TakeTold = Callable[[Tells, Tap, Tensor], None]


class Layers:
    """The layers that one module or one kind of function puts out, by its calls."""

    def __init__(self, taps: Sequence[Tap]) -> None:
        self.taps = {call: tap for tap in taps for call in tap.site.calls}
        self.by_number = {number: tap for tap in taps for number in tap.site.numbers}
        self.known = frozenset[Weights]().union(*(tap.site.known for tap in taps))
        self.only = taps[0] if len(taps) == 1 and taps[0].site.is_alone else None

    def of(self, call: Call, number: Numbered) -> Tap | None:
        """Return the layer of a call; None where it is of none that is steered.

        Its number says it where no weights do, as with parameters that a wrapper has put there.
        """
        if not call.weights and call.weights not in self.known:
            return self.by_number.get(number)
        return self.taps.get(call.every) or self.taps.get(call)


class Hearing:
    """The steered layers of a model: hooks on modules, and functions followed in a pass.

    Functions are followed where some are steered, and where calls of one module are of several
    layers or may be. Compiled code knows calls by their number in a pass alone.
    """

    def __init__(
        self,
        model: nn.Module,
        taps: Iterable[Tap],
        take: Take,
        take_told: TakeTold,
        *,
        tells: bool,
    ) -> None:
        self.take, self.take_told = take, take_told
        self.sources = Sources(model)
        self.modules: dict[str, nn.Module] = {}
        self.functions: dict[str, Layers] = {}
        self.hooks: list[ModuleCalls] = []
        self.is_following = self._has_warned = False
        self._mode = ExitStack()
        self._handles: list[RemovableHandle] = []
        of_module, of_kind = dict[str, list[Tap]](), dict[str, list[Tap]]()
        for tap in taps:
            if tap.site.module is not None:
                of_module.setdefault(tap.site.module, []).append(tap)
            elif not tap.site.calls:
                raise ValueError(
                    f"layer {tap.site.name!r} is the output of no single function and cannot be"
                    " steered: put it into a module of its own, and name that in layers=[...]"
                )
            for kind in {call.what for call in tap.site.calls if tap.site.module is None}:
                of_kind.setdefault(kind, []).append(tap)
        self.functions = {kind: Layers(mine) for kind, mine in of_kind.items()}
        modules, blocks = dict(model.named_modules()), tellers(model)
        for name, mine in of_module.items():
            self.modules[name] = place = modules[name]
            if tells and all(tap.site.rectifies and tap.site.tokens is None for tap in mine):
                place = blocks.get(place, place)
            self.hooks.append(hook := ModuleCalls(self, name, mine))
            if is_teller(block := place) and place is not modules[name]:
                hook.tell(block)
            self._handles.append(place.register_forward_hook(OwnHook(hook)))
        self._shared = any(hook.layers.only is None for hook in self.hooks)

    @property
    def of_functions(self) -> list[str]:
        """The names of the layers that functions put out."""
        return [tap.site.name for each in self.functions.values() for tap in each.taps.values()]

    def open(self, *, follows: bool) -> None:
        """Begin a pass, in which functions are followed if anything is to be taken."""
        for hook in self.hooks:
            hook.n = 0
        if not follows:
            return
        if self.functions or (self._shared and not torch.compiler.is_compiling()):
            torch.compiler.disable(self._follow)()  # a graph break, of which `note_of` tells

    def _follow(self) -> None:
        self.close()
        self.sources.begin()
        self._mode.enter_context(Following(self))
        self.is_following = True

    def close(self) -> None:
        """End a pass."""
        if self.is_following:
            self.is_following = False
            self._mode.close()

    def remove(self) -> None:
        """Leave the model as any other."""
        self.close()
        for handle in self._handles:
            handle.remove()
        self.hooks, self.functions = [], {}

    def of(self, layers: Layers, call: Call, number: Numbered) -> Tap | None:
        """Return the layer of a call; warn once of one that was not there to be found."""
        tap = layers.of(call, number)
        is_new = bool(call.weights) and call.weights not in layers.known
        is_layer = call.what in LAYERS or call.what not in self.functions
        if tap is None and is_new and is_layer and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"{call.what.lstrip('.')} has the output of {', '.join(sorted(call.weights))}, and"
                " had not in the batch that the layers were found with: it is not steered there;"
                " pass a batch that reaches all layers as data=...",
                stacklevel=2,
            )
        return tap

    def replaced(self, model: nn.Module) -> list[str]:
        """Return the names of modules that are heard and no longer stand in the model."""
        now = dict(model.named_modules())
        return [name for name, module in self.modules.items() if now.get(name) is not module]


class ModuleCalls:
    """The calls of one module, as a hook."""

    def __init__(self, hearing: Hearing, name: str, taps: Sequence[Tap]) -> None:
        self.hearing, self.name, self.n = hearing, name, 0
        self.layers = Layers(taps)
        self.block: Tells | None = None

    def tell(self, block: Tells) -> None:
        """Take what a block says of its rectifier, which nobody else calls."""
        block.tells, self.block = True, block
        self.layers.only = next(iter(self.layers.taps.values()))

    def __call__(self, _module: nn.Module, _args: Any, output: Any) -> Any:
        self.n += 1
        rows = rows_of(output)
        tap = self.layers.only or self._tap(rows)
        if tap is None:
            return None
        if self.block is not None:
            return self.hearing.take_told(self.block, tap, rows)
        if torch.compiler.is_compiling() or not self.hearing.is_following:
            instead = self.hearing.take(tap, rows)
        else:
            with torch._C.DisableTorchFunction():
                instead = self.hearing.take(tap, rows)
            if instead is not None:
                self.hearing.sources.same(instead, rows)
        return None if instead is None else with_rows(output, instead)

    def _tap(self, rows: Any) -> Tap | None:
        number = (f".{self.name}", self.n)
        if torch.compiler.is_compiling() or not self.hearing.is_following:
            return self.layers.by_number.get(number)
        sources = self.hearing.sources
        call = sources.numbered(number[0], sources.weights_of(rows))
        return self.hearing.of(self.layers, call, number)


class Following(TorchFunctionMode):
    """The calls of functions in a pass."""

    def __init__(self, hearing: Hearing) -> None:
        super().__init__()
        self.hearing, self.take = hearing, hearing.take
        self.kinds = frozenset(hearing.functions)
        self.by_number = {
            number: tap
            for layers in hearing.functions.values()
            for number, tap in layers.by_number.items()
        }
        self.n_calls: Counter[str] = Counter()

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        output = function(*args, **(kwargs or {}))
        kind, tap = name_of(function), None
        if kind in self.kinds:
            self.n_calls[kind] += 1
            tap = self.by_number.get((kind, self.n_calls[kind]))
        if not torch.compiler.is_compiling():
            self.hearing.sources.follow(kind, args, kwargs, output)
            tap = self._tap(kind, output) if kind in self.kinds else None
        if tap is None:
            return output
        instead = self.take(tap, output)
        if instead is None:
            return output
        if not torch.compiler.is_compiling():
            self.hearing.sources.same(instead, output)
        return instead

    def _tap(self, kind: str, output: Any) -> Tap | None:
        call = self.hearing.sources.call_of(output) if isinstance(output, Tensor) else None
        if call is None:
            return None
        number = (kind, self.n_calls[kind])
        return self.hearing.of(self.hearing.functions[kind], call, number)


def note_of(names: Sequence[str]) -> str:
    """Return what steering calls of functions costs a compiled model; "" where none are."""
    if not names:
        return ""
    return (
        f"calls of functions are steered ({', '.join(names)}): under torch.compile each pass has a"
        " graph break at its beginning; modules (nn.ReLU) have none"
    )
