"""Facts about each tensor while a model runs.

They are whether it depends on the inputs, what its axes hold, and which weights made it.

Every function of torch that runs is followed (`Flow.follow`), so that nothing is guessed from what
ran last. How a function lays out its output stands in `layout`.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from itertools import chain
from math import prod
from typing import Any, NamedTuple

from torch import Tensor, nn

from neurosparse.probe import axes as ax
from neurosparse.probe.layout import Call, axes_of_output, places_of_output
from neurosparse.probe.tensors import tensors_in, zero_share
from neurosparse.probe.tokens import BatchTokens


class Key(NamedTuple):
    """Key of a layer: who called it, where in the code, with what weights' output.

    `call` is the how-manyth such call of a pass it is. It counts only where no weights tell the
    calls apart.
    """

    name: str
    place: Any
    source: frozenset[str] | None
    call: int = 0

    @property
    def anywhere(self) -> Key:
        """The key without the place in the code."""
        return self._replace(place=None)


class Tag(NamedTuple):
    """Facts about a tensor.

    Attributes
    ----------
    live
        It depends on the inputs.
    axes
        What its axes hold, None where that is not known.
    place
        The input and the token that all of it is of, where its axes do not tell.
    source
        The weights of the last layer that made it; for what does not depend on the inputs, the
        weights that it is made of.
    layer
        The layer whose output it is.
    is_test
        It holds the outcomes of a comparison or a selection, one a unit.
    picked_from
        The numbers or the largest values of units of that layer (True where none fired).
    has_zeros
        Zeros in it have been accounted for.
    within
        The module whose non-linearity it is, or was made of element by element.
    loose
        The layers that it depends on which no module called, and no weights have taken since.
    """

    live: bool
    axes: ax.Axes | None = None
    source: frozenset[str] | None = None
    layer: Key | None = None
    is_test: bool = False
    picked_from: Key | bool = False
    has_zeros: bool = False
    within: str = ""
    place: ax.Place = ax.NOWHERE
    loose: frozenset[Key] = frozenset()

    def counted_as(self, key: Key) -> Tag:
        """Return what is known of a non-linearity's output under the key of its layer."""
        return self._replace(layer=key, has_zeros=True, is_test=False, picked_from=False)


UNKNOWN, CONSTANT = Tag(live=True), Tag(live=False)

# these lay out a new tensor like another, without its values
_LIKE = frozenset(
    f"{kind}{what}"
    for what in ("zeros", "ones", "empty", "full", "rand", "randn")
    for kind in ("", "new")
) | frozenset(
    f"{what}like" for what in ("zeros", "ones", "empty", "full", "rand", "randn", "randint")
)
# whose outputs are those of weights, and forget what came before
WEIGHTED = frozenset(
    {
        *(f"conv{t}{n}d" for t in ("", "transpose") for n in (1, 2, 3)),
        *("linear", "addmm", "matmul", "mm", "bmm", "baddbmm", "einsum", "bilinear", "tensordot"),
        *("embedding", "embeddingbag", "addbmm", "mv", "convolution", "rmatmul", "matmul"),
        *("rnnrelu", "rnntanh", "lstm", "gru", "rnnrelucell", "rnntanhcell", "lstmcell", "grucell"),
        *("multiheadattentionforward", "sparsemm", "smm", "groupedmm"),
    }
)
_SUMS = frozenset({"add", "iadd", "radd", "sub", "isub", "rsub", "subtract", "addcmul", "lerp"})
NORMS = frozenset({"batchnorm", "layernorm", "groupnorm", "instancenorm", "rmsnorm"})
_COMPARISONS = frozenset(
    {"gt", "ge", "lt", "le", "eq", "ne", "greater", "greaterequal", "less", "lessequal"}
    | {"heaviside", "bernoulli"}
)
# outcomes of a comparison stay what they are
_RECAST = frozenset(
    {
        *("float", "double", "half", "bfloat16", "bool", "int", "long", "to", "type", "typeas"),
        *("logicalnot", "logicaland", "logicalor", "bitwisenot", "bitwiseand", "bitwiseor"),
        *("invert", "and", "or", "clone", "detach", "contiguous", "view", "reshape", "flatten"),
    }
)
# what merges parts that the data chose: which weights made it depends on the data
_WRITES = frozenset(
    {"setitem", "indexadd", "indexcopy", "indexput", "scatter", "scatteradd", "scatterreduce"}
    | {"maskedscatter", "indexfill"}
)
_RESHAPES = frozenset({"view", "reshape", "flatten", "ravel", "unflatten"})
# cuts along the units: each part is other units
_CUTS = frozenset({"chunk", "split", "tensorsplit", "unbind", "getitem", "narrow", "select"})
_PICKS = frozenset({"topk", "argmax", "argsort", "sort", "kthvalue", "max"})
_PASSES_LAYER = frozenset(
    {"to", "float", "double", "half", "bfloat16", "clone", "detach", "contiguous", "typeas"}
    | {"dropout", "view", "reshape", "flatten", "unsqueeze", "squeeze", "transpose", "permute"}
)


class Flow:
    """The tags of all tensors of a pass."""

    def __init__(self, model: nn.Module) -> None:
        self._tags: dict[int, tuple[weakref.ref[Tensor], Tag]] = {}
        self.order: dict[str, float] = {}  # of the weights, as the model lists them
        self._weights: dict[int, tuple[Tensor, Tag]] = {}
        for name, tensor in _weights(model):
            self._weights[id(tensor)] = (tensor, Tag(live=False, source=frozenset({name})))
            self.order.setdefault(name, len(self.order))
        self.trainable = {id(p) for p in model.parameters()}
        self.taken: set[Key] = set()  # of the loose layers, those that weights have taken
        self.n_inputs = self.n_samples = 0
        self.n_tokens: int | None = None
        self.columns: tuple[range, ...] = ()  # the tokens of each mask
        self.last_taken: int | None = None  # the token, out of a tensor of several

    def __getitem__(self, tensor: Tensor) -> Tag:
        entry = self._tags.get(id(tensor))
        if entry is not None and entry[0]() is tensor:
            return entry[1]
        weight = self._weights.get(id(tensor))
        return UNKNOWN if weight is None else weight[1]

    def __setitem__(self, tensor: Tensor, tag: Tag) -> None:
        self._tags[id(tensor)] = (weakref.ref(tensor), tag)

    def __contains__(self, tensor: Tensor) -> bool:
        return self[tensor] is not UNKNOWN

    def begin(self, batch: object, tokens: BatchTokens | None = None) -> None:
        """Mark the tensors of a batch as the inputs: samples along axis 0.

        Parameters
        ----------
        batch
            A tensor, or a container of tensors.
        tokens
            Which of them hold tokens, where a mask says which of these count.
        """
        self._tags = {k: entry for k, entry in self._tags.items() if entry[0]() is not None}
        found = [
            t
            for t in tensors_in(batch)
            if t.ndim and id(t) not in self._weights and not (t in self and self[t].live)
        ]
        if not found:
            return
        self.n_inputs, self.n_tokens = len(found[0]), None
        self.columns = () if tokens is None else tuple(tokens.columns.values())
        for tensor in found:
            is_float = tensor.is_floating_point() or tensor.is_quantized or tensor.is_complex()
            start, n = (None, 0) if tokens is None else tokens.starts.get(id(tensor), (None, 0))
            axes = ax.of_inputs(tensor.shape, first_token=start, is_float=is_float, n_token_axes=n)
            if tensor is found[0]:  # inputs, and positions of each
                n_units = prod(f.size for each in axes for f in each if f.role == ax.UNITS)
                self.n_samples = tensor.numel() // max(n_units, 1)
            if start == 0:
                self.n_tokens = tensor.shape[1]
            if len(tensor) != self.n_inputs:
                axes = (ax.axis(ax.POSITIONS, len(tensor)), *axes[1:])
            self[tensor] = Tag(live=True, axes=axes, has_zeros=zero_share(tensor) > 0)

    def follow(self, call: Call, output: Any) -> Tag:
        """Tag what a function has put out, and return the tag of its first output.

        Parameters
        ----------
        call
            The call, whose tags are these.
        output
            What it returned.
        """
        kind, inputs = call.kind, call.tensors
        if kind == "setitem":
            output = call.args[0]
        outputs = [output] if isinstance(output, Tensor) else list(_flat(output))
        if not outputs:
            return CONSTANT
        tags = [self[tensor] for tensor in inputs]
        live = [tag for tag in tags if tag.live]
        if kind in _LIKE and "rand" in kind and not self.n_inputs:  # the model draws its inputs
            self.begin(outputs)
            tag = self[outputs[0]]
        elif kind in _LIKE:
            like = tags[0].axes if tags and outputs[0].shape == inputs[0].shape else None
            tag = Tag(live=False, axes=like)
        elif not live or _is_weight_lookup(kind, inputs, tags):
            tag = self._of_weights(kind, call.args, outputs, tags)
            if kind in _RESHAPES and tags[0].axes is not None:
                tag = tag._replace(axes=axes_of_output(call, outputs)[0])
        else:
            tag = self._of_inputs(kind, call, inputs, outputs, live)
            whole = outputs[0]._base if kind == "setitem" else None
            if whole is not None:  # what is written into a view stands in what it views
                self[whole] = tag._replace(axes=self[whole].axes, layer=None)
            return tag
        for each in outputs:
            if id(each) not in self._weights:
                self[each] = tag
        return tag

    def _of_weights(self, kind: str, args: Any, outputs: list[Tensor], tags: list[Tag]) -> Tag:
        """Tag what is made of weights and constants alone."""
        if kind in ("getitem", "select"):
            tags = tags[:1]
        names: frozenset[str] = frozenset().union(*(tag.source or () for tag in tags))
        if kind in ("getitem", "select", "narrow") and names:
            names = _part(names, args[1:], self.order)
        axes = next((t.axes for t in tags if t.axes and len(t.axes) == outputs[0].ndim), None)
        return Tag(live=False, source=names or None, axes=axes)

    def _of_inputs(
        self, kind: str, call: Call, inputs: list[Tensor], outputs: list[Tensor], live: list[Tag]
    ) -> Tag:
        """Tag what depends on the inputs."""
        source = self._source(kind, inputs, live)
        has_zeros = kind not in WEIGHTED and any(tag.has_zeros for tag in live)
        has_zeros |= kind == "padpackedsequence"
        layer = live[0].layer if len(live) == 1 and kind in _PASSES_LAYER else None
        is_test = bool(kind in _RECAST and all(tag.is_test for tag in live))
        if kind in _COMPARISONS or kind in ("scatter", "sign"):
            is_test = self._tests(kind, call, outputs[0])
        elif kind == "onehot":
            is_test = live[0].picked_from is not False
        picked_from: Key | bool = False
        if kind in _PICKS:
            units = live[0].axes is not None and bool(ax.of_units(live[0].axes))
            picked_from = (live[0].layer or True) if units else False
        elif kind in _COMPARISONS or kind in _RECAST or kind in ("getitem", "unbind"):
            picked_from = next((t.picked_from or t.layer or False for t in live), False)
        loose = self._loose(kind, inputs, live)
        first = None
        laid_out = axes_of_output(call, outputs)
        places = places_of_output(call, outputs, {tag.place for tag in live})
        for k, (each, axes) in enumerate(zip(outputs, laid_out, strict=True)):
            own = source
            if own is not None and kind in _CUTS and axes is not None and len(live) == 1:
                own = _cut(own, call, k, live[0].axes, axes, self.order)
            tag = Tag(True, axes, own, layer, is_test, picked_from, has_zeros, place=places[k])
            tag = tag._replace(loose=loose) if loose else tag
            self[each] = tag
            first = first or tag
        assert first is not None
        return first

    def _loose(self, kind: str, inputs: list[Tensor], live: list[Tag]) -> frozenset[Key]:
        found: frozenset[Key] = frozenset()
        for tag in live:
            found = found | tag.loose if tag.loose else found
        if not found or not (kind in WEIGHTED or kind in NORMS):
            return found
        if any(tag.source and not tag.live for tag in (self[each] for each in inputs)):
            self.taken |= found
            return frozenset()
        return found

    def _source(self, kind: str, inputs: list[Tensor], live: list[Tag]) -> frozenset[str] | None:
        if kind in _WRITES:
            return None
        if kind in WEIGHTED or kind in NORMS:
            weights = [self[t] for t in inputs]
            names = frozenset().union(*(t.source or () for t in weights if not t.live))
            if kind in NORMS and live[0].source:
                names |= live[0].source
            if names:
                return names
            # packed weights, and products of two tensors that both depend on the inputs
            return live[0].source if kind in NORMS else None
        if kind in _SUMS:  # at a recurrent layer's first step its state depends on no input
            live = [self[t] for t in inputs]
        known = [tag.source for tag in live if tag.source]
        return frozenset().union(*known) if known else None

    def _tests(self, kind: str, call: Call, output: Tensor) -> bool:
        """Return whether the outcomes are one a unit."""
        if kind == "scatter":
            value = call.argument(3, "src", call.kwargs.get("value"))
            index = call.argument(2, "index")
            is_one = (
                bool((value == 1).all()) if isinstance(value, Tensor) else value in (1, 1.0, True)
            )
            picked = isinstance(index, Tensor) and self[index].picked_from is not False
            return picked and is_one
        for each in tensors_in(call.args):
            tag = self[each]
            if tag.live and each.is_floating_point() and each.shape == output.shape and tag.axes:
                return bool(ax.of_units(tag.axes))
        return False


def _flat(output: object) -> Iterable[Tensor]:
    return tensors_in(output) if isinstance(output, list | tuple) else ()


def _weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield all that a model holds before it runs: parameters, buffers, other tensors."""
    yield from chain(model.named_parameters(), model.named_buffers())
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute not in ("_parameters", "_buffers", "_modules"):
                for k, tensor in enumerate(tensors_in(value)):
                    yield f"{name}.{attribute}.{k}", tensor


def _is_weight_lookup(kind: str, inputs: list[Tensor], tags: list[Tag]) -> bool:
    """Return whether one entry of a weight is taken by a number that the data chose."""
    return (
        kind in ("getitem", "select")
        and not tags[0].live
        and all(tensor.ndim == 0 and not tensor.is_floating_point() for tensor in inputs[1:])
    )


def _cut(
    source: frozenset[str],
    call: Call,
    k: int,
    before: ax.Axes | None,
    after: ax.Axes,
    order: dict[str, float],
) -> frozenset[str]:
    """Return the source of a part of the units."""
    if before is None:
        return source
    units = [[f.size for f in each] for each in before if ax.has(each, ax.UNITS)]
    if units == [[f.size for f in each] for each in after if ax.has(each, ax.UNITS)]:
        return source
    return _part(source, call.args[1] if call.kind == "getitem" else k, order)


def _part(source: frozenset[str], index: object, order: dict[str, float]) -> frozenset[str]:
    """Return the source of what an index takes of a tensor: parts in the order of its numbers."""
    parts = frozenset(f"{name}[{_shown(index)}]" for name in source)
    number = next((float(n) for n in _numbers(index)), 0.0)
    for name in source:
        order.setdefault(f"{name}[{_shown(index)}]", order.get(name, 0.0) + number / 2**20)
    return parts


def _shown(index: object) -> str:
    if isinstance(index, tuple):
        return ", ".join(_shown(each) for each in index)
    if isinstance(index, slice):
        return f"{index.start}:{index.stop}"
    return str(next(iter(_numbers(index)), "..."))


def _numbers(index: object) -> Iterator[int]:
    """Yield the whole numbers in an index."""
    if isinstance(index, tuple):
        for each in index:
            yield from _numbers(each)
    elif isinstance(index, slice):
        yield from _numbers(index.start)
    elif isinstance(index, int) or (
        isinstance(index, Tensor) and index.ndim == 0 and not index.is_floating_point()
    ):
        yield int(index)
