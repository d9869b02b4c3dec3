"""Outputs of any torch module's layers, recorded batch by batch while it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neurosparse._internal import checks
from neurosparse._internal.names import in_words
from neurosparse.activity import Activations, ActiveWhen
from neurosparse.activity.given import check_active_when
from neurosparse.probe import heard
from neurosparse.probe.inputs import Inputs, batches, inputs_of
from neurosparse.probe.layer_names import is_asked
from neurosparse.probe.layers import LayerRecords, none_of
from neurosparse.probe.nonlinear import NON_LINEARITIES, LayerOutput, Monitor, monitoring
from neurosparse.probe.originals import original, plain_name
from neurosparse.probe.tensors import tensors_in
from neurosparse.sparsity import Floats, observe

__all__ = ["NON_LINEARITIES", "ForwardError", "record", "record_whole"]


class ForwardError(ValueError, RuntimeError):
    """An error of the user's own model while it ran; the original one is its cause."""


def record(
    model: nn.Module,
    data: object,
    active_when: ActiveWhen,
    *,
    layers: Sequence[str] | None = None,
    batch_size: int | None = None,
    forward: Callable[[nn.Module, Any], Any] | None = None,
    mask: object = None,
    units_axis: int | Mapping[str, int] | None = None,
) -> dict[str, Activations]:
    """Record the activity of a model's layers on data; memory does not grow with the data.

    The model runs in evaluation mode without gradients and is left as it was: its parameters, the
    mode of each of its modules, its hooks. Each batch goes to the device of its parameters.

    Parameters
    ----------
    model
        Any torch module. A compiled one runs as it was written.
    data
        The inputs: a tensor, an array or an `ImageSet` with samples along axis 0, or a dict of such
        for a model that takes them by name (`input_ids`, ...). Or an iterable of batches, each of
        that kind or an (inputs, targets) pair, such as a DataLoader. Of a longer tuple the model
        gets as many entries as it needs, and a mask if it takes one.
    active_when
        A threshold, and the axis of the units. Where it names none, it is that of the channels or
        features of the layer with weights that each output came from, wherever it has moved since.
        Positions and tokens are then samples.
    layers
        The names of the layers to record: modules of any kind, or functions by the names that they
        get here. "name" is all layers of that name, "name#2" the second alone, "name#1" the first.
        By default every non-linearity of torch, called as a module or as a function, and every
        gated unit (see `nonlinear`).
    batch_size
        Samples at a time where `data` is no iterable of batches. By default 500, fewer of large
        ones.
    forward
        Runs the model on a batch, `forward(model, batch)`, where it is not called as above.
    mask : array of numbers, shape (n_samples, n_tokens)
        Tokens with 0 are padding and left out of every layer. For batches: an iterable of masks or
        a function of a batch. By default the `attention_mask` among the inputs; False: all tokens
        count. Tokens of a decoder beside an encoder have the `decoder_attention_mask`. Without one
        those whose label is -100 are padding, also where the model makes its inputs of `labels`.
    units_axis
        The axis of the units of layers, by name, where it cannot be known.

    Returns
    -------
    dict
        The record of each layer in the order of their calls: a module by its name, a function by
        that of the module which calls it and its own, "block.relu". One that is called with the
        outputs of k different weights yields "name", "name#2", ... "name#k". Its `active_when`
        names the axis of its units.

    Raises
    ------
    ValueError, TypeError
        Where there is nothing to record, a layer does not exist or is not called, a batch is not
        understood, the model fails, or an activation is NaN or infinite.

    Warns
    -----
    UserWarning
        Where outputs hold exact zeros and were not counted, or padding may have been counted: a
        layer's samples are not known to be tokens of the mask.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    >>> record(model, torch.zeros(3, 4), ActiveWhen(threshold=0))["1"].n_units
    8
    """
    check_active_when(active_when)
    records = LayerRecords(active_when)
    model = original(model)
    monitor = _run(
        model,
        batches(data, _checked(batch_size), mask if mask is not False else None),
        records.add,
        layers=layers,
        forward=forward,
        mask=mask,
        units_axis=units_axis if active_when.axis is None else active_when.axis,
        before_batch=records.begin,
        after_batch=records.end,
    )
    if mask is not None and mask is not False and not any(records.masks.values()):
        n_tokens = 0 if records.tokens is None else records.tokens.mask.shape[1]
        raise ValueError(
            f"mask has {n_tokens:,} tokens a sample, and of no layer is it known which of its rows"
            " are these tokens: leave it out, or give one whose columns are the tokens of the"
            " inputs"
        )
    if mask is None and records.tokens is None:
        heard.tell_masks_of_call(monitor.masks)
    heard.tell_padding(records.masks, records.unmasked)
    named = records.named(monitor)
    result = {name: found for name, found in named.items() if is_asked(name, layers)}
    if layers is None:
        modules = {plain_name(name): module for name, module in model.named_modules()}
        for name, module in modules.items():
            reached = {known: 1 for known, found in result.items() if found.n_samples}
            if isinstance(module, NON_LINEARITIES) and name not in result:
                other = heard.sibling_of(name, modules, reached)
                if other is not None and name not in monitor.replaced:
                    like = result[other]
                    result[name] = none_of(name, like.n_units, like.active_when)
    return result


def record_whole(
    model: nn.Module,
    data: object,
    active_when: ActiveWhen,
    *,
    name: str = "network",
    layers: Sequence[str] | None = None,
    batch_size: int | None = None,
) -> Activations:
    """Record all layers of a model as one.

    The units of every layer stand side by side, as neurons of a circuit do.

    Parameters and errors are those of `record`, and each layer must put out (samples, units).

    Parameters
    ----------
    model
        The model, as in `record`.
    data
        The inputs, as in `record`.
    active_when
        The definition of "active", with a threshold.
    name
        The name of the record.
    layers
        The layers to record, as in `record`.
    batch_size
        Samples at a time, as in `record`.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 5), nn.Tanh())
    >>> record_whole(model, torch.zeros(3, 4), ActiveWhen(threshold=0)).n_units
    13
    """
    check_active_when(active_when)
    total: list[Activations] = []
    outputs: list[Floats] = []

    def keep(layer: LayerOutput) -> None:
        if not is_asked(layer.name, layers):
            return
        axis = layer.axis if active_when.axis is None else active_when.axis
        if layer.output.ndim != 2 or axis not in (-1, 1):
            raise ValueError(
                f"layer {layer.name!r} puts out shape {tuple(layer.output.shape)} with units along"
                f" axis {axis}: only layers of (samples, units) can stand side by side; record them"
                " one by one"
            )
        # a copy: what follows may work in place
        outputs.append(layer.output.detach().cpu().numpy().astype(np.float64))

    def add() -> None:
        when = replace(active_when, axis=-1) if active_when.axis is None else active_when
        batch = observe(np.concatenate(outputs, axis=1), when, name)
        outputs.clear()
        total[:] = [total[0] + batch] if total else [batch]

    _run(
        original(model),
        batches(data, _checked(batch_size)),
        keep,
        layers=layers,
        units_axis=active_when.axis,
        after_batch=add,
    )
    return total[0]


def _checked(batch_size: int | None) -> int | None:
    if batch_size is not None:
        checks.whole("batch_size", batch_size)
    return batch_size


def _run(
    model: nn.Module,
    data: Iterator[tuple[Any, Any]],
    consume: Callable[[LayerOutput], None],
    *,
    layers: Sequence[str] | None,
    forward: Callable[[nn.Module, Any], Any] | None = None,
    mask: object = None,
    units_axis: int | Mapping[str, int] | None = None,
    before_batch: Callable[[Inputs, Monitor], None] = lambda _inputs, _monitor: None,
    after_batch: Callable[[], None] = lambda: None,
) -> Monitor:
    """Run the model on data.

    `consume` gets what each layer puts out, and `after_batch` is called after each batch.
    """
    if layers is not None and (
        not layers or isinstance(layers, str) or not all(isinstance(n, str) for n in layers)
    ):
        raise ValueError(f"layers must be a sequence of at least one name, got {layers!r}")
    for axis in units_axis.values() if isinstance(units_axis, Mapping) else (units_axis,):
        if axis is not None:
            checks.whole("units_axis", axis, least=-64)
    likes = _likes(model)
    ever: Counter[str] = Counter()
    own: list[BaseException] = []

    def consume_or_note(layer: LayerOutput) -> None:
        try:
            consume(layer)
        except Exception as error:
            own.append(error)
            raise

    def runs_on(batch: Any) -> bool:
        if not on_trial:
            on_trial.append(_runs(lambda: model(batch), monitor))
        return on_trial[0]

    def runs(inputs: Inputs) -> bool:
        if not any(t.is_floating_point() for t in tensors_in((inputs.args, inputs.kwargs))):
            return True
        return _runs(lambda: _forward(model, inputs, forward), monitor)

    n_batches, on_trial = 0, list[bool]()
    with _evaluating(model), monitoring(model, consume_or_note, layers, units_axis) as monitor:
        for batch, its_mask in _unmonitored(data):
            with torch._C.DisableTorchFunction():
                its_mask = False if mask is False else its_mask
                read = partial(inputs_of, model, batch, its_mask, forward=forward, runs_on=runs_on)
                if len(likes) > 1:
                    likes = [next((like for like in likes if runs(read(like))), likes[-1])]
                inputs = read(likes[0])
                monitor.begin((inputs.args, inputs.kwargs), inputs.tokens)
                before_batch(inputs, monitor)
            _call(model, inputs, forward, monitor, own)
            monitor.looks_for_zeros = False
            ever.update(monitor.fired)
            with torch._C.DisableTorchFunction():
                after_batch()
            n_batches += 1
    if n_batches == 0:
        raise ValueError("data is empty: nothing to measure")
    heard.check(model, layers, ever, monitor)
    for name in units_axis if isinstance(units_axis, Mapping) else ():
        if name not in ever:
            raise ValueError(
                f"units_axis names layer {name!r}, which was not heard; there are {', '.join(ever)}"
            )
    heard.tell_zeros(monitor)
    return monitor


def _unmonitored(data: Iterator[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """Yield batches, which are made while no function is followed."""
    while True:
        with torch._C.DisableTorchFunction():
            try:
                batch = next(data)
            except StopIteration:
                return
        yield batch


def _call(
    model: nn.Module,
    inputs: Inputs,
    forward: Callable[[nn.Module, Any], Any] | None,
    monitor: Monitor,
    own: list[BaseException],
) -> None:
    """Run the model once; its errors become one sentence, with the error itself as the cause."""
    try:
        _forward(model, inputs, forward)
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        if error in own or error in monitor.errors:
            raise
        shapes = ", ".join(
            f"{name}{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
            for name, value in _named(inputs)
            if isinstance(value, Tensor)
        )
        raise ForwardError(
            f"{type(model).__name__} failed on a batch of {shapes or 'its inputs'}:"
            f" {in_words(error)}"
        ) from error


def _likes(model: nn.Module) -> list[Tensor]:
    """Return tensors on the device of a model, in the precisions that its inputs may have.

    That is the one of its parameters. Where they have several, inputs may have their own, of which
    a tensor of whole numbers says nothing, or one of those, the first at last.
    """
    first = next(chain(model.parameters(), model.buffers()), torch.empty(0))
    kinds = dict.fromkeys(p.dtype for p in model.parameters() if p.is_floating_point())
    if len(kinds) < 2:
        return [first]
    others = [torch.empty(0, dtype=kind, device=first.device) for kind in kinds]
    return [torch.empty(0, dtype=torch.int8, device=first.device), *others[1:], first]


def _forward(
    model: nn.Module, inputs: Inputs, forward: Callable[[nn.Module, Any], Any] | None
) -> object:
    if forward is not None:
        return forward(model, *inputs.args)
    return model(*inputs.args, **inputs.kwargs)


def _runs(call: Callable[[], object], monitor: Monitor) -> bool:
    """Return whether a model takes a batch: it runs, and nobody listens."""
    monitor.is_paused = True
    try:
        with torch.random.fork_rng():
            call()
    except Exception:
        return False
    finally:
        monitor.is_paused = False
    return True


def _named(inputs: Inputs) -> Iterator[tuple[str, Any]]:
    for each in inputs.args:
        yield from (("", t) for t in (each if isinstance(each, list | tuple) else (each,)))
    yield from ((f"{name} ", value) for name, value in inputs.kwargs.items())


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Set evaluation mode without gradients in this block.

    Each module's own mode is set again afterwards, for they may differ.
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        try:
            model.eval()
        except NotImplementedError:  # an exported program has the mode that it was exported in
            for module, _ in modes:
                module.training = False
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training
