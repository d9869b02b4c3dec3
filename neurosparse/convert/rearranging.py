"""Calls that only move values, as layers: padding, upsampling, and transposed convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from neurosparse._internal.types import Fields, FieldsView
from neurosparse.convert.graph import Conv, Layer, Place, Shape, Upsample
from neurosparse.convert.refusals import RefusalError

PAD = ("pad", "mode", "value")
INTERPOLATE = ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor")
LINEAR = ("nearest", "nearest-exact", "linear", "bilinear")


def padded(here: Fields, before: Layer, options: FieldsView) -> Place:
    """Return the layer of a call of `pad`; `here` holds its name, inputs and shape."""
    if options.get("mode", "constant") != "constant" or options.get("value", 0):
        raise RefusalError("it pads with values other than 0", "pad with zeros")
    by_axis = list(
        reversed([tuple(options["pad"])[k : k + 2] for k in range(0, len(options["pad"]), 2)])
    )
    n_axes = len(before.shape) - 1
    if len(by_axis) > n_axes and any(map(any, by_axis[:-n_axes])):
        raise RefusalError("it pads channels or samples", "pad axes of pixels alone")
    begins = [int(begin) for begin, _ in by_axis[-n_axes:]]
    first = (0,) * (n_axes - len(begins)) + tuple(begins)
    return Place(**here, first=first, step=(1,) * n_axes)


def upsampled(here: Fields, options: FieldsView) -> Upsample:
    """Return the layer of a call of `interpolate`."""
    known = {key: value for key, value in options.items() if key in INTERPOLATE}
    if (mode := known.get("mode", "nearest")) not in LINEAR:
        raise RefusalError(f"it interpolates by mode={mode!r}", f"use one of {', '.join(LINEAR)}")
    return Upsample(**here, options=known)


def spread_and_convolved(
    name: str,
    module: nn.ConvTranspose1d | nn.ConvTranspose2d,
    before: Layer,
    shape: Shape,
    bias: Tensor,
) -> Sequence[Layer]:
    """Return a transposed convolution: pixels `stride` apart among zeros, then a convolution.

    Its kernel is the mirror image (Dumoulin & Visin 2016, arXiv 1603.07285, section 4).
    """
    kernel, dilation = module.weight.shape[2:], module.dilation
    padding: Any = module.padding
    first = tuple(d * (k - 1) - p for d, k, p in zip(dilation, kernel, padding, strict=True))
    size = tuple(n + d * (k - 1) for n, d, k in zip(shape[1:], dilation, kernel, strict=True))
    spread = Place(
        name=f"{name}.spread",
        inputs=(before.name,),
        shape=(before.shape[0], *size),
        first=first,
        step=tuple(module.stride),
    )
    groups = module.groups
    n_in, n_out, *rest = module.weight.shape
    weight = module.weight.detach().reshape(groups, n_in // groups, n_out, *rest).transpose(1, 2)
    mirrored = weight.flip(tuple(range(3, weight.ndim))).reshape(groups * n_out, -1, *rest)
    axes = len(rest)
    convolved = Conv(
        name=name,
        inputs=(spread.name,),
        shape=shape,
        weight=mirrored,
        bias=bias,
        stride=(1,) * axes,
        padding=(0,) * axes,
        dilation=tuple(dilation),
        groups=groups,
    )
    return [spread, convolved]
