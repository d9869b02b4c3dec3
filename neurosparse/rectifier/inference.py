"""Inference at a cost in proportion to the active units.

Each layer takes whichever of two ways is the faster one.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from neurosparse._internal import checks
from neurosparse._internal.units import plain
from neurosparse.kernels.network import layout
from neurosparse.probe.originals import check_module
from neurosparse.rectifier.sparse_training import why_not

MOST_AT_ONCE = 64  # samples that pass through the network together
# For up to so many samples, the share of non-zero inputs of a layer above which torch's dense
# product is faster (1,000 units, benchmarks/inference.py's machine): for a few of them weights are
# read once either way, and leaving rows out always pays.
DENSE_ABOVE = ((4, 1.0), (8, 0.7), (MOST_AT_ONCE, 0.45))


class SparseNetwork:
    """A trained rectifier network for inference on one core.

    The weights that leave silent units are not read.

    Each layer counts its inputs that are not zero and is then a sum over their rows of weights, or
    a dense product in torch where most are not. The weights are copied: what becomes of `network`
    later changes nothing here. One object serves one thread.

    Parameters
    ----------
    network
        A `RectifierNetwork` on the CPU, or another `nn.Sequential` of Linear, ReLU, Linear, ...
        Linear.
    dense_above
        Share of non-zero inputs above which a layer is done in torch; by default as measured
        (`DENSE_ABOVE`).

    Raises
    ------
    ValueError
        For another kind of network.
    TypeError
        Where an argument is of another kind.

    Examples
    --------
    >>> from neurosparse.rectifier import NetworkSpec, RectifierNetwork
    >>> network = SparseNetwork(RectifierNetwork(NetworkSpec(sizes=(784, 64, 32, 10))))
    >>> network(np.zeros((5, 784))).shape, len(network.densities)
    ((5, 10), 3)
    """

    def __init__(self, network: nn.Module, *, dense_above: float | None = None) -> None:
        from neurosparse.kernels.network import sparse_forward

        check_module(network, "network")
        if reason := why_not(network):
            raise ValueError(f"sparse inference cannot run this network: {reason}")
        if dense_above is not None:
            dense_above = checks.number("dense_above", dense_above)
            if not 0 <= dense_above <= 1:
                raise ValueError(f"dense_above must lie in [0, 1], got {dense_above:g}")
        linears = [module for module in network.children() if isinstance(module, nn.Linear)]
        self._net = layout.net(
            [linear.weight.detach().numpy() for linear in linears],
            [linear.bias.detach().numpy() for linear in linears],
        )
        self._run_layer = sparse_forward.run_layer
        sizes, width = self._net.sizes.tolist(), layout.widest(self._net.sizes)
        self._layers = [
            (layout.matrix(self._net, k), self._net.biases[k], n_in, int(self._net.columns[k]))
            for k, n_in in enumerate(sizes[:-1])
        ]
        self._n_classes = sizes[-1]
        # of the inputs of each layer that may not be zero for it to be sparse, by the number of
        # samples
        self._most = [
            [int(n * n_in * _limit(n, dense_above)) for n_in in sizes[:-1]]
            for n in range(MOST_AT_ONCE + 1)
        ]
        self._lists = (
            np.zeros((MOST_AT_ONCE, width), np.int32),
            layout.aligned_zeros(MOST_AT_ONCE, width),
            np.zeros(MOST_AT_ONCE, np.int64),
        )
        self._sums = [layout.aligned_zeros(MOST_AT_ONCE, width) for _ in range(2)]
        self._active, self._n = [0] * len(self._layers), 1

    @property
    def densities(self) -> tuple[float, ...]:
        """The share of each layer's inputs that was not zero in the last call, images first."""
        return tuple(
            n / (self._n * layer[2]) for n, layer in zip(self._active, self._layers, strict=True)
        )

    def __call__(self, images: object) -> NDArray[np.float32]:
        """Return the scores of images.

        Array or tensor, shape (n, features), in; array of float32, shape (n, classes), out.
        """
        x = self._checked(images)
        self._active, self._n = [0] * len(self._layers), len(x)
        if len(x) <= MOST_AT_ONCE:
            return self._run(x).copy()
        scores = np.empty((len(x), self._n_classes), np.float32)
        for first in range(0, len(x), MOST_AT_ONCE):
            part = slice(first, first + MOST_AT_ONCE)
            scores[part] = self._run(x[part])
        return scores

    def _run(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores of at most `MOST_AT_ONCE` images, a view until the next call."""
        n = len(x)
        for k, (layer, most) in enumerate(zip(self._layers, self._most[n], strict=True)):
            z = self._sums[k % 2]
            n_active = self._run_layer(*layer, x, n, k > 0, most, *self._lists, z)
            if n_active > most:
                self._dense(k, x[:n], z[:n])
            self._active[k] += n_active
            x = z
        return x[:n, : self._n_classes]

    def _dense(self, k: int, x: NDArray[np.float32], z: NDArray[np.float32]) -> None:
        """Compute layer k in torch, for inputs and sums with their padding."""
        n_in, n_out = self._net.sizes[k : k + 2]
        arrays = (x[:, :n_in], layout.view(self._net, k), layout.bias(self._net, k))
        inputs, weight, bias = (torch.from_numpy(array) for array in arrays)
        z[:, :n_out] = functional.linear(inputs.relu() if k else inputs, weight, bias).numpy()

    def _checked(self, images: object) -> NDArray[np.float32]:
        given = images.detach().cpu() if isinstance(images, Tensor) else plain("images", images)
        x = np.asarray(given)
        if x.ndim != 2 or x.shape[1] != self._layers[0][2] or not len(x):
            raise ValueError(
                f"images must have shape (n, {self._layers[0][2]}), n >= 1, got {x.shape}"
            )
        if x.dtype.kind not in "iuf":
            raise TypeError(f"images must be numbers, got dtype {x.dtype}")
        x = np.ascontiguousarray(x, np.float32)
        # the kernel is compiled for arrays that can be written to
        return x if x.flags.writeable else x.copy()


def _limit(n: int, dense_above: float | None) -> float:
    """Return the share of non-zero inputs above which a layer is dense, for n samples."""
    return (
        next(share for most, share in DENSE_ABOVE if n <= most)
        if dense_above is None
        else dense_above
    )


def infer(network: nn.Module, images: object) -> NDArray[np.float32]:
    """Return the scores of images, once: `SparseNetwork(network)(images)`.

    Keep a `SparseNetwork` where there are more to come.

    Examples
    --------
    >>> from neurosparse.rectifier import NetworkSpec, RectifierNetwork
    >>> infer(RectifierNetwork(NetworkSpec(sizes=(4, 8, 2))), np.ones((3, 4))).shape
    (3, 2)
    """
    return SparseNetwork(network)(images)
