"""The command line: parse, call one function, show progress, say where the results are.

Each command is a module.
"""

from neurosparse.cli import (  # noqa: I001
    comparing,
    simulating,
    training,
    transformers,
    measuring,
    atlas,
    converting,
    sweeping,
    claiming,
    listing,
    warming,
)
from neurosparse.cli.program import BAD_INPUT, INTERRUPTED, app, main

__all__ = [
    "BAD_INPUT",
    "INTERRUPTED",
    "app",
    "atlas",
    "claiming",
    "comparing",
    "converting",
    "listing",
    "main",
    "measuring",
    "simulating",
    "sweeping",
    "training",
    "transformers",
    "warming",
]
