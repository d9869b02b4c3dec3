"""Counts that one training pass adds to a look, by the keys of its layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from neurosparse.activity import ActiveWhen
from neurosparse.probe import axes as ax
from neurosparse.probe.flow import Key
from neurosparse.probe.known_pass import KnownLayer
from neurosparse.probe.nonlinear import LayerOutput
from neurosparse.probe.running import Running
from neurosparse.probe.telling import Listed
from neurosparse.probe.tensors import tensors_in
from neurosparse.probe.tokens import BatchTokens
from neurosparse.probe.unit_axes import samples_are_tokens


class PassCounts:
    """The counts of a pass that is under way; one that is broken off adds nothing.

    Attributes
    ----------
    counts
        By the keys of layers.
    heard
        The layers in their order, one entry a call.
    n_inputs
        How many inputs the pass has.
    notes
        Sentences on what is not counted.
    failure
        What went wrong while it was counted: the model is spared it.
    """

    def __init__(
        self, active_when: ActiveWhen, inputs: object = (), tokens: BatchTokens | None = None
    ) -> None:
        self.counts: dict[Key, Running] = {}
        self.heard: list[KnownLayer] = []
        self.notes: list[str] = []
        self.failure: Exception | None = None
        self._active_when, self._tokens = active_when, tokens
        self._n_given = next((len(t) for t in tensors_in(inputs) if t.ndim), 0)
        self._n_most = 0  # of the calls, where no tensors go in
        self._whole: dict[Key, Running] = {}  # of one token, until another of the layer comes
        self._unmasked: dict[str, None] = {}
        self._is_masked = False

    @property
    def has_mask(self) -> bool:
        return self._tokens is not None

    @property
    def n_inputs(self) -> int:
        return self._n_given or self._n_most

    def hear(self, layer: LayerOutput) -> None:
        """Count an output of which all is known that a monitor knows."""
        key, output, axis = layer.key, layer.output.detach(), layer.shown_axis
        if output.is_complex():
            self.notes.append(f"layer {layer.name!r} is not counted: it puts out complex numbers")
            return
        self.heard.append(KnownLayer.of(key, output, axis))
        if self._tokens is None or layer.axes is None:
            self.count(key, output, axis)
            return
        n_inputs = len(self._tokens.mask)
        if (are_tokens := samples_are_tokens(layer, n_inputs)) is not True:
            if are_tokens is None:
                self._unmasked[layer.name] = None
            self.count(key, output, axis)
            return
        with torch._C.DisableTorchFunction():
            rows, _ = ax.rows(output, layer.axes, self._tokens.mask, layer.place)
            if layer.place.token is not None and key not in self.counts:
                self._whole[key] = Running.of(output, self._active_when, axis)
            else:
                self._whole.pop(key, None)
                self._is_masked = True
            self._add(key, Running.of(rows, self._active_when, -1), n_inputs)

    def count(self, key: Key, output: Tensor, axis: int) -> None:
        """Count the output of a layer, units along an axis."""
        try:
            with torch._C.DisableTorchFunction():
                n_inputs = len(output) if output.ndim > 1 else 1
                self._add(key, Running.of(output, self._active_when, axis), n_inputs)
        except Exception as error:
            self.failure = error

    def count_list(self, key: Key, output: Listed, n_inputs: int) -> None:
        """Count the output of a rectifier that is a list."""
        self._add(key, Running.of_list(output, self._active_when), n_inputs)

    def leave_out(self, keys: Iterable[Key]) -> None:
        """Forget what turned out to be no layers."""
        gone = set(keys)
        self.heard = [layer for layer in self.heard if layer.key not in gone]
        for key in gone:
            self.counts.pop(key, None)
            self._whole.pop(key, None)

    def end(self) -> None:
        """End the pass: a layer that worked on one token alone, as the first, has no padding."""
        self.counts |= self._whole
        self._whole.clear()
        if self._unmasked and self._tokens is not None and not self._is_masked:
            self.notes += _on_padding(self._tokens, list(self._unmasked))

    def _add(self, key: Key, found: Running, n_inputs: int) -> None:
        self.counts[key] = self.counts[key] + found if key in self.counts else found
        self._n_most = max(self._n_most, n_inputs)


def _on_padding(tokens: BatchTokens, layers: Sequence[str]) -> list[str]:
    padded = [
        name
        for name, columns in tokens.columns.items()
        if not tokens.mask[:, columns.start : columns.stop].all()
    ]
    if not padded:
        return []
    return [
        f"padding is counted in {', '.join(layers)}: their samples are no tokens of"
        f" {' or '.join(padded)}, as far as is known"
    ]
