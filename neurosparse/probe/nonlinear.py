"""Which calls of a forward pass are layers of activity: non-linearities, as modules or functions,
and gated units.

A model is heard while it runs, through a `TorchFunctionMode` (every function of torch that it
calls) and hooks on its modules (where it stands), so that what counts does not depend on how the
model is written:

- a module of `NON_LINEARITIES`, or one without children and parameters that calls such a function
  (a GELU by hand): its output, under the module's name;
- a function such as `torch.relu` or `silu` that any other module calls: under the module's name and
  its own, "block.relu";
- a product with such an output, as in silu(a) * b: "block.silu*gate". Products that spread one gate
  over several units are none.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

NON_LINEARITIES: tuple[type[nn.Module], ...] = (
    *(
        nn.ReLU,
        nn.ReLU6,
        nn.LeakyReLU,
        nn.PReLU,
        nn.RReLU,
        nn.ELU,
        nn.CELU,
        nn.SELU,
        nn.GELU,
        nn.SiLU,
        nn.Mish,
    ),
    *(nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Softsign, nn.LogSigmoid, nn.Threshold, nn.GLU),
    *(nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Hardshrink, nn.Softshrink, nn.Tanhshrink),
)
GATE = "*gate"

# names of torch's functions, without their underscores
_FUNCTIONS = frozenset(kind.__name__.lower() for kind in NON_LINEARITIES)
_CLAMPS = frozenset({"clamp", "clampmin", "clip"})  # at 0: rectifiers
_PRODUCTS = frozenset({"mul", "multiply", "rmul", "imul"})
_CHANNELS_FIRST = frozenset(
    {
        *(f"conv{t}{n}d" for t in ("", "transpose") for n in (1, 2, 3)),
        "batchnorm",
        "groupnorm",
        "instancenorm",
    }
)
_FEATURES_LAST = frozenset(
    {"linear", "layernorm", "rmsnorm", "embedding", "addmm", "matmul", "bmm", "einsum"}
)

# the name of a layer, its output, the axis of its units; None, or what takes the output's place
Consume = Callable[[str, Tensor, int], Tensor | None]


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
        Called with a layer's name, its output and the axis of its units: 1 after a convolution or a
        normalisation of channels, -1 after a linear layer. A layer that fires k times a pass is
        "name", "name#2", ... "name#k".
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
    functions, is off meanwhile.
    """
    ear = _Ear(model, consume, layers, live)
    handles = []
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(ear.enter(name)))
            handles.append(module.register_forward_hook(ear.leave(name, module)))
        with ear:
            yield ear.fired
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for handle in handles:
            handle.remove()


class _Ear(TorchFunctionMode):
    """What runs, and where: functions come in through `__torch_function__`, modules through their
    hooks.
    """

    def __init__(
        self, model: nn.Module, consume: Consume, layers: Sequence[str] | None, live: bool
    ) -> None:
        super().__init__()
        self.consume, self.layers, self.live = consume, layers, live
        self.fired: Counter[str] = Counter()
        self.inside: list[str] = []  # the modules that are being called
        self.axis = -1
        # what the layers put out, for products with it
        self.outputs: dict[int, tuple[weakref.ref[Tensor], str]] = {}
        self.alone = {
            name
            for name, module in model.named_modules()
            if isinstance(module, NON_LINEARITIES)
            or (
                name
                and not any(
                    True for _ in chain(module.children(), module.parameters(recurse=False))
                )
            )
        }
        self.called: set[str] = set()  # those of them that have called a non-linearity

    def enter(self, name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any) -> None:
            self.inside.append(name)

        return hook

    def leave(self, name: str, module: nn.Module) -> Callable[..., Tensor | None]:
        shown, by_kind = name or type(module).__name__.lower(), isinstance(module, NON_LINEARITIES)

        def hook(_module: nn.Module, _inputs: Any, output: Any) -> Tensor | None:
            if not self.inside:  # the model was entered before anybody listened
                return None
            self.inside.pop()
            if by_kind or name in self.called or (self.layers is not None and shown in self.layers):
                self.called.discard(name)
                return self.hear(shown, output)
            return None

        return hook

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        output = function(*args, **kwargs)
        shown = getattr(function, "__name__", "").strip("_")
        kind = shown.replace("_", "")
        if kind in _CHANNELS_FIRST:
            self.axis = 1
        elif kind in _FEATURES_LAST:
            self.axis = -1
        elif kind in _FUNCTIONS or (kind in _CLAMPS and _least(args, kwargs) == 0):
            place = self.inside[-1] if self.inside else ""
            if place in self.alone:
                self.called.add(place)
            else:
                heard = self.hear(f"{place}.{shown}" if place else shown, output)
                return output if heard is None else heard
        elif kind in _PRODUCTS and self.inside and self.inside[-1] not in self.alone:
            a, b = args[:2]
            if isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape == b.shape:
                for x in (a, b):
                    reference, name = self.outputs.get(id(x), (None, ""))
                    if reference is not None and reference() is x:
                        heard = self.hear(name + GATE, output)
                        return output if heard is None else heard
        return output

    def hear(self, name: str, output: Any) -> Tensor | None:
        """Hand a layer's output over; the tensor that takes its place, if any."""
        if self.layers is not None and name not in self.layers:
            return None
        if not isinstance(output, Tensor):
            raise TypeError(
                f"layer {name!r} must put out one tensor to be recorded, got"
                f" {type(output).__name__}"
            )
        self.fired[name] += 1
        heard = self.consume(
            name if self.fired[name] == 1 else f"{name}#{self.fired[name]}",
            output if self.live else output.detach(),
            self.axis,
        )
        result = output if heard is None or not self.live else heard
        self.outputs[id(result)] = (weakref.ref(result), name)
        return result if result is not output else None


def _least(args: Any, kwargs: Any) -> Any:
    """The lower end of a clamp."""
    least = args[1] if len(args) > 1 else kwargs.get("min")
    return None if isinstance(least, Tensor) else least
