"""The places of a network where units can be steered: found once, by running it on a batch."""

from __future__ import annotations

import difflib
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from neurosparse._internal.types import Fields
from neurosparse.probe.nonlinear import LayerOutput, monitoring
from neurosparse.probe.tokens import has_decoder, inputs_by_name, masks_in, tokens_in
from neurosparse.sparsify.aside import Run, aside
from neurosparse.sparsify.padding import Padding, Tokens
from neurosparse.sparsify.sources import LAYERS, LEAKY, RECTIFIERS, Call, Sources, Weights, name_of

Numbered = tuple[str, int]  # what is called (see `Call`), and the how-manyth call of it in a pass
# through these the bias of a linear map reaches the rectifier
_PASS_ON = frozenset(
    {"add", "iadd", "radd", "add_", "dropout", "view", "reshape", "flatten", "contiguous", "to"}
    | {"float", "transpose", "permute", "movedim", "unflatten", "unsqueeze", "squeeze", "clone"}
)
_TRAINED = frozenset(
    {*(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3)), "linear", "addmm"}
    | {"batch_norm", "layer_norm", "group_norm", "instance_norm"}
)


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A layer that can be steered.

    Attributes
    ----------
    name
        As `measure` and `watch` name it.
    module
        The module that puts it out; None for a function.
    calls
        The calls of that module, or of functions of torch, that put it out.
    numbers
        The same by their numbers in the pass that found it, for compiled code.
    known
        The weights with whose outputs the module or function was called in that pass.
    is_alone
        The module puts out no other layer, and that pass used all weights of the model.
    axis, n_units
        The axis of its units, counted from the end or 1, and how many there are.
    rectifies
        It is a rectifier by its kind, or nothing of what it put out was negative and some was 0.
    has_zeros
        Some of what it put out was exactly 0.
    bias
        What shifts its inputs, shape (n_units,), if anything does.
    tokens
        Where its tokens lie, if there is an attention mask for them among the inputs.
    """

    name: str
    module: str | None
    calls: tuple[Call, ...]
    numbers: tuple[Numbered, ...]
    known: frozenset[Weights]
    is_alone: bool
    axis: int
    n_units: int
    rectifies: bool
    has_zeros: bool
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
            numbers=self.numbers + other.numbers,
            rectifies=self.rectifies or other.rectifies,
            has_zeros=self.has_zeros or other.has_zeros,
        )

    def owns(self, call: Call | None) -> bool:
        """Return whether it is put out by a call."""
        return call is not None and (call in self.calls or call.every in self.calls)


class Trace(TorchFunctionMode):
    """Trace of what a pass computes.

    For each tensor: which call of which function made it, from what, and which bias went in.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.sources = Sources(model)
        self.n_calls: Counter[str] = Counter()
        self.made_by: dict[int, Numbered] = {}
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
        self.sources.follow(kind, args, kwargs, output)
        if isinstance(output, Tensor):
            self._alive.append(output)
            self.made_by[id(output)] = call
            if first is not None and _may_rectify(kind):
                self.inputs[id(output)] = first
            self.biases.pop(id(output), None)
            if bias is not None:
                self.biases[id(output)] = bias
        return output

    def call_of(self, module: str | None, output: Tensor) -> Call | None:
        """Return the call that has put out a layer: a further one of a module, or a function's."""
        if module is None:
            return self.sources.call_of(output) if id(output) in self.made_by else None
        return self.sources.numbered(f".{module}", self.sources.weights_of(output))

    def _bias(self, kind: str, tensors: Sequence[Tensor]) -> nn.Parameter | None:
        if kind in _TRAINED:
            vectors = [t for t in tensors if isinstance(t, nn.Parameter) and t.ndim == 1]
            # of the scale and the shift of a normalisation the shift comes last
            alone = len(vectors) == 1 and kind.endswith("norm")
            return None if alone or not vectors else vectors[-1]
        if kind in _PASS_ON or _may_rectify(kind):
            return next((self.biases[id(t)] for t in tensors if id(t) in self.biases), None)
        return None


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
    trace, by_name, n_calls = Trace(model), dict[str, Site](), Counter[str]()
    modules = dict(model.named_modules())
    kwargs = kwargs or {}
    named = inputs_by_name(model, args, kwargs)
    padding = Padding(masks_in(named, has_decoder=has_decoder(model)))

    def found(layer: LayerOutput) -> None:
        name, output, axis = layer.name, layer.output, layer.shown_axis
        place = name.partition("#")[0]
        module = place if place in modules else None
        n_calls[place] += 1
        axis = -1 if axis in (-1, output.ndim - 1) else axis
        units, bias = output.shape[axis], trace.biases.get(id(output))
        call = trace.call_of(module, output)
        made_by = None if module is not None else trace.made_by.get(id(output))
        number = (f".{module}", n_calls[place]) if made_by is None else made_by
        rectifies, has_zeros = _rectifies(modules.get(place), trace.sources.call_of(output), output)
        site = Site(
            name=name,
            module=module,
            calls=() if call is None else (call,),
            numbers=() if call is None else (number,),
            known=frozenset(),
            is_alone=False,
            axis=axis,
            n_units=units,
            rectifies=rectifies,
            has_zeros=has_zeros,
            bias=bias if bias is not None and bias.numel() == units else None,
            tokens=padding.tokens_of(layer, axis),
        )
        by_name[name] = by_name[name].joined(site) if name in by_name else site

    listening = monitoring(model, found, heard_names(layers), asks=False, live=True)
    with aside(model), trace, listening as monitor:
        if args or kwargs:
            monitor.begin((args, kwargs), tokens_in(model, named))
        run()
    shown = {consumed: name for name, consumed in monitor.final_names().items()}
    sites = {shown[name]: _told_apart(site, shown[name], trace) for name, site in by_name.items()}
    _tell_layers_below(sites.values(), modules, named=layers is not None)
    chosen = _chosen(model, sites, layers)
    padding.tell({name: own for name, own in shown.items() if sites[own] in chosen})
    return chosen


def heard_names(layers: Sequence[str] | None) -> list[str] | None:
    """Return what is to be heard so that these layers are: a gate is known by what it works on."""
    if layers is None:
        return None
    plain = [name.partition("#")[0] for name in layers]
    return [*plain, *(name.partition("*")[0] for name in plain)]


def _rectifies(module: nn.Module | None, call: Call | None, output: Tensor) -> tuple[bool, bool]:
    """Return whether a layer is a rectifier, and whether it has put out exact zeros."""
    kind = "" if call is None else call.what
    with torch._C.DisableTorchFunction():
        is_positive, has_zeros = bool((output >= 0).all()), bool((output == 0).any())
    if kind in LEAKY or isinstance(module, nn.PReLU | nn.LeakyReLU | nn.RReLU):
        return False, has_zeros
    by_kind = isinstance(module, nn.ReLU | nn.ReLU6) or kind in LAYERS
    return by_kind or (is_positive and (has_zeros or kind in RECTIFIERS)), has_zeros


def _told_apart(site: Site, name: str, trace: Trace) -> Site:
    """Return a site as it is known in any pass, by what all calls of this one were."""
    counted = Counter(call.every for call in site.calls)
    known = {what: trace.sources.n_calls(what) for what in {call.what for call in site.calls}}
    whole = {call for call, n in counted.items() if n == known[call.what][call.weights]}
    every = [call for of_one in known.values() for call in of_one]
    return replace(
        site,
        name=name,
        calls=(*whole, *(call for call in site.calls if call.every not in whole)),
        known=frozenset(every),
        is_alone=site.module is not None and len(whole) == len(every) and not trace.sources.unused,
    )


def _tell_layers_below(
    sites: Iterable[Site], modules: Mapping[str, nn.Module], *, named: bool
) -> None:
    for site in sites:
        module = modules.get(site.module or "")
        if isinstance(module, nn.RNN) and module.num_layers > 1 and (site.rectifies or named):
            n = module.num_layers
            last = f"the last of the {n} layers of {site.module} is steered, the others are not"
            warnings.warn(last, stacklevel=3)


def _chosen(
    model: nn.Module, sites: Mapping[str, Site], layers: Sequence[str] | None
) -> list[Site]:
    """Return the sites that are named; a name without a number stands for all layers of it."""
    if layers is None:
        if chosen := [site for site in sites.values() if site.rectifies]:
            return chosen
        raise ValueError(
            f"{type(model).__name__} has no rectifier to steer; layers found:"
            f" {', '.join(sites) or 'none'}. Name those to steer with layers=[...] and say with"
            " active_when=... what is active"
        )
    found: dict[str, Site] = {}
    for name in layers:
        mine = [name] if name in sites else []
        mine += [other for other in sites if other.partition("#")[0] == name]
        if not mine:
            near = difflib.get_close_matches(
                name, [*sites, *filter(None, dict(model.named_modules()))], n=1
            )
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"no layer {name!r} put anything out in the forward pass{hint}")
        found |= {each: sites[each] for each in mine}
    return list(found.values())
