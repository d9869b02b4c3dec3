# ruff: noqa: PT017 (many are tried, and some are right)
"""Files of results whose values are of the wrong kind: refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosparse import claims
from neurosparse.activity import ActiveWhen, SpikeTrains
from neurosparse.comparison import compare, load
from neurosparse.comparison import files as saved
from neurosparse.measurement import measure

WRONG: list[Any] = [[1], {"a": 1}, "text", True, 10**400, None, -1.5]


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("comparison")
    generator = np.random.default_rng(1)
    trains = SpikeTrains(
        np.sort(generator.uniform(0, 500, 100)).round(1),
        generator.integers(0, 9, 100),
        n_units=9,
        duration_ms=500.0,
        dt_ms=0.1,
    )
    compare(measure(trains, active_when=ActiveWhen(window_ms=5.0), name="E")).save(folder)
    return folder


def test_every_value_of_a_comparison_may_be_of_the_wrong_kind(comparison: Path) -> None:
    path = comparison / saved.NUMBERS
    whole = path.read_text()
    numbers = json.loads(whole)
    keys = [("stats", 0, key) for key in numbers["stats"][0]]
    places: list[tuple[Any, ...]] = [
        *keys,
        *((key,) for key in numbers),
        ("stats", 0),
        ("bands", 0),
    ]
    refused = 0
    try:
        for place in places:
            for wrong in WRONG:
                changed = json.loads(whole)
                at = changed
                for part in place[:-1]:
                    at = at[part]
                at[place[-1]] = wrong
                path.write_text(json.dumps(changed))
                try:
                    load(comparison)
                except ValueError as error:
                    refused += 1
                    assert "unhashable" not in str(error), (place, wrong)
                    assert str(comparison) in str(error) or place[-1] in str(error), error
    finally:
        path.write_text(whole)
    assert refused > len(places)
    assert load(comparison).stats[0].name == "E"


def findings() -> dict[str, Any]:
    claim = {"text": "t", "source": "s", "limits": "", "arms": ["rectifier"],
             "criteria": [{"quantity": "q", "text": "t", "low": 0.0, "high": None, "unit": "%"}]}  # fmt: skip
    entry = {
        "number": 1,
        "claim": claim,
        "seeds": {"1": {"q": 1.0}, "2": {"q": 2.0}},
        "left_out": [],
    }
    lab = claims.QUICK.model_dump(mode="json")
    return {"format": "neurosparse claims 1", "lab": lab, "images": "x", "findings": [entry]}


def test_every_value_of_claims_may_be_of_the_wrong_kind(tmp_path: Path) -> None:
    path = tmp_path / "claims.json"
    path.write_text(json.dumps(findings()))
    assert [finding.number for finding in claims.read(tmp_path)] == [1]
    places = [("findings",), ("lab",), ("format",), ("findings", 0), ("findings", 0, "claim"),
              ("findings", 0, "number"), ("findings", 0, "seeds"), ("findings", 0, "left_out"),
              ("findings", 0, "seeds", "1"), ("findings", 0, "seeds", "1", "q"),
              ("findings", 0, "claim", "criteria"), ("findings", 0, "claim", "criteria", 0),
              ("findings", 0, "claim", "criteria", 0, "low"), ("findings", 0, "claim", "arms")]  # fmt: skip
    refused = 0
    for place in places:
        for wrong in WRONG:
            changed = findings()
            at: Any = changed
            for part in place[:-1]:
                at = at[part]
            at[place[-1]] = wrong
            path.write_text(json.dumps(changed))
            try:
                claims.read(tmp_path)
            except ValueError as error:
                refused += 1
                assert str(path) in str(error)
                assert "unhashable" not in str(error)
    assert refused > 4 * len(places)
