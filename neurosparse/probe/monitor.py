"""Calls of a model while it runs, and where: each layer is handed over as it fires."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, _pop_mode, _push_mode

from neurosparse._internal.types import Fields
from neurosparse.probe import recurrent
from neurosparse.probe.flow import WEIGHTED, Flow, Key, Tag
from neurosparse.probe.frames import place_of_call
from neurosparse.probe.layer_names import LayerNames, base
from neurosparse.probe.layout.calls import Call
from neurosparse.probe.originals import plain_name
from neurosparse.probe.rectifiers import Rectifier, is_non_linearity, rectifier_of
from neurosparse.probe.tensors import tensors_in
from neurosparse.probe.tokens import BatchTokens, inputs_by_name, masks_in
from neurosparse.probe.unit_axes import LayerOutput, with_unit_axis
from neurosparse.probe.waiting import Called, Waiting
from neurosparse.probe.zeros import NotesZeros

_KINDS: dict[str, str] = {}  # names of functions without their underscores


class Monitor(NotesZeros, TorchFunctionMode):
    """Follows a model: functions come in through `__torch_function__`, modules through hooks."""

    def __init__(
        self,
        model: nn.Module,
        consume: Callable[[LayerOutput], Tensor | None],
        layers: Sequence[str] | None,
        units_axis: int | Mapping[str, int] | None,
        *,
        asks: bool,
        live: bool,
        spares: bool = False,
    ) -> None:
        super().__init__()
        self.with_zeros, self.looks_for_zeros = {}, True
        self.asks, self.live = asks, live
        self.consume, self.units_axis = consume, units_axis
        self.layers = None if layers is None else {base(name) for name in layers}
        self.spares = spares  # the model the errors that are raised here
        self.failure: Exception | None = None  # what it was spared
        self.caller: FrameType | None = None  # of the model, where that is known
        self.is_open = False  # functions that no module calls may be those of a loss
        self.loose: set[Key] = set()  # the layers that they are
        self.not_had: set[str] = set()  # recurrent modules whose lower layers cannot be had
        self.flow = Flow(model)
        self.fired: Counter[str] = Counter()
        self.names = LayerNames()
        self.replaced: set[str] = set()  # layers before a selection of their units
        self.of_weights: set[str] = set()  # non-linearities that weights alone went through
        self.masks: set[str] = set()  # of padding, among what the model was called with
        self.is_paused = False  # while the model runs on trial
        self.inside: list[str] = []  # the modules that are being called
        self.calls: Counter[Key] = Counter()
        self.errors: list[Exception] = []  # what was raised here, none of the model's own
        self.by_kind = {plain_name(n) for n, m in model.named_modules() if is_non_linearity(m)}
        self.alone = {  # they may be non-linearities by hand
            plain_name(name)
            for name, module in model.named_modules()
            if name and not any(True for _ in chain(module.children(), module.parameters()))
        } - self.by_kind
        self.waiting: dict[str, Waiting] = {}  # of those of them that have called one

    def begin(self, batch: object, tokens: BatchTokens | None = None) -> None:
        """Start a pass: the tensors of a batch are its inputs."""
        self.fired.clear()
        self.calls.clear()
        self.flow.begin(batch, tokens)

    def _has_begun(self, args: object, kwargs: object) -> bool:
        return any(t in self.flow and self.flow[t].live for t in _all(args, kwargs))

    def enter(self, name: str) -> Callable[..., Tensor | None]:
        """Return the hook that is called before a module."""
        is_root = not name

        def hook(module: nn.Module, args: Sequence[Any], kwargs: Fields) -> None:
            if is_root:
                with torch._C.DisableTorchFunction():
                    masks = masks_in(inputs_by_name(module, args, kwargs))
                    self.masks |= {key for key, mask in masks.items() if not mask.all()}
            self.waiting.pop(name, None)
            first = is_root or not self.flow.n_inputs
            if first and not self.inside and not self._has_begun(args, kwargs):
                self.calls.clear()
                with torch._C.DisableTorchFunction():
                    self.flow.begin((args, kwargs))
            with torch._C.DisableTorchFunction():
                self._note_unseen(_all(args, kwargs))
            self.inside.append(name)

        return self._spared(hook)

    def leave(self, name: str, module: nn.Module) -> Callable[..., Tensor | None]:
        """Return the hook that is called after a module; its tensor replaces the output."""
        shown, by_kind = name or type(module).__name__.lower(), is_non_linearity(module)

        def hook(_module: nn.Module, args: object, *rest: object) -> Tensor | None:
            if not self.inside:  # entered before it was followed
                return None
            # torch leaves the keywords out once the hook has been removed
            kwargs, output = rest if len(rest) == 2 else ({}, rest[0])
            self.inside.pop()
            with torch._C.DisableTorchFunction():
                return after(args, kwargs, output)

        def after(args: object, kwargs: object, output: object) -> Tensor | None:
            inputs, rows = _all(args, kwargs), recurrent.rows_of(output)
            waiting = self.waiting.pop(name, None)
            is_one = by_kind or (waiting is not None and waiting.is_made_of_it(rows, self.flow))
            if isinstance(output, Tensor) and output not in self.flow:
                self._note_unseen([output], name)
                self._tag_unseen(inputs, output)
            named = self.layers is not None and shown in self.layers
            if waiting is not None and not is_one:
                for each in waiting.called:
                    self.flow[each.output] = each.tag
                    self._consume(each.name, each.output, each.key)
            if is_one or named:
                if isinstance(rows, Tensor) and not self.flow[rows].live and not named:
                    self.of_weights.add(shown)
                    return None
                before = next((self.flow[t] for t in inputs if self.flow[t].live), None)
                own = (
                    not isinstance(rows, Tensor)
                    or not self.flow[rows].source
                    or isinstance(module, nn.RNN | nn.RNNCell)  # its steps are samples
                )
                if by_kind and isinstance(module, nn.RNN) and isinstance(rows, Tensor):
                    self._consume_below(shown, module, args, kwargs, rows)
                return self._consume(
                    shown, rows if rows is not None else output, before=None if own else before
                )
            return None

        return self._spared(hook)

    def _spared(self, hook: Callable[..., Tensor | None]) -> Callable[..., Tensor | None]:
        def run(*args: Any) -> Tensor | None:
            if self.is_paused:
                return None
            try:
                return hook(*args)
            except Exception as error:
                self._fail(error)
            return None

        return run

    def _fail(self, error: Exception) -> None:
        """Raise an error of this package's own, or follow the model no more."""
        if not self.spares:
            raise error
        self.failure, self.is_paused = error, True

    def __exit__(self, *_: object) -> None:
        # others may be above it where a pass was broken off
        above = []
        while torch._C._len_torch_function_stack() and (top := _pop_mode()) is not self:
            above.append(top)
        for mode in reversed(above):
            _push_mode(mode)

    def _consume_below(
        self, name: str, module: nn.RNN, args: Any, kwargs: Any, output: Tensor
    ) -> None:
        """Hand over the layers of a recurrent module below the one that it puts out."""
        if self.live or self.layers is not None:
            return
        if recurrent.drops_out(module):
            self.not_had.add(name)
        for k, below in enumerate(recurrent.below(module, *args, **kwargs)):
            self.flow[below] = self.flow[output]._replace(source=frozenset({f"{name}.l{k}"}))
            self._consume(f"{name}.l{k}", below)

    def _tag_unseen(self, inputs: list[Tensor], output: Tensor) -> None:
        """Tag what a module made by no function of torch, from its inputs of that shape."""
        for each in inputs:
            tag = self.flow[each]
            if each.shape == output.shape and tag.axes is not None:
                self.flow[output] = tag._replace(layer=None)
                return

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.is_paused:
            return function(*args, **kwargs)
        shown = getattr(function, "__name__", "")
        place = self.inside[-1] if self.inside else ""
        waiting = self.waiting.get(place)
        if waiting is not None and _works_in_place(shown, kwargs):
            with torch._C.DisableTorchFunction():
                waiting.save(args[0] if args else None)
        output = function(*args, **kwargs)
        try:
            return self._followed(function, shown, place, args, kwargs, output)
        except Exception as error:
            self._fail(error)
        return output

    def _followed(
        self, function: Any, shown: str, place: str, args: Any, kwargs: Fields, output: Any
    ) -> Any:
        """Follow a function that was called, and return what the model is to get of it."""
        waiting = self.waiting.get(place)
        if shown == "__get__":
            if not isinstance(output, Tensor):
                return output
            kind = getattr(getattr(function, "__self__", None), "__name__", "")
        else:
            kind = _KINDS.get(shown) or _KINDS.setdefault(
                shown, shown.partition(".")[0].strip("_").replace("_", "")
            )
        if kind in ("setitem", "size", "dim", "len"):
            if kind != "setitem":
                return output
        elif not isinstance(output, Tensor | tuple | list):
            return output
        call = Call(kind, function, args, kwargs, self.flow)
        if self.looks_for_zeros:
            self._note_unseen(call.tensors)
            if kind in WEIGHTED:
                self._note_tests(kind, place, call.tensors)
        before = self._zeros_before(kind, call.tensors, output)
        rectifies = rectifier_of(call, self.flow)
        keeps = waiting is not None and waiting.keeps(call, output, self.flow)
        tag = self.flow.follow(call, output)
        result = args[0] if kind == "setitem" else output
        if keeps:
            for each in tensors_in(result):
                self.flow[each] = self.flow[each]._replace(within=place)
        if not tag.live or not isinstance(result, Tensor):
            return output
        if not (result.is_floating_point() or result.is_quantized):
            rectifies = None  # whole numbers, such as positions or a mask
        if rectifies is not None and place not in self.by_kind:
            instead = self._non_linearity(rectifies, place, shown, result, tag)
            return output if instead is None or kind == "setitem" else instead
        if rectifies is None and before is not None:
            self._note_zeros(kind, shown, result, before)
        return output

    def _non_linearity(
        self, rectifies: Rectifier, place: str, shown: str, result: Tensor, tag: Tag
    ) -> Tensor | None:
        """Hand over what a function has put out that is a non-linearity, at once or later."""
        layer = rectifies.layer
        if layer is not None:
            name = layer.name + rectifies.suffix
            key = layer._replace(name=name)
        else:
            name = ".".join(filter(None, [place, shown.partition(".")[0].strip("_")]))
            key = self._key(name, rectifies.before or tag)
        if rectifies.replaces is not None:
            self.replaced.add(self.names.of(rectifies.replaces))
        if place not in self.alone:
            instead = self._consume(name, result, key)
            if self.is_open and not self.inside:
                self.loose.add(key)
                known = self.flow[result]
                self.flow[result] = known._replace(loose=known.loose | {key})
            return instead
        called = Called(name, result, tag, key)
        self.waiting.setdefault(place, Waiting(place)).add(called, self.flow)
        return None

    def _key(self, name: str, before: Tag) -> Key:
        """Return the key of a layer that is being called, by what is known of its input."""
        key = Key(name, place_of_call(self.caller), before.source)
        if before.source is not None:
            return key
        self.calls[key] += 1
        return key._replace(call=self.calls[key])

    def _consume(
        self, name: str, output: object, key: Key | None = None, before: Tag | None = None
    ) -> Tensor | None:
        """Hand a layer's output over; return the tensor that takes its place, if any."""
        if self.layers is not None and name not in self.layers:
            is_gate = any(asked.startswith(f"{name}*") for asked in self.layers)
            if is_gate and isinstance(output, Tensor):
                tag = self.flow[output]
                self.flow[output] = _of_layer(tag, key or self._key(name, before or tag))
            return None
        if not isinstance(output, Tensor):
            error = ValueError(
                f"layer {name!r} must put out one tensor to be recorded, got"
                f" {type(output).__name__}"
            )
            self.errors.append(error)
            raise error
        tag = self.flow[output]
        key = key or self._key(name, before or tag)
        self.fired[name] += 1
        self.with_zeros.pop(name, None)
        after = _of_layer(tag, key)
        self.flow[output] = after
        asked = self.units_axis
        try:
            found = with_unit_axis(
                name,
                output,
                tag.axes,
                n_inputs=self.flow.n_inputs,
                asked=asked.get(name) if isinstance(asked, Mapping) else asked,
                must_be_known=self.asks,
            )
        except ValueError as error:
            self.errors.append(error)
            raise
        instead = self.consume(found._replace(name=self.names.of(key), place=tag.place, key=key))
        if instead is None or instead is found.output:
            return None
        instead = instead.reshape(output.shape)
        self.flow[instead] = after
        return instead

    def final_names(self) -> dict[str, str]:
        """Return the names under which layers were consumed, by names that the model decides."""
        return self.names.final(self.flow.order)


def _all(args: Any, kwargs: Any) -> list[Tensor]:
    return tensors_in((args, kwargs.values()))


def _of_layer(tag: Tag, key: Key) -> Tag:
    """Return what is known of a layer's output."""
    return tag.counted_as(key)._replace(live=True, source=None, within="")


def _works_in_place(shown: str, kwargs: Fields) -> bool:
    own = shown.endswith("_") and not shown.startswith("__")
    return own or shown.startswith(("__i", "__setitem")) or bool(kwargs.get("inplace"))
