"""`neurosparse train` for recipes of transformers, and `neurosparse generate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosparse.cli.boundary import keeps, results_are_written
from neurosparse.cli.display import bars, finish, say, show_json
from neurosparse.cli.examples import examples
from neurosparse.cli.options import Json, Seed
from neurosparse.cli.program import app

if TYPE_CHECKING:
    from neurosparse.transformer.specs import TransformerTrainSpec

PROMPT = "MACBETH. "


def train_transformer(
    name: str,
    spec: TransformerTrainSpec,
    *,
    out: Path | None,
    device: str,
    data_dir: Path | None,
    checkpoint: Path | None,
    as_json: bool,
) -> None:
    """Train the transformer of a recipe, and print how it does and a sample of its text."""
    from neurosparse._internal import whole_files as files
    from neurosparse.data import texts
    from neurosparse.transformer import DivergenceError, results, train

    out = out or Path("results") / f"{name}.safetensors"
    files.check_file(out, suffix=".safetensors")
    text = texts.load(spec.data, data_dir=data_dir)
    kept = checkpoint or out.with_suffix(".checkpoint.safetensors")
    with bars({name: name}, own_rows=True) as show:

        def watch(look: Any) -> None:
            if look.step == 0:
                print(results.HEADING, file=sys.stderr)
            print(results.line(look), file=sys.stderr)

        try:
            result = train(
                spec,
                text,
                device=device,
                checkpoint=kept,
                progress=lambda done, words: show(name, done, words),
                watch=watch,
            )
        except KeyboardInterrupt:
            if kept.exists():
                keeps(f"the last look is in {kept}: the same command goes on from there")
            raise
        except DivergenceError:
            if checkpoint is None:
                kept.unlink(missing_ok=True)  # it would end the same way
            raise
    results.save_result(result, out)
    if checkpoint is None:
        kept.unlink(missing_ok=True)
    results_are_written()
    if as_json:
        show_json({**results.summary(result), "weights": out})
        finish(quiet=True)
        return
    scores = result.validation
    by_layer = ", ".join(f"{100 * share:.2f}" for share in scores.active)
    say(
        f"{scores.bits_per_character:.3f} bits per character on the validation text (95 % interval"
        f" {scores.low:.3f} to {scores.high:.3f}), {100 * scores.active_fraction:.2f} % of the"
        f" units active (by layer {by_layer}), at least {100 * min(scores.alive):.0f} % of a"
        f" layer's units alive; {result.seconds:.0f} s on {result.device}.\n"
    )
    say(results.sample(result, PROMPT))
    finish(
        f"Weights: {out}",
        f"Summary and looks: {out.with_suffix('.json')}, {out.with_suffix('.parquet')}",
        then=f'neurosparse generate {out} --prompt "{PROMPT}"',
    )


@app.command(
    short_help="Write text by a trained transformer.",
    epilog=examples(
        'neurosparse generate results/plays_4_percent.safetensors --prompt "HAMLET. " -n 300'
    ),
)
def generate(
    weights: Annotated[
        Path, typer.Argument(metavar="WEIGHTS", help="File that `neurosparse train` wrote.")
    ],
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="Text to go on from.")] = PROMPT,
    n: Annotated[
        int, typer.Option("--length", "-n", min=0, metavar="N", help="Characters to write.")
    ] = 400,
    temperature: Annotated[
        float,
        typer.Option(
            min=0.0, metavar="X", help="Divides the logits; 0 takes the likeliest character."
        ),
    ] = 0.8,
    seed: Seed = 1,
    dense: Annotated[
        bool, typer.Option("--dense", help="Write by torch's dense products alone.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write text, one character at a time, computing only units that may be active.

    Silent units are proven silent by 8-bit copies of the weights, so the output is that of the
    dense network to the rounding of float32. Both then write a short text in turn, and the ratio
    of their speeds is printed.
    """
    from neurosparse.sparsify import SparseFFN, screened, screenings
    from neurosparse.transformer import generate as write
    from neurosparse.transformer import load
    from neurosparse.transformer.results import numbers_of
    from neurosparse.transformer.speed import as_dense, compared

    network = load(weights)
    numbers = numbers_of(prompt, network.alphabet)
    plain: Any = as_dense(network)
    can_screen = any(isinstance(m, SparseFFN) for m in network.modules())
    fast: Any = plain if dense or not can_screen else screened(network)
    found = list(write(fast, numbers, n, temperature=temperature, seed=seed))
    text = prompt + "".join(network.alphabet[k] for k in found)
    blocks = {name: str(found) for name, found in screenings(fast).items()}
    speeds = None if fast is plain else compared(fast, plain, numbers)
    if as_json:
        show_json({"text": text, "blocks": blocks, "speeds": speeds and vars_of(speeds)})
        finish(quiet=True)
        return
    print(text)
    if not can_screen:
        print("\nNo block has a plain rectifier: it was written densely.", file=sys.stderr)
    for name, words in blocks.items():
        print(f"{name}: {words}", file=sys.stderr)
    if speeds is not None:
        print(str(speeds), file=sys.stderr)


def vars_of(speeds: Any) -> dict[str, Any]:
    """Return the fields of a frozen dataclass."""
    from dataclasses import asdict

    return asdict(speeds)
