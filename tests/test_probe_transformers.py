"""Hugging Face architectures, built from configuration: counted as each input alone is counted by
hooks, whatever the size of a batch, and whatever is padded.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from counts import compare
from counts_transformers import NAMES, case

FAST = [
    *("OPT", "GPT2", "Llama", "Gemma", "Mixtral", "Qwen2Moe", "Mamba", "Bert", "DistilBert"),
    *("MobileBert", "T5", "MT5", "Bart", "Marian", "Whisper", "Wav2Vec2", "ViT", "Swinv2"),
    *("ConvNext", "ResNet", "Segformer"),
]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in NAMES]
)
def test_counts_are_those_of_plain_hooks_in_batches_of_any_size(name: str) -> None:
    found = compare(case(name))
    assert found.wrong == []
    assert found.n_layers + found.n_beyond >= 2
