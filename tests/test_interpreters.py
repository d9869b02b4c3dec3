"""Faults of interpreters that people have, kept out of the code.

Python 3.12.0 to 3.12.3 (gh-118513): where a comprehension binds a name that another comprehension
of one function takes from outside, the second may end in an UnboundLocalError.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path
    for folder in ("neurosparse", "simulations", "benchmarks", "tests")
    for path in (ROOT / folder).rglob("*.py")
)
INLINED = (ast.ListComp, ast.SetComp, ast.DictComp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.GeneratorExp)
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp


def clashes(code: str) -> set[str]:
    """Return "function: name" wherever one comprehension binds what another takes from outside."""
    found = set()
    for function in ast.walk(ast.parse(code)):
        if not isinstance(function, FUNCTIONS):
            continue
        parts = [node for node in _within(function) if isinstance(node, INLINED)]
        targets = {name: part for part in parts for name in _targets(part)}
        own = {
            node.id
            for node in _within(function, into_comprehensions=False)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        } | _arguments(function)
        own |= {  # `:=` binds in the function, wherever it stands
            node.target.id for node in _within(function) if isinstance(node, ast.NamedExpr)
        }
        loaded = {name for child in ast.iter_child_nodes(function) for name in _taken(child)}
        name = getattr(function, "name", type(function).__name__)
        found |= {f"{name}: {clash}" for clash in (targets.keys() & loaded) - own}
    return found


def _within(scope: ast.AST, *, into_comprehensions: bool = True) -> Iterator[ast.AST]:
    """Yield the nodes of one function, without those of functions inside it."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if isinstance(child, FUNCTIONS) or (isinstance(child, INLINED) and not into_comprehensions):
            continue
        yield from _within(child, into_comprehensions=into_comprehensions)


def _targets(part: Comprehension) -> set[str]:
    """Return the names that a comprehension binds."""
    return {
        node.id
        for generator in part.generators
        for node in ast.walk(generator.target)
        if isinstance(node, ast.Name)
    }


def _taken(node: ast.AST, bound: frozenset[str] | None = None) -> Iterator[str]:
    """Yield the names that comprehensions under a node use and get from no comprehension.

    `bound` holds the names of the comprehensions around the node, None outside of any.
    """
    if isinstance(node, ast.Name) and bound is not None and node.id not in bound:
        yield node.id
    if isinstance(node, (*INLINED, ast.GeneratorExp)):  # the first iterable is evaluated outside
        first = node.generators[0]
        yield from _taken(first.iter, bound)
        if isinstance(node, INLINED):
            inside = (bound or frozenset()) | _targets(node)
            parts = [part for part in ast.iter_child_nodes(node) if part is not first]
            for part in (*parts, *first.ifs):
                yield from _taken(part, inside)
    elif not isinstance(node, FUNCTIONS):
        for child in ast.iter_child_nodes(node):
            yield from _taken(child, bound)


def _arguments(function: ast.AST) -> set[str]:
    """Return the names of a function's arguments."""
    arguments = getattr(function, "args", None)
    return set() if arguments is None else {node.arg for node in _all_arguments(arguments)}


def _all_arguments(arguments: ast.arguments) -> list[ast.arg]:
    """Return arguments of every kind."""
    single = [arguments.vararg, arguments.kwarg]
    listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return listed + [argument for argument in single if argument is not None]


TWO = "def row(x): return x\ndef f():\n  a = [row for row in range(2)]\n  return "
FAULTY = {  # each of these fails on Python 3.12.1
    "another comprehension": TWO + "[row(x) for x in range(2)]",
    "of another kind": TWO + "{row(x): 1 for x in range(2)}",
    "in a condition": TWO + "{x for x in range(2) if row(x)}",
    "one inside another": (
        "def row(x): return x\n"
        "def f():\n  return [[row(y) for y in range(2)] for x in [row for row in range(2)]]"
    ),
    "a builtin": "def f():\n  a = [id for id in range(2)]\n  return [id(x) for x in range(2)]",
    "a tuple's": (
        "def row(x): return x\n"
        "def f():\n  a = {k: row for k, row in {1: 2}.items()}\n  return [row(x) for x in [1]]"
    ),
    "a method": (
        "def row(x): return x\n"
        "class A:\n  def f(self):\n    a = [row for row in 'a']\n    return [row(x) for x in 'a']\n"
        "f = A().f"
    ),
}
SOUND = {
    "a name of its own": TWO.replace("row for row", "at for at") + "[row(x) for x in range(2)]",
    "the function's own": TWO + "row(1)",
    "a generator": TWO + "list(row(x) for x in range(2))",
    "a lambda": TWO + "(lambda x: row(x))(1)",
    "bound by :=": "def f():\n  a = [row for k in [1] if (row := k)]\n  return [row for row in [1]]",
    "both bind it": TWO + "[row for row in range(2)]",
    "a local variable": "def f():\n  row = abs\n  a = [row for row in [1]]\n  return [row(x) for x in [1]]",
    "an argument": "def f(row=abs):\n  a = [row for row in [1]]\n  return [row(x) for x in [1]]",
    "a module": "def row(x): return x\na = [row for row in [1]]\nb = [row(x) for x in [1]]\ndef f(): pass",
}


@pytest.mark.parametrize("name", FAULTY)
def test_the_search_finds_the_fault(name: str) -> None:
    assert clashes(FAULTY[name])
    if (3, 12) <= sys.version_info < (3, 12, 4):
        with pytest.raises(UnboundLocalError):
            _run(FAULTY[name])
    else:
        _run(FAULTY[name])


@pytest.mark.parametrize("name", SOUND)
def test_the_search_leaves_alone_what_runs_everywhere(name: str) -> None:
    assert not clashes(SOUND[name])
    _run(SOUND[name])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_comprehension_binds_what_another_takes_from_outside(path: Path) -> None:
    assert not clashes(path.read_text(encoding="utf-8"))


def _run(code: str) -> None:
    namespace: dict[str, object] = {}
    exec(compile(code, "<case>", "exec"), namespace)
    namespace["f"]()  # type: ignore[operator]
