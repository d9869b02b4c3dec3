"""What the layers of any torch module put out, recorded batch by batch through forward hooks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.data import Dataset
from torch.utils.hooks import RemovableHandle

from neurosparse import checks
from neurosparse.activity import Activations, ActiveWhen
from neurosparse.data import ImageSet
from neurosparse.sparsity import Floats, observe

NON_LINEARITIES: tuple[type[nn.Module], ...] = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Softsign, nn.LogSigmoid, nn.Threshold, nn.GLU),
    *(nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Hardshrink, nn.Softshrink, nn.Tanhshrink),
)

_FUNCTIONS = frozenset(kind.__name__.lower() for kind in NON_LINEARITIES)  # their names, but for underscores


def record(
    model: nn.Module,
    data: Any,
    active_when: ActiveWhen,
    *,
    layers: Sequence[str] | None = None,
    batch_size: int = 500,
) -> dict[str, Activations]:
    """Record the activity of a model's layers on data; memory does not grow with the data.

    The model runs in evaluation mode without gradients and is left as it was: its parameters, the mode of each of its modules,
    its hooks. Each batch goes to the device of its parameters.

    Parameters
    ----------
    model
        Any torch module.
    data
        The inputs: a tensor, an array or an `ImageSet` with samples along axis 0; or an iterable of batches, each a tensor, an
        array or an (inputs, targets) pair, such as a DataLoader.
    active_when
        A threshold, and the axis of the units (1 for the channels of a convolution).
    layers
        The names of the modules to record, as in `model.named_modules()`. By default every module that is one of torch's
        non-linearities; a model that also calls one as a function, such as `torch.relu`, is then refused, for functions cannot
        be recorded and a layer would be missing.
    batch_size
        Samples at a time where `data` is one tensor, array or ImageSet.

    Returns
    -------
    dict
        The record of each layer, in the order of the modules. A module called k times a pass yields "name", "name#2", ... "name#k".

    Raises
    ------
    ValueError, TypeError
        Where there is nothing to record, a module does not exist or is not called, a non-linearity is called as a function, or an
        activation is NaN or infinite.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    >>> record(model, torch.zeros(3, 4), ActiveWhen(threshold=0))["1"].n_units
    8
    """
    records: dict[str, Activations] = {}

    def add(outputs: dict[str, Floats]) -> None:
        for name, output in outputs.items():
            batch = observe(output, active_when, name)
            records[name] = records[name] + batch if name in records else batch

    order = _run(model, data, layers, batch_size, add)
    return {key: records[key] for name in order for key in records if key == name or key.startswith(f"{name}#")}


def record_whole(
    model: nn.Module,
    data: Any,
    active_when: ActiveWhen,
    *,
    name: str = "network",
    layers: Sequence[str] | None = None,
    batch_size: int = 500,
) -> Activations:
    """Record all layers of a model as one: the units of every layer side by side, as neurons of a circuit are.

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

    def add(outputs: dict[str, Floats]) -> None:
        for layer, output in outputs.items():
            if output.ndim != 2 or active_when.axis not in (-1, 1):
                raise ValueError(
                    f"layer {layer!r} puts out shape {output.shape} with units along axis {active_when.axis}: only layers of "
                    "(samples, units) can stand side by side; record them one by one"
                )
        batch = observe(np.concatenate(list(outputs.values()), axis=1), active_when, name)
        total[:] = [total[0] + batch] if total else [batch]

    _run(model, data, layers, batch_size, add)
    return total[0]


def _run(
    model: nn.Module,
    data: Any,
    layers: Sequence[str] | None,
    batch_size: int,
    consume: Callable[[dict[str, Floats]], None],
) -> list[str]:
    """Run the model on data; `consume` gets what the layers put out for each batch. Returns the layers' names."""
    checks.whole("batch_size", batch_size)
    chosen = _chosen(model, layers)
    parameter = next(chain(model.parameters(), model.buffers()), torch.empty(0))
    outputs: dict[str, Floats] = {}
    calls: Counter[str] = Counter()

    def hook_of(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if not isinstance(output, Tensor):
                raise TypeError(f"layer {name!r} must put out one tensor to be recorded, got {type(output).__name__}")
            calls[name] += 1
            key = name if calls[name] == 1 else f"{name}#{calls[name]}"
            outputs[key] = output.detach().cpu().numpy().astype(np.float64)  # a copy: what follows may work in place

        return hook

    n_batches = 0
    with _evaluating(model), _hooked({module: hook_of(name) for name, module in chosen.items()}):
        for batch in _batches(data, batch_size):
            outputs.clear()
            calls.clear()
            with nullcontext() if layers is not None else _NoFunctions(model):
                model(_to_model(batch, parameter))
            if silent := [name for name in chosen if not calls[name]]:
                raise ValueError(
                    f"layer {silent[0]!r} was not called in the forward pass, so it has no activity; "
                    "name those to record with layers=(...)"
                )
            consume(outputs)
            n_batches += 1
    if n_batches == 0:
        raise ValueError("data is empty: nothing to measure")
    return list(chosen)


def _chosen(model: nn.Module, layers: Sequence[str] | None) -> dict[str, nn.Module]:
    modules = dict(model.named_modules())
    if layers is None:
        chosen = {name: module for name, module in modules.items() if isinstance(module, NON_LINEARITIES)}
        if not chosen:
            raise ValueError(
                f"{type(model).__name__} has no non-linearity modules to record: use modules such as nn.ReLU in place of functions "
                "such as torch.relu, or name the modules to record with layers=(...)"
            )
        return chosen
    if not layers or isinstance(layers, str):
        raise ValueError(f"layers must be a sequence of at least one module name, got {layers!r}")
    for name in layers:
        if name not in modules:
            raise ValueError(
                f"no module {name!r} in {type(model).__name__}; there are: {', '.join(filter(None, modules))}"
            )
    return {name: modules[name] for name in layers}


class _NoFunctions(TorchFunctionMode):
    """Refuses non-linearities that are called as functions outside of the modules that stand for them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.inside = 0
        self.handles: list[RemovableHandle] = []

    def _enter_module(self, *_: Any) -> None:
        self.inside += 1

    def _leave_module(self, *_: Any) -> None:
        self.inside -= 1

    def __enter__(self) -> Self:
        for module in self.model.modules():
            if isinstance(module, NON_LINEARITIES):
                self.handles.append(module.register_forward_pre_hook(self._enter_module))
                self.handles.append(module.register_forward_hook(self._leave_module))
        super().__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        for handle in self.handles:
            handle.remove()

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(function, "__name__", "").rstrip("_")
        if name.replace("_", "") in _FUNCTIONS and not self.inside:
            raise ValueError(
                f"{type(self.model).__name__} calls {name} as a function, which cannot be recorded: use a module such as nn.ReLU, "
                "or name the modules to record with layers=(...)"
            )
        return function(*args, **(kwargs or {}))


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


@contextmanager
def _hooked(hooks: dict[nn.Module, Callable[..., None]]) -> Iterator[None]:
    handles = []
    try:
        for module, hook in hooks.items():
            handles.append(module.register_forward_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _batches(data: Any, batch_size: int) -> Iterator[Any]:
    """`data` as batches of inputs."""
    if isinstance(data, ImageSet):
        data = data.images
    if isinstance(data, Tensor | np.ndarray):
        if data.ndim < 2:
            raise ValueError(f"data must have samples along axis 0 and at least 2 axes, got shape {tuple(data.shape)}")
        yield from (data[i : i + batch_size] for i in range(0, len(data), batch_size))
        return
    if isinstance(data, Dataset):
        raise TypeError(
            "data is a torch Dataset, which yields single samples; wrap it: DataLoader(data, batch_size=...)"
        )
    if not isinstance(data, Iterable) or isinstance(data, str | bytes | dict):
        raise TypeError(
            f"data must be a tensor, an array, an ImageSet or an iterable of batches, got {type(data).__name__}"
        )
    for batch in data:
        yield batch[0] if isinstance(batch, tuple | list) and len(batch) else batch


def _to_model(batch: Any, parameter: Tensor) -> Tensor:
    """A batch of inputs on the model's device, floats in the model's precision."""
    if not isinstance(batch, Tensor | np.ndarray):
        raise TypeError(f"a batch must be a tensor, an array or an (inputs, targets) pair, got {type(batch).__name__}")
    if len(batch) == 0:
        raise ValueError(f"a batch is empty, shape {tuple(batch.shape)}: nothing to measure")
    tensor = batch if isinstance(batch, Tensor) else torch.tensor(batch)  # a copy: the array may be read-only
    dtype = parameter.dtype if tensor.is_floating_point() and parameter.is_floating_point() else tensor.dtype
    return tensor.to(parameter.device, dtype)
