"""The examples in the docstrings run, in every module that has some."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import neurosparse

HOME = Path(neurosparse.__file__).parent
MODULES = sorted(
    ".".join(("neurosparse", *path.relative_to(HOME).with_suffix("").parts)).removesuffix(
        ".__init__"
    )
    for path in HOME.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    found = doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS)
    assert found.failed == 0
