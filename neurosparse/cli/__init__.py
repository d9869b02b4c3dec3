"""The command line: parse, call one function, show progress, print where the results are. A module
a command.
"""

from neurosparse.cli import (  # noqa: I001
    comparing,
    simulating,
    training,
    transformers,
    measuring,
    converting,
    sweeping,
    claiming,
    listing,
)
from neurosparse.cli.program import BAD_INPUT, INTERRUPTED, app, main

__all__ = [
    "BAD_INPUT",
    "INTERRUPTED",
    "app",
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
]
