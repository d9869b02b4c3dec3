"""Training of a character transformer by AdamW, its blocks over active pairs where these are few.

The sparsity is steered by `neurosparse.sparsify`, as in anybody's loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from neurosparse._internal import checks, sizes
from neurosparse.data import texts
from neurosparse.data.texts import TextSplits
from neurosparse.progress import Progress, quiet
from neurosparse.recipes import check_spec
from neurosparse.rectifier import devices
from neurosparse.rectifier.history import DivergenceError
from neurosparse.sparsify import SparseFFN, Sparsifier, sparsify
from neurosparse.transformer.checkpoints import Checkpoint, fingerprint, load_for, save_checkpoint
from neurosparse.transformer.evaluation import evaluate, surprise
from neurosparse.transformer.history import Look, TransformerResult
from neurosparse.transformer.network import CharacterTransformer
from neurosparse.transformer.specs import TransformerTrainSpec

RISES_FOR = 50  # steps
STANDS_UNTIL = 0.4  # of the training
ENDS_AT = 0.02  # of the largest learning rate
BETAS = (0.9, 0.98)
LONGEST_GRADIENT = 1.0
LOOKED_AT = 128  # pieces of the validation text at a look


def train(
    spec: TransformerTrainSpec,
    text: TextSplits | None = None,
    *,
    device: str | torch.device = "auto",
    test: bool = False,
    checkpoint: str | Path | None = None,
    progress: Progress = quiet,
    watch: Callable[[Look], None] | None = None,
) -> TransformerResult:
    """Train the transformer of a spec from its seed.

    On the CPU torch works with one thread meanwhile, so that a spec gives the same numbers on any
    number of cores.

    Parameters
    ----------
    spec
        What to train, and how. The network takes the alphabet of the text.
    text
        By default the one that the spec names.
    device
        Where: "auto", "cpu", "cuda" or "mps". The path over active pairs is the CPU's.
    test
        Whether to read the test text, once, at the end.
    checkpoint
        A file that holds the training as it stands, written at every look. Where it exists, the
        training goes on from it: on the CPU to the same numbers, bit for bit, as if it had never
        stopped.
    progress
        Told how far it is.
    watch
        Called with every look at the validation text; first with those of the checkpoint.

    Returns
    -------
    TransformerResult
        The network on the CPU, in evaluation mode, as it is after the last step.

    Raises
    ------
    DivergenceError
        A ValueError that names the step at which the loss stopped being finite, and the remedy.
    ValueError, OSError
        Where the text is too short, or the checkpoint is of another training or cannot be written.
    TypeError
        Where an argument is of another kind.

    Examples
    --------
    >>> from neurosparse.transformer import TransformerSpec
    >>> small = TransformerSpec(d_model=16, d_ff=32, layers=1, context=16)
    >>> spec = TransformerTrainSpec(network=small, steps=20, target_active=0.1)
    >>> train(spec, device="cpu").validation.bits_per_character < 8  # 6.4 for a guess
    True
    """
    check_spec(spec, TransformerTrainSpec)
    where = devices.resolve(device)
    text = texts.load(spec.data) if text is None else text
    spec = fitted(spec, text)
    if where.type == "cpu":
        _check_memory(spec)
    digest = fingerprint(text)
    kept = None if checkpoint is None else load_for(checkpoint, spec, digest)
    with devices.one_thread(where):
        run = _Run(spec, text, where, kept)
        tell = watch or (lambda look: None)
        if kept is None:
            run.look()
        for look in run.history:
            tell(look)
        while run.step < spec.steps:
            run.advance()
            bits = run.history[-1].scores.bits_per_character
            progress(run.step / spec.steps, f"step {run.step}/{spec.steps}, {bits:.3f} bits")
            if run.step % spec.validated_every == 0 or run.step == spec.steps:
                run.look()
                tell(run.history[-1])
                if checkpoint is not None:
                    save_checkpoint(run.state(digest), checkpoint)
        return run.result(test=test)


def fitted(spec: TransformerTrainSpec, text: TextSplits) -> TransformerTrainSpec:
    """Return a spec whose network has the alphabet of a text.

    Raises
    ------
    ValueError
        Where a part of the text is too short for the network's context.
    """
    checks.instance("text", text, TextSplits, "neurosparse.data.texts.load(name) gives one")
    least = spec.network.context + 2
    for name in ("train", "validation", "test"):
        if len(getattr(text, name)) < least:
            raise ValueError(
                f"the {name} part of {text.name!r} has {len(getattr(text, name)):,} characters, and"
                f" context = {spec.network.context} needs {least:,}: give a longer text or a"
                " shorter context"
            )
    network = spec.network.model_copy(update={"alphabet": len(text.alphabet)})
    return spec.model_copy(update={"network": network})


def _check_memory(spec: TransformerTrainSpec) -> None:
    """Refuse a training whose weights and hidden units need more memory than there is."""
    network = spec.network
    per_token = network.layers * (network.d_ff + network.d_model)
    sizes.check_memory(
        f"a transformer of {network.layers} layers of {network.d_model} and {network.d_ff} units",
        # weights, their gradients, and AdamW's two moments; what the way back needs of each token
        4 * sizes.bytes_of(network.shapes) + 4.0 * spec.batch_size * network.context * per_token,
        "take fewer or smaller layers, smaller batches or a shorter context",
    )


def learning_rate_at(spec: TransformerTrainSpec, step: int) -> float:
    """Return the learning rate of a step, counted from 0.

    Examples
    --------
    >>> spec = TransformerTrainSpec(steps=1000, learning_rate=0.01)
    >>> [round(learning_rate_at(spec, k), 5) for k in (0, 49, 399, 700, 999)]
    [0.0002, 0.01, 0.01, 0.0051, 0.00022]
    """
    done = step / spec.steps
    way = max(0.0, (done - STANDS_UNTIL) / (1 - STANDS_UNTIL))
    return spec.learning_rate * min(1.0, (step + 1) / RISES_FOR) * (1 - (1 - ENDS_AT) * way)


def optimiser_of(network: nn.Module, weight_decay: float) -> torch.optim.AdamW:
    """Return AdamW, which lets matrices decay and nothing else.

    Embeddings are matrices; positions, the mixing of tokens, norms and biases are not.
    """
    matrices = {
        id(module.weight)
        for module in network.modules()
        if isinstance(module, nn.Linear | nn.Embedding)
    }
    decaying = [p for p in network.parameters() if id(p) in matrices]
    others = [p for p in network.parameters() if id(p) not in matrices]
    groups = [
        {"params": decaying, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=BETAS, fused=True)


class _Run:
    """A training under way."""

    def __init__(
        self,
        spec: TransformerTrainSpec,
        text: TextSplits,
        where: torch.device,
        kept: Checkpoint | None,
    ) -> None:
        self.spec, self.text, self.where = spec, text, where
        self.network = CharacterTransformer(spec.network, seed=spec.seed).to(where).train()
        self.network.alphabet = text.alphabet
        self.optimiser = optimiser_of(self.network, spec.weight_decay)
        self.sparsifier = _sparsifier(self.network, spec)
        self.numbers = torch.from_numpy(text.train.astype(np.int64))
        self.history = [] if kept is None else list(kept.history)
        self.step = 0 if kept is None else kept.step
        self.cpu_s = 0.0 if kept is None else kept.cpu_s
        self._began = time.perf_counter() - (0.0 if kept is None else kept.seconds)
        self._bits, self._seconds = 0.0, 0.0  # since the last look
        if kept is not None:
            self._go_on_from(kept)
        if self.sparsifier is not None:
            self.sparsifier.prepare((self._pieces(0)[:, :-1],), {})

    def _go_on_from(self, kept: Checkpoint) -> None:
        self.network.load_state_dict(dict(kept.weights))
        for name, parameter in self.network.named_parameters():
            self.optimiser.state[parameter] = {
                "step": torch.tensor(float(kept.step), device=self.where),
                # as the parameter lies in memory: AdamW goes through both in that order
                "exp_avg": torch.empty_like(parameter.detach()).copy_(kept.first[name]),
                "exp_avg_sq": torch.empty_like(parameter.detach()).copy_(kept.second[name]),
            }
        if self.sparsifier is not None and kept.steering is not None:
            self.sparsifier.load_state_dict(kept.steering)

    def _pieces(self, step: int) -> Tensor:
        """Return the pieces of a step, (batch_size, context + 1), by the seed and the step alone.

        So a training goes on from a checkpoint with the pieces that it would have had.
        """
        n = self.spec.network.context + 1
        chance = np.random.default_rng([self.spec.seed, step])
        begins = chance.integers(0, len(self.numbers) - n + 1, self.spec.batch_size)
        return torch.stack([self.numbers[k : k + n] for k in begins.tolist()]).to(self.where)

    def advance(self) -> None:
        """Make a step."""
        clock, cpu = time.perf_counter(), time.thread_time()
        x = self._pieces(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate_at(self.spec, self.step)
        bits = surprise(self.network(x[:, :-1]), x[:, 1:]).mean()
        loss = bits * float(np.log(2))
        if self.sparsifier is not None:
            loss = loss + self.sparsifier.penalty()
        if not bool(loss.isfinite()):
            raise DivergenceError(
                f"training diverged in step {self.step + 1}: the loss is no longer finite; use a"
                f" smaller learning_rate (it is {self.spec.learning_rate:g})"
            )
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), LONGEST_GRADIENT)
        self.optimiser.step()
        if self.sparsifier is not None:
            self.sparsifier.step()
        self.step += 1
        self._bits += float(bits.detach())
        self._seconds += time.perf_counter() - clock
        self.cpu_s += time.thread_time() - cpu

    def look(self) -> None:
        """Look at the validation text."""
        scores = evaluate(self.network, self.text.validation, most_pieces=LOOKED_AT)
        n = self.step - self.history[-1].step if self.history else 0
        characters = n * self.spec.batch_size * self.spec.network.context
        self.history.append(
            Look(
                step=self.step,
                scores=scores,
                train_bits=self._bits / n if n else None,
                l1=() if self.sparsifier is None else tuple(self.sparsifier.l1.values()),
                characters_per_s=characters / self._seconds if n else None,
            )
        )
        self._bits = self._seconds = 0.0
        for module in self.network.modules():
            if isinstance(module, SparseFFN):
                module.look_again()  # as in a training that goes on from here

    def state(self, digest: str) -> Checkpoint:
        """Return what it takes to go on from here."""
        moments: Iterable[tuple[str, dict[str, Tensor]]] = [
            (name, self.optimiser.state[p]) for name, p in self.network.named_parameters()
        ]
        return Checkpoint(
            spec=self.spec,
            text=digest,
            history=tuple(self.history),
            seconds=time.perf_counter() - self._began,
            cpu_s=self.cpu_s,
            weights=self.network.state_dict(),
            first={name: moment["exp_avg"] for name, moment in moments},
            second={name: moment["exp_avg_sq"] for name, moment in moments},
            steering=None if self.sparsifier is None else self.sparsifier.state_dict(),
        )

    def result(self, *, test: bool) -> TransformerResult:
        """Return the network and how it does on all of the validation text."""
        if self.sparsifier is not None:
            self.sparsifier.remove()
        return TransformerResult(
            network=self.network.cpu().eval(),
            spec=self.spec,
            history=tuple(self.history),
            validation=evaluate(self.network, self.text.validation),
            test=evaluate(self.network, self.text.test) if test else None,
            device=str(self.where),
            seconds=time.perf_counter() - self._began,
            cpu_s=self.cpu_s,
        )


def _sparsifier(network: nn.Module, spec: TransformerTrainSpec) -> Sparsifier | None:
    """Return what steers the training; None where nothing does."""
    if spec.target_active is None and not spec.l1:
        return None
    return sparsify(
        network,
        target=spec.target_active,
        l1=spec.l1 or None,
        steps=spec.steps,
        reached=spec.target_reached,
        revive=spec.revive,
    )
