"""Inference at a cost in proportion to the active units: each layer takes whichever of two ways is the faster one."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from neurosparse.kernels import layout
from neurosparse.rectifier.sparse_training import why_not

MOST_AT_ONCE = 64  # samples that pass through the network together
SMALL_BATCH = 4  # up to here weights are read for few samples, and leaving rows out pays at any density
DENSE_ABOVE = 0.35  # share of non-zero inputs of a layer above which torch's dense product is faster, in larger batches


class SparseNetwork:
    """A trained rectifier network for inference on one core: the weights that leave silent units are not read.

    Each layer counts its inputs that are not zero and is then a sum over their rows of weights, or a dense product in torch where
    most are not. The weights are copied: what becomes of `network` later changes nothing here. One object serves one thread.

    Parameters
    ----------
    network
        A `RectifierNetwork` on the CPU, or another `nn.Sequential` of Linear, ReLU, Linear, ... Linear.
    dense_above
        Share of non-zero inputs above which a layer is done in torch; by default as measured (1 for a few samples, else 0.35).

    Raises
    ------
    ValueError
        For another kind of network.

    Examples
    --------
    >>> from neurosparse.rectifier import NetworkSpec, RectifierNetwork
    >>> network = SparseNetwork(RectifierNetwork(NetworkSpec(sizes=(784, 64, 32, 10))))
    >>> network(np.zeros((5, 784))).shape, len(network.densities)
    ((5, 10), 3)
    """

    def __init__(self, network: nn.Module, *, dense_above: float | None = None) -> None:
        from neurosparse.kernels import sparse_forward

        if reason := why_not(network):
            raise ValueError(f"sparse inference cannot run this network: {reason}")
        if dense_above is not None and not 0 <= dense_above <= 1:
            raise ValueError(f"dense_above must lie in [0, 1], got {dense_above}")
        linears = [module for module in network.children() if isinstance(module, nn.Linear)]
        self._net = layout.net(
            [linear.weight.detach().numpy() for linear in linears], [linear.bias.detach().numpy() for linear in linears]
        )
        self._dense_above = dense_above
        self._run_layer = sparse_forward.run_layer
        width = layout.widest(self._net.sizes)
        self._units = np.zeros((MOST_AT_ONCE, width), np.int32)
        self._values = layout.aligned_zeros(MOST_AT_ONCE, width)
        self._n_listed = np.zeros(MOST_AT_ONCE, np.int64)
        self._sums = [layout.aligned_zeros(MOST_AT_ONCE, width) for _ in range(2)]
        self.densities: tuple[float, ...] = ()

    densities: tuple[float, ...]
    """Share of the inputs of each layer that was not zero in the last call, the images first."""

    def __call__(self, images: Any) -> NDArray[np.float32]:
        """The scores of images: array or tensor, shape (n, features), in; array of float32, shape (n, classes), out."""
        x = self._checked(images)
        scores = np.empty((len(x), int(self._net.sizes[-1])), np.float32)
        active = np.zeros(len(self._net.rows), np.int64)
        for first in range(0, len(x), MOST_AT_ONCE):
            part = slice(first, first + MOST_AT_ONCE)
            scores[part] = self._run(x[part], active)
        self.densities = tuple((active / (len(x) * self._net.sizes[:-1])).tolist())
        return scores

    def _run(self, x: NDArray[np.float32], active: NDArray[np.int64]) -> NDArray[np.float32]:
        """The scores of at most `MOST_AT_ONCE` images; adds to `active` the inputs of each layer that were not zero."""
        n, sizes = len(x), self._net.sizes
        dense_above = self._dense_above
        if dense_above is None:
            dense_above = 1.0 if n <= SMALL_BATCH else DENSE_ABOVE
        for k in range(len(active)):
            z = self._sums[k % 2]
            most = int(dense_above * n * sizes[k])
            n_active = self._run_layer(
                *(self._net, k, x, n, k > 0, most, self._units, self._values, self._n_listed, z),
            )
            if n_active > most:
                self._dense(k, x[:n, : sizes[k]], z[:n, : sizes[k + 1]])
            active[k] += n_active
            x = z
        return x[:n, : sizes[-1]]

    def _dense(self, k: int, x: NDArray[np.float32], z: NDArray[np.float32]) -> None:
        weight, bias, inputs = (torch.from_numpy(a) for a in (layout.view(self._net, k), layout.bias(self._net, k), x))
        z[:] = functional.linear(inputs.relu() if k else inputs, weight, bias).numpy()

    def _checked(self, images: Any) -> NDArray[np.float32]:
        x = images.detach().cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
        if x.ndim != 2 or x.shape[1] != self._net.sizes[0] or not len(x):
            raise ValueError(f"images must have shape (n, {self._net.sizes[0]}), n >= 1, got {x.shape}")
        if x.dtype.kind not in "iuf":
            raise TypeError(f"images must be numbers, got dtype {x.dtype}")
        return np.require(x, np.float32, ["C", "W", "A"])


def infer(network: nn.Module, images: Any) -> NDArray[np.float32]:
    """The scores of images, once: `SparseNetwork(network)(images)`; keep a `SparseNetwork` where there are more to come.

    Examples
    --------
    >>> from neurosparse.rectifier import NetworkSpec, RectifierNetwork
    >>> infer(RectifierNetwork(NetworkSpec(sizes=(4, 8, 2))), np.ones((3, 4))).shape
    (3, 2)
    """
    return SparseNetwork(network)(images)
