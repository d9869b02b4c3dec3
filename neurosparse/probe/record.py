"""What the layers of any torch module put out, recorded batch by batch while it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from neurosparse._internal import checks
from neurosparse._internal.units import plain
from neurosparse.activity import Activations, ActiveWhen
from neurosparse.data import ImageSet
from neurosparse.probe.nonlinear import NON_LINEARITIES, Consume, listening
from neurosparse.probe.tally import tally
from neurosparse.sparsity import Floats, observe


def record(
    model: nn.Module,
    data: Any,
    active_when: ActiveWhen,
    *,
    layers: Sequence[str] | None = None,
    batch_size: int = 500,
) -> dict[str, Activations]:
    """Record the activity of a model's layers on data; memory does not grow with the data.

    The model runs in evaluation mode without gradients and is left as it was: its parameters, the
    mode of each of its modules, its hooks. Each batch goes to the device of its parameters.

    Parameters
    ----------
    model
        Any torch module.
    data
        The inputs: a tensor, an array or an `ImageSet` with samples along axis 0, or a dict of such
        for a model that takes them by name (`input_ids`, ...); or an iterable of batches, each of
        that kind or an (inputs, targets) pair, such as a DataLoader.
    active_when
        A threshold, and the axis of the units; where it names none, 1 for what follows a
        convolution or a normalisation of channels and -1 for what follows a linear layer. Positions
        and tokens are then samples, padding among them.
    layers
        The names of the layers to record: modules of any kind, or functions by the names that they
        get here. By default every non-linearity of torch, called as a module or as a function, and
        every gated unit (see `nonlinear`).
    batch_size
        Samples at a time where `data` is no iterable of batches.

    Returns
    -------
    dict
        The record of each layer in the order of their calls: a module by its name, a function by
        that of the module which calls it and its own, "block.relu". One that is called k times a
        pass yields "name", "name#2", ... "name#k". Its `active_when` names the axis of its units.

    Raises
    ------
    ValueError, TypeError
        Where there is nothing to record, a layer does not exist or is not called, or an activation
        is NaN or infinite.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    >>> record(model, torch.zeros(3, 4), ActiveWhen(threshold=0))["1"].n_units
    8
    """
    records: dict[str, Activations] = {}

    def add(name: str, output: Tensor, axis: int) -> None:
        batch = tally(output, _with_axis(active_when, axis), name)
        records[name] = records[name] + batch if name in records else batch

    _run(model, data, layers, batch_size, add)
    return records


def record_whole(
    model: nn.Module,
    data: Any,
    active_when: ActiveWhen,
    *,
    name: str = "network",
    layers: Sequence[str] | None = None,
    batch_size: int = 500,
) -> Activations:
    """Record all layers of a model as one: the units of every layer side by side, as neurons of a
    circuit are.

    Parameters and errors are those of `record`, and each layer must put out (samples, units).

    Parameters
    ----------
    name
        The name of the record.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 5), nn.Tanh())
    >>> record_whole(model, torch.zeros(3, 4), ActiveWhen(threshold=0)).n_units
    13
    """
    total: list[Activations] = []
    outputs: list[Floats] = []

    def keep(layer: str, output: Tensor, axis: int) -> None:
        if output.ndim != 2 or _with_axis(active_when, axis).axis not in (-1, 1):
            raise ValueError(
                f"layer {layer!r} puts out shape {tuple(output.shape)} with units along axis"
                f" {_with_axis(active_when, axis).axis}: only layers of (samples, units) can stand"
                " side by side; record them one by one"
            )
        # a copy: what follows may work in place
        outputs.append(output.cpu().numpy().astype(np.float64))

    def add() -> None:
        batch = observe(np.concatenate(outputs, axis=1), active_when, name)
        outputs.clear()
        total[:] = [total[0] + batch] if total else [batch]

    _run(model, data, layers, batch_size, keep, add)
    return total[0]


def _with_axis(active_when: ActiveWhen, axis: int) -> ActiveWhen:
    return active_when if active_when.axis is not None else replace(active_when, axis=axis)


def _run(
    model: nn.Module,
    data: Any,
    layers: Sequence[str] | None,
    batch_size: int,
    consume: Consume,
    after_batch: Callable[[], None] = lambda: None,
) -> None:
    """Run the model on data; `consume` gets what each layer puts out, `after_batch` is called after
    each batch.
    """
    checks.whole("batch_size", batch_size)
    if layers is not None and (not layers or isinstance(layers, str)):
        raise ValueError(f"layers must be a sequence of at least one name, got {layers!r}")
    parameter = next(chain(model.parameters(), model.buffers()), torch.empty(0))
    ever: Counter[str] = Counter()
    n_batches = 0
    with _evaluating(model), listening(model, consume, layers) as fired:
        for batch in _batches(data, batch_size):
            fired.clear()
            inputs = _to_model(batch, parameter)
            model(**inputs) if isinstance(inputs, dict) else model(inputs)
            ever.update(fired)
            _check_fired(model, layers, ever)
            after_batch()
            n_batches += 1
    if n_batches == 0:
        raise ValueError("data is empty: nothing to measure")


def _check_fired(model: nn.Module, layers: Sequence[str] | None, fired: Counter[str]) -> None:
    """Refuse a pass in which a layer that was to be recorded did not fire: it has no activity,
    rather than none that is active.
    """
    modules = dict(model.named_modules())
    if layers is None:
        layers = [
            name for name, module in modules.items() if name and isinstance(module, NON_LINEARITIES)
        ]
        if not layers and not fired:
            raise ValueError(
                f"{type(model).__name__} called none of torch's non-linearities, as a module or as"
                " a function, so there is nothing to record; name modules to record with"
                " layers=(...)"
            )
    if silent := [name for name in layers if not fired[name]]:
        if silent[0] in modules:
            raise ValueError(
                f"layer {silent[0]!r} was not called in the forward pass, so it has no activity; "
                "name those to record with layers=(...)"
            )
        raise ValueError(
            f"no layer {silent[0]!r} in {type(model).__name__}; its modules are:"
            f" {', '.join(filter(None, modules))}"
        )


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; then each module's own mode again, for they may differ."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def _batches(data: Any, batch_size: int) -> Iterator[Any]:
    """`data` as batches of inputs."""
    if isinstance(data, ImageSet):
        data = data.images
    if isinstance(data, Mapping):
        lengths = {key: len(value) for key, value in data.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(
                f"the inputs in data must be of one length along axis 0, got {lengths or 'none'}"
            )
        for i in range(0, next(iter(lengths.values())), batch_size):
            yield {key: value[i : i + batch_size] for key, value in data.items()}
        return
    if isinstance(data, Tensor | np.ndarray):
        if data.ndim < 2:
            raise ValueError(
                "data must have samples along axis 0 and at least 2 axes, got shape"
                f" {tuple(data.shape)}"
            )
        yield from (data[i : i + batch_size] for i in range(0, len(data), batch_size))
        return
    if isinstance(data, Dataset):
        raise TypeError(
            "data is a torch Dataset, which yields single samples; wrap it: DataLoader(data,"
            " batch_size=...)"
        )
    if not isinstance(data, Iterable) or isinstance(data, str | bytes):
        raise TypeError(
            "data must be a tensor, an array, an ImageSet, a dict of them or an iterable of"
            f" batches, got {type(data).__name__}"
        )
    for batch in data:
        yield batch[0] if isinstance(batch, tuple | list) and len(batch) else batch


def _to_model(batch: Any, parameter: Tensor) -> Any:
    """A batch of inputs on the model's device, floats in the model's precision."""
    if isinstance(batch, Mapping):
        return {key: _to_model(value, parameter) for key, value in batch.items()}
    if not isinstance(batch, Tensor | np.ndarray):
        raise TypeError(
            "a batch must be a tensor, an array, a dict of them or an (inputs, targets) pair, got"
            f" {type(batch).__name__}"
        )
    if len(batch) == 0:
        raise ValueError(f"a batch is empty, shape {tuple(batch.shape)}: nothing to measure")
    # a copy: the array may be read-only
    tensor = batch if isinstance(batch, Tensor) else torch.tensor(plain("data", batch))
    dtype = (
        parameter.dtype
        if tensor.is_floating_point() and parameter.is_floating_point()
        else tensor.dtype
    )
    return tensor.to(parameter.device, dtype)
