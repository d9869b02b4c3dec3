"""The rules of the house that no linter holds."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

import neurosparse

HOME = Path(neurosparse.__file__).parent
MODULES = sorted(HOME.rglob("*.py"))


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports within functions count, those for type checkers alone do not."""
    graph = grimp.build_graph("neurosparse", exclude_type_checking_imports=True, cache_dir=None)
    packages = {module for module in graph.modules if graph.find_children(module)}
    imports = {
        module: graph.find_modules_directly_imported_by(module) - packages
        for module in graph.modules - packages
    }
    try:
        order = tuple(TopologicalSorter(imports).static_order())
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")
    assert len(order) > 200


def starred_tuples(tree: ast.AST) -> list[int]:
    return [
        argument.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for argument in node.args
        if isinstance(argument, ast.Starred) and isinstance(argument.value, ast.Tuple)
    ]


def test_no_call_takes_a_starred_tuple() -> None:
    assert starred_tuples(ast.parse("f(*(1, 2))")) == [1]
    assert starred_tuples(ast.parse("f(1, *rest)")) == []
    found = {
        str(path.relative_to(HOME)): lines
        for path in MODULES
        if (lines := starred_tuples(ast.parse(path.read_text())))
    }
    assert found == {}


def test_the_plan_names_each_room_and_each_registry() -> None:
    plan = (HOME.parent / "docs" / "architecture.md").read_text()
    layers = plan[plan.index("## The layers") : plan.index("## What is found by name")]
    rooms = {path.stem for path in HOME.iterdir() if path.is_dir() or path.suffix == ".py"}
    rooms -= {"__init__", "__main__", "__pycache__", "_share"}
    assert {room for room in rooms if f"`{room}" not in layers} == set()
    for folder in ("spiking/engines/", "data/sets/", "claims/cNN_NAME.py", "sweep/kinds/"):
        assert plan.count(f"`{folder}") >= 2


def test_the_package_runs_as_a_module() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "neurosparse", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.startswith("neurosparse ")


def test_the_files_that_contributing_names_are_there() -> None:
    root = HOME.parent
    named = set(
        re.findall(
            r"`((?:neurosparse|tests|docs)/[\w/.]+)`", (root / "CONTRIBUTING.md").read_text()
        )
    )
    there = {name for name in named if (root / name).exists()}
    placeholders = {name for name in named if re.search(r"NAME|NN", name)}
    assert len(there) >= 5
    assert named == there | placeholders


MOST_LINES = 400


def long_modules(folder: Path) -> dict[str, int]:
    lines = {
        str(path.relative_to(folder)): path.read_text().count("\n")
        for path in folder.rglob("*.py")
        if not path.name.startswith("test_")
    }
    return {name: n for name, n in lines.items() if n > MOST_LINES}


def test_no_module_is_long(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text("x = 1\n" * (MOST_LINES + 1))
    (tmp_path / "short.py").write_text("x = 1\n" * MOST_LINES)
    assert long_modules(tmp_path) == {"long.py": MOST_LINES + 1}
    for folder in ("neurosparse", "benchmarks", "simulations", "docs", "tests"):
        assert long_modules(HOME.parent / folder) == {}, folder


QUESTIONS = re.compile(r"(What|How|Where|When|Whether|Which|Who|Why|Like|The same)\b")


def test_docstrings_say_what_happens() -> None:
    """Ruff holds the verbs of functions (D401), and lets questions pass."""
    assert QUESTIONS.match("How many there are.")
    assert not QUESTIONS.match("Return how many there are.")
    kinds = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
    found = [
        f"{path.relative_to(HOME)}: {words}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, kinds) and QUESTIONS.match(words := ast.get_docstring(node) or "")
    ]
    assert found == []


def test_any_is_rare() -> None:
    text = "\n".join(path.read_text() for path in MODULES)
    assert 1000 * len(re.findall(r"\bAny\b", text)) / text.count("\n") < 12
