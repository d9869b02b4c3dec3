"""Findings as claims.json holds them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from neurosparse._internal.types import Fields, FieldsView
from neurosparse.claims.frame import Claim, Criterion, Finding, Quantity, examine
from neurosparse.claims.lab import LabSpec
from neurosparse.recipes import Spec

_LETTERS = {"-": -1, "0": 0, "+": 1}


class _Lenient(Spec):
    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


class _Claim(_Lenient):
    text: str
    source: str
    limits: str
    arms: list[str]
    criteria: list[dict[str, str | float | None]]


class _Entry(_Lenient):
    number: int | str
    claim: _Claim
    seeds: dict[str, dict[str, float | str]]  # in letters: see `_letters`
    left_out: list[str]


class File(_Lenient):
    """Content that claims.json must have."""

    lab: LabSpec
    findings: list[_Entry]


def entry_of(finding: Finding, rows: Mapping[int, Mapping[str, Quantity]]) -> Fields:
    """Return a finding as the file has it, with what was measured by seed."""
    return {
        "number": finding.number,
        "verdict": finding.verdict,
        "effects": [effect.describe() for effect in finding.effects],
        "claim": plain_of(finding.claim),
        "seeds": {
            seed: {
                name: _letters(each) if isinstance(each, np.ndarray) else each
                for name, each in row.items()
            }
            for seed, row in rows.items()
        },
        "left_out": finding.left_out,
    }


def finding_of(entry: FieldsView) -> Finding:
    rows = [
        {name: quantity_of(each) for name, each in row.items()} for row in entry["seeds"].values()
    ]
    return examine(entry["number"], claim_of(entry["claim"]), rows, entry["left_out"])


def _letters(by_image: NDArray[np.int8]) -> str:
    """Return what each test image adds to an error as a letter: "+" for 1, "0", "-" for -1."""
    return "".join("-0+"[value + 1] for value in by_image.tolist())


def quantity_of(stored: float | str) -> Quantity:
    """Return what was stored of a quantity of a seed."""
    if not isinstance(stored, str):
        return stored
    if strange := set(stored) - set(_LETTERS):
        raise ValueError(f"test images are told by 0, + and -, got {min(strange)!r}")
    return np.array([_LETTERS[letter] for letter in stored], dtype=np.int8)


def plain_of(claim: Claim) -> Fields:
    """Return a claim as JSON can hold it: an open end of a range is null."""
    plain = asdict(claim)
    for criterion in plain["criteria"]:
        criterion |= {
            end: criterion[end] if math.isfinite(criterion[end]) else None
            for end in ("low", "high")
        }
    return plain


def claim_of(plain: FieldsView) -> Claim:
    open_ends = {"low": -math.inf, "high": math.inf}
    criteria = [
        Criterion(
            **{
                **each,
                **{
                    end: value if each[end] is None else each[end]
                    for end, value in open_ends.items()
                },
            }
        )
        for each in plain["criteria"]
    ]
    return Claim(**{**plain, "criteria": tuple(criteria), "arms": tuple(plain["arms"])})
