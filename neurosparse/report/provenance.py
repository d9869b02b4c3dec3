"""Where results come from: versions and machine, and nested records as lines of a table."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib import metadata

from neurosparse import __version__
from neurosparse._internal.types import Fields

_PACKAGES = ("brian2", "torch", "numpy", "scipy")


def environment() -> Fields:
    """Versions and machine, for the provenance of results."""
    return {
        "versions": {
            "neurosparse": __version__,
            "python": platform.python_version(),
            **{package: metadata.version(package) for package in _PACKAGES},
        },
        "machine": f"{platform.system()} {platform.machine()}",
    }


def flat(node: object, name: str = "") -> list[tuple[str, str]]:
    """Nested provenance as (dotted name, text) pairs."""
    if isinstance(node, Mapping):
        return [
            pair
            for key, child in node.items()
            for pair in flat(child, f"{name}.{key}" if name else str(key))
        ]
    if isinstance(node, list):
        node = ", ".join(map(str, node))
    return [(name, "-" if node is None else node if isinstance(node, str) else json.dumps(node))]
