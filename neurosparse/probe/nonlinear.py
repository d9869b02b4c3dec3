"""Which calls of a forward pass are layers of activity: non-linearities, as modules or functions,
and gated units.

A model is heard while it runs, through a `TorchFunctionMode` (every function of torch that it
calls) and hooks on its modules (where it stands), so that what counts does not depend on how the
model is written:

- a module of `NON_LINEARITIES`, or one without children and parameters that calls such a function
  (a GELU by hand): its output, under the module's name;
- a function such as `torch.relu` or `silu` that any other module calls: under the module's name and
  its own, "block.relu";
- a rectifier by hand, such as `x * (x > 0)`, `where(x > 0, x, 0)` or `maximum(x, 0)`, and a
  selection of the largest (top-k), under the name of its last function;
- a product with such an output, as in silu(a) * b: "block.silu*gate". Products that spread one gate
  over several units are none.

Only what depends on the inputs is activity: a softplus of weights is none. A layer is known by who
called it, where, and with the output of which weights. So experts that share one activation are
layers of their own, whatever the order in which the data call them.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from neurosparse.probe import axes as ax
from neurosparse.probe.flow import Flow, Key, Tag, tensors_in, zero_share
from neurosparse.probe.layout import WEIGHTS
from neurosparse.probe.originals import as_written, plain_name
from neurosparse.probe.rectifiers import (
    GATE,
    KEEPS_ZEROS,
    NON_LINEARITIES,
    is_non_linearity,
    rectifier_of,
)

__all__ = ["GATE", "NON_LINEARITIES", "Consume", "Ear", "Heard", "hearing", "listening"]

# the name of a layer, its output, the axis of its units; None, or what takes the output's place
Consume = Callable[[str, Tensor, int], Tensor | None]

_KINDS: dict[str, str] = {}  # names of functions without their underscores


class Heard(NamedTuple):
    """What a layer has put out.

    `axis` is None where units lie along several axes, or the whole layer is one unit.
    """

    name: str
    output: Tensor
    axis: int | None
    axes: ax.Axes | None

    @property
    def shown_axis(self) -> int:
        """The axis of the units; the last where it is not known, or the last of several."""
        units = [] if self.axes is None else ax.of_units(self.axes)
        return self.axis if self.axis is not None else units[-1] if units else -1


@contextmanager
def listening(
    model: nn.Module,
    consume: Consume,
    layers: Sequence[str] | None = None,
    *,
    live: bool = False,
) -> Iterator[Counter[str]]:
    """Run the model in this block: each layer that fires is consumed, at once, for what follows may
    work in place.

    Parameters
    ----------
    consume
        Called with a layer's name, its output, detached, and the axis of its units. A layer that
        is called with the outputs of k different weights is "name", "name#2", ... "name#k".
    layers
        To listen to these alone: names of modules of any kind, or of functions as above.
    live
        Hand over each output as the model has it, with its graph. A tensor that `consume` returns
        then takes its place in the model.

    Yields
    ------
    Counter
        How often each layer has fired; to be cleared before each pass.

    Notes
    -----
    `torch.backends.mha`'s fast path, in which a transformer's encoder calls neither modules nor
    functions, is off meanwhile. A compiled model runs as it was written.
    """

    def hand_over(heard: Heard) -> Tensor | None:
        output = heard.output if live else heard.output.detach()
        instead = consume(heard.name, output, heard.shown_axis)
        return instead if live else None

    with hearing(model, hand_over, layers, asks=False) as ear:
        yield ear.fired


@contextmanager
def hearing(
    model: nn.Module,
    consume: Callable[[Heard], Tensor | None],
    layers: Sequence[str] | None = None,
    units_axis: int | Mapping[str, int] | None = None,
    *,
    asks: bool = True,
) -> Iterator[Ear]:
    """Listen as `listening` does; what is heard comes with all that is known of it.

    Parameters
    ----------
    units_axis
        The axis of the units where it cannot be known: one for all layers, or by their names.
    asks
        Raise a ValueError where the axis of the units is not known; otherwise it is the last.
    """
    ear = Ear(model, consume, layers, units_axis, asks)
    handles = []
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        for name, module in model.named_modules():
            shown = plain_name(name)
            handles.append(
                module.register_forward_pre_hook(ear.enter(shown, module), with_kwargs=True)
            )
            handles.append(module.register_forward_hook(ear.leave(shown, module), with_kwargs=True))
        with as_written(model), ear:
            yield ear
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for handle in handles:
            handle.remove()


class Ear(TorchFunctionMode):
    """What runs, and where: functions come in through `__torch_function__`, modules through their
    hooks.
    """

    def __init__(
        self,
        model: nn.Module,
        consume: Callable[[Heard], Tensor | None],
        layers: Sequence[str] | None,
        units_axis: int | Mapping[str, int] | None,
        asks: bool,
    ) -> None:
        super().__init__()
        self.asks = asks
        self.consume, self.layers, self.units_axis = consume, layers, units_axis
        self.flow = Flow(model)
        self.fired: Counter[str] = Counter()
        self.names: dict[Key, str] = {}
        self.replaced: set[str] = set()  # layers before a selection of their units
        self.of_weights: set[str] = set()  # non-linearities that weights alone went through
        self.with_zeros: dict[str, float] = {}  # outputs with exact zeros that were not counted
        self.looks_for_zeros = True
        self.inside: list[str] = []  # the modules that are being called
        self.calls: Counter[Key] = Counter()
        self.errors: list[Exception] = []  # what was raised here, none of the model's own
        self.alone = {
            plain_name(name)
            for name, module in model.named_modules()
            if is_non_linearity(module)
            or (
                name
                and not any(
                    True for _ in chain(module.children(), module.parameters(recurse=False))
                )
            )
        }
        self.called: set[str] = set()  # those of them that have called a non-linearity

    def begin(self, batch: object, starts: Mapping[int, int] | None = None) -> None:
        """Start a pass: the tensors of a batch are its inputs."""
        self.fired.clear()
        self.calls.clear()
        self.flow.begin(batch, starts)

    def _has_begun(self, args: object, kwargs: object) -> bool:
        return any(t in self.flow and self.flow[t].live for t in _all(args, kwargs))

    def enter(self, name: str, module: nn.Module) -> Callable[..., None]:
        is_root = not name

        def hook(_module: nn.Module, args: object, kwargs: object) -> None:
            first = is_root or not self.flow.n_inputs
            if first and not self.inside and not self._has_begun(args, kwargs):
                self.calls.clear()
                with torch._C.DisableTorchFunction():
                    self.flow.begin((args, kwargs))
            self.inside.append(name)

        return hook

    def leave(self, name: str, module: nn.Module) -> Callable[..., Tensor | None]:
        shown, by_kind = name or type(module).__name__.lower(), is_non_linearity(module)

        def hook(_module: nn.Module, args: object, *rest: object) -> Tensor | None:
            if not self.inside:  # the model was entered before anybody listened
                return None
            # torch leaves the keywords out once the hook has been removed
            kwargs, output = rest if len(rest) == 2 else ({}, rest[0])
            self.inside.pop()
            with torch._C.DisableTorchFunction():
                return after(args, kwargs, output)

        def after(args: object, kwargs: object, output: object) -> Tensor | None:
            inputs = list(_all(args, kwargs))
            if isinstance(output, Tensor) and output not in self.flow:
                self._tag_unseen(inputs, output)
            if by_kind or name in self.called or (self.layers is not None and shown in self.layers):
                self.called.discard(name)
                heard = _rows_of(output)
                named = self.layers is not None and shown in self.layers
                if isinstance(heard, Tensor) and not self.flow[heard].live and not named:
                    self.of_weights.add(shown)
                    return None
                before = next((self.flow[t] for t in inputs if self.flow[t].live), None)
                own = heard is None or not isinstance(heard, Tensor) or not self.flow[heard].source
                return self.hear(
                    shown, heard if heard is not None else output, None if own else before
                )
            return None

        return hook

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
        output = function(*args, **kwargs)
        shown = getattr(function, "__name__", "")
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
        before = self._zeros_before(kind, args, output)
        rectifies = rectifier_of(kind, args, kwargs, output, self.flow)
        tag = self.flow.follow(kind, function, args, kwargs, output)
        result = args[0] if kind == "setitem" else output
        if not tag.live or not isinstance(result, Tensor):
            return output
        if rectifies is not None:
            place = self.inside[-1] if self.inside else ""
            shown = shown.partition(".")[0].strip("_")
            if rectifies.replaces is not None:
                self.replaced.add(self.name_of(rectifies.replaces))
            if place in self.alone:
                self.called.add(place)
            elif (layer := rectifies.layer) is not None:
                heard = self.hear(layer.name + rectifies.suffix, result, tag, layer)
                return output if heard is None or kind == "setitem" else heard
            else:
                name = f"{place}.{shown}" if place else shown
                heard = self.hear(name, result, rectifies.before or tag)
                return output if heard is None or kind == "setitem" else heard
        elif before is not None:
            self._note_zeros(kind, shown, result, before)
        return output

    def _zeros_before(self, kind: str, args: object, output: object) -> bool | None:
        """Return whether the inputs of a function had zeros, None where nobody looks."""
        if not self.looks_for_zeros or not isinstance(output, Tensor):
            return None
        return kind in KEEPS_ZEROS or any(
            (tag := self.flow[t]).has_zeros or tag.is_test or not tag.live for t in tensors_in(args)
        )

    def _note_zeros(self, kind: str, shown: str, output: Tensor, before: bool) -> None:
        tag = self.flow[output]
        if tag.has_zeros or tag.is_test or not output.is_floating_point():
            return
        share = zero_share(output)
        if share > 0:
            self.flow[output] = tag._replace(has_zeros=True)
        if not before and share >= 0.1 and output.numel() >= 32:
            place = self.inside[-1] if self.inside else ""
            name = shown.partition(".")[0].strip("_")
            name = place if place in self.alone and place else f"{place}.{name}".lstrip(".")
            self.with_zeros.setdefault(name, share)

    def name_of(self, key: Key) -> str:
        """Return the name under which a layer is consumed: "name", "name#2", ... as first seen."""
        if key not in self.names:
            n = 1 + sum(other.name == key.name for other in self.names)
            self.names[key] = key.name if n == 1 else f"{key.name}#{n}"
        return self.names[key]

    def final_names(self) -> dict[str, str]:
        """Return the names under which layers were consumed, by names that the model alone decides.

        Calls at one place in the code are put in the order of their weights in the model, since
        the data may decide which comes first.
        """
        places: dict[Any, int] = {}
        for key in self.names:
            places.setdefault(key.place, len(places))

        def rank(key: Key) -> tuple[int, float, int]:
            order = [self.flow.order.get(name, 0.0) for name in key.source or ()]
            return places[key.place], max(order, default=-1.0), key.call

        seen: Counter[str] = Counter()
        result = {}
        for key in sorted(self.names, key=lambda key: (places[key.place], rank(key))):
            seen[key.name] += 1
            n = seen[key.name]
            result[key.name if n == 1 else f"{key.name}#{n}"] = self.names[key]
        # a name stands where a layer of that name was first heard
        slots = [key.name for key in self.names]
        turn: Counter[str] = Counter()
        ordered = {}
        for name in slots:
            turn[name] += 1
            final = name if turn[name] == 1 else f"{name}#{turn[name]}"
            ordered[final] = result[final]
        return ordered

    def hear(
        self, name: str, output: object, before: Tag | None = None, gate: Key | None = None
    ) -> Tensor | None:
        """Hand a layer's output over; return the tensor that takes its place, if any."""
        if self.layers is not None and name not in self.layers:
            return None
        if not isinstance(output, Tensor):
            raise self._refusal(
                f"layer {name!r} must put out one tensor to be recorded, got"
                f" {type(output).__name__}"
            )
        tag = self.flow[output]
        if gate is not None:
            key = gate._replace(name=name)
        else:
            source = (before or tag).source
            key = Key(name, _place(), source)
            if source is None:
                self.calls[key] += 1
                key = key._replace(call=self.calls[key])
        self.fired[name] += 1
        self.with_zeros.pop(name, None)
        after = tag._replace(
            live=True, source=None, layer=key, has_zeros=True, is_test=False, picked_from=False
        )
        self.flow[output] = after
        axes = tag.axes
        asked = self.units_axis
        if isinstance(asked, Mapping):
            asked = asked.get(name)
        heard = Heard(self.name_of(key), output, *self._units(name, output, axes, asked))
        instead = self.consume(heard)
        if instead is None or instead is output:
            return None
        self.flow[instead] = after
        return instead

    def _refusal(self, words: str) -> ValueError:
        self.errors.append(error := ValueError(words))
        return error

    def _units(
        self, name: str, output: Tensor, axes: ax.Axes | None, asked: int | None
    ) -> tuple[int | None, ax.Axes | None]:
        """Return the axis of the units, None where they lie along several or are one, and all the
        axes.
        """
        n = output.ndim
        if axes is not None and len(axes) != n:
            axes = None
        if asked is not None:
            if not -n <= asked < n:
                raise self._refusal(
                    f"axis {asked} does not exist in layer {name!r} of shape {tuple(output.shape)}"
                )
            rest = axes or _by_length(output.shape, self.flow)
            return asked, tuple(
                ax.axis(ax.UNITS, output.shape[k])
                if k == asked % n
                else tuple(f for f in each if f.role != ax.UNITS)
                for k, each in enumerate(rest)
            )
        if axes is None:
            if n < 2:
                axes = _by_length(output.shape, self.flow)
            elif n == 2 or not self.asks:
                axes = _by_length(output.shape, self.flow)
                axes = (*axes[:-1], ax.axis(ax.UNITS, output.shape[-1]))
            else:
                raise self._refusal(
                    f"which axis of layer {name!r}, shape {tuple(output.shape)}, holds its units is"
                    f" not known: pass units_axis={{{name!r}: ...}}"
                )
        if not ax.of_units(axes):
            axes = tuple(
                tuple(f._replace(role=ax.UNITS) if f.role == WEIGHTS else f for f in each)
                for each in axes
            )
        units = ax.of_units(axes)
        if len(units) != 1:
            return None, axes
        return (-1 if units[0] == n - 1 else units[0]), axes


def _by_length(shape: Sequence[int], flow: Flow) -> ax.Axes:
    """Return axes of which the first holds the inputs if its length says so."""
    if not shape:
        return ()
    n = flow.n_inputs
    first: ax.Axis = ax.axis(ax.POSITIONS, shape[0])
    if n and shape[0] % n == 0:
        first = (ax.Factor(ax.INPUTS, n), ax.Factor(ax.POSITIONS, shape[0] // n))
    return (first, *(ax.axis(ax.POSITIONS, size) for size in shape[1:]))


def _all(args: Any, kwargs: Any) -> Iterator[Tensor]:
    return tensors_in((args, tuple(kwargs.values())))


def _rows_of(output: object) -> Any:
    """Return the activity in what a module puts out: of a recurrent one its outputs, no states."""
    if isinstance(output, tuple) and len(output) == 2 and isinstance(output[1], Tensor):
        first = output[0]
        return first.data if isinstance(first, nn.utils.rnn.PackedSequence) else first
    return output


def _place() -> Any:
    """Return the place in the code, outside torch and this package, that is being run."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(("torch.", "neurosparse.probe")):
            return frame.f_code, frame.f_lasti
        frame = frame.f_back
    return None
