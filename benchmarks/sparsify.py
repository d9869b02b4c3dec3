"""Reach and cost of `ns.sparsify`: 4 % active in every rectifier of four networks.

    python benchmarks/sparsify.py [--networks MLP ViT ...] [--seeds 3] [--steps 1500] [--out FILE]

Each network is trained twice from each seed, dense and steered, for as many steps. The rate of
learning is constant for half of them, then falls to 0 in a line. Printed are the least and the
largest share of active units among the steered layers and seeds, as `ns.measure` finds them in the
network when it is trained: for the training data, for which they are steered, and for held-out data.
Next to them is the share of dead units. The difference in error has its interval over seeds. Errors
are points on 1,000 test digits, or bits per character on the validation plays. A run that is done
is kept in FILE and not repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR
from trained_models import TASKS

import neurosparse as ns
from neurosparse._internal.whole_files import new_file
from neurosparse.sparsity.paired import mean

TARGET = 0.04
EXACT = ns.ActiveWhen(threshold=0)


def trained(name: str, seed: int, steps: int, steered: bool) -> dict[str, Any]:
    """Train a network from a seed; return its error and, where it was steered, its activity."""
    task = TASKS[name](seed)
    steering = (
        ns.sparsify(task.model, target=TARGET, steps=steps, start_active=0.1, revive=True)
        if steered
        else None
    )
    schedule = LambdaLR(task.optimizer, lambda step: min(1.0, 2 * (1 - step / steps)))
    for _ in range(steps):
        loss = task.loss()
        if steering is not None:
            loss = loss + steering.penalty()
        task.optimizer.zero_grad()
        loss.backward()
        task.optimizer.step()
        schedule.step()
        if steering is not None:
            steering.step()
    row: dict[str, Any] = {"error": task.error()}
    if steering is not None:
        steering.remove()
        row |= {"looks": list(steering.history[-10:])}
    task.model.eval()
    for part in ("trained_on", "held_out"):
        layers = ns.measure(task.model, getattr(task, part), active_when=EXACT)
        row[part] = {name: layer.active_fraction for name, layer in layers.items()}
        row[f"{part}, dead"] = {name: x.n_silent / x.n_units for name, x in layers.items()}
    return row


def table(runs: dict[str, Any], names: list[str], seeds: list[int], steps: int) -> str:
    """Return a line a network."""
    lines = [
        f"{'network':<15}{'active %, by layer':>20}{'held out':>14}{'dead %':>8}{'error':>8}"
        f"{'steered - dense':>24}"
    ]
    for name in names:
        dense = [runs[key(name, seed, steps, False)] for seed in seeds]
        sparse = [runs[key(name, seed, steps, True)] for seed in seeds]
        shares = [
            [100 * share for run in sparse for share in run[part].values()]
            for part in ("trained_on", "held_out")
        ]
        dead = max(100 * share for run in sparse for share in run["trained_on, dead"].values())
        scale = 1 if name == "GPT" else 100
        before = scale * sum(run["error"] for run in dense) / len(dense)
        cost = mean([s["error"] - d["error"] for s, d in zip(sparse, dense, strict=True)])
        found = f"{scale * cost.mean:+.2f}" + (
            f" ({scale * cost.low:+.2f} to {scale * cost.high:+.2f})" if len(seeds) > 1 else ""
        )
        spans = [f"{min(each):.1f} to {max(each):.1f}" for each in shares]
        lines.append(f"{name:<15}{spans[0]:>20}{spans[1]:>14}{dead:>8.1f}{before:>8.2f}{found:>24}")
    return "\n".join(lines)


def key(name: str, seed: int, steps: int, steered: bool) -> str:
    """Return the name of a run."""
    return f"{name}, seed {seed}, {steps} steps, {'4 %' if steered else 'dense'}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--out", type=Path, default=Path("results/bench/sparsify.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    runs = json.loads(options.out.read_text()) if options.out.exists() else {}
    seeds = list(range(1, options.seeds + 1))
    for seed in seeds:
        for name in options.networks:
            for steered in (False, True):
                run = key(name, seed, options.steps, steered)
                if run not in runs:
                    print(run, file=sys.stderr, flush=True)
                    runs[run] = trained(name, seed, options.steps, steered)
                    with new_file(options.out) as path:
                        path.write_text(json.dumps(runs, indent=1))
    print(table(runs, options.networks, seeds, options.steps))


if __name__ == "__main__":
    main()
