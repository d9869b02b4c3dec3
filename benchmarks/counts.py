"""Count the activity of other people's architectures plainly, and compare with `measure`.

    python benchmarks/counts.py                            # all, and a table of them
    python benchmarks/counts.py --of transformers --only Llama T5

Each architecture is built with random weights and runs on the same inputs in three batch sizes. A
hook on each activation module, or the model's own word by hand, counts what it puts out; `measure`
must say the same for each of them, number for number, whatever the batch size.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor, nn

import neurosparse as ns
from neurosparse.probe.nonlinear import NON_LINEARITIES

THRESHOLD = 0.125  # the same number in any precision
SIZES = (8, 3, 1)  # of batches
OF = ("timm", "transformers", "by_hand")
FUNCTIONS = ("relu", "silu", "gelu", "softplus")
# a linear layer that takes gated units, and those beside it that make the other factor
GATED = {"down_proj": ("gate_proj", "gate_up_proj"), "wo": ("wi_1",)}
# they make a table of biases for every pair of positions, which no input changes
OF_WEIGHTS = ("position_bias_mlp", "cpb_mlp", "rel_pos.mlp")
Counts = dict[str, tuple[int, int]]  # active outputs and all outputs, of each layer


class Case(NamedTuple):
    """An architecture on inputs, and a plain count of it by the size of a batch."""

    model: nn.Module
    data: Tensor | Mapping[str, Tensor]
    plain: Callable[[int], Counts]


def by_hooks(
    model: nn.Module, batches: Iterable[Any], own: tuple[type[nn.Module], ...] = ()
) -> Counts:
    """Return what activations put out, as modules or functions, and what gated units do.

    Parameters
    ----------
    model
        Any module.
    batches
        Tensors, or inputs by name.
    own
        Kinds of activation modules beyond those of torch.
    """
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    modules = dict(model.named_modules())
    activations = {n for n, m in modules.items() if isinstance(m, (*NON_LINEARITIES, *own))}
    inside: list[str] = []

    def count(name: str, values: Tensor) -> None:
        if any(each in name for each in OF_WEIGHTS):
            return
        found[name][0] += int((values.abs() > THRESHOLD).sum())
        found[name][1] += values.numel()

    def enter(name: str, _module: nn.Module, args: Any) -> None:
        inside.append(name)
        if (gate := _gate(name, modules, activations)) is not None:
            count(gate, args[0])

    def leave(name: str, _module: nn.Module, _args: object, output: Any) -> None:
        inside.pop()
        if name in activations:
            count(name, output)

    def called(function: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        output = function(*args, **kwargs)
        if inside[-1] not in activations:
            count(f"{inside[-1]}.{function.__name__}".lstrip("."), output)
        return output

    with ExitStack() as stack, torch.no_grad():
        for name, module in modules.items():
            for handle in (
                module.register_forward_pre_hook(partial(enter, name)),
                module.register_forward_hook(partial(leave, name)),
            ):
                stack.callback(handle.remove)
        for name in FUNCTIONS:
            function = getattr(nn.functional, name)
            stack.enter_context(patch.object(nn.functional, name, partial(called, function)))
        for batch in batches:
            model(**batch) if isinstance(batch, Mapping) else model(batch)
    return {name: (active, total) for name, (active, total) in found.items()}


def _gate(name: str, modules: Mapping[str, nn.Module], activations: Iterable[str]) -> str | None:
    """Return the name of the gated units that are the input of a linear layer, if they are."""
    parent, _, own = name.rpartition(".")
    if not any(f"{parent}.{up}" in modules for up in GATED.get(own, ())):
        return None
    return next((f"{each}*gate" for each in activations if each.rpartition(".")[0] == parent), None)


def by_measure(case: Case, size: int) -> Counts:
    """Return the same from `measure`, added up over calls with the outputs of other weights."""
    found: Counts = {}
    when = ns.ActiveWhen(threshold=THRESHOLD)
    for name, s in ns.measure(case.model, case.data, active_when=when, batch_size=size).items():
        n = s.n_units * s.n_samples
        active, total = found.get(base := name.partition("#")[0], (0, 0))
        found[base] = (active + (round(s.active_fraction * n) if n else 0), total + n)
    return found


class Compared(NamedTuple):
    """The layers compared, those that `measure` has beyond them, and what differs, in words."""

    n_layers: int
    n_beyond: int
    wrong: list[str]


def compare(case: Case) -> Compared:
    """Compare a case in batches of all sizes."""
    wrong, n_layers, n_beyond = [], 0, 0
    for size in SIZES:
        right, got = case.plain(size), by_measure(case, size)
        n_layers, n_beyond = len(right), len(got.keys() - right.keys())
        for name, counts in right.items():
            if got.get(name) != counts:
                wrong.append(f"{name} in batches of {size}: {counts}, measured {got.get(name)}")
    return Compared(n_layers, n_beyond, wrong)


def compare_all(of: str, only: Sequence[str]) -> tuple[str, bool]:
    """Compare the architectures of a kind; return a row of the table, and whether all are equal."""
    kind = importlib.import_module(f"counts_{of}")
    n_equal, n_layers, absent, differ = 0, 0, [], []
    print(f"{of:36} layers beyond  batches of {SIZES}")
    for name in [name for name in kind.NAMES if not only or name in only]:
        started = time.process_time()
        try:
            case = kind.case(name)
        except Exception as error:
            print(f"{name:36} not built: {type(error).__name__}: {str(error)[:100]!r}", flush=True)
            absent.append(name)
            continue
        try:
            found = compare(case)
        except Exception as error:
            found = Compared(0, 0, [f"{type(error).__name__}: {str(error)[:300]}"])
        said = "equal" if not found.wrong else f"{len(found.wrong)} differ"
        n_equal, n_layers = n_equal + (not found.wrong), n_layers + found.n_layers
        differ += [name] * bool(found.wrong)
        seconds = time.process_time() - started
        print(f"{name:36} {found.n_layers:6} {found.n_beyond:6}  {said} ({seconds:.0f} s)",
              *found.wrong[:6], sep="\n    ", flush=True)  # fmt: skip
    n, sizes = n_equal + len(differ), ", ".join(map(str, SIZES))
    row = f"| {of} | {n} | {n_layers:,} | {sizes} | {n_equal} | {', '.join(differ) or '-'} |"
    return row + f" {', '.join(absent) or '-'} |", not differ


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--of", nargs="+", choices=OF, default=OF)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rows = [compare_all(of, options.only) for of in options.of]
    print("\n| of | architectures | layers | in batches of | equal | differ | not built |")
    print("|---|---|---|---|---|---|---|", *(row for row, _ in rows), sep="\n")
    return int(not all(equal for _, equal in rows))


if __name__ == "__main__":
    sys.exit(main())
