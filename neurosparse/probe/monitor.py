"""Calls of a model while it runs, and where: each layer is handed over as it fires."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from neurosparse._internal.types import Fields
from neurosparse.probe import recurrent
from neurosparse.probe.flow import WEIGHTED, Flow, Key, Tag
from neurosparse.probe.layer_names import LayerNames
from neurosparse.probe.layout.calls import Call
from neurosparse.probe.originals import plain_name
from neurosparse.probe.rectifiers import (
    HAVE_FLOORS,
    KEEPS_ZEROS,
    Rectifier,
    is_non_linearity,
    makes_zeros,
    rectifier_of,
)
from neurosparse.probe.tensors import tensors_in, zero_share
from neurosparse.probe.tokens import BatchTokens, inputs_by_name, masks_in
from neurosparse.probe.unit_axes import LayerOutput, with_unit_axis
from neurosparse.probe.waiting import Called, Waiting

_KINDS: dict[str, str] = {}  # names of functions without their underscores


class Monitor(TorchFunctionMode):
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
    ) -> None:
        super().__init__()
        self.asks, self.live = asks, live
        self.consume, self.layers, self.units_axis = consume, layers, units_axis
        self.flow = Flow(model)
        self.fired: Counter[str] = Counter()
        self.names = LayerNames()
        self.replaced: set[str] = set()  # layers before a selection of their units
        self.of_weights: set[str] = set()  # non-linearities that weights alone went through
        self.masks: set[str] = set()  # of padding, among what the model was called with
        self.with_zeros: dict[str, float] = {}  # outputs with exact zeros that were not counted
        self.looks_for_zeros = True
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

    def enter(self, name: str) -> Callable[..., None]:
        """Return the hook that is called before a module."""
        is_root = not name

        def hook(module: nn.Module, args: Sequence[Any], kwargs: Fields) -> None:
            if self.is_paused:
                return
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

        return hook

    def leave(self, name: str, module: nn.Module) -> Callable[..., Tensor | None]:
        """Return the hook that is called after a module; its tensor replaces the output."""
        shown, by_kind = name or type(module).__name__.lower(), is_non_linearity(module)

        def hook(_module: nn.Module, args: object, *rest: object) -> Tensor | None:
            if self.is_paused or not self.inside:  # entered before it was followed
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

        return hook

    def _consume_below(
        self, name: str, module: nn.RNN, args: Any, kwargs: Any, output: Tensor
    ) -> None:
        """Hand over the layers of a recurrent module below the one that it puts out."""
        if self.live or self.layers is not None:
            return
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
        shown = getattr(function, "__name__", "")
        place = self.inside[-1] if self.inside else ""
        waiting = self.waiting.get(place)
        if waiting is not None and _works_in_place(shown, kwargs):
            with torch._C.DisableTorchFunction():
                waiting.save(args[0] if args else None)
        output = function(*args, **kwargs)
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
            return self._consume(name, result, key)
        called = Called(name, result, tag, key)
        self.waiting.setdefault(place, Waiting(place)).add(called, self.flow)
        return None

    def _zeros_before(self, kind: str, tensors: list[Tensor], output: object) -> bool | None:
        """Return whether the inputs of a function had zeros, None where nobody looks."""
        if not self.looks_for_zeros or not isinstance(output, Tensor):
            return None
        if kind in KEEPS_ZEROS:
            return True
        inputs = [(self.flow[t], t) for t in tensors]
        live = [tag for tag, _ in inputs if tag.live]
        if makes_zeros(kind):
            known = max((zero_share(t) for tag, t in inputs if tag.live), default=0.0)
            return zero_share(output) < known + 0.02
        return (
            any(tag.has_zeros for tag in live)
            or all(tag.is_test for tag in live)
            or any(
                not tag.live and not (kind in HAVE_FLOORS and zero_share(t) == 1)
                for tag, t in inputs
            )
        )

    def _note_unseen(self, tensors: Iterable[Tensor], name: str = "") -> None:
        """Note the zeros of what no function of torch has made."""
        for each in tensors if self.looks_for_zeros and self.flow.n_inputs else ():
            if each in self.flow or not each.is_floating_point() or each.numel() < 32:
                continue
            share = zero_share(each) if len(each) % self.flow.n_inputs == 0 else 0.0
            if share >= 0.1:
                place = self.inside[-1] if self.inside else ""
                shown = name or ".".join(filter(None, [place, "(no function of torch)"]))
                self.with_zeros.setdefault(shown, share)
                self.flow[each] = self.flow[each]._replace(has_zeros=True)

    def _note_tests(self, kind: str, place: str, inputs: list[Tensor]) -> None:
        """Note binary units: outcomes of a comparison that weights take as their input."""
        tags = [self.flow[each] for each in inputs]
        if not any(tag.source and not tag.live for tag in tags):
            return
        for each, tag in zip(inputs, tags, strict=True):
            is_made = tag.source is not None or tag.picked_from is not False
            if tag.is_test and is_made and (share := zero_share(each)) >= 0.1:
                self.with_zeros.setdefault(f"input of {place or kind}", share)

    def _note_zeros(self, kind: str, shown: str, output: Tensor, before: bool) -> None:
        tag = self.flow[output]
        if (
            (tag.has_zeros and not makes_zeros(kind))
            or tag.is_test
            or not output.is_floating_point()
        ):
            return
        share = zero_share(output)
        if share > 0:
            self.flow[output] = tag._replace(has_zeros=True)
        if not before and share >= 0.1 and output.numel() >= 32:
            place = self.inside[-1] if self.inside else ""
            name = shown.partition(".")[0].strip("_")
            name = (
                place
                if place in self.alone | self.by_kind and place
                else f"{place}.{name}".lstrip(".")
            )
            self.with_zeros.setdefault(name, share)

    def _key(self, name: str, before: Tag) -> Key:
        """Return the key of a layer that is being called, by what is known of its input."""
        key = Key(name, _place(), before.source)
        if before.source is not None:
            return key
        self.calls[key] += 1
        return key._replace(call=self.calls[key])

    def _consume(
        self, name: str, output: object, key: Key | None = None, before: Tag | None = None
    ) -> Tensor | None:
        """Hand a layer's output over; return the tensor that takes its place, if any."""
        if self.layers is not None and name not in self.layers:
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
        instead = self.consume(found._replace(name=self.names.of(key), place=tag.place))
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


def _place() -> Any:
    """Return the place in the code, outside torch and this package, that is being run."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(("torch.", "neurosparse.probe")):
            return frame.f_code, frame.f_lasti
        frame = frame.f_back
    return None
