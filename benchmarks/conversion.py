"""Converting a network of 784-1000x3-10 and building it in Brian2.

Compared with building it as snn_toolbox does.

    python benchmarks/conversion.py [--pairs N]

Ours is `to_spiking`, calibration on 200 images included, and `to_brian2`. The other way is what
snn_toolbox's Brian2 target does (brian2_target_sim.py, build_dense). It makes all synapses of two
layers by `connect(True)`, then their weights as one flat array. The input layer is a Poisson group
there, so that it has one more layer of synapses. Its weights are taken as they are, as if
converting cost nothing. CPU seconds of the process, a layer, in turn.
"""

from __future__ import annotations

import argparse
import time

import torch
from pairs import in_turn, row, show

from neurosparse.convert import to_brian2, to_spiking
from neurosparse.rectifier import RectifierNetwork
from neurosparse.spiking.brian import running as engine

WEIGHTS = 4  # layers of weights


def ours(network: RectifierNetwork, images: torch.Tensor) -> float:
    """Return our CPU seconds a layer."""
    begin = time.process_time()
    to_brian2(to_spiking(network, images), images[:1])
    return (time.process_time() - begin) / WEIGHTS


def theirs(network: RectifierNetwork) -> float:
    """Return the CPU seconds a layer of snn_toolbox's way."""
    b2 = engine.brian2()
    begin = time.process_time()
    clock = b2.Clock(1 * b2.ms)
    layers = [b2.PoissonGroup(network.spec.sizes[0], rates=0 * b2.Hz, clock=clock)]
    connections = []
    for linear in network.linears():
        layers.append(
            b2.NeuronGroup(
                linear.out_features, "v : 1", threshold="v >= 1", reset="v = 0", clock=clock
            )
        )
        synapses = b2.Synapses(layers[-2], layers[-1], "w : 1", on_pre="v += w", clock=clock)
        synapses.connect(True)
        synapses.w = linear.weight.detach().numpy().T.flatten()
        connections.append(synapses)
    b2.Network(layers, connections)
    return (time.process_time() - begin) / WEIGHTS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int)
    options = parser.parse_args()
    torch.set_num_threads(1)
    engine.brian2().prefs.codegen.target = "numpy"
    engine.brian2().BrianLogger.suppress_hierarchy("brian2.core.base")  # that nothing was run
    network = RectifierNetwork(seed=1)
    images = torch.rand((200, network.spec.sizes[0]), generator=torch.Generator().manual_seed(1))
    ours(network, images), theirs(network)  # imports and code that is kept
    mine, peers = in_turn(lambda: ours(network, images), lambda: theirs(network), options.pairs)
    show(
        [row("conversion", "snn_toolbox's way in Brian2", "s CPU a layer", mine, peers, "< 0.2 s")]
    )


if __name__ == "__main__":
    main()
