"""Rules for the layouts of torch's functions, by the kind of a call."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from neurosparse.probe import axes as ax
from neurosparse.probe.layout import indexing, products, shapes, weights
from neurosparse.probe.layout.calls import JOINS, Call, Rule, by_shape

_VIEWS = (
    "view reshape flatten unflatten viewas reshapeas ravel squeeze unsqueeze unsafeview atleast2d"
    " atleast3d"
)
_PERMUTATIONS = "permute transpose movedim moveaxis swapaxes swapdims t adjoint T mT H mH"
_CUTS = "chunk split tensorsplit splitwithsizes"
# they lay out elements anew, and lose none
KEEP_ELEMENTS = frozenset(f"{_VIEWS} {_PERMUTATIONS} {_CUTS}".split())


def axes_of_output(call: Call, outputs: Sequence[Tensor]) -> list[ax.Axes | None]:
    """Return the axes of each output of a call, None where they are not known."""
    rule = _RULES.get(call.kind)
    try:
        found = None if rule is None else rule(call, outputs)
    except (IndexError, StopIteration, TypeError, KeyError):
        found = None
    if found is not None:
        many: list[ax.Axes | None] = found if isinstance(found, list) else [found for _ in outputs]
        if all(
            axes is None or len(axes) == output.ndim
            for axes, output in zip(many, outputs, strict=True)
        ):
            return many
    return [by_shape(call, output) for output in outputs]


def _table() -> dict[str, Rule]:
    rules: dict[str, Rule] = {
        f"conv{t}{n}d{r}": weights.conv
        for t in ("", "transpose")
        for n in (1, 2, 3)
        for r in ("", "relu")
    }
    for rule, names in (
        (weights.conv, "convolution"),
        (weights.linear, "linear linearrelu bilinear"),
        (
            weights.normalised,
            "batchnorm layernorm groupnorm instancenorm rmsnorm localresponsenorm",
        ),
        (weights.embedding, "embedding embeddingbag"),
        (weights.one_hot, "onehot"),
        (weights.recurrent, "rnnrelu rnntanh lstm gru"),
        (weights.cell, "rnnrelucell rnntanhcell lstmcell grucell"),
        (weights.attention, "scaleddotproductattention multiheadattentionforward"),
        (products.matmul, "matmul rmatmul mm bmm addmm baddbmm addbmm mv dot sparsemm smm"),
        (products.einsum, "einsum"),
        (shapes.viewed, _VIEWS),
        (shapes.permuted, _PERMUTATIONS),
        (
            shapes.reduced,
            "mean sum amax amin max min std var logsumexp norm vectornorm prod all any median"
            " argmax argmin nanmean nansum countnonzero quantile aminmax stdmean varmean"
            " cummax logcumsumexp kthvalue mode",
        ),
        (indexing.indexed, "getitem"),
        (indexing.selected, "select indexselect"),
        (indexing.unbound, "unbind iter"),
        (indexing.split, f"{_CUTS} narrow"),
        (shapes.joined, " ".join(JOINS)),
        (shapes.padded, "pad"),
        (
            shapes.pooled,
            "avgpool1d avgpool2d avgpool3d maxpool1d maxpool2d maxpool3d"
            " maxpool1dwithindices maxpool2dwithindices maxpool3dwithindices",
        ),
        (shapes.repeated, "repeat tile repeatinterleave"),
        (shapes.windows, "unfold fold"),
        (indexing.where, "where nonzero"),
        (indexing.gather, "gather takealongdim"),
        (indexing.flipped, "flip fliplr flipud"),
        (indexing.rolled, "roll"),
        (indexing.ordered, "sort argsort msort"),
        (
            shapes.written,
            "setitem indexadd indexcopy indexput scatter scatteradd scatterreduce maskedscatter",
        ),
        (shapes.packed, "packpaddedsequence"),
        (shapes.unpacked, "padpackedsequence"),
    ):
        rules.update(dict.fromkeys(names.split(), rule))
    return rules


_RULES = _table()
