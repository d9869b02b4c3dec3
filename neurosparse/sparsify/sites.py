"""The places of a network where units can be steered: found once, by running it on a batch."""

from __future__ import annotations

import difflib
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from neurosparse._internal.types import Fields
from neurosparse.probe import axes as ax
from neurosparse.probe.nonlinear import LayerOutput, monitoring
from neurosparse.probe.tokens import has_decoder, inputs_by_name, masks_in, tokens_in
from neurosparse.sparsify.aside import Run, aside
from neurosparse.sparsify.padding import Tokens

Function = tuple[str, int]  # a function of torch, and the how-manyth call of it in a pass
# through these the bias of a linear map reaches the rectifier
_PASS_ON = frozenset(
    {"add", "iadd", "radd", "add_", "dropout", "view", "reshape", "flatten", "contiguous", "to"}
    | {"float", "transpose", "permute", "movedim", "unflatten", "unsqueeze", "squeeze", "clone"}
)
_TRAINED = frozenset(
    {*(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3)), "linear", "addmm"}
    | {"batch_norm", "layer_norm", "group_norm", "instance_norm"}
)
# of layers with tokens
UNKNOWN = "which of the rows there are padding is not known"


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A layer that can be steered.

    Attributes
    ----------
    name
        As `measure` and `watch` name it.
    module, calls
        The module that puts it out, and the how-manyth calls of it in a pass; None for a function.
    functions
        The calls of functions of torch that put it out.
    axis, n_units
        The axis of its units, counted from the end or 1, and how many there are.
    rectifies
        Nothing that it puts out is negative, and some is exactly 0.
    bias
        What shifts its inputs, shape (n_units,), if anything does.
    tokens
        Where its tokens lie, if there is an attention mask for them among the inputs.
    """

    name: str
    module: str | None
    calls: tuple[int, ...]
    functions: tuple[Function, ...]
    axis: int
    n_units: int
    rectifies: bool
    bias: nn.Parameter | None
    tokens: Tokens | None

    @property
    def settable(self) -> nn.Parameter | None:
        """The bias, where there is one that is trained: frozen ones stay as they are."""
        return self.bias if self.bias is not None and self.bias.requires_grad else None

    def joined(self, other: Site) -> Site:
        """Return the layer with a further call: the same weights are used again in a pass."""
        return replace(
            self,
            calls=self.calls + other.calls,
            functions=self.functions + other.functions,
            rectifies=self.rectifies or other.rectifies,
        )


class Trace(TorchFunctionMode):
    """Trace of what a pass computes.

    For each tensor: which call of which function made it, from what, and which bias went in.
    """

    def __init__(self) -> None:
        super().__init__()
        self.n_calls: Counter[str] = Counter()
        self.made_by: dict[int, Function] = {}
        self.inputs: dict[int, Tensor] = {}
        self.biases: dict[int, nn.Parameter] = {}
        self._alive: list[Any] = []  # so that no id is given twice

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        kind = name_of(function)
        self.n_calls[kind] += 1
        call = (kind, self.n_calls[kind])
        tensors = [a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)]
        first = tensors[0] if tensors else None
        bias = self._bias(kind, tensors)
        if first is not None and first.is_floating_point() and _may_rectify(kind):
            first = first.detach().clone()  # what follows may work in place
        output = function(*args, **kwargs)
        if isinstance(output, Tensor):
            self._alive.append(output)
            self.made_by[id(output)] = call
            if first is not None and _may_rectify(kind):
                self.inputs[id(output)] = first
            self.biases.pop(id(output), None)
            if bias is not None:
                self.biases[id(output)] = bias
        return output

    def _bias(self, kind: str, tensors: Sequence[Tensor]) -> nn.Parameter | None:
        if kind in _TRAINED:
            vectors = [t for t in tensors if isinstance(t, nn.Parameter) and t.ndim == 1]
            # of the scale and the shift of a normalisation the shift comes last
            alone = len(vectors) == 1 and kind.endswith("norm")
            return None if alone or not vectors else vectors[-1]
        if kind in _PASS_ON or _may_rectify(kind):
            return next((self.biases[id(t)] for t in tensors if id(t) in self.biases), None)
        return None


def name_of(function: object) -> str:
    """Return the name of a function of torch, in place or not."""
    return str(getattr(function, "__name__", "")).strip("_")


def _may_rectify(kind: str) -> bool:
    return any(
        word in kind for word in ("relu", "clamp", "clip", "threshold", "maximum", "gelu")
    ) or (kind in ("silu", "mish", "elu", "where", "softplus"))


def find_sites(
    model: nn.Module,
    run: Run,
    layers: Sequence[str] | None,
    args: tuple[Any, ...] = (),
    kwargs: Fields | None = None,
) -> list[Site]:
    """Find the layers to steer: those named, or else every rectifier.

    Parameters
    ----------
    model
        The network.
    run
        Runs it on a batch.
    layers
        The names of layers.
    args, kwargs
        What `run` calls the model with, where that is known.

    Raises
    ------
    ValueError
        Where a layer named does not exist, or there is no rectifier.
    """
    trace, by_name, n_calls = Trace(), dict[str, Site](), Counter[str]()
    modules = dict(model.named_modules())
    asked = None if layers is None else [name.partition("#")[0] for name in layers]
    kwargs = kwargs or {}
    named = inputs_by_name(model, args, kwargs)
    of_tokens, unknown = masks_in(named, has_decoder=has_decoder(model)), list[str]()

    def found(layer: LayerOutput) -> None:
        name, output, axis = layer.name, layer.output, layer.shown_axis
        place = name.partition("#")[0]
        n_calls[place] += 1
        is_module = place in modules
        axis = -1 if axis in (-1, output.ndim - 1) else axis
        units, bias = output.shape[axis], trace.biases.get(id(output))
        function = None if is_module else trace.made_by.get(id(output))
        with torch._C.DisableTorchFunction():
            rectifies = bool((output >= 0).all()) and bool((output == 0).any())
        tokens = None if layer.axes is None else Tokens.of(layer.axes, axis, of_tokens)
        if of_tokens and tokens is None and layer.axes is not None and ax.of_tokens(layer.axes):
            unknown.append(name)
        site = Site(
            name=name,
            module=place if is_module else None,
            calls=(n_calls[place],) if is_module else (),
            functions=() if function is None else (function,),
            axis=axis,
            n_units=units,
            rectifies=rectifies or isinstance(modules.get(place), nn.ReLU | nn.ReLU6),
            bias=bias if bias is not None and bias.numel() == units else None,
            tokens=tokens,
        )
        by_name[name] = by_name[name].joined(site) if name in by_name else site

    listening = monitoring(model, found, asked, asks=False, live=True)
    with aside(model), trace, listening as monitor:
        if args or kwargs:
            monitor.begin((args, kwargs), tokens_in(model, named))
        run()
    for site in by_name.values():
        module = modules.get(site.module or "")
        if isinstance(module, nn.RNN) and module.num_layers > 1 and (site.rectifies or layers):
            n = module.num_layers
            last = f"the last of the {n} layers of {site.module} is steered, the others are not"
            warnings.warn(last, stacklevel=2)
    if unknown:
        warnings.warn(f"padded tokens are counted in {', '.join(unknown)}: {UNKNOWN}", stacklevel=2)
    if layers is None:
        chosen = [site for site in by_name.values() if site.rectifies]
        if not chosen:
            of_model = ", ".join(by_name) or "none"
            raise ValueError(
                f"{type(model).__name__} has no rectifier to steer; layers found: {of_model}."
                " Name those to steer with layers=[...] and say with active_when=... what is active"
            )
        return chosen
    for name in layers:
        if name not in by_name:
            near = difflib.get_close_matches(name, [*by_name, *filter(None, modules)], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"no layer {name!r} put anything out in the forward pass{hint}")
    return [by_name[name] for name in layers]
