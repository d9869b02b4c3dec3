"""Recipes: what is read, what is refused, and that the recipes of the package say where their
numbers come from.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, field_validator, model_validator

from neurosparse import recipes
from neurosparse._internal import share
from neurosparse.recipes import Spec

MODELS = sorted(share.folder("models").rglob("*.toml"))
PLAIN = {"seed"}  # what a run decides and no source can: may stand without one
GOOD = """
kind = "lif"
title = "A cell"
seed = 3
tau_m_ms = { value = 20.0, source = "paper", note = "table 1" }

[cell]
n = { value = 4, source = "paper" }

[sources]
paper = "A paper 2000"
"""


class CellSpec(Spec):
    n: int = Field(gt=0)


class ExampleSpec(Spec):
    seed: int = 0
    tau_m_ms: float = Field(gt=0)
    name: str = ""
    limit_mV: float | None = None
    cell: CellSpec

    @field_validator("name")
    @classmethod
    def _short(cls, name: str) -> str:
        if len(name) > 3:
            raise ValueError(f"name must have at most 3 letters, got {name!r}")
        return name

    @model_validator(mode="after")
    def _whole(self) -> ExampleSpec:
        if self.seed == 13:
            raise ValueError("seed 13 brings bad luck; take another")
        return self


Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str | bytes) -> Path:
        path = tmp_path / "mine.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


# ---- What is read
# --------------------------------------------------------------------------------------------------


def test_values_and_their_sources(write: Write) -> None:
    recipe = recipes.load(write(GOOD))
    assert (recipe.name, recipe.kind, recipe.title) == ("mine", "lif", "A cell")
    assert recipe.values == {"seed": 3, "tau_m_ms": 20.0, "cell": {"n": 4}}
    assert recipe.sources == {"tau_m_ms": "A paper 2000; table 1", "cell.n": "A paper 2000"}
    assert recipe.spec(ExampleSpec).cell.n == 4


def test_tables_in_lists_are_read_like_tables(write: Write) -> None:
    text = (
        'kind = "x"\n[sources]\np = "P"\n[[layers]]\nn = { value = 1, source = "p" }\n[[layers]]\nn'
        " = 2\n"
    )
    recipe = recipes.load(write(text))
    assert recipe.values == {"layers": [{"n": 1}, {"n": 2}]}
    assert recipe.sources == {"layers.0.n": "P"}


def test_overrides_replace_values_and_leave_the_recipe(write: Write) -> None:
    recipe = recipes.load(write(GOOD))
    assert recipe.spec(ExampleSpec, **{"cell.n": 7, "tau_m_ms": 5.0}).model_dump() == {
        "seed": 3,
        "tau_m_ms": 5.0,
        "name": "",
        "limit_mV": None,
        "cell": {"n": 7},
    }
    assert recipe.values["cell"] == {"n": 4}
    with pytest.raises(ValueError, match=r"^cannot set 'seed\.x': 'seed' is a value, not a table$"):
        recipe.spec(ExampleSpec, **{"seed.x": 1})


def test_specs_are_frozen(write: Write) -> None:
    spec = recipes.load(write(GOOD)).spec(ExampleSpec)
    with pytest.raises(ValueError, match="frozen"):
        spec.tau_m_ms = 1.0


# ---- What is refused
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            {"tau": 1.0},
            "unknown key 'tau'; the keys are seed, tau_m_ms, name, limit_mV, cell",
        ),
        ({"cell.m": 1}, "unknown key 'cell.m'; the keys of 'cell' are n"),
        ({"tau_m_ms": float("nan")}, "tau_m_ms: Input should be a finite number, got nan"),
        ({"tau_m_ms": float("inf")}, "tau_m_ms: Input should be a finite number, got inf"),
        ({"limit_mV": float("-inf")}, "limit_mV: Input should be a finite number, got -inf"),
        ({"tau_m_ms": -5.0}, "tau_m_ms: Input should be greater than 0, got -5.0"),
        (
            {"tau_m_ms": "fast"},
            (
                "tau_m_ms: Input should be a valid number, unable to parse string as a number, got"
                " 'fast'"
            ),
        ),
        ({"tau_m_ms": True}, "tau_m_ms must be a number, got true"),
        ({"limit_mV": False}, "limit_mV must be a number, got false"),
        ({"cell.n": True}, "n must be a number, got true"),
        ({"tau_m_ms": {"ms": 1}}, "tau_m_ms: Input should be a valid number, got {'ms': 1}"),
        ({"cell.n": 0}, "cell.n: Input should be greater than 0, got 0"),
        (
            {"cell.n": 1.5},
            "cell.n: Input should be a valid integer, got a number with a fractional part, got 1.5",
        ),
        ({"name": "long"}, "name must have at most 3 letters, got 'long'"),
        ({"seed": 13}, "seed 13 brings bad luck; take another"),
        ({"cell": 1}, "cell: Input should be a valid dictionary or instance of CellSpec, got 1"),
    ],
)
def test_a_value_that_does_not_fit_is_named(
    write: Write, overrides: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError) as caught:
        recipes.load(write(GOOD)).spec(ExampleSpec, **overrides)
    assert str(caught.value) == f"recipe 'mine': {sentence}"


def test_a_missing_key_is_named(write: Write) -> None:
    with pytest.raises(
        ValueError,
        match=r"^recipe 'mine': key 'cell\.n' is missing; unknown key 'cell\.m'; the keys .* are n$",
    ):
        recipes.load(write(GOOD.replace("\nn =", "\nm ="))).spec(ExampleSpec)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kind = ", "is not valid TOML: Invalid value"),
        ("a = 1\na = 2\n", "is not valid TOML: Cannot overwrite a value"),
        (b"\xff\xfe\x00", "is not valid TOML: 'utf-8' codec"),
        (b"\x89PNG\r\n\x1a\n", "is not valid TOML"),
        ("kind = 'x'\na = " + "9" * 5000, "is not valid TOML: Exceeds the limit"),
        ("kind = 'x'\na = " + "[" * 5000, "is nested too deeply"),
        ("kind = 'x'\na = " + "{a=" * 5000, "is nested too deeply"),
        ("kind = 'x'\n[" + ".".join("a" * 5000) + "]\nb = 1", "is nested more than 16 levels deep"),
        ("", "needs a `kind`"),
        ("kind = 1", "needs a `kind`"),
        ("kind = 'x'\ntitle = 1", "needs a `kind`"),
        ("kind = 'x'\nsources = 1", "needs a `kind`"),
        ("kind = 'x'\nsources = { p = 1 }", ": the source 'p' must be text, got 1"),
        (
            "kind = 'x'\na = { value = 1 }",
            ": 'a' has no source; name one of [sources], or write the value alone",
        ),
        (
            "kind = 'x'\na = { value = 1, source = 'p' }",
            ": the source 'p' of 'a' is not listed in [sources]",
        ),
        (
            "kind = 'x'\na = { value = 1, source = ['p'] }",
            ": the source ['p'] of 'a' is not listed in [sources]",
        ),
        (
            "kind = 'x'\na.b = { value = 1, sourc = 'p' }",
            ": unknown key 'a.b.sourc' beside value, source and note",
        ),
        (
            "kind = 'x'\na = { value = 1, source = 'p', note = 2 }\n[sources]\np = 'P'",
            ": the note of 'a' must be text, got 2",
        ),
        (
            "kind = 'x'\n# " + "x" * recipes.MOST_BYTES,
            "is larger than 1,000,000 bytes: not a recipe",
        ),
    ],
)
def test_what_is_no_recipe(write: Write, text: str | bytes, sentence: str) -> None:
    path = write(text)
    with pytest.raises(ValueError) as caught:
        recipes.load(path)
    assert str(path) in str(caught.value)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet='ab.[]{}=",\n 1', max_size=40))
def test_noise_is_read_or_refused_with_a_value_error(noise: str) -> None:
    try:
        table = tomllib.loads(f"kind = 'x'\n{noise}")
    except tomllib.TOMLDecodeError:
        return
    found: dict[str, str] = {}
    assert recipes._plain(table, (), {}, found, Path("x.toml")) == table
    assert found == {}


def test_names_and_paths(tmp_path: Path, write: Write) -> None:
    with pytest.raises(
        FileNotFoundError,
        match=r"^no recipe 'lif_of_nobody'; there are: .*lif_glorot2011.*; or give the path",
    ):
        recipes.load("lif_of_nobody")
    with pytest.raises(FileNotFoundError, match=r"^no recipe file .*gone\.toml$"):
        recipes.load(tmp_path / "gone.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(FileNotFoundError, match=r"^no recipe file .*folder\.toml$"):
        recipes.load(tmp_path / "folder.toml")
    assert recipes.load(str(write(GOOD))).name == "mine"
    assert recipes.load("lif_glorot2011").path in MODELS


# ---- The recipes of the package
# --------------------------------------------------------------------------------------------------


def test_recipes_have_names_of_their_own() -> None:
    names = [path.stem for path in MODELS]
    assert sorted(names) == sorted(set(names)) == sorted(recipes.available())
    assert (
        set(recipes.available("lif"))
        == {n for n in names if recipes.load(n).kind == "lif"}
        >= {"lif_glorot2011"}
    )


def without_source(node: Any, name: str = "") -> Iterator[str]:
    """Dotted names of the numbers that stand plain."""
    if isinstance(node, dict):
        if "value" not in node:
            for key, child in node.items():
                yield from without_source(child, f"{name}.{key}" if name else key)
    elif isinstance(node, list):
        for i, child in enumerate(node):
            yield from without_source(child, f"{name}.{i}")
    elif isinstance(node, int | float) and not isinstance(node, bool):
        yield name


def test_plain_numbers_are_found() -> None:
    table = tomllib.loads(
        "a = 1\nb = { value = 2, source = 's' }\nc = [{ d = 3.0 }, 4]\ne = true\nf ="
        " 'x'\n[g]\nh = 5"
    )
    assert list(without_source(table)) == ["a", "c.0.d", "c.1", "g.h"]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_number_has_a_source(path: Path) -> None:
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    plain = [name for name in without_source(table) if name.split(".")[-1] not in PLAIN]
    assert plain == []
    recipe = recipes.load(path)
    assert recipe.title
    used = " ".join(recipe.sources.values())
    assert [key for key, text in table.get("sources", {}).items() if text not in used] == []
