"""The examples in the docstrings run."""

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    "name", ["data", "rectifier.devices", "rectifier.network", "rectifier.probe", "rectifier.training"]
)
def test_examples(name: str) -> None:
    found = doctest.testmod(import_module(f"neurosparse.{name}"))
    assert found.attempted > 0
    assert found.failed == 0
