"""Other frameworks run a NIR file, or write one.

Run with the Python of their environment, by tests/test_convert_nir_peers.py.

    python benchmarks/nir_peers.py read norse net.nir inputs.npy steps spikes.npz
        the spikes of every layer of neurons, step by step
    python benchmarks/nir_peers.py write norse net.nir inputs.npy steps spikes.npz
        the same of a network of its own, which it writes
"""

import contextlib
import io
import sys
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import torch
from torch import nn

DT_S = 1e-4
TAU_S, SIZES = 8e-4, (16, 40, 30)


def reader(framework: str, path: str) -> tuple[nn.Module, type | tuple[type, ...]]:
    """Return a framework's module for a file, and the type of its neurons."""
    graph = nir.read(path)
    if framework == "norse":
        import norse.torch as norse
        from norse.torch.module.lif_box import LIFBoxCell

        return norse.from_nir(graph, dt=DT_S), LIFBoxCell
    if framework == "snntorch":
        import snntorch
        from snntorch.import_nir import import_from_nir

        return import_from_nir(graph), snntorch.Leaky
    from spikingjelly.activation_based.nir_exchange import from_nir

    return from_nir.import_from_nir(graph, dt=DT_S), from_nir._NIRStatefulModule


def writer(framework: str, path: str, example: torch.Tensor) -> None:
    """Write a network of a framework's own by that framework."""
    torch.manual_seed(1)
    maps = [nn.Linear(n_in, n_out) for n_in, n_out in pairwise(SIZES)]
    for linear in maps:
        linear.bias.data += 0.5
    if framework == "norse":
        import norse.torch as norse

        layers: list[nn.Module] = []
        for linear in maps:
            one = torch.ones(linear.out_features)  # nir cannot write scalars
            p = norse.LIFBoxParameters(tau_mem_inv=one / TAU_S, v_th=0.6 * one, v_leak=0 * one)
            layers += [linear, norse.LIFBoxCell(p, dt=DT_S)]
        # it writes dt / tau_mem_inv for the time constant: with dt = 1 that is the time constant
        nir.write(path, norse.to_nir(norse.SequentialState(*layers), example[0], dt=1.0))
    elif framework == "snntorch":
        import snntorch
        from snntorch.export_nir import export_to_nir

        layers = []
        for linear in maps:
            one = torch.ones(linear.out_features)
            layers += [
                linear,
                snntorch.Leaky(
                    (1 - DT_S / TAU_S) * one,
                    threshold=4.0 * one,
                    reset_mechanism="zero",
                    init_hidden=True,
                ),
            ]
        nir.write(path, export_to_nir(nn.Sequential(*layers), example[0]))
    elif framework == "spikingjelly" and example.ndim == 4:
        from spikingjelly.activation_based.nir_exchange.to_nir import export_to_nir

        export_to_nir(residual(), example, save_path=path, dt=DT_S)
    else:
        from spikingjelly.activation_based import layer, neuron
        from spikingjelly.activation_based.nir_exchange.to_nir import export_to_nir

        layers = []
        for linear in maps:
            own = layer.Linear(linear.in_features, linear.out_features)
            own.load_state_dict(linear.state_dict())
            layers += [own, neuron.LIFNode(tau=TAU_S / DT_S, v_threshold=0.6)]
        export_to_nir(nn.Sequential(*layers), example, save_path=path, dt=DT_S)


def residual() -> nn.Module:
    """Return SpikingJelly's residual network, for images of shape (2, 8, 8).

    It has convolutions, a branch that leads past one of them, and pooling.
    """
    from spikingjelly.activation_based import layer, neuron

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = (
                layer.Conv2d(2, 4, 3, padding=1),
                layer.Conv2d(4, 4, 3, padding=1),
            )
            self.pool, self.flat, self.third = (
                layer.AvgPool2d(4),
                layer.Flatten(),
                layer.Linear(16, 6),
            )
            self.a, self.b, self.c = (
                neuron.LIFNode(tau=TAU_S / DT_S, v_threshold=0.1) for _ in range(3)
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.a(self.first(x))
            x = self.b(self.second(x) + x)
            return self.c(self.third(self.flat(self.pool(x))))

    return Residual()


def spikes_of(
    module: nn.Module, neurons: Any, inputs: torch.Tensor, steps: int
) -> list[np.ndarray]:
    """Return the output of each layer of neurons, shape (steps, n, units)."""
    found: dict[str, list[np.ndarray]] = {}

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            value = output[0] if isinstance(output, tuple) else output
            found.setdefault(name, []).append(value.detach().numpy() > 0)

        return hook

    for name, part in module.named_modules():
        if isinstance(part, neurons):
            part.register_forward_hook(keep(name))
    state = None
    with torch.no_grad():
        for _ in range(steps):
            result = module(inputs, state)
            state = result[1] if isinstance(result, tuple) else None
    return [np.stack(spikes) for spikes in found.values()]


def main(what: str, framework: str, path: str, inputs: str, steps: str, out: str) -> None:
    """Write the file if asked to; run it, and save the spikes."""
    x = torch.from_numpy(np.load(inputs))
    with contextlib.redirect_stdout(io.StringIO()):  # snnTorch prints
        if what == "write":
            writer(framework, path, x[:1])
        module, neurons = reader(framework, path)
        spikes = spikes_of(module, neurons, x, int(steps))
    np.savez(out, *spikes)


if __name__ == "__main__":
    main(*sys.argv[1:])
