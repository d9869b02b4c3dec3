"""Non-linearities: modules and functions by name, and rectifiers written by hand."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn

from neurosparse.probe.flow import Flow, Key, Tag
from neurosparse.probe.layout import Call
from neurosparse.probe.tensors import is_all_zero

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
GATE, TOP = "*gate", "*topk"

# names of torch's functions, without their underscores
_FUNCTIONS = frozenset(kind.__name__.lower() for kind in NON_LINEARITIES)
_CLAMPS = frozenset({"clamp", "clampmin", "clip"})  # at 0: rectifiers
_PRODUCTS = frozenset({"mul", "multiply", "rmul", "imul"})
_MAXIMA = frozenset({"maximum", "max", "fmax"})
# functions whose zeros are none of activity, or are those of what went in
KEEPS_ZEROS = frozenset(
    {
        *("softmax", "logsoftmax", "exp", "scaleddotproductattention", "embedding", "pad"),
        *(
            "onehot",
            "bernoulli",
            "tril",
            "triu",
            "setitem",
            "indexadd",
            "indexput",
            "indexcopy",
            "scatter",
        ),
        *("scatteradd", "maskedfill", "dropout", "getitem", "linear", "gather", "isnan", "sub"),
        *("size", "view", "reshape", "permute", "transpose", "to", "float", "T", "mT", "data"),
        *("multiheadattentionforward", "embeddingbag", "zeroslike", "rsub", "where"),
        *("padpackedsequence", "padpacked", "nantonum", "topk", "sort", "chunk", "split"),
    }
)
# functions in which a constant of zeros is a floor or ceiling, and no mask
HAVE_FLOORS = frozenset({"minimum", "fmin", "min", "clampmax", "lerp", "addcmul"})


class Rectifier(NamedTuple):
    """A function that acts as a non-linearity.

    Attributes
    ----------
    layer, suffix
        The layer whose output it works on, and what its own name adds to that one's.
    replaces
        The layer in whose place its output stands.
    before
        What was known of its input.
    """

    layer: Key | None = None
    suffix: str = ""
    replaces: Key | None = None
    before: Tag | None = None


def is_non_linearity(module: nn.Module) -> bool:
    """Return whether a module is one by its kind."""
    if isinstance(module, NON_LINEARITIES):
        return True
    if isinstance(module, nn.RNN | nn.RNNCell):
        return module.nonlinearity == "relu"
    if hasattr(module, "spike_balance"):  # of convert: it stands for spiking neurons
        return True
    kind = type(module)  # fused and quantised ones, such as LinearReLU
    return kind.__module__.startswith("torch.ao.nn") and kind.__name__.startswith(
        ("LinearReLU", "ConvReLU", "ReLU6", "BNReLU", "LinearLeakyReLU", "Hardswish", "Sigmoid")
    )


def makes_zeros(kind: str) -> bool:
    """Return whether a function makes zeros of what is small, as rounding does."""
    return kind in ("round", "floor", "trunc", "fix") or kind.startswith("fakequantize")


def rectifier_of(call: Call, flow: Flow) -> Rectifier | None:
    """Return what a call is as a non-linearity, None if it is none; before its output is tagged."""
    kind, args = call.kind, call.args
    if kind in _FUNCTIONS:
        return _of_first(call, flow)
    if kind in _CLAMPS:
        return _of_first(call, flow) if _is_zero(call.argument(1, "min")) else None
    if kind in _PRODUCTS and len(args) == 2:
        return _product(args[0], args[1], flow)
    if kind in _MAXIMA and len(args) == 2 and all(isinstance(a, Tensor) for a in args):
        x, floor = args if flow[args[0]].live else args[::-1]
        if flow[x].live and not flow[floor].live and _is_zero(floor):
            return Rectifier(before=flow[x])
        return None
    if kind == "where" and len(args) == 3:
        return _where(args[0], args[1], args[2], flow)
    if kind == "maskedfill" and len(args) == 3:
        x, mask, value = args
        return _masked(x, mask, flow) if _is_zero(value) else None
    if kind == "setitem":
        return _written(args[0], args[1], args[2], flow)
    if kind == "scatter":
        return _top(call, flow)
    return None


def _of_first(call: Call, flow: Flow) -> Rectifier:
    for tensor in call.tensors:
        if flow[tensor].live:
            return Rectifier(before=flow[tensor])
    return Rectifier()


def _product(a: object, b: object, flow: Flow) -> Rectifier | None:
    """Recognise a gated unit, or what a comparison leaves of x: x * (x > 0)."""
    if not (isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape == b.shape):
        return None
    for x, mask in ((a, b), (b, a)):
        if flow[mask].is_test and flow[x].live and not flow[x].is_test:
            return _masked(x, mask, flow)
    for x in (a, b):
        if (layer := flow[x].layer) is not None:
            return Rectifier(layer=layer, suffix=GATE)
    return None


def _masked(x: Any, mask: Any, flow: Flow) -> Rectifier | None:
    """Recognise what a comparison of units, or a selection of the largest, leaves of x."""
    if not isinstance(mask, Tensor) or mask.shape != x.shape or not flow[mask].is_test:
        return None
    tag = flow[x]
    if tag.layer is not None:
        return Rectifier(layer=tag.layer, suffix=GATE, replaces=tag.layer)
    return Rectifier(before=tag)


def _where(test: object, a: object, b: object, flow: Flow) -> Rectifier | None:
    for x, other in ((a, b), (b, a)):
        if isinstance(x, Tensor) and flow[x].live and _is_zero(other):
            return _masked(x, test, flow)
    return None


def _written(x: Tensor, index: object, value: object, flow: Flow) -> Rectifier | None:
    """Recognise x[x < 0] = 0, or the largest written into zeros."""
    if isinstance(index, Tensor) and flow[x].live and _is_zero(value):
        return _masked(x, index, flow)
    for each in index if isinstance(index, tuple) else (index,):
        picked = isinstance(each, Tensor) and flow[each].picked_from
        if picked and isinstance(value, Tensor) and flow[value].picked_from:
            return _selection(picked)
    return None


def _top(call: Call, flow: Flow) -> Rectifier | None:
    index, source = call.argument(2, "index"), call.argument(3, "src")
    if not (isinstance(index, Tensor) and isinstance(source, Tensor) and flow[source].live):
        return None
    picked = flow[index].picked_from
    return None if picked is False else _selection(picked)


def _selection(picked: Key | bool) -> Rectifier:
    if isinstance(picked, Key):
        return Rectifier(layer=picked, suffix=TOP, replaces=picked)
    return Rectifier()


def _is_zero(value: object) -> bool:
    if isinstance(value, Tensor):
        return is_all_zero(value)
    return value is not None and not isinstance(value, bool) and value == 0
