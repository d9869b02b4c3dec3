"""The weights that made each tensor of a pass, by which the calls of one layer are told apart.

A rectifier may serve several layers, and how often it is called, and in which order, may differ
from pass to pass: experts, layers that are left out, sequences of any length. So a call is known by
the weights whose output went into it.
"""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Any, NamedTuple

from torch import Tensor, nn

from neurosparse.probe.flow import NORMS, WEIGHTED
from neurosparse.probe.tensors import tensors_in

Weights = frozenset[str]
NONE: Weights = frozenset()

# what data choose the parts of is the output of no weights that could be named beforehand
_MERGES = frozenset({"indexadd", "indexcopy", "indexput", "scatter", "scatteradd", "scatterreduce"})
# none of these puts out what is negative, as the probe finds them: clamps are at 0
RECTIFIERS = frozenset(
    {"relu", "relu6", "clamp", "clamp_min", "clip", "maximum", "max", "fmax", "rnn_relu"}
)
LAYERS = frozenset({"relu", "relu6", "rnn_relu"})  # their outputs are a new beginning
# these are rectifiers for some values of what they learn or draw alone
LEAKY = frozenset({"prelu", "leaky_relu", "rrelu"})


def name_of(function: object) -> str:
    """Return the name of a function of torch, in place or not."""
    return str(getattr(function, "__name__", "")).strip("_")


class Call(NamedTuple):
    """A call of a function, by its name, or of a module, ".name", with the output of some weights.

    `n` is the how-manyth such call of a pass it is; 0 stands for all of them.
    """

    what: str
    weights: Weights
    n: int = 0

    @property
    def every(self) -> Call:
        """All calls with the output of these weights."""
        return self._replace(n=0)


_WAYS: dict[str, str] = {}  # how functions hand on their sources


def _way_of(kind: str) -> str:
    plain = kind.replace("_", "")
    if plain in WEIGHTED:
        return "weighted"
    if plain in NORMS:
        return "norm"
    return "merge" if plain in _MERGES else "other"


class _Tag(NamedTuple):
    tensor: weakref.ref[Tensor]
    weights: Weights
    is_fixed: bool  # it is made of weights alone
    made_by: Call | None


class Sources:
    """The sources of the tensors of a pass.

    Attributes
    ----------
    unused : set of str
        The parameters that no function has taken so far.
    """

    def __init__(self, model: nn.Module) -> None:
        self._parameters = {
            id(p): _Tag(weakref.ref(p), frozenset({name}), True, None)
            for name, p in model.named_parameters()
        }
        self.unused = {name for name, _ in model.named_parameters()}
        self._tags: dict[int, _Tag] = {}
        self._n_calls: Counter[tuple[str, Weights]] = Counter()

    def n_calls(self, what: str) -> dict[Weights, int]:
        """Return how often something was called in the pass, by the weights."""
        return {weights: n for (name, weights), n in self._n_calls.items() if name == what}

    def begin(self) -> None:
        """Begin a pass."""
        self._tags.clear()
        self._n_calls.clear()

    def follow(self, kind: str, args: Any, kwargs: Any, output: Any) -> None:
        """Note what a function has put out; `kind` is its name (`name_of`)."""
        outputs = [output] if isinstance(output, Tensor) else tensors_in(output)
        if not outputs:
            return
        fixed, others = NONE, NONE
        is_fixed = True
        for tensor in tensors_in((args, kwargs.values()) if kwargs else args):
            tag = self._tag(tensor)
            if tag is not None and tag.is_fixed:
                fixed |= tag.weights
            else:
                is_fixed = False
                others |= NONE if tag is None else tag.weights
        way = _WAYS.get(kind) or _WAYS.setdefault(kind, _way_of(kind))
        if way == "weighted" or (way == "norm" and fixed):
            weights = fixed
        else:
            weights = NONE if way == "merge" else fixed | others
        call = self.numbered(kind, weights)
        weights = NONE if kind in LAYERS else weights
        for each in outputs:
            if id(each) not in self._parameters:
                is_own = is_fixed and bool(fixed)
                self._tags[id(each)] = _Tag(weakref.ref(each), weights, is_own, call)

    def numbered(self, what: str, weights: Weights) -> Call:
        """Return a further call with the output of these weights."""
        self._n_calls[what, weights] += 1
        return Call(what, weights, self._n_calls[what, weights])

    def call_of(self, tensor: Tensor) -> Call | None:
        """Return the call of a function that made a tensor, or what it is a view of."""
        tag = self._tag(tensor)
        return None if tag is None else tag.made_by

    def weights_of(self, tensor: Tensor) -> Weights:
        """Return the weights that made a tensor; of a layer's output those before the layer."""
        tag = self._tag(tensor)
        if tag is None:
            return NONE
        return tag.made_by.weights if tag.made_by is not None else tag.weights

    def same(self, tensor: Tensor, other: Tensor) -> None:
        """Note that a tensor takes the place of another."""
        if (tag := self._tag(other)) is not None:
            self._tags[id(tensor)] = tag._replace(tensor=weakref.ref(tensor))

    def _tag(self, tensor: Tensor) -> _Tag | None:
        tag = self._tags.get(id(tensor))
        if tag is not None and tag.tensor() is tensor:
            return tag
        tag = self._parameters.get(id(tensor))
        if tag is not None and tag.tensor() is tensor:
            self.unused -= tag.weights
            return tag
        base = tensor._base
        return None if base is None or base is tensor else self._tag(base)
