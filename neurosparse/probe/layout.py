"""How each function of torch lays out its output: the axes of the output from those of its inputs.

A function without a rule of its own is taken element by element where shapes allow it. Otherwise an
output with as many axes as its input keeps what they hold, as pooling and padding do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from neurosparse._internal.types import Fields, Foreign
from neurosparse.probe import axes as ax

WEIGHTS = "weights"  # the role of axes of weights that the data looked up, a set for each row


Answer: TypeAlias = "ax.Axes | list[ax.Axes | None] | None"  # None: unknown


class Tags(Protocol):
    """What a rule may ask."""

    n_inputs: int
    n_tokens: int | None
    trainable: set[int]

    def __getitem__(self, tensor: Tensor) -> Any: ...


class Call:
    """A call of a function of torch."""

    def __init__(
        self, kind: str, function: Foreign, args: Sequence[Foreign], kwargs: Fields, tags: Tags
    ) -> None:
        self.kind, self.function, self.args, self.kwargs = kind, function, args, kwargs
        self.tags = tags

    def argument(self, k: int, name: str, default: Any = None) -> Any:
        """Return the argument at a position or under a name."""
        return self.args[k] if len(self.args) > k else self.kwargs.get(name, default)

    @property
    def first(self) -> Tensor:
        """The first tensor among the arguments."""
        head = self.args[0] if self.args else next(iter(self.kwargs.values()))
        return head if isinstance(head, Tensor) else next(t for t in _tensors(self) if True)

    def axes(self, tensor: object) -> ax.Axes | None:
        """Return what the axes of a tensor hold, if it depends on the inputs."""
        if not isinstance(tensor, Tensor):
            return None
        tag = self.tags[tensor]
        return tag.axes if tag.live or tag.axes else None


Rule: TypeAlias = Callable[[Call, Sequence[Tensor]], Answer]


def axes_of_output(call: Call, outputs: Sequence[Tensor]) -> list[ax.Axes | None]:
    """Return the axes of each output of a call."""
    rule = _RULES.get(call.kind)
    shapes = [tuple(output.shape) for output in outputs]
    if rule is not None:
        try:
            found = rule(call, outputs)
        except (IndexError, StopIteration, TypeError, KeyError):
            found = None
        if found is not None:
            many: list[ax.Axes | None] = (
                found if isinstance(found, list) else [found for _ in outputs]
            )
            if [None if a is None else len(a) for a in many] == [
                None if a is None else len(s) for a, s in zip(many, shapes, strict=True)
            ]:
                return many
    return [by_shape(call, output) for output in outputs]


def by_shape(call: Call, output: Tensor) -> ax.Axes | None:
    """Return the axes of an output from shapes alone, None where they do not tell."""
    shape = tuple(output.shape)
    operands = [(tuple(t.shape), a) for t in _tensors(call) if (a := call.axes(t)) is not None]
    if not operands:
        return None
    if (found := ax.broadcast(operands, shape)) is not None:
        return found
    for size, axes in operands:
        if len(size) == len(shape):
            return tuple(
                old if n == m else ax.resized(old, n)
                for old, m, n in zip(axes, size, shape, strict=True)
            )
    return None


def _tensors(call: Call) -> list[Tensor]:
    found = []
    for value in (*call.args, *call.kwargs.values()):
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += [each for each in value if isinstance(each, Tensor)]
    return found


# ---- Layers with weights


def _linear(call: Call, outputs: Sequence[Tensor]) -> Answer:
    axes = call.axes(call.args[0] if call.args else call.kwargs.get("input"))
    if axes is None:
        return None
    kept = [_demoted(each) for each in axes[:-1]]
    return (*kept, ax.axis(ax.UNITS, outputs[0].shape[-1]))


def _conv(call: Call, outputs: Sequence[Tensor]) -> Answer:
    output, weight = outputs[0], call.argument(1, "weight")
    axes = call.axes(call.argument(0, "input"))
    units = 0 if isinstance(weight, Tensor) and output.ndim < weight.ndim else 1
    result = [ax.axis(ax.POSITIONS, n) for n in output.shape]
    if axes is not None and len(axes) == output.ndim:
        result = [_demoted(ax.resized(old, n)) for old, n in zip(axes, output.shape, strict=True)]
    result[units] = ax.axis(ax.UNITS, output.shape[units])
    return tuple(result)


def _normalised(call: Call, outputs: Sequence[Tensor]) -> Answer:
    axes = by_shape(call, outputs[0])
    if axes is None or ax.of_units(axes) or call.kind not in ("batchnorm", "groupnorm"):
        return axes
    return tuple(
        ax.axis(ax.UNITS, outputs[0].shape[1]) if k == 1 else each for k, each in enumerate(axes)
    )


def _embedding(call: Call, outputs: Sequence[Tensor]) -> Answer:
    axes = call.axes(call.argument(0, "input"))
    if call.kind == "embeddingbag" and axes is not None:
        axes = axes[:1]
    return None if axes is None else (*axes, ax.axis(ax.UNITS, outputs[0].shape[-1]))


def _one_hot(call: Call, outputs: Sequence[Tensor]) -> Answer:
    axes = call.axes(call.first)
    return None if axes is None else (*axes, ax.axis(ax.UNITS, outputs[0].shape[-1]))


def _recurrent(call: Call, outputs: Sequence[Tensor]) -> Answer:
    first = call.axes(call.args[0])
    if first is None:
        return None
    packed = isinstance(call.args[1], Tensor) and outputs[0].ndim == 2 and outputs[1].ndim == 3
    n = outputs[0].ndim
    batch = next((a for a in first if ax.has(a, ax.INPUTS) or ax.has(a, ax.ROWS)), ())
    result: list[ax.Axes | None] = [
        (*first[: n - 1], ax.axis(ax.UNITS, outputs[0].shape[-1])) if len(first) == n else None
    ]
    for state in outputs[1:]:
        inside = (
            ax.axis(ax.POSITIONS, state.shape[-2])
            if packed or state.ndim < 3 or _length(batch) != state.shape[-2]
            else batch
        )
        axes = [ax.axis(ax.POSITIONS, size) for size in state.shape]
        axes[-2:] = [inside, ax.axis(ax.UNITS, state.shape[-1])]
        result.append(tuple(axes))
    return result


def _cell(call: Call, outputs: Sequence[Tensor]) -> Answer:
    axes = call.axes(call.args[0])
    if axes is None:
        return None
    return [(*axes[:-1], ax.axis(ax.UNITS, each.shape[-1])) for each in outputs]


def _attention(call: Call, outputs: Sequence[Tensor]) -> Answer:
    query, value = call.argument(0, "query"), call.argument(2, "value")
    q, v = call.axes(query), call.axes(value)
    if q is None:
        return None
    last = v[-1] if v is not None else ax.axis(ax.UNITS, outputs[0].shape[-1])
    if call.kind == "multiheadattentionforward":
        last = ax.axis(ax.UNITS, outputs[0].shape[-1])
    result: list[ax.Axes | None] = [(*q[:-1], last)]
    return result + [by_shape(call, each) for each in outputs[1:]]


def _length(an_axis: ax.Axis) -> int:
    n = 1
    for factor in an_axis:
        n *= factor.size
    return n


def _demoted(an_axis: ax.Axis) -> ax.Axis:
    """Return an axis whose units are no longer those of the output: they are positions."""
    if not ax.has(an_axis, ax.UNITS):
        return an_axis
    return tuple(f._replace(role=ax.POSITIONS) if f.role == ax.UNITS else f for f in an_axis)


# ---- Products of matrices


def _matmul(call: Call, outputs: Sequence[Tensor]) -> Answer:
    a, b = [t for t in _tensors(call) if t.ndim][-2:]
    if call.kind == "rmatmul":
        a, b = b, a
    n_batch = max(a.ndim, b.ndim, 2) - 2
    batch = list(range(n_batch))
    left = [*batch[n_batch - max(a.ndim - 2, 0) :], *(["m"] if a.ndim > 1 else []), "k"]
    right = [*batch[n_batch - max(b.ndim - 2, 0) :], "k", *(["n"] if b.ndim > 1 else [])]
    out = [*batch, *(["m"] if a.ndim > 1 else []), *(["n"] if b.ndim > 1 else [])]
    return _contracted(call, [(left, a), (right, b)], out, outputs[0])


def _einsum(call: Call, outputs: Sequence[Tensor]) -> Answer:
    equation = call.args[0]
    operands = call.args[1] if isinstance(call.args[1], list | tuple) else call.args[1:]
    if not isinstance(equation, str):
        return None
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow:
        letters = sorted(set(left.replace(",", "").replace(".", "")))
        right = ("..." if "..." in left else "") + "".join(c for c in letters if left.count(c) == 1)
    n_dots = max(t.ndim - len(s.replace("...", "")) for s, t in zip(terms, operands, strict=True))
    result = []
    for term, tensor in zip(terms, operands, strict=True):
        dots = tensor.ndim - len(term.replace("...", ""))
        result.append((_spelled(term, n_dots, dots), tensor))
    return _contracted(call, result, _spelled(right, n_dots, n_dots), outputs[0])


def _spelled(term: str, n_dots: int, dots: int) -> list[Any]:
    before, ellipsis, after = term.partition("...")
    return [*before, *(range(n_dots - dots, n_dots) if ellipsis else []), *after]


def _contracted(
    call: Call, terms: Sequence[tuple[list[Any], Tensor]], out: list[Any], output: Tensor
) -> ax.Axes | None:
    """Return the axes of a sum of products over the letters that the output lacks."""
    flowing: list[tuple[list[Any], ax.Axes]] = []
    weights: list[tuple[list[Any], Tensor]] = []
    for letters, tensor in terms:
        axes = call.axes(tensor) if call.tags[tensor].live else None
        if axes is None or any(ax.has(each, WEIGHTS) for each in axes):
            weights.append((letters, tensor))
        if axes is not None:
            flowing.append((letters, axes))
    if not flowing or len(out) != output.ndim:
        return None
    of_letter: dict[Any, ax.Axis] = {}
    for letters, axes in flowing:
        for letter, each in zip(letters, axes, strict=True):
            if not of_letter.get(letter):
                of_letter[letter] = each
    result = [
        of_letter.get(letter) or ax.axis(ax.POSITIONS, n)
        for letter, n in zip(out, output.shape, strict=True)
    ]
    data = [pair for pair in flowing if not any(ax.has(each, WEIGHTS) for each in pair[1])]
    own = {letter for letters, _ in data for letter in letters}
    new = [k for k, c in enumerate(out) if c not in own and any(c in w for w, _ in weights)]
    lost = any(
        ax.has(each, ax.UNITS)
        for letters, axes in data
        for letter, each in zip(letters, axes, strict=True)
        if letter not in out
    )
    kept = any(ax.has(each, ax.UNITS) for each in result)
    if not data or lost or not kept:
        units = new or [len(out) - 1]
    elif new and new[-1] == len(out) - 1 and any(_is_trained(call, t) for _, t in weights):
        units = new
    else:
        return tuple(result)
    grouped = lost and bool(new)  # features in groups, each with weights of its own
    for k, each in enumerate(result):
        shared = any(out[k] in letters for letters, _ in weights)
        if k in units:
            result[k] = ax.axis(ax.UNITS, output.shape[k])
        elif not (grouped and shared):
            result[k] = _demoted(each)
    return tuple(result)


def _is_trained(call: Call, tensor: Tensor) -> bool:
    base = tensor._base if tensor._base is not None else tensor
    return (
        id(tensor) in call.tags.trainable
        or id(base) in call.tags.trainable
        or (call.tags[tensor].source is not None)
    )


# ---- Shapes


def _viewed(call: Call, outputs: Sequence[Tensor]) -> Answer:
    axes = call.axes(call.first)
    return None if axes is None else ax.viewed(axes, outputs[0].shape)


def _permuted(call: Call, outputs: Sequence[Tensor]) -> Answer:
    """Return the axes in their new order, found by permuting a shape of distinct lengths."""
    axes = call.axes(call.first)
    if axes is None:
        return None
    shape = torch.empty(tuple(range(2, 2 + len(axes))), device="meta")
    return tuple(axes[n - 2] for n in call.function(shape, *call.args[1:], **call.kwargs).shape)


def _reduced(call: Call, outputs: Sequence[Tensor]) -> Answer:
    x = call.first
    axes, n = call.axes(x), outputs[0].ndim
    others = [t for t in _tensors(call) if t is not x]
    if axes is None or others or x.shape == outputs[0].shape:
        return None
    if n == x.ndim:
        return tuple(
            each if size == old else ()
            for each, old, size in zip(axes, x.shape, outputs[0].shape, strict=True)
        )
    names = [value for key, value in call.kwargs.items() if key in ("dim", "axis")]
    dims = names[0] if names else next((a for a in call.args[1:] if _is_dims(a)), None)
    if dims is None:
        return () if n == 0 else None
    gone = {d % x.ndim for d in ([dims] if isinstance(dims, int) else dims)}
    return tuple(each for k, each in enumerate(axes) if k not in gone)


def _is_dims(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (
        isinstance(value, list | tuple) and bool(value) and all(isinstance(v, int) for v in value)
    )


def _indexed(call: Call, outputs: Sequence[Tensor]) -> Answer:
    """Return the axes after x[index]."""
    x, index = call.args[:2]
    tag = call.tags[x]
    axes = tag.axes
    if axes is None:
        axes = tuple(ax.axis(WEIGHTS if not tag.live else ax.POSITIONS, n) for n in x.shape)
        if tag.live:
            return None
    items = list(index) if isinstance(index, tuple) else [index]
    used = sum(i.ndim if _is_mask(i) else i is not None and i is not Ellipsis for i in items)
    if Ellipsis not in [i for i in items if not isinstance(i, Tensor)]:
        items.append(Ellipsis)
    result: list[ax.Axis] = []
    advanced: list[tuple[ax.Axis, Tensor]] = []
    place: int | None = None
    apart, k = False, 0
    for item in items:
        if item is None:
            result.append(())
        elif item is Ellipsis:
            n = len(axes) - used
            result += axes[k : k + n]
            k += n
        elif isinstance(item, slice):
            result.append(ax.chosen(axes[k], item))
            k += 1
        elif isinstance(item, Tensor | list) and not (
            isinstance(item, Tensor) and item.ndim == 0 and not _is_mask(item)
        ):
            tensor = item if isinstance(item, Tensor) else torch.tensor(item)
            if place is None:
                place = len(result)
            apart = apart or place != len(result)
            if _is_mask(tensor):
                whole = tuple(f for each in axes[k : k + tensor.ndim] for f in each)
                advanced.append((whole, tensor.reshape(-1).nonzero()[:, 0]))
                k += tensor.ndim
            else:
                advanced.append((axes[k], tensor))
                k += 1
        else:  # a number
            k += 1
    if advanced:
        result[0 if apart else place : 0 if apart else place] = _gathered(call, advanced)
    return tuple(result)


def _is_mask(item: object) -> bool:
    return isinstance(item, Tensor) and item.dtype in (torch.bool, torch.uint8)


def _gathered(call: Call, parts: Sequence[tuple[ax.Axis, Tensor]]) -> list[ax.Axis]:
    """Return the axes that indices by tensors give, which are broadcast together."""
    shape = torch.broadcast_shapes(*(index.shape for _, index in parts))
    if len(shape) != 1:
        operands = [(tuple(i.shape), a) for _, i in parts if (a := call.axes(i)) is not None]
        found = ax.broadcast(operands, shape) if operands else None
        return list(found or (ax.axis(ax.POSITIONS, n) for n in shape))
    by_data = [
        (each, i.expand(shape))
        for each, i in parts
        if ax.has(each, ax.INPUTS) or ax.has(each, ax.TOKENS) or ax.has(each, ax.ROWS)
    ]
    if any(ax.has(each, ax.INPUTS) or ax.has(each, ax.ROWS) for each, _ in by_data):
        device = by_data[0][1].device
        origin = torch.stack(
            [ax.origins(each, device)[:, i.to(device).long()] for each, i in by_data]
        ).sum(dim=0)
        n_offered = 1
        for each, _ in by_data:
            n_offered *= ax.offered(each)
        return [(ax.Factor(ax.ROWS, shape[0], origin=origin, n_offered=n_offered),)]
    if any(ax.has(each, ax.UNITS) for each, _ in parts):
        return [ax.axis(ax.UNITS, shape[0])]
    index_axes = [a for _, i in parts if (a := call.axes(i)) is not None and len(a) == 1]
    return [index_axes[0][0] if index_axes else ax.axis(ax.POSITIONS, shape[0])]


def _selected(call: Call, outputs: Sequence[Tensor]) -> Answer:
    x, dim, index = call.args[0], call.argument(1, "dim"), call.argument(2, "index")
    axes = call.axes(x)
    if axes is None:
        return None
    dim %= x.ndim
    if call.kind == "select":
        return axes[:dim] + axes[dim + 1 :]
    return (*axes[:dim], *_gathered(call, [(axes[dim], index)]), *axes[dim + 1 :])


def _unbound(call: Call, outputs: Sequence[Tensor]) -> Answer:
    axes, dim = call.axes(call.first), call.argument(1, "dim", 0)
    if axes is None:
        return None
    if call.kind == "iter":
        dim = 0
    dim %= len(axes)
    return axes[:dim] + axes[dim + 1 :]


def _split(call: Call, outputs: Sequence[Tensor]) -> Answer:
    x = call.first
    axes = call.axes(x)
    if axes is None:
        return None
    place = 1 if call.kind == "narrow" else 2
    dim = call.argument(place, "dim", 0) % x.ndim
    start = call.argument(2, "start") if call.kind == "narrow" else 0
    result: list[ax.Axes | None] = []
    for output in outputs:
        stop = int(start) + output.shape[dim]
        part = ax.chosen(axes[dim], slice(int(start), stop))
        result.append((*axes[:dim], part, *axes[dim + 1 :]))
        start = stop
    return result


def _joined(call: Call, outputs: Sequence[Tensor]) -> Answer:
    parts = call.argument(0, "tensors")
    dim = call.argument(1, "dim", call.kwargs.get("axis", 0))
    known = [a for t in parts if (a := call.axes(t)) is not None]
    if not known:
        return None
    first = next((a for a in known if ax.of_units(a)), known[0])
    if call.kind == "stack":
        dim %= outputs[0].ndim
        return (*first[:dim], ax.axis(ax.POSITIONS, outputs[0].shape[dim]), *first[dim:])
    dim %= outputs[0].ndim
    axes = [call.axes(t) for t in parts if t.ndim == outputs[0].ndim]
    along = ax.joined([None if a is None else a[dim] for a in axes], outputs[0].shape[dim])
    return (*first[:dim], along, *first[dim + 1 :])


def _repeated(call: Call, outputs: Sequence[Tensor]) -> Answer:
    x, output = call.first, outputs[0]
    axes = call.axes(x)
    if axes is None:
        return None
    old = (*(() for _ in range(output.ndim - x.ndim)), *axes)
    shape = (*([1] * (output.ndim - x.ndim)), *x.shape)
    result = []
    for each, n, size in zip(old, shape, output.shape, strict=True):
        if n == size:
            result.append(each)
            continue
        if n == 0 or size % n:
            return None
        times = ax.axis(ax.POSITIONS, size // n)
        result.append((*each, *times) if call.kind == "repeatinterleave" else (*times, *each))
    return tuple(result)


def _windows(call: Call, outputs: Sequence[Tensor]) -> Answer:
    """Return the axes after windows were cut: x.unfold(dim, size, step), or torch's im2col."""
    axes, output = call.axes(call.first), outputs[0]
    if axes is None:
        return None
    if output.ndim == len(axes) + 1:
        dim = call.argument(1, "dimension") % len(axes)
        result = [ax.resized(old, n) for old, n in zip(axes, output.shape[:-1], strict=True)]
        last = ax.UNITS if ax.has(axes[dim], ax.UNITS) else ax.POSITIONS
        return (*result, ax.axis(last, output.shape[-1]))
    middle = [ax.axis(ax.POSITIONS, n) for n in output.shape[2:]]
    return (axes[0], ax.axis(ax.UNITS, output.shape[1]), *middle)


def _where(call: Call, outputs: Sequence[Tensor]) -> Answer:
    if isinstance(outputs[0], Tensor) and len(call.args) + len(call.kwargs) > 1:
        return None
    return [tuple(ax.axis(ax.POSITIONS, n) for n in each.shape) for each in outputs]


def _gather(call: Call, outputs: Sequence[Tensor]) -> Answer:
    axes = call.axes(call.first)
    if axes is None:
        return None
    return tuple(ax.resized(old, n) for old, n in zip(axes, outputs[0].shape, strict=True))


def _written(call: Call, outputs: Sequence[Tensor]) -> Answer:
    """Return the axes of a tensor after others were written into it."""
    target, output = call.args[0], outputs[0]
    if (axes := call.axes(target)) is not None:
        return axes
    parts = [t for t in _tensors(call)[1:] if call.axes(t) is not None]
    dim = call.argument(1, "dim") if call.kind != "setitem" else None
    result = [_guessed(call, k, n) for k, n in enumerate(output.shape)]
    for part in parts:
        axes = call.axes(part)
        if axes is None or part.ndim > output.ndim:
            continue
        for k in range(1, part.ndim + 1):
            if part.shape[-k] == output.shape[-k] and axes[-k]:
                result[-k] = axes[-k]
        if part.ndim == output.ndim and isinstance(dim, int) and ax.has(axes[dim], ax.UNITS):
            result[dim] = ax.axis(ax.UNITS, output.shape[dim])
    if isinstance(dim, int) and call.kind != "scatter":
        result[dim] = _guessed(call, dim % output.ndim, output.shape[dim])
    return tuple(result)


def _guessed(call: Call, k: int, size: int) -> ax.Axis:
    """Return what an axis of a new tensor holds: the first one inputs, if its length says so."""
    n = call.tags.n_inputs
    if k or not n or size % n:
        return ax.axis(ax.POSITIONS, size)
    rest = size // n
    role = ax.TOKENS if rest == call.tags.n_tokens else ax.POSITIONS
    return (ax.Factor(ax.INPUTS, n), *([ax.Factor(role, rest)] if rest > 1 else []))


def _packed(call: Call, outputs: Sequence[Tensor]) -> Answer:
    """Return the axes of packed sequences: a row for each token that is none of padding."""
    x, batch_first = call.args[0], bool(call.argument(2, "batch_first", False))
    axes, sizes = call.axes(x), outputs[1]
    if axes is None:
        return None
    inputs, tokens = (axes[0], axes[1]) if batch_first else (axes[1], axes[0])
    steps = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
    which = torch.cat([torch.arange(int(n)) for n in sizes])
    origin = ax.origins(inputs)[:, which] + ax.origins(tokens)[:, steps]
    rows = (ax.Factor(ax.ROWS, len(which), origin=origin, n_offered=len(which)),)
    return [(rows, *axes[2:]), (ax.axis(ax.POSITIONS, len(sizes)),)]


def _table() -> dict[str, Rule]:
    rules: dict[str, Rule] = {
        f"conv{t}{n}d{r}": _conv for t in ("", "transpose") for n in (1, 2, 3) for r in ("", "relu")
    }
    for rule, names in (
        (_conv, "convolution"),
        (_linear, "linear linearrelu bilinear"),
        (_normalised, "batchnorm layernorm groupnorm instancenorm rmsnorm localresponsenorm"),
        (_embedding, "embedding embeddingbag"),
        (_one_hot, "onehot"),
        (_recurrent, "rnnrelu rnntanh lstm gru"),
        (_cell, "rnnrelucell rnntanhcell lstmcell grucell"),
        (_attention, "scaleddotproductattention multiheadattentionforward"),
        (_matmul, "matmul rmatmul mm bmm addmm baddbmm addbmm mv dot sparsemm smm"),
        (_einsum, "einsum"),
        (
            _viewed,
            "view reshape flatten unflatten viewas reshapeas ravel squeeze unsqueeze"
            " unsafeview atleast2d atleast3d",
        ),
        (_permuted, "permute transpose movedim moveaxis swapaxes swapdims t adjoint T mT H mH"),
        (
            _reduced,
            "mean sum amax amin max min std var logsumexp norm vectornorm prod all any median"
            " argmax argmin nanmean nansum countnonzero quantile aminmax stdmean varmean"
            " cummax logcumsumexp kthvalue mode",
        ),
        (_indexed, "getitem"),
        (_selected, "select indexselect"),
        (_unbound, "unbind iter"),
        (_split, "chunk split tensorsplit splitwithsizes narrow"),
        (_joined, "cat concat concatenate stack"),
        (_repeated, "repeat tile repeatinterleave"),
        (_windows, "unfold fold"),
        (_where, "where nonzero"),
        (_gather, "gather takealongdim"),
        (
            _written,
            "setitem indexadd indexcopy indexput scatter scatteradd scatterreduce maskedscatter",
        ),
        (_packed, "packpaddedsequence"),
    ):
        rules.update(dict.fromkeys(names.split(), rule))
    return rules


_RULES = _table()
