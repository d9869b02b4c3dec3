"""Training on the CPU at a cost in proportion to the active units.

The kernels of `kernels.network.sparse_sgd` on a `RectifierNetwork`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neurosparse._internal import checks
from neurosparse._internal.types import Array
from neurosparse._internal.units import plain
from neurosparse.kernels.network import layout
from neurosparse.rectifier.steps import Descent

# beyond it a step is bound by arithmetic, not by the traffic of weights, and torch is as fast
MOST_IN_A_BATCH = 64
# share of non-zero inputs from which the dense layout of the first layer is the faster one
DENSE_FROM = 0.3
LOOKED_AT = 1000  # images from which that share is taken


def why_not(
    network: nn.Module, *, batch_size: int = 1, device: str | torch.device = "cpu"
) -> str | None:
    """Return what keeps the sparse engine from training a network; None where it can.

    Examples
    --------
    >>> from neurosparse.rectifier import NetworkSpec, RectifierNetwork
    >>> why_not(RectifierNetwork(NetworkSpec(activation="tanh")))
    'hidden1 is Tanh, not ReLU'
    """
    if torch.device(device).type != "cpu":
        return f"the device is {device}, not cpu"
    modules = list(network.named_children())
    if type(network).forward is not nn.Sequential.forward or len(modules) % 2 == 0:
        return f"the {type(network).__name__} is not Linear, ReLU, ... Linear"
    for k, (name, module) in enumerate(modules):
        wanted = nn.ReLU if k % 2 else nn.Linear
        if type(module) is not wanted:
            return f"{name} is {type(module).__name__}, not {wanted.__name__}"
        if isinstance(module, nn.Linear) and module.bias is None:
            return f"{name} has no biases"
    if any(
        parameter.dtype != torch.float32 or parameter.device.type != "cpu"
        for parameter in network.parameters()
    ):
        return "the weights are not float32 on the CPU"
    if batch_size > MOST_IN_A_BATCH:
        return f"batch_size {batch_size} is above {MOST_IN_A_BATCH}"
    return None


class SparseEngine:
    """Exact SGD that does the work of the active units alone, on one core.

    Other threads go on meanwhile.

    Parameters
    ----------
    network
        Where the weights start; it is left as it is. A `RectifierNetwork`, or another
        `nn.Sequential` of Linear, ReLU, ... Linear.
    images : array or tensor of float32, shape (n, features)
        Kept, not copied, where it is contiguous and may be written to.
    labels : array or tensor of int, shape (n,)
        In [0, classes).
    batch_size
        Images a step.
    top_k
        The most units that may be active in each hidden layer; 0, or None for all layers, for any
        number. Of equal units the first stay.
    dense_input
        Whether most inputs are not zero; by default, looked up in the images.
    smoothing, dropout
        `TrainSpec.label_smoothing` and `TrainSpec.dropout`.

    Raises
    ------
    ValueError, TypeError
        For a network that the engine cannot train (`why_not`), and for images and labels that do
        not fit it.

    Examples
    --------
    >>> from neurosparse.rectifier import NetworkSpec, RectifierNetwork
    >>> network = RectifierNetwork(NetworkSpec(sizes=(4, 8, 2)))
    >>> engine = SparseEngine(network, torch.ones(3, 4), torch.tensor([0, 1, 1]), batch_size=2)
    >>> engine.descend(torch.arange(3), learning_rate=0.1, l1=[0.0]).loss / 3
    1.04...
    """

    name = "sparse"

    def __init__(
        self,
        network: nn.Module,
        images: object,
        labels: object,
        batch_size: int,
        *,
        top_k: Sequence[int] | None = None,
        dense_input: bool | None = None,
        smoothing: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        from neurosparse.kernels.network import minibatch, sparse_sgd

        checks.whole("batch_size", batch_size)
        if reason := why_not(network, batch_size=batch_size):
            raise ValueError(
                f"the sparse engine cannot train this network: {reason}; use the torch engine"
            )
        self._names = [
            name for name, module in network.named_children() if isinstance(module, nn.Linear)
        ]
        self._images = _contiguous("images", images, np.float32)
        self._labels = _contiguous("labels", labels, np.int64)
        linears = [module for module in network.children() if isinstance(module, nn.Linear)]
        self._check_images(linears[0].in_features, linears[-1].out_features)
        depth = len(linears) - 1
        self._top_k = _per_layer("top_k", [0] * depth if top_k is None else top_k, depth, np.int64)
        if dense_input is None:
            some = self._images[:LOOKED_AT]
            dense_input = bool(np.count_nonzero(some) > DENSE_FROM * some.size)
        self._net = layout.net(
            [linear.weight.detach().numpy() for linear in linears],
            [linear.bias.detach().numpy() for linear in linears],
            dense_input=dense_input,
        )
        self._batch_size = batch_size
        self._smoothing, self._dropout = _share("smoothing", smoothing), _share("dropout", dropout)
        self._work = minibatch.work_for(self._net, batch_size)
        self._run_steps = sparse_sgd.run_steps

    def descend(
        self, rows: object, *, learning_rate: float, l1: Sequence[float], draw: int = 0
    ) -> Descent:
        """Descend along the images of `rows`, a minibatch at a time.

        `l1` has a weight for each hidden layer. `draw` decides which units dropout leaves out.

        A step whose loss is not finite leaves the weights as they are.
        """
        rows = _contiguous("rows", rows, np.int64)
        if rows.ndim != 1 or (rows.size and not 0 <= rows.min() <= rows.max() < len(self._images)):
            raise ValueError(f"rows must be numbers of images, in [0, {len(self._images)})")
        n_active = np.zeros(len(self._top_k), np.int64)
        loss, broken = self._run_steps(
            self._net,
            self._work,
            self._images,
            self._labels,
            rows,
            self._batch_size,
            checks.positive("learning_rate", learning_rate),
            _per_layer("l1", l1, len(self._top_k), np.float32),
            self._top_k,
            n_active,
            self._smoothing,
            self._dropout,
            np.uint64(draw),
        )
        return Descent(loss, tuple(n_active.tolist()), None if broken < 0 else broken)

    def weights(self) -> dict[str, Tensor]:
        """Return the weights as they stand, by the names of `RectifierNetwork.state_dict`.

        Views, not copies.
        """
        found = {}
        for k, name in enumerate(self._names):
            found[f"{name}.weight"] = torch.from_numpy(layout.view(self._net, k))
            found[f"{name}.bias"] = torch.from_numpy(layout.bias(self._net, k))
        return found

    def _check_images(self, n_features: int, n_classes: int) -> None:
        images, labels = self._images, self._labels
        if images.ndim != 2 or images.shape[1] != n_features or not len(images):
            raise ValueError(
                f"images must have shape (n, {n_features}), n >= 1, got {images.shape}"
            )
        if labels.shape != images.shape[:1]:
            raise ValueError(
                f"labels must have shape ({len(images)},), one an image, got {labels.shape}"
            )
        checks.classes(labels, n_classes)
        checks.finite_array("images", images, dtype=np.float32)


def _contiguous(name: str, values: Any, dtype: Any) -> Array:
    """Return `values` as the one kind of array that the kernels are compiled for.

    Copied only where it is another kind.
    """
    given = values.detach().cpu() if isinstance(values, Tensor) else plain("values", values)
    array = np.asarray(given)
    if dtype is np.int64 and array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{name} must be integers, got dtype {array.dtype}")
    return np.require(array, dtype, ["C", "W", "A"])


def _share(name: str, value: float) -> float:
    if not 0 <= checks.number(name, value) < 1:
        raise ValueError(f"{name} must be a share in [0, 1), got {value}")
    return float(value)


def _per_layer(name: str, values: Sequence[float], n_layers: int, dtype: Any) -> Array:
    array = checks.finite_array(name, values, dtype=dtype)
    if array.shape != (n_layers,) or (array < 0).any():
        raise ValueError(
            f"{name} must be {n_layers} numbers >= 0, one for each hidden layer, got {list(values)}"
        )
    return np.require(array, dtype, ["C", "W", "A"])
