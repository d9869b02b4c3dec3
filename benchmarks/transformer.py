"""Transformers whose feed-forward blocks are sparse, compared with torch; one thread.

    python benchmarks/transformer.py [--pairs 7] [--jobs ffn step token gated model] [--steps 300]

- ffn: forward and backward of a block over 4,096 tokens, at 1 to 100 % active units;
- step: a whole training step with AdamW;
- token, gated: one token through plain and gated blocks, in so many that their weights fall out of
  the cache; torch's dense product and its dynamic 8-bit quantisation, which is not exact;
- model: characters a second of a trained model 512 wide, end to end, on the same text. The model is
  trained for --steps steps and kept in results/bench/.

CPU time of the thread, in turn. Before it is timed, each job's results are compared with torch's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pairs import in_turn, row, show
from torch import Tensor, nn
from torch.nn import functional

from neurosparse.data import texts
from neurosparse.sparsify import SparseFFN, screened
from neurosparse.transformer import (
    CharacterTransformer,
    TransformerSpec,
    TransformerTrainSpec,
    generate,
    load,
    save,
    train,
)
from neurosparse.transformer.decoder import Reader
from neurosparse.transformer.speed import as_dense
from neurosparse.transformer.training import optimiser_of

SIZES = ((256, 1024), (768, 3072))
GOALS = {0.04: ">= 2.7x", 0.01: ">= 4x"}
DENSITIES = (0.10, 0.20, 0.25, 0.30, 0.50, 1.00)
NEVER_BELOW = ">= 0.95x"
TOKENS = 4096
OUT_OF_CACHE = 350e6  # bytes of weights
TRAINED = TransformerTrainSpec(
    network=TransformerSpec(d_model=512, d_ff=2048, layers=4, heads=8), target_active=0.04
)
WRITTEN = 64  # characters of a text


def cpu_ms(what: Callable[[], object], repeats: int = 1) -> float:
    """Return CPU milliseconds of a call, of the thread."""
    begin = time.thread_time()
    for _ in range(repeats):
        what()
    return 1e3 * (time.thread_time() - begin) / repeats


def block_of(d: int, d_ff: int, active: float, *, gated: bool = False) -> SparseFFN:
    """Return a block with this share of units active on inputs of mean 0 and variance 1."""
    block = SparseFFN(d, d_ff, gated=gated, start_active=None)
    if active < 1:
        block.start_at(active)
    else:
        with torch.no_grad():
            block.rectified.bias.copy_(10 * block.rectified.weight.norm(dim=1))
    return block


class Dense(nn.Module):
    """A block of torch's own layers, on weights of its own."""

    def __init__(self, block: SparseFFN) -> None:
        super().__init__()
        self.gate = None if block.gate is None else _copy(block.gate)
        self.up, self.down = _copy(block.up), _copy(block.down)

    def forward(self, x: Tensor) -> Tensor:
        if self.gate is None:
            hidden = functional.relu(self.up(x))
        else:
            hidden = functional.relu(self.gate(x)) * self.up(x)
        y: Tensor = self.down(hidden)
        return y


def _copy(linear: nn.Linear) -> nn.Linear:
    twin = nn.Linear(linear.in_features, linear.out_features)
    twin.load_state_dict(linear.state_dict())
    return twin


def check(ours: Tensor, theirs: Tensor, what: str, within: float = 2e-6) -> None:
    """Refuse to time what is not the same."""
    error = float((ours - theirs).abs().max() / theirs.abs().max())
    if not error < within:
        raise ValueError(f"{what} differs from torch's by {error:.1e} of its largest")


def ffn(pairs: int) -> list[dict[str, Any]]:
    """Time forward and backward of a block, each call looking anew at how many pairs are active."""
    rows = []
    for d, d_ff in SIZES:
        for active in (*GOALS, *DENSITIES):
            torch.manual_seed(0)
            block = block_of(d, d_ff, active)
            dense = Dense(block)
            x, dy = torch.randn(TOKENS, d, requires_grad=True), torch.randn(TOKENS, d)
            both = [partial(_gradients, each, x, dy) for each in (block, dense)]
            names = ["y", "dx", *(f"gradient of {name}" for name, _ in block.named_parameters())]
            for name, ours, theirs in zip(names, *(run() for run in both), strict=True):
                check(ours, theirs, f"{name} at {100 * active:g} % active")
            mine, theirs = in_turn(*(partial(cpu_ms, run) for run in both), pairs)
            job, goal = f"ffn_{d}_{d_ff}_{100 * active:g}", GOALS.get(active, NEVER_BELOW)
            rows.append(
                row(job, "torch, autograd", f"ms CPU, {TOKENS:,} tokens", mine, theirs, goal)
            )
    return rows


def _gradients(block: nn.Module, x: Tensor, dy: Tensor) -> list[Tensor]:
    if isinstance(block, SparseFFN):
        block._at_rest = 0
    y = block(x)
    return [y, *torch.autograd.grad(y, [x, *block.parameters()], dy)]


def step(pairs: int) -> list[dict[str, Any]]:
    """Time a training step with AdamW, its learning rate 0, so that as many units stay active."""
    rows = []
    for times, goal in ((4, ">= 1.7x"), (16, ">= 2.4x")):
        spec = TransformerSpec(d_model=256, d_ff=256 * times, layers=2, start_active=0.04)
        network = CharacterTransformer(spec).train()
        dense = as_dense(network).train()
        x = torch.randint(0, spec.alphabet, (16, spec.context + 1))
        both = [partial(_step, each, optimiser_of(each, 0.0), x) for each in (network, dense)]
        check(*(run().detach() for run in both), "the loss")
        mine, theirs = in_turn(*(partial(cpu_ms, run, 3) for run in both), pairs)
        unit = f"ms CPU, {x.numel():,} characters"
        rows.append(row(f"step_256_{times}x_4", "torch, autograd", unit, mine, theirs, goal))
    return rows


def _step(network: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor) -> Tensor:
    for group in optimiser.param_groups:
        group["lr"] = 0.0
    loss = functional.cross_entropy(network(x[:, :-1]).transpose(1, 2), x[:, 1:])
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss


def token(pairs: int, *, gated: bool = False) -> list[dict[str, Any]]:
    """Time one token through blocks, one after the other."""
    sizes = ((768, 2048), (2048, 5632)) if gated else ((768, 3072), (2048, 8192))
    goals = {0.01: ">= 4.5x"} if gated else {0.04: ">= 2.4x", 0.01: ">= 3.3x"}
    rows = []
    for d, d_ff in sizes:
        n = max(2, min(12, int(OUT_OF_CACHE / ((2 + gated) * d * d_ff * 4)) + 1))
        for active, goal in goals.items():
            torch.manual_seed(0)
            blocks = [block_of(d, d_ff, active, gated=gated).eval() for _ in range(n)]
            fast = [screened(block) for block in blocks]
            dense = [Dense(block).eval() for block in blocks]
            job, unit = f"token_{'gated_' * gated}{d}_{d_ff}_{100 * active:g}", "ms CPU a block"
            x = torch.randn(1, d)
            with torch.inference_mode():
                check(fast[0](x), dense[0](x), job, 1e-5)
                ours = partial(_through, fast, x)
                mine, theirs = in_turn(ours, partial(_through, dense, x), pairs)
                rows.append(row(job, "torch, dense", unit, mine, theirs, goal))
                if not gated:
                    eight = [_eight_bits(block) for block in dense]
                    mine, theirs = in_turn(ours, partial(_through, eight, x), pairs)
                    better = ">= 1x" if active == 0.01 else "-"
                    rows.append(row(job, "torch, dynamic int8", unit, mine, theirs, better))
    return rows


def _through(blocks: list[nn.Module], x: Tensor) -> float:
    def once() -> None:
        for block in blocks:
            block(x)

    return cpu_ms(once, 4) / len(blocks)


def _eight_bits(block: nn.Module) -> nn.Module:
    quantised: nn.Module = torch.ao.quantization.quantize_dynamic(
        block, {nn.Linear}, dtype=torch.qint8
    )
    return quantised


def model(pairs: int, steps: int) -> list[dict[str, Any]]:
    """Time a trained model that writes the same text, likeliest character by character."""
    place = Path("results/bench") / f"transformer_512_{steps}_steps.safetensors"
    if not place.exists():
        spec = TRAINED.model_copy(update={"steps": steps})
        save(train(spec, device="cpu").network, place, training=spec)
    network = load(place)
    fast, dense = screened(network), as_dense(network)
    prompt = [int(k) for k in texts.load("plays").validation[:32]]
    ours = partial(_written, fast, prompt)
    peers = {
        "torch, dense": (partial(_written_by_torch, dense, prompt), ">= 1.7x"),
        "ours, dense blocks": (partial(_written, dense, prompt), "-"),
    }
    rows = []
    for peer, (theirs, goal) in peers.items():
        if ours() != theirs():
            raise ValueError(f"the screened model writes another text than {peer}")
        mine, dense_ms = in_turn(
            *(lambda run=run: cpu_ms(run) / WRITTEN for run in (ours, theirs)), pairs
        )
        rows.append(row("model_512_4", peer, "ms CPU a character", mine, dense_ms, goal))
    return rows


def _written(network: CharacterTransformer, prompt: list[int]) -> list[int]:
    return list(generate(network, prompt, WRITTEN, temperature=0))


def _written_by_torch(network: CharacterTransformer, prompt: list[int]) -> list[int]:
    """Write with the network as it stands, keys and values kept, as one would in torch."""
    reader, text, unread = Reader(network), [], prompt
    for _ in range(WRITTEN):
        text.append(int(reader.read(unread).argmax()))
        unread = text[-1:]
    return text


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--jobs", nargs="+", help="by default all")
    options = parser.parse_args()
    n = options.pairs
    jobs: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "ffn": lambda: ffn(n),
        "step": lambda: step(n),
        "token": lambda: token(n),
        "gated": lambda: token(n, gated=True),
        "model": lambda: model(n, options.steps),
    }
    if unknown := set(options.jobs or ()) - set(jobs):
        parser.error(f"no job {min(unknown)!r}; there are: {', '.join(jobs)}")
    torch.set_num_threads(1)
    show([each for name in options.jobs or jobs for each in jobs[name]()])


if __name__ == "__main__":
    main()
