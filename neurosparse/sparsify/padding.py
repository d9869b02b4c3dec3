"""Padded tokens: what is 0 in an attention mask among a model's inputs counts for nothing."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neurosparse._internal.types import FieldsView
from neurosparse.probe import axes as ax
from neurosparse.probe.tokens import Masks, inputs_by_name, masks_in
from neurosparse.probe.unit_axes import LayerOutput


class Tokens(NamedTuple):
    """Axes of a layer's output in which its tokens lie, and the mask that says which count.

    Attributes
    ----------
    mask
        The name of the input.
    factors
        Of each axis without the layer's units, slowest first: a role, and a size for what is
        neither inputs nor tokens.
    """

    mask: str
    factors: tuple[tuple[tuple[str, int], ...], ...]

    @classmethod
    def of(cls, axes: ax.Axes, axis: int, masks: Masks) -> Tokens | None:
        """Return where the tokens of an output lie; None where its rows are not all of a mask's.

        Parameters
        ----------
        axes
            What the axes of the output hold.
        axis
            The axis of its units.
        masks
            The masks of the batch that it was computed from.
        """
        units = axis % len(axes)
        rest = [each for k, each in enumerate(axes) if k != units]
        roles = [f.role for each in rest for f in each if f.role in (ax.INPUTS, ax.TOKENS, ax.ROWS)]
        if sorted(roles) != [ax.INPUTS, ax.TOKENS]:
            return None
        inputs = next(f for each in rest for f in each if f.role == ax.INPUTS)
        if inputs != ax.Factor(ax.INPUTS, inputs.size):  # in another order
            return None
        first = 0
        tokens = next(f for each in rest for f in each if f.role == ax.TOKENS)
        for name, mask in masks.items():
            if tokens == ax.Factor(ax.TOKENS, mask.shape[1], start=first):
                return cls(name, tuple(tuple((f.role, f.size) for f in each) for each in rest))
            first += mask.shape[1]
        return None

    def kept(self, masks: Masks, shape: Sequence[int]) -> Tensor:
        """Return which samples of an output count, in the shape of its axes without units.

        Parameters
        ----------
        masks
            Those of the batch.
        shape
            The lengths of the axes without units.

        Raises
        ------
        ValueError
            Where the batch has no mask of that name, or one of another shape.
        """
        mask = masks.get(self.mask)
        if mask is None:
            return torch.ones((), dtype=torch.bool).expand(*shape)
        sizes = {ax.INPUTS: mask.shape[0], ax.TOKENS: mask.shape[1]}
        in_order = [role for each in self.factors for role, _ in each if role in sizes]
        narrow: list[int] = []  # compiled code takes no list[int]()
        wide: list[list[int]] = []
        for each, n in zip(self.factors, shape, strict=True):
            own = any(role in sizes for role, _ in each)
            narrow += [sizes.get(role, 1) for role, _ in each] if own else [1]
            wide.append([sizes.get(role, size) for role, size in each] if own else [n])
        if [prod(each) for each in wide] != list(shape):
            raise ValueError(
                f"{self.mask} has shape {tuple(mask.shape)}, and a layer put out {tuple(shape)}"
                " samples: which of them are padding is not known"
            )
        rows = mask if in_order[0] == ax.INPUTS else mask.T
        return rows.reshape(narrow).expand([n for each in wide for n in each]).reshape(*shape)


class Padding:
    """Knowledge of padding while the layers are found, and of where there is none."""

    def __init__(self, masks: Masks) -> None:
        self._masks = masks
        self._rows: Counter[str] = Counter()  # of layers whose rows are not known, by name
        self._of_tokens: set[str] = set()
        self._of_positions: set[str] = set()
        self._is_known = False  # of any layer

    def tokens_of(self, layer: LayerOutput, axis: int) -> Tokens | None:
        """Return where the tokens of a layer's output lie, None where that is not known."""
        found = None if layer.axes is None else Tokens.of(layer.axes, axis, self._masks)
        if self._masks and found is None:
            self._rows[layer.name] += layer.output.numel() // max(1, layer.output.shape[axis])
            roles = [f.role for each in layer.axes or () for f in each if f.size > 1]
            if layer.axes is not None and ax.of_tokens(layer.axes):
                self._of_tokens.add(layer.name)
            elif ax.POSITIONS in roles:
                self._of_positions.add(layer.name)
        self._is_known |= found is not None
        return found

    def tell(self, names: Mapping[str, str]) -> None:
        """Warn once of layers in which padding may be counted, by the names that are shown.

        As many rows as there are words, of a batch with padding, are the words.
        """
        words = {int(mask.sum()) for mask in self._masks.values() if not mask.all()}
        tokens = {mask.numel() for mask in self._masks.values()}
        unknown = [
            shown
            for name, shown in names.items()
            if (n := self._rows[name]) and n not in words
            if name in self._of_tokens
            or n in tokens
            or (name in self._of_positions and not self._is_known)
        ]
        if unknown:
            warnings.warn(
                f"padded tokens may be counted in {', '.join(unknown)}: which of the rows there are"
                " padding is not known",
                stacklevel=4,
            )


def masks_of(
    model: nn.Module, args: Sequence[Any], kwargs: FieldsView, *, has_decoder: bool
) -> Masks:
    """Return the attention masks among what a model is called with, by name or by position."""
    return masks_in(inputs_by_name(model, args, kwargs), has_decoder=has_decoder)
