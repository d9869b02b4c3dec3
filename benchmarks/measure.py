"""Cost of measuring, compared with the forward pass alone; NeuroBench as peer.

The networks are torch's 12-layer transformer encoder, a ResNet-18, and language models of the shapes
of OPT-125M and of a small Llama, which NeuroBench is not asked about.

    python benchmarks/measure.py [--pairs 7]

CPU seconds of the process, one thread: the forward pass, then the same pass measured, in turn; the
factor between them is taken pair by pair. Ours counts per unit and per sample (active, zeros,
magnitudes, squares, four measures of sparseness, a sample for the effective dimension).
NeuroBench's hooks keep every layer's input and output and count what is not zero. Ours includes
hanging on and off its hooks. Without hooks torch's encoder takes its fast path, a fused layer
inside which no hook hears: what measuring costs compared with a pass that does without it too is
given apart.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from measured_models import LANGUAGE_MODELS, MODELS
from pairs import PEERS_PYTHON, ask_peer, row, show

import neurosparse as ns

PEER = """
import sys, time
import torch
sys.path.insert(0, sys.argv[1])
from measured_models import MODELS
from neurobench.hooks.neuron import NeuronHook
from neurobench.metrics.workload import ActivationSparsity
from neurobench.models import TorchModel

torch.set_num_threads(1)
net, batches = MODELS[sys.argv[2]]()
model, metric = TorchModel(net), ActivationSparsity()

def forward():
    for batch in batches:
        model(batch)

def measured():
    model.activation_hooks = [NeuronHook(found["layer"], found["layer_name"]) for found in model.activation_layers()]
    for batch in batches:
        metric(model, model(batch), (batch, None))
        model.reset_hooks()
    model.close_hooks()

def seconds(what):
    begin = time.process_time()
    what()
    return time.process_time() - begin

with torch.no_grad():
    forward(), measured()
    print("RESULT", *(1 / seconds(forward) * seconds(measured) for _ in range(int(sys.argv[3]))))
"""


def cpu_seconds(what: Callable[[], object]) -> float:
    """Return the CPU seconds of one call, of all threads of the process."""
    begin = time.process_time()
    what()
    return time.process_time() - begin


def factors(name: str, n: int) -> tuple[list[float], list[float]]:
    """Return the CPU time of a measured pass over that of the pass alone, n times.

    Also over that of a pass without torch's fast path. All are timed in turn.
    """
    model, batches = (MODELS | LANGUAGE_MODELS)[name]()

    def forward() -> None:
        with torch.no_grad():
            for batch in batches:
                model(batch)

    def unfused() -> None:
        torch.backends.mha.set_fastpath_enabled(False)
        forward()
        torch.backends.mha.set_fastpath_enabled(True)

    def measured() -> None:
        ns.measure(model, batches, active_when=ns.ActiveWhen(threshold=0))

    for each in (forward, unfused, measured):
        each()  # the kernel is compiled
    times = [[cpu_seconds(each) for each in (forward, unfused, measured)] for _ in range(n)]
    return [m / f for f, _, m in times], [m / u for _, u, m in times]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=7)
    n = parser.parse_args().pairs
    torch.set_num_threads(1)
    rows = []
    for name in MODELS | LANGUAGE_MODELS:
        ours, beside_unfused = factors(name, n)
        asked = name in MODELS and PEERS_PYTHON
        theirs = ask_peer(PEER, Path(__file__).parent, name, n) if asked else None
        rows.append(
            row(
                "measure_overhead",
                "NeuroBench 2.3" if name in MODELS else "-",
                f"CPU time over the pass's, {name}",
                ours,
                theirs,
                "<= 1.1",
            )
        )
        if name == "encoder":
            rows.append(
                row(
                    "measure_overhead",
                    "-",
                    "over the pass's, no fused layer",
                    beside_unfused,
                    None,
                    "<= 1.1",
                )
            )
    show(rows)


if __name__ == "__main__":
    main()
