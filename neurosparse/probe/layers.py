"""The records of a model's layers while batches run through it.

They tell which input each sample is of, and which samples are padding.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from neurosparse.activity import Activations, ActiveWhen
from neurosparse.probe import axes as ax
from neurosparse.probe.inputs import Inputs
from neurosparse.probe.nonlinear import LayerOutput, Monitor
from neurosparse.probe.tally import Counted, Whole, counted
from neurosparse.probe.tokens import BatchTokens
from neurosparse.probe.unit_axes import inputs_are_told, samples_are_tokens


class LayerRecords:
    """The records of all layers, by the names under which they fired.

    What an input adds to a layer is summed over a pass before it is squared: tokens of one text,
    and the steps of a recurrent layer, are no independent samples.
    """

    def __init__(self, active_when: ActiveWhen) -> None:
        self.active_when = active_when
        self.total: dict[str, Activations] = {}
        # samples offered to each routed layer an input, or whose they are: see `offered`
        self.routed: dict[str, float | str] = {}
        self.offered: Counter[str] = Counter()  # tokens that count, by mask; "" without one
        self.n_seen = self.n_inputs = self.n_samples = 0
        self.tokens: BatchTokens | None = None
        self.masks: dict[str, bool] = {}  # of tokens, whether a layer puts these out
        self.unmasked: set[str] = set()  # layers of several samples an input, none a token
        self.of_pass: dict[str, Counted] = {}
        self.of_one_token: dict[str, LayerOutput] = {}  # until another of the layer comes
        self.empty: dict[str, tuple[int, ActiveWhen]] = {}

    def begin(self, inputs: Inputs, monitor: Monitor) -> None:
        """Start a batch."""
        self.n_inputs, self.n_samples = monitor.flow.n_inputs, monitor.flow.n_samples
        self.tokens = inputs.tokens
        if self.tokens is None:
            self.offered[""] += self.n_samples
            return
        mask = self.tokens.mask
        if len(mask) != self.n_inputs:
            raise ValueError(f"mask has {len(mask)} rows for a batch of {self.n_inputs} inputs")
        for name, columns in self.tokens.columns.items():
            part = mask[:, columns.start : columns.stop]
            self.offered[name] += int(part.sum())
            if not part.all():
                self.masks.setdefault(name, False)

    def add(self, layer: LayerOutput) -> None:
        """Add what a layer has put out.

        One that works on a token at a time leaves padding out. One that works on a single token,
        such as the first, has a sample an input.
        """
        name, token = layer.name, layer.place.token
        if self.tokens is None or token is None:
            self._add(layer)
        elif name not in self.of_one_token and name not in self.of_pass:
            self.of_one_token[name] = layer._replace(output=layer.output.detach().clone())
        else:
            if (first := self.of_one_token.pop(name, None)) is not None:
                self._add(first)
            self._add(layer)

    def _add(self, layer: LayerOutput) -> None:
        output, axis, axes = layer.output.detach(), layer.axis, layer.axes
        if torch._C._functorch.is_functorch_wrapped_tensor(output):
            raise ValueError(
                f"layer {layer.name!r} runs under torch.vmap, where it holds no numbers of its own:"
                " measure the modules of the ensemble one by one"
            )
        for factor in (f for each in axes or () for f in each):
            if factor.role == ax.ROWS and factor.n_offered:
                self.routed[layer.name] = self._offered_from(factor)
        when = replace(self.active_when, axis=-1 if axis is None else axis)
        if output.numel() == 0:
            n_units = output.shape[when.axis or -1] if output.ndim else 0
            if n_units and axis is not None:
                self.empty.setdefault(layer.name, (n_units, when))
                return
        output, laid_out, inputs = self._laid_out(layer, output, when)
        if not len(output):
            self.empty.setdefault(layer.name, (output.shape[-1], when))
            return
        found = counted(
            output, laid_out, layer.name, inputs=inputs, n_inputs=self.n_inputs, first=self.n_seen
        )
        found = found._replace(record=replace(found.record, active_when=when))
        before = self.of_pass.get(layer.name)
        if before is not None and len(before.counts) == len(found.counts):
            found = Counted(
                before.record + found.record,
                before.counts + found.counts,
                before.sizes + found.sizes,
            )
        elif before is not None:
            found = Counted(
                before.record + found.record,
                np.concatenate([before.counts, found.counts]),
                np.concatenate([before.sizes, found.sizes]),
            )
        self.of_pass[layer.name] = found

    def _offered_from(self, rows: ax.Factor) -> float | str:
        """Return from which tokens rows were chosen; how many these are is known at the end."""
        if self.tokens is None and rows.n_offered == self.n_samples:
            return ""
        numbers = torch.empty(0) if rows.origin is None else rows.origin[1]
        for name, columns in self.tokens.columns.items() if self.tokens else ():
            inside = (numbers >= columns.start) & (numbers < columns.stop)
            if rows.n_offered == self.n_inputs * len(columns) and inside.all():
                return name
        return rows.n_offered / self.n_inputs

    def _laid_out(
        self, layer: LayerOutput, output: Tensor, when: ActiveWhen
    ) -> tuple[Tensor, ActiveWhen, Whole | None]:
        """Return the output with inputs along axis 0, and the input of each row if need be."""
        axes, axis = layer.axes, layer.axis
        if axes is None or output.ndim != len(axes):
            return output, when, None
        units = ax.of_units(axes)
        rest = [k for k in range(len(axes)) if k not in units]
        in_order = [k for k in rest if _of_inputs_in_order(axes[k], self.n_inputs)]
        alone = [k for k in rest if ax.has(axes[k], ax.INPUTS) or ax.has(axes[k], ax.ROWS)]
        is_told = inputs_are_told(layer, self.n_inputs)
        mask = self._mask_of(layer, tuple(axes[k] for k in rest))
        if mask is None and axis is not None and alone == in_order == [0]:
            if len(axes[0]) == 1 or len(output) == self.n_inputs:
                return output, when, None
            if units == [output.ndim - 1]:
                return output.reshape(self.n_inputs, -1, output.shape[-1]), when, None
            if units == [1]:
                shape = (self.n_inputs, -1, *output.shape[1:])
                return (
                    output.reshape(shape).movedim(2, -1).flatten(1, -2),
                    replace(when, axis=-1),
                    None,
                )
        moved, origin = ax.rows(output, axes, mask, layer.place)
        shown = replace(when, axis=-1)
        if not is_told:  # nothing says which input a row is of
            return moved, shown, None
        return moved, shown, origin[0].numpy()

    def _mask_of(self, layer: LayerOutput, rest: ax.Axes) -> Tensor | None:
        """Return the mask that says which rows of an output count, and note that it was used."""
        if self.tokens is None:
            return None
        if (are_tokens := samples_are_tokens(layer, self.n_inputs)) is not True:
            if are_tokens is None:
                self.unmasked.add(layer.name)
            return None
        numbers = torch.tensor([layer.place.token or 0])
        for each in rest:
            numbers = (numbers[:, None] + ax.origins(each)[1].cpu()).unique()
        for name, columns in self.tokens.columns.items():
            if ((numbers >= columns.start) & (numbers < columns.stop)).any():
                self.masks[name] = True
        return self.tokens.mask

    def end(self) -> None:
        """End a batch: what each input has added becomes a run of its own."""
        for layer in self.of_one_token.values():
            self._add(layer._replace(place=layer.place._replace(token=None)))
        self.of_one_token.clear()
        for name, (record, counts, sizes) in self.of_pass.items():
            reached = sizes > 0
            runs = np.stack([reached, counts, sizes])[:, reached]
            record = replace(record, n_repeats=runs.shape[1], runs=runs)
            self.total[name] = self.total[name] + record if name in self.total else record
        self.of_pass.clear()
        self.n_seen += self.n_inputs

    def named(self, monitor: Monitor) -> dict[str, Activations]:
        """Return the records by names that depend on the model alone, not on the order of calls."""
        result = {}
        for name, (n_units, when) in self.empty.items():
            if name not in self.total:
                self.total[name] = none_of(name, n_units, when)
                self.routed[name] = next(iter(self.offered))
        for final, name in monitor.final_names().items():
            if name in self.total and name not in monitor.replaced:
                record = replace(self.total[name], name=final)
                if name in self.routed:
                    share = self.routed[name]
                    n_offered = (
                        self.offered[share]
                        if isinstance(share, str)
                        else round(share * self.n_seen)
                    )
                    if n_offered > record.n_samples or not record.n_samples:
                        record = replace(record, n_offered=n_offered)
                result[final] = record
        return result


def none_of(name: str, n_units: int, active_when: ActiveWhen) -> Activations:
    """Return the record of a layer that no sample reached."""
    zeros = np.zeros(n_units)
    return Activations(
        name=name,
        active_when=active_when,
        n_samples=0,
        active_count=zeros.astype(np.int64),
        magnitude_sum=zeros,
        square_sum=zeros,
        n_repeats=0,
        runs=np.zeros((3, 0), dtype=np.int64),
        population_sums=np.zeros(4),
        n_population=0,
        n_ranked=0,
        n_zero=0,
        sample_keys=np.zeros(0, dtype=np.uint64),
        sample=np.zeros((0, n_units)),
    )


def _of_inputs_in_order(an_axis: ax.Axis, n: int) -> bool:
    """Return whether an axis holds all inputs in their order, and positions of each inside."""
    return (
        bool(an_axis)
        and an_axis[0][:4] == (ax.INPUTS, n, 1, 0)
        and not any(f.role in (ax.INPUTS, ax.ROWS) for f in an_axis[1:])
    )
