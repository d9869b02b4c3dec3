"""Compiling all kernels before they are needed: for images of containers, and for CI.

numba compiles a kernel when it is first called, for the types that it is called with. So each job
here calls kernels as the package does, on a few numbers.
"""

from __future__ import annotations

from collections.abc import Callable

from neurosparse.progress import Progress, quiet, with_compilation

TINY = 64  # neurons of each population of a circuit


def warm(progress: Progress = quiet) -> dict[str, int]:
    """Compile all kernels, or load what was compiled; they are kept for later processes.

    Parameters
    ----------
    progress
        Told about each kernel that is compiled.

    Returns
    -------
    dict
        How many kernels each job had to compile: none where all were kept.

    Examples
    --------
    >>> sum(warm().values())    # minutes for the first time  # doctest: +SKIP
    0
    """
    found: dict[str, int] = {}
    for k, (name, job) in enumerate(JOBS.items()):
        compiled: list[str] = []

        def tell(_: float, text: str, k: int = k, compiled: list[str] = compiled) -> None:
            compiled.append(text)
            progress(k / len(JOBS), text)

        with with_compilation(tell):
            job()
        found[name] = len(compiled)
        progress((k + 1) / len(JOBS), name)
    return found


def _circuits() -> None:
    from neurosparse.spiking import circuit as circuits
    from neurosparse.spiking.engines import kernel

    for name in ("brunel2000_ai", "potjans2014"):
        sizes = {
            f"populations.{population}.size": TINY for population in circuits.load(name).populations
        }
        small = circuits.resolve(circuits.load(name, **sizes))
        for n_threads in (1, 2):
            kernel.simulate(small, duration_ms=5.0, seed=1, n_threads=n_threads)


def _training() -> None:
    import numpy as np

    from neurosparse.rectifier import NetworkSpec, RectifierNetwork, SparseNetwork
    from neurosparse.rectifier.sparse_training import SparseEngine

    network = RectifierNetwork(NetworkSpec(sizes=(20, 30, 30, 5)), seed=0)
    rng = np.random.default_rng(0)
    for share in (0.1, 1.0):  # the first matrix is laid out otherwise for dense inputs
        images = (rng.random((40, 20)) * (rng.random((40, 20)) < share)).astype(np.float32)
        engine = SparseEngine(network, images, rng.integers(0, 5, 40), 10, top_k=[0, 0])
        engine.descend(np.arange(40), learning_rate=1e-3, l1=[0.0, 0.0])
        SparseNetwork(network)(images)


def _converted() -> None:
    import torch
    from torch import nn

    from neurosparse.convert import NeuronSpec, to_spiking

    x = torch.rand(4, 1, 8, 8)
    for n in (16, 32, 64):
        start = (nn.Conv2d(1, n, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(n, n, 2), nn.ReLU())
        model = nn.Sequential(*start, nn.Flatten(), nn.Linear(4 * n, 3))
        for neuron in (NeuronSpec(), NeuronSpec(t_ref_ms=1.0)):
            to_spiking(model, x, neuron).run(x, 4, engine="events", record_spikes=True)


def _blocks() -> None:
    import torch

    from neurosparse.sparsify import SparseFFN, screened
    from neurosparse.transformer import CharacterTransformer, TransformerSpec, generate

    for gated in (False, True):
        block = SparseFFN(16, 64, gated=gated, start_active=0.05)
        x = torch.randn(256, 16, requires_grad=True)
        block(x).sum().backward()
        with torch.no_grad():
            screened(block)(x[:1])
    network = CharacterTransformer(TransformerSpec(d_model=16, d_ff=32, layers=1))
    list(generate(network, [0, 1], 2))


def _measures() -> None:
    import torch
    from torch import nn

    from neurosparse.activity import ActiveWhen
    from neurosparse.probe.record import record

    for dtype in (torch.float32, torch.float64):
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.ReLU()).to(dtype)
        record(model, torch.rand(8, 1, 8, 8, dtype=dtype), active_when=ActiveWhen(threshold=0))


def _spikes() -> None:
    import numpy as np

    from neurosparse.kernels import spike_order

    times, ticks, units = np.array([2.0, 1.0]), np.array([2, 1]), np.array([0, 1])
    spike_order.by_tick(times, ticks, units)
    units.setflags(write=False)  # as columns of polars and Arrow are
    spike_order.by_tick(times, ticks, units)


JOBS: dict[str, Callable[[], None]] = {
    "circuits": _circuits,
    "sparse training": _training,
    "converted networks": _converted,
    "feed-forward blocks": _blocks,
    "measures": _measures,
    "spikes": _spikes,
}
