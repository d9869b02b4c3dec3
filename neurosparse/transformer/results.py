"""A trained transformer on disk and on the terminal: weights, summary, looks; a line a look."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from neurosparse._internal import checks
from neurosparse._internal import whole_files as files
from neurosparse.transformer.generation import generate
from neurosparse.transformer.history import Look, TransformerResult, rows
from neurosparse.transformer.weights import save

HEADING = " step  bits/char  training  alive %  chars/s   active %, by layer"


def line(look: Look) -> str:
    """Return a look under `HEADING`; alive is the least share of a layer."""
    training = "" if look.train_bits is None else f"{look.train_bits:.3f}"
    speed = "" if look.characters_per_s is None else f"{look.characters_per_s:,.0f}"
    alive = 100 * min(look.scores.alive)
    return (
        f"{look.step:>5}{look.scores.bits_per_character:>11.3f}{training:>10}{alive:>9.0f}"
        f"{speed:>9}  " + "".join(f"{100 * share:>6.2f}" for share in look.scores.active)
    )


def summary(result: TransformerResult) -> dict[str, Any]:
    """Return a training in numbers that JSON can hold."""
    return {
        "spec": result.spec.model_dump(mode="json"),
        "validation": asdict(result.validation),
        "test": None if result.test is None else asdict(result.test),
        "device": result.device,
        "seconds": result.seconds,
        "cpu_s": result.cpu_s,
    }


def sample(result: TransformerResult, prompt: str, n: int = 200) -> str:
    """Return a prompt and the text by which a trained network goes on."""
    alphabet = result.network.alphabet
    numbers = numbers_of(prompt, alphabet)
    found = generate(result.network, numbers, n, seed=result.spec.seed)
    return prompt + "".join(alphabet[k] for k in found)


def numbers_of(text: str, alphabet: str) -> list[int]:
    """Return a text as numbers; characters that are not in the alphabet are its last, unknown.

    Raises
    ------
    ValueError
        Where the alphabet is not known.
    """
    if not alphabet:
        raise ValueError("the network has no alphabet: save it with network.alphabet set")
    places = {character: k for k, character in enumerate(alphabet)}
    return [places.get(character, len(alphabet) - 1) for character in text]


def save_result(result: TransformerResult, path: str | Path) -> None:
    """Write the weights to `path`, and beside it the `summary` (.json) and looks (.parquet).

    Raises
    ------
    OSError
        Where a file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = checks.path("path", path)
    save(result.network, path, training=result.spec)
    with files.new_file(path.with_suffix(".json")) as file:
        file.write_text(json.dumps(summary(result), indent=1), encoding="utf-8")
    with files.new_file(path.with_suffix(".parquet")) as file:
        pq.write_table(pa.Table.from_pylist(rows(result.history)), file)
